/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collective algorithm: a pure function from (rank, size, count) to a plan, with its price.
 * A row of collectives.def and one file each.
 */
#ifndef WEFT_COLLECTIVES_ALGO_H
#define WEFT_COLLECTIVES_ALGO_H

#include <stddef.h>
#include <stdint.h>

#include "codec/traits.h"
#include "plan/plan.h"
#include "plan/plan_verify.h"
#include <weft/info.h>

typedef enum weft_coll {
    WEFT_COLL_ALLREDUCE,
    WEFT_COLL_ALLGATHER,
    WEFT_COLL_REDUCE_SCATTER,
    WEFT_COLL_BROADCAST,
    WEFT_COLL_BARRIER,
    WEFT_COLL_COUNT
} weft_coll;

const char *weft_coll_name(weft_coll coll); /* "allreduce" */

/* What a builder may look at. */
typedef struct weft_shape {
    weft_coll coll;
    int rank, size;
    size_t count; /* elements of the lane (of one block where there are blocks) */
    size_t block; /* codec block in elements: spans are cut on its edges while there are at least
                     `size` blocks in the lane, else on multiples of 8 elements; 0: one block */
    int root;     /* broadcast */
} weft_shape;

/* Needs of an algorithm. */
enum {
    WEFT_NEEDS_MERGE = 1u << 0, /* folds or merges encodings: codec trait MERGES */
};

/* What an algorithm does. */
enum {
    WEFT_ALGO_PARTS = 1u << 0,   /* cuts its lane into P spans; else its messages hold the lane */
    WEFT_ALGO_REPLIES = 1u << 1, /* sends elements too, not only encodings */
    WEFT_ALGO_ORDERED = 1u << 2, /* combines contributions in rank order, so that it serves
                                    operations that do not commute */
};

/* A price, for one lane, where an encoded element takes `width` bytes on the way up (own
 * contributions) and `reply` bytes on the way down (raw replies of scatter). Each figure is the
 * most any rank has, whichever rank that is; the tests hold them against what plan_sim counts. */
typedef struct weft_cost {
    double rounds;        /* messages that wait for one another */
    double messages;      /* sent by a rank */
    double bytes;         /* bodies sent by a rank */
    double reduced_bytes; /* bytes of encodings that a rank folds, merges and adds */
    double peers;         /* from which a rank receives */
} weft_cost;

typedef struct weft_algo {
    weft_coll coll;
    const char *name, *summary, *source;
    const char *formula; /* of rounds and bytes, for people: "2(P-1) rounds, 2(P-1)/P n bytes" */
    uint32_t needs;      /* WEFT_NEEDS_… */
    uint32_t traits;     /* WEFT_ALGO_… */
    weft_cost (*cost)(const weft_shape *s, double width, double reply);
    /* Fill a plan that weft_plan_init() made of rank, size and count, and check it. */
    int (*build)(weft_plan *p, const weft_shape *s);
} weft_algo;

/* The plan of one rank for one lane: checks the shape, initializes *ret, builds. On failure there
 * is nothing to free. 0; WEFT_EINVAL; WEFT_ENOMEM; WEFT_EINTERNAL a builder's mistake. */
int weft_algo_build(const weft_algo *a, const weft_shape *s, weft_plan *ret);

/* What the plans of all ranks have to reach, for weft_plan_verify(). */
weft_goal weft_shape_goal(const weft_shape *s);

/* Row of the table by position, NULL behind the last. */
const weft_algo *weft_algo_at(int index);
/* By collective and name. 0; WEFT_EINVAL that lists the names there are. */
int weft_algo_find(weft_coll coll, const char *name, const weft_algo **ret);

/* What the choice depends on: nothing else, so that every peer chooses alike. */
typedef struct weft_choice {
    weft_coll coll;
    int size;
    uint64_t count;       /* elements of the whole vector */
    size_t element_bytes; /* of the dtype */
    double encoded_bytes; /* of one element as encoded, on average (the codec's bound / count) */
    uint32_t traits;      /* of the codec */
    bool ordered;         /* the operation does not commute */
} weft_choice;

/* Resolve `name` ("auto" or NULL: the cheapest that fits under the constant cost table). 0;
 * WEFT_EINVAL no such algorithm; WEFT_ENOTSUP it does not fit, with the reason. */
int weft_algo_select(const char *name, const weft_choice *c, const weft_algo **ret);

/* Elements of a lane, at least 1, a pure function too: a multiple of `block` (0: the whole vector
 * is one lane), such that a message holds an eighth of what it would hold in a single lane, but 64
 * to 256 KiB and at most 1 MiB of elements, and that a neighbour sends at most about 4 MiB a lane,
 * all where block and number of peers allow. Lanes are even: none is a small rest. */
size_t weft_lane_length(const weft_algo *a, const weft_choice *c, size_t block);

#endif
