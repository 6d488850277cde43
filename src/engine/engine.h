/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: a state machine that runs operations over connections.
 *
 * It has no thread, clock, socket or randomness of its own. Whoever drives it (loop_drive.c in the
 * product) tells it what happened and when, lets it work in slices, and carries out what it asks
 * for through the outlet: send, dial, drop, complete. So the same machine runs in real and in
 * simulated time.
 */
#ifndef WEFT_ENGINE_ENGINE_H
#define WEFT_ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "engine/request.h"
#include "link/message.h"

typedef struct weft_engine weft_engine;

/* What the engine asks of its driver. Called from within the functions below. */
typedef struct weft_outlet {
    void *user;
    /* Hand a frame to a connection. Takes the message in any case. false: the connection is down
     * (the engine needs no event for it). */
    bool (*send)(void *user, uint32_t conn, weft_message *m);
    /* Begin to connect to a rank under this number: up or down follows as an event. Or the code of
     * the thread's last error: it cannot even begin, no event follows. */
    int (*dial)(void *user, uint32_t conn, int rank);
    void (*drop)(void *user, uint32_t conn);
    /* Nanoseconds, for receipts. NULL: they tell no times. */
    int64_t (*clock)(void *user);
    /* The request has ended; its problem and result are final. The engine forgets it. */
    void (*complete)(void *user, weft_request *r);
    /* A frame of the meeting (kind ROSTER). Takes the message. */
    void (*roster)(void *user, uint32_t conn, weft_message *m);
} weft_outlet;

/* Counters, readable from any thread. */
typedef struct weft_counters {
    atomic_uint_fast64_t body_sent, body_received, wire_sent, wire_received;
    atomic_uint_fast64_t operations, connections, dropped;
} weft_counters;

typedef struct weft_engine_opts {
    int rank, size;
    uint64_t group; /* tag */
    uint64_t seed;
    int64_t dead_ns;
    const bool *sum;          /* per rank: body checksums on frames to it; copied */
    const char *const *where; /* per rank: endpoint, for error texts; must outlive the engine */
    weft_log log;
    weft_pool *pool; /* must outlive the engine */
    weft_outlet outlet;
} weft_engine_opts;

/* Memory for a context of up to `most` of an engine's `size` ranks, so that nothing is lacking once
 * the others count on it. NULL: out of memory. Any thread. */
weft_context *weft_context_new(int size, int most);
/* Who is in it: ranks in the engine, by position; the position of this peer; the tag, alike on all
 * of them. A request of kind WEFT_REQUEST_ENTER then hands it to the engine. */
void weft_context_set(weft_context *c, uint64_t tag, const int *ranks, int size, int position);
void weft_context_discard(weft_context *c); /* one that no engine has; NULL-safe */

int weft_engine_open(weft_engine **ret, const weft_engine_opts *o);
/* Every operation must have ended (weft_engine_stop). NULL-safe. */
void weft_engine_close(weft_engine **e);

/* Events. */
void weft_engine_call(weft_engine *e, int64_t now, weft_request *r);
void weft_engine_cancel(weft_engine *e, int64_t now, weft_request *r);
void weft_engine_up(weft_engine *e, int64_t now, uint32_t conn);
void weft_engine_down(weft_engine *e, int64_t now, uint32_t conn, const char *why);
void weft_engine_frame(weft_engine *e, int64_t now, uint32_t conn, weft_message *m);
void weft_engine_timer(weft_engine *e, int64_t now);
/* The link itself failed. */
void weft_engine_broken(weft_engine *e, int64_t now, const weft_problem *why);

/* One slice of work (at most one span encoded, merged or decoded). false: nothing to do. */
bool weft_engine_work(weft_engine *e, int64_t now);
/* When weft_engine_timer() is due; WEFT_NEVER. */
int64_t weft_engine_due(const weft_engine *e);
/* The shortest time in which some peer wants to hear from us; WEFT_NEVER. */
int64_t weft_engine_beat(const weft_engine *e);
/* Operations that have not ended. */
int weft_engine_active(const weft_engine *e);
/* Somebody has still to be told of a failure, over a link that is being made. */
bool weft_engine_has_news(const weft_engine *e);
/* Leave: say BYE on every link and end every operation with this code. */
void weft_engine_stop(weft_engine *e, int64_t now);

weft_counters *weft_engine_counters(weft_engine *e);

#endif
