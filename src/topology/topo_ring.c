/* SPDX-License-Identifier: Apache-2.0 */
/* ring: r is next to r - 1 and r + 1 modulo P. Two peers share one edge. */
#include "topology/topology.h"

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    (void)type;
    (void)spec;
    for (int r = 0; e->size > 1 && r < e->size; r++)
        weft_edges_add(e, r, (r + 1) % e->size);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_topology_type weft_topo_ring;
const weft_topology_type weft_topo_ring = {
    .name = "ring",
    .summary = "a cycle of the ranks in order",
    .source = "",
    .formula = "degree 2, diameter floor(P/2)",
    .params = params,
    .build = build,
};
