/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reduce-scatter along the edges of a topology. Over the edge between a rank and its parent in a
 * spanning tree goes, in one message each way, of every block whose rank is on the other side, the
 * sum over the ranks on this side. P = 4, edges 0-1, 1-2, 2-3, root 1, a0 = rank 0's part of block
 * a:
 *
 *   round 1   3 -> 2: a3 b3 c3
 *   round 2   2 -> 1: a2+a3 b2+b3     0 -> 1: b0 c0 d0
 *   round 3   1 -> 0: a1+a2+a3        1 -> 2: c1+c0 d1+d0
 *   round 4   2 -> 3: d2+d1+d0
 *
 * 2 h rounds, h the height of the tree; every block crosses every edge once. Order of summation of
 * a rank: its own part, then what its children sent, ascending, then what its parent sent. Needs
 * encodings that merge, and a topology. Source: convergecast towards every rank at once over one
 * tree.
 */
#include "collectives/partition.h"
#include "collectives/spread.h"

static double outside(const weft_shape *s, const weft_spread *t, int rank)
{
    return s->size - t->below[rank];
}

static double subtree(const weft_shape *s, const weft_spread *t, int child)
{
    (void)s;
    return t->below[child];
}

/* A block outside takes in one of each child. A block of a child takes in one of each other child
 * and of the parent; the own one of all children and of the parent. */
static double merges(const weft_shape *s, const weft_spread *t, int rank)
{
    const double children = weft_spread_children(t, rank), parent = rank != t->root;

    return (s->size - t->below[rank]) * children + (t->below[rank] - 1) * (children - 1 + parent) +
           children + parent;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    static const weft_spread_load load = {.up = outside, .down = subtree, .reduced = merges};

    (void)reply;
    return weft_spread_cost(s, -1, width, &load);
}

/* Slots: the sums, one a block, then what each child sent, then what the parent sent. */
static int came(const weft_shape *s, int from, int block)
{
    return (1 + from) * s->size + block;
}

/* One message of the blocks of a subtree, or of those outside it. */
static void transfer(weft_plan *p, const weft_shape *s, const weft_spread *t, int peer, int top,
                     bool inside, int from)
{
    int left = inside ? t->below[top] : s->size - t->below[top];

    for (int b = 0; b < s->size; b++) {
        if (weft_spread_holds(t, top, b) != inside)
            continue;
        if (from < 0)
            weft_plan_send(p, b, peer);
        else
            weft_plan_recv(p, came(s, from, b), peer, weft_whole(s, (uint32_t)b));
        if (--left > 0)
            weft_plan_joined(p);
    }
}

static int build(weft_plan *p, const weft_shape *s)
{
    weft_spread t;
    int rc = weft_spread_open(&t, s->graph, -1);

    if (rc)
        return rc;
    const int r = s->rank, children = weft_spread_children(&t, r), parent = t.parent[r];
    weft_plan_blocks(p, s->size, 1);
    for (int b = 0; b < s->size; b++)
        weft_plan_pack(p, b, weft_whole(s, (uint32_t)b));
    for (int i = 0; i < children; i++) {
        const int child = weft_spread_child(&t, r, i);
        transfer(p, s, &t, child, child, false, i);
        weft_plan_fence(p);
        for (int b = 0; b < s->size; b++)
            if (!weft_spread_holds(&t, child, b))
                weft_plan_merge(p, b, came(s, i, b), false);
    }
    if (parent >= 0) {
        transfer(p, s, &t, parent, r, false, -1);
        transfer(p, s, &t, parent, r, true, children);
        weft_plan_fence(p);
        for (int b = 0; b < s->size; b++)
            if (weft_spread_holds(&t, r, b))
                weft_plan_merge(p, b, came(s, children, b), false);
    }
    for (int i = 0; i < children; i++)
        transfer(p, s, &t, weft_spread_child(&t, r, i), weft_spread_child(&t, r, i), true, -1);
    weft_plan_unpack(p, r, weft_whole(s, 0));
    weft_spread_close(&t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_scatter_graph = {
    .coll = WEFT_COLL_REDUCE_SCATTER,
    .name = "graph",
    .summary = "along the edges of a topology, sums of either side of an edge to the other",
    .source = "convergecast to every rank",
    .formula = "2 h rounds, each block once over each edge, h the height of the tree",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
