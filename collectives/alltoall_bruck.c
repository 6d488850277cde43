/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bruck's exchange: a block that has j ranks to go is sent 1, 2, 4, … ranks on, where the bits of j
 * say so. P = 4, block rs of rank r to s, rank 0's part:
 *
 *   round 1   0 -> 1: 01 03    (j = 1, 3)     3 -> 0: 30 32
 *   round 2   0 -> 2: 02 32    (j = 2, 3)     2 -> 0: 20 10      now 0 holds 00 10 20 30
 *
 * ceil(lg P) rounds and messages, the blocks of a round in one message; a block is sent as often as
 * j has bits: about lg P / 2 times P n w bytes, n of a block. Any P. For short blocks, of which
 * all are packed before anything is unpacked: it goes in place.
 * Source: Bruck, Ho, Kipnis, Upfal & Weathersby, IEEE TPDS 8 (1997).
 */
#include <stdio.h>

#include "collectives/partition.h"
#include "collectives/run_tree.h"

/* Blocks of a round. */
static int with_bit(int size, int d)
{
    int count = 0;

    for (int j = d; j < size; j++)
        count += (j & d) != 0;
    return count;
}

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    if (s->ragged)
        snprintf(why, cap, "sends blocks on whose lengths only sender and receiver know");
    return s->ragged;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double rounds = weft_lg_ceil(s->size);
    double blocks = 0;

    (void)reply;
    for (int d = 1; d < s->size; d *= 2)
        blocks += with_bit(s->size, d);
    return (weft_cost){.rounds = rounds,
                       .messages = rounds,
                       .bytes = blocks * (double)s->count * width,
                       .peers = rounds};
}

static int joins(const weft_shape *s)
{
    int most = 1;

    for (int d = 1; d < s->size; d *= 2)
        most = with_bit(s->size, d) > most ? with_bit(s->size, d) : most;
    return most;
}

/* Slot j: the block that had j ranks to go at first; it came from here before the round of d, by
 * the bits of j below d. */
static weft_span travelling(const weft_shape *s, int j, int d)
{
    const int from = (s->rank - (j & (d - 1)) + s->size) % s->size;

    return weft_between(s, from, (from + j) % s->size);
}

static void exchange(weft_plan *p, const weft_shape *s, int d)
{
    const int size = s->size, r = s->rank, blocks = with_bit(size, d);

    for (int j = d, left = blocks; j < size; j++) {
        if (!(j & d))
            continue;
        weft_plan_send(p, j, (r + d) % size);
        if (--left > 0)
            weft_plan_joined(p);
    }
    for (int j = d, left = blocks; j < size; j++) {
        if (!(j & d))
            continue;
        weft_plan_recv(p, j, (r - d + size) % size, travelling(s, j, 2 * d));
        if (--left > 0)
            weft_plan_joined(p);
    }
    weft_plan_fence(p);
    for (int j = d; j < 2 * d && j < size; j++)
        weft_plan_unpack(p, j, weft_block(s, r - j)); /* they have arrived */
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;

    weft_plan_blocks(p, size, size);
    for (int j = 0; j < size; j++)
        weft_plan_pack(p, j, weft_block(s, r + j));
    weft_plan_unpack(p, 0, weft_block(s, r));
    for (int d = 1; d < size; d *= 2)
        exchange(p, s, d);
    return weft_plan_check(p);
}

const weft_algo weft_algo_alltoall_bruck = {
    .coll = WEFT_COLL_ALLTOALL,
    .name = "bruck",
    .summary = "blocks go 1, 2, 4, ... ranks on, as the bits of their way say",
    .source = "Bruck, Ho, Kipnis, Upfal & Weathersby 1997",
    .formula = "ceil(lg P) rounds, about (lg P)/2 P n w bytes, n of a block",
    .refuses = refuses,
    .joins = joins,
    .cost = cost,
    .build = build,
};
