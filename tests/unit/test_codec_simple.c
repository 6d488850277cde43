/* SPDX-License-Identifier: Apache-2.0 */
/* f16, bf16, natural, sign, onebit, minmax8. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "codec/codec.h"

enum { ROOM = 512 };
enum { steps, sparse, wild, zeros }; /* the kinds of golden/simple.py */

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
    if (kind == wild)
        return ldexpf((float)((int)((uint32_t)i * 2654435761u % (1u << 24)) - (1 << 23)),
                      (int)(i * 7 % 34) - 43);
    return kind == sparse && i % 11 == 3 ? (float)i - 10.0f : 0.0f;
}

static void check_golden(int kind, size_t lane_count, size_t off, size_t count, const char *spec,
                         weft_draw draw, const char *hex)
{
    weft_codec *c = opened(spec);
    const weft_stretch s = {.lane_count = lane_count, .off = off, .count = count};
    float lane[128];
    uint8_t out[ROOM];
    char text[2 * ROOM + 1] = "";
    size_t len = 0;
    for (size_t i = 0; i < lane_count; i++)
        lane[i] = golden_value(kind, i);
    cr_assert_leq(c->type->bound(c, &s), (size_t)ROOM);
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, out, ROOM, &len), WEFT_OK);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    cr_expect_str_eq(text, hex, "%s, %zu of %zu", spec, count, lane_count);
    weft_codec_close(&c);
}

/* Against a second implementation, golden/simple.py. */
Test(codec_simple, encodings_are_those_of_the_golden_file)
{
#define ENCODING(kind, lane, off, count, spec, seed_, member_, tensor_, draw_, first_, hex)        \
    check_golden(                                                                                  \
        kind, lane, off, count, spec,                                                              \
        (weft_draw){                                                                               \
            .seed = seed_, .member = member_, .tensor = tensor_, .draw = draw_, .first = first_},  \
        hex);
#include "golden/simple.def"
#undef ENCODING
}

/* Encode as tensor elements 100 ...; returns the code. */
static int encode(const weft_codec *c, const float *v, size_t count, uint8_t out[ROOM],
                  size_t *ret_len)
{
    const weft_draw draw = {.seed = 1, .draw = 1, .first = 100};
    cr_assert_leq(weft_codec_bound(c, count), (size_t)ROOM);
    return weft_codec_encode(c, &draw, v, count, out, ROOM, ret_len);
}

