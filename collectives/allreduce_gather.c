/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gather of encodings: every encoding travels around the ring, everybody adds all of them. P = 4:
 *
 *   hop   0 -> 1   1 -> 2   2 -> 3   3 -> 0
 *   1     e0       e1       e2       e3
 *   2     e3       e0       e1       e2
 *   3     e2       e3       e0       e1        then everywhere ((d(e0) + d(e1)) + d(e2)) + d(e3)
 *
 * P - 1 rounds, (P-1) n w bytes. Order of summation: decoded values in rank order, starting from
 * rank 0's: same bits everywhere, the same as of scatter. Every contribution is encoded once: exact
 * for any codec. Holds P encodings of the lane. Cheaper than scatter while P w < w + reply.
 * Source: ring allgather: Chan, Heimlich, Purkayastha & van de Geijn, Collective communication:
 * theory, practice, and experience, CCPE 19 (2007).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double hops = s->size - 1, bytes = hops * (double)s->count * width;

    (void)reply;
    return (weft_cost){.rounds = hops,
                       .messages = hops,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, next = (r + 1) % size, prev = (r + size - 1) % size;
    const weft_span whole = weft_whole(s, 0);

    weft_plan_pack(p, r, whole); /* slot i: rank i's encoding */
    for (int t = 0; t < size - 1; t++) {
        weft_plan_send(p, (r - t + size) % size, next);
        weft_plan_recv(p, (r - t - 1 + size) % size, prev, whole);
        weft_plan_fence(p);
    }
    weft_plan_unpack(p, 0, whole);
    for (int i = 1; i < size; i++)
        weft_plan_add(p, i, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_gather = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "gather",
    .summary = "encodings travel around a ring, everybody adds all of them in rank order",
    .source = "Chan, Heimlich, Purkayastha & van de Geijn 2007",
    .formula = "P-1 rounds, (P-1) n w bytes",
    .traits = WEFT_ALGO_RING | WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
