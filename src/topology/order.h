/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of peers for rings and trees, from rates and latencies between all pairs. */
#ifndef WEFT_TOPOLOGY_ORDER_H
#define WEFT_TOPOLOGY_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "topology/graph.h"
#include "topology/linkfile.h"
#include <weft/topology.h>

enum { WEFT_LINKS_PEERS = 1024 };

struct weft_links {
    int size;
    weft_edge_values *at; /* [from * size + to]; nothing on the diagonal */
};

/* Links of a file of directed lines; every ordered pair must be there. */
int weft_linkfile_links(const weft_linkfile *f, weft_links **ret);

/* What a message between two peers takes in the slower direction, that with the greater time. */
typedef struct weft_hop {
    double time; /* latency + bytes / rate */
    double busy; /* bytes / rate: until the next message can follow */
} weft_hop;

/* size × size, symmetric, weft_free() it. NULL: out of memory, told. Worked out under the default
 * floating-point environment, as all that decides about an order. */
weft_hop *weft_hops_make(const weft_links *links, size_t bytes);
/* 0, or WEFT_EINVAL when order does not hold every rank once; or WEFT_ENOMEM. */
int weft_order_check(const char *what, const int *order, int size);

/* Of two orders the better one has the smaller `first`, then the smaller `then`. */
typedef struct weft_score {
    double first, then;
} weft_score;

/* Better by more than rounding, so that a search that goes from better to better ends. */
static inline bool weft_score_better(weft_score a, weft_score b)
{
    const double much = 1.0 - 1e-12;
    return a.first < b.first * much || (a.first <= b.first && a.then < b.then * much);
}

#endif
