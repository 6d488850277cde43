/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Barrier along the edges of a topology: empty messages up a spanning tree to a rank in its middle,
 * then down again, the rounds of allreduce's `graph`.
 *
 * 2 h rounds, h the height of the tree; no bytes.
 * Source: Chang, Echo algorithms, IEEE TSE 8 (1982).
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = weft_spread_one, .down = weft_spread_one};
    const weft_shape empty = {.coll = s->coll, .size = s->size, .graph = s->graph};

    (void)reply;
    return weft_spread_cost(&empty, -1, width, &load);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span nothing = {0};
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, -1);

    if (rc)
        return rc;
    const int r = s->rank, children = weft_spread_children(&t, r), parent = t.parent[r];
    weft_plan_pack(p, 0, nothing);
    for (int i = 0; i < children; i++)
        weft_plan_recv(p, 1 + i, weft_spread_child(&t, r, i), nothing);
    weft_plan_fence(p);
    if (parent >= 0) {
        weft_plan_send(p, 0, parent);
        weft_plan_recv(p, 1 + children, parent, nothing);
        weft_plan_fence(p);
    }
    for (int i = 0; i < children; i++)
        weft_plan_send(p, 0, weft_spread_child(&t, r, i));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_barrier_graph = {
    .coll = WEFT_COLL_BARRIER,
    .name = "graph",
    .summary = "along the edges of a topology, up a spanning tree and down again",
    .source = "Chang 1982",
    .formula = "2 h rounds, h the height of the tree, no bytes",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
