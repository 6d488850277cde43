/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spanning tree that collectives over a graph go along: breadth first from a root, so that each
 * rank is as near to the root as the edges allow; children ascending.
 */
#ifndef WEFT_COLLECTIVES_SPREAD_H
#define WEFT_COLLECTIVES_SPREAD_H

#include "collectives/algo.h"

typedef struct weft_spread {
    int size, root, height; /* height: edges from the root to the farthest rank */
    int *parent;            /* of each rank, -1: the root */
    int *first, *child; /* children of r: child[first[r]] … child[first[r + 1] - 1], ascending */
    int *enter, *below; /* place of r in a walk down the tree; ranks of its subtree, r too */
} weft_spread;

/* root -1: one from which the tree is shallow. 0; WEFT_ENOMEM; WEFT_EINVAL root out of range. */
int weft_spread_open(weft_spread *ret, const weft_topology *graph, int root);
void weft_spread_close(weft_spread *t);

static inline int weft_spread_children(const weft_spread *t, int rank)
{
    return t->first[rank + 1] - t->first[rank];
}

static inline int weft_spread_child(const weft_spread *t, int rank, int i)
{
    return t->child[t->first[rank] + i];
}

/* Is a rank in the subtree of another (or that one itself)? */
static inline bool weft_spread_holds(const weft_spread *t, int top, int rank)
{
    return t->enter[rank] >= t->enter[top] && t->enter[rank] < t->enter[top] + t->below[top];
}

/* For `refuses` of what goes along a graph. */
bool weft_spread_refuses(const weft_shape *s, char *why, size_t cap);

/* What passes along the edges of a tree: each rank sends `up` messages' worth to its parent, and
 * `down` to each child. */
typedef struct weft_spread_load {
    double (*up)(const weft_shape *s, const weft_spread *t, int rank);
    double (*down)(const weft_shape *s, const weft_spread *t, int child);
    double (*reduced)(const weft_shape *s, const weft_spread *t, int rank); /* NULL: nothing */
} weft_spread_load;

/* The price of going up the tree (where load->up is), then down (where load->down is), a message an
 * edge; loads count lanes of count elements of `width` bytes. */
weft_cost weft_spread_cost(const weft_shape *s, int root, double width,
                           const weft_spread_load *load);
/* For loads of one lane an edge. */
double weft_spread_one(const weft_shape *s, const weft_spread *t, int rank);
/* For what merges a lane of each child. */
double weft_spread_merged(const weft_shape *s, const weft_spread *t, int rank);

/* One message with the blocks of a subtree, or of all ranks outside it; slot b holds block b. */
void weft_spread_send(weft_plan *p, const weft_spread *t, int to, int top, bool inside);
void weft_spread_recv(weft_plan *p, const weft_shape *s, const weft_spread *t, int from, int top,
                      bool inside);

#endif
