/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every rank sends each other one its block, to the next rank first. P = 4, block rs of rank r to
 * s:
 *
 *   0 -> 1, 2, 3: 01 02 03   1 -> 2, 3, 0: 12 13 10   2 -> 3, 0, 1: 23 20 21   3 -> …: 30 31 32
 *
 * 1 round, P - 1 messages, (P-1) n w bytes, n of a block. All is packed before anything is
 * unpacked: it goes in place, and holds all blocks twice.
 *
 * Ragged: only the two of a pair know how much goes between them. So that nobody is through before
 * everybody has what it expects, all meet at the end: ceil(lg P) rounds and messages of nothing.
 * Source: the linear exchange of LAM/MPI and Open MPI (coll basic).
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

enum { OWN, OUT, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, meeting = s->ragged ? weft_lg_ceil(s->size) : 0;

    (void)reply;
    return (weft_cost){.rounds = (s->size > 1) + meeting,
                       .messages = others + meeting,
                       .bytes = others * (double)s->count * width,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;

    weft_plan_blocks(p, size, size);
    for (int d = 1; d < size; d++) {
        weft_plan_pack(p, OUT, weft_block(s, r + d));
        weft_plan_send(p, OUT, (r + d) % size);
    }
    weft_plan_pack(p, OWN, weft_block(s, r));
    weft_plan_unpack(p, OWN, weft_block(s, r));
    for (int d = 1; d < size; d++) {
        const int from = (r - d + size) % size;
        weft_plan_recv(p, GOT, from, weft_between(s, from, r));
        weft_plan_fence(p);
        weft_plan_unpack(p, GOT, weft_block(s, from));
    }
    if (s->ragged)
        weft_meet(p, OUT);
    return weft_plan_check(p);
}

const weft_algo weft_algo_alltoall_flat = {
    .coll = WEFT_COLL_ALLTOALL,
    .name = "flat",
    .summary = "every rank sends each other one its block",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes, n of a block",
    .cost = cost,
    .build = build,
};
