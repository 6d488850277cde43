/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Top-k by regions. The lane is cut into P spans; rank i adds up what all have selected in span i,
 * keeps the k/P largest of those sums and sends them to everybody. P = 4, m1(c) = the part in span
 * c of the k elements that rank 1 has selected:
 *
 *   round   to owner 0 (a)       to owner 1 (b)       to owner 2 (c)       to owner 3 (d)
 *   1       m1(a) m2(a) m3(a)    m0(b) m2(b) m3(b)    m0(c) m1(c) m3(c)    m0(d) m1(d) m2(d)
 *           every owner decodes all P, its own too, adds them in rank order, selects k/P
 *   2       the owner sends what it selected to everybody
 *
 * 2 rounds, at most 2 (P-1)/P k pairs a peer where the selected are spread evenly, whatever P is:
 * the plan is scatter's (allreduce_scatter.c). Sums are of all contributions, no merge drops
 * anything; who selected an element that no owner kept takes it back: no mass is lost. Merged.
 * With opts.regions spans hold as many of the selected, by the mean of where the peers' selections
 * would be cut, and what selected them selects again, for `every` operations: codec/regions.h.
 * Source: Li & Hoefler, Near-optimal sparse allreduce for distributed deep learning, PPoPP 2022.
 */
#include "collectives/algo.h"

extern const weft_algo weft_algo_allreduce_scatter;

static const weft_param params[] = {
    {.key = "every",
     .value = "64",
     .min = 1,
     .max = 1e6,
     .integer = 1,
     .help = "operations between two exact selections and new cuts, with regions kept"},
    {.key = NULL},
};

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    return weft_algo_allreduce_scatter.cost(s, width, reply);
}

static int build(weft_plan *p, const weft_shape *s)
{
    return weft_algo_allreduce_scatter.build(p, s);
}

const weft_algo weft_algo_allreduce_oktopk = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "oktopk",
    .summary = "every rank adds up the sparse vectors of one span for all and keeps its largest",
    .source = "Li & Hoefler 2022",
    .formula = "2 rounds, 2(P-1)/P k pairs",
    .params = params,
    .needs = WEFT_NEEDS_PAIRS,
    .traits = WEFT_ALGO_REPLIES | WEFT_ALGO_ORDERED | WEFT_ALGO_NAMED | WEFT_ALGO_SPLITS,
    .parts = weft_parts_size,
    .cost = cost,
    .build = build,
};
