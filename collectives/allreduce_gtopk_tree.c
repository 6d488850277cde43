/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gTop-k by a binomial tree: every merge keeps the k largest of the sum of two sparse vectors, the
 * result at rank 0 goes back to all. The plan is the binomial tree's (allreduce_binomial.c), any P:
 *
 *   round   0          1          2          3
 *   1       m0 <------ m1         m2 <------ m3         T(m0, m1), T(m2, m3)
 *   2       T <------------------ T                     T(T(m0, m1), T(m2, m3))
 *   3, 4    back
 *
 * O(k lg P) pairs at rank 0. T commutes but does not associate: the tree is part of the result.
 * Made once and copied as bytes: same bits everywhere. Merged. What a merge drops is known to its
 * receiver alone, which is why the rule `hash` is not for trees.
 * Source: Shi, Wang, Chu, Tang, Wang & Li, A distributed synchronous SGD algorithm with global
 * top-k sparsification for low bandwidth networks, ICDCS 2019; residual rules: sparse.h.
 */
#include <stdio.h>

#include "collectives/algo.h"

extern const weft_algo weft_algo_allreduce_binomial;

static const weft_param params[] = {
    {.key = "residual",
     .value = "patch",
     .choices = "patch|keep|hash|paper",
     .help = "what merges drop: keep: who merges keeps it; hash: shared out by index; paper: who "
             "sent an index that lost takes it back, the rest is lost; patch: as paper, and who "
             "merges keeps the rest"},
    {.key = NULL},
};

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    const bool hash = weft_shape_choice(s, 0) == 2;

    if (hash)
        snprintf(why, cap,
                 "gives residual=hash to all that make one merge, which in a tree is one: "
                 "gtopk_butterfly has it");
    return hash;
}

static weft_shape bare(const weft_shape *s)
{
    weft_shape b = *s;

    b.spec = NULL;
    return b;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_shape b = bare(s);

    return weft_algo_allreduce_binomial.cost(&b, width, reply);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_shape b = bare(s);

    return weft_algo_allreduce_binomial.build(p, &b);
}

const weft_algo weft_algo_allreduce_gtopk_tree = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "gtopk_tree",
    .summary = "the k largest of sums of sparse vectors, up a binomial tree and back",
    .source = "Shi et al. 2019",
    .formula = "2 floor(lg P) rounds, ceil(lg P) k pairs at rank 0",
    .needs = WEFT_NEEDS_PAIRS,
    .traits = WEFT_ALGO_NAMED | WEFT_ALGO_SELECTS,
    .params = params,
    .refuses = refuses,
    .cost = cost,
    .build = build,
};
