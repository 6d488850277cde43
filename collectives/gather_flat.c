/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everybody sends its block to the root. P = 4, root 1, blocks a b c d:
 *
 *   2 -> 1: c   3 -> 1: d   0 -> 1: a
 *
 * 1 round, P - 1 messages and (P-1) n w bytes to the root, n of a block. Nothing is relayed.
 * Source: the linear gather of LAM/MPI and Open MPI (coll basic).
 */
#include "collectives/partition.h"

enum { OWN, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = others * (double)s->count * width,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int r = s->rank;

    weft_plan_blocks(p, 1, s->size);
    weft_plan_pack(p, OWN, weft_whole(s, 0));
    if (r != s->root) {
        weft_plan_send(p, OWN, s->root);
        return weft_plan_check(p);
    }
    weft_plan_unpack(p, OWN, weft_block(s, r));
    for (int d = 1; d < s->size; d++) {
        const weft_span block = weft_block(s, r + d);
        weft_plan_recv(p, GOT, (int)block.block, block);
        weft_plan_fence(p);
        weft_plan_unpack(p, GOT, block);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_gather_flat = {
    .coll = WEFT_COLL_GATHER,
    .name = "flat",
    .summary = "everybody sends its block to the root",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes at the root, n of a block",
    .cost = cost,
    .build = build,
};
