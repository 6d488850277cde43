/* SPDX-License-Identifier: Apache-2.0 */
#include "shards.h"

#include <stdio.h>
#include <stdlib.h>

#include "train_random.h"

/* A row and what it is sorted by. */
typedef struct labelled {
    double label;
    size_t row;
} labelled;

static int compare(const void *a, const void *b)
{
    const labelled *x = a, *y = b;

    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int order_by_label(const double *label, size_t *rows, size_t count)
{
    labelled *all = calloc(count, sizeof(*all));

    if (all == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        all[i] = (labelled){label[i], i};
    qsort(all, count, sizeof(*all), compare);
    for (size_t i = 0; i < count; i++)
        rows[i] = all[i].row;
    free(all);
    return 0;
}

int weft_cut_make(weft_cut *ret, size_t rows, const double *label, int peers, weft_shards shards,
                  uint64_t seed, char *why, size_t cap)
{
    weft_cut cut = {.peers = peers};

    if (peers < 1 || rows < (size_t)peers) {
        snprintf(why, cap, "the data has %zu rows, too few for %d peers", rows, peers);
        return -1;
    }
    cut.shard_rows = rows / (size_t)peers;
    cut.used = cut.shard_rows * (size_t)peers;
    cut.rows = calloc(rows, sizeof(*cut.rows));
    if (cut.rows == NULL)
        goto memory;
    for (size_t i = 0; i < rows; i++)
        cut.rows[i] = i;
    if (shards == WEFT_SHARDS_LABEL && order_by_label(label, cut.rows, rows) != 0)
        goto memory;
    if (shards == WEFT_SHARDS_SHUFFLE)
        weft_train_shuffle(seed, cut.rows, rows);
    *ret = cut;
    return 0;
memory:
    weft_cut_free(&cut);
    snprintf(why, cap, "out of memory for %zu rows", rows);
    return -1;
}

void weft_cut_free(weft_cut *cut)
{
    free(cut->rows);
    *cut = (weft_cut){0};
}

const char *weft_shards_name(weft_shards shards)
{
    static const char *const words[] = {[WEFT_SHARDS_FILE] = "file",
                                        [WEFT_SHARDS_SHUFFLE] = "shuffle",
                                        [WEFT_SHARDS_LABEL] = "label"};

    return words[shards];
}
