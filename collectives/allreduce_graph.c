/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allreduce along the edges of a topology: up a spanning tree to a rank in its middle, then down
 * again. P = 4, edges 0-1, 1-2, 2-3, root 1:
 *
 *   round 1   3 -> 2                 2 merges
 *   round 2   0 -> 1, 2 -> 1         1 merges 0's, then 2's
 *   round 3   1 -> 0, 1 -> 2         encodings travel on unchanged
 *   round 4   2 -> 3
 *
 * 2 h rounds, h the height of the tree; each rank sends n w bytes to its parent and to each child.
 * Long vectors: lanes pipeline the tree. Order of summation: each rank's own, then its children's
 * subtrees, ascending; computed once, then copied as bytes: same bits everywhere.
 * Needs encodings that merge, and a topology.
 * Source: echo algorithm, Chang, Echo algorithms: depth parallel operations on general graphs, IEEE
 * TSE 8 (1982); breadth-first tree from the centre of the graph.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {
        .up = weft_spread_one, .down = weft_spread_one, .reduced = weft_spread_merged};

    (void)reply;
    return weft_spread_cost(s, -1, width, &load);
}

enum { SUM, CAME };

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, -1);

    if (rc)
        return rc;
    const int r = s->rank, children = weft_spread_children(&t, r), parent = t.parent[r];
    weft_plan_pack(p, SUM, whole);
    for (int i = 0; i < children; i++) {
        weft_plan_recv(p, CAME, weft_spread_child(&t, r, i), whole);
        weft_plan_fence(p);
        weft_plan_merge(p, SUM, CAME, false);
    }
    if (parent >= 0) {
        weft_plan_send(p, SUM, parent);
        weft_plan_recv(p, CAME, parent, whole);
        weft_plan_fence(p);
    }
    const int sum = parent >= 0 ? CAME : SUM;
    for (int i = 0; i < children; i++)
        weft_plan_send(p, sum, weft_spread_child(&t, r, i));
    weft_plan_unpack(p, sum, whole);
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_graph = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "graph",
    .summary = "along the edges of a topology, up a spanning tree and down again",
    .source = "Chang 1982",
    .formula = "2 h rounds, (1 + children) n w bytes, h the height of the tree",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
