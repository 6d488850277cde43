/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive doubling: whole vectors are exchanged over distances 1, 2, 4, …  P = 4:
 *
 *   round   0         1         2         3
 *   1       <- x0 x1 ->         <- x2 x3 ->          all hold the sum of their pair
 *   2       <---- x01 x23 ---->                      0 with 2, 1 with 3: all hold the sum
 *                     <---- x01 x23 ---->
 *
 * Any P: with Q the largest power of two up to P, the ranks Q … P-1 first give their vector to rank
 * r - Q, and get the result back at the end.
 *
 * lg Q rounds, and 1 or 2 more when P is no power of two: up to 3 Q / 2 no message back waits for
 * one that has made all hops. The busiest rank sends n w bytes a hop, and once more where it serves
 * another rank: (lg Q + [P > Q]) n w.
 * Order of summation: in every merge the operand with the lower ranks stands first, on both sides:
 * same bits everywhere. With x' = x_r + x_(r+Q) where rank r + Q exists: ((x0'+x1')+(x2'+x3'))+…
 * Needs encodings that merge. Best for short vectors; a long one sends lg P times itself.
 * Source: Thakur, Rabenseifner & Gropp, Optimization of collective communication operations in
 * MPICH, IJHPCA 19 (2005).
 */
#include "collectives/partition.h"

static int power_below(int size)
{
    int q = 1;

    while (q <= size / 2)
        q *= 2;
    return q;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int q = power_below(s->size), extra = s->size > q;
    int levels = 0;

    (void)reply;
    for (int d = 1; d < q; d *= 2)
        levels++;
    /* The rank that serves another one: a merge, a message and a peer more. */
    const double each = levels + extra, bytes = each * (double)s->count * width;
    return (weft_cost){.rounds = levels + extra + (s->size - q > q / 2),
                       .messages = each,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = each};
}

static void exchange(weft_plan *p, const weft_shape *s, int q)
{
    const int r = s->rank, helped = r + q;
    const weft_span whole = weft_whole(s, 0);
    int have = 0, got = 1;

    weft_plan_pack(p, have, whole);
    if (helped < s->size) {
        weft_plan_recv(p, got, helped, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, have, got, false);
    }
    for (int d = 1; d < q; d *= 2) {
        const int peer = r ^ d;
        weft_plan_send(p, have, peer);
        weft_plan_recv(p, got, peer, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, got, have, r < peer); /* into what came: what was sent is not mine */
        const int spare = have;
        have = got;
        got = spare;
    }
    weft_plan_unpack(p, have, whole);
    if (helped < s->size)
        weft_plan_send(p, have, helped);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int q = power_below(s->size);

    if (s->rank < q) {
        exchange(p, s, q);
    } else {
        weft_plan_pack(p, 0, weft_whole(s, 0));
        weft_plan_send(p, 0, s->rank - q);
        weft_plan_recv(p, 1, s->rank - q, weft_whole(s, 0));
        weft_plan_fence(p);
        weft_plan_unpack(p, 1, weft_whole(s, 0));
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_doubling = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "doubling",
    .summary = "whole vectors are exchanged over distances 1, 2, 4, ...",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula =
        "lg Q + [P>Q] + [P>3Q/2] rounds, (lg Q + [P>Q]) n w bytes, Q the power of two up to P",
    .needs = WEFT_NEEDS_MERGE,
    .cost = cost,
    .build = build,
};
