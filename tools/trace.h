/* SPDX-License-Identifier: Apache-2.0 */
/* What a run reports every so many steps. Bits and bytes are means over peers unless said. */
#ifndef WEFT_TOOLS_TRACE_H
#define WEFT_TOOLS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

typedef struct weft_trace_point {
    uint64_t step;        /* updates done; 0 is the start */
    double f, gap;        /* objective, and what is left to the minimum; NaN: not known */
    double grad_norm;     /* of the smallest subgradient; NaN: not known */
    double test_loss;     /* mean over the test data, without penalties; NaN: no test data */
    double accuracy;      /* share of the test data that is classified right; NaN: none */
    double up_bits;       /* own encoded messages, each counted once, since the start */
    double sent_bits;     /* message bodies handed to links, since the start */
    double sent_bits_max; /* of the peer that sent most */
    double wire_bytes;    /* with headers */
    double seconds;       /* of gradients and steps, evaluation apart */
    /* Of these, means over peers: */
    double gradient_seconds; /* in computing gradients */
    double
        operation_seconds; /* from the begin of a step's first operation to the end of its last */
    double wait_seconds;   /* waiting for operations with all gradients known: 1 - wait/operation
                              is the share of communication that ran beside gradients */
} weft_trace_point;

typedef struct weft_trace {
    weft_trace_point *points;
    size_t count, cap;
} weft_trace;

/* false: out of memory. */
bool weft_trace_add(weft_trace *trace, const weft_trace_point *point);
void weft_trace_free(weft_trace *trace);
/* First traced point whose gap is at most so much, NULL: none. */
const weft_trace_point *weft_trace_reached(const weft_trace *trace, double gap);
const weft_trace_point *weft_trace_last(const weft_trace *trace); /* NULL when empty */
/* A JSON array, one object a point. NULL: out of memory. */
json_t *weft_trace_json(const weft_trace *trace);

#endif
