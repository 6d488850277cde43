/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `weft bench tune` measures: every algorithm at every size is a cell; a round goes through
 * all of them, so that what disturbs the machine for a while disturbs all alike.
 */
#ifndef WEFT_TOOLS_TUNE_CELLS_H
#define WEFT_TOOLS_TUNE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "cost_fit.h"
#include "peers.h"

enum { WEFT_TUNE_ALGOS = 32, WEFT_TUNE_SIZES = 64 };

typedef struct weft_tune_settings {
    const weft_cli *cli;
    size_t begin, end; /* bytes */
    double factor;
    int64_t iters;        /* rounds; 0: by time */
    const char *before;   /* the cost table that there is; NULL: the built-in one */
    const char *topology; /* SPEC; NULL: everybody to everybody */
} weft_tune_settings;

typedef struct weft_tune_cell {
    int size, algo;                 /* which of them */
    double measured, before, after; /* seconds: median of the slowest peer's; prices */
} weft_tune_cell;

typedef struct weft_tune {
    weft_peer *peer;
    const weft_tune_settings *s;
    weft_topology *topology;
    char algos[WEFT_TUNE_ALGOS][WEFT_EXPLAIN_ALGO]; /* SPECs */
    int algo_count;
    size_t sizes[WEFT_TUNE_SIZES]; /* bytes */
    int size_count;
    weft_tune_cell *cells;                /* by size, then algorithm; an algorithm may lack sizes */
    weft_fit_row *rows;                   /* one for each cell */
    double constants[WEFT_FIT_CONSTANTS]; /* of the cost table that there is */
    size_t cell_count, rounds;
    double *times; /* [round][cell], seconds of the slowest peer */
    float *in, *out;
} weft_tune;

/* Algorithms, sizes and prices. 0, or the exit status after telling; release in any case. */
int weft_tune_prepare(weft_tune *t);
/* Measure, on every peer: each cell's and row's time. 0, or the exit status after telling. */
int weft_tune_measure(weft_tune *t);
/* Price the cells once more, into `after`. 0, or the exit status after telling. */
int weft_tune_price(weft_tune *t, const char *costs);
void weft_tune_release(weft_tune *t);

/* Could the algorithm serve so many elements among so many peers? 0: *ret is its price;
 * WEFT_ENOTSUP it cannot, and why; else the error of the query. */
int weft_tune_ask(const weft_query *q, weft_candidate *ret);

#endif
