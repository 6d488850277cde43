/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every codec promises, for every row of the table: its defaults and, one at a time, both ends
 * of each number and each word. A new codec is tested here as it is.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/sparse.h"
#include "support/codec_cases.h"

enum { MOST = 4099, SEEDS = 3 };

static const size_t counts[] = {0, 1, 2, 7, 8, 9, 511, 512, 513, 1000, MOST};

static void check_round_trip(const weft_codec *c, const char *spec, size_t n, uint64_t seed)
{
    static float v[MOST], once[MOST + 1], again[MOST];
    size_t cap = weft_codec_bound(c, n), len = 0, more = 0;
    uint8_t *bytes = codec_room(cap), *second = codec_room(cap);
    const weft_draw draw = {.seed = seed, .member = 1, .draw = 2};
    codec_vector(v, n, (enum shape)(seed % SHAPES), seed * 100 + n);
    cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK, "%s of %zu: %s",
                 spec, n, weft_last_error()->message);
    cr_assert_leq(len, cap);
    cr_assert(codec_room_kept(bytes, cap), "%s of %zu: beyond", spec, n);
    cr_assert_eq(weft_codec_encode(c, &draw, v, n, second, cap, &more), WEFT_OK);
    cr_assert(len == more && !memcmp(bytes, second, len), "%s of %zu", spec, n);
    memset(once, '<', sizeof(once));
    cr_assert_eq(weft_codec_decode(c, bytes, len, once, n), WEFT_OK, "%s of %zu: %s", spec, n,
                 weft_last_error()->message);
    cr_assert_eq(weft_codec_decode(c, bytes, len, again, n), WEFT_OK);
    cr_assert(!memcmp(once, again, n * sizeof(float)));
    cr_assert(!memcmp(&once[n], "<<<<", sizeof(once[n])), "decoded too many");
    if (c->type->traits & WEFT_CODEC_LOSSLESS)
        cr_assert(!memcmp(once, v, n * sizeof(float)));
    free(bytes);
    free(second);
}

Test(codecs, encodings_stay_within_their_bound_and_decode_the_same_every_time)
{
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
            for (uint64_t seed = 0; seed < SEEDS; seed++)
                check_round_trip(c, spec, counts[k], seed);
        weft_codec_close(&c);
    }
}

Test(codecs, adding_while_decoding_is_decoding_and_then_adding)
{
    enum { LENGTH = 2777 };
    static float v[LENGTH], values[LENGTH], sum[LENGTH];
    const weft_stretch s = {.lane_count = LENGTH, .off = 0, .count = LENGTH};
    const weft_draw draw = {.seed = 5};
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        size_t cap = weft_codec_bound(c, LENGTH), len = 0;
        uint8_t *bytes = codec_room(cap);
        codec_vector(v, LENGTH, GAUSSIAN, 6);
        codec_vector(sum, LENGTH, HEAVY, 7);
        cr_assert_eq(weft_codec_encode(c, &draw, v, LENGTH, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, values, LENGTH), WEFT_OK);
        for (size_t i = 0; i < LENGTH; i++)
            values[i] = sum[i] + values[i];
        cr_assert_eq(c->type->decode(c, &s, bytes, len, sum, true), WEFT_OK);
        cr_assert(!memcmp(sum, values, sizeof(sum)), "%s", spec);
        free(bytes);
        weft_codec_close(&c);
    }
}

/* Spans as the codec takes them, in any number and at odd addresses. */
Test(codecs, cutting_a_lane_into_spans_never_changes_decoded_values)
{
    enum { LANE = 1200, FIRST = 4096, CUTS = 20 };
    static float v[LANE], whole[LANE], parts[LANE];
    weft_rng rng = {.state = 12};
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        const weft_draw draw = {.seed = 8,
                                .member = 3,
                                .tensor = 1,
                                .draw = 4,
                                .first = c->type->traits & WEFT_CODEC_WHOLE ? 0 : FIRST};
        size_t cap = weft_codec_bound(c, LANE), len = 0;
        uint8_t *bytes = codec_room(cap);
        codec_vector(v, LANE, HEAVY, 9);
        cr_assert_eq(weft_codec_encode(c, &draw, v, LANE, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, whole, LANE), WEFT_OK);
        free(bytes);
        for (int round = 0; round < CUTS; round++) {
            weft_measured measured = {0};
            memset(parts, 0xff, sizeof(parts));
            for (size_t off = 0; off < LANE;) {
                weft_stretch s = codec_span(c, LANE, off, &rng);
                s.first = draw.first;
                s.measured = round % 4 < 2 ? &measured : NULL;
                cap = c->type->bound(c, &s);
                uint8_t *room = codec_room(cap + 1), *odd = room + round % 2;
                cr_assert_eq(c->type->encode(c, &draw, v, &s, odd, cap, &len), WEFT_OK);
                cr_assert_leq(len, cap);
                cr_assert_eq(c->type->decode(c, &s, odd, len, parts + off, false), WEFT_OK);
                off += s.count;
                free(room);
            }
            cr_assert(!memcmp(parts, whole, sizeof(whole)), "%s, cut %d", spec, round);
        }
        weft_codec_close(&c);
    }
}

