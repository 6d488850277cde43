/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Undirected graphs on the ranks 0 … size-1: for every rank its neighbours, ascending, one behind
 * the other (compressed rows). Every edge stands in both its rows.
 */
#ifndef WEFT_TOPOLOGY_GRAPH_H
#define WEFT_TOPOLOGY_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEFT_GRAPH_PEERS = 65535,   /* a rank takes 16 bits on the wire */
    WEFT_GRAPH_EDGES = 8388608, /* a complete graph of 4096 peers has 8 386 560 */
    WEFT_GRAPH_MEASURED = 4096  /* most peers whose diameter and spectral gap are worked out */
};

/* Of an edge: bytes per second (0: not known) and seconds (0: none, or not known). */
typedef struct weft_edge_values {
    double rate, latency;
} weft_edge_values;

typedef struct weft_graph {
    int size;
    size_t *first;            /* size + 1: row of rank r is first[r] … first[r + 1] - 1 */
    int *peer;                /* the neighbours */
    weft_edge_values *values; /* beside peer; NULL: no edge has any */
} weft_graph;

/* A growing list of edges, to make a graph of. The first failure sticks in `failed`. */
typedef struct weft_edges {
    int size;
    int (*pair)[2];
    size_t count, cap;
    int failed;
} weft_edges;

/* Add an edge between two different ranks of 0 … size-1; either way round, and again, is fine. */
void weft_edges_add(weft_edges *e, int a, int b);
void weft_edges_free(weft_edges *e);

/* Make the graph of a list; values, beside e->pair, or NULL. Edges that come twice become one, with
 * the values of either. 0; WEFT_ENOMEM; what e->failed holds. */
int weft_graph_make(weft_graph *ret, const weft_edges *e, const weft_edge_values *values);
void weft_graph_free(weft_graph *g);

static inline int weft_graph_degree(const weft_graph *g, int rank)
{
    return (int)(g->first[rank + 1] - g->first[rank]);
}

static inline const int *weft_graph_row(const weft_graph *g, int rank)
{
    return g->peer + g->first[rank];
}

/* Index into g->peer of b in the row of a; SIZE_MAX: no such edge. */
size_t weft_graph_find(const weft_graph *g, int a, int b);

/* 0, or WEFT_EINVAL with the connected parts in the text, behind "what: ". Or WEFT_ENOMEM. */
int weft_graph_check_connected(const weft_graph *g, const char *what);
/* Whether the graph of a list is connected, for those who would draw another. 0; WEFT_ENOMEM; what
 * e->failed holds. */
int weft_edges_connected(const weft_edges *e, bool *ret);

/* For every rank the most edges of a shortest way to any other. g is connected. 0 or WEFT_ENOMEM.
 */
int weft_graph_eccentricities(const weft_graph *g, int *ret);

/* A rank's row of the mixing matrix: its weight on itself, and those of its neighbours in their
 * order (room for its degree). Under the default floating-point environment: the same bits
 * everywhere (src/topology/mixing.c). */
void weft_mixing_row(const weft_graph *g, int rank, double *ret_self, double *ret_neighbors);
/* 1 - max(|second largest|, |smallest|) eigenvalue of the mixing matrix. 0; WEFT_ENOTSUP too many
 * peers; WEFT_ENOMEM; WEFT_EINTERNAL. */
int weft_mixing_gap(const weft_graph *g, double *ret);

/*
 * Spanning trees along the edges of a connected graph (src/topology/spanning.c).
 *
 * Breadth first: ret_depth[r] is the fewest edges from root to r, ret_parent[r] the lowest rank
 * among r's neighbours one nearer to the root; -1 for the root. Either may be NULL. 0; WEFT_EINVAL
 * root out of range; WEFT_ENOMEM.
 */
int weft_graph_tree(const weft_graph *g, int root, int *ret_parent, int *ret_depth);
/*
 * A root whose breadth-first tree is shallow. To WEFT_GRAPH_MEASURED peers it is the lowest rank of
 * least eccentricity: the shallowest tree there is. For more: u is the farthest from rank 0, w the
 * farthest from u (lowest ranks among equals), and the root is the middle of the way from u to w:
 * exact for trees, at most twice as deep as needed for any graph.
 */
int weft_graph_centre(const weft_graph *g, int *ret);

#endif
