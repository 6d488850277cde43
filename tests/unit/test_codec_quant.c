/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of the quantizing codecs: codes, short scales, rounding to the nearest, clipping. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"

enum { ROOM = 512 };
enum { steps, sparse, zeros }; /* the kinds of golden/encodings.py */

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

static float golden_value(int kind, size_t i)
{
    if (kind == steps)
        return (float)((int)(i * 37 % 64) - 32) / 8.0f;
    return kind == sparse && i % 11 == 3 ? (float)i - 10.0f : 0.0f;
}

static void check_golden(int kind, size_t lane_count, size_t off, size_t count, const char *spec,
                         const char *hex)
{
    weft_codec *c = opened(spec);
    const weft_stretch s = {.lane_count = lane_count, .off = off, .count = count};
    const weft_draw draw = {.seed = 0x1234, .member = 3, .tensor = 2, .draw = 99};
    float lane[64], out[64];
    uint8_t bytes[ROOM];
    char text[2 * ROOM + 1] = "";
    size_t len = 0;
    for (size_t i = 0; i < lane_count; i++)
        lane[i] = golden_value(kind, i);
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, bytes, ROOM, &len), WEFT_OK);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    cr_expect_str_eq(text, hex, "%s, %zu of %zu", spec, count, lane_count);
    cr_expect_leq(len, c->type->bound(c, &s), "%s", spec);
    cr_expect_eq(c->type->decode(c, &s, bytes, len, out, false), WEFT_OK, "%s: %s", spec,
                 weft_last_error()->message);
    weft_codec_close(&c);
}

/* Against a second implementation, golden/quant_forms.py. */
Test(codec_quant, encodings_are_those_of_the_golden_file)
{
#define FORM(...) check_golden(__VA_ARGS__);
#include "golden/quant_forms.def"
#undef FORM
}

static void make_gaussian(float *v, size_t count, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(sqrt(-2.0 * log(1.0 - weft_rng_unit(&rng))) *
                       cos(6.283185307179586 * weft_rng_unit(&rng)));
}

/* QSGD's claim of 2.8 n + 32 bits at s = sqrt(n). */
Test(codec_quant, gaussians_take_at_most_2_80_bits_at_the_root_of_n_levels)
{
    enum { COUNT = 1 << 18 };
    weft_codec *c = opened("qsgd:levels=512,bucket=0,norm=2,code=elias");
    float *v = malloc(2 * COUNT * sizeof(float)), *out = v + COUNT;
    size_t cap = weft_codec_bound(c, COUNT), len = 0;
    uint8_t *bytes = malloc(cap);
    const weft_draw draw = {.seed = 1};
    cr_assert(v && bytes);
    make_gaussian(v, COUNT, 3);
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, cap, &len), WEFT_OK);
    cr_expect_leq(8.0 * (double)len / COUNT, 2.80);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_OK);
    double error = 0, square = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const double e = (double)out[i] - (double)v[i];
        error += e * e;
        square += (double)v[i] * (double)v[i];
    }
    cr_expect_lt(error, 0.18 * square, "relative variance %g", error / square);
    weft_codec_close(&c);
    free(bytes);
    free(v);
}

/* The same levels whatever the form they are sent in. */
Test(codec_quant, codes_change_bytes_and_never_values)
{
    static const char *const codes[] = {"packed", "elias", "auto"};
    static const unsigned levels[] = {1, 7, 100, 32767};
    enum { COUNT = 1500 };
    float v[COUNT], want[COUNT], got[COUNT];
    make_gaussian(v, COUNT, 5);
    for (size_t i = 0; i < COUNT; i++)
        v[i] = i % 400 < 150 ? 0.0f : v[i] * v[i] * v[i];
    for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
        size_t lens[3] = {0};
        for (size_t k = 0; k < 3; k++) {
            char spec[80];
            snprintf(spec, sizeof(spec), "qsgd:levels=%u,bucket=100,code=%s", levels[l], codes[k]);
            weft_codec *c = opened(spec);
            const size_t cap = weft_codec_bound(c, COUNT);
            uint8_t *bytes = malloc(cap);
            const weft_draw draw = {.seed = 4, .first = 0};
            cr_assert_not_null(bytes);
            cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, cap, &lens[k]), WEFT_OK);
            cr_assert_eq(weft_codec_decode(c, bytes, lens[k], k ? got : want, COUNT), WEFT_OK);
            cr_assert(k == 0 || !memcmp(got, want, sizeof(got)), "%s", spec);
            free(bytes);
            weft_codec_close(&c);
        }
        cr_assert_eq(lens[2], lens[0] < lens[1] ? lens[0] : lens[1], "levels %u", levels[l]);
    }
}

