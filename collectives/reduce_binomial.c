/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binomial tree over runs of neighbouring ranks (run_tree.h). P = 4:
 *
 *   root 0:   1 -> 0   3 -> 2,   then   2 -> 0
 *   root 2:   3 -> 2   1 -> 0,   then   0 -> 2
 *
 * floor(lg P) rounds; every rank but the root sends n w bytes once, the root receives and merges
 * ceil(lg P) times as many. Order of summation: in every merge the run of the lower ranks stands
 * first; P = 4: (x0+x1)+(x2+x3), whatever the root. Needs encodings that merge. Source: Thakur,
 * Rabenseifner & Gropp, Optimization of collective communication operations in MPICH, IJHPCA 19
 * (2005), section 4.4, with runs of ranks instead of a rotated tree.
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double bytes = (double)s->count * width, children = weft_lg_ceil(s->size);

    (void)reply;
    return (weft_cost){.rounds = weft_lg_floor(s->size),
                       .messages = children,
                       .bytes = children * bytes,
                       .reduced_bytes = children * bytes,
                       .peers = children};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_run_tree h = weft_run_tree_of(s->size, s->root, s->rank);
    const weft_span whole = weft_whole(s, 0);

    weft_plan_pack(p, 0, whole);
    for (int i = h.count - 1; i >= 0; i--) { /* the shortest run first: it is ready first */
        weft_plan_recv(p, 1, h.branch[i].holder, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, 0, 1, h.branch[i].from < s->rank);
    }
    if (h.parent < 0)
        weft_plan_unpack(p, 0, whole);
    else
        weft_plan_send(p, 0, h.parent);
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_binomial = {
    .coll = WEFT_COLL_REDUCE,
    .name = "binomial",
    .summary = "a tree over halves of the ranks, summed in rank order",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "floor(lg P) rounds, ceil(lg P) n w bytes at the root",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_TREE | WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
