/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form of edge lists and matrices of links, told in weft/topology.h: lines of two ranks
 * and, where there, a rate and a latency. Files come from anywhere: sizes, ranks and words are
 * bounded before anything is reserved for them, and errors name file and line.
 */
#ifndef WEFT_TOPOLOGY_LINKFILE_H
#define WEFT_TOPOLOGY_LINKFILE_H

#include <stddef.h>

#include "topology/graph.h"

enum { WEFT_LINKFILE_BYTES = 64 << 20, WEFT_LINKFILE_ENTRIES = 1 << 22 };

/* A line: from a to b. */
typedef struct weft_link_entry {
    int a, b;                /* different; below the number of peers where the file tells that */
    int line;                /* counted from 1 */
    int given;               /* values there: 0, 1 the rate, 2 the latency too */
    weft_edge_values values; /* 0 where not given */
} weft_link_entry;

typedef struct weft_linkfile {
    char name[64];       /* for error texts: the end of the path */
    int peers;           /* "peers N"; 0: the file does not tell */
    int most, most_line; /* largest rank and where it stands; -1: no entries */
    weft_link_entry *entries;
    size_t count, cap;
} weft_linkfile;

/* Read a regular file. 0; WEFT_EIO; WEFT_EINVAL malformed; WEFT_ENOMEM. */
int weft_linkfile_open(weft_linkfile *ret, const char *path);
/* The same from a text, of which `name` is told in errors. */
int weft_linkfile_parse(weft_linkfile *ret, const char *name, const char *text, size_t len);
void weft_linkfile_free(weft_linkfile *f);

/* Number of peers: `wanted`, or what the file tells when that is 0. WEFT_EINVAL when they differ, a
 * rank does not fit, or it is none of 1 … most. */
int weft_linkfile_peers(const weft_linkfile *f, int wanted, int most, int *ret);

/* The undirected graph of an edge list, connected; size as wanted above. */
int weft_linkfile_graph(const weft_linkfile *f, int size, weft_graph *ret);

#endif