Test(codec_quant, short_scales_are_rounded_up)
{
    static const float largest[] = {1.0f, 1.0001f, 3.0f, 0.75f, 1e-20f, 1e30f};
    for (size_t k = 0; k < sizeof(largest) / sizeof(largest[0]); k++)
        for (int pow2 = 0; pow2 < 2; pow2++) {
            weft_codec *c = opened(pow2 ? "qsgd:levels=1,scale=pow2" : "qsgd:levels=1,scale=bf16");
            const weft_draw draw = {.seed = 4};
            uint8_t bytes[ROOM];
            float out = 0, v = largest[k];
            size_t len = 0;
            for (uint64_t seed = 0; seed < 50 && !(out > 0); seed++) {
                const weft_draw other = {.seed = seed};
                cr_assert_eq(weft_codec_encode(c, seed ? &other : &draw, &v, 1, bytes, ROOM, &len),
                             WEFT_OK);
                cr_assert_eq(len, pow2 ? 3 : 4);
                cr_assert_eq(weft_codec_decode(c, bytes, len, &out, 1), WEFT_OK);
            }
            cr_assert(out >= v && out <= v * (pow2 ? 2.0f : 1.0f + 0x1p-7f), "%g of %g",
                      (double)out, (double)v);
            weft_codec_close(&c);
        }
}

Test(codec_quant, scales_that_round_up_to_infinity_are_refused)
{
    weft_codec *c = opened("qsgd:levels=1,scale=pow2");
    const weft_draw draw = {.seed = 4};
    const float v = FLT_MAX;
    uint8_t bytes[ROOM];
    size_t len = 0;
    cr_assert_eq(weft_codec_encode(c, &draw, &v, 1, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec qsgd: the norm of the block of elements 0 to 0 overflows float32");
    const uint8_t infinite[3] = {2, 255, 1};
    float out = 0;
    cr_assert_eq(weft_codec_decode(c, infinite, 3, &out, 1), WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: offset 1: a scale is not finite");
    weft_codec_close(&c);
}

Test(codec_quant, nearest_is_off_by_half_a_step_at_most_whatever_the_draw)
{
    weft_codec *c = opened("qsgd:levels=5,bucket=0,round=nearest");
    enum { COUNT = 700 };
    float v[COUNT], out[COUNT], step = 0;
    make_gaussian(v, COUNT, 8);
    for (size_t i = 0; i < COUNT; i++)
        step = fmaxf(step, fabsf(v[i]) / 5.0f);
    uint8_t bytes[2][ROOM];
    size_t len = 0;
    for (uint64_t seed = 0; seed < 2; seed++) {
        const weft_draw draw = {.seed = seed};
        cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes[seed], ROOM, &len), WEFT_OK);
    }
    cr_assert(!memcmp(bytes[0], bytes[1], len));
    cr_assert_eq(weft_codec_decode(c, bytes[0], len, out, COUNT), WEFT_OK);
    for (size_t i = 0; i < COUNT; i++)
        cr_assert_leq(fabsf(out[i] - v[i]), step * 0.50001f, "element %zu", i);
    weft_codec_close(&c);
}

Test(codec_quant, clipping_is_at_multiples_of_the_deviation_about_the_mean)
{
    weft_codec *c = opened("tern:clip=2");
    float v[100], out[100];
    double mean = 0, square = 0;
    uint8_t bytes[ROOM];
    size_t len = 0;
    const weft_draw draw = {.seed = 1};
    make_gaussian(v, 100, 6);
    v[50] = 40.0f;
    for (size_t i = 0; i < 100; i++)
        mean += (double)v[i] / 100;
    for (size_t i = 0; i < 100; i++)
        square += ((double)v[i] - mean) * ((double)v[i] - mean) / 100;
    cr_assert_eq(weft_codec_encode(c, &draw, v, 100, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 100), WEFT_OK);
    cr_assert_lt(fabs((double)out[50] - 2 * sqrt(square)), 1e-6);
    weft_codec_close(&c);
}

Test(codec_quant, equal_elements_are_not_clipped)
{
    weft_codec *c = opened("tern");
    const float v[3] = {-2, -2, -2};
    float out[3];
    uint8_t bytes[ROOM];
    size_t len = 0;
    const weft_draw draw = {.seed = 1};
    cr_assert_eq(weft_codec_encode(c, &draw, v, 3, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 3), WEFT_OK);
    cr_assert(!memcmp(out, v, sizeof(v)));
    weft_codec_close(&c);
}

Test(codec_quant, instances_that_are_biased_say_so)
{
    static const struct {
        char spec[40];
        int unbiased;
    } known[] = {{"qsgd", 1},
                 {"qsgd:round=nearest", 0},
                 {"tern", 0},
                 {"tern:clip=0", 1},
                 {"qsgd:code=elias,scale=pow2", 1}};
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        weft_codec *c = opened(known[k].spec);
        double omega = -1;
        cr_expect_eq(weft_codec_is_unbiased(c), known[k].unbiased, "%s", known[k].spec);
        cr_expect_eq(weft_codec_omega(c, 10, &omega), known[k].unbiased ? WEFT_OK : WEFT_ENOTSUP);
        cr_expect((omega >= 0) == (known[k].unbiased != 0), "%s", known[k].spec);
        weft_codec_close(&c);
    }
}

