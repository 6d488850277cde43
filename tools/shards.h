/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a data set, cut into one shard a peer. */
#ifndef WEFT_TOOLS_SHARDS_H
#define WEFT_TOOLS_SHARDS_H

#include <stddef.h>
#include <stdint.h>

/* How rows are ordered before they are cut. */
typedef enum weft_shards {
    WEFT_SHARDS_FILE,    /* as in the file */
    WEFT_SHARDS_SHUFFLE, /* Fisher-Yates from the seed (train_random.h) */
    WEFT_SHARDS_LABEL    /* stable sort, smaller label first */
} weft_shards;

/* Each of n peers holds m = floor(rows/n) rows; the rest is left out. */
typedef struct weft_cut {
    size_t *rows;      /* row numbers of the data, shard after shard; the last are not used */
    size_t used;       /* N = n m */
    size_t shard_rows; /* m */
    int peers;         /* n */
} weft_cut;

/* label: one a row. 0, or -1 with the reason in why. */
int weft_cut_make(weft_cut *ret, size_t rows, const double *label, int peers, weft_shards shards,
                  uint64_t seed, char *why, size_t cap);
void weft_cut_free(weft_cut *cut);

const char *weft_shards_name(weft_shards shards); /* "file" */

#endif
