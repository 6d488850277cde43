/* SPDX-License-Identifier: Apache-2.0 */
/* The loop and its baton. */
#include "engine/engine_loop.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include <weft/group.h>

/* How long the sockets may be left alone after a caller gave the baton back with nothing to do: a
 * caller that comes again soon finds it free, and no thread was woken in between. */
#define LINGER_NS (5 * WEFT_MS)
/* A caller that gives the baton back with nothing to do wakes nobody: the loop's thread looks. */
#define LONG_NAP_NS (50 * WEFT_MS)
#define NEWS_NS (300 * WEFT_MS) /* longest stay for it when closing */
enum { LATE_EVENTS = 64 };      /* read while a timer is due, at most */
enum { SLICES = 16 };           /* of work between two looks at the link */

struct weft_loop {
    atomic_int refs; /* the group and every request */
    pid_t pid;
    weft_engine *engine;
    weft_link *link;
    const char *const *dial;
    int64_t spin_ns;
    void (*roster)(void *user, weft_link *link, uint32_t conn, weft_message *m);
    void *roster_user;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;

    /* Guarded by the lock. */
    weft_request *calls, **calls_tail;
    weft_request *cancels;
    bool driven; /* somebody holds the baton */
    int wanting; /* callers that wait for it, or for a request that its holder runs */
    bool busy;   /* operations were at work when it was last put down */
    bool stop;
    int64_t left_at;
    int64_t longest_nap; /* short enough for the beats that peers wait for */

    atomic_bool news;   /* calls, cancels, wishes for the baton since the driver last looked */
    atomic_bool asleep; /* the driver is about to wait in the link */

    /* The baton's holder's. */
    weft_request *running; /* its own request, ended when NULL */
    bool closing;          /* this is the last stay: nobody need wake it any more */
};

/* Without the lock. */
static void tell_driver(weft_loop *l)
{
    atomic_store(&l->news, true);
    if (atomic_load(&l->asleep)) {
        pthread_mutex_lock(&l->lock);
        if (l->link != NULL) { /* else the group was closed meanwhile */
            l->link->type->kick(l->link);
        }
        pthread_mutex_unlock(&l->lock);
    }
}

/* The outlet: called by the engine, with the baton in hand. */

static bool outlet_send(void *user, uint32_t conn, weft_message *m)
{
    weft_loop *l = user;
    if (l->link->type->send(l->link, conn, m) == WEFT_OK) {
        return true;
    }
    weft_message_unref(m);
    return false;
}

static bool outlet_dial(void *user, uint32_t conn, int rank)
{
    weft_loop *l = user;
    return l->link->type->dial(l->link, conn, l->dial[rank]) == WEFT_OK;
}

static void outlet_drop(void *user, uint32_t conn)
{
    weft_loop *l = user;
    l->link->type->drop(l->link, conn);
}

static int64_t outlet_clock(void *user)
{
    (void)user;
    return weft_now();
}

