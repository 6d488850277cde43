/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's state, for engine_loop.c (open, thread, close), loop_drive.c (with the baton) and
 * loop_calls.c (callers: submit, wait, cancel). */
#ifndef WEFT_ENGINE_LOOP_STATE_H
#define WEFT_ENGINE_LOOP_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "engine/engine_loop.h"

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

/* loop_drive.c */

/* What the engine does to the outside. */
weft_outlet weft_loop_outlet(weft_loop *l);
/* With the baton. */
void weft_loop_handle(weft_loop *l, const weft_link_event *ev);
/* One event, if there is one by then. true: there was none. */
bool weft_loop_event(weft_loop *l, int64_t until, bool at_once);
/* With the lock, which is let go meanwhile: take the baton, drive, put it down, and let others know
 * when it is their turn. */
void weft_loop_turn(weft_loop *l, weft_request *r, int64_t until, bool own_thread);

/* loop_calls.c */

/* Without the lock: the driver is to look at what was left for it. */
void weft_loop_tell(weft_loop *l);

/* engine_loop.c */

/* With the lock: until something changed, or the time has come. */
void weft_loop_sleep(weft_loop *l, int64_t until_ns);
void weft_loop_release(weft_loop *l);

#endif
