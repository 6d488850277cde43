/* SPDX-License-Identifier: Apache-2.0 */
/* hypercube: ranks that differ in one bit are neighbours. P = 2^d. */
#include "base/status.h"
#include "topology/topology.h"

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    int below = 1;
    (void)spec;
    while (below <= e->size / 2)
        below *= 2;
    if (below != e->size && 2 * below > WEFT_GRAPH_PEERS)
        return weft_fail(WEFT_EINVAL, "topology %s: %d peers are no power of two; %d are",
                         type->name, e->size, below);
    if (below != e->size)
        return weft_fail(WEFT_EINVAL, "topology %s: %d peers are no power of two; %d and %d are",
                         type->name, e->size, below, 2 * below);
    for (int r = 0; r < e->size; r++)
        for (int bit = 1; bit < e->size; bit *= 2)
            if (!(r & bit))
                weft_edges_add(e, r, r | bit);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_topology_type weft_topo_hypercube;
const weft_topology_type weft_topo_hypercube = {
    .name = "hypercube",
    .summary = "ranks that differ in one bit; P a power of two",
    .source = "",
    .formula = "degree and diameter lg P",
    .params = params,
    .build = build,
};
