/* SPDX-License-Identifier: Apache-2.0 */
#include "half_bits.h"

#include <math.h>

/* Bits of the fraction, and the exponent of the least normal number and of what is too large. */
typedef struct half_format {
    int fraction, least, past;
} half_format;

static half_format format_of(weft_dtype dtype)
{
    return dtype == WEFT_F16 ? (half_format){10, -14, 16} : (half_format){7, -126, 128};
}

bool weft_is_half(weft_dtype dtype)
{
    return dtype == WEFT_F16 || dtype == WEFT_BF16;
}

int weft_half_exact(weft_dtype dtype)
{
    return 1 << (format_of(dtype).fraction + 1);
}

uint16_t weft_half_bits(weft_dtype dtype, double value)
{
    const half_format f = format_of(dtype);
    const int infinity = (f.past - f.least + 1) << f.fraction;
    int exponent = f.least;
    if (value != 0.0 && isfinite(value) && ilogb(value) > exponent) {
        exponent = ilogb(value);
    }
    /* In units of the last bit, the leading one counted in: it is what the exponent lacks here. */
    const double units = nearbyint(ldexp(fabs(value), f.fraction - exponent));
    const bool large = exponent >= f.past || !isfinite(value);
    const int bits = large ? infinity : ((exponent - f.least) << f.fraction) + (int)units;
    return (uint16_t)((bits < infinity ? bits : infinity) | (signbit(value) ? 0x8000 : 0));
}
