/* SPDX-License-Identifier: Apache-2.0 */
/* star: everybody is next to the centre only. */
#include "base/status.h"
#include "topology/topology.h"

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    const int centre = (int)weft_topology_number(type, spec, "centre");
    if (centre >= e->size)
        return weft_fail(WEFT_EINVAL, "topology %s: centre %d of %d peers; 0 to %d are there",
                         type->name, centre, e->size, e->size - 1);
    for (int r = 0; r < e->size; r++)
        if (r != centre)
            weft_edges_add(e, centre, r);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = "centre",
                                     .value = "0",
                                     .min = 0,
                                     .max = WEFT_GRAPH_PEERS - 1,
                                     .integer = 1,
                                     .help = "rank in the middle"},
                                    {.key = NULL}};

extern const weft_topology_type weft_topo_star;
const weft_topology_type weft_topo_star = {
    .name = "star",
    .summary = "one rank in the middle, all others around it",
    .source = "",
    .formula = "degree 1 and P-1, diameter 2",
    .params = params,
    .build = build,
};
