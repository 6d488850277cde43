/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binomial tree from the root; v = rank - root modulo P. P = 4:
 *
 *   v = 0 -> 2,  then  0 -> 1  and  2 -> 3
 *
 * v hears from v without its lowest bit, then serves v + m for m below that bit, largest first (the
 * deepest subtree first). floor(lg P) rounds (the most bits that a v < P has); the root sends
 * ceil(lg P) times: ceil(lg P) n w bytes. Bytes travel on unchanged and the root decodes its own:
 * same bits everywhere. Long vectors: lanes pipeline the tree.
 * Source: Thakur, Rabenseifner & Gropp, IJHPCA 19 (2005), section 4.1.
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    int depth = 0, sends = 0;

    (void)reply;
    for (int m = 1; m < s->size; m *= 2)
        sends++;
    for (int m = 1; m <= s->size / 2; m *= 2)
        depth++;
    return (weft_cost){.rounds = depth,
                       .messages = sends,
                       .bytes = sends * (double)s->count * width,
                       .peers = s->size > 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, v = (s->rank - s->root + size) % size;
    const weft_span whole = weft_whole(s, 0);
    int bit = 1;

    while (bit < size && !(v & bit))
        bit *= 2;
    if (v == 0) {
        weft_plan_pack(p, 0, whole);
    } else {
        weft_plan_recv(p, 0, (v - bit + s->root) % size, whole);
        weft_plan_fence(p);
    }
    for (int m = bit / 2; m > 0; m /= 2)
        if (v + m < size)
            weft_plan_send(p, 0, (v + m + s->root) % size);
    weft_plan_unpack(p, 0, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_broadcast_tree = {
    .coll = WEFT_COLL_BROADCAST,
    .name = "tree",
    .summary = "a binomial tree from the root",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula = "floor(lg P) rounds, ceil(lg P) n w bytes at the root",
    .traits = WEFT_ALGO_TREE,
    .cost = cost,
    .build = build,
};
