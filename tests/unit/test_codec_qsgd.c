/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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
                         weft_draw draw, const char *hex)
{
    weft_codec *c = opened(spec);
    const weft_stretch s = {.lane_count = lane_count, .off = off, .count = count};
    float lane[64];
    uint8_t out[ROOM];
    char text[2 * ROOM + 1] = "";
    size_t len = 0;
    for (size_t i = 0; i < lane_count; i++)
        lane[i] = golden_value(kind, i);
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, out, ROOM, &len), WEFT_OK);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    cr_expect_str_eq(text, hex, "%s, %zu of %zu", spec, count, lane_count);
    cr_expect_eq(len, c->type->bound(c, &s), "the bound is exact");
    weft_codec_close(&c);
}

/* Against a second implementation, golden/encodings.py. */
Test(codec_qsgd, encodings_are_those_of_the_golden_file)
{
#define ENCODING(kind, lane, off, count, spec, seed_, member_, tensor_, draw_, first_, hex)        \
    check_golden(                                                                                  \
        kind, lane, off, count, spec,                                                              \
        (weft_draw){                                                                               \
            .seed = seed_, .member = member_, .tensor = tensor_, .draw = draw_, .first = first_},  \
        hex);
#include "golden/encodings.def"
#undef ENCODING
}

/* Encode with a fixed draw; returns the length. */
static size_t encoded(const weft_codec *c, const float *v, size_t count, uint8_t out[ROOM])
{
    const weft_draw draw = {.seed = 1, .draw = 1};
    size_t len = 0;
    cr_assert_leq(weft_codec_bound(c, count), (size_t)ROOM);
    cr_assert_eq(weft_codec_encode(c, &draw, v, count, out, ROOM, &len), WEFT_OK, "%s",
                 weft_last_error()->message);
    return len;
}

Test(codec_qsgd, values_on_the_grid_come_back_exactly)
{
    weft_codec *c = opened("qsgd:levels=4,bucket=8");
    const float v[9] = {4, -4, 3, -3, 2, -1, 1, -0.0f, -0.5f};
    float out[9];
    uint8_t bytes[ROOM];
    size_t len = encoded(c, v, 9, bytes);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 9), WEFT_OK);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(out[i], v[i], "element %d", i);
    cr_assert_not(signbit(out[7]), "level 0 decodes to +0");
    weft_codec_close(&c);
}

Test(codec_qsgd, decoding_can_add)
{
    weft_codec *c = opened("qsgd:levels=1,bucket=4");
    const float v[6] = {2, -2, 2, 2, 0, 8};
    float out[6] = {1, 1, 1, 1, 1, 1};
    uint8_t bytes[ROOM];
    size_t len = encoded(c, v, 6, bytes);
    const weft_stretch s = {.lane_count = 6, .off = 0, .count = 6};
    cr_assert_eq(c->type->decode(c, &s, bytes, len, out, true), WEFT_OK);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(out[i], 1 + v[i]);
    weft_codec_close(&c);
}

Test(codec_qsgd, zero_and_tiny_blocks_decode_to_zeros)
{
    weft_codec *c = opened("qsgd:levels=7,bucket=4");
    const float v[8] = {0, -0.0f, 0, 0, 1e-40f, -1e-38f, 6 * FLT_MIN, 0};
    float out[8];
    uint8_t bytes[ROOM];
    size_t len = encoded(c, v, 8, bytes);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 8), WEFT_OK);
    for (int i = 0; i < 8; i++)
        cr_assert(out[i] == 0 && !signbit(out[i]), "element %d", i);
    weft_codec_close(&c);
}

Test(codec_qsgd, the_largest_floats_pass_or_are_refused_but_never_overflow)
{
    static const char *const specs[] = {"qsgd:levels=1",     "qsgd:levels=3", "qsgd:levels=7",
                                        "qsgd:levels=32767", "qsgd:norm=2",   "qsgd:norm=1"};
    for (size_t k = 0; k < sizeof(specs) / sizeof(specs[0]); k++) {
        weft_codec *c = opened(specs[k]);
        const weft_draw draw = {.seed = 1};
        const float v[2] = {FLT_MAX, -FLT_MAX};
        float out[2];
        uint8_t bytes[ROOM];
        size_t len = 0;
        int code = weft_codec_encode(c, &draw, v, 2, bytes, ROOM, &len);
        cr_assert(code == WEFT_OK || code == WEFT_ENONFINITE);
        if (code == WEFT_OK) {
            cr_assert_eq(weft_codec_decode(c, bytes, len, out, 2), WEFT_OK);
            cr_assert(isfinite(out[0]) && isfinite(out[1]) && out[0] > 0 && out[1] < 0);
        }
        cr_assert(k > 0 || code == WEFT_OK, "one level of the largest float is itself");
        weft_codec_close(&c);
    }
    cr_assert_str_eq(weft_last_error()->message,
                     "codec qsgd: the norm of the block of elements 0 to 1 overflows float32");
}

Test(codec_qsgd, nan_and_infinity_are_named_by_index_in_the_tensor)
{
    weft_codec *c = opened("qsgd:bucket=8");
    float lane[32] = {0};
    const weft_draw draw = {.seed = 1, .first = 1000};
    weft_stretch s = {.lane_count = 32, .off = 8, .count = 16};
    uint8_t bytes[ROOM];
    size_t len = 77;
    lane[21] = -INFINITY;
    lane[23] = NAN;
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: element 1021 is infinite");
    lane[21] = 0;
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: element 1023 is NaN");
    cr_assert_eq(len, 77);
    s.count = 8;
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, bytes, ROOM, &len), WEFT_OK,
                 "blocks that are not touched do not matter");
    weft_codec_close(&c);
}

