/* SPDX-License-Identifier: Apache-2.0 */
/* A data set of `weft train`: LIBSVM text, or IDX images with their labels. */
#ifndef WEFT_TOOLS_DATASET_H
#define WEFT_TOOLS_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idx.h"
#include "libsvm.h"

/* What a problem makes of labels. */
typedef enum weft_labels {
    WEFT_LABELS_PAIR,    /* two distinct ones */
    WEFT_LABELS_CLASSES, /* two or more */
    WEFT_LABELS_NUMBERS  /* any numbers */
} weft_labels;

typedef struct weft_dataset {
    const char *path; /* borrowed */
    size_t rows, dim;
    size_t nonzeros;      /* stored entries: of images all */
    weft_libsvm *sparse;  /* one of the two is not NULL */
    weft_idx *images;     /* pixels are value / 255 */
    const double *label;  /* per row */
    double *classes;      /* ascending; NULL for numbers */
    size_t class_count;   /* 0 for numbers */
    uint32_t *class_of;   /* per row, its place in classes; NULL for numbers */
    double *image_labels; /* what label is for images */
} weft_dataset;

/* Is the file IDX: does it begin with two zero bytes? false for what cannot be read. */
bool weft_dataset_is_idx(const char *path);

/* Read the first `most` rows (0: all). labels_path: of IDX labels, NULL: the usual name beside the
 * images ("train-images-idx3-ubyte.gz": "train-labels-idx1-ubyte.gz"). like: labels are among the
 * classes of that data, and images have its size; NULL: they are of their own. 0, or -1 with the
 * reason in why. */
int weft_dataset_read(weft_dataset **ret, const char *path, const char *labels_path,
                      weft_labels labels, size_t most, const weft_dataset *like, char *why,
                      size_t cap);
/* Free it. NULL-safe, sets *data to NULL. */
void weft_dataset_free(weft_dataset **data);

/* One row as floats: dim of them. What data of sparse rows has beyond dim is left out: training
 * would have left its weight at the start. */
void weft_dataset_floats(const weft_dataset *data, size_t row, size_t dim, float *ret);

/* ret[c] = sum over the row of a_j w[j * columns + c], and w[j * columns + c] += a_j add[c]. */
void weft_dataset_times(const weft_dataset *data, size_t row, const double *w, size_t dim,
                        size_t columns, double *ret);
void weft_dataset_add(const weft_dataset *data, size_t row, const double *add, size_t columns,
                      double *w);
double weft_dataset_square(const weft_dataset *data, size_t row); /* |a|^2 */

/* A checksum of rows, labels and all, for comparing peers. */
uint64_t weft_dataset_sum(const weft_dataset *data);

#endif
