/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's state, for the files of src/engine only.
 *
 *   engine.c          open, close, events to their handlers, timers
 *   engine_conn.c     which rank a connection belongs to
 *   engine_peer.c     a peer: its connection, HELLO, silence
 *   engine_send.c     frames out
 *   engine_tag.c      the contexts by their tags, and tags that are not open
 *   engine_context.c  a group over the engine: who is in it, in which position
 *   engine_meet.c     who else knows a context, and who has left it
 *   engine_transfer.c contexts of two for send and receive, one for each tag
 *   engine_credit.c   what may be sent to who may not know a context yet
 *   engine_begin.c    calls: queue, numbers, turns
 *   engine_op.c       an operation: what it holds, end
 *   engine_lanes.c    its lanes, and whose have the turn
 *   engine_wait.c     what an operation waits for, and how long
 *   engine_flow.c     descriptors, grants
 *   engine_early.c    frames that come before they are due
 *   engine_data.c     what comes for an operation: fragments, messages, receives
 *   engine_fail.c     failures and how they spread
 *   exec.c            a lane: the verbs of its plan
 *
 * Ranks and positions: a peer's rank is its place among all that the engine can reach, and what
 * stands in frames; its position is its place in one context, and what plans speak of.
 */
#ifndef WEFT_ENGINE_ENGINE_STATE_H
#define WEFT_ENGINE_ENGINE_STATE_H

#include "engine/engine.h"
#include "wire/frame.h"

enum {
    WEFT_LANES = 4,      /* F: lanes of an operation at work at one time */
    WEFT_LANES_ALL = 8,  /* of all operations that have several, see engine_lanes.c */
    WEFT_IN_FLIGHT = 64, /* operations at work at one time */
    WEFT_EARLY_OPS = 8,  /* how far ahead a small operation may be sent without a grant */
    /* What a small operation may send a peer in its lane: 64 KiB in a few frames. */
    WEFT_SMALL_BYTES = 64 * 1024 + 4 * WEFT_FRAME_HEADER,
    WEFT_EARLY_BYTES = 4 * 1024 * 1024, /* sent without a grant, of any operation */
    WEFT_EARLY_FRAMES = 16384,          /* kept for one peer before they are due */
    WEFT_DESCRIPTORS = 16,              /* remembered on a link, by hash */
    WEFT_FAILURES = 128, /* remembered in a context, for late calls and to forward each once */
    /* On a link, for all contexts together: DATA that may come before the receiver knows its
     * context. */
    WEFT_CREDIT = WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES,
    WEFT_CREDIT_FRAME = 256,      /* bytes that keeping such a frame costs besides its own */
    WEFT_TRANSFERS_IN_FLIGHT = 8, /* of one tag, at work at one time */
    WEFT_IDLE_TRANSFERS = 1024,   /* contexts of tags that are not in use, kept as they are */
};
#define WEFT_HELLO_NS (20 * INT64_C(1000000)) /* silence after which a small op says it began */

/* A frame on its way out. */
typedef struct weft_out {
    struct weft_out *next;
    weft_message *message;
    weft_frame frame;          /* sequence, grant and sums are filled when it goes */
    weft_operation *operation; /* whose pending send it is, or NULL */
} weft_out;

typedef struct weft_queue {
    weft_out *head, *tail;
} weft_queue;

/* What a peer calls, as it said. Shared: a cell of the table and early frames refer to it. */
typedef struct weft_words {
    int refs;
    char text[];
} weft_words;

/* A frame that came before it is due. */
typedef struct weft_early {
    struct weft_early *next;
    int from; /* position of who sent it; rank where there is no context yet */
    weft_frame frame;
    weft_words *words;     /* of its descriptor; the peer's table may have others by then */
    weft_message *message; /* NULL for START and GRANT */
} weft_early;

typedef enum weft_peer_state {
    WEFT_PEER_IDLE,    /* no connection */
    WEFT_PEER_DIALING, /* dialled, not up */
    WEFT_PEER_GREETED, /* own HELLO sent on a dialled connection, no answer yet */
    WEFT_PEER_UP,
    WEFT_PEER_LEFT, /* said BYE */
} weft_peer_state;

