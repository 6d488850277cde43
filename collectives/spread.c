/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/spread.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "topology/topology.h"

/* Children of each rank, ascending, one list behind the other. */
static void list_children(weft_spread *t)
{
    for (int r = 0; r < t->size; r++)
        if (t->parent[r] >= 0)
            t->first[t->parent[r] + 1]++;
    for (int r = 0; r < t->size; r++)
        t->first[r + 1] += t->first[r];
    for (int r = 0; r < t->size; r++)
        if (t->parent[r] >= 0)
            t->child[t->first[t->parent[r]] + t->enter[t->parent[r]]++] = r;
}

/* Subtrees: ranks farther from the root first, so that each adds its own to its parent's. Places:
 * nearer first, each handing its children theirs. */
static void number(weft_spread *t, const int *by_depth)
{
    for (int i = 0; i < t->size; i++)
        t->below[i] = 1;
    for (int i = t->size - 1; i > 0; i--)
        t->below[t->parent[by_depth[i]]] += t->below[by_depth[i]];
    t->enter[t->root] = 0;
    for (int i = 0; i < t->size; i++) {
        const int r = by_depth[i];
        int at = t->enter[r] + 1;
        for (int c = 0; c < weft_spread_children(t, r); c++) {
            t->enter[weft_spread_child(t, r, c)] = at;
            at += t->below[weft_spread_child(t, r, c)];
        }
    }
}

int weft_spread_open(weft_spread *ret, const weft_topology *graph, int root)
{
    const size_t size = (size_t)weft_topology_size(graph);
    int *depth = weft_calloc(size, sizeof *depth), *by_depth = weft_calloc(size, sizeof *by_depth);
    weft_spread t = {.size = (int)size,
                     .root = root,
                     .parent = weft_calloc(size, sizeof(int)),
                     .first = weft_calloc(size + 1, sizeof(int)),
                     .child = weft_calloc(size, sizeof(int)),
                     .enter = weft_calloc(size, sizeof(int)),
                     .below = weft_calloc(size, sizeof(int))};
    int rc = WEFT_OK;

    if (!depth || !by_depth || !t.parent || !t.first || !t.child || !t.enter || !t.below)
        rc = weft_fail(WEFT_ENOMEM, "no memory for a spanning tree of %zu ranks", size);
    if (!rc && root < 0)
        rc = weft_graph_centre(&graph->graph, &t.root);
    if (!rc)
        rc = weft_graph_tree(&graph->graph, t.root, t.parent, depth);
    if (!rc) {
        list_children(&t);
        for (int found = 0; found < t.size; t.height++)
            for (int r = 0; r < t.size; r++)
                if (depth[r] == t.height)
                    by_depth[found++] = r;
        t.height--;
        number(&t, by_depth);
        *ret = t;
    } else {
        weft_spread_close(&t);
    }
    weft_free(depth);
    weft_free(by_depth);
    return rc;
}

void weft_spread_close(weft_spread *t)
{
    weft_free(t->parent);
    weft_free(t->first);
    weft_free(t->child);
    weft_free(t->enter);
    weft_free(t->below);
    *t = (weft_spread){0};
}

bool weft_spread_refuses(const weft_shape *s, char *why, size_t cap)
{
    if (!s->graph)
        snprintf(why, cap, "needs a topology along whose edges it goes");
    return !s->graph;
}

weft_cost weft_spread_cost(const weft_shape *s, int root, double width,
                           const weft_spread_load *load)
{
    weft_cost c = {0};
    weft_spread t;

    /* A price that cannot be worked out is none: the plan fails in the same way, with words. */
    if (!s->graph || weft_spread_open(&t, s->graph, root))
        return c;
    c.rounds = (load->up != NULL) * t.height + (load->down != NULL) * t.height;
    for (int r = 0; r < t.size; r++) {
        const int children = weft_spread_children(&t, r);
        const bool up = load->up && r != t.root;
        const double sends = up + (load->down ? children : 0);
        const bool down = load->down && r != t.root;
        const double hears = (load->up ? children : 0) + down;
        double out = up ? load->up(s, &t, r) : 0, in = down ? load->down(s, &t, r) : 0;
        for (int i = 0; i < children; i++) {
            const int child = weft_spread_child(&t, r, i);
            out += load->down ? load->down(s, &t, child) : 0;
            in += load->up ? load->up(s, &t, child) : 0;
        }
        const double bytes = (out > in ? out : in) * (double)s->count * width;
        const double reduced =
            load->reduced ? load->reduced(s, &t, r) * (double)s->count * width : 0;
        c.messages = sends > c.messages ? sends : c.messages;
        c.messages = hears > c.messages ? hears : c.messages;
        c.peers = hears > c.peers ? hears : c.peers;
        c.bytes = bytes > c.bytes ? bytes : c.bytes;
        c.reduced_bytes = reduced > c.reduced_bytes ? reduced : c.reduced_bytes;
    }
    weft_spread_close(&t);
    return c;
}

double weft_spread_one(const weft_shape *s, const weft_spread *t, int rank)
{
    (void)s;
    (void)t;
    (void)rank;
    return 1;
}

double weft_spread_merged(const weft_shape *s, const weft_spread *t, int rank)
{
    (void)s;
    return weft_spread_children(t, rank);
}

void weft_spread_send(weft_plan *p, const weft_spread *t, int to, int top, bool inside)
{
    int left = inside ? t->below[top] : t->size - t->below[top];

    for (int b = 0; b < t->size; b++) {
        if (weft_spread_holds(t, top, b) != inside)
            continue;
        weft_plan_send(p, b, to);
        if (--left > 0)
            weft_plan_joined(p);
    }
}

void weft_spread_recv(weft_plan *p, const weft_shape *s, const weft_spread *t, int from, int top,
                      bool inside)
{
    int left = inside ? t->below[top] : t->size - t->below[top];

    for (int b = 0; b < t->size; b++) {
        if (weft_spread_holds(t, top, b) != inside)
            continue;
        weft_plan_recv(p, b, from, weft_whole(s, (uint32_t)b));
        if (--left > 0)
            weft_plan_joined(p);
    }
}
