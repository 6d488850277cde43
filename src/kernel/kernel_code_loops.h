/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of codecs: halves and signs. A part of kernel_loops.h. */
#ifndef WEFT_KERNEL_KERNEL_CODE_LOOPS_H
#define WEFT_KERNEL_KERNEL_CODE_LOOPS_H

#include "kernel/kernel_block_loops.h"
#include "kernel/kernel_code.h"
#include "kernel/kernel_reduce.h"
#include "kernel/kernel_vote_loops.h"

static uint16_t half_most(const void *in, size_t count)
{
    const any_U16 *h = in;
    uint16_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t m = h[i] & HALF_MAGNITUDE;
        most = m > most ? m : most;
    }
    return most;
}

#define HALF_CODE(name, of_float, to_float)                                                        \
    static uint16_t to_##name(const float *v, size_t count, void *out)                             \
    {                                                                                              \
        const any_F32 *x = v;                                                                      \
        any_U16 *h = out;                                                                          \
        uint16_t most = 0;                                                                         \
        INDEPENDENT for (size_t i = 0; i < count; i++)                                             \
        {                                                                                          \
            const uint16_t bits = of_float(x[i]), m = bits & HALF_MAGNITUDE;                       \
            h[i] = bits;                                                                           \
            most = m > most ? m : most;                                                            \
        }                                                                                          \
        return most;                                                                               \
    }                                                                                              \
    static void from_##name(const void *in, size_t count, float *out)                              \
    {                                                                                              \
        const any_U16 *h = in;                                                                     \
        any_F32 *x = out;                                                                          \
        INDEPENDENT for (size_t i = 0; i < count; i++)                                             \
        {                                                                                          \
            x[i] = to_float(h[i]);                                                                 \
        }                                                                                          \
    }

HALF_CODE(f16, f16_of_float, float_of_f16)
HALF_CODE(bf16, bf16_of_float, float_of_bf16)

enum { BYTE_BITS = 8 };

/* Bits of n <= 8 elements; *most becomes their largest magnitude, as bits, if that is larger. */
static inline uint8_t signs_of(const any_F32 *x, size_t n, int32_t *most)
{
    unsigned byte = 0;
    for (size_t j = 0; j < n; j++) {
        const float e = x[j];
        const int32_t magnitude = bits_of_float(e) & INT32_MAX;
        byte |= (unsigned)(e < 0) << j;
        *most = magnitude > *most ? magnitude : *most;
    }
    return (uint8_t)byte;
}

#ifdef KERNEL_AVX2
/* 32 elements a step: comparisons are narrowed to bytes, whose top bits are gathered. */
static size_t pack_signs_wide(const float *v, size_t count, uint8_t *out, int32_t *most)
{
    enum { STEP = 32, LANE = 8 };
    const __m256i magnitude = _mm256_set1_epi32(INT32_MAX);
    const __m256 zero = _mm256_setzero_ps();
    /* Narrowing works within each half of a register: this puts its groups of four in order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i largest = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m256i below[4];
        for (int k = 0; k < 4; k++) {
            const __m256 x = _mm256_loadu_ps(v + i + (size_t)k * LANE);
            below[k] = _mm256_castps_si256(_mm256_cmp_ps(x, zero, _CMP_LT_OQ));
            largest =
                _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(x), magnitude));
        }
        const __m256i low = _mm256_packs_epi32(below[0], below[1]);
        const __m256i high = _mm256_packs_epi32(below[2], below[3]);
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
        const uint32_t bits = (uint32_t)_mm256_movemask_epi8(bytes);
        memcpy(out + i / BYTE_BITS, &bits, sizeof(bits));
    }
    int32_t lanes[LANE];
    _mm256_storeu_si256((__m256i *)lanes, largest);
    for (int k = 0; k < LANE; k++)
        *most = lanes[k] > *most ? lanes[k] : *most;
    return i;
}
#else
static size_t pack_signs_wide(const float *v, size_t count, uint8_t *out, int32_t *most)
{
    (void)v;
    (void)count;
    (void)out;
    (void)most;
    return 0;
}
#endif

static float pack_signs(const float *v, size_t count, uint8_t *out)
{
    const any_F32 *x = v;
    int32_t most = 0;
    size_t i = pack_signs_wide(v, count, out, &most);
    for (; i < count; i += BYTE_BITS)
        out[i / BYTE_BITS] = signs_of(x + i, count - i < BYTE_BITS ? count - i : BYTE_BITS, &most);
    return float_of_bits(most);
}

/* Eight elements of one byte at once. */
typedef int32_t eight __attribute__((vector_size(32)));

static void spread_signs(const uint8_t *bits, size_t from, size_t count, float plus, float minus,
                         float *out)
{
    const eight select = {1, 2, 4, 8, 16, 32, 64, 128};
    const int32_t p = bits_of_float(plus), flip = p ^ bits_of_float(minus);
    any_F32 *x = out;
    size_t i = 0;
    for (; i < count && (from + i) % BYTE_BITS; i++)
        x[i] = bits[(from + i) / BYTE_BITS] >> (from + i) % BYTE_BITS & 1 ? minus : plus;
    for (; i + BYTE_BITS <= count; i += BYTE_BITS) {
        const int32_t byte = bits[(from + i) / BYTE_BITS];
        const eight set = (select & byte) != 0;
        const eight values = (set & flip) ^ p;
        memcpy(x + i, &values, sizeof(values));
    }
    for (; i < count; i++)
        x[i] = bits[(from + i) / BYTE_BITS] >> (from + i) % BYTE_BITS & 1 ? minus : plus;
}

#define CODE_KERNELS                                                                               \
    {                                                                                              \
        .to_f16 = to_f16, .to_bf16 = to_bf16, .from_f16 = from_f16, .from_bf16 = from_bf16,        \
        .half_most = half_most, .pack_signs = pack_signs, .spread_signs = spread_signs,            \
        .tally = tally, .tally_add = tally_add, .compare = compare, .hadamard = hadamard,          \
        .flip = flip, .split_sums = split_sums, .count_below = count_below, .extremes = extremes,  \
        .to_bytes = to_bytes, .from_bytes = from_bytes, .to_powers = to_powers,                    \
        .from_powers = from_powers,                                                                \
    }

#endif
