/* SPDX-License-Identifier: Apache-2.0 */
/* What the holder of the loop's baton does: events to the engine, its work, its timers. */
#include <sched.h>

#include "base/clock.h"
#include "base/fpenv.h"
#include "base/status.h"
#include "engine/loop_state.h"

/* A caller that gives the baton back with nothing to do wakes nobody: the loop's thread looks. */
#define LONG_NAP_NS (50 * WEFT_MS)
enum { LATE_EVENTS = 64 }; /* read while a timer is due, at most */
enum { SLICES = 16 };      /* of work between two looks at the link */

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

static int outlet_dial(void *user, uint32_t conn, int rank)
{
    weft_loop *l = user;
    return l->link->type->dial(l->link, conn, l->dial[rank]);
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

weft_outlet weft_loop_outlet(weft_loop *l)
{
    return (weft_outlet){.user = l,
                         .send = outlet_send,
                         .dial = outlet_dial,
                         .drop = outlet_drop,
                         .clock = outlet_clock,
                         .complete = outlet_complete,
                         .roster = outlet_roster};
}

void weft_loop_handle(weft_loop *l, const weft_link_event *ev)
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

bool weft_loop_event(weft_loop *l, int64_t until, bool at_once)
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
    weft_loop_handle(l, &ev);
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
            weft_loop_handle(l, &ev);
            return true;
        }
        sched_yield();
        now = weft_now();
    }
    return false;
}

/* Some slices of work, and what time it is then. A slice may take long, a whole vector where a
 * codec knows no lanes: others hear from us in between, as soon as it is due. false: nothing is
 * left. */
static bool work(weft_loop *l, int64_t *now, int64_t due)
{
    for (int i = 0; i < SLICES && (i == 0 || *now < due); i++) {
        if (!weft_engine_work(l->engine, *now)) {
            return false;
        }
        *now = weft_now();
    }
    return true;
}

/* With the baton: until r has ended (r given), the time has come, or it must be put down. The
 * caller's rounding mode and flush-to-zero are put aside: bits must not depend on them. So is its
 * last error: most of what fails here is no call of its. */
static void drive(weft_loop *l, weft_request *r, int64_t until, bool own_thread)
{
    const fenv_t callers = weft_fp_enter();
    const bool before = weft_status_for_others(true);
    int64_t due = weft_engine_due(l->engine);
    int late = 0;
    l->running = r;
    while (look(l, own_thread) && (r == NULL || l->running != NULL)) {
        int64_t now = weft_now();
        if (now >= until) {
            break;
        }
        const bool more = late > 0 || work(l, &now, due); /* late: first the timer */
        if (r != NULL && l->running == NULL) {
            break;
        }
        due = weft_engine_due(l->engine);
        const int64_t first = due < until ? due : until;
        if (r != NULL && !more && now < due && spin(l, now, first)) {
            continue;
        }
        /* Silence counts only where nothing waits to be read. */
        const bool dry = weft_loop_event(l, first, more || now >= due);
        if (now < due) {
            late = 0;
        } else if (dry || ++late == LATE_EVENTS) {
            weft_engine_timer(l->engine, now);
            late = 0;
        }
    }
    l->running = NULL;
    (void)weft_status_for_others(before);
    weft_fp_leave(&callers);
}

void weft_loop_turn(weft_loop *l, weft_request *r, int64_t until, bool own_thread)
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
