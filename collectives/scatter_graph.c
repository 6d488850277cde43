/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter along the edges of a topology: blocks go down a spanning tree from the root, those of a
 * subtree in one message. P = 4, edges 0-1, 1-2, 2-3, blocks a b c d, root 0:
 *
 *   round 1   0 -> 1: b c d
 *   round 2   1 -> 2: c d
 *   round 3   2 -> 3: d
 *
 * h rounds, h the height of the tree; a rank sends each child as many blocks as its subtree has
 * ranks.
 * Source: the mirror image of gather's `graph`.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static double subtree(const weft_shape *s, const weft_spread *t, int child)
{
    (void)s;
    return t->below[child];
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.down = subtree};

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
    weft_plan_blocks(p, s->size, 1);
    if (r == s->root) {
        for (int b = 0; b < s->size; b++)
            weft_plan_pack(p, b, weft_whole(s, (uint32_t)b)); /* slot b: block b */
    } else {
        weft_spread_recv(p, s, &t, t.parent[r], r, true);
        weft_plan_fence(p);
    }
    for (int i = 0; i < weft_spread_children(&t, r); i++)
        weft_spread_send(p, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), true);
    weft_plan_unpack(p, r, weft_whole(s, 0));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_scatter_graph = {
    .coll = WEFT_COLL_SCATTER,
    .name = "graph",
    .summary = "along the edges of a topology, subtrees in one message",
    .source = "mirror image of gather graph",
    .formula = "h rounds, (P-1) n w bytes at the root, h the height of the tree, n of a block",
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