/* The last span is encoded as before although the first, which is in the same block, has grown. */
Test(codecs, a_block_of_many_spans_is_measured_once)
{
    enum { LANE = 600, SPAN = 200 };
    static float v[LANE];
    static const char *const one_block[] = {"qsgd:levels=7,bucket=0",
                                            "qsgd:levels=100,bucket=0,norm=2,code=elias",
                                            "tern:bucket=0,clip=2.5",
                                            "sign:bucket=0",
                                            "onebit:bucket=0",
                                            "minmax8:bucket=0",
                                            "qsgd:levels=1,bucket=0,norm=max"};
    const weft_draw draw = {.seed = 8};
    for (size_t k = 0; k < sizeof(one_block) / sizeof(one_block[0]); k++) {
        weft_codec *c = codec_opened(one_block[k]);
        weft_measured measured = {0};
        weft_stretch s = {.lane_count = LANE, .count = SPAN, .measured = &measured};
        const weft_stretch last = {.lane_count = LANE, .off = LANE - SPAN, .count = SPAN};
        const size_t cap = c->type->bound(c, &last);
        uint8_t *bytes = codec_room(cap), *again = codec_room(cap);
        size_t len = 0, more = 0;
        codec_vector(v, LANE, HEAVY, 9);
        cr_assert_eq(c->type->encode(c, &draw, v, &last, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(c->type->encode(c, &draw, v, &s, again, cap, &more), WEFT_OK);
        v[0] = 1e6f;
        s.off = last.off;
        cr_assert_eq(c->type->encode(c, &draw, v, &s, again, cap, &more), WEFT_OK);
        cr_assert(len == more && !memcmp(bytes, again, len), "%s", one_block[k]);
        free(bytes);
        free(again);
        weft_codec_close(&c);
    }
}

/* Decodes damaged bytes: accepted, or refused with the output as it was. */
static int decode_damaged(const weft_codec *c, const uint8_t *bytes, size_t len, size_t n,
                          const char *spec)
{
    /* A copy of exactly this length: reading past it shows under a sanitizer. */
    uint8_t *exact = malloc(len ? len : 1);
    float out[520];
    cr_assert_not_null(exact);
    memcpy(exact, bytes, len);
    memset(out, 0x77, sizeof(out));
    int code = weft_codec_decode(c, exact, len, out, n);
    cr_assert(code == WEFT_OK || code == WEFT_ECODEC, "%s: %d", spec, code);
    for (size_t i = 0; code != WEFT_OK && i < sizeof(out); i++)
        cr_assert_eq(((uint8_t *)out)[i], 0x77, "%s: output touched", spec);
    if (code != WEFT_OK)
        cr_assert(strstr(weft_last_error()->message, c->type->name) &&
                      strstr(weft_last_error()->message, "offset"),
                  "%s", weft_last_error()->message);
    for (size_t i = 0; code == WEFT_OK && !(c->type->traits & WEFT_CODEC_LOSSLESS) && i < n; i++)
        cr_assert(isfinite(out[i]), "%s: element %zu", spec, i);
    free(exact);
    return code;
}

Test(codecs, damaged_encodings_are_refused_or_decode_and_never_crash)
{
    static const size_t sizes[] = {1, 3, 8, 37, 520};
    enum { BITS_MOST = 3000, CUTS_MOST = 600 };
    float v[520];
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            const weft_draw draw = {.seed = 3};
            size_t n = sizes[k], cap = weft_codec_bound(c, n), len = 0;
            uint8_t *bytes = codec_room(cap);
            codec_vector(v, n, (enum shape)(k % SHAPES), k + 40);
            cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK);
            for (size_t cut = 0; cut < len; cut += 1 + len / CUTS_MOST)
                cr_assert_eq(decode_damaged(c, bytes, cut, n, spec), WEFT_ECODEC,
                             "%s of %zu: %zu of %zu bytes", spec, n, cut, len);
            bytes[len] = 0;
            cr_assert_eq(decode_damaged(c, bytes, len + 1, n, spec), WEFT_ECODEC,
                         "%s of %zu: a byte too many", spec, n);
            for (size_t bit = 0; bit < 8 * len && bit < BITS_MOST; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                decode_damaged(c, bytes, len, n, spec);
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            }
            free(bytes);
        }
        weft_codec_close(&c);
    }
}

