/* SPDX-License-Identifier: Apache-2.0 */
/* topk and threshold: one wire, pairs_wire.h. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/sparse.h"

enum { ROOM = 2048, LANE = 300 };
enum { steps, sparse, wide, zeros }; /* the kinds of golden/sparse_encodings.py */

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
    if (kind == wide)
        return (i % 2 ? -1.0f : 1.0f) * (1 + (float)(i % 3) / 4) *
               ldexpf(1, (int)(i * 29 % 61) - 30);
    return kind == sparse && i % 11 == 3 ? (float)i - 10.0f : 0.0f;
}

static void check_golden(int kind, size_t lane_count, size_t off, size_t count, const char *spec,
                         weft_draw draw, const char *hex)
{
    weft_codec *c = opened(spec);
    const weft_stretch s = {.lane_count = lane_count, .off = off, .count = count};
    float lane[LANE], back[LANE];
    uint8_t out[ROOM];
    char text[2 * ROOM + 1] = "";
    size_t len = 0, cap = c->type->bound(c, &s);
    cr_assert_leq(cap, (size_t)ROOM);
    for (size_t i = 0; i < lane_count; i++)
        lane[i] = golden_value(kind, i);
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, out, cap, &len), WEFT_OK);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
    cr_expect_str_eq(text, hex, "%s, %zu of %zu", spec, count, lane_count);
    cr_expect_leq(len, cap);
    if (c->type->traits & WEFT_CODEC_MERGES)
        cr_expect_eq(len, cap, "the bound is exact");
    cr_expect_eq(c->type->decode(c, &s, out, len, back, false), WEFT_OK);
    weft_codec_close(&c);
}

/* Against a second implementation, golden/sparse_encodings.py; those of randk too. */
Test(codec_topk, encodings_are_those_of_the_golden_file)
{
#define ENCODING(kind, lane, off, count, spec, seed_, member_, tensor_, draw_, first_, hex)        \
    check_golden(                                                                                  \
        kind, lane, off, count, spec,                                                              \
        (weft_draw){                                                                               \
            .seed = seed_, .member = member_, .tensor = tensor_, .draw = draw_, .first = first_},  \
        hex);
#include "golden/sparse_encodings.def"
#undef ENCODING
}

static size_t encoded(const weft_codec *c, const float *v, size_t count, uint8_t out[ROOM])
{
    const weft_draw draw = {.seed = 1, .draw = 1};
    size_t len = 0;
    cr_assert_leq(weft_codec_bound(c, count), (size_t)ROOM);
    cr_assert_eq(weft_codec_encode(c, &draw, v, count, out, ROOM, &len), WEFT_OK, "%s",
                 weft_last_error()->message);
    return len;
}

static size_t sent(const char *spec, size_t count)
{
    float v[LANE];
    uint8_t bytes[ROOM];
    weft_codec *c = opened(spec);
    for (size_t i = 0; i < count; i++)
        v[i] = 1;
    encoded(c, v, count, bytes);
    uint32_t n;
    memcpy(&n, bytes + 1, sizeof(n));
    weft_codec_close(&c);
    return n;
}

Test(codec_topk, k_is_given_or_the_density_rounded_up)
{
    cr_expect_eq(sent("topk", 100), 1);
    cr_expect_eq(sent("topk", 101), 2);
    cr_expect_eq(sent("topk", 1), 1);
    cr_expect_eq(sent("topk", 0), 0);
    cr_expect_eq(sent("topk:density=0.07", 100), 7, "0.07 * 100 is above 7 in binary64");
    cr_expect_eq(sent("topk:density=0.29", 100), 29);
    cr_expect_eq(sent("topk:density=1", 300), 300);
    cr_expect_eq(sent("topk:density=1e-9", 300), 1);
    cr_expect_eq(sent("topk:k=5", 300), 5);
    cr_expect_eq(sent("topk:k=5", 4), 4);
    cr_expect_eq(sent("threshold:at=1", 100), 10, "most=0.1");
    cr_expect_eq(sent("threshold:at=1,most=1", 100), 100);
    cr_expect_eq(sent("threshold:at=1.001,most=1", 100), 0);
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, "topk:k=5,density=0.01"), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec topk: k and density are given, one of them says how many");
    cr_assert_eq(weft_codec_open(&c, "topk:k=0"), WEFT_EINVAL);
    cr_assert_eq(weft_codec_open(&c, "topk:values=f64"), WEFT_EINVAL);
}

