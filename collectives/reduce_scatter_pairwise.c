/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairwise exchange: every rank gives each other one its part of that one's block, one at a time.
 * Blocks a b c d, P = 4, a1 = rank 1's part of block a:
 *
 *   round   to 0   to 1   to 2   to 3
 *   1       a3     b0     c1     d2
 *   2       a2     b3     c0     d1
 *   3       a1     b2     c3     d0       the owner adds what came before it awaits the next
 *
 * P - 1 rounds, (P-1) n w bytes, n of a block; nobody is sent to by two at a time. Every
 * contribution is encoded once: exact for any codec. Order of summation: block r adds the decoded
 * values of ranks r, r-1, …, r+1.
 * Source: Thakur, Rabenseifner & Gropp, IJHPCA 19 (2005), section 4.3.
 */
#include "collectives/partition.h"

enum { OUT, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, bytes = others * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = others,
                       .messages = others,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;

    weft_plan_blocks(p, size, 1);
    weft_plan_pack(p, OUT, weft_block(s, r));
    weft_plan_unpack(p, OUT, weft_whole(s, 0));
    for (int d = 1; d < size; d++) {
        weft_plan_pack(p, OUT, weft_block(s, r + d));
        weft_plan_send(p, OUT, (r + d) % size);
        weft_plan_recv(p, GOT, (r - d + size) % size, weft_block(s, r));
        weft_plan_fence(p);
        weft_plan_add(p, GOT, weft_whole(s, 0));
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_scatter_pairwise = {
    .coll = WEFT_COLL_REDUCE_SCATTER,
    .name = "pairwise",
    .summary = "every rank gives each other one its part of that one's block, one at a time",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "P-1 rounds, (P-1) n w bytes, n of a block",
    .cost = cost,
    .build = build,
};
