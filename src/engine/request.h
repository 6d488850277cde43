/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request: one operation with all it needs, from the call to its end.
 *
 * The group fills the description and submits it to the loop; the engine owns the run state until
 * it reports the end; then the caller may free it. Fields behind `state` are guarded by the loop's
 * lock, the run state belongs to whoever holds the baton.
 */
#ifndef WEFT_ENGINE_REQUEST_H
#define WEFT_ENGINE_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/codec.h"
#include "codec/sparse.h"
#include "plan/plan.h"
#include <weft/collective.h>

typedef struct weft_loop weft_loop;

/* A checked plan, shared by requests and the group's cache. */
typedef struct weft_shared_plan {
    atomic_int refs;
    weft_plan plan;
} weft_shared_plan;

weft_shared_plan *weft_shared_plan_ref(weft_shared_plan *p);
void weft_shared_plan_unref(weft_shared_plan *p); /* NULL-safe */

enum { WEFT_DESCRIPTOR_TEXT = 600, WEFT_ALGO_TEXT = 128 };

typedef struct weft_operation weft_operation; /* run state, private to the engine */
typedef struct weft_context weft_context;     /* a group over the engine */

struct weft_request {
    weft_loop *loop;
    enum {
        WEFT_REQUEST_RUN,   /* an operation */
        WEFT_REQUEST_ENTER, /* take the context; fails where the tag is in use */
        WEFT_REQUEST_LEAVE  /* end its calls, tell its members, free it */
    } what;
    weft_context *context; /* NULL: the group that was opened */
    bool transfer;         /* apart from the context's other calls, between two of its members: */
    int from, to;          /* their positions in it */
    uint32_t label;        /* the user's tag */
    uint64_t call;         /* out: which call of the context it was, from 1 */

    /* The description. */
    char words[WEFT_DESCRIPTOR_TEXT]; /* "allreduce float32 sum count=1000 …": the descriptor */
    uint64_t descriptor;              /* its hash */
    const char *coll;                 /* "allreduce", static */
    char algo[WEFT_ALGO_TEXT];        /* "ring", "tree:arity=2" */
    const void *in;
    void *out;
    uint64_t count;                 /* elements of the vector, of a block where there are blocks */
    uint64_t in_stride, out_stride; /* elements from block to block, 0: one block */
    /* Blocks of different lengths, of a side that has a block for each rank: elements, and where in
     * the buffer each begins. Owned. NULL: each has count elements, a stride apart. */
    uint64_t *in_lengths, *in_offsets, *out_lengths, *out_offsets;
    weft_dtype dtype;
    weft_op op;
    bool has_out; /* this peer has a result */
    bool timed;   /* a receipt is to tell times */
    bool seated;  /* ranks sit in the algorithm in another order than their own */
    weft_codec *codec,
        *reply; /* owned; reply: of replies, the dense one of dtype and op or lossy */
    float *own, *residual, *warm;
    bool measures;    /* the receipt tells what encoding changed */
    bool requantizes; /* sums on the way are encoded again */
    bool returns;     /* the residual takes back what did not win a place in the result */
    bool settles;     /* the residual is what selections on the way left, by this rule: */
    weft_residual_rule rule;
    /* Of lossy replies; NULL: none. */
    float *reply_memory, *owned;
    const float *reply_carry;
    float reply_alpha;
    float *zeros;         /* owned; goes in instead of the input, which is not finite; else NULL */
    weft_request *before; /* owned; this one waits for its end, has its number, and fails with it.
                             NULL: none */
    weft_request *after;  /* the other way: whose `before` this is; NULL: none's */
    uint64_t regions;     /* digest of where the vector is cut, where peers agree on that; else 0 */
    double *bounds;       /* owned; of regions: what `before` adds up */
    float *scales;        /* owned; of the codec: what `before` agrees on */
    uint64_t draw;        /* 0: the operation's number */
    uint32_t tensor;
    uint64_t lane_length, lane_count;
    weft_shared_plan *plan, *tail; /* of full lanes and of the last one; tail may equal plan */
    int64_t timeout_ns;            /* longest time without progress, WEFT_NEVER: none */
    weft_receipt *receipt;         /* the caller's, or NULL */

    weft_operation *operation;
    int64_t began;  /* by the outlet's clock, where it is timed */
    bool ended;     /* the engine has reported its end */
    bool abandoned; /* stands in the queue for one that was canceled there */
    weft_receipt result;
    weft_problem problem;
    weft_error error; /* the problem as the caller sees it */

    /* Guarded by the loop's lock. */
    enum { WEFT_REQUEST_NEW, WEFT_REQUEST_RUNNING, WEFT_REQUEST_DONE } state;
    bool cancel; /* asked for */
    weft_request *next_cancel;
    weft_request *next; /* in the loop's queue, then in the engine's */
};

/* A zeroed request. NULL: out of memory. */
weft_request *weft_request_new(void);
/* Free one that the engine does not hold. NULL-safe. */
void weft_request_discard(weft_request *r);

#endif