Test(codec_topk, the_full_spec_opens_the_same_codec)
{
    static const char *const specs[][2] = {
        {"topk", "topk:k=auto,density=auto,values=f32,index=rice"},
        {"topk:k=9,values=f16", "topk:k=9,density=auto,values=f16,index=rice"},
        {"topk:density=0.25,index=plain", "topk:k=auto,density=0.25,values=f32,index=plain"},
        {"threshold:at=2", "threshold:at=2,most=0.1,values=f32,index=rice"}};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        weft_codec *c = opened(specs[i][0]);
        cr_assert_str_eq(weft_codec_spec(c), specs[i][1]);
        weft_codec *again = opened(weft_codec_spec(c));
        cr_assert_str_eq(weft_codec_spec(again), specs[i][1]);
        weft_codec_close(&c);
        weft_codec_close(&again);
    }
}

Test(codec_topk, ties_go_to_the_lower_index_and_zeros_are_not_sent)
{
    weft_codec *c = opened("topk:k=3");
    const float v[6] = {0, -2, 1, 2, 2, -2};
    float out[6];
    uint8_t bytes[ROOM];
    size_t len = encoded(c, v, 6, bytes);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 6), WEFT_OK);
    cr_assert(out[0] == 0 && out[1] == -2 && out[2] == 0 && out[3] == 2 && out[4] == 2);
    cr_assert(out[5] == 0);
    const float w[6] = {0, -0.0f, 0, 1e-45f, 0, 0};
    len = encoded(c, w, 6, bytes);
    cr_assert_eq(bytes[1], 1, "one pair");
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 6), WEFT_OK);
    cr_assert(out[3] == 1e-45f && !signbit(out[1]));
    weft_codec_close(&c);
}

Test(codec_topk, decoding_can_add)
{
    weft_codec *c = opened("topk:k=2");
    const float v[4] = {3, 0.5f, -4, 1};
    float out[4] = {1, 1, 1, 1};
    uint8_t bytes[ROOM];
    size_t len = encoded(c, v, 4, bytes);
    const weft_stretch s = {.lane_count = 4, .count = 4};
    cr_assert_eq(c->type->decode(c, &s, bytes, len, out, true), WEFT_OK);
    cr_assert(out[0] == 4 && out[1] == 1 && out[2] == -3 && out[3] == 1);
    weft_codec_close(&c);
}

Test(codec_topk, nan_and_infinity_are_named_by_index_in_the_tensor)
{
    static const char *const specs[] = {"topk:k=1", "threshold:at=5,values=qsgd4", "topk:k=40"};
    float v[40] = {1, 2, 3};
    uint8_t bytes[ROOM];
    size_t len = 77;
    const weft_draw draw = {.seed = 1, .first = 1000};
    for (size_t i = 0; i < 3; i++) {
        weft_codec *c = opened(specs[i]);
        v[21] = -INFINITY;
        v[33] = NAN;
        cr_assert_eq(weft_codec_encode(c, &draw, v, 40, bytes, ROOM, &len), WEFT_ENONFINITE);
        cr_assert(strstr(weft_last_error()->message, ": element 1021 is infinite"), "%s",
                  weft_last_error()->message);
        v[21] = 0;
        cr_assert_eq(weft_codec_encode(c, &draw, v, 40, bytes, ROOM, &len), WEFT_ENONFINITE);
        cr_assert(strstr(weft_last_error()->message, ": element 1033 is NaN"));
        weft_codec_close(&c);
    }
    cr_assert_eq(len, 77u);
}

