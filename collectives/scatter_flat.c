/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root sends everybody its block. P = 4, root 1, blocks a b c d:
 *
 *   1 -> 2: c   1 -> 3: d   1 -> 0: a
 *
 * 1 round, P - 1 messages and (P-1) n w bytes at the root, n of a block. Nothing is relayed.
 * Source: the linear scatter of LAM/MPI and Open MPI (coll basic).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = others * (double)s->count * width,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int r = s->rank;

    weft_plan_blocks(p, s->size, 1);
    if (r == s->root) {
        for (int d = 1; d < s->size; d++) {
            const weft_span block = weft_block(s, r + d);
            weft_plan_pack(p, 0, block);
            weft_plan_send(p, 0, (int)block.block);
        }
        weft_plan_pack(p, 0, weft_block(s, r));
    } else {
        weft_plan_recv(p, 0, s->root, weft_block(s, r));
        weft_plan_fence(p);
    }
    weft_plan_unpack(p, 0, weft_whole(s, 0));
    return weft_plan_check(p);
}

const weft_algo weft_algo_scatter_flat = {
    .coll = WEFT_COLL_SCATTER,
    .name = "flat",
    .summary = "the root sends everybody its block",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes at the root, n of a block",
    .cost = cost,
    .build = build,
};
