/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIBSVM text: one row a line, `label index:value index:value …`, indices from 1, ascending within
 * a row. Files that end in .gz or .xz are decompressed while they are read.
 *
 * A # begins a comment, to the end of the line, as svmlight has it; a line may hold nothing else.
 *
 * The reader is strict: whatever it cannot read exactly is an error that names file, line and
 * column. Nothing is scaled, no bias column is added.
 */
#ifndef WEFT_TOOLS_LIBSVM_H
#define WEFT_TOOLS_LIBSVM_H

#include <stddef.h>
#include <stdint.h>

/* Largest index a file may use. */
#define WEFT_LIBSVM_INDEX_MAX 2147483648u

/* A data set: compressed sparse rows. */
typedef struct weft_libsvm {
    size_t rows;
    size_t dim;        /* largest index in the file */
    size_t nonzeros;   /* stored entries; explicit zeros count */
    size_t *start;     /* rows + 1 offsets into index and value */
    uint32_t *index;   /* from 0, ascending within a row */
    double *value;     /* finite */
    double *label;     /* per row, finite */
    int8_t *sign;      /* per row: +1 the larger of two labels, -1 the smaller; NULL until
                          weft_libsvm_pair() */
    double classes[2]; /* these labels, ascending */
} weft_libsvm;

/* Read a file, its first `most` rows (0: all). 0, or -1 with one line of English in why (of cap
 * bytes); *ret is untouched then. */
int weft_libsvm_read(weft_libsvm **ret, const char *path, size_t most, char *why, size_t cap);
/* The labels must be two distinct ones; set the signs. 0, or -1 with the reason in why. */
int weft_libsvm_pair(weft_libsvm *data, const char *path, char *why, size_t cap);
/* The same by the two classes of other data: a third label is an error. */
int weft_libsvm_pair_like(weft_libsvm *data, const double classes[2], const char *path, char *why,
                          size_t cap);
/* Free it. NULL-safe, sets *data to NULL. */
void weft_libsvm_free(weft_libsvm **data);

#endif
