/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alltoall along the edges of a topology: each block takes the only way there is in a spanning
 * tree, with all that go over the same edge in one message. P = 4, edges 0-1, 1-2, 2-3, root 1, ij
 * = what rank i sends rank j:
 *
 *   round 1   3 -> 2: 30 31 32
 *   round 2   0 -> 1: 01 02 03     2 -> 1: 20 21 30 31
 *   round 3   1 -> 0: 10 20 30     1 -> 2: 02 03 12 13
 *   round 4   2 -> 3: 03 13 23
 *
 * 2 h rounds, h the height of the tree; over an edge that parts b ranks from the others go b (P-b)
 * blocks each way.
 * A rank relays blocks whose lengths it does not know: not for lengths of their own.
 * Source: routing in a tree.
 */
#include <stdio.h>

#include "collectives/partition.h"
#include "collectives/spread.h"

/* Blocks over the edge above a rank, either way. */
static double crossing(const weft_shape *s, const weft_spread *t, int rank)
{
    return (double)t->below[rank] * (s->size - t->below[rank]);
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = crossing, .down = crossing};

    (void)reply;
    return weft_spread_cost(s, -1, width, &load);
}

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    if (s->ragged)
        snprintf(why, cap, "relays blocks, whose lengths only their ends know");
    return s->ragged || weft_spread_refuses(s, why, cap);
}

/* One message of all that goes over the edge above `top`: out of its subtree, or into it. */
static void transfer(weft_plan *p, const weft_shape *s, const weft_spread *t, int peer, int top,
                     bool out, bool send)
{
    int left = t->below[top] * (s->size - t->below[top]);

    for (int from = 0; from < s->size; from++) {
        if (weft_spread_holds(t, top, from) != out)
            continue;
        for (int to = 0; to < s->size; to++) {
            const int slot = from * s->size + to;
            if (weft_spread_holds(t, top, to) == out)
                continue;
            if (send)
                weft_plan_send(p, slot, peer);
            else
                weft_plan_recv(p, slot, peer, weft_whole(s, (uint32_t)slot));
            if (--left > 0)
                weft_plan_joined(p);
        }
    }
}

static int build(weft_plan *p, const weft_shape *s)
{
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, -1);

    if (rc)
        return rc;
    const int r = s->rank, size = s->size, children = weft_spread_children(&t, r);
    weft_plan_blocks(p, size, size);
    for (int d = 0; d < size; d++)
        weft_plan_pack(p, r * size + d, weft_whole(s, (uint32_t)d));
    for (int i = 0; i < children; i++)
        transfer(p, s, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), true, false);
    if (children > 0)
        weft_plan_fence(p);
    if (r != t.root) {
        transfer(p, s, &t, t.parent[r], r, true, true);
        transfer(p, s, &t, t.parent[r], r, false, false);
        weft_plan_fence(p);
    }
    for (int i = 0; i < children; i++)
        transfer(p, s, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), false, true);
    for (int o = 0; o < size; o++)
        weft_plan_unpack(p, o * size + r, weft_whole(s, (uint32_t)o));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_alltoall_graph = {
    .coll = WEFT_COLL_ALLTOALL,
    .name = "graph",
    .summary = "along the edges of a topology, each block on its way in a spanning tree",
    .source = "routing in a tree",
    .formula = "2 h rounds, b (P-b) n w bytes either way over an edge that parts b ranks",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = refuses,
    .cost = cost,
    .build = build,
};
