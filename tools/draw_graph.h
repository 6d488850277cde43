/* SPDX-License-Identifier: Apache-2.0 */
/* A topology as a picture: its graph, its measures, the weights of a mixing step. */
#ifndef WEFT_TOOLS_DRAW_GRAPH_H
#define WEFT_TOOLS_DRAW_GRAPH_H

#include <stdio.h>

#include <weft/topology.h>

enum { WEFT_GRAPH_PEERS = 256 }; /* a picture of more shows nothing */

/* What can be told of a topology. */
typedef struct weft_graph_facts {
    size_t edges;
    int degree_min, degree_max, diameter;
    double gap; /* spectral, of the mixing matrix */
} weft_graph_facts;

/* 0, or a code with weft_last_error(). */
int weft_graph_facts_get(const weft_topology *topology, weft_graph_facts *ret);
/* summary: one line below the title. hosts: per peer, NULL: all on one. -1: no memory. */
int weft_graph_put(const weft_topology *topology, const weft_graph_facts *facts,
                   const char *summary, const int *hosts, FILE *to);

#endif
