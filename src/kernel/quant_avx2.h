/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stochastic rounding for AVX2, by intrinsics: compilers vectorize neither the 32 x 32
 * multiplication of Philox across counters nor the packing of floats into bytes.
 *
 * Four Philox counters lie in the 64-bit parts of a vector, a word in the low half of its part;
 * what the high halves hold is of no account, vpmuludq and the final blend take the low ones.
 * Several such vectors side by side hide the latency of the multiplications. A part of
 * kernel_avx2.c.
 */
#ifndef WEFT_KERNEL_QUANT_AVX2_H
#define WEFT_KERNEL_QUANT_AVX2_H

#include "kernel/quant_loops.h"

#ifdef KERNEL_AVX2 /* where functions may use it */

#include <immintrin.h>

enum {
    SETS = 4,       /* vectors of four counters side by side, when nothing else needs registers */
    FUSED_SETS = 2, /* when rounding does */
    SET = 32,       /* elements of one */
    PHILOX_ROUNDS = 10
};

/* Counters of a draw differ in their first word alone, so half of the first two rounds is the same
 * for all. What is left of these: c2 = hi(c0 MUL0) ^ first, c0 = hi(c2 MUL1) ^ second, c1 = c2
 * MUL1, c2 = c0 MUL0 ^ third, c3 = fourth; then the other rounds with their keys. */
typedef struct philox_words {
    __m256i first, second, third, fourth;
    __m256i key0[PHILOX_ROUNDS], key1[PHILOX_ROUNDS];
} philox_words;

/* The 32 random half-words of four counters, as two vectors: elements 0 … 15 and 16 … 31, so that
 * in each the low lane's words belong to elements 0 … 3, 8 … 11 and the high lane's to 4 … 7,
 * 12 … 15. */
typedef struct drawn_words {
    __m256i half[2];
} drawn_words;

static inline void philox_prepare(const weft_draw *draw, philox_words *w)
{
    uint32_t counter[4], key[2];
    weft_draw_words(draw, counter, key);
    const uint64_t p1 = (uint64_t)counter[2] * WEFT_PHILOX_MUL1;
    const uint64_t c0 = (uint32_t)(p1 >> 32) ^ counter[1] ^ key[0];
    const uint64_t p0 = c0 * WEFT_PHILOX_MUL0;
    w->first = _mm256_set1_epi64x(counter[3] ^ key[1]);
    for (int r = 0; r < PHILOX_ROUNDS; r++) {
        w->key0[r] = _mm256_set1_epi64x(key[0]);
        w->key1[r] = _mm256_set1_epi64x(key[1]);
        key[0] += WEFT_PHILOX_WEYL0;
        key[1] += WEFT_PHILOX_WEYL1;
    }
    w->second = _mm256_xor_si256(_mm256_set1_epi64x((uint32_t)p1), w->key0[1]);
    w->third = _mm256_xor_si256(_mm256_set1_epi64x((uint32_t)(p0 >> 32)), w->key1[1]);
    w->fourth = _mm256_set1_epi64x((uint32_t)p0);
}

/* 4 * sets counters from `block` on; sets, at most SETS, is known where this is inlined. */
static inline __attribute__((always_inline)) void
philox_blocks(const philox_words *w, uint64_t block, int sets, drawn_words *out)
{
    const __m256i mul0 = _mm256_set1_epi64x(WEFT_PHILOX_MUL0);
    const __m256i mul1 = _mm256_set1_epi64x(WEFT_PHILOX_MUL1);
    __m256i c0[SETS], c1[SETS], c2[SETS], c3[SETS];
#pragma GCC unroll 4
    for (int s = 0; s < sets; s++) {
        const __m256i counter = _mm256_add_epi64(
            _mm256_set1_epi64x((int64_t)(block + 4 * (uint64_t)s)), _mm256_setr_epi64x(0, 1, 2, 3));
        const __m256i p0 = _mm256_mul_epu32(counter, mul0);
        const __m256i mixed = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), w->first);
        c1[s] = _mm256_mul_epu32(mixed, mul1);
        c0[s] = _mm256_xor_si256(_mm256_srli_epi64(c1[s], 32), w->second);
        c2[s] = _mm256_xor_si256(p0, w->third);
        c3[s] = w->fourth;
    }