/* Change one byte and expect this refusal. */
static void refused(const weft_codec *c, const uint8_t *good, size_t len, size_t count, size_t at,
                    uint8_t value, const char *message)
{
    uint8_t bad[ROOM];
    float out[64];
    memcpy(bad, good, len);
    memset(out, 0x3f, sizeof(out));
    bad[at] = value;
    cr_expect_eq(weft_codec_decode(c, bad, len, out, count), WEFT_ECODEC, "byte %zu", at);
    cr_expect_str_eq(weft_last_error()->message, message);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((const uint8_t *)out)[i], 0x3f, "output touched");
}

Test(codec_qsgd, malformed_fixed_encodings_are_refused_with_offset_and_reason)
{
    weft_codec *c = opened("qsgd:levels=7,bucket=8");
    float v[19];
    uint8_t good[ROOM];
    for (int i = 0; i < 19; i++)
        v[i] = i < 8 ? (float)(i + 1) : i < 16 ? 0.0f : 2.0f;
    size_t len = encoded(c, v, 19, good); /* 1 + 3 scales + 76 bits */
    cr_assert_eq(len, 23);
    refused(c, good, len, 19, 0, 2, "codec qsgd: offset 0: the form byte is not that of levels=");
    refused(c, good, len, 19, 0, 0, "codec qsgd: offset 0: the form byte is not that of levels=");
    refused(c, good, len, 19, 12, 0xc0, "codec qsgd: offset 9: a scale is negative");
    refused(c, good, len, 19, 8, 0x80, "codec qsgd: offset 5: a scale is negative");
    refused(c, good, len, 19, 7, 0x01, "codec qsgd: offset 5: a scale is too small");
    refused(c, good, len, 19, 14, 0xf7, "codec qsgd: offset 14: a level is above levels=");
    refused(c, good, len, 19, 18, 0x76,
            "codec qsgd: offset 18: a level is not 0 in a block of zeros");
    refused(c, good, len, 19, 22, (uint8_t)(good[22] | 0x10),
            "codec qsgd: offset 22: non-zero padding");
    good[3] = 0x80;
    refused(c, good, len, 19, 4, 0x7f, "codec qsgd: offset 1: a scale is not finite");
    float out[20];
    cr_expect_eq(weft_codec_decode(c, good, len - 1, out, 19), WEFT_ECODEC);
    cr_expect_str_eq(weft_last_error()->message,
                     "codec qsgd: offset 22: 19 elements take 23 bytes");
    weft_codec_close(&c);
}

/* N/s is rounded: s times it may be above the largest float although N is not. */
Test(codec_qsgd, scales_that_would_decode_to_infinity_are_refused)
{
    int overflows = 0;
    for (int s = 1; s < 200; s++) {
        char spec[32];
        uint8_t bytes[ROOM];
        const float top = FLT_MAX, v = 1;
        float out = 0;
        snprintf(spec, sizeof(spec), "qsgd:levels=%d", s);
        weft_codec *c = opened(spec);
        size_t len = encoded(c, &v, 1, bytes);
        memcpy(bytes + 1, &top, sizeof(top));
        if (weft_codec_decode(c, bytes, len, &out, 1) == WEFT_ECODEC) {
            cr_assert_str_eq(weft_last_error()->message,
                             "codec qsgd: offset 1: a scale is too large");
            cr_assert(isinf((float)s * (top / (float)s)));
            overflows++;
        } else {
            cr_assert(isfinite(out) && out > 0);
        }
        weft_codec_close(&c);
    }
    cr_assert_gt(overflows, 0);
}

Test(codec_qsgd, malformed_ternary_encodings_are_refused_with_offset_and_reason)
{
    weft_codec *c = opened("qsgd:levels=1");
    const float v[7] = {1, -1, 1, 1, -1, 1, -1};
    uint8_t good[ROOM];
    size_t len = encoded(c, v, 7, good);
    cr_assert_eq(len, 7);
    refused(c, good, len, 7, 0, 1, "codec qsgd: offset 0: the form byte is not that of levels=");
    refused(c, good, len, 7, 5, 243, "codec qsgd: offset 5: a byte above 242 in ternary levels");
    refused(c, good, len, 7, 6, 9, "codec qsgd: offset 6: non-zero padding");
    memset(good + 1, 0, 4);
    refused(c, good, len, 7, 5, 121, "codec qsgd: offset 6: a level is not 0 in a block of zeros");
    weft_codec_close(&c);
}

Test(codec_qsgd, omega_follows_the_closed_forms)
{
    static const struct {
        char spec[48];
        size_t count;
        double omega;
    } known[] = {
        {"qsgd:levels=1,bucket=64", 1000, 3.5},
        {"qsgd:levels=1,bucket=512", 4096, 10.813708498984761},
        {"qsgd:levels=1,bucket=512", 16, 1.5},
        {"qsgd:levels=7,bucket=0", 50, 0.20710678118654752},
        {"qsgd:levels=1,bucket=64,norm=2", 64, 7},
        {"qsgd:levels=4,bucket=64,norm=2", 64, 2},
        {"qsgd:levels=16,bucket=64,norm=2", 64, 0.25},
        {"qsgd:levels=1,bucket=64,norm=1", 64, 63},
        {"qsgd:levels=16,bucket=32,norm=1", 64, 1},
        {"qsgd:levels=4,bucket=64,norm=1", 64, 16},
        {"qsgd", 0, 0},
        {"qsgd", 1, 0},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        weft_codec *c = opened(known[i].spec);
        double omega = -1;
        cr_assert_eq(weft_codec_omega(c, known[i].count, &omega), WEFT_OK);
        cr_expect_lt(fabs(omega - known[i].omega), 1e-12, "%s of %zu: %.17g", known[i].spec,
                     known[i].count, omega);
        weft_codec_close(&c);
    }
}