typedef struct weft_peer {
    int rank;
    weft_peer_state state;
    uint32_t conn;
    uint32_t sent_sequence, heard_sequence;
    int64_t sent_at;      /* last frame out */
    int64_t silence;      /* nanoseconds without a frame, counted by ticks of this engine */
    int64_t beat_ns;      /* send something at least that often: an eighth of its patience */
    int64_t dial_at;      /* when to try again; WEFT_NEVER: not wanted */
    int64_t trying_since; /* first dial of this series; WEFT_NEVER */
    int64_t backoff;
    char why[160];      /* last failure to connect */
    bool wanted;        /* a plan needs this link */
    bool news;          /* an operation that it takes part in failed before the link was up */
    bool mute;          /* the link refused a frame: DOWN follows what it still delivers */
    weft_queue waiting; /* until the link is up */
    uint64_t sent_descriptor[WEFT_DESCRIPTORS];
    uint64_t heard_descriptor[WEFT_DESCRIPTORS];
    weft_words *heard_words[WEFT_DESCRIPTORS];
    size_t credit;             /* sent to it on credit, and not given back */
    size_t kept;               /* of what it sent on credit: not used yet */
    size_t owed;               /* used, and not given back */
    struct weft_flow *starved; /* flows to it that wait for credit */
} weft_peer;

/* A cell of the table from connections to ranks; conn 0: free. */
typedef struct weft_conn_cell {
    uint32_t conn;
    int rank;
} weft_conn_cell;

/* What came for a receive of a lane. */
typedef struct weft_arrival {
    weft_message *message;
    uint32_t fragments;
    bool whole;
} weft_arrival;

typedef struct weft_slot {
    weft_message *message;
    int from; /* position of who sent it, -1: packed here */
} weft_slot;

typedef struct weft_lane {
    uint64_t index;
    bool busy;              /* index is at work */
    bool parked;            /* but not on its steps yet: operations before it have the turn */
    bool fed;               /* error feedback is in acc */
    bool queued;            /* on the list of lanes that can go on, or running just now */
    size_t pc;              /* next step */
    uint32_t waiting;       /* receives reached but not here */
    uint32_t pending;       /* sends not handed to a link yet */
    weft_measured measured; /* of its contribution */
    weft_slot *slots;
    weft_arrival *arrivals;
    struct weft_operation *operation;
    struct weft_lane *next;
} weft_lane;

/* A neighbour in the plan. Same order as plan.peers. */
typedef struct weft_flow {
    struct weft_operation *operation;
    int position, rank;
    bool small;             /* one lane, and little of it goes to this peer */
    bool feeds;             /* it sends to us */
    bool prompt;            /* we send to it before we wait for anything: that tells the grant */
    weft_queue blocked;     /* DATA above the grant */
    uint32_t granted;       /* lanes below this may be sent; 0: none was given yet */
    uint32_t told;          /* our own grant, as last told */
    size_t goes, comes;     /* most bytes either way in a lane, headers in */
    size_t ungranted_bytes; /* sent, of lanes without a grant */
    bool contacted;         /* some frame of this operation went to the peer */
    bool deferred;          /* to be told how far we are, once it is less far behind */
    bool asked;             /* it was asked whether it knows the context */
    bool starved;           /* on the peer's list of them */
    struct weft_flow *next_starved;
} weft_flow;

struct weft_operation {
    weft_context *context;
    weft_request *request;
    struct weft_operation *before, *after; /* all that are at work */
    uint32_t number;
    int64_t started, progress;
    int64_t spared;        /* the progress at which the timeout was put off; WEFT_NEVER */
    uint64_t lowest, next; /* lowest unfinished lane; next lane to begin */
    uint64_t done;         /* lanes finished */
    weft_lane lanes[WEFT_LANES];
    weft_slot *slots; /* of all lanes */
    weft_arrival *arrivals;
    weft_flow *flows;
    float *acc;            /* of a lane at work input + residual, of a finished one what is left */
    float *own;            /* decoded own contribution, scratch or the caller's */
    float *warm;           /* what the codec's state becomes when the operation succeeds */
    float *news;           /* decoded replies, where they are added to a memory */
    weft_pairs sent, won;  /* of a selection that settles: own encoding, final one */
    weft_dropped *dropped; /* by the merges made here */
    bool greeted;          /* every neighbour was told of it */
    bool resumed; /* its lanes were put on their steps late: time without progress counts anew */
    bool prompt;  /* little comes from each: feeders hear of it by data, or now and then */
};