#pragma GCC unroll 10
    for (int r = 2; r < PHILOX_ROUNDS; r++)
#pragma GCC unroll 4
        for (int s = 0; s < sets; s++) {
            const __m256i p0 = _mm256_mul_epu32(c0[s], mul0), p1 = _mm256_mul_epu32(c2[s], mul1);
            c0[s] =
                _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(c1[s], w->key0[r]));
            c2[s] =
                _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(c3[s], w->key1[r]));
            c1[s] = p1;
            c3[s] = p0;
        }
#pragma GCC unroll 4
    for (int s = 0; s < sets; s++) {
        const __m256i low = _mm256_blend_epi32(c0[s], _mm256_slli_epi64(c1[s], 32), 0xAA);
        const __m256i high = _mm256_blend_epi32(c2[s], _mm256_slli_epi64(c3[s], 32), 0xAA);
        out[s].half[0] = _mm256_permute2x128_si256(low, high, 0x20);
        out[s].half[1] = _mm256_permute2x128_si256(low, high, 0x31);
    }
}

static void avx2_draw(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out)
{
    philox_words w;
    size_t done = (size_t)(-first % 8) < count ? (size_t)(-first % 8) : count;
    weft_draw_u16(draw, first, done, out);
    if (count - done >= SET)
        philox_prepare(draw, &w);
    while (count - done >= SET) {
        drawn_words drawn[SETS];
        const size_t sets = count - done >= (size_t)SETS * SET ? SETS : 1;
        if (sets > 1)
            philox_blocks(&w, (first + done) / 8, SETS, drawn);
        else
            philox_blocks(&w, (first + done) / 8, 1, drawn);
        for (size_t s = 0; s < sets; s++, done += SET)
            for (size_t h = 0; h < 2; h++)
                _mm256_storeu_si256((__m256i *)(void *)(out + done + 16 * h),
                                    _mm256_permute4x64_epi64(drawn[s].half[h], 0xD8));
    }
    weft_draw_u16(draw, first + done, count - done, out + done);
}

/* What rounding needs, in vectors. */
typedef struct rounding_words {
    __m256 ratio, limit, magnitude;
} rounding_words;

static inline rounding_words rounding_prepare(const weft_rounding *r)
{
    return (rounding_words){.ratio = _mm256_set1_ps(r->ratio * 65536.0f),
                            .limit = _mm256_set1_ps(r->limit),
                            .magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MAX))};
}

/* Multiplying by 65536 before or after |v| gives the same level unless the product overflows:
 * only powers of two of numbers that round to 0 are lost. */
static inline bool ratio_is_moderate(const weft_rounding *r)
{
    return r->ratio < 0x1p100f;
}

/* Levels of eight elements without their sign, given their random bits as 32-bit numbers. */
static inline __m256i levels_of(__m256 v, const rounding_words *r, __m256i random)
{
    const __m256 scaled = _mm256_mul_ps(_mm256_and_ps(v, r->magnitude), r->ratio);
    const __m256i fixed = _mm256_cvtps_epi32(_mm256_min_ps(scaled, r->limit));
    return _mm256_srli_epi32(_mm256_add_epi32(fixed, random), 16);
}

/* 16 signed levels; lanes as _mm256_packs_epi32 leaves them. */
static inline __m256i signed16(const float *v, const rounding_words *r, __m256i random)
{
    const __m256 a = _mm256_loadu_ps(v), b = _mm256_loadu_ps(v + 8);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i x = levels_of(a, r, _mm256_unpacklo_epi16(random, zero));
    const __m256i y = levels_of(b, r, _mm256_unpackhi_epi16(random, zero));
    const __m256i signs = _mm256_packs_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b));
    return _mm256_sign_epi16(_mm256_packs_epi32(x, y), signs);
}

