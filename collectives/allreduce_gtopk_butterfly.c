/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gTop-k by a butterfly: pairs exchange sparse vectors over distances 1, 2, 4, … and both keep the
 * k largest of the sum. The exchange is recursive doubling's (doubled.c), any P: where it is no
 * power of two, with Q the largest up to P, rank Q+i merges into rank i first and gets the result
 * back:
 *
 *   round   0         1         2         3
 *   1       <- m0 m1 ->         <- m2 m3 ->          both hold T(m0, m1); both T(m2, m3)
 *   2       <---- T ------ T ---->                   all hold T(T(m0, m1), T(m2, m3))
 *
 * k lg P pairs a peer and no way back. With P a power of two the bits are those of gtopk_tree; else
 * the ranks that fold into another first make it another order. The operand of the lower ranks
 * stands first: same bits everywhere. Merged. All members of a merged run of ranks make the same
 * merge, and exactly one keeps what it drops.
 * Source: Shi, Wang, Chu, Tang, Wang & Li, ICDCS 2019, with an exchange for the tree; residual
 * rules: sparse.h.
 */
#include "collectives/doubled.h"

extern const weft_algo weft_algo_allreduce_doubling;

static const weft_param params[] = {
    {.key = "residual",
     .value = "patch",
     .choices = "patch|keep|hash|paper",
     .help = "what merges drop: keep: who merges keeps it; hash: shared out by index; paper: who "
             "sent an index that lost takes it back, the rest is lost; patch: as paper, and who "
             "merges keeps the rest"},
    {.key = NULL},
};

static weft_shape bare(const weft_shape *s)
{
    weft_shape b = *s;

    b.spec = NULL;
    return b;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_shape b = bare(s);

    return weft_algo_allreduce_doubling.cost(&b, width, reply);
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_shape b = bare(s);

    return weft_doubled(p, &b, WEFT_FOLD_BEHIND);
}

const weft_algo weft_algo_allreduce_gtopk_butterfly = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "gtopk_butterfly",
    .summary = "the k largest of sums of sparse vectors, exchanged over distances 1, 2, 4, ...",
    .source = "Shi et al. 2019",
    .formula = "lg Q + [P>Q] + [P>3Q/2] rounds of k pairs, Q the power of two up to P",
    .needs = WEFT_NEEDS_PAIRS,
    .traits = WEFT_ALGO_NAMED | WEFT_ALGO_SELECTS,
    .params = params,
    .cost = cost,
    .build = build,
};
