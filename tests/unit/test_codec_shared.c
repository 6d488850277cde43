/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec_shared.h"

enum { ROOM = 4096, MOST = 900, PEERS = 9 };
enum { steps, sparse, zeros }; /* the kinds of golden/encodings.py */

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

static weft_codec *shared_of(const char *spec, int peers, const float *scales, size_t count)
{
    weft_codec *base = opened(spec), *c = NULL;
    cr_assert_eq(weft_codec_share(&c, base, peers, scales, count), WEFT_OK, "%s",
                 weft_last_error()->message);
    weft_codec_close(&base);
    return c;
}

static weft_stretch whole(size_t count)
{
    return (weft_stretch){.lane_count = count, .off = 0, .count = count};
}

static float golden_value(int kind, size_t i)
{
    if (kind == steps)
        return (float)((int)(i * 37 % 64) - 32) / 8.0f;
    return kind == sparse && i % 11 == 3 ? (float)i - 10.0f : 0.0f;
}

static void check_golden(int kind, size_t count, const char *spec, int addends, const float *scales,
                         size_t scale_count, const char *hex)
{
    weft_codec *c = shared_of(spec, addends, scales, scale_count);
    const weft_stretch s = whole(count);
    float lane[64];
    uint8_t sum[ROOM], own[ROOM], next[ROOM];
    char text[2 * ROOM + 1] = "";
    size_t len = 0, own_len = 0;
    for (size_t i = 0; i < count; i++)
        lane[i] = golden_value(kind, i);
    for (int m = 0; m < addends; m++) {
        const weft_draw draw = {.seed = 0x1234, .member = (uint32_t)m, .tensor = 2, .draw = 99};
        cr_assert_eq(c->type->encode(c, &draw, lane, &s, m ? own : sum, ROOM, m ? &own_len : &len),
                     WEFT_OK, "%s", weft_last_error()->message);
        if (m > 0) {
            cr_assert_eq(c->type->combine(c, &s, sum, len, own, own_len, next, &len, NULL),
                         WEFT_OK);
            memcpy(sum, next, len);
        }
    }
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", sum[i]);
    cr_expect_str_eq(text, hex, "%s, %d addends", spec, addends);
    cr_expect_eq(len, c->type->bound(c, &s), "the bound is that of all peers' sum");
    weft_codec_close(&c);
}

/* Against a second implementation, golden/quant_forms.py. */
Test(codec_shared, sums_are_those_of_the_golden_file)
{
#define UNWRAP(...) __VA_ARGS__
#define SHARED(kind, lane, spec, addends, scales, hex)                                             \
    {                                                                                              \
        static const float agreed[] = UNWRAP scales;                                               \
        check_golden(kind, lane, spec, addends, agreed, sizeof(agreed) / sizeof(agreed[0]), hex);  \
    }
#include "golden/quant_forms.def"
#undef SHARED
}

static void make_vector(float *v, size_t count, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(weft_rng_unit(&rng) - 0.5) * (i % 700 < 100 ? 0.0f : 3.0f);
}

/* What peers agree on: the largest of their scales. */
static size_t agree(const char *spec, float (*v)[MOST], int peers, size_t count, float *ret)
{
    weft_codec *base = opened(spec);
    const size_t scales = weft_codec_measure_count(base, count);
    float own[MOST];
    for (int p = 0; p < peers; p++) {
        cr_assert_eq(weft_codec_measure(base, v[p], NULL, count, own), WEFT_OK);
        for (size_t i = 0; i < scales; i++)
            ret[i] = p ? fmaxf(ret[i], own[i]) : own[i];
    }
    weft_codec_close(&base);
    return scales;
}

typedef struct message {
    uint8_t bytes[ROOM];
    size_t len;
} message;

