/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which magnitude is the k-th largest. Magnitudes are whole numbers here: the bits of a float
 * without its sign, which order as the magnitudes do; infinity and NaN are above all others.
 */
#ifndef WEFT_CODEC_RANK_H
#define WEFT_CODEC_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct weft_rank {
    uint32_t magnitude; /* of the k-th largest */
    size_t above;       /* elements of larger magnitude, less than k */
    size_t equal;       /* elements of the same magnitude */
} weft_rank;

static inline uint32_t weft_magnitude(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits & INT32_MAX;
}

/* The k-th largest magnitude of v, k in 1 … count. O(count), whatever the values are. */
weft_rank weft_rank_of(const float *v, size_t count, size_t k);

/* `samples` elements of v, one from a random place of each of as many equal parts, 0 < samples <=
 * count. The places are always the same for a count: a sample may mislead, so whoever takes one has
 * to check what it says. */
void weft_rank_sample(const float *v, size_t count, size_t samples, float *ret);

#endif
