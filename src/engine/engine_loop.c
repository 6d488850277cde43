/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: opened with its thread, which drives while nobody waits, and closed. */
#include "engine/engine_loop.h"

#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "engine/loop_state.h"

/* How long the sockets may be left alone after a caller gave the baton back with nothing to do: a
 * caller that comes again soon finds it free, and no thread was woken in between. */
#define LINGER_NS (5 * WEFT_MS)
#define NEWS_NS (300 * WEFT_MS) /* longest stay for it when closing */

void weft_loop_sleep(weft_loop *l, int64_t until_ns)
{
    if (until_ns == WEFT_NEVER) {
        pthread_cond_wait(&l->changed, &l->lock);
        return;
    }
    const struct timespec at = {.tv_sec = (time_t)(until_ns / (1000 * WEFT_MS)),
                                .tv_nsec = (long)(until_ns % (1000 * WEFT_MS))};
    pthread_cond_timedwait(&l->changed, &l->lock, &at);
}

static void *run(void *arg)
{
    weft_loop *l = arg;
    int64_t nap = LINGER_NS;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        const int64_t now = weft_now();
        if (l->driven || l->wanting > 0) {
            weft_loop_sleep(l, now + nap);
            nap = 2 * nap < l->longest_nap ? 2 * nap : l->longest_nap;
            continue;
        }
        nap = LINGER_NS;
        if (!l->busy && l->calls == NULL && now < l->left_at + LINGER_NS) {
            weft_loop_sleep(l, l->left_at + LINGER_NS);
        } else {
            weft_loop_turn(l, NULL, WEFT_NEVER, true);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

void weft_loop_release(weft_loop *l)
{
    if (atomic_fetch_sub(&l->refs, 1) == 1) {
        pthread_cond_destroy(&l->changed);
        pthread_mutex_destroy(&l->lock);
        weft_free(l);
    }
}

static weft_loop *new_loop(const weft_loop_opts *o)
{
    weft_loop *l = weft_calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    atomic_init(&l->refs, 1);
    l->pid = getpid();
    l->calls_tail = &l->calls;
    l->dial = o->dial;
    l->spin_ns = o->spin_ns;
    l->longest_nap = LINGER_NS; /* until it is known what beats peers wait for */
    l->roster = o->roster;
    l->roster_user = o->roster_user;
    return l;
}

/* The host's signals are the host's: ours is a thread that takes none. */
static int start_thread(weft_loop *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&l->thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int weft_loop_open(weft_loop **ret, const weft_loop_opts *o)
{
    weft_loop *l = new_loop(o);
    if (l == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for the loop");
    }
    weft_engine_opts engine = o->engine;
    engine.outlet = weft_loop_outlet(l);
    const int rc = weft_engine_open(&l->engine, &engine);
    if (rc != WEFT_OK) {
        weft_loop_release(l);
        return rc;
    }
    l->link = o->link;
    l->driven = true; /* by us, until the early events are in */
    if (start_thread(l) != 0) {
        weft_engine_close(&l->engine);
        weft_loop_release(l);
        return weft_fail(WEFT_EIO, "cannot start a thread");
    }
    const bool before = weft_status_for_others(true);
    for (size_t i = 0; i < o->early_count; i++) {
        weft_loop_handle(l, &o->early[i]);
    }
    (void)weft_status_for_others(before);
    pthread_mutex_lock(&l->lock);
    l->driven = false;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    *ret = l;
    return WEFT_OK;
}

/* Who fails an operation and leaves at once would otherwise look dead to those it never met. */
static void spread_news(weft_loop *l)
{
    const int64_t until = weft_now() + NEWS_NS;
    for (int64_t now = weft_now(); now < until && weft_engine_has_news(l->engine);
         now = weft_now()) {
        const int64_t due = weft_engine_due(l->engine);
        if (now >= due) {
            weft_engine_timer(l->engine, now);
        }
        (void)weft_loop_event(l, due < until ? due : until, now >= due);
    }
}

void weft_loop_close(weft_loop **loop)
{
    weft_loop *l = *loop;
    if (l == NULL) {
        return;
    }
    *loop = NULL;
    if (l->pid != getpid()) {
        return; /* in a forked child everything is the parent's */
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    weft_loop_tell(l);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&l->lock);
    while (l->driven) {
        weft_loop_sleep(l, WEFT_NEVER);
    }
    l->driven = true;
    l->closing = true;
    weft_request *calls = l->calls;
    l->calls = NULL;
    pthread_mutex_unlock(&l->lock);
    const bool before = weft_status_for_others(true);
    spread_news(l);
    const int64_t now = weft_now();
    weft_engine_stop(l->engine, now);
    while (calls != NULL) {
        weft_request *r = calls;
        calls = r->next;
        weft_engine_call(l->engine, now, r);
    }
    (void)weft_status_for_others(before);
    weft_link *link = l->link;
    pthread_mutex_lock(&l->lock);
    l->link = NULL;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    link->type->close(&link);
    weft_engine_close(&l->engine);
    weft_loop_release(l);
}

weft_counters *weft_loop_counters(weft_loop *l)
{
    return weft_engine_counters(l->engine);
}
