/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two chains that meet at the root. P = 4, root 1:
 *
 *   0 -> 1   3 -> 2,   then   2 -> 1
 *
 * The ranks below the root add what comes of the rank below them, on its right; those above it add
 * what comes of the rank above, on its left. max(root, P-1-root) rounds; every rank sends n w bytes
 * once and receives n w bytes once, the root twice: long vectors go as many lanes, and every link
 * is busy. Order of summation: rank order, ((x0+x1)+x2)+(x3+(x4+x5)) for root 2 of 6. Needs
 * encodings that merge.
 * Source: Worringen, Pipelining and overlapping for MPI collective operations, LCN 2003; both ways
 * to the root, so that operations that do not commute are served.
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int below = s->root, above = s->size - 1 - s->root;
    const double bytes = (double)s->count * width, sides = (below > 0) + (above > 0);

    (void)reply;
    return (weft_cost){.rounds = below > above ? below : above,
                       .messages = sides,
                       .bytes = sides * bytes,
                       .reduced_bytes = sides * bytes,
                       .peers = sides};
}

enum { BELOW, ABOVE, OWN };

static int build(weft_plan *p, const weft_shape *s)
{
    const int r = s->rank;
    const bool below = r > 0 && r <= s->root, above = r < s->size - 1 && r >= s->root;
    const weft_span whole = weft_whole(s, 0);
    int have = OWN;

    if (!below)
        weft_plan_pack(p, OWN, whole);
    if (below) {
        weft_plan_recv(p, BELOW, r - 1, whole);
        weft_plan_fence(p);
        weft_plan_fold(p, BELOW, whole);
        have = BELOW;
    }
    if (above) {
        weft_plan_recv(p, ABOVE, r + 1, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, ABOVE, have, true);
        have = ABOVE;
    }
    if (r == s->root)
        weft_plan_unpack(p, have, whole);
    else
        weft_plan_send(p, have, r < s->root ? r + 1 : r - 1);
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_chain = {
    .coll = WEFT_COLL_REDUCE,
    .name = "chain",
    .summary = "from both ends to the root, summed on the way in rank order",
    .source = "Worringen 2003",
    .formula = "max(root, P-1-root) rounds, n w bytes, twice that at a root between others",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_RING | WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
