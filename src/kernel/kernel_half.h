/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16-bit floating types, by integer and binary32 arithmetic alone: no branch, so that compilers
 * vectorize; no instruction that only some CPUs have, so that bits are the same everywhere.
 *
 *   float16   IEEE 754 binary16: 5 bits of exponent, 10 of fraction; up to 65504
 *   bfloat16  the upper half of a binary32: 8 bits of exponent, 7 of fraction
 *
 * Rounding is to nearest, ties to even. What is too large becomes infinite, subnormals are kept,
 * every NaN becomes the one NaN of its format: results have no bits that depend on the CPU.
 */
#ifndef WEFT_KERNEL_KERNEL_HALF_H
#define WEFT_KERNEL_KERNEL_HALF_H

#include <stdint.h>
#include <string.h>

enum {
    F16_INFINITY = 0x7c00,
    F16_NAN = 0x7e00,
    BF16_INFINITY = 0x7f80,
    BF16_NAN = 0x7fc0,
    F32_INFINITY = 0x7f800000,
    HALF_MAGNITUDE = 0x7fff, /* all but the sign */
};

static inline float float_of_bits(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline int32_t bits_of_float(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* yes where the condition holds, else no. Not `?:`: gcc would put the float arithmetic behind a
 * branch, as it may trap, and not vectorize that. */
static inline int32_t select_bits(int32_t condition, int32_t yes, int32_t no)
{
    return (yes & -condition) | (no & ~-condition);
}

static inline float float_of_f16(uint16_t half)
{
    enum { SHIFT = 23 - 10, REBIAS = (127 - 15) << 23, LEAST = (127 - 14) << 23 };
    const int32_t magnitude = half & HALF_MAGNITUDE, moved = magnitude << SHIFT;
    const int32_t sign = (int32_t)(half >> 15) * INT32_MIN;
    /* Below the least normal number, 2^-14: as the fraction of 2^-14, which is then taken off. */
    const int32_t small = bits_of_float(float_of_bits(LEAST + moved) - 0x1p-14f);
    const int32_t normal = moved + REBIAS + (magnitude >= F16_INFINITY ? REBIAS : 0);
    return float_of_bits(select_bits(magnitude < 1 << 10, small, normal) | sign);
}

static inline uint16_t f16_of_float(float value)
{
    enum { SHIFT = 23 - 10, REBIAS = (127 - 15) << 23 };
    enum { LEAST = (127 - 14) << 23, PAST = (127 + 16) << 23 }; /* 2^-14 and 2^16 */
    const int32_t bits = bits_of_float(value), magnitude = bits & INT32_MAX;
    const int32_t sign = bits >> 16 & ~HALF_MAGNITUDE;
    /* Half a unit less one, and one where the last bit kept is set: ties go to even. A carry goes
     * into the exponent, as it should, up to infinity. */
    const int32_t tie = (1 << (SHIFT - 1)) - 1 + (magnitude >> SHIFT & 1);
    const int32_t normal = (magnitude - REBIAS + tie) >> SHIFT;
    /* Subnormal: next to 0.5 the last bit of a float is worth 2^-24, so that the sum rounds. */
    const int32_t small = bits_of_float(float_of_bits(magnitude) + 0.5f) - bits_of_float(0.5f);
    const int32_t finite = select_bits(magnitude < LEAST, small, normal);
    const int32_t rounded = select_bits(magnitude >= PAST, F16_INFINITY, finite) | sign;
    return (uint16_t)select_bits(magnitude > F32_INFINITY, F16_NAN, rounded);
}

static inline float float_of_bf16(uint16_t half)
{
    return float_of_bits((int32_t)((uint32_t)half << 16));
}

static inline uint16_t bf16_of_float(float value)
{
    const uint32_t bits = (uint32_t)bits_of_float(value);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((int32_t)(bits & INT32_MAX) > F32_INFINITY ? BF16_NAN : rounded);
}

/* Order of the values of either format: by magnitude, backwards where negative; -0 below 0. */
static inline int16_t half_order(uint16_t half)
{
    return (int16_t)(half ^ ((half >> 15) * HALF_MAGNITUDE));
}

static inline int half_is_nan(uint16_t half, uint16_t infinity)
{
    return (half & HALF_MAGNITUDE) > infinity;
}

static inline uint16_t half_min(uint16_t a, uint16_t b, uint16_t infinity, uint16_t nan)
{
    const uint16_t least = half_order(a) < half_order(b) ? a : b;
    return half_is_nan(a, infinity) | half_is_nan(b, infinity) ? nan : least;
}

static inline uint16_t half_max(uint16_t a, uint16_t b, uint16_t infinity, uint16_t nan)
{
    const uint16_t most = half_order(a) > half_order(b) ? a : b;
    return half_is_nan(a, infinity) | half_is_nan(b, infinity) ? nan : most;
}

#endif
