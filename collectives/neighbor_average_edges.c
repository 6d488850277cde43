/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour averaging: one mixing step over a topology. Every rank sends its vector to each
 * neighbour and takes the weighted mean of its own and theirs, with the Metropolis-Hastings weights
 * of the topology. P = 4, edges 0-1, 1-2, 2-3:
 *
 *   round 1   0 <-> 1   1 <-> 2   2 <-> 3
 *             x0 = w00 x0 + w01 x1     x1 = w10 x0 + w11 x1 + w12 x2     ...
 *
 * 1 round; d n w bytes at a rank of d neighbours. Order: terms by ascending rank, each product
 * rounded, then added. The sum over all ranks of the result is that of the input, to rounding; the
 * results of different ranks are different.
 * Source: Xiao & Boyd, Fast linear iterations for distributed averaging, 2004; Lian et al., Can
 * decentralized algorithms outperform centralized algorithms?, 2017.
 */
#include "base/mem.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "collectives/spread.h"
#include <weft/topology.h>

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    int most = 0;

    (void)reply;
    if (s->graph)
        weft_topology_degree(s->graph, NULL, &most);
    const double bytes = most * (double)s->count * width;
    return (weft_cost){.rounds = most > 0,
                       .messages = most,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = most};
}

enum { SENT, OWN, CAME };

static void take(weft_plan *p, const weft_shape *s, int slot, double weight, bool first)
{
    weft_plan_scale(p, slot, weight);
    if (first)
        weft_plan_unpack(p, slot, weft_whole(s, 0));
    else
        weft_plan_add(p, slot, weft_whole(s, 0));
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_span whole = weft_whole(s, 0);
    int degree = 0;
    const int *peers = weft_topology_neighbors(s->graph, s->rank, &degree);
    double *weights = weft_calloc((size_t)degree + 1, sizeof *weights), self = 1;
    bool first = true, own = false;
    int rc = weights ? weft_topology_weights(s->graph, s->rank, &self, weights)
                     : weft_fail(WEFT_ENOMEM, "no memory for %d weights", degree);

    weft_plan_pack(p, SENT, whole);
    weft_plan_pack(p, OWN, whole); /* what was sent may not be changed */
    for (int i = 0; !rc && i < degree; i++)
        weft_plan_send(p, SENT, peers[i]);
    for (int i = 0; !rc && i < degree; i++, first = false) {
        if (!own && peers[i] > s->rank) {
            take(p, s, OWN, self, first);
            own = true;
            first = false;
        }
        weft_plan_recv(p, CAME, peers[i], whole);
        weft_plan_fence(p);
        take(p, s, CAME, weights[i], first);
    }
    if (!rc && !own)
        take(p, s, OWN, self, first);
    weft_free(weights);
    return rc ? rc : weft_plan_check(p);
}

const weft_algo weft_algo_neighbor_average_edges = {
    .coll = WEFT_COLL_NEIGHBOR_AVERAGE,
    .name = "edges",
    .summary = "every rank takes the weighted mean of its own and its neighbours' vectors",
    .source = "Xiao & Boyd 2004",
    .formula = "1 round, d n w bytes at a rank of d neighbours",
    .needs = WEFT_NEEDS_ELEMENTS,
    .traits = WEFT_ALGO_GRAPH,
    .refuses = weft_spread_refuses,
    .cost = cost,
    .build = build,
};
