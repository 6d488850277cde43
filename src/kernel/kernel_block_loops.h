/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of codecs that measure a block or round to bytes. A part of kernel_loops.h. */
#ifndef WEFT_KERNEL_KERNEL_BLOCK_LOOPS_H
#define WEFT_KERNEL_KERNEL_BLOCK_LOOPS_H

#include "kernel/kernel_code.h"
#include "kernel/kernel_reduce.h"

enum { BLOCK_LANES = 16, COUNT_RUN = 1 << 20, FRACTION = 23, POWER_KEPT = FRACTION - 16 };

/* Vectors of eight and of four, at any address of a float. */
typedef float floats_eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t bits_eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float floats_four __attribute__((vector_size(16)));
typedef double doubles_four __attribute__((vector_size(32)));
typedef int32_t bits_four __attribute__((vector_size(16)));
enum { LANES_FOUR = 4, FOURS = BLOCK_LANES / LANES_FOUR, LANES_EIGHT = 8 };

/* Of each sign 16 partial sums, as those of kernel.h. */
static void split_sums(const float *v, size_t count, double ret[2])
{
    const uint8_t *at = (const uint8_t *)v;
    doubles_four plus[FOURS] = {{0}}, minus[FOURS] = {{0}};
    double parts[2][BLOCK_LANES];
    size_t i = 0;
    for (; i + BLOCK_LANES <= count; i += BLOCK_LANES)
        for (size_t k = 0; k < FOURS; k++) {
            floats_four x;
            memcpy(&x, at + (i + k * LANES_FOUR) * sizeof(*v), sizeof(x));
            const bits_four below = x < 0.0f;
            const floats_four low = (floats_four)((bits_four)x & below);
            const floats_four high = (floats_four)((bits_four)x & ~below);
            plus[k] += __builtin_convertvector(high, doubles_four);
            minus[k] += __builtin_convertvector(low, doubles_four);
        }
    memcpy(parts[0], plus, sizeof(plus));
    memcpy(parts[1], minus, sizeof(minus));
    for (size_t j = 0; i + j < count; j++) {
        const float e = ((const any_F32 *)v)[i + j];
        parts[e < 0][j] += (double)e;
    }
    for (size_t s = 0; s < 2; s++) {
        ret[s] = parts[s][0];
        for (size_t j = 1; j < BLOCK_LANES; j++)
            ret[s] += parts[s][j];
    }
}

static size_t count_below(const float *v, size_t count)
{
    const any_F32 *x = v;
    size_t below = 0;
    for (size_t i = 0; i < count;) {
        const size_t end = count - i < COUNT_RUN ? count : i + COUNT_RUN;
        int32_t run = 0; /* as wide as the elements, so that all is of one width */
        for (; i < end; i++)
            run += x[i] < 0;
        below += (size_t)run;
    }
    return below;
}

static void extremes(const float *v, size_t count, float *ret_min, float *ret_max)
{
    const uint8_t *at = (const uint8_t *)v;
    const any_F32 *x = v;
    const float first = x[0];
    bits_eight least, most;
    float ends[2][LANES_EIGHT];
    size_t i = 0;
    for (size_t j = 0; j < LANES_EIGHT; j++)
        least[j] = most[j] = bits_of_float(first);
    for (; i + LANES_EIGHT <= count; i += LANES_EIGHT) {
        floats_eight e;
        memcpy(&e, at + i * sizeof(*v), sizeof(e));
        const bits_eight lower = e<(floats_eight)least, higher = e>(floats_eight) most;
        least = ((bits_eight)e & lower) | (least & ~lower);
        most = ((bits_eight)e & higher) | (most & ~higher);
    }
    memcpy(ends[0], &least, sizeof(least));
    memcpy(ends[1], &most, sizeof(most));
    for (size_t j = 1; j < LANES_EIGHT; j++) {
        ends[0][0] = ends[0][j] < ends[0][0] ? ends[0][j] : ends[0][0];
        ends[1][0] = ends[1][j] > ends[1][0] ? ends[1][j] : ends[1][0];
    }
    for (; i < count; i++) {
        ends[0][0] = x[i] < ends[0][0] ? x[i] : ends[0][0];
        ends[1][0] = x[i] > ends[1][0] ? x[i] : ends[1][0];
    }
    *ret_min = ends[0][0] + 0.0f;
    *ret_max = ends[1][0] + 0.0f;
}

/* Distances 1, 2 and 4 within eight elements: each is added to its neighbour, or taken from it. */
static inline void hadamard_eight(floats_eight *v)
{
    enum { NO = 0, YES = INT32_MIN };
    const bits_eight one = {NO, YES, NO, YES, NO, YES, NO, YES};
    const bits_eight two = {NO, NO, YES, YES, NO, NO, YES, YES};
    const bits_eight four = {NO, NO, NO, NO, YES, YES, YES, YES};
    floats_eight x = *v;
    x = __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6) + (floats_eight)((bits_eight)x ^ one);
    x = __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5) + (floats_eight)((bits_eight)x ^ two);
    *v = __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3) +
         (floats_eight)((bits_eight)x ^ four);
}

