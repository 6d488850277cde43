/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binomial tree over runs of neighbouring ranks (run_tree.h). Blocks a b c d, P = 4:
 *
 *   root 0:   1 -> 0: b   3 -> 2: d,   then   2 -> 0: c d
 *   root 2:   3 -> 2: d   1 -> 0: b,   then   0 -> 2: a b
 *
 * floor(lg P) rounds; the blocks of a subtree are one message: the root receives ceil(lg P) of
 * them, (P-1) n w bytes, n of a block. Bytes travel on unchanged.
 * Source: Thakur, Rabenseifner & Gropp, IJHPCA 19 (2005), with runs of ranks instead of a rotated
 * tree.
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    (void)reply;
    return (weft_cost){.rounds = weft_lg_floor(s->size),
                       .messages = weft_lg_ceil(s->size),
                       .bytes = (s->size - 1) * (double)s->count * width,
                       .peers = weft_lg_ceil(s->size)};
}

static int joins(const weft_shape *s)
{
    return s->size > 1 ? s->size / 2 : 1;
}

static void receive(weft_plan *p, const weft_shape *s, const weft_run *run)
{
    weft_recv_pieces(p, s, weft_block, run->from, run->behind - run->from, run->holder);
}

static void collect(weft_plan *p, const weft_shape *s, const weft_run_tree *h)
{
    weft_plan_unpack(p, s->rank, weft_block(s, s->rank));
    for (int i = h->count - 1; i >= 0; i--) { /* the shortest run first: it is ready first */
        const weft_run *run = &h->branch[i];
        receive(p, s, run);
        weft_plan_fence(p);
        for (int b = run->from; b < run->behind; b++)
            weft_plan_unpack(p, b, weft_block(s, b));
    }
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_run_tree h = weft_run_tree_of(s->size, s->root, s->rank);

    weft_plan_blocks(p, 1, s->size);
    weft_plan_pack(p, s->rank, weft_whole(s, 0)); /* slot i: block i */
    if (h.parent < 0) {
        collect(p, s, &h);
    } else {
        for (int i = h.count - 1; i >= 0; i--)
            receive(p, s, &h.branch[i]);
        if (h.count > 0)
            weft_plan_fence(p);
        weft_send_pieces(p, s, h.own.from, h.own.behind - h.own.from, h.parent);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_gather_binomial = {
    .coll = WEFT_COLL_GATHER,
    .name = "binomial",
    .summary = "a tree over halves of the ranks, the blocks of a subtree in one message",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "floor(lg P) rounds, (P-1) n w bytes at the root, n of a block",
    .traits = WEFT_ALGO_TREE,
    .joins = joins,
    .cost = cost,
    .build = build,
};
