/* SPDX-License-Identifier: Apache-2.0 */
/* Is a compressed operation worth it, and on which links? */
#ifndef WEFT_TOOLS_TOPO_WORTH_H
#define WEFT_TOOLS_TOPO_WORTH_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>
#include <weft/explain.h>

/* On which links dense is faster. */
typedef enum weft_worth_where {
    WEFT_WORTH_NOWHERE,
    WEFT_WORTH_ABOVE, /* on links of more than `link` */
    WEFT_WORTH_BELOW, /* on links of less */
    WEFT_WORTH_EVERYWHERE,
} weft_worth_where;

typedef struct weft_worth {
    weft_candidate dense;      /* the cheapest without a codec */
    double encode_s, decode_s; /* of the vector on this machine, measured; 0: the codec was not */
    weft_worth_where where;
    double link; /* bytes a second, where both take as long, each by the algorithm that is the
                    cheapest there or is asked for; 0: there is no such link */
} weft_worth;

/* Of a query for which something runs. false: there is nothing to compare, it is dense. */
bool weft_topo_worth(const weft_query *q, weft_worth *ret);
void weft_topo_print_worth(FILE *to, const weft_worth *w);
json_t *weft_topo_worth_json(const weft_worth *w);

#endif
