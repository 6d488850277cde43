/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's insides: simnet.c runs events, simnet_wire.c keeps connections and faults. */
#ifndef WEFT_TESTS_SUPPORT_SIMNET_STATE_H
#define WEFT_TESTS_SUPPORT_SIMNET_STATE_H

#include "support/simnet.h"

#include "base/rng.h"

enum { SIMNET_WIRES = 1024 };

typedef struct sim_node sim_node;

/* A connection; end 0 dialled, end 1 accepted (its number is 0 until its first frame). */
typedef struct sim_wire {
    sim_node *at[2];
    uint32_t conn[2];
    bool up;
    bool closed[2];        /* dropped here, or told that it is down */
    bool down_due[2];      /* an event for it is on its way */
    bool cut;              /* nothing passes any more */
    bool lossy;            /* what is under way may be lost */
    bool lost[2];          /* to this end: everything from here on */
    int64_t last[2];       /* when the last frame to this end arrives */
    weft_message *held[2]; /* swapped: goes after the next */
} sim_wire;

typedef enum sim_event_kind {
    SIM_FRAME,
    SIM_UP,
    SIM_DOWN,
    SIM_CALL,
    SIM_CANCEL,
    SIM_WORK
} sim_event_kind;

typedef struct sim_event {
    int64_t at;
    uint64_t order;
    sim_event_kind kind;
    sim_node *node;
    sim_wire *wire;
    int end;
    weft_message *message;
    weft_request *request;
} sim_event;

struct sim_node {
    simnet *net;
    int rank;
    weft_engine *engine;
    weft_pool *pool;
    bool mute;        /* nobody hears it, nothing happens to it */
    bool gone;        /* dials to it are refused */
    int64_t awake_at; /* stalled until then */
    int64_t due, rung_at;
    int rings; /* timers at one time */
    bool working;
    uint32_t accepted;
    long open; /* requests that have not ended */
};

struct simnet {
    simnet_opts o;
    weft_rng rng;
    int64_t now;
    uint64_t order, events, frames;
    sim_node nodes[SIMNET_RANKS];
    bool sums[SIMNET_RANKS];
    char names[SIMNET_RANKS][16];
    const char *where[SIMNET_RANKS];
    sim_wire *wires[SIMNET_WIRES];
    int wire_count;
    sim_event *heap;
    size_t count, cap;
    simnet_fault faults[SIMNET_FAULTS];
    int64_t until[SIMNET_FAULTS]; /* of REFUSE: end of it */
    int fault_count;
    bool copies;        /* frames travel as copies */
    bool shown_by_send; /* a send on an accepted connection that has ended finds it out */
    bool refuses;       /* sends on a connection that is about to be down fail */
    char offence[256], leftover[128];
};

/* simnet.c */
void sim_put(simnet *n, sim_event ev);
int64_t sim_some(simnet *n, int64_t most); /* 0 … most */
bool sim_coin(simnet *n);
void sim_offend(simnet *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* simnet_wire.c */
bool sim_send(void *user, uint32_t conn, weft_message *m);
int sim_dial(void *user, uint32_t conn, int rank);
void sim_drop(void *user, uint32_t conn);
void sim_down_soon(simnet *n, sim_wire *w, int end);
void sim_frame(simnet *n, const sim_event *ev); /* it arrives */
void sim_strike(simnet *n); /* the faults whose time has come, but for those of one frame */

#endif