/* How an operation of a context failed. */
typedef struct weft_failure {
    struct weft_failure *next; /* an older one */
    uint32_t number;
    uint64_t call; /* the same without wrapping: what it is recalled by */
    int code, rank;
    char text[];
} weft_failure;

/* An operation that ended well here, while others may still be in it. */
typedef struct weft_ended {
    uint64_t call; /* as of weft_failure */
    uint64_t descriptor;
    uint64_t before; /* the descriptor of the part before it, 0: there was none */
    char words[WEFT_DESCRIPTOR_TEXT];
} weft_ended;

/* A peer, as one of a context. */
typedef struct weft_member {
    int rank;
    bool met;                         /* it was heard of here */
    bool left;                        /* it said BYE */
    uint32_t heard_operation;         /* newest operation it has called, as far as it told */
    uint32_t told_operation;          /* the same the other way */
    uint32_t reminded;                /* operation whose failure it was told of as it came late */
    size_t early_bytes, early_frames; /* kept for it */
} weft_member;

/* What is known of a tag. It stays when its context is left: frames may be on their way. */
typedef struct weft_tag_cell {
    struct weft_tag_cell *next; /* in its bucket */
    uint64_t tag;
    weft_context *context; /* NULL: it is not open here */
    weft_early *early;     /* DATA that came before it was open */
    weft_early **early_tail;
    bool gone; /* it was open, and was left */
    /* Of a transfer's that was put away: its group's tag, and what its context knew. */
    bool put_away, met;
    uint64_t base;
    uint32_t called, heard, told;
} weft_tag_cell;

/* A group over the engine: operations of its own, on the links that all contexts share. Or the two
 * ends of the transfers with one tag in one direction between two members of a group. */
struct weft_context {
    weft_engine *engine;
    weft_context *before, *after; /* all that are open */
    weft_tag_cell *cell;
    uint64_t tag;
    int size, position;   /* of this peer */
    weft_member *members; /* by position */
    uint16_t *positions;  /* by rank; 0xffff: no member. NULL: of transfers */
    weft_problem broken;  /* code WEFT_OK: the group works */
    uint64_t broken_from; /* the first call that cannot be completed: those before it go on */
    weft_context *base;   /* of transfers: the group, whose ranks they speak of; else NULL */
    uint32_t label;       /* of transfers: the user's tag */
    bool idle;            /* on the list of transfers that are not in use */
    weft_context *idle_before, *idle_after;

    weft_operation **ops; /* by number, `flight` of them */
    uint32_t flight;
    int active;
    uint32_t called; /* newest operation begun here */
    uint64_t calls;  /* the same, counted without wrapping */
    weft_request *queue, **queue_tail;
    weft_request *second; /* waits for the newest operation, and will have its number; or NULL */
    bool turning;         /* on the list of contexts whose queue may go on */
    weft_context *next_turn;
    weft_early *early; /* all members', in order of arrival */
    weft_early **early_tail;
    weft_failure *failures; /* the latest first */
    int failure_count;
    weft_ended *ended; /* as many as ops, by number of the call; NULL: of transfers */
    int mismatches;    /* in a row */
    uint64_t look;     /* of the engine, that came by here last */
};

struct weft_engine {
    int rank, size;
    uint64_t group, seed;
    int64_t dead_ns;
    weft_log log;
    weft_pool *pool;
    weft_outlet outlet;
    bool *sum;
    const char *const *where;

    weft_peer *peers;
    uint32_t next_conn;
    weft_conn_cell *conns; /* connection to rank, a hash table of conn_cells (a power of two) */
    size_t conn_cells;

