/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two binary trees, each for half of the lane, such that nobody has children in both. P = 4, half a
 * in the first tree, half b in the second:
 *
 *           3               2        the first: leaves are ranks of even number
 *          /               / \       the second: of odd number
 *         1               0   3
 *        / \               \
 *       0   2               1
 *
 *   round   a                        b
 *   1       0 -> 1, 2 -> 1           1 -> 0, 3 -> 2
 *   2       1 -> 3, who has the sum  0 -> 2, who has the sum
 *   3       3 -> 1                   2 -> 0, 2 -> 3
 *   4       1 -> 0, 1 -> 2           0 -> 1
 *
 * Both are in order: of a run of ranks that begins and ends with a leaf, the root is between two
 * halves of the leaves, and its children are the roots of what is on either side. The second tree
 * is that over one rank more in front, a leaf, who is not there. So leaves and inner ranks take
 * turns, a rank is inner in one tree and a leaf in the other, and its work is the same everywhere:
 * as a leaf it sends n/2 once, as an inner rank three times: 2 n w bytes, in a tree's few rounds:
 * 2 ceil(lg floor((P+3)/2)). Long vectors go in lanes, one behind the other.
 * Order of summation: from the left, own, from the right: rank order in both trees; made once, at
 * the root, and copied as bytes: same bits everywhere.
 * Needs encodings that fold.
 * Source: Sanders, Speck & Träff, Two-tree algorithms for full bandwidth broadcast, reduction and
 * scan, Parallel Computing 35 (2009); their second tree is the first shifted or mirrored, ours is
 * in order.
 */
#include "collectives/partition.h"

enum { TREES = 2, NONE = -1 };
enum { LEAF, SUM, GOT, RESULT }; /* slots */

/* A rank's neighbours in a tree. */
typedef struct node {
    int parent, low, high;
} node;

/* A run of places, of which those at even places are leaves: 0, 2, … */
typedef struct run {
    int first, count;
} run;

static run left_of_root(run r)
{
    const int leaves = r.count / 2 + 1; /* the last may be missing */

    return (run){.first = r.first, .count = r.count == 1 ? 0 : 2 * ((leaves + 1) / 2) - 1};
}

static run right_of_root(run r)
{
    const int left = left_of_root(r).count;

    return (run){.first = r.first + left + 1, .count = r.count - left - 1};
}

/* The place of the root. */
static int root_of(run r)
{
    return r.first + left_of_root(r).count;
}

/* The rank at the root of a run, NONE: nobody. In the second tree nobody has place 0. */
static int rank_at_root(run r, int tree)
{
    return r.count > 0 && root_of(r) >= tree ? root_of(r) - tree : NONE;
}

static node find(int rank, int size, int tree)
{
    const int place = rank + tree;
    run here = {.count = size + tree};
    int parent = NONE;

    for (int root = root_of(here); root != place; root = root_of(here)) {
        parent = root - tree;
        here = place < root ? left_of_root(here) : right_of_root(here);
    }
    return (node){.parent = parent,
                  .low = rank_at_root(left_of_root(here), tree),
                  .high = rank_at_root(right_of_root(here), tree)};
}

/* The tree in which a rank may have children. */
static int inner_tree(int rank)
{
    return rank % 2 == 0;
}

static int halves(const weft_shape *s)
{
    (void)s;
    return TREES;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_span whole = weft_whole(s, 0);
    const double larger = (double)weft_cut(s, whole, TREES, 0).count * width;
    const double smaller = (double)weft_cut(s, whole, TREES, 1).count * width;
    const int P = s->size;
    int height = 0;

    (void)reply;
    if (P == 1)
        return (weft_cost){0};
    while (1L << height < (P + 3L) / 2)
        height++;
    /* The busiest has two children and a parent in the first tree, and a parent in the second, who
     * of few ranks is one of the others; of 2 and 3 ranks it is the root of the first. */
    const int messages = P < 4 ? P : 4, children = P < 3 ? 1 : 2;
    return (weft_cost){.rounds = 2 * height,
                       .messages = messages,
                       .bytes = (messages - 1) * larger + smaller,
                       .reduced_bytes = children * larger,
                       .peers = P < 4   ? P - 1
                                : P < 7 ? 3
                                        : 4};
}

static void take(weft_plan *p, int slot, int from, weft_span span)
{
    weft_plan_recv(p, slot, from, span);
    weft_plan_fence(p);
}

/* Up to the parent, and what comes back down to the children. */
static void pass(weft_plan *p, const node *n, weft_span span)
{
    int result = SUM;

    if (n->low != NONE) {
        take(p, SUM, n->low, span);
        weft_plan_fold(p, SUM, span);
    } else {
        weft_plan_pack(p, SUM, span);
    }
    if (n->high != NONE) {
        take(p, GOT, n->high, span);
        weft_plan_merge(p, SUM, GOT, false);
    }
    if (n->parent != NONE) {
        weft_plan_send(p, SUM, n->parent);
        take(p, RESULT, n->parent, span);
        result = RESULT;
    }
    if (n->low != NONE)
        weft_plan_send(p, result, n->low);
    if (n->high != NONE)
        weft_plan_send(p, result, n->high);
    weft_plan_unpack(p, result, span);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int tree = inner_tree(s->rank);
    const node in = find(s->rank, s->size, tree), out = find(s->rank, s->size, 1 - tree);
    const weft_span leaf = weft_cut(s, weft_whole(s, 0), TREES, 1 - tree);

    weft_plan_pack(p, LEAF, leaf); /* others wait for it */
    if (out.parent != NONE)
        weft_plan_send(p, LEAF, out.parent);
    pass(p, &in, weft_cut(s, weft_whole(s, 0), TREES, tree));
    if (out.parent != NONE)
        take(p, LEAF, out.parent, leaf);
    weft_plan_unpack(p, LEAF, leaf);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_double_tree = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "double_tree",
    .summary = "two binary trees with half of the vector each, leaves of one inner in the other",
    .source = "Sanders, Speck & Träff 2009",
    .formula = "2 ceil(lg floor((P+3)/2)) rounds, 2 n w bytes, less if P<4",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_ORDERED,
    .parts = halves,
    .cost = cost,
    .build = build,
};