/* Exact variance over |v|^2 of a block whose scale is rounded up, against omega. */
Test(codec_quant, omega_holds_for_scales_that_are_rounded_up)
{
    static const char *const specs[] = {"scale=pow2", "scale=bf16", "scale=f32"};
    weft_rng rng = {.state = 3};
    for (int round = 0; round < 6000; round++) {
        enum { MOST = 40 };
        char spec[64];
        const unsigned s = 1 + (unsigned)weft_rng_below(&rng, 5);
        const size_t n = 1 + (size_t)weft_rng_below(&rng, MOST), k = (size_t)round % 3;
        snprintf(spec, sizeof(spec), "qsgd:levels=%u,bucket=0,%s", s, specs[k]);
        weft_codec *c = opened(spec);
        const double grown = k == 0   ? exp2(weft_rng_unit(&rng))
                             : k == 1 ? 1 + 0x1p-7 * weft_rng_unit(&rng)
                                      : 1.0;
        const double low = weft_rng_unit(&rng), step = grown / s; /* of a block with norm 1 */
        double variance = 0, energy = 0, omega = 0;
        for (size_t i = 0; i < n; i++) {
            const double v = i == 0 ? 1.0 : round % 2 ? low : low * weft_rng_unit(&rng);
            const double a = v / step, f = a - floor(a);
            variance += step * step * f * (1 - f);
            energy += v * v;
        }
        cr_assert_eq(weft_codec_omega(c, n, &omega), WEFT_OK);
        cr_assert_leq(variance, omega * energy * (1 + 1e-9) + 1e-12, "%s of %zu: %g of %g", spec, n,
                      variance / energy, omega);
        weft_codec_close(&c);
    }
}

/* Change one byte and expect this refusal. */
static void refused(const weft_codec *c, const uint8_t *good, size_t len, size_t count, size_t at,
                    uint8_t value, const char *message)
{
    uint8_t bad[ROOM];
    float out[64];
    memcpy(bad, good, len);
    memset(out, 0x3f, sizeof(out));
    if (at < len)
        bad[at] = value;
    cr_expect_eq(weft_codec_decode(c, bad, at < len ? len : at, out, count), WEFT_ECODEC,
                 "byte %zu", at);
    cr_expect_str_eq(weft_last_error()->message, message);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((const uint8_t *)out)[i], 0x3f, "output touched");
}

Test(codec_quant, malformed_elias_encodings_are_refused_with_offset_and_reason)
{
    weft_codec *c = opened("qsgd:levels=1,bucket=8,code=elias");
    const float v[12] = {1, -1, 1, 1, -1, 1, -1, 1, 0, 0, 0, 0};
    uint8_t good[ROOM] = {0};
    size_t len = 0;
    const weft_draw draw = {.seed = 1};
    cr_assert_eq(weft_codec_encode(c, &draw, v, 12, good, ROOM, &len), WEFT_OK);
    cr_assert_eq(len, 1 + 8 + 4); /* sparse: omega(9), then three bits a level */
    cr_assert_eq(good[0], 4);
    refused(c, good, len, 12, 0, 2, "codec qsgd: offset 0: the form byte is none of code=");
    refused(c, good, len, 12, 0, 9, "codec qsgd: offset 0: the form byte is none of code=");
    refused(c, good, len, 12, 4, 0xc0, "codec qsgd: offset 1: a scale is negative");
    refused(c, good, len, 12, 14, 0, "codec qsgd: offset 12: bytes behind the levels");
    refused(c, good, len, 12, 16, 0, "codec qsgd: offset 16: 12 elements take 9 to 15 bytes");
    refused(c, good, len, 12, 12, (uint8_t)(good[12] | 1),
            "codec qsgd: offset 12: non-zero padding");
    refused(c, good, len, 12, 9, 0xff, "codec qsgd: offset 11: more levels than elements");
    weft_codec_close(&c);
}

/* More non-zero levels are announced than there are codes. */
Test(codec_quant, an_elias_encoding_that_says_more_levels_than_it_has_is_refused)
{
    const uint8_t right[] = {0x04, 0x00, 0x00, 0x80, 0x3f, 0x90};
    const uint8_t wrong[] = {0x04, 0x00, 0x00, 0x80, 0x3f, 0xd0};
    weft_codec *c = NULL;
    float out[2] = {7, 7};
    cr_assert_eq(weft_codec_open(&c, "qsgd:code=elias,levels=7"), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, wrong, sizeof(wrong), out, 2), WEFT_ECODEC);
    cr_assert_not_null(strstr(weft_last_error()->message, "fewer levels"));
    cr_assert_eq(out[0], 7);
    cr_assert_eq(weft_codec_decode(c, right, sizeof(right), out, 2), WEFT_OK);
    weft_codec_close(&c);
}