    weft_context *root; /* the group that was opened */
    weft_context *contexts;
    weft_tag_cell **tags; /* buckets, a power of two of them */
    size_t tag_buckets, tag_count;
    weft_context *turns, **turns_tail;
    weft_context *idle_first, *idle_last; /* transfers that are not in use, the longest first */
    int idle_count;
    weft_operation *working, *working_last; /* all at work, of all contexts */
    int active;                             /* as many */
    int64_t op_due; /* no operation has anything to do before; may be too early */
    weft_lane *ready, **ready_tail;
    int started;     /* lanes on their steps, of operations that have several */
    int parked;      /* lanes that wait for their turn */
    uint64_t look;   /* counts looks over the operations at work */
    weft_out *spare; /* free list */

    weft_problem broken; /* code WEFT_OK: the group works */
    weft_problem sick;   /* met in the middle of something: breaks the group when it is safe */
    bool stopping;
    bool owing;     /* some peer is to be given back much credit */
    int64_t ticked; /* last look at silence */
    weft_counters counters;
};

/* engine.c */
/* The group cannot go on, but the stack is in the middle of something: break it when that ends. */
void weft_engine_sicken(weft_engine *e, const weft_problem *why);
/* The same where memory is lacking for something: all peers are told on which rank. */
void weft_engine_no_memory(weft_engine *e, const char *what);

/* engine_conn.c: which rank a connection belongs to */
weft_peer *weft_conn_peer(weft_engine *e, uint32_t conn); /* NULL: nobody's yet */
void weft_conn_bind(weft_engine *e, uint32_t conn, int rank);
void weft_conn_unbind(weft_engine *e, uint32_t conn);

/* engine_peer.c: a peer's connection */
void weft_peer_want(weft_engine *e, int64_t now, int rank, bool dial_anyway);
void weft_peer_up(weft_engine *e, int64_t now, weft_peer *p);
void weft_peer_down(weft_engine *e, int64_t now, weft_peer *p, const char *why);
void weft_peer_hello(weft_engine *e, int64_t now, uint32_t conn, const weft_frame *f);
void weft_peer_refused(weft_engine *e, weft_peer *p, const weft_message *m);
void weft_peer_bye(weft_engine *e, int64_t now, weft_peer *p);
void weft_peer_tick(weft_engine *e, int64_t now, int64_t elapsed);
void weft_peer_forget(weft_engine *e, weft_peer *p); /* connection and waiting frames */
int64_t weft_peer_due(const weft_engine *e);
/* "rank 2 (tcp://10.0.0.3:4000)" */
const char *weft_peer_words(const weft_engine *e, int rank, char *out, size_t cap);

/* engine_send.c: frames out */
/* Send now or when the link is up. Takes the message. The frame's tag tells the context; op: whose
 * pending send it is, or NULL. */
void weft_send_frame(weft_engine *e, int64_t now, int rank, const weft_frame *f, weft_message *m,
                     weft_operation *op);
void weft_send_flush(weft_engine *e, int64_t now, weft_peer *p); /* the link came up */
/* A frame with a small body. */
void weft_send_control(weft_engine *e, int64_t now, int rank, weft_frame *f, const void *body,
                       size_t len);
/* The same on a connection that is nobody's yet. */
void weft_send_raw(weft_engine *e, uint32_t conn, weft_frame *f, const void *body, size_t len);
void weft_send_beat(weft_engine *e, int64_t now, weft_peer *p);
weft_out *weft_out_new(weft_engine *e);
void weft_out_free(weft_engine *e, weft_out *o); /* and its message */
void weft_queue_push(weft_queue *q, weft_out *o);
weft_out *weft_queue_pop(weft_queue *q);

/* engine_tag.c: contexts by tag */
int weft_tag_open(weft_engine *e);
weft_tag_cell *weft_tag_find(const weft_engine *e, uint64_t tag); /* NULL: never heard of */
weft_tag_cell *weft_tag_new(uint64_t tag);                        /* NULL: out of memory */
void weft_tag_add(weft_engine *e, weft_tag_cell *cell);
/* Call for each cell; those for which it says so are freed. */
void weft_tag_sweep(weft_engine *e,
                    bool (*dispose)(weft_engine *e, weft_tag_cell *cell, const void *user),
                    const void *user);
void weft_tag_close(weft_engine *e);

