/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"

enum { ROOM = 2048, LANE = 300, HEAD = 25 };

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

static void random_lane(float *v, size_t count, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(weft_rng_unit(&rng) - 0.5);
}

static size_t encoded(const weft_codec *c, weft_draw draw, const float *v, const weft_stretch *s,
                      uint8_t out[ROOM])
{
    size_t len = 0;
    cr_assert_leq(c->type->bound(c, s), (size_t)ROOM);
    cr_assert_eq(c->type->encode(c, &draw, v, s, out, ROOM, &len), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(len, c->type->bound(c, s), "the bound is exact");
    return len;
}

Test(codec_randk, one_element_of_each_group_is_sent_times_its_length)
{
    weft_codec *c = opened("randk:density=0.125");
    float v[LANE], out[LANE];
    uint8_t bytes[ROOM];
    for (size_t count = 0; count <= LANE; count += count < 20 ? 1 : 37) {
        const weft_stretch s = {.lane_count = count, .count = count};
        const weft_draw draw = {.seed = count, .member = 3, .draw = 9};
        random_lane(v, count, count);
        const size_t len = encoded(c, draw, v, &s, bytes);
        cr_assert_eq(len, HEAD + 4 * ((count + 7) / 8));
        cr_assert_eq(weft_codec_decode(c, bytes, len, out, count), WEFT_OK);
        for (size_t from = 0; from < count; from += 8) {
            const size_t length = count - from < 8 ? count - from : 8;
            int found = 0;
            for (size_t i = from; i < from + length; i++) {
                cr_assert(out[i] == 0 || out[i] == v[i] * (float)length);
                found += out[i] != 0;
            }
            cr_assert_eq(found, 1);
        }
    }
    weft_codec_close(&c);
}

Test(codec_randk, density_makes_groups_and_groups_make_omega)
{
    static const struct {
        const char *spec;
        size_t group;
    } rows[] = {{"randk", 100},
                {"randk:density=1", 1},
                {"randk:density=0.4", 3},
                {"randk:density=0.3", 3},
                {"randk:density=1e-6", 1000000}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft_codec *c = opened(rows[i].spec);
        double omega = -1;
        cr_assert_eq(c->type->block(c), rows[i].group);
        cr_assert_eq(weft_codec_omega(c, 10000000, &omega), WEFT_OK);
        cr_assert_eq(omega, (double)rows[i].group - 1);
        cr_assert_eq(weft_codec_omega(c, 2, &omega), WEFT_OK);
        cr_assert_eq(omega, rows[i].group > 1 ? 1 : 0);
        cr_assert_eq(weft_codec_omega(c, 0, &omega), WEFT_OK);
        cr_assert_eq(omega, 0);
        weft_codec_close(&c);
    }
}

/* Each element as often as the others, none twice as likely at an edge. */
Test(codec_randk, is_unbiased_with_exactly_the_variance_of_omega)
{
    enum { N = 47, G = 10, DRAWS = 20000 }; /* the last group is shorter */
    weft_codec *c = opened("randk:density=0.1");
    const weft_stretch s = {.lane_count = N, .count = N};
    float v[N], out[N];
    double mean[N] = {0}, errors = 0, squares = 0, want = 0;
    uint8_t bytes[ROOM];
    random_lane(v, N, 5);
    for (int i = 0; i < N; i++)
        want += (i < 40 ? G - 1 : 6) * (double)v[i] * (double)v[i];
    for (uint64_t d = 0; d < DRAWS; d++) {
        const weft_draw draw = {.seed = 7, .draw = d};
        double error = 0;
        const size_t len = encoded(c, draw, v, &s, bytes);
        cr_assert_eq(weft_codec_decode(c, bytes, len, out, N), WEFT_OK);
        for (int i = 0; i < N; i++) {
            mean[i] += (double)out[i] / DRAWS;
            error += ((double)out[i] - (double)v[i]) * ((double)out[i] - (double)v[i]);
        }
        errors += error / DRAWS;
        squares += error * error / DRAWS;
    }
    for (int i = 0; i < N; i++) {
        const double sigma = fabs((double)v[i]) * sqrt((i < 40 ? G - 1 : 6) / (double)DRAWS);
        cr_expect_lt(fabs(mean[i] - (double)v[i]), 5.5 * sigma, "element %d", i);
    }
    const double spread = sqrt((squares - errors * errors) / DRAWS);
    cr_expect_lt(fabs(errors - want), 5 * spread, "%g, not %g", errors, want);
    weft_codec_close(&c);
}

Test(codec_randk, all_peers_draw_alike_and_other_draws_differ)
{
    weft_codec *c = opened("randk:density=0.1");
    const weft_stretch s = {.lane_count = LANE, .count = LANE};
    float v[LANE];
    uint8_t one[ROOM], other[ROOM];
    random_lane(v, LANE, 1);
    const size_t len = encoded(c, (weft_draw){.seed = 1, .member = 0, .draw = 5}, v, &s, one);
    encoded(c, (weft_draw){.seed = 1, .member = 9, .draw = 5}, v, &s, other);
    cr_assert(!memcmp(one, other, len));
    const weft_draw others[] = {{.seed = 2, .draw = 5},
                                {.seed = 1, .draw = 6},
                                {.seed = 1, .draw = 5, .tensor = 1},
                                {.seed = 1, .draw = 5, .first = 10}};
    for (int i = 0; i < 4; i++) {
        encoded(c, others[i], v, &s, other);
        cr_assert(memcmp(one + HEAD, other + HEAD, len - HEAD) != 0, "draw %d", i);
    }
    weft_codec_close(&c);
}

/* Lanes and spans that begin and end on the edges of groups. */
Test(codec_randk, what_is_decoded_does_not_depend_on_how_the_tensor_is_cut)
{
    weft_codec *c = opened("randk:density=0.1");
    const weft_draw draw = {.seed = 3, .draw = 8};
    const weft_stretch all = {.lane_count = 95, .count = 95};
    float v[95], whole[95], parts[95];
    uint8_t bytes[ROOM];
    random_lane(v, 95, 4);
    size_t len = encoded(c, draw, v, &all, bytes);
    cr_assert_eq(c->type->decode(c, &all, bytes, len, whole, false), WEFT_OK);
    for (size_t lane = 0; lane < 95; lane += 40)
        for (size_t off = 0; off < 40 && lane + off < 95; off += 20) {
            const size_t left = 95 - lane, lane_count = left < 40 ? left : 40;
            const size_t rest = lane_count - off, count = rest < 20 ? rest : 20;
            const weft_stretch s = {
                .lane_count = lane_count, .off = off, .count = count, .first = lane};
            const weft_draw here = {.seed = 3, .draw = 8, .first = lane};
            len = encoded(c, here, v + lane, &s, bytes);
            cr_assert_eq(c->type->decode(c, &s, bytes, len, parts + lane + off, false), WEFT_OK);
        }
    cr_assert(!memcmp(whole, parts, sizeof(whole)));
    weft_codec_close(&c);
}

Test(codec_randk, merging_and_folding_add_what_is_decoded)
{
    weft_codec *c = opened("randk:density=0.125");
    const weft_stretch s = {.lane_count = 104, .off = 8, .count = 92};
    const weft_draw draw = {.seed = 3, .draw = 8};
    float v[104], w[104], dv[92], dw[92], sum[92];
    uint8_t a[ROOM], b[ROOM], ab[ROOM];
    random_lane(v, 104, 1);
    random_lane(w, 104, 2);
    const size_t len = encoded(c, draw, v, &s, a);
    encoded(c, draw, w, &s, b);
    cr_assert_eq(c->type->decode(c, &s, a, len, dv, false), WEFT_OK);
    cr_assert_eq(c->type->decode(c, &s, b, len, dw, false), WEFT_OK);
    for (int i = 0; i < 92; i++)
        dv[i] += dw[i];
    c->type->merge(c, &s, ab, a, b);
    cr_assert_eq(c->type->decode(c, &s, ab, len, sum, false), WEFT_OK);
    cr_assert(!memcmp(sum, dv, sizeof(sum)));
    memcpy(ab, a, sizeof(ab));
    c->type->fold(c, &s, ab, w + 8);
    cr_assert_eq(c->type->decode(c, &s, ab, len, sum, false), WEFT_OK);
    cr_assert(!memcmp(sum, dv, sizeof(sum)));
    c->type->merge(c, &s, b, a, b); /* in place of the second */
    cr_assert(!memcmp(b, ab, len));
    memset(sum, 0, sizeof(sum));
    cr_assert_eq(c->type->decode(c, &s, b, len, sum, true), WEFT_OK);
    cr_assert(!memcmp(sum, dv, sizeof(sum)));
    weft_codec_close(&c);
}

static void refused(const weft_codec *c, const uint8_t *bytes, size_t len, const char *text)
{
    float out[20], before[20];
    memset(out, 0x5a, sizeof(out));
    memcpy(before, out, sizeof(out));
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, 20), WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message, text);
    cr_assert(!memcmp(out, before, sizeof(out)), "output touched");
}

