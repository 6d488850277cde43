/* SPDX-License-Identifier: Apache-2.0 */
/*
 * k-ary tree, up and down again. P = 4, k = 2 and k = 1:
 *
 *   round       2              round   0      1      2      3
 *            /     \           1       x0 ->  +x1
 *   1       1       3          2              x01 ->  +x2
 *          /                   3                      x012 -> +x3     summed
 *   2     0                    4 - 6   and back
 *
 *   round 1: 0 to 1, 3 to 2; round 2: 1 to 2, which has the sum; rounds 3 and 4: back
 *
 * In order: a subtree is a run of ranks, its root has half of its children on the left of it and
 * half on the right, all as even as can be. So a rank takes in what comes from the left, its own,
 * then what comes from the right: rank order. Made once, at the root, and copied as bytes: same
 * bits everywhere.
 * 2 h rounds, h the height of the lowest k-ary tree of P. A rank sends a vector to its parent and
 * to every child, at most (k+1) n w bytes; k = 1 is the chain: n w each way and 2(P-1) rounds, that
 * long vectors do not notice, since lanes follow one another.
 * Needs encodings that fold.
 * Source: trees and pipelines: Chan, Heimlich, Purkayastha & van de Geijn, Collective
 * communication: theory, practice, and experience, CCPE 19 (2007); in order, for operations that do
 * not commute: Sanders, Speck & Träff, Two-tree algorithms for full bandwidth broadcast, reduction
 * and scan, Parallel Computing 35 (2009).
 */
#include <assert.h>

#include "collectives/partition.h"

enum { ARITY_MOST = 16 };
enum { SUM, GOT, RESULT };

static const weft_param params[] = {{.key = "arity",
                                     .value = "2",
                                     .min = 1,
                                     .max = ARITY_MOST,
                                     .integer = 1,
                                     .help = "children of a rank; 1: a chain"},
                                    {.key = NULL}};

/* A run of ranks. */
typedef struct run {
    int first, count;
} run;

static int arity(const weft_shape *s)
{
    return (int)weft_shape_number(s, params, 0);
}

static int children(int count, int k)
{
    return count - 1 < k ? count - 1 : k;
}

/* Children on the left of the root. */
static int on_left(int count, int k)
{
    return (children(count, k) + 1) / 2;
}

/* The subtree of the i-th child. */
static run below(run whole, int k, int i)
{
    const int n = children(whole.count, k), others = whole.count - 1;
    assert(n > i);
    const int each = others / n, more = others % n, larger = i < more ? i : more;
    const int root = i >= on_left(whole.count, k);

    return (run){.first = whole.first + root + i * each + larger, .count = each + (i < more)};
}

static int root_of(run whole, int k)
{
    const int left = on_left(whole.count, k);
    if (left == 0)
        return whole.first;
    const run last = below(whole, k, left - 1);
    return last.first + last.count;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int k = arity(s), at_root = children(s->size, k);
    /* The first child has the most below it, and a parent. */
    const int first = at_root ? below((run){.count = s->size}, k, 0).count : 0;
    const int at_first = first ? children(first, k) : 0;
    const double messages = at_root > at_first + 1 || !first ? at_root : at_first + 1;
    const double vector = (double)s->count * width;
    int height = 0;

    (void)reply;
    for (int count = s->size; count > 1; height++)
        count = below((run){.count = count}, k, 0).count;
    return (weft_cost){.rounds = 2 * height,
                       .messages = messages,
                       .bytes = messages * vector,
                       .reduced_bytes = at_root * vector,
                       .peers = messages};
}

/* The subtree whose root this rank is; its parent, -1: none. */
static run find(int rank, int size, int k, int *ret_parent)
{
    run here = {.count = size};

    *ret_parent = -1;
    for (int root = root_of(here, k); root != rank; root = root_of(here, k)) {
        run child = below(here, k, 0);
        for (int i = 1; rank >= child.first + child.count; i++)
            child = below(here, k, i);
        *ret_parent = root;
        here = child;
    }
    return here;
}

static void take(weft_plan *p, int slot, int from, weft_span whole)
{
    weft_plan_recv(p, slot, from, whole);
    weft_plan_fence(p);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    const int k = arity(s);
    int parent;
    const run mine = find(s->rank, s->size, k, &parent);
    const int n = children(mine.count, k), left = on_left(mine.count, k);

    for (int i = 0; i < n; i++) {
        take(p, i == 0 ? SUM : GOT, root_of(below(mine, k, i), k), whole);
        if (i > 0)
            weft_plan_merge(p, SUM, GOT, false);
        if (i == left - 1)
            weft_plan_fold(p, SUM, whole);
    }
    if (n == 0)
        weft_plan_pack(p, SUM, whole);
    if (parent >= 0) {
        weft_plan_send(p, SUM, parent);
        take(p, RESULT, parent, whole);
    }
    const int result = parent >= 0 ? RESULT : SUM;
    for (int i = 0; i < n; i++)
        weft_plan_send(p, result, root_of(below(mine, k, i), k));
    weft_plan_unpack(p, result, whole);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_tree = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "tree",
    .summary = "a k-ary tree or a chain, up and down again",
    .source = "Chan, Heimlich, Purkayastha & van de Geijn 2007; Sanders, Speck & Träff 2009",
    .formula = "2h rounds, h of a k-ary tree of P, (k+1) n w bytes",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_ORDERED,
    .params = params,
    .cost = cost,
    .build = build,
};
