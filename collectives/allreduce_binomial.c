/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binomial tree to rank 0 and back. P = 4:
 *
 *   round   0          1          2          3
 *   1       x0 <------ x1         x2 <------ x3         0 and 2 hold the sum of their pair
 *   2       x01 <---------------- x23                   0 holds the sum
 *   3       s ------------------> s
 *   4       s -------> s          s -------> s
 *
 * Rank r's children are r + 1, r + 2, r + 4, … below its own lowest set bit; its parent lacks that
 * bit. No path is longer than floor(lg P), the most bits a rank has. Rank 0 sends and merges
 * ceil(lg P) whole vectors: for short ones, and as a measure for others.
 * Order of summation: r, then its children upwards, each the sum of the ranks behind it: rank
 * order. Made once, at rank 0, and copied as bytes: same bits everywhere.
 * Needs encodings that merge.
 * Source: Thakur, Rabenseifner & Gropp, Optimization of collective communication operations in
 * MPICH, IJHPCA 19 (2005): reduce, then broadcast.
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    int deep = 0, wide = 0;

    (void)reply;
    while (s->size >> (deep + 1))
        deep++;
    while (1L << wide < s->size)
        wide++;
    const double bytes = wide * (double)s->count * width;
    return (weft_cost){.rounds = 2 * deep,
                       .messages = wide,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = wide};
}

/* Children are at distances 1, 2, 4, … below this one, which is that of the parent. */
static int reach(const weft_shape *s)
{
    int d = 1;

    while (d < s->size && (s->rank & d) == 0)
        d *= 2;
    return d;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    const int r = s->rank, size = s->size, end = reach(s);
    int sum = 0;
    const int got = 1;

    weft_plan_pack(p, sum, whole);
    for (int d = 1; d < end && r + d < size; d *= 2) {
        weft_plan_recv(p, got, r + d, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, sum, got, false);
    }
    if (r > 0) {
        weft_plan_send(p, sum, r - end);
        weft_plan_recv(p, got, r - end, whole);
        weft_plan_fence(p);
        sum = got;
    }
    for (int d = end / 2; d > 0; d /= 2) /* who has the most to pass on first */
        if (r + d < size)
            weft_plan_send(p, sum, r + d);
    weft_plan_unpack(p, sum, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_binomial = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "binomial",
    .summary = "a binomial tree to rank 0 and back",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "2 floor(lg P) rounds, ceil(lg P) n w bytes at rank 0",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