static void combined(const weft_codec *c, size_t count, const message *a, const message *b,
                     message *ret)
{
    const weft_stretch s = whole(count);
    cr_assert_eq(
        c->type->combine(c, &s, a->bytes, a->len, b->bytes, b->len, ret->bytes, &ret->len, NULL),
        WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_leq(ret->len, c->type->bound(c, &s));
}

static const char *const specs[] = {
    "qsgd:levels=1,bucket=64",   "qsgd:levels=7,bucket=100",     "qsgd:levels=127,bucket=0",
    "qsgd:levels=3640,bucket=1", "qsgd:levels=14,round=nearest", "tern",
    "tern:clip=0,bucket=16",     "qsgd:levels=28,scale=pow2",    "qsgd:levels=15,scale=bf16"};

static float levels_of(const char *spec)
{
    weft_codec *base = opened(spec);
    const float levels = (float)base->type->levels(base);
    weft_codec_close(&base);
    return levels;
}

/* Of a block of zeros any. */
static float step_of(float scale, float levels)
{
    return scale > 0 ? scale / levels : 1.0f;
}

/* The sum of the integers, by decoding each encoding by itself: a step is fl32(N/s). */
Test(codec_shared, every_tree_of_combinations_gives_the_sum_of_the_integers)
{
    static float v[PEERS][MOST], out[MOST];
    static double integer[MOST];
    static message own[PEERS], node[PEERS];
    weft_rng rng = {.state = 12};
    for (size_t k = 0; k < sizeof(specs) / sizeof(specs[0]); k++)
        for (size_t count = 0; count <= MOST; count = count * 3 + 1) {
            float scales[MOST];
            size_t blocks = 0;
            for (int p = 0; p < PEERS; p++)
                make_vector(v[p], count, (uint64_t)p + 10 * k);
            blocks = agree(specs[k], v, PEERS, count, scales);
            weft_codec *c = shared_of(specs[k], PEERS, scales, blocks);
            const weft_stretch s = whole(count);
            const size_t block = c->type->block(c) ? c->type->block(c) : MOST;
            const float levels = levels_of(specs[k]);
            memset(integer, 0, sizeof(integer));
            for (int p = 0; p < PEERS; p++) {
                const weft_draw draw = {.seed = 5, .member = (uint32_t)p, .draw = k};
                cr_assert_eq(c->type->encode(c, &draw, v[p], &s, own[p].bytes, ROOM, &own[p].len),
                             WEFT_OK);
                cr_assert_eq(c->type->decode(c, &s, own[p].bytes, own[p].len, out, false), WEFT_OK);
                for (size_t i = 0; i < count; i++)
                    integer[i] += rint((double)out[i] / (double)step_of(scales[i / block], levels));
            }
            message first;
            for (int tree = 0; tree < 4; tree++) {
                memcpy(node, own, sizeof(node));
                for (size_t left = PEERS; left > 1; left--) {
                    const size_t a = weft_rng_below(&rng, left);
                    message joined = node[a];
                    node[a] = node[left - 1];
                    const size_t b = weft_rng_below(&rng, left - 1);
                    combined(c, count, &joined, &node[b], &node[PEERS - 1]);
                    node[b] = node[PEERS - 1];
                }
                if (tree == 0)
                    first = node[0];
                cr_assert(node[0].len == first.len &&
                              !memcmp(node[0].bytes, first.bytes, first.len),
                          "%s of %zu, tree %d", specs[k], count, tree);
            }
            cr_assert_eq(c->type->decode(c, &s, first.bytes, first.len, out, false), WEFT_OK);
            for (size_t i = 0; i < count; i++)
                cr_assert_eq(out[i], (float)integer[i] * (scales[i / block] / levels),
                             "%s: %zu of %zu", specs[k], i, count);
            weft_codec_close(&c);
        }
}

/* Every span of a lane, wherever the lane lies in the tensor, decodes to the same values. */
Test(codec_shared, scales_are_found_by_the_index_in_the_tensor)
{
    enum { BLOCK = 16, LANES = 3, LANE = 5 * BLOCK, COUNT = LANES * LANE };
    static float v[1][MOST], out[COUNT], part[COUNT];
    float scales[MOST];
    make_vector(v[0], COUNT, 4);
    const size_t blocks = agree("qsgd:levels=9,bucket=16", v, 1, COUNT, scales);
    weft_codec *c = shared_of("qsgd:levels=9,bucket=16", 3, scales, blocks);
    const weft_draw draw = {.seed = 3};
    uint8_t bytes[ROOM];
    size_t len = 0;
    weft_stretch s = whole(COUNT);
    cr_assert_eq(c->type->encode(c, &draw, v[0], &s, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(c->type->decode(c, &s, bytes, len, out, false), WEFT_OK);
    for (size_t lane = 0; lane < LANES; lane++)
        for (size_t off = 0; off < LANE; off += 24) {
            const weft_draw at = {.seed = 3, .first = lane * LANE};
            s = (weft_stretch){.lane_count = LANE,
                               .off = off,
                               .count = LANE - off < 24 ? LANE - off : 24,
                               .first = lane * LANE};
            const float *from = v[0] + lane * LANE;
            cr_assert_eq(c->type->encode(c, &at, from, &s, bytes, ROOM, &len), WEFT_OK);
            cr_assert_eq(c->type->decode(c, &s, bytes, len, part + lane * LANE + off, false),
                         WEFT_OK);
        }
    cr_assert(!memcmp(part, out, sizeof(out)));
    s = (weft_stretch){.lane_count = LANE, .count = LANE, .first = COUNT};
    cr_assert_eq(c->type->decode(c, &s, bytes, len, out, false), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: block 19 has no scale, there are 15");
    s.first = 8;
    cr_assert_eq(c->type->encode(c, &draw, v[0], &s, bytes, ROOM, &len), WEFT_EINVAL);
    weft_codec_close(&c);
}

Test(codec_shared, measuring_adds_the_residual_and_clips_first)
{
    enum { COUNT = 3000 };
    static float v[COUNT], plus[COUNT], sum[COUNT];
    make_vector(v, COUNT, 1);
    make_vector(plus, COUNT, 2);
    for (size_t i = 0; i < COUNT; i++)
        sum[i] = v[i] + plus[i];
    static const char *const bases[] = {"qsgd:bucket=0", "qsgd:bucket=1100,scale=bf16",
                                        "tern:clip=1.5,bucket=1100", "tern:clip=1"};
    for (size_t k = 0; k < 4; k++) {
        weft_codec *base = opened(bases[k]);
        float with[3] = {0}, of_sum[3] = {0}, without[3] = {0};
        cr_assert_eq(weft_codec_measure_count(base, COUNT), base->type->block(base) ? 3 : 1);
        cr_assert_eq(weft_codec_measure_count(base, 0), 0);
        cr_assert_eq(weft_codec_measure(base, v, plus, COUNT, with), WEFT_OK);
        cr_assert_eq(weft_codec_measure(base, sum, NULL, COUNT, of_sum), WEFT_OK);
        cr_assert_eq(weft_codec_measure(base, v, NULL, COUNT, without), WEFT_OK);
        cr_assert(!memcmp(with, of_sum, sizeof(with)) && with[0] != without[0], "%s", bases[k]);
        cr_assert((with[0] < 2.3f) == (k >= 2), "%s: %g", bases[k], (double)with[0]);
        plus[2500] = NAN;
        cr_assert_eq(weft_codec_measure(base, v, plus, COUNT, with), WEFT_ENONFINITE);
        cr_assert(strstr(weft_last_error()->message, "element 2500 is NaN"), "%s",
                  weft_last_error()->message);
        plus[2500] = sum[2500] - v[2500];
        weft_codec_close(&base);
    }
}

Test(codec_shared, what_cannot_be_shared_is_refused)
{
    static const struct {
        char spec[40];
        int peers;
        float scale;
        int code;
    } bad[] = {{"raw", 2, 1, WEFT_ENOTSUP},
               {"qsgd:norm=2", 2, 1, WEFT_ENOTSUP},
               {"qsgd:code=elias", 2, 1, WEFT_ENOTSUP},
               {"qsgd", 0, 1, WEFT_EINVAL},
               {"qsgd:levels=127", 259, 1, WEFT_EINVAL}};
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        weft_codec *base = opened(bad[k].spec), *c = NULL;
        cr_expect_eq(weft_codec_share(&c, base, bad[k].peers, &bad[k].scale, 1), bad[k].code, "%zu",
                     k);
        cr_expect_null(c);
        cr_expect(strstr(weft_last_error()->message, weft_codec_spec(base)), "%s",
                  weft_last_error()->message);
        weft_codec_close(&base);
    }
}

/* Scales are agreed on after the instance was made: key() looks again. */
Test(codec_shared, scales_that_no_sum_can_have_are_refused)
{
    const float bad[] = {-1, NAN, INFINITY, FLT_MAX};
    const weft_draw draw = {.seed = 1};
    const weft_stretch s = whole(1);
    const float v = 0.5f;
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        float scale = 1, out = 7;
        uint8_t bytes[ROOM];
        size_t len = 0;
        weft_codec *c = shared_of("qsgd:bucket=0", 2, &scale, 1);
        cr_assert_eq(c->type->encode(c, &draw, &v, &s, bytes, ROOM, &len), 0);
        scale = bad[k];
        c->type->key(c, &draw);
        cr_expect_eq(c->type->encode(c, &draw, &v, &s, bytes, ROOM, &len), WEFT_ENONFINITE);
        cr_expect_eq(c->type->decode(c, &s, bytes, len, &out, false), WEFT_ENONFINITE);
        cr_expect_eq(out, 7);
        weft_codec_close(&c);
    }
}

Test(codec_shared, values_above_the_agreed_scale_are_refused)
{
    const float scales[2] = {1, 1}, v[4] = {1, -1, 0.5f, 1.5f};
    weft_codec *c = shared_of("qsgd:bucket=2", 2, scales, 2);
    const weft_draw draw = {.seed = 1};
    const weft_stretch s = whole(4);
    uint8_t bytes[ROOM];
    size_t len = 77;
    cr_assert_eq(c->type->encode(c, &draw, v, &s, bytes, ROOM, &len), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: the block of elements 2 to 3 has "
                                                 "scale 1.5, above the agreed 1");
    cr_assert_eq(len, 77);
    weft_codec_close(&c);
}

/* A damaged operand on either side, and as what is decoded. */
static void refused(const weft_codec *c, size_t count, const message *good, size_t at,
                    uint8_t value, const char *reason)
{
    const weft_stretch s = whole(count);
    message bad = *good;
    uint8_t out[ROOM];
    char text[128];
    float values[64];
    size_t len = 77;
    if (at < bad.len)
        bad.bytes[at] = value;
    else
        bad.len = at;
    memset(out, 0x3f, sizeof(out));
    memset(values, 0x3f, sizeof(values));
    snprintf(text, sizeof(text), "codec shared: offset %s", reason);
    for (int side = 0; side < 3; side++) {
        const int code =
            side == 2 ? c->type->decode(c, &s, bad.bytes, bad.len, values, true)
                      : c->type->combine(c, &s, side ? good->bytes : bad.bytes,
                                         side ? good->len : bad.len, side ? bad.bytes : good->bytes,
                                         side ? bad.len : good->len, out, &len, NULL);
        cr_expect_eq(code, WEFT_ECODEC, "byte %zu, side %d", at, side);
        cr_expect_str_eq(weft_last_error()->message, text);
    }
    cr_expect_eq(len, 77);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(out[i], 0x3f, "output touched");
    for (size_t i = 0; i < sizeof(values); i++)
        cr_assert_eq(((uint8_t *)values)[i], 0x3f, "output touched");
}

Test(codec_shared, malformed_sums_are_refused_with_offset_and_reason)
{
    const float scales[3] = {1, 0, 2}, v[11] = {1, -1, 1, 1, 0, 0, 0, 0, 2, 2, 2};
    weft_codec *c = shared_of("qsgd:levels=7,bucket=4", 5, scales, 3);
    const weft_draw draw = {.seed = 1};
    const weft_stretch s = whole(11);
    message own;
    cr_assert_eq(c->type->encode(c, &draw, v, &s, own.bytes, ROOM, &own.len), WEFT_OK);
    cr_assert_eq(own.len, 2 + 6);
    refused(c, 11, &own, 0, 0, "0: a sum of 0 encodings, of 5 peers");
    refused(c, 11, &own, 0, 6, "0: a sum of 6 encodings, of 5 peers");
    refused(c, 11, &own, 1, 1, "0: a sum of 257 encodings, of 5 peers");
    refused(c, 11, &own, 0, 2, "8: 11 sums of 2 take 9 bytes");
    refused(c, 11, &own, 2, 0xfe, "2: a level is above levels=");
    refused(c, 11, &own, 5, 0x87, "5: a level is not 0 in a block of zeros");
    refused(c, 11, &own, 7, 0x1e, "7: non-zero padding");
    refused(c, 11, &own, 9, 0, "9: 11 sums of 1 take 8 bytes");
    message two, four, out;
    combined(c, 11, &own, &own, &two);
    combined(c, 11, &two, &two, &four);
    size_t len = 77;
    cr_assert_eq(
        c->type->combine(c, &s, four.bytes, four.len, two.bytes, two.len, out.bytes, &len, NULL),
        WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec shared: offset 0: sums of 4 and of 2 encodings, of 5 peers");
    cr_assert_eq(len, 77);
    weft_codec_close(&c);
}

Test(codec_shared, omega_is_that_of_all_blocks_stacked)
{
    const float scale = 1;
    weft_codec *c = shared_of("tern:clip=0,bucket=16", 4, &scale, 1);
    double omega = 0;
    cr_assert_eq(weft_codec_omega(c, 1000, &omega), WEFT_OK);
    cr_assert_lt(fabs(omega - 3.5), 1e-12); /* (sqrt(16 * 4) - 1) / 2 */
    weft_codec_close(&c);
    c = shared_of("tern", 4, &scale, 1);
    cr_assert_not(weft_codec_is_unbiased(c));
    weft_codec_close(&c);
}

Test(codec_shared, running_out_of_memory_leaves_nothing_behind)
{
    const float scales[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    weft_codec *base = opened("qsgd"), *c = NULL;
    for (long n = 1; n <= 2; n++) {
        weft_mem_fail_at(n);
        cr_expect_eq(weft_codec_share(&c, base, 2, scales, 8), WEFT_ENOMEM);
        cr_expect_null(c);
    }
    weft_mem_fail_at(0);
    cr_assert_eq(weft_codec_share(&c, base, 2, scales, 8), WEFT_OK);
    weft_codec_close(&c);
    weft_codec_close(&base);
}
