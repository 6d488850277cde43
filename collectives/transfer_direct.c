/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root sends to the other one of two ranks: what send and receive are made of. P = 2, root 0:
 *
 *   0 -> 1
 *
 * 1 round, n w bytes. Long vectors: lane behind lane. Source: none, the plain way.
 */
#include "collectives/partition.h"

#include <stdio.h>

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    if (s->size == 2)
        return false;
    snprintf(why, cap, "needs 2 ranks, not %d", s->size);
    return true;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    (void)reply;
    return (weft_cost){.rounds = 1, .messages = 1, .bytes = (double)s->count * width, .peers = 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);

    if (s->rank == s->root) {
        weft_plan_pack(p, 0, whole);
        weft_plan_send(p, 0, 1 - s->root);
    } else {
        weft_plan_recv(p, 0, s->root, whole);
        weft_plan_fence(p);
        weft_plan_unpack(p, 0, whole);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_transfer_direct = {
    .coll = WEFT_COLL_TRANSFER,
    .name = "direct",
    .summary = "the root sends to the other one of two ranks",
    .source = "none, the plain way",
    .formula = "1 round, n w bytes",
    .refuses = refuses,
    .cost = cost,
    .build = build,
};
