/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topologies: graphs by name. A row of topologies.def and one file each.
 *
 * A builder lists edges; topology.c makes the graph of them, checks that it is connected and works
 * out what is asked. Instances are immutable: any thread may use one at any time.
 */
#ifndef WEFT_TOPOLOGY_TOPOLOGY_H
#define WEFT_TOPOLOGY_TOPOLOGY_H

#include "base/spec.h"
#include "topology/graph.h"
#include <weft/topology.h>

#define WEFT_TOPOLOGY_SEED_MOST 4294967295.0

typedef struct weft_topology_type weft_topology_type;
struct weft_topology_type {
    const char *name, *summary, *source;
    const char *formula;      /* degree and diameter in closed form, for people; "" */
    const weft_param *params; /* ends with key NULL */
    /* List the edges of a graph of so many peers (e->size, 1 or more). WEFT_EINVAL, with the sizes
     * that fit in the text, when there is none; failures of weft_edges_add() need no care. NULL:
     * make is there. */
    int (*build)(const weft_topology_type *type, const weft_spec *spec, weft_edges *e);
    /* Instead of build: make the whole graph; size 0: as large as it says itself. */
    int (*make)(const weft_topology_type *type, const weft_spec *spec, int size, weft_graph *ret);
};

struct weft_topology {
    const weft_topology_type *type;
    char text[WEFT_SPEC_TEXT]; /* the full SPEC */
    weft_graph graph;
    uint64_t digest;
};

/* Row of the table by position, NULL behind the last. */
const weft_topology_type *weft_topology_type_at(int index);

/* What is left of a topology among some of its peers, which become 0 … size-1 in the order of
 * `ranks` (each once). Its SPEC is that of the whole. 0; WEFT_EINVAL they are not connected;
 * WEFT_ENOMEM. */
int weft_topology_among(const weft_topology *whole, const int *ranks, int size,
                        weft_topology **ret);

/* Value of the number parameter `key`, which must be in the type's table. */
double weft_topology_number(const weft_topology_type *type, const weft_spec *spec, const char *key);

#endif
