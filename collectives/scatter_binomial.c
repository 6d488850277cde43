/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binomial tree over runs of neighbouring ranks (run_tree.h). Blocks a b c d, P = 4:
 *
 *   root 0:   0 -> 2: c d,   then   0 -> 1: b   2 -> 3: d
 *   root 2:   2 -> 0: a b,   then   2 -> 3: d   0 -> 1: b
 *
 * floor(lg P) rounds; the blocks of a subtree are one message: the root sends ceil(lg P) of them,
 * (P-1) n w bytes, n of a block. Bytes travel on unchanged.
 * Source: Barnett, Gupta, Payne, Shuler, van de Geijn & Watts, Interprocessor collective
 * communication library (InterCom), SHPCC 1994, with halves around the root.
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    (void)reply;
    return (weft_cost){.rounds = weft_lg_floor(s->size),
                       .messages = weft_lg_ceil(s->size),
                       .bytes = (s->size - 1) * (double)s->count * width,
                       .peers = s->size > 1};
}

static int joins(const weft_shape *s)
{
    return s->size > 1 ? s->size / 2 : 1;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_run_tree h = weft_run_tree_of(s->size, s->root, s->rank);
    const int r = s->rank;

    weft_plan_blocks(p, s->size, 1);
    if (h.parent >= 0) {
        weft_recv_pieces(p, s, weft_block, h.own.from, h.own.behind - h.own.from, h.parent);
        weft_plan_fence(p);
    }
    for (int i = 0; i < h.count; i++) { /* the longest run first: it has the longest way */
        const weft_run *run = &h.branch[i];
        for (int b = run->from; b < run->behind && h.parent < 0; b++)
            weft_plan_pack(p, b, weft_block(s, b)); /* slot i: block i */
        weft_send_pieces(p, s, run->from, run->behind - run->from, run->holder);
    }
    if (h.parent < 0)
        weft_plan_pack(p, r, weft_block(s, r));
    weft_plan_unpack(p, r, weft_whole(s, 0));
    return weft_plan_check(p);
}

const weft_algo weft_algo_scatter_binomial = {
    .coll = WEFT_COLL_SCATTER,
    .name = "binomial",
    .summary = "a tree over halves of the ranks, the blocks of a subtree in one message",
    .source = "Barnett, Gupta, Payne, Shuler, van de Geijn & Watts 1994",
    .formula = "floor(lg P) rounds, (P-1) n w bytes at the root, n of a block",
    .traits = WEFT_ALGO_TREE,
    .joins = joins,
    .cost = cost,
    .build = build,
};
