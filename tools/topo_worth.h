/* SPDX-License-Identifier: Apache-2.0 */
/* Is a compressed operation worth it, and on which links? */
#ifndef WEFT_TOOLS_TOPO_WORTH_H
#define WEFT_TOOLS_TOPO_WORTH_H

#include <stdbool.h>
#include <stdio.h>

#include <weft/explain.h>

typedef struct weft_worth {
    weft_candidate dense;      /* the cheapest without a codec */
    double encode_s, decode_s; /* of the vector on this machine, measured; 0: the codec was not */
    double link;               /* bytes a second: on faster links dense is faster; 0: it always is,
                                  INFINITY: never */
} weft_worth;

/* Of the query and of what runs for it. false: there is nothing to compare, it is dense. */
bool weft_topo_worth(const weft_query *q, const weft_candidate *runs, weft_worth *ret);
void weft_topo_print_worth(FILE *to, const weft_candidate *runs, const weft_worth *w);

#endif
