/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse vectors as pairs of index and value, indices ascending and each once.
 *
 * Order of magnitudes, everywhere: the larger |value| first, of equal ones the lower index. Zeros
 * are never among the pairs.
 */
#ifndef WEFT_CODEC_SPARSE_H
#define WEFT_CODEC_SPARSE_H

#include <stddef.h>
#include <stdint.h>

struct weft_pairs {
    size_t count, cap;
    uint32_t *index;
    float *value;
};
typedef struct weft_pairs weft_pairs;

/* Room for cap pairs; what is there stays. 0 or WEFT_ENOMEM. */
int weft_pairs_reserve(weft_pairs *p, size_t cap);
void weft_pairs_free(weft_pairs *p); /* of the contents; a zeroed one is fine */

/* The k largest magnitudes of v, count below 2^32; exact. Appends to *ret (NaN and infinity are the
 * caller's to refuse before). 0 or WEFT_ENOMEM. */
int weft_sparse_select(const float *v, size_t count, size_t k, weft_pairs *ret);

/* kept = the k largest of a + b (a the first operand of each sum; sums of zero vanish), the rest is
 * appended to *dropped (NULL: not wanted). kept is neither a nor b and holds nothing before. 0 or
 * WEFT_ENOMEM. */
int weft_sparse_merge(const weft_pairs *a, const weft_pairs *b, size_t k, weft_pairs *kept,
                      weft_pairs *dropped);

/* Where what a merge dropped goes (algorithms: gTop-k, residual rules). */
typedef enum weft_residual_rule {
    WEFT_RESIDUAL_PATCH, /* as paper; and who merges keeps what it dropped of indices that won */
    WEFT_RESIDUAL_KEEP,  /* who merges keeps all it dropped */
    WEFT_RESIDUAL_HASH,  /* of those that make the same merge the (index mod number)-th keeps */
    WEFT_RESIDUAL_PAPER  /* who sent an index that did not win takes it back; the rest is lost */
} weft_residual_rule;

/* What one merge dropped: `members` peers made the same merge, this one is the place-th of them. */
typedef struct weft_dropped {
    struct weft_dropped *next;
    weft_pairs pairs;
    uint32_t members, place;
} weft_dropped;

/* acc, count floats that were selected from, becomes the residual: own what this peer sent, won the
 * final pairs, dropped every merge made here. */
void weft_sparse_settle(weft_residual_rule rule, float *acc, size_t count, const weft_pairs *own,
                        const weft_pairs *won, const weft_dropped *dropped);

#endif
