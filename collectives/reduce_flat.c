/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everybody sends to the root, which adds in rank order. P = 4, root 1:
 *
 *   0 -> 1   2 -> 1   3 -> 1     then d(e0) + d(e1) + d(e2) + d(e3)
 *
 * 1 round; every rank but the root sends n w bytes, the root receives (P-1) n w. Every contribution
 * is encoded once: exact for any codec. Order of summation: decoded values in rank order. Source:
 * the linear reduction of LAM/MPI and Open MPI (coll basic).
 */
#include "collectives/partition.h"

enum { OWN, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, bytes = (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = others * bytes,
                       .reduced_bytes = others * bytes,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);

    weft_plan_pack(p, OWN, whole);
    if (s->rank != s->root)
        weft_plan_send(p, OWN, s->root);
    for (int i = 0; i < s->size && s->rank == s->root; i++) {
        if (i != s->rank) {
            weft_plan_recv(p, GOT, i, whole);
            weft_plan_fence(p);
        }
        if (i == 0)
            weft_plan_unpack(p, i == s->rank ? OWN : GOT, whole);
        else
            weft_plan_add(p, i == s->rank ? OWN : GOT, whole);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_flat = {
    .coll = WEFT_COLL_REDUCE,
    .name = "flat",
    .summary = "everybody sends to the root, which adds in rank order",
    .source = "Open MPI coll basic",
    .formula = "1 round, (P-1) n w bytes at the root",
    .traits = WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
