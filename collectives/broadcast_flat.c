/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root sends to everybody. P = 4, root 1:
 *
 *   1 -> 2   1 -> 3   1 -> 0
 *
 * 1 round, (P-1) n w bytes at the root. The root decodes its own: same bits everywhere.
 * Source: the linear broadcast of LAM/MPI and Open MPI (coll basic).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = others * (double)s->count * width,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);

    if (s->rank == s->root) {
        weft_plan_pack(p, 0, whole);
        for (int d = 1; d < s->size; d++)
            weft_plan_send(p, 0, (s->root + d) % s->size);
    } else {
        weft_plan_recv(p, 0, s->root, whole);
        weft_plan_fence(p);
    }
    weft_plan_unpack(p, 0, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_broadcast_flat = {
    .coll = WEFT_COLL_BROADCAST,
    .name = "flat",
    .summary = "the root sends to everybody",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes at the root",
    .cost = cost,
    .build = build,
};
