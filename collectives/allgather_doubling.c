/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive doubling: pairs exchange all they hold. Blocks a b c d, P = 4:
 *
 *   round   0         1         2         3
 *   1       <- a  b ->          <- c  d ->          0 and 1 hold a b, 2 and 3 hold c d
 *   2       <---- ab    cd ---->                    0 with 2, 1 with 3: all hold all
 *                     <---- ab    cd ---->
 *
 * lg P rounds and messages, the blocks of a round in one message; (P-1) n w bytes, n of a block. P
 * must be a power of two. A block is encoded once and its owner keeps the decoded one, as everybody
 * else. As Bruck's, but each link is used both ways at a time and by fewer pairs.
 * Source: Thakur, Rabenseifner & Gropp, IJHPCA 19 (2005), section 4.1.
 */
#include <stdio.h>

#include "collectives/partition.h"
#include "collectives/run_tree.h"

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    const bool other = (s->size & (s->size - 1)) != 0;

    if (other)
        snprintf(why, cap, "needs a number of ranks that is a power of two, not %d", s->size);
    return other;
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
    return s->size > 1 ? s->size / 2 : 1;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int r = s->rank;

    weft_plan_blocks(p, 1, s->size);
    weft_plan_pack(p, r, weft_whole(s, 0)); /* slot i: block i */
    weft_plan_unpack(p, r, weft_block(s, r));
    for (int d = 1; d < s->size; d *= 2) {
        const int peer = r ^ d, mine = r & ~(d - 1), theirs = peer & ~(d - 1);
        weft_send_pieces(p, s, mine, d, peer);
        weft_recv_pieces(p, s, weft_block, theirs, d, peer);
        weft_plan_fence(p);
        for (int i = theirs; i < theirs + d; i++)
            weft_plan_unpack(p, i, weft_block(s, i));
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allgather_doubling = {
    .coll = WEFT_COLL_ALLGATHER,
    .name = "doubling",
    .summary = "all that a rank holds is exchanged over distances 1, 2, 4, ...",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "lg P rounds, (P-1) n w bytes, n of a block; P a power of two",
    .refuses = refuses,
    .joins = joins,
    .cost = cost,
    .build = build,
};
