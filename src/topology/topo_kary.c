/* SPDX-License-Identifier: Apache-2.0 */
/* tree: k-ary, numbered by levels: r hangs on (r - 1) / k. */
#include "topology/topology.h"

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    const int arity = (int)weft_topology_number(type, spec, "arity");
    for (int r = 1; r < e->size; r++)
        weft_edges_add(e, (r - 1) / arity, r);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = "arity",
                                     .value = "2",
                                     .min = 1,
                                     .max = WEFT_GRAPH_PEERS,
                                     .integer = 1,
                                     .help = "k: children of an inner node; 1: a chain"},
                                    {.key = NULL}};

extern const weft_topology_type weft_topo_kary;
const weft_topology_type weft_topo_kary = {
    .name = "tree",
    .summary = "a k-ary tree below rank 0, numbered level by level",
    .source = "",
    .formula = "degree up to k+1, diameter about 2 log P / log k",
    .params = params,
    .build = build,
};
