/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain from the root through all ranks. P = 4, root 1:
 *
 *   1 -> 2,   then   2 -> 3,   then   3 -> 0
 *
 * P - 1 rounds, n w bytes: a long vector goes as many lanes, and every link is busy. Bytes travel
 * on unchanged and the root decodes its own: same bits everywhere.
 * Source: Worringen, Pipelining and overlapping for MPI collective operations, LCN 2003.
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int others = s->size > 1;

    (void)reply;
    return (weft_cost){.rounds = s->size - 1,
                       .messages = others,
                       .bytes = others ? (double)s->count * width : 0,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, next = (r + 1) % size;
    const weft_span whole = weft_whole(s, 0);

    if (r == s->root) {
        weft_plan_pack(p, 0, whole);
    } else {
        weft_plan_recv(p, 0, (r + size - 1) % size, whole);
        weft_plan_fence(p);
    }
    if (next != s->root)
        weft_plan_send(p, 0, next);
    weft_plan_unpack(p, 0, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_broadcast_chain = {
    .coll = WEFT_COLL_BROADCAST,
    .name = "chain",
    .summary = "from rank to rank, lane behind lane",
    .source = "Worringen 2003",
    .formula = "P-1 rounds, n w bytes",
    .traits = WEFT_ALGO_RING,
    .cost = cost,
    .build = build,
};