Test(codec_topk, values_that_the_form_cannot_hold_are_refused_or_not_sent)
{
    weft_codec *half = opened("topk:k=2,values=f16"), *eighth = opened("topk:k=2,values=qsgd8");
    const float large[2] = {65520, 1}, tiny[2] = {1e-9f, 1}, least[2] = {1e-40f, -1e-41f};
    const weft_draw draw = {.seed = 1};
    float out[2];
    uint8_t bytes[ROOM];
    size_t len = 0;
    cr_assert_eq(weft_codec_encode(half, &draw, large, 2, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message, "codec topk: element 0 is too large for f16");
    len = encoded(half, tiny, 2, bytes);
    cr_assert(len == 5 + 4 + 2 || len == 6 + 1 + 2, "one pair");
    cr_assert_eq(weft_codec_decode(half, bytes, len, out, 2), WEFT_OK);
    cr_assert(out[0] == 0 && out[1] == 1);
    len = encoded(eighth, least, 2, bytes);
    cr_assert_eq(len, 5u, "a step would be subnormal: no pair");
    weft_codec_close(&half);
    weft_codec_close(&eighth);
}

static const char *const forms[] = {
    "topk:density=0.2",
    "topk:density=0.2,index=plain",
    "topk:density=0.2,values=f16",
    "topk:density=0.23,values=f16,index=plain",
    "topk:density=0.2,values=qsgd4",
    "topk:density=0.21,values=qsgd8,index=plain",
    "threshold:at=0.4,most=0.3",
    "threshold:at=0.3,most=0.5,values=qsgd8",
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static void random_lane(float *v, size_t count, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(weft_rng_unit(&rng) - 0.5);
}

/* Refused, output as it was, the text with codec and offset. */
static void refused(const weft_codec *c, const uint8_t *bytes, size_t len, size_t count)
{
    float out[LANE], before[LANE];
    uint8_t *exact = malloc(len + 1);
    memset(out, 0x5a, sizeof(out));
    memcpy(before, out, sizeof(out));
    memcpy(exact, bytes, len);
    cr_assert_eq(weft_codec_decode(c, exact, len, out, count), WEFT_ECODEC);
    cr_assert(!memcmp(out, before, sizeof(out)), "output touched");
    const char *text = weft_last_error()->message;
    cr_assert(strstr(text, c->type->name) && strstr(text, ": offset "), "%s", text);
    free(exact);
}

Test(codec_topk, cut_and_lengthened_encodings_are_refused)
{
    float v[LANE];
    uint8_t bytes[ROOM + 1];
    for (int f = 0; f < FORMS; f++) {
        weft_codec *c = opened(forms[f]);
        for (size_t count = 0; count < LANE; count = 2 * count + 1) {
            random_lane(v, count, count + 1);
            const size_t len = encoded(c, v, count, bytes);
            for (size_t cut = 0; cut < len; cut++)
                refused(c, bytes, cut, count);
            bytes[len] = 0;
            refused(c, bytes, len + 1, count);
            bytes[len] = 1;
            refused(c, bytes, len + 1, count);
        }
        weft_codec_close(&c);
    }
}

/* Any byte changed: refused, or as many elements decode to finite values. */
Test(codec_topk, damaged_encodings_decode_to_finite_values_or_are_refused)
{
    float v[LANE], out[LANE + 1];
    uint8_t bytes[ROOM];
    for (int f = 0; f < FORMS; f++) {
        weft_codec *c = opened(forms[f]);
        random_lane(v, 100, 9);
        const size_t len = encoded(c, v, 100, bytes);
        for (size_t at = 0; at < len; at++)
            for (int flip = 1; flip < 256; flip++) {
                bytes[at] ^= (uint8_t)flip;
                out[100] = -7;
                const int code = weft_codec_decode(c, bytes, len, out, 100);
                cr_assert(code == WEFT_OK || code == WEFT_ECODEC);
                for (int i = 0; i < 100 && code == WEFT_OK; i++)
                    cr_assert(isfinite(out[i]));
                cr_assert_eq(out[100], -7);
                bytes[at] ^= (uint8_t)flip;
            }
        weft_codec_close(&c);
    }
}

static void refused_text(const char *spec, const uint8_t *bytes, size_t len, size_t count,
                         const char *text)
{
    weft_codec *c = opened(spec);
    refused(c, bytes, len, count);
    cr_expect_str_eq(weft_last_error()->message, text);
    weft_codec_close(&c);
}

Test(codec_topk, what_is_wrong_is_said_with_its_offset)
{
    uint8_t one[] = {1, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x80, 0x3f}; /* 1.0 at 9 */
    uint8_t two[] = {1, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x3f};
    refused_text("topk:k=1", one, 13, 9,
                 "codec topk: offset 5: an index is not below the number of elements");
    refused_text("topk:k=1", two, 21, 9,
                 "codec topk: offset 1: more pairs than this codec sends for so many elements");
    refused_text("topk:k=2", two, 21, 9, "codec topk: offset 9: the indices do not ascend");
    refused_text("topk:k=2", one, 12, 10,
                 "codec topk: offset 12: the length is not that of so many pairs");
    refused_text("topk:k=1", one, 13, 10,
                 "codec topk: offset 13: longer than any encoding of so many elements");
    one[12] = 0x7f;
    refused_text("topk:k=1", one, 13, 10, "codec topk: offset 9: a value is zero or not finite");
    one[11] = one[12] = 0;
    refused_text("topk:k=1", one, 13, 10, "codec topk: offset 9: a value is zero or not finite");
    one[0] = 2;
    refused_text("topk:k=1,index=plain", one, 13, 10,
                 "codec topk: offset 0: the form byte is none of index=");
    uint8_t rice[] = {2, 1, 0, 0, 0, 2, 1, 4, 0, 0, 0x80, 0x3f}; /* 1.0 at 9, b = 2 */
    refused_text("topk:k=1", rice, 12, 9,
                 "codec topk: offset 7: an index is not below the number of elements");
    rice[5] = 40;
    refused_text("topk:k=1", rice, 12, 10, "codec topk: offset 5: the Rice parameter is above 31");
    const uint8_t empty[] = {2, 0, 0, 0, 0, 0};
    refused_text("topk:k=1", empty, 6, 10, "codec topk: offset 1: no pairs in the Rice form");
    uint8_t level[] = {1, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x80, 0x3f, 0x0e};
    const char *spec = "threshold:at=0,values=qsgd4";
    level[13] = 0x0f;
    refused_text(spec, level, 14, 10, "codec threshold: offset 13: a level is too high");
    level[13] = 0x07;
    refused_text(spec, level, 14, 10, "codec threshold: offset 13: a level is zero");
    level[13] = 0x1e;
    refused_text(spec, level, 14, 10,
                 "codec threshold: offset 13: the padding of the levels is not zero");
    level[12] = 0xbf;
    refused_text(spec, level, 14, 10,
                 "codec threshold: offset 9: the scale is not finite and positive, too small or "
                 "too large");
}

/* combine(a, b) of 100 elements; the result's length. */
static int combined(const weft_codec *c, const float *a, const float *b, uint8_t *out, size_t *len,
                    weft_pairs *dropped)
{
    static uint8_t x[ROOM], y[ROOM];
    const weft_stretch s = {.lane_count = 100, .count = 100};
    const size_t x_len = encoded(c, a, 100, x), y_len = encoded(c, b, 100, y);
    return c->type->combine(c, &s, x, x_len, y, y_len, out, len, dropped);
}

Test(codec_topk, combining_keeps_the_k_largest_of_the_sum_and_hands_out_the_rest)
{
    static const char *const specs[] = {"topk:k=10", "topk:k=10,index=plain", "topk:k=100",
                                        "threshold:at=0.45,most=0.1", "threshold:at=0.3,most=1"};
    float a[100], b[100], da[100], db[100], got[100], want[100];
    uint8_t bytes[ROOM];
    for (size_t f = 0; f < 5; f++) {
        weft_codec *c = opened(specs[f]);
        weft_pairs dropped = {0};
        size_t len = 0;
        random_lane(a, 100, 1);
        random_lane(b, 100, 2);
        cr_assert_eq(combined(c, a, b, bytes, &len, &dropped), WEFT_OK);
        cr_assert_leq(len, weft_codec_bound(c, 100));
        cr_assert_eq(weft_codec_decode(c, bytes, len, got, 100), WEFT_OK);
        len = encoded(c, a, 100, bytes);
        cr_assert_eq(weft_codec_decode(c, bytes, len, da, 100), WEFT_OK);
        len = encoded(c, b, 100, bytes);
        cr_assert_eq(weft_codec_decode(c, bytes, len, db, 100), WEFT_OK);
        for (int i = 0; i < 100; i++)
            da[i] += db[i];
        len = encoded(c, da, 100, bytes); /* the codec of the sum */
        cr_assert_eq(weft_codec_decode(c, bytes, len, want, 100), WEFT_OK);
        cr_assert(!memcmp(got, want, sizeof(got)), "%s", specs[f]);
        for (size_t i = 0; i < dropped.count; i++)
            got[dropped.index[i]] += dropped.value[i];
        cr_assert(!memcmp(got, da, sizeof(got)), "%s: nothing is lost", specs[f]);
        weft_pairs_free(&dropped);
        weft_codec_close(&c);
    }
}

Test(codec_topk, combining_rounded_values_is_refused_by_name)
{
    static const char *const specs[] = {"topk:values=f16", "topk:values=qsgd4",
                                        "threshold:values=qsgd8"};
    float a[100];
    uint8_t bytes[ROOM];
    size_t len = 0;
    random_lane(a, 100, 1);
    for (size_t f = 0; f < 3; f++) {
        weft_codec *c = opened(specs[f]);
        cr_assert_eq(combined(c, a, a, bytes, &len, NULL), WEFT_ENOTSUP);
        cr_assert(strstr(weft_last_error()->message, "merged with values=f32 only"));
        weft_codec_close(&c);
    }
}

Test(codec_topk, combining_refuses_damage_overflow_and_lack_of_memory_and_drops_nothing_then)
{
    weft_codec *c = opened("topk:k=10");
    const weft_stretch s = {.lane_count = 100, .count = 100};
    float a[100], b[100];
    uint8_t x[ROOM], y[ROOM], out[ROOM];
    weft_pairs dropped = {0};
    size_t len = 77;
    random_lane(a, 100, 1);
    random_lane(b, 100, 2);
    const size_t x_len = encoded(c, a, 100, x), y_len = encoded(c, b, 100, y);
    cr_assert_eq(c->type->combine(c, &s, x, x_len, x, x_len - 1, out, &len, &dropped), WEFT_ECODEC);
    cr_assert_eq(c->type->combine(c, &s, x, 3, x, x_len, out, &len, &dropped), WEFT_ECODEC);
    for (long fail = 1; fail < 20; fail++) {
        cr_assert(dropped.count == 0 && len == 77);
        weft_mem_fail_at(fail);
        const int code = c->type->combine(c, &s, x, x_len, y, y_len, out, &len, &dropped);
        weft_mem_fail_at(0);
        if (code == WEFT_OK)
            break;
        cr_assert_eq(code, WEFT_ENOMEM);
    }
    cr_assert_gt(dropped.count, 0u);
    dropped.count = 0;
    len = 77;
    for (int i = 0; i < 100; i++)
        a[i] = i == 40 ? FLT_MAX : 1.0f / (float)(1 + i);
    cr_assert_eq(combined(c, a, a, out, &len, &dropped), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec topk: the sum of element 40 overflows float32");
    cr_assert(dropped.count == 0 && len == 77);
    weft_pairs_free(&dropped);
    weft_codec_close(&c);
}

Test(codec_topk, vectors_beyond_32_bit_indices_are_refused)
{
    weft_codec *c = opened("topk:k=1");
    const size_t count = (size_t)UINT32_MAX + 1;
    const weft_draw draw = {.seed = 1};
    float v[1] = {1};
    uint8_t bytes[ROOM];
    size_t len = 0;
    cr_assert_eq(weft_codec_encode(c, &draw, v, count, bytes, ROOM, &len), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec topk: 4294967296 elements: indices have 32 bits, 2^32 - 1 is the most");
    cr_assert_eq(weft_codec_decode(c, bytes, 5, v, count), WEFT_EINVAL);
    weft_codec_close(&c);
}

/* Of the values sent, within 5.5 sigma of the mean of 4000 draws. */
Test(codec_topk, quantized_values_are_unbiased)
{
    enum { N = 40, DRAWS = 4000 };
    weft_codec *c = opened("topk:k=40,values=qsgd4");
    float v[N], out[N];
    double mean[N] = {0};
    uint8_t bytes[ROOM];
    float norm = 0;
    random_lane(v, N, 3);
    for (int i = 0; i < N; i++)
        norm = fmaxf(norm, fabsf(v[i]));
    for (uint64_t d = 0; d < DRAWS; d++) {
        const weft_draw draw = {.seed = 1, .draw = d};
        size_t len = 0;
        cr_assert_eq(weft_codec_encode(c, &draw, v, N, bytes, ROOM, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, out, N), WEFT_OK);
        for (int i = 0; i < N; i++)
            mean[i] += (double)out[i] / DRAWS;
    }
    for (int i = 0; i < N; i++) {
        const double step = (double)norm / 7, at = fabs((double)v[i]) / step;
        const double f = at - floor(at), sigma = step * sqrt(f * (1 - f) / DRAWS);
        cr_expect_lt(fabs(mean[i] - (double)v[i]), 5.5 * sigma + 1e-4 * step, "element %d", i);
    }
    weft_codec_close(&c);
}

Test(codec_topk, the_pairs_of_an_encoding_can_be_had)
{
    static const char *const specs[] = {"topk:k=2", "topk:k=2,index=plain",
                                        "threshold:at=3,most=1"};
    const float v[6] = {0, 1, -5, 2, 4, 0};
    for (size_t f = 0; f < 3; f++) {
        weft_codec *c = opened(specs[f]);
        const weft_stretch s = {.lane_count = 6, .count = 6};
        uint8_t bytes[ROOM];
        weft_pairs p = {0};
        const size_t len = encoded(c, v, 6, bytes);
        cr_assert_eq(c->type->pairs(c, &s, bytes, len, &p), WEFT_OK);
        cr_assert_eq(c->type->pairs(c, &s, bytes, len, &p), WEFT_OK, "appended");
        cr_assert(p.count == 4 && p.index[0] == 2 && p.index[3] == 4 && p.value[2] == -5);
        cr_assert_eq(c->type->pairs(c, &s, bytes, len - 1, &p), WEFT_ECODEC);
        cr_assert(p.count == 4 && c->type->combines(c));
        weft_pairs_free(&p);
        weft_codec_close(&c);
    }
    weft_codec *c = opened("topk:values=f16");
    cr_assert_not(c->type->combines(c));
    weft_codec_close(&c);
}
