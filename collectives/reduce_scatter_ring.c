/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring reduce-scatter: block b starts at rank b+1, is summed on the way and ends at rank b. P = 4,
 * blocks a b c d, a1 = rank 1's part of block a:
 *
 *   hop   0 -> 1      1 -> 2      2 -> 3      3 -> 0
 *   1     d0          a1          b2          c3
 *   2     c3+c0       d0+d1       a1+a2       b2+b3
 *   3     b2+b3+b0    c3+c0+c1    d0+d1+d2    a1+a2+a3    the receiver folds its own part in: done
 *
 * P - 1 rounds, (P-1) n w bytes, n of a block. Order of summation: block b adds ranks b+1, b+2,
 * up to b, each new operand on the right.
 * Needs encodings that fold.
 * Source: Patarasuk & Yuan, JPDC 69 (2009), first phase.
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double hops = s->size - 1, bytes = hops * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = hops,
                       .messages = hops,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, next = (r + 1) % size, prev = (r + size - 1) % size;
    int have = 0, got = 1;

    weft_plan_blocks(p, size, 1);
    weft_plan_pack(p, have, weft_whole(s, (uint32_t)prev));
    for (int t = 0; t < size - 1; t++) {
        const weft_span block = weft_whole(s, (uint32_t)((r - t - 2 + 2 * size) % size));
        weft_plan_send(p, have, next);
        weft_plan_recv(p, got, prev, block);
        weft_plan_fence(p);
        weft_plan_fold(p, got, block);
        const int spare = have;
        have = got;
        got = spare;
    }
    weft_plan_unpack(p, have, weft_whole(s, 0));
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_scatter_ring = {
    .coll = WEFT_COLL_REDUCE_SCATTER,
    .name = "ring",
    .summary = "blocks travel around a ring, summed on the way, and end at their rank",
    .source = "Patarasuk & Yuan 2009",
    .formula = "P-1 rounds, (P-1) n w bytes, n of a block",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_RING,
    .cost = cost,
    .build = build,
};
