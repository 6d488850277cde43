/* SPDX-License-Identifier: Apache-2.0 */
#include "support/halves.h"

#include <math.h>

bool halves_are(weft_dtype dtype)
{
    return dtype == WEFT_F16 || dtype == WEFT_BF16;
}

static int fraction_bits(weft_dtype dtype)
{
    return dtype == WEFT_F16 ? 10 : 7;
}

/* Of the bits without a sign, as if infinity were the next number. */
static double magnitude(weft_dtype dtype, int bits)
{
    const int width = fraction_bits(dtype), bias = dtype == WEFT_F16 ? 15 : 127;
    const int exponent = bits >> width, fraction = bits & ((1 << width) - 1);
    return exponent == 0 ? ldexp(fraction, 1 - bias - width)
                         : ldexp((1 << width) + fraction, exponent - bias - width);
}

static int infinity_of(weft_dtype dtype)
{
    return 0x7fff >> fraction_bits(dtype) << fraction_bits(dtype);
}

double halves_value(weft_dtype dtype, uint16_t bits)
{
    const int plain = bits & 0x7fff, limit = infinity_of(dtype);
    const double size = plain < limit    ? magnitude(dtype, plain)
                        : plain == limit ? (double)INFINITY
                                         : (double)NAN;
    return bits >> 15 ? -size : size;
}

uint16_t halves_nearest(weft_dtype dtype, double value)
{
    const int limit = infinity_of(dtype), sign = signbit(value) ? 0x8000 : 0;
    const double size = fabs(value);
    int low = 0, high = limit; /* magnitude(low) <= size < magnitude(high) */
    if (isnan(value)) {
        return (uint16_t)(limit | 1 << (fraction_bits(dtype) - 1));
    }
    if (size >= magnitude(dtype, limit)) {
        return (uint16_t)(limit | sign);
    }
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (magnitude(dtype, middle) <= size) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const double below = size - magnitude(dtype, low), above = magnitude(dtype, high) - size;
    const bool up = above < below || (above == below && low % 2 == 1);
    return (uint16_t)((up ? high : low) | sign);
}