/* Distances h and 2h, the sums in the order of one after the other; whole eights. */
static inline void hadamard_pair(floats_eight *v, size_t h, size_t count)
{
    for (size_t i = 0; i < count; i += 4 * h)
        for (size_t j = i; j < i + h; j++) {
            const floats_eight a = v[j] + v[j + h], b = v[j] - v[j + h];
            const floats_eight c = v[j + 2 * h] + v[j + 3 * h], d = v[j + 2 * h] - v[j + 3 * h];
            v[j] = a + c;
            v[j + h] = b + d;
            v[j + 2 * h] = a - c;
            v[j + 3 * h] = b - d;
        }
}

static void hadamard(float *v, unsigned order)
{
    const size_t count = (size_t)1 << order, eights = count / LANES_EIGHT;
    floats_eight *wide = (floats_eight *)v;
    size_t h = 1;
    for (size_t i = 0; i < eights; i++)
        hadamard_eight(&wide[i]);
    for (; h * 2 < eights; h *= 4)
        hadamard_pair(wide, h, eights);
    for (; h < eights; h *= 2)
        for (size_t i = 0; i < eights; i += 2 * h)
            for (size_t j = i; j < i + h; j++) {
                const floats_eight a = wide[j], b = wide[j + h];
                wide[j] = a + b;
                wide[j + h] = a - b;
            }
    for (h = 1; eights == 0 && h < count; h *= 2)
        for (size_t i = 0; i < count; i++)
            if (!(i & h)) {
                const float a = v[i], b = v[i + h];
                v[i] = a + b;
                v[i + h] = a - b;
            }
}

/* Negated where a bit is set; a zero of either sign is +0. */
static void flip(const float *v, const uint8_t *signs, size_t count, float factor, float *out)
{
    const bits_eight select = {1, 2, 4, 8, 16, 32, 64, 128};
    const any_F32 *x = v;
    any_F32 *to = out;
    size_t i = 0;
    for (; i + LANES_EIGHT <= count; i += LANES_EIGHT) {
        floats_eight e;
        memcpy(&e, x + i, sizeof(e));
        const bits_eight set = (select & (int32_t)signs[i / 8]) != 0;
        e = (floats_eight)((bits_eight)(e * factor) ^ (set & INT32_MIN)) + 0.0f;
        memcpy(to + i, &e, sizeof(e));
    }
    for (; i < count; i++) {
        const float e = x[i] * factor;
        to[i] = (signs[i / 8] >> i % 8 & 1 ? -e : e) + 0.0f;
    }
}

static void to_bytes(const float *v, size_t count, float min, float ratio, uint8_t *out)
{
    const any_F32 *x = v;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        /* Rounds to the nearest even whole number: the sum's last bit is worth 1. */
        out[i] = (uint8_t)bits_of_float((x[i] - min) * ratio + 0x1p23f);
    }
}

static void from_bytes(const uint8_t *in, size_t count, float min, float step, float *out)
{
    any_F32 *x = out;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        x[i] = min + (float)in[i] * step;
    }
}

/* In the bits of a binary32: the fraction rounded to 16 bits, nearest even, and random ones added;
 * what is carried goes into the exponent. */
static void to_powers(const float *v, size_t count, const uint16_t *random, uint8_t *out)
{
    const any_F32 *x = v;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        const uint32_t bits = (uint32_t)bits_of_float(x[i]) & INT32_MAX;
        const uint32_t half = (1u << (POWER_KEPT - 1)) - 1 + (bits >> POWER_KEPT & 1);
        out[i] = (uint8_t)((((bits + half) >> POWER_KEPT) + random[i]) >> 16);
    }
}

typedef uint8_t bytes_eight __attribute__((vector_size(8)));

static void from_powers(const uint8_t *exponents, const uint8_t *signs, size_t count, float *out)
{
    const bits_eight select = {1, 2, 4, 8, 16, 32, 64, 128};
    any_F32 *x = out;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        bytes_eight bytes;
        memcpy(&bytes, exponents + i, sizeof(bytes));
        const bits_eight set = (select & (int32_t)signs[i / 8]) != 0;
        const bits_eight values =
            (__builtin_convertvector(bytes, bits_eight) << FRACTION) | (set & INT32_MIN);
        memcpy(x + i, &values, sizeof(values));
    }
    for (; i < count; i++)
        x[i] = float_of_bits((int32_t)((uint32_t)exponents[i] << FRACTION |
                                       (uint32_t)(signs[i / 8] >> i % 8 & 1) << 31));
}

#endif
