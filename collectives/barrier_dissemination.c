/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dissemination barrier: in round k every rank tells r + 2^k and hears r - 2^k. P = 4:
 *
 *   round 1   0 -> 1   1 -> 2   2 -> 3   3 -> 0
 *   round 2   0 -> 2   1 -> 3   2 -> 0   3 -> 1
 *
 * After round k a rank has heard, directly or not, from 2^k - 1 ranks before it; ceil(lg P) rounds
 * and empty messages. Any P.
 * Source: Hensgen, Finkel & Manber, Two algorithms for barrier synchronization, IJPP 17 (1988).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    int rounds = 0;

    (void)width;
    (void)reply;
    for (int d = 1; d < s->size; d *= 2)
        rounds++;
    return (weft_cost){.rounds = rounds, .messages = rounds, .peers = rounds};
}

static int build(weft_plan *p, const weft_shape *s)
{
    (void)s;
    weft_meet(p, 0);
    return weft_plan_check(p);
}

const weft_algo weft_algo_barrier_dissemination = {
    .coll = WEFT_COLL_BARRIER,
    .name = "dissemination",
    .summary = "everybody tells the rank 1, 2, 4, ... further on",
    .source = "Hensgen, Finkel & Manber 1988",
    .formula = "ceil(lg P) rounds, no bytes",
    .cost = cost,
    .build = build,
};
