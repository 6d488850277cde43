/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every rank sends each other one its part of that one's block; the owner adds in rank order.
 * Blocks a b c d, P = 4, a1 = rank 1's part of block a:
 *
 *   to 0: a1 a2 a3   to 1: b0 b2 b3   to 2: c0 c1 c3   to 3: d0 d1 d2
 *
 * 1 round, P - 1 messages, (P-1) n w bytes, n of a block. Every contribution is encoded once: exact
 * for any codec. Order of summation: decoded values in rank order, from rank 0's.
 * Source: the first half of allreduce's scatter: Seide, Fu, Droppo, Li & Yu, Interspeech 2014.
 */
#include "collectives/partition.h"

enum { OWN, OUT, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, bytes = others * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;
    const weft_span mine = weft_block(s, r), out = weft_whole(s, 0);

    weft_plan_blocks(p, size, 1);
    for (int d = 1; d < size; d++) {
        weft_plan_pack(p, OUT, weft_block(s, r + d));
        weft_plan_send(p, OUT, (r + d) % size);
    }
    weft_plan_pack(p, OWN, mine);
    for (int i = 0; i < size; i++) {
        if (i != r) {
            weft_plan_recv(p, GOT, i, mine);
            weft_plan_fence(p);
        }
        if (i == 0)
            weft_plan_unpack(p, i == r ? OWN : GOT, out);
        else
            weft_plan_add(p, i == r ? OWN : GOT, out);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_scatter_flat = {
    .coll = WEFT_COLL_REDUCE_SCATTER,
    .name = "flat",
    .summary = "every rank sends each other one its part of that one's block; added in rank order",
    .source = "Seide, Fu, Droppo, Li & Yu 2014",
    .formula = "1 round, (P-1) n w bytes, n of a block",
    .traits = WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
