/* SPDX-License-Identifier: Apache-2.0 */
/* complete: everybody is next to everybody. */
#include <assert.h>

#include "base/status.h"
#include "topology/topology.h"

enum { LARGEST = 4096 };
static_assert(LARGEST * (LARGEST - 1) / 2 <= WEFT_GRAPH_EDGES, "no room for that many edges");

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    (void)spec;
    if (e->size > LARGEST)
        return weft_fail(WEFT_ENOTSUP,
                         "topology %s: %d peers have more than %d edges; up to %d "
                         "peers fit",
                         type->name, e->size, (int)WEFT_GRAPH_EDGES, LARGEST);
    for (int a = 0; a < e->size; a++)
        for (int b = a + 1; b < e->size; b++)
            weft_edges_add(e, a, b);
    return WEFT_OK;
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_topology_type weft_topo_complete;
const weft_topology_type weft_topo_complete = {
    .name = "complete",
    .summary = "an edge between any two; up to 4096 peers",
    .source = "",
    .formula = "degree P-1, diameter 1",
    .params = params,
    .build = build,
};