/* engine_context.c: a group over the engine */
/* Begin to use a context that was set. false: its tag is in use. */
bool weft_context_enter(weft_engine *e, int64_t now, weft_context *c);
/* End its calls, say BYE in it, free it (but not the opened group's, whose numbers go on). */
void weft_context_leave(weft_engine *e, int64_t now, weft_context *c);
void weft_context_end_calls(weft_context *c);
void weft_context_remove(weft_context *c); /* it is open no more; frees it, but for the root */
void weft_context_free(weft_context *c);   /* NULL-safe */
/* The context of a frame. NULL: it is not open here. */
weft_context *weft_context_find(const weft_engine *e, uint64_t tag);
/* Which call of the context bears a number that is near the newest. */
uint64_t weft_context_call(const weft_context *c, uint32_t number);
/* The member's entry; NULL: the rank is no member. */
weft_member *weft_context_member(const weft_context *c, int rank);
static inline int weft_context_position(const weft_context *c, const weft_member *m)
{
    return (int)(m - c->members);
}
weft_peer *weft_context_peer(const weft_context *c, int position);
/* The member's position in the group that callers know: of transfers another one. */
int weft_context_named(const weft_context *c, int position);
/* "rank 2", "rank 2 (rank 5 of the opened group)": the same in words */
const char *weft_context_rank(const weft_context *c, int position, char *out, size_t cap);
/* The same with where it is: "rank 2 (tcp://10.0.0.3:4000)". */
const char *weft_context_words(const weft_context *c, int position, char *out, size_t cap);
/* A problem of the whole engine, as the callers of this context see it. */
void weft_context_problem(const weft_context *c, const weft_problem *all, weft_problem *ret);

/* engine_meet.c: who else knows a context, and who has left it */
/* A member was heard of in the context for the first time. */
void weft_meet_member(weft_context *c, int64_t now, weft_member *m);
/* Ask it whether it knows the context. */
void weft_meet_ask(weft_context *c, int64_t now, weft_member *m);
void weft_meet_frame(weft_context *c, int64_t now, weft_member *m, const weft_frame *f);
/* The peer sends in a context that was left here: tell it so. */
void weft_meet_farewell(weft_engine *e, int64_t now, const weft_peer *p, uint64_t tag);
/* It left the context, or all. */
void weft_meet_left(weft_context *c, int64_t now, weft_member *m);

/* engine_transfer.c: contexts of two for send and receive */
/* That of the request, found or made. NULL: out of memory. */
weft_context *weft_transfer_find(weft_engine *e, int64_t now, const weft_request *r);
/* Something of it has ended: it may be out of use. */
void weft_transfer_rest(weft_context *c);
void weft_transfer_wake(weft_context *c); /* it is in use again */
/* What was out of use for longest, where there is much. Frees contexts. */
void weft_transfer_put_away(weft_engine *e);
/* The group is left, its transfers with it. */
void weft_transfer_leave_all(weft_context *base);
/* The peer left the group: transfers that need it fail. */
void weft_transfer_left(weft_context *c, int64_t now, weft_member *m);

/* engine_credit.c: what may be sent to who may not know a context yet */
bool weft_credit_take(weft_peer *p, size_t len); /* for a message so long; false: not now */
void weft_credit_back(weft_peer *p, size_t len); /* it was not sent */
/* The flow waits for credit. */
void weft_credit_wait(weft_engine *e, weft_flow *flow);
void weft_credit_forget(weft_engine *e, weft_flow *flow);
/* One that the peer sent on credit is used. */
void weft_credit_used(weft_engine *e, weft_peer *p, size_t len);
/* Give back what is owed, where it is much. */
void weft_credit_settle(weft_engine *e, int64_t now);
/* A BEAT brings credit. */
void weft_credit_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f);
static inline size_t weft_credit_cost(size_t len)
{
    return len + WEFT_CREDIT_FRAME;
}

/* engine_begin.c: calls */
/* The request has ended. */
void weft_op_complete(weft_engine *e, weft_request *r);
/* A request of a group. Its operation begins when it is its turn. */
void weft_op_call(weft_engine *e, int64_t now, weft_request *r);
/* Something has ended: its place in the queue may be taken. */
void weft_op_turn(weft_context *c);
/* Whoever's turn has come begins. */
void weft_op_turns(weft_engine *e, int64_t now);

