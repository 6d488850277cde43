/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reduce along the edges of a topology: up a spanning tree to the root. P = 4, edges 0-1, 1-2, 2-3,
 * root 0:
 *
 *   round 1   3 -> 2     each merges what its children send into its own, ascending
 *   round 2   2 -> 1
 *   round 3   1 -> 0
 *
 * h rounds, h the height of the tree; every rank but the root sends n w bytes. Order of summation:
 * each rank's own, then its children's subtrees, ascending.
 * Needs encodings that merge, and a topology.
 * Source: Chang, Echo algorithms, IEEE TSE 8 (1982), second half.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = weft_spread_one, .reduced = weft_spread_merged};

    (void)reply;
    return weft_spread_cost(s, s->root, width, &load);
}

enum { SUM, CAME };

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, s->root);

    if (rc)
        return rc;
    weft_plan_pack(p, SUM, whole);
    for (int i = 0; i < weft_spread_children(&t, s->rank); i++) {
        weft_plan_recv(p, CAME, weft_spread_child(&t, s->rank, i), whole);
        weft_plan_fence(p);
        weft_plan_merge(p, SUM, CAME, false);
    }
    if (s->rank == s->root)
        weft_plan_unpack(p, SUM, whole);
    else
        weft_plan_send(p, SUM, t.parent[s->rank]);
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_graph = {
    .coll = WEFT_COLL_REDUCE,
    .name = "graph",
    .summary = "along the edges of a topology, up a spanning tree",
    .source = "Chang 1982",
    .formula = "h rounds, n w bytes, h the height of the tree",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
