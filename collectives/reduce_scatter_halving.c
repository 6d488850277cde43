/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive halving on a circulant graph (circulant.h). Blocks a b c d, P = 4, a1 = rank 1's part
 * of block a:
 *
 *   distance 2   0 -> 2: c0 d0   1 -> 3: d1 a1   2 -> 0: a2 b2   3 -> 1: b3 c3   folded in there
 *   distance 1   0 -> 1: b02     1 -> 2: c13     2 -> 3: d20     3 -> 0: a31     merged there
 *
 * ceil(lg P) rounds and messages, the blocks of a round in one message; (P-1) n w bytes, n of a
 * block. Any P. Order of summation: another for each block. Needs encodings that merge.
 * Source: Träff, Optimal, non-pipelined reduce-scatter and allreduce algorithms, arXiv:2410.14234
 * (2024).
 */
#include "collectives/circulant.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double rounds = weft_lg_ceil(s->size);
    const double bytes = (s->size - 1) * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = rounds,
                       .messages = rounds,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = rounds};
}

static int joins(const weft_shape *s)
{
    return s->size > 1 ? s->size / 2 : 1;
}

static int build(weft_plan *p, const weft_shape *s)
{
    weft_plan_blocks(p, s->size, 1);
    weft_plan_unpack(p, weft_circulant_reduce(p, s, weft_block), weft_whole(s, 0));
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_scatter_halving = {
    .coll = WEFT_COLL_REDUCE_SCATTER,
    .name = "halving",
    .summary = "halves of the blocks over halving distances, summed on the way",
    .source = "Träff 2024",
    .formula = "ceil(lg P) rounds, (P-1) n w bytes, n of a block",
    .needs = WEFT_NEEDS_MERGE,
    .joins = joins,
    .cost = cost,
    .build = build,
};