/* engine_op.c: what an operation holds, from its begin to its end */
/* "allreduce (operation 5)", "recv of tag 7 (transfer 5)"; number 0: without. */
const char *weft_op_words(const weft_context *c, const weft_request *r, uint32_t number, char *out,
                          size_t cap);
weft_operation *weft_op_at(const weft_context *c, uint32_t number); /* NULL: not at work */
/* Does the frame belong to the second part of the newest call, which is not at work yet? */
static inline bool weft_op_later(const weft_context *c, const weft_frame *f)
{
    return c->second != NULL && f->operation == c->called && f->descriptor == c->second->descriptor;
}
/* NULL: out of memory. */
weft_operation *weft_op_new(weft_context *c, weft_request *r, uint32_t number, int64_t now);
void weft_op_end(weft_engine *e, weft_operation *op, const weft_problem *why);

/* engine_lanes.c: lanes, and whose have the turn */
void weft_lanes_begin(weft_engine *e, weft_operation *op); /* as many as may be at work */
void weft_lanes_start(weft_engine *e);                     /* parked ones, as far as they may */
/* All of the context: after a failure each is to find out by itself what it waits for. */
void weft_lanes_start_all(weft_context *c);
void weft_lane_ready(weft_engine *e, weft_lane *lane);                  /* it can go on */
void weft_lane_sent(weft_engine *e, weft_operation *op, uint64_t lane); /* one pending send went */
void weft_lane_end(weft_engine *e, weft_lane *lane);                    /* clear it */
void weft_lane_done(weft_engine *e, int64_t now, weft_lane *lane);
bool weft_op_parked(const weft_operation *op); /* all its lanes are */

/* engine_wait.c: what an operation waits for, and how long */
void weft_op_watch(weft_engine *e, const weft_operation *op); /* it has begun */
void weft_op_tick(weft_engine *e, int64_t now);
int64_t weft_op_due(const weft_engine *e);
/* Something is still to come from the member or to go to it. */
bool weft_op_needs_in(const weft_operation *op, int position);
/* The first call at work of which that is so; 0: of none. */
uint64_t weft_op_first_needing(const weft_context *c, int position);

/* engine_flow.c: descriptors, grants */
weft_flow *weft_flow_of(const weft_operation *op, int position); /* NULL: no neighbour */
/* Send DATA when the grant allows, else later. Takes the message. */
void weft_flow_data(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow,
                    const weft_frame *f, weft_message *m);
void weft_flow_grants(weft_engine *e, int64_t now, weft_operation *op); /* tell what has grown */
/* Say how far we are in it: START or GRANT. */
void weft_flow_tell(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow);
void weft_flow_greet(weft_engine *e, int64_t now, weft_operation *op); /* whom nothing told yet */
uint32_t weft_flow_grant_of(const weft_operation *op);                 /* what we take now */
void weft_flow_flush(weft_engine *e, int64_t now, weft_flow *flow);    /* what may go now */
/* START, DATA and GRANT. Takes the message. */
void weft_flow_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     weft_message *m);
/* The same where the operation is at work; the message may be NULL for START and GRANT. */
void weft_flow_apply(weft_engine *e, int64_t now, weft_operation *op, weft_member *member,
                     const weft_frame *f, weft_message *m, const weft_words *words);
void weft_flow_heard(weft_engine *e, int64_t now, weft_context *c, weft_member *member,
                     uint32_t number);
void weft_words_unref(weft_words *words); /* NULL-safe */

/* engine_early.c: frames that come before they are due */
/* One of an operation that was not called here yet. Takes the message. */
void weft_early_keep(weft_context *c, weft_member *member, const weft_frame *f, weft_message *m);
/* DATA of a context that is not open here. Takes the message. */
void weft_early_keep_strange(weft_engine *e, weft_peer *p, const weft_frame *f, weft_message *m);
/* The context opens. */
void weft_early_admit(weft_context *c, int64_t now, weft_early *strange);
void weft_early_drop_strange(weft_engine *e, weft_tag_cell *cell); /* those of one tag */
void weft_early_discard_strange(weft_engine *e);                   /* all */
void weft_early_replay(weft_context *c, int64_t now, uint32_t number);
void weft_early_discard(weft_context *c, uint32_t number);    /* those of this operation */
void weft_early_discard_from(weft_context *c, uint64_t call); /* and those after it */
void weft_early_discard_all(weft_context *c);

