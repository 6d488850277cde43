/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Halving and doubling: neighbours over distances 1, 2, 4, … exchange halves of what they still
 * have to sum, then give the sums back over the same distances in reverse. P = 4, pieces a b c d:
 *
 *   round   0             1             2             3
 *   1       <- ab | cd ->               <- ab | cd ->              0 with 1, 2 with 3
 *           a01 b01       c01 d01       a23 b23       c23 d23
 *   2       <--------- a | b --------->                            0 with 2
 *                         <--------- c | d --------->              1 with 3
 *           a             c             b             d            summed
 *   3       ab            cd            ab            cd           0 with 2, 1 with 3
 *   4       abcd          abcd          abcd          abcd         0 with 1, 2 with 3
 *
 * Q the greatest power of two up to P. 2 lg Q rounds; 2(Q-1)/Q n w bytes, the least there is, where
 * P = Q. Else 2 rounds more: the first 2 (P - Q) ranks pair up (2i with 2i+1) and exchange halves
 * of the lane before and after; in between the two of a pair play one rank, each for its half. So
 * nobody sends more than (2Q-1)/Q n w bytes, n w/Q more than where P = Q. (Were one of each pair to
 * stand by in between, the other would have to send it the whole result: n w more.)
 * Order of summation: ranks in order, ((x0+x1)+(x2+x3))+…, pairs first; each piece summed by one
 * rank and spread as bytes: same bits everywhere.
 * Needs encodings that merge. Pieces of half a lane travel in one message.
 * Source: Rabenseifner, Optimization of collective reduction operations, ICCS 2004; with the
 * distances of the first phase upwards, which keeps ranks in order, and the pairs our own.
 */
#include "collectives/party.h"

enum { MESSAGES = 2 }; /* that hold the lane: the first exchange is of halves */

static weft_party party(const weft_shape *s)
{
    const int pieces = weft_butterfly_pieces(s->size);

    return (weft_party){.cuts = weft_cuts_of(s, weft_whole(s, 0), pieces),
                        .stride = 1,
                        .members = s->size,
                        .me = s->rank,
                        .spare = pieces};
}

static int parts(const weft_shape *s)
{
    return s->size > 1 ? MESSAGES : 1;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    weft_cost most = {.rounds = weft_butterfly_rounds(s->size)};
    weft_party a = party(s);
    /* Pieces do not grow from the first to the last, so the first rank has the most bytes. The
     * first single one has the most messages: two a round wherever it meets a pair. */
    const int busiest[] = {0, 2 * (s->size - weft_butterfly_power(s->size))};

    (void)reply;
    for (int i = 0; i < 2; i++) {
        weft_cost one = {0};
        a.me = busiest[i];
        weft_party_butterfly_cost(&a, width, &one);
        weft_cost_most(&most, &one);
    }
    return most;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_party a = party(s);

    weft_party_butterfly(p, &a);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_halving = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "halving",
    .summary = "halves of halves are exchanged and summed, then given back (Rabenseifner)",
    .source = "Rabenseifner 2004",
    .formula = "2 lg Q + 2[P>Q] rounds, 2(Q-1)/Q n w bytes, n w/Q more if P>Q, Q the power of two "
               "up to P",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_ORDERED,
    .parts = parts,
    .cost = cost,
    .build = build,
};
