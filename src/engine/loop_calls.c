/* SPDX-License-Identifier: Apache-2.0 */
/* Callers at the loop: a request is handed over, waited for, canceled, let go of. Any thread. */
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "engine/loop_state.h"
#include <weft/group.h>

void weft_loop_tell(weft_loop *l)
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
        weft_loop_tell(l);
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
            weft_loop_turn(l, r, until, false);
            continue;
        }
        l->wanting++;
        pthread_mutex_unlock(&l->lock);
        weft_loop_tell(l);
        pthread_mutex_lock(&l->lock);
        if (l->driven && r->state != WEFT_REQUEST_DONE) {
            weft_loop_sleep(l, until);
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

/* In the process that opened the loop. */
static void cancel(weft_loop *l, weft_request *r)
{
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
        weft_loop_tell(l);
    }
}

void weft_loop_cancel(weft_loop *l, weft_request *r)
{
    if (l->pid == getpid()) {
        cancel(l, r);
    }
}

void weft_loop_forget(weft_loop *l, weft_request *r)
{
    if (l->pid != getpid()) {
        return;
    }
    cancel(l, r);
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
    weft_loop_release(l);
}
