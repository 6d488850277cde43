/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picking the elements of large magnitude out of many. A part of kernel_loops.h.
 *
 * With AVX2 eight elements are compared at a time; four at a time a shuffle moves the chosen ones
 * to the front and all four are stored, what is too much being written over by the next. Fixed
 * shuffles and not pext: that takes 18 cycles and more on Zen 1 and 2.
 */
#ifndef WEFT_KERNEL_KERNEL_LARGE_H
#define WEFT_KERNEL_KERNEL_LARGE_H

#include "kernel/kernel_reduce.h"

#ifdef KERNEL_AVX2
/* Byte shuffles that move the words named by the bits of the row number to the front. */
#define WORD(w) 4 * (w), 4 * (w) + 1, 4 * (w) + 2, 4 * (w) + 3
#define WORDS(a, b, c, d)                                                                          \
    {                                                                                              \
        WORD(a), WORD(b), WORD(c), WORD(d)                                                         \
    }
static const uint8_t to_front[16][16] __attribute__((aligned(16))) = {
    WORDS(0, 1, 2, 3), WORDS(0, 1, 2, 3), WORDS(1, 0, 2, 3), WORDS(0, 1, 2, 3),
    WORDS(2, 0, 1, 3), WORDS(0, 2, 1, 3), WORDS(1, 2, 0, 3), WORDS(0, 1, 2, 3),
    WORDS(3, 0, 1, 2), WORDS(0, 3, 1, 2), WORDS(1, 3, 0, 2), WORDS(0, 1, 3, 2),
    WORDS(2, 3, 0, 1), WORDS(0, 2, 3, 1), WORDS(1, 2, 3, 0), WORDS(0, 1, 2, 3),
};

/* All bits of the lanes whose magnitude is above `below`. */
static inline __m256i larger(const float *v, __m256i below)
{
    const __m256i bits = _mm256_loadu_si256((const __m256i *)v);
    return _mm256_cmpgt_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(INT32_MAX)), below);
}

static inline unsigned lanes(__m256i flags)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(flags));
}

/* Store those of four pairs whose bits are set; returns how many. All four places are written. */
static inline size_t store_some(__m128i index, __m128i value, unsigned four, uint32_t *to_index,
                                float *to_value)
{
    const __m128i order = _mm_load_si128((const __m128i *)to_front[four]);
    _mm_storeu_si128((__m128i *)to_index, _mm_shuffle_epi8(index, order));
    _mm_storeu_si128((__m128i *)to_value, _mm_shuffle_epi8(value, order));
    return (size_t)__builtin_popcount(four);
}

