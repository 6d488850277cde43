/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flat exchange: everybody sends its whole vector to everybody, and everybody adds all of them.
 * P = 4, e1 = rank 1's encoding:
 *
 *   round   to 0          to 1          to 2          to 3
 *   1       e1 e2 e3      e0 e2 e3      e0 e1 e3      e0 e1 e2
 *           then everywhere ((d(e0) + d(e1)) + d(e2)) + d(e3)
 *
 * 1 round, P - 1 messages, (P-1) n w bytes. Order of summation: decoded values in rank order,
 * starting from rank 0's: same bits everywhere, the same as of gather and scatter. Every
 * contribution is encoded once: exact for any codec. Best for few peers and short vectors.
 * Peers are served in the order r+1, r+2, …; what comes is taken in rank order, a fence each, so
 * that one slot serves all.
 * Source: none, it is the plain way.
 */
#include "collectives/partition.h"

enum { OWN, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double others = s->size - 1, bytes = others * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = s->size > 1,
                       .messages = others,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = others};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);

    weft_plan_pack(p, OWN, whole);
    for (int d = 1; d < s->size; d++)
        weft_plan_send(p, OWN, (s->rank + d) % s->size);
    for (int i = 0; i < s->size; i++) {
        const int slot = i == s->rank ? OWN : GOT;
        if (slot == GOT) {
            weft_plan_recv(p, GOT, i, whole);
            weft_plan_fence(p);
        }
        if (i == 0)
            weft_plan_unpack(p, slot, whole);
        else
            weft_plan_add(p, slot, whole);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_flat = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "flat",
    .summary = "everybody sends its vector to everybody, who adds all of them in rank order",
    .source = "none, the plain way",
    .formula = "1 round, (P-1) n w bytes",
    .traits = WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