/* Signed levels of 32 elements, 16 in each, to bytes. */
static inline void store_levels8(__m256i first, __m256i second, __m256i top, uint8_t *out)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i level = _mm256_add_epi8(_mm256_packs_epi16(first, second), top);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permutevar8x32_epi32(level, order));
}

/* 16 random half-words in the order of drawn_words. */
static inline __m256i load_random(const uint16_t *random)
{
    return _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)(const void *)random),
                                    0xD8);
}

static void avx2_levels8(const float *v, size_t count, const weft_rounding *r,
                         const uint16_t *random, uint8_t *out)
{
    const rounding_words w = rounding_prepare(r);
    const __m256i top = _mm256_set1_epi8((char)r->top);
    size_t i = 0;
    for (; ratio_is_moderate(r) && i + 32 <= count; i += 32)
        store_levels8(signed16(v + i, &w, load_random(random + i)),
                      signed16(v + i + 16, &w, load_random(random + i + 16)), top, out + i);
    c_levels8(v + i, count - i, r, random + i, out + i);
}

static void avx2_levels16(const float *v, size_t count, const weft_rounding *r,
                          const uint16_t *random, uint16_t *out)
{
    const rounding_words w = rounding_prepare(r);
    const __m256i top = _mm256_set1_epi16((short)r->top);
    size_t i = 0;
    for (; ratio_is_moderate(r) && i + 16 <= count; i += 16) {
        const __m256i level = signed16(v + i, &w, load_random(random + i));
        _mm256_storeu_si256((__m256i *)(void *)(out + i),
                            _mm256_permute4x64_epi64(_mm256_add_epi16(level, top), 0xD8));
    }
    c_levels16(v + i, count - i, r, random + i, out + i);
}

/* Drawing and rounding in one: the random bits stay in registers. */
static void avx2_drawn8(const float *v, size_t count, const weft_rounding *r, const weft_draw *draw,
                        uint64_t first, uint8_t *out)
{
    enum { STEP = FUSED_SETS * SET };
    const rounding_words w = rounding_prepare(r);
    const __m256i top = _mm256_set1_epi8((char)r->top);
    size_t i = 0;
    if (first % 8 == 0 && count >= STEP && ratio_is_moderate(r)) {
        philox_words words;
        philox_prepare(draw, &words);
        for (; i + STEP <= count; i += STEP) {
            drawn_words drawn[FUSED_SETS];
            philox_blocks(&words, (first + i) / 8, FUSED_SETS, drawn);
#pragma GCC unroll 4
            for (size_t s = 0; s < FUSED_SETS; s++) {
                const float *from = v + i + SET * s;
                store_levels8(signed16(from, &w, drawn[s].half[0]),
                              signed16(from + 16, &w, drawn[s].half[1]), top, out + i + SET * s);
            }
        }
    }
    while (i < count) {
        uint16_t random[STEP];
        const size_t n = count - i < STEP ? count - i : STEP;
        avx2_draw(draw, first + i, n, random);
        avx2_levels8(v + i, n, r, random, out + i);
        i += n;
    }
}

static inline uint32_t equal32(const uint16_t *v, __m256i to)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)v);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(v + 16));
    const __m256i both = _mm256_packs_epi16(_mm256_cmpeq_epi16(a, to), _mm256_cmpeq_epi16(b, to));
    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(both, 0xD8));
}

static void avx2_others16(const uint16_t *v, size_t count, uint16_t than, uint64_t *out)
{
    const __m256i to = _mm256_set1_epi16((short)than);
    size_t i = 0;
    for (; i + 64 <= count; i += 64)
        *out++ = ~((uint64_t)equal32(v + i + 32, to) << 32 | equal32(v + i, to));
    c_others16(v + i, count - i, than, out);
}

#endif
#endif