static inline __m128i four_at(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

/* As large(), for as long as there are STEP elements and room for them; *done says how far. */
static size_t large_vectors(const float *v, size_t count, uint32_t least, uint32_t first,
                            uint32_t *index, float *value, size_t room, size_t *done)
{
    enum { STEP = 32 };
    const __m256i below = _mm256_set1_epi32((int32_t)(least - 1));
    const __m128i steps = _mm_setr_epi32(0, 1, 2, 3);
    size_t found = 0, i = 0;
    for (; i + STEP <= count && found + STEP <= room; i += STEP) {
        const __m256i a = larger(v + i, below), b = larger(v + i + 8, below);
        const __m256i c = larger(v + i + 16, below), d = larger(v + i + 24, below);
        const __m256i any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
        if (_mm256_testz_si256(any, any))
            continue;
        unsigned left = lanes(a) | lanes(b) << 8 | lanes(c) << 16 | lanes(d) << 24;
        for (size_t at = i; at < i + STEP; at += 4, left >>= 4) {
            const __m128i here = _mm_set1_epi32((int32_t)(first + (uint32_t)at));
            found += store_some(_mm_add_epi32(here, steps), four_at(v + at), left & 15,
                                index + found, value + found);
        }
    }
    *done = i;
    return found;
}

/* As split_at(), for whole vectors; *done says how far. What is stored ends before i + 8. */
static size_t part_vectors(const uint32_t *index, const float *value, size_t count, uint32_t least,
                           uint32_t *to_index, float *to_value, uint32_t *rest_index,
                           float *rest_value, size_t *done)
{
    const __m256i below = _mm256_set1_epi32((int32_t)(least - 1));
    size_t kept = 0, rest = 0, i = 0;
    for (; i + 8 <= count; i += 8) {
        const unsigned flags = lanes(larger(value + i, below));
        const __m128i x = four_at(index + i), y = four_at(index + i + 4);
        const __m128i p = four_at(value + i), q = four_at(value + i + 4);
        kept += store_some(x, p, flags & 15, to_index + kept, to_value + kept);
        kept += store_some(y, q, flags >> 4, to_index + kept, to_value + kept);
        if (rest_index) {
            rest += store_some(x, p, ~flags & 15, rest_index + rest, rest_value + rest);
            rest += store_some(y, q, ~flags >> 4 & 15, rest_index + rest, rest_value + rest);
        }
    }
    *done = i;
    return kept;
}

/* As band(), for as long as there are eight elements and room for them; *done says how far. */
static size_t band_vectors(const float *v, size_t count, uint32_t low, uint32_t high, uint32_t *to,
                           size_t room, size_t *above, size_t *done)
{
    const __m256i below = _mm256_set1_epi32((int32_t)(low - 1));
    const __m256i most = _mm256_set1_epi32((int32_t)(high - 1));
    const __m256i magnitude = _mm256_set1_epi32(INT32_MAX);
    size_t found = 0, larger_ones = 0, i = 0;
    for (; i + 8 <= count && found + 8 <= room; i += 8) {
        const __m256i bits = _mm256_loadu_si256((const __m256i *)(v + i));
        const __m256i m = _mm256_and_si256(bits, magnitude);
        const __m256i over = _mm256_cmpgt_epi32(m, most);
        const unsigned flags = lanes(_mm256_andnot_si256(over, _mm256_cmpgt_epi32(m, below)));
        const __m128i halves[2] = {_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1)};
        for (int h = 0; h < 2; h++) {
            const unsigned four = flags >> 4 * h & 15;
            const __m128i order = _mm_load_si128((const __m128i *)to_front[four]);
            _mm_storeu_si128((__m128i *)(to + found), _mm_shuffle_epi8(halves[h], order));
            found += (size_t)__builtin_popcount(four);
        }
        larger_ones += (size_t)__builtin_popcount(lanes(over));
    }
    *above = larger_ones;
    *done = i;
    return found;
}
#endif

static inline uint32_t magnitude_bits(const float *v)
{
    uint32_t bits;
    memcpy(&bits, v, sizeof(bits));
    return bits & INT32_MAX;
}

static size_t large(const float *v, size_t count, uint32_t least, uint32_t first, uint32_t *index,
                    float *value, size_t room)
{
    size_t found = 0, i = 0;
#ifdef KERNEL_AVX2
    found = large_vectors(v, count, least, first, index, value, room, &i);
#endif
    for (; i < count; i++) {
        if (magnitude_bits(v + i) < least)
            continue;
        if (found == room)
            return SIZE_MAX;
        index[found] = first + (uint32_t)i;
        memcpy(value + found, v + i, sizeof(*value));
        found++;
    }
    return found;
}

static size_t split_at(const uint32_t *index, const float *value, size_t count, uint32_t least,
                       uint32_t *to_index, float *to_value, uint32_t *rest_index, float *rest_value)
{
    size_t kept = 0, i = 0;
#ifdef KERNEL_AVX2
    kept = part_vectors(index, value, count, least, to_index, to_value, rest_index, rest_value, &i);
#endif
    for (size_t rest = i - kept; i < count; i++) {
        const uint32_t at = index[i];
        const float v = value[i];
        const bool keep = magnitude_bits(value + i) >= least;
        if (!keep && rest_index) {
            rest_index[rest] = at;
            rest_value[rest] = v;
        }
        rest += !keep;
        if (keep) {
            to_index[kept] = at;
            to_value[kept] = v;
        }
        kept += keep;
    }
    return kept;
}

static size_t band(const float *v, size_t count, uint32_t low, uint32_t high, uint32_t *to,
                   size_t room, size_t *ret_above)
{
    size_t found = 0, above = 0, i = 0;
#ifdef KERNEL_AVX2
    found = band_vectors(v, count, low, high, to, room, &above, &i);
#endif
    for (; i < count; i++) {
        const uint32_t m = magnitude_bits(v + i);
        above += m >= high;
        if (m < low || m >= high)
            continue;
        if (found == room)
            return SIZE_MAX;
        to[found++] = m;
    }
    *ret_above = above;
    return found;
}

#endif
