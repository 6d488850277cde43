/* SPDX-License-Identifier: Apache-2.0 */
/* What one peer of weft call holds: vectors from files, the lengths of blocks, results to files. */
#ifndef WEFT_TOOLS_CALL_DATA_H
#define WEFT_TOOLS_CALL_DATA_H

#include "kinds.h"
#include "peers.h"

typedef struct weft_call_settings {
    const weft_cli *cli;
    const weft_kind *kind;
    weft_dtype dtype;
    weft_op op;
    int root;
    size_t element;
    const char *in, *out, *residual_in, *residual_out, *own_out; /* patterns or NULL */
    size_t *counts; /* of --counts; of alltoallv a row a rank, or one for all; NULL: not given */
    size_t given;   /* how many */
} weft_call_settings;

typedef struct weft_call_data {
    void *in, *out; /* of a broadcast the root's are one */
    float *residual, *own;
    size_t in_count, out_count, count; /* elements of in and out, and the call's count */
    size_t *in_counts, *out_counts;    /* of blocks with lengths of their own, a rank each */
    weft_receipt receipt;
    uint64_t wire_received;
} weft_call_data;

/* By --counts: elements of a rank's block for another, and of all its blocks: of its file. */
size_t weft_call_length(const weft_call_settings *s, int size, int from, int to);
size_t weft_call_given(const weft_call_settings *s, int size, int rank);

/* Read the files, learn lengths from the other peers, make room for the result. 0, or the exit
 * status after telling. */
int weft_call_load(weft_peer *peer, const weft_call_settings *s, weft_call_data *d);
/* Write the result, the residual, the own contribution. 0, or the exit status after telling. */
int weft_call_save(weft_peer *peer, const weft_call_settings *s, const weft_call_data *d);
void weft_call_release(weft_call_data *d);

#endif
