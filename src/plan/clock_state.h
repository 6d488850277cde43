/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the clock share: plan_clock.c (the loop), clock_rank.c, clock_wire.c. */
#ifndef WEFT_PLAN_CLOCK_STATE_H
#define WEFT_PLAN_CLOCK_STATE_H

#include "plan/clock_heap.h"
#include "plan/clock_share.h"
#include "plan/plan_clock.h"
#include "plan/plan_tape.h"

/* As the engine has it (engine_state.h, wire/frame.h). */
enum {
    WEFT_CLOCK_FRAME = 256 * 1024,      /* a longer body goes in fragments */
    WEFT_CLOCK_EARLY = 4 * 1024 * 1024, /* bytes sent to one that has not granted yet */
    WEFT_CLOCK_HEADER = 64,             /* of a frame */
    /* What comes from each in an operation that is prompt, a header for each part included. */
    WEFT_CLOCK_SMALL = 64 * 1024 + 4 * WEFT_CLOCK_HEADER,
};

/* A message; of the pool, known by its number. */
typedef struct weft_clock_message {
    int next;       /* in whatever list it is, -1 */
    int conn;       /* that it goes through */
    uint32_t index; /* how many went before it between the two in this lane */
    bool data;      /* else a grant alone */
    uint64_t lane;
    uint64_t grant; /* of the sender, that it tells */
    double bytes;   /* of the body */
    double wire;    /* bytes that travel */
    double sent, arrives;
} weft_clock_message;

typedef struct weft_clock_list {
    int first, last; /* -1: none */
} weft_clock_list;

/* One direction of a pair of neighbours. */
typedef struct weft_clock_conn {
    int from, to;
    int back;                /* the other direction */
    double latency;          /* of the way, handing over included */
    double arrived;          /* when the message before was there */
    weft_clock_list queue;   /* handed to the link; the first is being sent */
    weft_clock_list flying;  /* sent, not there yet */
    weft_clock_list blocked; /* beyond the grant */
    uint64_t granted;        /* by `to`; known to `from` */
    uint64_t told;           /* by `from` to `to`: its own grant */
    double ungranted;        /* bytes sent so far */
    bool feeds;              /* `to` sends data to `from` */
    bool prompt;             /* data go to `to` at once */
} weft_clock_conn;

typedef struct weft_clock_lane {
    const weft_tape *tape;
    uint64_t index;
    size_t pc;
    uint32_t waiting; /* receives above that are not here */
    uint32_t pending; /* messages that are blocked */
    bool busy;
    bool stopped;        /* at a fence, or at its end while messages are blocked */
    unsigned char *here; /* per receive */
} weft_clock_lane;

typedef struct weft_clock_rank {
    weft_tape tapes[2]; /* of all lanes, of the last one where it differs */
    int first_conn;     /* to tape.peers[0], the others behind it */
    int conns;
    weft_clock_lane *lanes;
    uint64_t lowest, next, done;
    int ready[WEFT_CLOCK_LANES], ready_first, ready_count; /* a ring */
    weft_clock_list early, inbox;                          /* come before the start; to be taken */
    int at_work;                                           /* lane; TAKING; IDLE */
    double debt; /* seconds of work done that are not paid yet */
    bool started, finished;
    double finish;
    uint64_t messages;       /* sent */
    uint64_t sent, received; /* bytes of bodies */
} weft_clock_rank;

enum { WEFT_CLOCK_IDLE = -1, WEFT_CLOCK_TAKING = -2, WEFT_CLOCK_STARTING = -3 };

typedef struct weft_clock {
    const weft_clock_job *job;
    const weft_network *net;
    weft_tape_rates rates;
    double now;
    uint64_t events;
    weft_clock_heap heap; /* ranks, streams, arrivals, ports */
    weft_clock_share share;
    weft_clock_rank *ranks;
    weft_clock_conn *conns;
    int conn_count;
    weft_clock_message *messages;
    size_t message_cap;
    int message_count, spare; /* a list of free ones */
    int unfinished;
    double wire;
    int failed; /* a code: out of memory in the middle */
} weft_clock;

/* clock_wire.c: connections, links, messages. */
int weft_clock_wires_open(weft_clock *c); /* tapes are there */
void weft_clock_wires_close(weft_clock *c);
/* Send a message of data, or a grant. from a lane: `pending` counts it while it is blocked. */
void weft_clock_data(weft_clock *c, int conn, weft_clock_lane *lane, uint32_t index, double bytes);
void weft_clock_grant(weft_clock *c, int conn);
void weft_clock_through(weft_clock *c, int conn); /* the first of the queue is sent */
void weft_clock_arrived(weft_clock *c, int conn); /* the first of those flying is there */
void weft_clock_flush(weft_clock *c, int conn);   /* after a grant */
void weft_clock_busiest(const weft_clock *c, double seconds, weft_simulated *ret);
void weft_clock_push(weft_clock *c, weft_clock_list *list, int message);
int weft_clock_pull(weft_clock *c, weft_clock_list *list); /* -1: empty */
void weft_clock_forget(weft_clock *c, int message);

/* clock_rank.c: ranks and their lanes. */
uint64_t weft_clock_grant_of(const weft_clock *c, const weft_clock_rank *r);
void weft_clock_rank_turn(weft_clock *c, int rank); /* its work is done, or its start has come */
void weft_clock_take(weft_clock *c, int rank, int message);        /* a message came */
void weft_clock_resume(weft_clock_rank *r, weft_clock_lane *lane); /* if it stopped for that */
void weft_clock_work(weft_clock *c, int rank);

#endif
