/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to levels, packing and back: each table against the formulas of kernel/kernel_quant.h.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

enum { MOST = 700, CANARY = 64, FILL = 0xa7, TABLES = 2 };

static const weft_kernels *table_at(int i)
{
#ifdef WEFT_HAVE_AVX2
    if (i == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return &weft_kernels_avx2;
#endif
    return i == 0 ? &weft_kernels_c : NULL;
}

#define FOR_EACH_TABLE(k)                                                                          \
    for (int k##_index = 0; k##_index < TABLES; k##_index++)                                       \
        for (const weft_kernels *k = table_at(k##_index); k; k = NULL)

/* Lengths up to MOST: all short ones, then some around those that loops are cut at. */
static size_t next_length(size_t n)
{
    return n < 70 ? n + 1 : n + 29;
}

/* Floats of all kinds that are finite, at an address `shift` bytes off. */
static const float *floats_at(uint8_t *buffer, size_t shift, uint64_t seed)
{
    static const float special[] = {0.0f, -0.0f, 1e-45f, -1e-40f, FLT_MIN, 1.0f, -1.0f, 0.5f};
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < MOST; i++) {
        float v = (float)(2 * weft_rng_unit(&rng) - 1);
        if (i % 5 == 3)
            v = special[weft_rng_below(&rng, sizeof(special) / sizeof(special[0]))];
        memcpy(buffer + shift + 4 * i, &v, sizeof(v));
    }
    return (const float *)(const void *)(buffer + shift);
}

static float float_at(const uint8_t *buffer, size_t shift, size_t i)
{
    float v;
    memcpy(&v, buffer + shift + 4 * i, sizeof(v));
    return v;
}

/* The formula, in double arithmetic that is exact where binary32 rounds. */
static unsigned level_of(float v, const weft_rounding *r, unsigned random)
{
    const float product = fabsf(v) * r->ratio;
    const double t = fmin((double)product * 65536.0, (double)r->limit);
    const unsigned level = (unsigned)(((uint64_t)rint(t) + random) >> 16);
    return v < 0 ? r->top - level : r->top + level;
}

static weft_rounding rounding(unsigned top, float norm)
{
    const float ratio = norm > 0 ? (float)top / norm : 0.0f;
    return (weft_rounding){.ratio = ratio, .limit = (float)top * 65536.0f, .top = top};
}

Test(kernel_quant, random_bits_are_those_of_the_reference_at_any_index)
{
    static const uint64_t firsts[] = {
        0, 1, 7, 8, 1000, (UINT64_C(1) << 35) - 40, (UINT64_C(1) << 40) - 9};
    const weft_draw draw = {
        .seed = 0x0123456789abcdef, .member = 77, .tensor = 65535, .draw = (UINT64_C(1) << 48) - 2};
    uint16_t want[MOST], got[MOST + 1];
    FOR_EACH_TABLE(k)
    for (size_t f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++)
        for (size_t n = 0; n <= MOST; n = next_length(n)) {
            for (size_t i = 0; i < n; i++) /* one by one: a counter each */
                weft_draw_u16(&draw, firsts[f] + i, 1, want + i);
            got[n] = 0xbeef;
            k->draw(&draw, firsts[f], n, got);
            cr_assert(!memcmp(got, want, n * sizeof(want[0])), "%s: %zu", k->name, n);
            cr_assert_eq(got[n], 0xbeef, "%s: %zu: wrote past the end", k->name, n);
        }
}

static void check_levels(const weft_kernels *k, const weft_rounding *r, size_t n, size_t shift,
                         uint64_t seed)
{
    static uint8_t buffer[4 * MOST + 8], out8[MOST + CANARY], drawn[MOST + CANARY];
    static uint16_t random[MOST], out16[MOST + CANARY];
    const weft_draw draw = {.seed = seed, .draw = 3};
    const uint64_t first = seed % 3 ? 8 * seed : seed;
    const float *v = floats_at(buffer, shift, seed);
    weft_draw_u16(&draw, first, n, random);
    memset(out8, FILL, sizeof(out8));
    memset(drawn, FILL, sizeof(drawn));
    memset(out16, FILL, sizeof(out16));
    k->levels16(v, n, r, random, out16);
    if (r->top <= 127) {
        k->levels8(v, n, r, random, out8);
        k->drawn8(v, n, r, &draw, first, drawn);
    }
    for (size_t i = 0; i < n; i++) {
        const unsigned want = level_of(float_at(buffer, shift, i), r, random[i]);
        cr_assert_eq(out16[i], want, "%s: top %u, %zu of %zu: %u, not %u", k->name, r->top, i, n,
                     out16[i], want);
        cr_assert(r->top > 127 || (out8[i] == want && drawn[i] == want), "%s: %zu of %zu", k->name,
                  i, n);
    }
    for (size_t i = r->top > 127 ? 0 : n; i < n + CANARY && i < sizeof(out8); i++)
        cr_assert(out8[i] == FILL && drawn[i] == FILL, "%s: beyond %zu", k->name, n);
    for (size_t i = n; i < n + CANARY && i < MOST + CANARY; i++)
        cr_assert_eq(out16[i], FILL << 8 | FILL, "%s: beyond %zu", k->name, n);
}

Test(kernel_quant, levels_follow_the_formula_at_any_length_and_address)
{
    static const unsigned tops[] = {1, 7, 127, 128, 1000, 32767};
    FOR_EACH_TABLE(k)
    for (size_t t = 0; t < sizeof(tops) / sizeof(tops[0]); t++)
        for (size_t n = 0; n <= MOST; n = next_length(n)) {
            const weft_rounding r = rounding(tops[t], 1.0f);
            check_levels(k, &r, n, n % 4, n + t);
        }
}

/* Steps so small that 65536 s/N is infinite, blocks of zeros, values above the limit. */
Test(kernel_quant, levels_follow_the_formula_for_extreme_scales)
{
    FOR_EACH_TABLE(k)
    {
        weft_rounding r = rounding(7, 0x1p-120f);
        cr_assert(isinf(r.ratio * 65536.0f));
        check_levels(k, &r, 300, 1, 4);
        r = rounding(127, 0.0f);
        check_levels(k, &r, 300, 2, 5);
        r = rounding(1, 0x1p-60f); /* nearly all are clipped */
        check_levels(k, &r, 300, 3, 6);
        r = rounding(100, 0.75f);
        r.limit = 20000.0f; /* less than one level */
        check_levels(k, &r, 300, 0, 7);
    }
}

Test(kernel_quant, values_are_products_that_overwrite_or_are_added)
{
    static uint8_t level8[MOST], first[4 * MOST + CANARY], second[4 * MOST + CANARY];
    static uint16_t level16[MOST];
    weft_rng rng = {.state = 9};
    for (size_t i = 0; i < MOST; i++) {
        level8[i] = (uint8_t)weft_rng_u64(&rng);
        level16[i] = (uint16_t)weft_rng_u64(&rng);
    }
    FOR_EACH_TABLE(k)
    for (size_t n = 0; n <= MOST; n = next_length(n)) {
        const size_t shift = n % 4;
        const float step = 0.1f;
        memset(first, FILL, sizeof(first));
        memset(second, FILL, sizeof(second));
        k->values8(level8, n, 127, step, (float *)(void *)(first + shift));
        k->values16(level16, n, 30000, step, (float *)(void *)(second + shift));
        for (size_t i = 0; i < n; i++) {
            cr_assert_eq(float_at(first, shift, i), (float)(level8[i] - 127) * step);
            cr_assert_eq(float_at(second, shift, i), (float)(level16[i] - 30000) * step);
        }
        k->add8(level8, n, 7, step, (float *)(void *)(first + shift));
        k->add16(level16, n, 7, step, (float *)(void *)(second + shift));
        for (size_t i = 0; i < n; i++) {
            const float a = (float)(level8[i] - 127) * step, b = (float)(level8[i] - 7) * step;
            cr_assert_eq(float_at(first, shift, i), a + b, "%s: %zu of %zu", k->name, i, n);
            const float c = (float)(level16[i] - 30000) * step, d = (float)(level16[i] - 7) * step;
            cr_assert_eq(float_at(second, shift, i), c + d, "%s: %zu of %zu", k->name, i, n);
        }
        for (size_t i = 0; i < sizeof(first); i++)
            cr_assert((i >= shift && i < shift + 4 * n) || (first[i] == FILL && second[i] == FILL),
                      "%s: outside of %zu", k->name, n);
    }
}

Test(kernel_quant, the_largest_number_is_found_anywhere)
{
    uint8_t bytes[MOST] = {0};
    uint16_t words[MOST] = {0};
    FOR_EACH_TABLE(k)
    for (size_t n = 0; n <= MOST; n = next_length(n)) {
        cr_assert_eq(k->most8(bytes, n), 0);
        cr_assert_eq(k->most4(bytes, n), 0);
        for (size_t at = n % 3; at < n; at += 7) {
            bytes[at] = 255;
            words[at] = 65535;
            cr_assert_eq(k->most8(bytes, n), 255, "%s: %zu of %zu", k->name, at, n);
            cr_assert_eq(k->most16(words, n), 65535, "%s: %zu of %zu", k->name, at, n);
            for (unsigned nibble = 0; nibble < 2; nibble++) {
                bytes[at] = (uint8_t)(13u << 4 * nibble);
                cr_assert_eq(k->most4(bytes, n), 13, "%s: %zu of %zu", k->name, at, n);
            }
            bytes[at] = 0;
            words[at] = 0;
        }
    }
}

Test(kernel_quant, numbers_are_counted_and_marked_at_any_length)
{
    uint16_t v[MOST];
    uint64_t mask[MOST / 64 + 2];
    weft_rng rng = {.state = 4};
    for (size_t i = 0; i < MOST; i++)
        v[i] = (uint16_t)(weft_rng_below(&rng, 3) ? 32767 : weft_rng_below(&rng, 65536));
    FOR_EACH_TABLE(k)
    for (size_t n = 0; n <= MOST; n = next_length(n)) {
        uint64_t least = 0;
        memset(mask, FILL, sizeof(mask));
        k->others16(v, n, 32767, mask);
        for (size_t i = 0; i < n; i++) {
            least += v[i] >= 32768;
            cr_assert_eq(mask[i / 64] >> i % 64 & 1, v[i] != 32767, "%s: %zu", k->name, i);
        }
        cr_assert(n % 64 == 0 || mask[n / 64] >> n % 64 == 0, "%s: bits behind the last", k->name);
        cr_assert_eq(((uint8_t *)mask)[(n + 63) / 64 * 8], FILL, "%s: %zu", k->name, n);
        cr_assert_eq(k->least16(v, n, 32768), least, "%s: %zu", k->name, n);
        cr_assert_eq(k->least16(v, n, 0), n, "%s: %zu", k->name, n);
    }
}

/* The layout, bit by bit. */
static void pack_slowly(unsigned width, const uint16_t *in, size_t count, uint8_t *out)
{
    memset(out, 0, (count * width + 7) / 8);
    for (size_t i = 0; i < count; i++)
        for (unsigned b = 0; b < width; b++) {
            const size_t at = i * width + b;
            out[at / 8] = (uint8_t)(out[at / 8] | (in[i] >> b & 1) << (at % 8));
        }
}

static void check_packing(const weft_kernels *k, unsigned width, size_t n, weft_rng *rng)
{
    static uint8_t bytes[MOST], want[2 * MOST], got[2 * MOST + 2 * CANARY], back8[MOST + CANARY];
    static uint16_t words[MOST], back16[MOST + CANARY];
    const size_t len = (n * width + 7) / 8;
    for (size_t i = 0; i < n; i++) {
        words[i] = (uint16_t)weft_rng_below(rng, UINT64_C(1) << width);
        bytes[i] = (uint8_t)words[i];
    }
    memset(got, FILL, sizeof(got));
    memset(back8, FILL, sizeof(back8));
    memset(back16, FILL, sizeof(back16));
    pack_slowly(width, words, n, want);
    if (width <= 8) {
        k->pack8(width, bytes, n, got + CANARY, len);
        k->unpack8(width, want, len, n, back8);
        cr_assert(!memcmp(back8, bytes, n), "%s: %zu of %u bits", k->name, n, width);
    } else {
        k->pack16(width, words, n, got + CANARY, len);
        k->unpack16(width, want, len, n, back16);
        cr_assert(!memcmp(back16, words, 2 * n), "%s: %zu of %u bits", k->name, n, width);
    }
    cr_assert(!memcmp(got + CANARY, want, len), "%s: %zu of %u bits", k->name, n, width);
    for (size_t i = 0; i < CANARY; i++)
        cr_assert(got[i] == FILL && got[CANARY + len + i] == FILL, "%s: outside", k->name);
    for (size_t i = width <= 8 ? n : 0; i < n + CANARY; i++)
        cr_assert_eq(back8[i], FILL, "%s: beyond %zu", k->name, n);
    for (size_t i = width <= 8 ? 0 : n; i < n + CANARY; i++)
        cr_assert_eq(back16[i], FILL << 8 | FILL, "%s: beyond %zu", k->name, n);
}

Test(kernel_quant, packing_follows_the_layout_and_comes_back_for_every_width)
{
    weft_rng rng = {.state = 1};
    FOR_EACH_TABLE(k)
    for (unsigned width = 1; width <= 16; width++)
        for (size_t n = 0; n <= 150; n++)
            check_packing(k, width, n, &rng);
}