static void round_trip(const char *spec, const float *v, size_t count, float *ret)
{
    uint8_t bytes[ROOM];
    size_t len = 0;
    weft_codec *c = opened(spec);
    cr_assert_eq(encode(c, v, count, bytes, &len), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(weft_codec_decode(c, bytes, len, ret, count), WEFT_OK);
    weft_codec_close(&c);
}

static void expect_refused(const char *spec, const float *v, size_t count, const char *message)
{
    uint8_t bytes[ROOM];
    size_t len = 77;
    weft_codec *c = opened(spec);
    cr_expect_eq(encode(c, v, count, bytes, &len), WEFT_ENONFINITE, "%s", spec);
    cr_expect_str_eq(weft_last_error()->message, message);
    cr_expect_eq(len, 77);
    weft_codec_close(&c);
}

Test(codec_simple, halves_take_all_that_rounds_to_a_finite_half_and_name_what_does_not)
{
    const float fits[4] = {nextafterf(65520.0f, 0), -65504.0f, -0.0f, 0x1p-24f};
    const float wide[3] = {nextafterf(0x1.ffp127f, 0), -0x1p127f, 0x1p-133f};
    float out[4];
    round_trip("f16", fits, 4, out);
    cr_assert(out[0] == 65504.0f && out[1] == -65504.0f && signbit(out[2]) && out[3] == 0x1p-24f);
    round_trip("bf16", wide, 3, out);
    cr_assert(out[0] == 0x1.fep127f && out[1] == -0x1p127f && out[2] == 0x1p-133f);
    expect_refused("f16", (const float[]){1, 2, -65520.0f}, 3,
                   "codec f16: element 102 is -65520: too large");
    expect_refused("bf16", (const float[]){1, FLT_MAX}, 2,
                   "codec bf16: element 101 is 3.40282e+38: too large");
    expect_refused("f16", (const float[]){NAN, 0}, 2, "codec f16: element 100 is NaN");
    expect_refused("bf16", (const float[]){0, -INFINITY}, 2, "codec bf16: element 101 is infinite");
}

Test(codec_simple, every_codec_names_the_first_element_that_is_not_finite)
{
    static const char *const names[] = {"natural", "sign", "sign:scaled=no", "onebit", "minmax8"};
    float v[70];
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        for (size_t at = 0; at < 70; at += 23) {
            char message[80];
            for (size_t i = 0; i < 70; i++)
                v[i] = i < at ? 1 : INFINITY;
            v[at] = NAN;
            snprintf(message, sizeof(message), "codec %.*s: element %zu is NaN",
                     (int)strcspn(names[k], ":"), names[k], 100 + at);
            expect_refused(names[k], v, 70, message);
        }
}

Test(codec_simple, natural_keeps_powers_of_two_and_refuses_what_has_no_power_above)
{
    const float v[6] = {0x1p126f, -0x1p-126f, 1, -2, 0.0f, -0.0f};
    float out[6];
    round_trip("natural", v, 6, out);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(out[i], v[i], "element %d", i);
    cr_expect(out[5] == 0 && !signbit(out[5]), "zero has no sign");
    expect_refused("natural", (const float[]){1, 0x1p127f}, 2,
                   "codec natural: element 101 is 1.70141e+38: too large");
    weft_codec *c = opened("natural");
    double omega = 0;
    cr_assert_eq(weft_codec_omega(c, 10, &omega), WEFT_OK);
    cr_assert_eq(omega, 0.125);
    weft_codec_close(&c);
}

Test(codec_simple, zeros_of_both_signs_are_positive)
{
    const float v[4] = {0.0f, -0.0f, -1, 3};
    float out[4];
    round_trip("sign:scaled=no", v, 4, out);
    cr_assert(out[0] == 1 && out[1] == 1 && out[2] == -1 && out[3] == 1);
    round_trip("sign", v, 4, out);
    cr_assert(out[0] == 1 && out[1] == 1 && out[2] == -1 && out[3] == 1, "mean |v| is 1");
    round_trip("onebit", v, 4, out);
    cr_assert(out[0] == 1 && out[1] == 1 && out[2] == -1 && out[3] == 1);
}

Test(codec_simple, scales_and_means_belong_to_their_blocks)
{
    const float v[5] = {1, -3, 5, -5, -0.5f};
    float out[5];
    round_trip("sign:bucket=2", v, 5, out);
    cr_assert(out[0] == 2 && out[1] == -2 && out[2] == 5 && out[3] == -5 && out[4] == -0.5f);
    round_trip("onebit:bucket=3", v, 5, out);
    cr_assert(out[0] == 3 && out[1] == -3 && out[2] == 3 && out[3] == -2.75f && out[4] == -2.75f);
    round_trip("minmax8:bucket=2", v, 5, out);
    cr_assert(out[0] == 1 && out[1] == -3 && out[2] == 5 && out[3] == -5 && out[4] == -0.5f);
}

Test(codec_simple, a_mean_that_vanishes_decodes_to_plain_zeros)
{
    float v[8] = {-0x1p-149f}, out[8];
    round_trip("sign", v, 8, out);
    for (int i = 0; i < 8; i++)
        cr_expect(out[i] == 0 && !signbit(out[i]), "element %d", i);
}

Test(codec_simple, minmax_is_off_by_half_a_step_and_exact_at_its_ends)
{
    float v[256], out[256];
    for (int i = 0; i < 256; i++)
        v[i] = sinf((float)i) * 3 + 1;
    round_trip("minmax8", v, 256, out);
    for (int i = 0; i < 256; i++)
        cr_expect_leq(fabs((double)out[i] - (double)v[i]), 6.0 / 255 / 2 * 1.0001, "element %d", i);
    expect_refused("minmax8:bucket=2", (const float[]){1, 2, FLT_MAX, -FLT_MAX}, 4,
                   "codec minmax8: the range of the block of elements 102 to 103 overflows "
                   "float32");
    const float tiny[2] = {0x1p-149f, 0x1p-140f};
    round_trip("minmax8", tiny, 2, out);
    cr_assert(out[0] == tiny[0] && out[1] == tiny[0], "a range too small for a step");
}

/* What a decoder refuses: bytes of a good encoding with `at` set to `byte`. */
static void expect_damage(const char *spec, const float *v, size_t count, size_t at, uint8_t byte,
                          const char *message)
{
    uint8_t bytes[ROOM];
    float out[16];
    size_t len = 0;
    weft_codec *c = opened(spec);
    cr_assert_eq(encode(c, v, count, bytes, &len), WEFT_OK);
    cr_assert_lt(at, len);
    bytes[at] = byte;
    memset(out, 0x77, sizeof(out));
    cr_expect_eq(weft_codec_decode(c, bytes, len, out, count), WEFT_ECODEC, "%s", message);
    cr_expect_str_eq(weft_last_error()->message, message);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((uint8_t *)out)[i], 0x77);
    weft_codec_close(&c);
}

Test(codec_simple, decoders_tell_codec_offset_and_reason)
{
    const float v[5] = {1, -2, 3, -4, 0};
    expect_damage("f16", v, 5, 3, 0x7c, "codec f16: offset 2: a value is not finite");
    expect_damage("bf16", v, 5, 7, 0x7f, "codec bf16: offset 6: a value is not finite");
    expect_damage("natural", v, 5, 2, 255, "codec natural: offset 2: an exponent of 255");
    expect_damage("natural", v, 5, 5, 0x1a,
                  "codec natural: offset 5: the sign of a zero, or non-zero padding");
    expect_damage("natural", v, 5, 5, 0x2a,
                  "codec natural: offset 5: the sign of a zero, or non-zero padding");
    expect_damage("sign", v, 5, 3, 0xbf, "codec sign: offset 0: a scale is negative");
    expect_damage("sign", (const float[]){1, -1}, 2, 3, 0x7f,
                  "codec sign: offset 0: a scale is not finite");
    expect_damage("sign", v, 5, 4, 0x20, "codec sign: offset 4: non-zero padding");
    expect_damage("sign:scaled=no", v, 5, 0, 0x80, "codec sign: offset 0: non-zero padding");
    expect_damage("onebit", v, 5, 3, 0xbf,
                  "codec onebit: offset 0: a mean of elements >= 0 is negative or not finite");
    expect_damage("onebit", v, 5, 7, 0x3f,
                  "codec onebit: offset 4: a mean of elements < 0 is positive or not finite");
    expect_damage("minmax8", v, 5, 7, 0xff,
                  "codec minmax8: offset 0: a maximum is below its minimum");
    expect_damage("minmax8", v, 1, 8, 1, "codec minmax8: offset 8: levels in a block of one value");
    weft_codec *c = opened("natural");
    float out[5];
    cr_assert_eq(weft_codec_decode(c, out, 5, out, 5), WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec natural: offset 5: 5 elements take 6 bytes");
    weft_codec_close(&c);
}
