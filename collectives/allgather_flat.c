/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everybody sends its block to everybody, to the next rank first. P = 4, blocks a b c d:
 *
 *   0 -> 1, 2, 3: a   1 -> 2, 3, 0: b   2 -> 3, 0, 1: c   3 -> 0, 1, 2: d
 *
 * 1 round, P - 1 messages, (P-1) n w bytes, n of a block. A block is encoded once and its owner
 * keeps the decoded one, as everybody else.
 * Source: the linear allgather of LAM/MPI and Open MPI (coll basic).
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
    const int size = s->size, r = s->rank;

    weft_plan_blocks(p, 1, size);
    weft_plan_pack(p, OWN, weft_whole(s, 0));
    for (int d = 1; d < size; d++)
        weft_plan_send(p, OWN, (r + d) % size);
    weft_plan_unpack(p, OWN, weft_block(s, r));
    for (int d = 1; d < size; d++) {
        const weft_span block = weft_block(s, r - d);
        weft_plan_recv(p, GOT, (int)block.block, block);
        weft_plan_fence(p);
        weft_plan_unpack(p, GOT, block);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allgather_flat = {
    .coll = WEFT_COLL_ALLGATHER,
    .name = "flat",
    .summary = "everybody sends its block to everybody",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes, n of a block",
    .cost = cost,
    .build = build,
};
