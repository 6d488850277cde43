/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse vectors as pairs of index and value, indices ascending and each once.
 *
 * Order of magnitudes, everywhere: the larger |value| first, of equal ones the lower index;
 * infinity and NaN come before all others. Zeros are never among the pairs.
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
/* The place of the first pair at this index or behind it. */
size_t weft_pairs_from(const weft_pairs *p, uint32_t index);
void weft_pairs_free(weft_pairs *p); /* of the contents; a zeroed one is fine */

/* The k largest magnitudes of v that are `least` or more (0: no matter), count below 2^32; exact,
 * O(count) for any v. Appends to *ret, in which NaN and infinity are found whenever v has any and
 * k > 0. 0 or WEFT_ENOMEM, *ret is then as it was. */
int weft_sparse_select(const float *v, size_t count, size_t k, float least, weft_pairs *ret);

/* kept = of a + b (a the first operand of each sum; sums of zero vanish) the k largest that are
 * `least` or more (0: no matter), the rest is appended to *dropped (NULL: not wanted). kept is
 * neither a nor b and holds nothing before. 0, or WEFT_ENOMEM: dropped is then as it was, kept is
 * empty. */
int weft_sparse_merge(const weft_pairs *a, const weft_pairs *b, size_t k, float least,
                      weft_pairs *kept, weft_pairs *dropped);

/* Where what a merge dropped goes (algorithms: gTop-k, residual rules). All but PAPER conserve: the
 * residuals of all peers and the result are together what was selected from, but for the rounding
 * of sums. */
typedef enum weft_residual_rule {
    WEFT_RESIDUAL_PATCH, /* as paper; and who merges keeps what it dropped of indices that won */
    WEFT_RESIDUAL_KEEP,  /* who merges keeps all it dropped */
    WEFT_RESIDUAL_HASH,  /* of those that make the same merge the (index mod number)-th keeps */
    WEFT_RESIDUAL_PAPER  /* who sent an index that did not win takes it back; the rest is lost */
} weft_residual_rule;

/* What one merge dropped: `members` peers made the same merge, this one is the place-th of them, by
 * rank. Under PATCH and KEEP the one at place 0 is who merges. */
typedef struct weft_dropped {
    struct weft_dropped *next;
    weft_pairs pairs;
    uint32_t members, place;
} weft_dropped;

/* acc, count floats that were selected from, becomes the residual: own what this peer sent, won the
 * final pairs, dropped every merge made here. An element that was sent is taken out by subtracting
 * what was sent, which leaves 0 when values are sent as they are. Indices at or beyond count must
 * not occur. */
void weft_sparse_settle(weft_residual_rule rule, float *acc, size_t count, const weft_pairs *own,
                        const weft_pairs *won, const weft_dropped *dropped);

#endif
