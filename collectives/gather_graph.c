/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gather along the edges of a topology: blocks go up a spanning tree to the root, those of a
 * subtree in one message. P = 4, edges 0-1, 1-2, 2-3, blocks a b c d, root 0:
 *
 *   round 1   3 -> 2: d
 *   round 2   2 -> 1: c d
 *   round 3   1 -> 0: b c d
 *
 * h rounds, h the height of the tree; a rank sends as many blocks as its subtree has ranks.
 * Source: Chang, Echo algorithms, IEEE TSE 8 (1982), second half.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static double subtree(const weft_shape *s, const weft_spread *t, int rank)
{
    (void)s;
    return t->below[rank];
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = subtree};

    (void)reply;
    return weft_spread_cost(s, s->root, width, &load);
}

static int build(weft_plan *p, const weft_shape *s)
{
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, s->root);

    if (rc)
        return rc;
    const int r = s->rank;
    weft_plan_blocks(p, 1, s->size);
    weft_plan_pack(p, r, weft_whole(s, 0)); /* slot b: block b */
    for (int i = 0; i < weft_spread_children(&t, r); i++)
        weft_spread_recv(p, s, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), true);
    if (weft_spread_children(&t, r) > 0)
        weft_plan_fence(p);
    if (r != s->root)
        weft_spread_send(p, &t, t.parent[r], r, true);
    for (int b = 0; r == s->root && b < s->size; b++)
        weft_plan_unpack(p, b, weft_whole(s, (uint32_t)b));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_gather_graph = {
    .coll = WEFT_COLL_GATHER,
    .name = "graph",
    .summary = "along the edges of a topology, subtrees in one message",
    .source = "Chang 1982",
    .formula = "h rounds, up to (P-1) n w bytes, h the height of the tree, n of a block",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
