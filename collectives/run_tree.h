/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binomial tree whose subtrees are runs of neighbouring ranks, whatever the root: so that it
 * reduces in rank order and moves blocks in runs. A run is halved, again and again; the half with
 * its holder keeps it, the first rank of the other half holds that one and is the holder's child.
 * The holder's half is the larger one: floor(lg P) levels, and the root has ceil(lg P) children, as
 * in the binomial tree. P = 6, root 2: 2 has the children 3 (of 3..5), 0 (of 0..0) and 1 (of 1..1),
 * 3 has the children 5 and 4.
 */
#ifndef WEFT_COLLECTIVES_RUN_TREE_H
#define WEFT_COLLECTIVES_RUN_TREE_H

/* The ranks from … behind - 1. */
typedef struct weft_run {
    int holder, from, behind;
} weft_run;

enum { WEFT_BRANCHES = 17 }; /* positions take 16 bits */

/* A rank's place in the tree. */
typedef struct weft_run_tree {
    int parent;   /* -1: the root */
    weft_run own; /* itself and all below it */
    int count;
    weft_run branch[WEFT_BRANCHES]; /* its children with all below them, the longest run first */
} weft_run_tree;

weft_run_tree weft_run_tree_of(int size, int root, int rank);

/* The logarithm to base 2, rounded; size at least 1. */
int weft_lg_floor(int size);
int weft_lg_ceil(int size);

#endif