/* engine_data.c */
void weft_op_data(weft_engine *e, int64_t now, weft_operation *op, const weft_member *from,
                  const weft_frame *f, weft_message *m);

/* engine_fail.c: failures and how they spread */
/* An operation fails here; every peer hears of it. */
void weft_fail_operation(weft_engine *e, int64_t now, weft_operation *op, const weft_problem *why,
                         int except_rank);
/* The same for one that did not begin here. */
void weft_fail_number(weft_context *c, int64_t now, uint32_t number, const weft_problem *why,
                      const weft_plan *plan);
/* A group works no more from this call on: those end, its members hear of it. Calls before it go
 * on, those of members that have not called them yet too. */
void weft_fail_group(weft_context *c, int64_t now, uint64_t from, const weft_problem *why,
                     int except_rank);
/* Does the call come to nothing because the group is broken? */
static inline bool weft_fail_bars(const weft_context *c, uint64_t call)
{
    return c->broken.code != WEFT_OK && call >= c->broken_from;
}
/* Nothing works any more: every operation of every context ends, every link hears of it. */
void weft_fail_engine(weft_engine *e, int64_t now, const weft_problem *why, int except_rank);
/* A member is met, or a link has come up: tell it what failed before. */
void weft_fail_tell(weft_context *c, int64_t now, const weft_member *member);
void weft_fail_tell_all(weft_engine *e, int64_t now, int rank); /* of all contexts */
/* A peer is in an operation that may have failed here: tell it so, once. */
/* It sends to a transfer that ended here by a failure too long ago to be remembered. */
void weft_fail_forgotten(weft_context *c, int64_t now, weft_member *m, uint32_t number);
void weft_fail_remind(weft_context *c, int64_t now, weft_member *member, uint32_t number);
const weft_failure *weft_fail_recall(const weft_context *c, uint32_t number);
void weft_fail_forget(weft_context *c); /* all failures */
/* The operation ended well here. */
void weft_fail_ended(const weft_operation *op);
/* A frame of an operation that has ended here: if the peer calls another one than this was, whoever
 * still waits in it must hear of the mismatch. */
void weft_fail_late(weft_context *c, int64_t now, const weft_member *m, const weft_frame *f,
                    const char *theirs);
void weft_fail_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     const weft_message *m);
/* A frame of an operation that may not come: breaks the group when it is safe. */
void weft_fail_violation(weft_engine *e, const weft_peer *p, const weft_frame *f, const char *how);
void weft_fail_mismatch(weft_engine *e, int64_t now, weft_operation *op, const weft_member *m,
                        const char *theirs);

/* exec.c: a lane */
typedef enum weft_ran {
    WEFT_RAN_STEP,    /* did something, there is more */
    WEFT_RAN_BLOCKED, /* waits for a receive */
    WEFT_RAN_DONE,    /* at the end of the plan, and every send has gone */
    WEFT_RAN_FAILED   /* *why is set */
} weft_ran;
/* The plan's neighbour at that position; NULL: none. */
const weft_plan_peer *weft_lane_peer(const weft_plan *plan, int position);
const weft_plan *weft_lane_plan(const weft_operation *op, uint64_t index);
/* Most bytes of the slot that a send or receive of this lane carries; *exact: no fewer either. */
size_t weft_lane_bound(const weft_operation *op, uint64_t index, const weft_step *step,
                       bool *exact);
/* A receive of the lane is here: into its slot, if the lane is that far. */
void weft_lane_arrived(weft_engine *e, weft_lane *lane, const weft_plan *plan, size_t ordinal);
/* Run up to one heavy step. */
weft_ran weft_lane_run(weft_engine *e, int64_t now, weft_lane *lane, weft_problem *why);
void weft_lane_clear(weft_lane *lane);

#endif
