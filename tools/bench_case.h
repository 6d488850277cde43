/* SPDX-License-Identifier: Apache-2.0 */
/* One size of a benchmark on one peer: buffers, the timed loop, the check of the result. */
#ifndef WEFT_TOOLS_BENCH_CASE_H
#define WEFT_TOOLS_BENCH_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/collective.h>

#include "bench_blocks.h"
#include "bench_data.h"
#include "peers.h"

typedef struct weft_bench_settings {
    const weft_cli *cli;
    const weft_kind *kind;
    weft_dtype dtype;
    weft_op op;
    int root;
    const char *codec;     /* SPEC; "raw" where none was asked for */
    weft_coll_opts coding; /* algorithm, codecs and fidelity as they were asked for */
    bool lossy, unbiased;
    size_t begin, end; /* bytes */
    double factor;
    int64_t iters, warmup; /* iters 0: adaptive */
    size_t at_once;        /* operations; 1: the call that returns when it is done */
    bool inplace, rss, regions;
} weft_bench_settings;

/* What one peer works with. Buffers are made once, for the largest size and all operations that
 * are started together; one's lie so many bytes behind those of the one before. */
typedef struct weft_bench_peer {
    weft_peer *peer;
    const weft_bench_settings *s;
    weft_bench_data *data;
    unsigned char *in, *out; /* each is there where the rank has that side; broadcast: out only */
    size_t in_stride, out_stride;
    float *own;                 /* lossy codecs; one operation's */
    weft_kind_started *started; /* of each operation at once */
    weft_receipt *receipts;
    weft_regions **regions;         /* likewise; NULL: none are kept */
    size_t *in_counts, *out_counts; /* of blocks with lengths of their own */
    double *times;                  /* seconds of each timed call, the slowest peer's */
    size_t times_cap;
    uint64_t rss_base; /* bytes resident once buffers were touched */
} weft_bench_peer;

/* Figures of one way (out of place, or in place) at one size; the same on all peers. */
typedef struct weft_bench_timing {
    size_t iters;
    double median, p99, least, mean; /* seconds, of the slowest peer in each iteration; of all
                                        operations at once */
    uint64_t wrong;                  /* elements, over all peers */
} weft_bench_timing;

typedef struct weft_bench_row {
    size_t bytes, count; /* the size of nccl-tests, and elements of the longest block */
    weft_bench_blocks blocks;
    weft_bench_timing out_of_place, in_place;
    weft_receipt receipt; /* of this peer's last call; bytes: of all at once together */
    double encoded_mean, body_mean, wire_mean; /* bytes a peer, mean */
    uint64_t body_max;
    uint64_t rss_growth; /* largest over peers, bytes */
} weft_bench_row;

/* Count and real size for a wished size: whole elements, one at least. */
void weft_bench_shape(const weft_bench_settings *s, int size, size_t bytes, weft_bench_row *row);
/* Make and touch the buffers. 0, or the exit status after telling. */
int weft_bench_prepare(weft_bench_peer *b);
/* Time and check one size. 0, or the exit status after telling; wrong results are no error here. */
int weft_bench_measure(weft_bench_peer *b, weft_bench_row *row);
void weft_bench_release(weft_bench_peer *b);

#endif
