/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bruck's allgather: what a rank holds doubles each round. Blocks a b c d e, P = 5:
 *
 *   round   0 hears 1   1 hears 2   2 hears 3   3 hears 4   4 hears 0     holds then, rank 0
 *   1       b           c           d           e           a             a b
 *           0 hears 2   1 hears 3   2 hears 4   3 hears 0   4 hears 1
 *   2       c d         d e         e a         a b         b c           a b c d
 *           0 hears 4   1 hears 0   2 hears 1   3 hears 2   4 hears 3
 *   3       e           a           b           c           d             all (for P = 4: 2 rounds)
 *
 * ceil(lg P) rounds and messages, the blocks of a round in one message; (P-1) n w bytes, n of a
 * block. Any P. A block is encoded once and its owner keeps the decoded one, as everybody else.
 * Source: Bruck, Ho, Kipnis, Upfal & Weathersby, Efficient algorithms for all-to-all communications
 * in multiport message-passing systems, IEEE TPDS 8 (1997).
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double rounds = weft_lg_ceil(s->size);

    (void)reply;
    return (weft_cost){.rounds = rounds,
                       .messages = rounds,
                       .bytes = (s->size - 1) * (double)s->count * width,
                       .peers = rounds};
}

static int joins(const weft_shape *s)
{
    int most = 1;

    for (int d = 1; d < s->size; d *= 2)
        most = smaller(d, s->size - d) > most ? smaller(d, s->size - d) : most;
    return most;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;

    weft_plan_blocks(p, 1, size);
    weft_plan_pack(p, r, weft_whole(s, 0)); /* slot i: block i */
    weft_plan_unpack(p, r, weft_block(s, r));
    for (int d = 1; d < size; d *= 2) {
        const int blocks = smaller(d, size - d);
        weft_send_pieces(p, s, r, blocks, (r - d + size) % size);
        weft_recv_pieces(p, s, weft_block, r + d, blocks, (r + d) % size);
        weft_plan_fence(p);
        for (int i = 0; i < blocks; i++)
            weft_plan_unpack(p, (r + d + i) % size, weft_block(s, r + d + i));
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allgather_bruck = {
    .coll = WEFT_COLL_ALLGATHER,
    .name = "bruck",
    .summary = "twice as many blocks each round, from the ranks 1, 2, 4, ... further on",
    .source = "Bruck, Ho, Kipnis, Upfal & Weathersby 1997",
    .formula = "ceil(lg P) rounds, (P-1) n w bytes, n of a block",
    .joins = joins,
    .cost = cost,
    .build = build,
};
