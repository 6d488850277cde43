/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives themselves: names, and what each has to reach. */
#include "collectives/algo.h"

#include <weft/topology.h>

const char *weft_coll_name(weft_coll coll)
{
    static const char *const names[WEFT_COLL_COUNT] = {
        [WEFT_COLL_ALLREDUCE] = "allreduce",
        [WEFT_COLL_REDUCE] = "reduce",
        [WEFT_COLL_BROADCAST] = "broadcast",
        [WEFT_COLL_ALLGATHER] = "allgather",
        [WEFT_COLL_GATHER] = "gather",
        [WEFT_COLL_SCATTER] = "scatter",
        [WEFT_COLL_REDUCE_SCATTER] = "reduce_scatter",
        [WEFT_COLL_ALLTOALL] = "alltoall",
        [WEFT_COLL_NEIGHBOR_AVERAGE] = "neighbor_average",
        [WEFT_COLL_BARRIER] = "barrier",
    };
    return (unsigned)coll < WEFT_COLL_COUNT ? names[coll] : "unknown";
}

bool weft_coll_reduces(weft_coll coll)
{
    return coll == WEFT_COLL_ALLREDUCE || coll == WEFT_COLL_REDUCE ||
           coll == WEFT_COLL_REDUCE_SCATTER;
}

bool weft_coll_rooted(weft_coll coll)
{
    return coll == WEFT_COLL_REDUCE || coll == WEFT_COLL_BROADCAST || coll == WEFT_COLL_GATHER ||
           coll == WEFT_COLL_SCATTER;
}

int weft_coll_in_blocks(weft_coll coll, int size)
{
    return coll == WEFT_COLL_REDUCE_SCATTER || coll == WEFT_COLL_SCATTER ||
                   coll == WEFT_COLL_ALLTOALL
               ? size
               : 1;
}

int weft_coll_out_blocks(weft_coll coll, int size)
{
    return coll == WEFT_COLL_ALLGATHER || coll == WEFT_COLL_GATHER || coll == WEFT_COLL_ALLTOALL
               ? size
               : 1;
}

static bool neighbors(const void *graph, int a, int b)
{
    return graph && weft_topology_edge(graph, a, b, NULL, NULL) == WEFT_OK;
}

weft_goal weft_shape_goal(const weft_shape *s)
{
    weft_goal g = {.kind = weft_coll_reduces(s->coll) ? WEFT_GOAL_REDUCE : WEFT_GOAL_COPY,
                   .size = s->size,
                   .count = s->count,
                   .in_blocks = weft_coll_in_blocks(s->coll, s->size),
                   .out_blocks = weft_coll_out_blocks(s->coll, s->size),
                   .root = -1,
                   .sink = -1};

    if (s->coll == WEFT_COLL_BROADCAST || s->coll == WEFT_COLL_SCATTER)
        g.root = s->root;
    if (s->coll == WEFT_COLL_REDUCE || s->coll == WEFT_COLL_GATHER)
        g.sink = s->root;
    if (s->coll == WEFT_COLL_BARRIER)
        g.kind = WEFT_GOAL_MEET;
    if (s->coll == WEFT_COLL_NEIGHBOR_AVERAGE) {
        g.kind = WEFT_GOAL_MIX;
        g.takes = neighbors;
        g.who = s->graph;
    }
    return g;
}

weft_goal weft_algo_goal(const weft_algo *a, const weft_shape *s)
{
    weft_goal g = weft_shape_goal(s);

    g.ordered = (a->traits & WEFT_ALGO_ORDERED) && !s->order;
    return g;
}
