/* SPDX-License-Identifier: Apache-2.0 */
/* The conversions of the 16-bit floating types, over all their values and all their borders. */
#include <criterion/criterion.h>
#include <math.h>

#include "base/rng.h"
#include "kernel/kernel_half.h"
#include "support/halves.h"

enum { VALUES = 1 << 16 };
static const weft_dtype formats[] = {WEFT_F16, WEFT_BF16};

static float widen(weft_dtype dtype, uint16_t bits)
{
    return dtype == WEFT_F16 ? float_of_f16(bits) : float_of_bf16(bits);
}

static uint16_t narrow(weft_dtype dtype, float value)
{
    return dtype == WEFT_F16 ? f16_of_float(value) : bf16_of_float(value);
}

static void expect_nearest(weft_dtype dtype, float value)
{
    const uint16_t got = narrow(dtype, value), want = halves_nearest(dtype, (double)value);
    if (got != want) /* cr_assert of millions takes its time */
        cr_assert_fail("%s of %a: %04x, not %04x", weft_dtype_name(dtype), (double)value, got,
                       want);
}

Test(half, every_value_widens_to_what_its_bits_say)
{
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < VALUES; i++) {
            const float got = widen(formats[f], (uint16_t)i);
            const double want = halves_value(formats[f], (uint16_t)i);
            if (isnan(want) ? !isnan(got) : (double)got != want || !signbit(got) != !signbit(want))
                cr_assert_fail("%s %04x is %a, not %a", weft_dtype_name(formats[f]), (unsigned)i,
                               (double)got, want);
        }
}

Test(half, every_value_comes_back_from_a_float_and_every_nan_as_one)
{
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < VALUES; i++) {
            const float wide = widen(formats[f], (uint16_t)i);
            const int want = isnan(wide) ? (formats[f] == WEFT_F16 ? 0x7e00 : 0x7fc0) : i;
            if (narrow(formats[f], wide) != want)
                cr_assert_fail("%s %04x comes back as %04x", weft_dtype_name(formats[f]),
                               (unsigned)i, narrow(formats[f], wide));
        }
}

/* Around the middle between each value and the next, of either sign: below it, on it, above it.
 * Between them, conversion is monotonic or the test with random bits finds it. */
Test(half, rounding_is_to_nearest_and_ties_go_to_even)
{
    for (int f = 0; f < 2; f++) {
        const weft_dtype dtype = formats[f];
        const int infinity = dtype == WEFT_F16 ? F16_INFINITY : BF16_INFINITY;
        for (int i = 0; i < infinity - 1; i++) {
            const double low = halves_value(dtype, (uint16_t)i);
            const double high = halves_value(dtype, (uint16_t)(i + 1));
            const float middle = (float)(low + (high - low) / 2);
            cr_assert(low < (double)middle && (double)middle < high);
            if (narrow(dtype, middle) != i + i % 2 || narrow(dtype, -middle) != i + i % 2 + 0x8000)
                cr_assert_fail("%s: the tie above %04x", weft_dtype_name(dtype), (unsigned)i);
            if (narrow(dtype, nextafterf(middle, 0)) != i ||
                narrow(dtype, nextafterf(middle, INFINITY)) != i + 1)
                cr_assert_fail("%s: beside the tie above %04x", weft_dtype_name(dtype),
                               (unsigned)i);
            expect_nearest(dtype, nextafterf(-middle, 0));
            expect_nearest(dtype, nextafterf(-middle, -INFINITY));
            expect_nearest(dtype, nextafterf((float)high, 0));
        }
    }
}

Test(half, what_is_too_large_becomes_infinite)
{
    cr_assert_eq(f16_of_float(65504), 0x7bff);
    cr_assert_eq(f16_of_float(nextafterf(65520, 0)), 0x7bff);
    cr_assert_eq(f16_of_float(65520), F16_INFINITY);
    cr_assert_eq(f16_of_float(-65536), F16_INFINITY | 0x8000);
    cr_assert_eq(f16_of_float(0x1p127f), F16_INFINITY);
    cr_assert_eq(bf16_of_float(0x1.fep127f), 0x7f7f);
    cr_assert_eq(bf16_of_float(0x1.fefffep127f), 0x7f7f);
    cr_assert_eq(bf16_of_float(0x1.ffp127f), BF16_INFINITY);
    cr_assert_eq(bf16_of_float(-0x1.fffffep127f), BF16_INFINITY | 0x8000);
    for (int f = 0; f < 2; f++) {
        expect_nearest(formats[f], INFINITY);
        expect_nearest(formats[f], -INFINITY);
    }
}

Test(half, floats_of_any_bits_round_as_the_definition_says)
{
    weft_rng rng = {.state = 20};
    for (int i = 0; i < 1 << 20; i++) {
        const uint64_t bits = weft_rng_u64(&rng);
        for (int f = 0; f < 2; f++) {
            const float value = float_of_bits((int32_t)(bits >> 32));
            expect_nearest(formats[f], value);
        }
        /* Most floats are too large or too small for float16: exponents about its own too. */
        expect_nearest(WEFT_F16, ldexpf((float)(int32_t)bits, (int)(bits >> 32 & 63) - 66));
    }
    for (int i = 0; i < 1 << 16; i++) { /* binary32's own subnormals, and the least of each */
        expect_nearest(WEFT_F16, float_of_bits(i));
        expect_nearest(WEFT_BF16, float_of_bits(i << 7));
        expect_nearest(WEFT_BF16, float_of_bits(i << 7 | INT32_MIN));
    }
}