Test(codec_randk, damaged_encodings_and_sums_of_different_draws_are_refused)
{
    weft_codec *c = opened("randk:density=0.1");
    const weft_stretch s = {.lane_count = 20, .count = 20};
    float v[20];
    uint8_t a[ROOM], b[ROOM];
    const float inf = INFINITY;
    random_lane(v, 20, 1);
    const size_t len = encoded(c, (weft_draw){.seed = 1, .draw = 1}, v, &s, a);
    encoded(c, (weft_draw){.seed = 1, .draw = 2}, v, &s, b);
    refused(c, a, len - 1, "codec randk: offset 32: 20 elements take 33 bytes");
    refused(c, a, len + 1, "codec randk: offset 34: 20 elements take 33 bytes");
    refused(c, a, 0, "codec randk: offset 0: 20 elements take 33 bytes");
    c->type->merge(c, &s, b, a, b);
    const char *mixed = "codec randk: offset 0: encodings of different draws were added";
    refused(c, b, len, mixed);
    c->type->merge(c, &s, b, b, a);
    refused(c, b, len, mixed);
    memcpy(a + HEAD + 4, &inf, sizeof(inf));
    refused(c, a, len, "codec randk: offset 29: a value, or the sum, is not finite");
    a[0] = 7;
    refused(c, a, len, "codec randk: offset 0: the form byte is not 1");
    weft_codec_close(&c);
}

Test(codec_randk, nan_infinity_and_overflow_are_named)
{
    weft_codec *c = opened("randk:density=0.1");
    const weft_draw draw = {.seed = 1, .first = 500};
    float v[20] = {0};
    uint8_t bytes[ROOM];
    size_t len = 77;
    v[13] = NAN;
    cr_assert_eq(weft_codec_encode(c, &draw, v, 20, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message, "codec randk: element 513 is NaN");
    for (int i = 10; i < 20; i++)
        v[i] = FLT_MAX;
    cr_assert_eq(weft_codec_encode(c, &draw, v, 20, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec randk: an element of the group from 510 on times the group's length "
                     "overflows float32");
    cr_assert_eq(len, 77u);
    weft_codec_close(&c);
}