Test(codecs, lossy_ones_name_the_first_element_that_is_not_finite)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    enum { LENGTH = 700, FIRST = 1 << 20 };
    float v[LENGTH];
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        size_t cap = weft_codec_bound(c, LENGTH), len = 77;
        uint8_t *bytes = codec_room(cap);
        for (size_t at = 0; at < LENGTH && !(c->type->traits & WEFT_CODEC_LOSSLESS); at += 233) {
            char want[32];
            const uint64_t first = c->type->traits & WEFT_CODEC_WHOLE ? 0 : FIRST;
            const weft_draw draw = {.seed = 3, .first = first};
            codec_vector(v, LENGTH, GAUSSIAN, at);
            v[LENGTH - 1] = NAN;
            v[at] = bad[at % 3];
            snprintf(want, sizeof(want), "element %zu ", (size_t)first + at);
            cr_assert_eq(weft_codec_encode(c, &draw, v, LENGTH, bytes, cap, &len), WEFT_ENONFINITE,
                         "%s", spec);
            cr_assert(strstr(weft_last_error()->message, want), "%s: %s, not %s", spec,
                      weft_last_error()->message, want);
            cr_assert_eq(len, 77);
        }
        free(bytes);
        weft_codec_close(&c);
    }
}

static bool combines(const weft_codec *c)
{
    return c->type->combine && (!c->type->combines || c->type->combines(c));
}

enum { COUNT = 1111 };

/* Encodings of two vectors, and what they decode to. */
typedef struct operands {
    uint8_t *bytes[2];
    size_t len[2], cap;
    float values[2][COUNT];
} operands;

static void make_operands(const weft_codec *c, operands *ret)
{
    static float v[COUNT];
    ret->cap = weft_codec_bound(c, COUNT);
    for (int k = 0; k < 2; k++) {
        const weft_draw draw = {.seed = 1, .member = (uint32_t)k};
        codec_vector(v, COUNT, k ? HEAVY : GAUSSIAN, 60 + (uint64_t)k);
        ret->bytes[k] = codec_room(ret->cap);
        cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, ret->bytes[k], ret->cap, &ret->len[k]),
                     WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, ret->bytes[k], ret->len[k], ret->values[k], COUNT),
                     WEFT_OK);
    }
}

Test(codecs, merged_encodings_decode_to_the_sum)
{
    static operands two;
    static float sum[COUNT];
    const weft_stretch s = {.lane_count = COUNT, .count = COUNT};
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        if (c->type->traits & WEFT_CODEC_MERGES) {
            make_operands(c, &two);
            cr_assert_eq(two.len[0], two.len[1], "%s", spec);
            c->type->merge(c, &s, two.bytes[0], two.bytes[0], two.bytes[1]);
            cr_assert(codec_room_kept(two.bytes[0], two.cap));
            cr_assert_eq(weft_codec_decode(c, two.bytes[0], two.len[0], sum, COUNT), WEFT_OK);
            for (size_t i = 0; i < COUNT; i++)
                cr_assert_eq(sum[i], two.values[0][i] + two.values[1][i], "%s, %zu", spec, i);
            free(two.bytes[0]);
            free(two.bytes[1]);
        }
        weft_codec_close(&c);
    }
}

Test(codecs, combined_encodings_decode_and_a_damaged_operand_changes_nothing)
{
    static operands two;
    static float sum[COUNT];
    const weft_stretch s = {.lane_count = COUNT, .count = COUNT};
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        if (combines(c)) {
            size_t len = 0, none = 77;
            make_operands(c, &two);
            uint8_t *out = codec_room(two.cap), *kept = codec_room(two.cap);
            cr_assert_eq(c->type->combine(c, &s, two.bytes[0], two.len[0], two.bytes[1], two.len[1],
                                          out, &len, NULL),
                         WEFT_OK, "%s: %s", spec, weft_last_error()->message);
            cr_assert(len <= two.cap && codec_room_kept(out, two.cap), "%s", spec);
            cr_assert_eq(weft_codec_decode(c, out, len, sum, COUNT), WEFT_OK);
            for (size_t i = 0; i < COUNT && !(c->type->traits & WEFT_CODEC_SELECTS); i++)
                cr_assert_float_eq(sum[i], two.values[0][i] + two.values[1][i],
                                   1e-5f * (fabsf(two.values[0][i]) + fabsf(two.values[1][i])));
            memcpy(kept, out, two.cap);
            for (size_t cut = 0; cut < two.len[1]; cut += 1 + two.len[1] / 50) {
                weft_pairs dropped = {0};
                cr_assert_eq(c->type->combine(c, &s, two.bytes[0], two.len[0], two.bytes[1], cut,
                                              out, &none, &dropped),
                             WEFT_ECODEC, "%s cut to %zu", spec, cut);
                cr_assert_eq(dropped.count, 0);
                cr_assert(!memcmp(out, kept, two.cap) && none == 77, "%s cut to %zu", spec, cut);
                weft_free(dropped.index);
                weft_free(dropped.value);
            }
            free(out);
            free(kept);
            free(two.bytes[0]);
            free(two.bytes[1]);
        }
        weft_codec_close(&c);
    }
}
