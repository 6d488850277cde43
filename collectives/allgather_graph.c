/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allgather along the edges of a topology: up a spanning tree go the blocks of a subtree, down it
 * all others, in one message each. P = 4, edges 0-1, 1-2, 2-3, blocks a b c d, root 1:
 *
 *   round 1   3 -> 2: d
 *   round 2   0 -> 1: a     2 -> 1: c d
 *   round 3   1 -> 0: b c d     1 -> 2: a b
 *   round 4   2 -> 3: a b c
 *
 * 2 h rounds, h the height of the tree; every block crosses every edge once.
 * Source: Chang, Echo algorithms, IEEE TSE 8 (1982).
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static double subtree(const weft_shape *s, const weft_spread *t, int rank)
{
    (void)s;
    return t->below[rank];
}

static double others(const weft_shape *s, const weft_spread *t, int child)
{
    return s->size - t->below[child];
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = subtree, .down = others};

    (void)reply;
    return weft_spread_cost(s, -1, width, &load);
}

static int build(weft_plan *p, const weft_shape *s)
{
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, -1);

    if (rc)
        return rc;
    const int r = s->rank, children = weft_spread_children(&t, r), parent = t.parent[r];
    weft_plan_blocks(p, 1, s->size);
    weft_plan_pack(p, r, weft_whole(s, 0)); /* slot b: block b */
    for (int i = 0; i < children; i++)
        weft_spread_recv(p, s, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), true);
    if (children > 0)
        weft_plan_fence(p);
    if (parent >= 0) {
        weft_spread_send(p, &t, parent, r, true);
        weft_spread_recv(p, s, &t, parent, r, false);
        weft_plan_fence(p);
    }
    for (int i = 0; i < children; i++)
        weft_spread_send(p, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), false);
    for (int b = 0; b < s->size; b++)
        weft_plan_unpack(p, b, weft_whole(s, (uint32_t)b));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allgather_graph = {
    .coll = WEFT_COLL_ALLGATHER,
    .name = "graph",
    .summary = "along the edges of a topology, up a spanning tree and down again",
    .source = "Chang 1982",
    .formula = "2 h rounds, each block once over each edge, h the height of the tree",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
