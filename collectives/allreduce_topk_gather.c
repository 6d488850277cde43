/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Top-k by allgather: every sparse vector travels around the ring, everybody adds all of them. The
 * plan and the price are those of gather (allreduce_gather.c); here it is asked for by the name
 * that goes with gtopk_tree and gtopk_butterfly, of which it is the exact counterpart: the sum of
 * all contributions, up to k P elements.
 *
 * P - 1 rounds, (P-1) k pairs.
 * Source: Lin, Han, Mao, Wang & Dally, Deep gradient compression, ICLR 2018.
 */
#include "collectives/algo.h"

extern const weft_algo weft_algo_allreduce_gather;

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    return weft_algo_allreduce_gather.cost(s, width, reply);
}

static int build(weft_plan *p, const weft_shape *s)
{
    return weft_algo_allreduce_gather.build(p, s);
}

const weft_algo weft_algo_allreduce_topk_gather = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "topk_gather",
    .summary = "sparse vectors travel around a ring, everybody adds all of them",
    .source = "Lin et al. 2018",
    .formula = "P-1 rounds, (P-1) k pairs",
    .needs = WEFT_NEEDS_PAIRS,
    .traits = WEFT_ALGO_RING | WEFT_ALGO_ORDERED | WEFT_ALGO_NAMED,
    .cost = cost,
    .build = build,
};
