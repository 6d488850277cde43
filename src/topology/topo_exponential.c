/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exponential: r is next to r + 1, r + 2, r + 4, ... modulo P, and so to r - 1, r - 2, r - 4, ...:
 * the undirected closure of the static exponential graph.
 */
#include "topology/topology.h"

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    (void)type;
    (void)spec;
    for (int r = 0; r < e->size; r++)
        for (int hop = 1; hop < e->size; hop *= 2)
            weft_edges_add(e, r, (r + hop) % e->size);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_topology_type weft_topo_exponential;
const weft_topology_type weft_topo_exponential = {
    .name = "exponential",
    .summary = "ranks 1, 2, 4, 8, ... apart, both ways around",
    .source = "Ying, Yuan, Chen, Hu, Pan & Yin 2021",
    .formula = "degree about 2 lg P, diameter about lg(P)/2",
    .params = params,
    .build = build,
};
