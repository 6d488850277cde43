/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDX files of unsigned bytes (LeCun's MNIST format): two zero bytes, the element type 0x08, the
 * number of dimensions, each dimension as 32 bits, most significant first, then the elements. .gz
 * and .xz are decompressed while they are read.
 *
 * The reader is strict: an error names the file and the offset (of the decompressed bytes) where it
 * stands.
 */
#ifndef WEFT_TOOLS_IDX_H
#define WEFT_TOOLS_IDX_H

#include <stddef.h>

typedef struct weft_idx {
    size_t items;         /* the first dimension */
    size_t shape[2];      /* the others: rows and columns of an image; 1 where there are none */
    size_t item_bytes;    /* shape[0] x shape[1] */
    unsigned char *bytes; /* items x item_bytes */
} weft_idx;

/* Read a file of `dimensions` dimensions (1: labels, 3: images), its first `most` items (0: all,
 * and nothing may follow them). 0, or -1 with the reason in why. *ret_promised (may be NULL): the
 * number of items that the header tells. */
int weft_idx_read(weft_idx **ret, const char *path, int dimensions, size_t most,
                  size_t *ret_promised, char *why, size_t cap);
/* Free it. NULL-safe, sets *idx to NULL. */
void weft_idx_free(weft_idx **idx);

#endif
