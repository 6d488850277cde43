/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: drives the engine over a link, under a baton.
 *
 * Whoever holds the baton is the only user of engine and link. The loop's own thread holds it while
 * nobody waits; a caller that waits for a request asks for it and drives the engine itself, which
 * saves waking a thread for every operation.
 */
#ifndef WEFT_ENGINE_ENGINE_LOOP_H
#define WEFT_ENGINE_ENGINE_LOOP_H

#include "engine/engine.h"
#include "link/link.h"

typedef struct weft_loop_opts {
    weft_engine_opts engine; /* the outlet is the loop's */
    weft_link *link;         /* taken over on success */
    int64_t spin_ns; /* how long a caller that waits looks again and again before it sleeps */
    const char *const *dial; /* per rank: endpoint to dial; must outlive the loop */
    void (*roster)(void *user, weft_link *link, uint32_t conn, weft_message *m);
    void *roster_user;
    weft_link_event *early; /* events that came before; messages taken on success */
    size_t early_count;
} weft_loop_opts;

int weft_loop_open(weft_loop **ret, const weft_loop_opts *o);
/* Ends every operation, says BYE, joins the thread, closes the link. NULL-safe. Requests stay
 * valid, waiting on them returns at once. */
void weft_loop_close(weft_loop **loop);

/* 0; WEFT_EFORKED in a child of the process that opened it: nothing of it may be used there. */
int weft_loop_forked(const weft_loop *l);
/* Hand a request over. 0, or WEFT_EFORKED. */
int weft_loop_submit(weft_loop *l, weft_request *r);
/* Hand it over and wait for its end: no other thread is woken for it. */
int weft_loop_run(weft_loop *l, weft_request *r);
/* As weft_wait(), in the process that opened the loop; does not set the last error. */
int weft_loop_wait(weft_loop *l, weft_request *r, int64_t timeout_ms);
const weft_error *weft_loop_error(weft_loop *l, weft_request *r);
void weft_loop_cancel(weft_loop *l, weft_request *r);
/* Cancel it if it runs, wait for its end, let go of it: it may be freed. */
void weft_loop_forget(weft_loop *l, weft_request *r);

weft_counters *weft_loop_counters(weft_loop *l);

#endif
