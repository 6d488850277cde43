/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs exchange, as a tournament is played: each rank meets each other one once, and what a pair
 * exchanges lies at the same place in both directions, so that it goes in place. P = 4:
 *
 *   round 0   1 with 2   0 with 3
 *   round 1   0 with 1   2 with 3
 *   round 2   0 with 2   1 with 3
 *
 * Among the first m ranks (m = P - 1 for an even P, else P) r meets i - r modulo m in round i; who
 * would meet itself meets the last rank, or rests for an odd P. P - 1 rounds, P for an odd P;
 * (P-1) n w bytes, n of a block; nobody is sent to by two at a time.
 *
 * Ragged: only the two of a pair know how much goes between them. So that nobody is through before
 * everybody has what it expects, all meet at the end: ceil(lg P) rounds and messages of nothing.
 * Source: the tournament's table: Kirkman, 1847 (the circle method); for all-to-all Bokhari,
 * Multiphase complete exchange on Paragon, SP2 and CS-2, IEEE Parallel & Distributed Technology 4
 * (1996).
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

enum { OUT, GOT };

static int rounds_of(int size)
{
    return size < 3 ? size - 1 : size - 1 + size % 2;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, meeting = s->ragged ? weft_lg_ceil(s->size) : 0;

    (void)reply;
    return (weft_cost){.rounds = rounds_of(s->size) + meeting,
                       .messages = others + meeting,
                       .bytes = others * (double)s->count * width,
                       .peers = others};
}

/* Whom the rank meets in a round; itself: it rests. */
static int opponent(int size, int rank, int round)
{
    const int m = size % 2 == 0 ? size - 1 : size;
    const int half = (m + 1) / 2; /* of 1, modulo m */

    if (rank == m)
        return (int)((int64_t)round * half % m);
    const int other = (round - rank + m) % m;
    return other == rank && m < size ? m : other;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, m = size % 2 == 0 ? size - 1 : size;

    weft_plan_blocks(p, size, size);
    weft_plan_pack(p, OUT, weft_block(s, r));
    weft_plan_unpack(p, OUT, weft_block(s, r));
    for (int i = 0; i < m && size > 1; i++) {
        const int peer = opponent(size, r, i);
        if (peer == r)
            continue;
        weft_plan_pack(p, OUT, weft_block(s, peer));
        weft_plan_send(p, OUT, peer);
        weft_plan_recv(p, GOT, peer, weft_between(s, peer, r));
        weft_plan_fence(p);
        weft_plan_unpack(p, GOT, weft_block(s, peer));
    }
    if (s->ragged)
        weft_meet(p, OUT);
    return weft_plan_check(p);
}

const weft_algo weft_algo_alltoall_pairwise = {
    .coll = WEFT_COLL_ALLTOALL,
    .name = "pairwise",
    .summary = "every rank meets each other one once and they exchange their blocks",
    .source = "Kirkman 1847; Bokhari 1996",
    .formula = "P-1 rounds, P for an odd P, (P-1) n w bytes, n of a block",
    .cost = cost,
    .build = build,
};