static void outlet_complete(void *user, weft_request *r)
{
    weft_loop *l = user;
    pthread_mutex_lock(&l->lock);
    r->state = WEFT_REQUEST_DONE;
    if (l->running == r) {
        l->running = NULL;
    } else if (l->wanting > 0) {
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
}

static void outlet_roster(void *user, uint32_t conn, weft_message *m)
{
    weft_loop *l = user;
    if (l->roster != NULL) {
        l->roster(l->roster_user, l->link, conn, m);
    } else {
        weft_message_unref(m);
        l->link->type->drop(l->link, conn);
    }
}

static void handle(weft_loop *l, const weft_link_event *ev)
{
    const int64_t now = weft_now();
    switch (ev->what) {
    case WEFT_LINK_UP:
        weft_engine_up(l->engine, now, ev->conn);
        break;
    case WEFT_LINK_DOWN:
        weft_engine_down(l->engine, now, ev->conn, ev->why);
        break;
    case WEFT_LINK_FRAME:
        weft_engine_frame(l->engine, now, ev->conn, ev->message);
        break;
    case WEFT_LINK_KICKED:
    case WEFT_LINK_NOTHING:
        break;
    }
}

/* The next request to cancel, NULL: none. Only the baton's holder ends requests, so one that runs
 * stays valid until it is ended here; one that has ended is its owner's and must not be touched. */
static weft_request *next_cancel(weft_loop *l)
{
    weft_request *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (weft_request **at = &l->cancels; *at != NULL && found == NULL;) {
        weft_request *r = *at;
        if (r->state == WEFT_REQUEST_NEW) { /* its call came after the last look: soon */
            atomic_store(&l->news, true);
            at = &r->next_cancel;
            continue;
        }
        *at = r->next_cancel;
        if (r->state == WEFT_REQUEST_RUNNING) {
            found = r;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

/* Take in what other threads left. false: the baton is to be put down. */
static bool look(weft_loop *l, bool own_thread)
{
    if (!atomic_exchange(&l->news, false)) {
        return true;
    }
    pthread_mutex_lock(&l->lock);
    const bool leave = l->stop || (own_thread && l->wanting > 0);
    weft_request *calls = NULL;
    if (leave) {
        atomic_store(&l->news, true); /* for the next driver */
    } else {
        calls = l->calls;
        l->calls = NULL;
        l->calls_tail = &l->calls;
    }
    for (weft_request *r = calls; r != NULL; r = r->next) {
        r->state = WEFT_REQUEST_RUNNING;
    }
    pthread_mutex_unlock(&l->lock);
    const int64_t now = weft_now();
    while (calls != NULL) {
        weft_request *r = calls;
        calls = r->next;
        weft_engine_call(l->engine, now, r);
    }
    for (weft_request *r; !leave && (r = next_cancel(l)) != NULL;) {
        weft_engine_cancel(l->engine, now, r);
    }
    return !leave;
}

/* One event, if there is one by then. true: there was none. */
static bool wait_for_event(weft_loop *l, int64_t until, bool at_once)
{
    weft_link_event ev = {0};
    if (!at_once && !l->closing) {
        atomic_store(&l->asleep, true);
        if (atomic_load(&l->news)) {
            at_once = true;
        }
    }
    const int rc = l->link->type->poll(l->link, at_once ? 0 : until, &ev);
    atomic_store(&l->asleep, false);
    if (rc != WEFT_OK) {
        weft_problem why = {0};
        weft_problem_from_last(&why);
        weft_engine_broken(l->engine, weft_now(), &why);
        return true;
    }
    handle(l, &ev);
    return ev.what == WEFT_LINK_NOTHING;
}

/* Look for an event again and again instead of sleeping: to wake a sleeping thread on an idle core
 * takes about 28 us, as long as a short message is under way. Whoever else wants the core gets it
 * in between. true: something happened. */
static bool spin(weft_loop *l, int64_t now, int64_t until)
{
    const int64_t end = until - now < l->spin_ns ? until : now + l->spin_ns;
    weft_link_event ev = {0};
    while (now < end) {
        if (atomic_load(&l->news)) {
            return true;
        }
        if (l->link->type->poll(l->link, 0, &ev) != WEFT_OK) {
            return false; /* the next poll says so again */
        }
        if (ev.what != WEFT_LINK_NOTHING) {
            handle(l, &ev);
            return true;
        }
        sched_yield();
        now = weft_now();
    }
    return false;
}

/* With the baton: until r has ended (r given), the time has come, or it must be put down. The
 * caller's rounding mode and flush-to-zero are put aside: bits must not depend on them. */
static void drive(weft_loop *l, weft_request *r, int64_t until, bool own_thread)
{
    const fenv_t callers = weft_fp_enter();
    int late = 0;
    l->running = r;
    while (look(l, own_thread) && (r == NULL || l->running != NULL)) {
        bool more = true;
        const int64_t now = weft_now();
        if (now >= until) {
            break;
        }
        for (int i = 0; i < SLICES && more; i++) {
            more = weft_engine_work(l->engine, now);
        }
        if (r != NULL && l->running == NULL) {
            break;
        }
        const int64_t due = weft_engine_due(l->engine);
        const int64_t first = due < until ? due : until;
        if (r != NULL && !more && now < due && spin(l, now, first)) {
            continue;
        }
        /* Silence counts only where nothing waits to be read. */
        const bool dry = wait_for_event(l, first, more || now >= due);
        if (now >= due && (dry || ++late == LATE_EVENTS)) {
            weft_engine_timer(l->engine, now);
            late = 0;
        }
    }
    l->running = NULL;
    weft_fp_leave(&callers);
}

/* With the lock: drive, and let others know when it is their turn. */
static void take_turn(weft_loop *l, weft_request *r, int64_t until, bool own_thread)
{
    l->driven = true;
    pthread_mutex_unlock(&l->lock);
    drive(l, r, until, own_thread);
    const bool busy = weft_engine_active(l->engine) > 0;
    const int64_t beat = weft_engine_beat(l->engine);
    pthread_mutex_lock(&l->lock);
    l->driven = false;
    l->busy = busy;
    l->longest_nap = beat / 2 < LONG_NAP_NS ? beat / 2 : LONG_NAP_NS;
    if (!own_thread) {
        l->left_at = weft_now();
    }
    if (busy || l->wanting > 0 || l->calls != NULL || l->stop) {
        pthread_cond_broadcast(&l->changed);
    }
}

static void sleep_until(weft_loop *l, int64_t until_ns)
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
            sleep_until(l, now + nap);
            nap = 2 * nap < l->longest_nap ? 2 * nap : l->longest_nap;
            continue;
        }
        nap = LINGER_NS;
        if (!l->busy && l->calls == NULL && now < l->left_at + LINGER_NS) {
            sleep_until(l, l->left_at + LINGER_NS);
        } else {
            take_turn(l, NULL, WEFT_NEVER, true);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void release(weft_loop *l)
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
    engine.outlet = (weft_outlet){.user = l,
                                  .send = outlet_send,
                                  .dial = outlet_dial,
                                  .drop = outlet_drop,
                                  .clock = outlet_clock,
                                  .complete = outlet_complete,
                                  .roster = outlet_roster};
    const int rc = weft_engine_open(&l->engine, &engine);
    if (rc != WEFT_OK) {
        release(l);
        return rc;
    }
    l->link = o->link;
    l->driven = true; /* by us, until the early events are in */
    if (start_thread(l) != 0) {
        weft_engine_close(&l->engine);
        release(l);
        return weft_fail(WEFT_EIO, "cannot start a thread");
    }
    for (size_t i = 0; i < o->early_count; i++) {
        handle(l, &o->early[i]);
    }
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
        (void)wait_for_event(l, due < until ? due : until, now >= due);
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
    tell_driver(l);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&l->lock);
    while (l->driven) {
        sleep_until(l, WEFT_NEVER);
    }
    l->driven = true;
    l->closing = true;
    weft_request *calls = l->calls;
    l->calls = NULL;
    pthread_mutex_unlock(&l->lock);
    spread_news(l);
    const int64_t now = weft_now();
    weft_engine_stop(l->engine, now);
    while (calls != NULL) {
        weft_request *r = calls;
        calls = r->next;
        weft_engine_call(l->engine, now, r);
    }
    weft_link *link = l->link;
    pthread_mutex_lock(&l->lock);
    l->link = NULL;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    link->type->close(&link);
    weft_engine_close(&l->engine);
    release(l);
}

int weft_loop_forked(const weft_loop *l)
{
    return l->pid == getpid()
               ? WEFT_OK
               : weft_fail(WEFT_EFORKED, "the group was opened before fork, in process %ld",
                           (long)l->pid);
}

static int enqueue(weft_loop *l, weft_request *r, bool will_wait)
{
    const int rc = weft_loop_forked(l);
    if (rc != WEFT_OK) {
        return rc;
    }
    atomic_fetch_add(&l->refs, 1);
    r->loop = l;
    r->next = NULL;
    pthread_mutex_lock(&l->lock);
    if (r->before != NULL) { /* with nobody's call between them */
        r->before->next = NULL;
        *l->calls_tail = r->before;
        l->calls_tail = &r->before->next;
    }
    *l->calls_tail = r;
    l->calls_tail = &r->next;
    atomic_store(&l->news, true); /* before anybody can take the baton and look */
    if (!l->driven && !will_wait) {
        pthread_cond_broadcast(&l->changed);
    }
    const bool driven = l->driven;
    pthread_mutex_unlock(&l->lock);
    if (driven && !will_wait) {
        tell_driver(l);
    }
    return WEFT_OK;
}

int weft_loop_submit(weft_loop *l, weft_request *r)
{
    return enqueue(l, r, false);
}

int weft_loop_run(weft_loop *l, weft_request *r)
{
    const int rc = enqueue(l, r, true);
    return rc == WEFT_OK ? weft_loop_wait(l, r, WEFT_FOREVER) : rc;
}

int weft_loop_wait(weft_loop *l, weft_request *r, int64_t timeout_ms)
{
    const int64_t until = weft_deadline(weft_now(), timeout_ms);
    int rc = WEFT_PENDING;
    pthread_mutex_lock(&l->lock);
    while (r->state != WEFT_REQUEST_DONE && (timeout_ms < 0 || weft_now() < until)) {
        if (!l->driven && !l->stop) {
            take_turn(l, r, until, false);
            continue;
        }
        l->wanting++;
        pthread_mutex_unlock(&l->lock);
        tell_driver(l);
        pthread_mutex_lock(&l->lock);
        if (l->driven && r->state != WEFT_REQUEST_DONE) {
            sleep_until(l, until);
        }
        l->wanting--;
    }
    if (r->state == WEFT_REQUEST_DONE) {
        rc = r->problem.code;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

const weft_error *weft_loop_error(weft_loop *l, weft_request *r)
{
    if (l->pid != getpid()) {
        return &r->error; /* a thread of the parent may hold the lock for ever */
    }
    pthread_mutex_lock(&l->lock);
    const bool failed = r->state == WEFT_REQUEST_DONE && r->problem.code != WEFT_OK;
    r->error = (weft_error){.code = failed ? r->problem.code : WEFT_OK,
                            .rank = failed ? r->problem.rank : -1,
                            .message = failed ? r->problem.text : weft_status_text(WEFT_OK)};
    pthread_mutex_unlock(&l->lock);
    return &r->error;
}

void weft_loop_cancel(weft_loop *l, weft_request *r)
{
    if (l->pid != getpid()) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    const bool first = !r->cancel && r->state != WEFT_REQUEST_DONE;
    if (first) {
        r->cancel = true;
        r->next_cancel = l->cancels;
        l->cancels = r;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    if (first) {
        tell_driver(l);
    }
}

void weft_loop_forget(weft_loop *l, weft_request *r)
{
    if (l->pid != getpid()) {
        return;
    }
    weft_loop_cancel(l, r);
    weft_loop_wait(l, r, WEFT_FOREVER);
    /* A cancel that came too late must not be looked at after the request is gone. */
    pthread_mutex_lock(&l->lock);
    for (weft_request **at = &l->cancels; *at != NULL; at = &(*at)->next_cancel) {
        if (*at == r) {
            *at = r->next_cancel;
            break;
        }
    }
    pthread_mutex_unlock(&l->lock);
    release(l);
}

weft_counters *weft_loop_counters(weft_loop *l)
{
    return weft_engine_counters(l->engine);
}
