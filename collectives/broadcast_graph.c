/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcast along the edges of a topology: down a spanning tree from the root. P = 4, edges 0-1,
 * 1-2, 2-3, root 1:
 *
 *   round 1   1 -> 0, 1 -> 2
 *   round 2   2 -> 3
 *
 * h rounds, h the height of the tree; a rank sends n w bytes to each child. Bytes travel on
 * unchanged and the root decodes its own: same bits everywhere. Long vectors: lanes pipeline the
 * tree.
 * Source: breadth-first tree: Moore, The shortest path through a maze, 1959.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.down = weft_spread_one};

    (void)reply;
    return weft_spread_cost(s, s->root, width, &load);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, s->root);

    if (rc)
        return rc;
    if (s->rank == s->root) {
        weft_plan_pack(p, 0, whole);
    } else {
        weft_plan_recv(p, 0, t.parent[s->rank], whole);
        weft_plan_fence(p);
    }
    for (int i = 0; i < weft_spread_children(&t, s->rank); i++)
        weft_plan_send(p, 0, weft_spread_child(&t, s->rank, i));
    weft_plan_unpack(p, 0, whole);
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_broadcast_graph = {
    .coll = WEFT_COLL_BROADCAST,
    .name = "graph",
    .summary = "along the edges of a topology, down a spanning tree",
    .source = "Moore 1959",
    .formula = "h rounds, children n w bytes, h the height of the tree",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
