/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring allgather: every block travels around the ring. P = 4:
 *
 *   hop   0 -> 1   1 -> 2   2 -> 3   3 -> 0
 *   1     b0       b1       b2       b3
 *   2     b3       b0       b1       b2
 *   3     b2       b3       b0       b1
 *
 * P - 1 rounds, (P-1) n w bytes, n of a block. Nothing is summed; a block is encoded once and its
 * owner keeps the decoded one, as everybody else: same bits everywhere.
 * Source: Chan, Heimlich, Purkayastha & van de Geijn, CCPE 19 (2007).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double hops = s->size - 1;

    (void)reply;
    return (weft_cost){.rounds = hops,
                       .messages = hops,
                       .bytes = hops * (double)s->count * width,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, next = (r + 1) % size, prev = (r + size - 1) % size;
    int have = 0, got = 1;

    weft_plan_blocks(p, 1, size);
    weft_plan_pack(p, have, weft_whole(s, 0));
    weft_plan_unpack(p, have, weft_whole(s, (uint32_t)r));
    for (int t = 0; t < size - 1; t++) {
        const weft_span block = weft_whole(s, (uint32_t)((r - t - 1 + size) % size));
        weft_plan_send(p, have, next);
        weft_plan_recv(p, got, prev, block);
        weft_plan_fence(p);
        weft_plan_unpack(p, got, block);
        const int spare = have;
        have = got;
        got = spare;
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allgather_ring = {
    .coll = WEFT_COLL_ALLGATHER,
    .name = "ring",
    .summary = "blocks travel around a ring",
    .source = "Chan, Heimlich, Purkayastha & van de Geijn 2007",
    .formula = "P-1 rounds, (P-1) n w bytes, n of a block",
    .traits = WEFT_ALGO_RING,
    .cost = cost,
    .build = build,
};
