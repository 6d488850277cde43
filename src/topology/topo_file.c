/* SPDX-License-Identifier: Apache-2.0 */
/* file: any connected graph, from an edge list (weft/topology.h tells the form). */
#include "base/status.h"
#include "topology/linkfile.h"
#include "topology/topology.h"

static int make(const weft_topology_type *type, const weft_spec *spec, int size, weft_graph *ret)
{
    weft_linkfile f;
    int code = weft_linkfile_open(&f, weft_spec_text(spec, 0));
    if (code == WEFT_OK) {
        code = weft_linkfile_graph(&f, size, ret);
        weft_linkfile_free(&f);
    }
    return code == WEFT_OK ? code : weft_fail_context("topology %s", type->name);
}

static const weft_param params[] = {{.key = "path",
                                     .value = "",
                                     .min = 1,
                                     .max = 480,
                                     .text = 1,
                                     .help = "the edge list: lines of two ranks, rate, latency"},
                                    {.key = NULL}};

extern const weft_topology_type weft_topo_file;
const weft_topology_type weft_topo_file = {
    .name = "file",
    .summary = "any connected graph, from an edge list with rates and latencies",
    .source = "",
    .formula = "",
    .params = params,
    .make = make,
};
