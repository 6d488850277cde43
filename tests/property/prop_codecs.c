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

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"

enum { MOST = 4099, CANARY = 16, SEEDS = 3 };
enum shape { GAUSSIAN, HEAVY, SPARSE, SHAPES };

static const size_t counts[] = {0, 1, 2, 7, 8, 9, 511, 512, 513, 1000, MOST};

static double gaussian(weft_rng *rng)
{
    double radius = sqrt(-2.0 * log(1.0 - weft_rng_unit(rng)));
    return radius * cos(6.283185307179586 * weft_rng_unit(rng));
}

static void make_vector(float *v, size_t count, enum shape shape, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++) {
        double g = gaussian(&rng), u = weft_rng_unit(&rng);
        if (shape == HEAVY)
            g /= u + 1e-3; /* tails like those of a t distribution */
        if (shape == SPARSE && u > 0.1)
            g = 0;
        v[i] = (float)g;
    }
}

/* The i-th SPEC to try: defaults of a row, then each parameter at its ends or words. */
static bool spec_at(int i, char out[WEFT_SPEC_TEXT])
{
    const weft_codec_type *t;
    for (int row = 0; (t = weft_codec_type_at(row)); row++) {
        snprintf(out, WEFT_SPEC_TEXT, "%s", t->name);
        if (i-- == 0)
            return true;
        for (const weft_param *p = t->params; p->key; p++) {
            for (int end = 0; !p->choices && end < 2; end++) {
                snprintf(out, WEFT_SPEC_TEXT, "%s:%s=%.17g", t->name, p->key,
                         end ? p->max : p->min);
                if (i-- == 0)
                    return true;
            }
            for (const char *word = p->choices; word; word = strchr(word, '|')) {
                word += *word == '|';
                snprintf(out, WEFT_SPEC_TEXT, "%s:%s=%.*s", t->name, p->key,
                         (int)strcspn(word, "|"), word);
                if (i-- == 0)
                    return true;
            }
        }
    }
    /* Pairs of parameters that matter together. */
    static const char *const more[] = {"qsgd:levels=1,bucket=16", "qsgd:levels=1,bucket=64,norm=2",
                                       "qsgd:levels=3,bucket=7,norm=1", "qsgd:levels=127,bucket=64",
                                       "qsgd:levels=255,bucket=0,norm=2"};
    if (i >= (int)(sizeof(more) / sizeof(more[0])))
        return false;
    snprintf(out, WEFT_SPEC_TEXT, "%s", more[i]);
    return true;
}

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

static void *room(size_t bytes)
{
    void *p = malloc(bytes + 1);
    cr_assert_not_null(p);
    return p;
}

/* Every SPEC, one after the other; `spec` names it in messages. */
#define FOR_EACH_SPEC(spec)                                                                        \
    char spec[WEFT_SPEC_TEXT];                                                                     \
    for (int spec_index = 0; spec_at(spec_index, spec); spec_index++)

Test(codecs, encodings_stay_within_their_bound_and_decode_the_same_every_time)
{
    float v[MOST], once[MOST + 1], again[MOST];
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = opened(spec);
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                size_t n = counts[k], cap = weft_codec_bound(c, n), len = 0, more = 0;
                uint8_t *bytes = room(cap + CANARY), *second = room(cap);
                const weft_draw draw = {.seed = seed, .member = 1, .draw = 2};
                make_vector(v, n, (enum shape)(seed % SHAPES), seed * 100 + k);
                memset(bytes, 0xd5, cap + CANARY);
                cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK);
                cr_assert_leq(len, cap);
                for (int i = 0; i < CANARY; i++)
                    cr_assert_eq(bytes[cap + (size_t)i], 0xd5, "%s of %zu: beyond", spec, n);
                cr_assert_eq(weft_codec_encode(c, &draw, v, n, second, cap, &more), WEFT_OK);
                cr_assert(len == more && !memcmp(bytes, second, len), "%s of %zu", spec, n);
                memset(once, '<', sizeof(once));
                cr_assert_eq(weft_codec_decode(c, bytes, len, once, n), WEFT_OK, "%s of %zu: %s",
                             spec, n, weft_last_error()->message);
                cr_assert_eq(weft_codec_decode(c, bytes, len, again, n), WEFT_OK);
                cr_assert(!memcmp(once, again, n * sizeof(float)));
                cr_assert(!memcmp(&once[n], "<<<<", sizeof(once[n])), "decoded too many");
                if (c->type->traits & WEFT_CODEC_LOSSLESS)
                    cr_assert(!memcmp(once, v, n * sizeof(float)));
                free(bytes);
                free(second);
            }
        weft_codec_close(&c);
    }
}

Test(codecs, adding_while_decoding_is_decoding_and_then_adding)
{
    float v[MOST], values[MOST], sum[MOST];
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = opened(spec);
        const size_t n = 777;
        const weft_stretch s = {.lane_count = n, .off = 0, .count = n};
        const weft_draw draw = {.seed = 5};
        size_t cap = weft_codec_bound(c, n), len = 0;
        uint8_t *bytes = room(cap);
        make_vector(v, n, GAUSSIAN, 6);
        make_vector(sum, n, HEAVY, 7);
        cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, values, n), WEFT_OK);
        for (size_t i = 0; i < n; i++)
            values[i] = sum[i] + values[i];
        cr_assert_eq(c->type->decode(c, &s, bytes, len, sum, true), WEFT_OK);
        cr_assert(!memcmp(sum, values, n * sizeof(float)), "%s", spec);
        free(bytes);
        weft_codec_close(&c);
    }
}

/* Spans cut at multiples of 8 elements or at block edges, in any number. */
Test(codecs, cutting_a_lane_into_spans_never_changes_decoded_values)
{
    enum { LANE = 1200, FIRST = 4096 };
    float v[LANE], whole[LANE], parts[LANE];
    weft_rng rng = {.state = 12};
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = opened(spec);
        if (c->type->traits & WEFT_CODEC_WHOLE) {
            weft_codec_close(&c);
            continue; /* is never cut */
        }
        const weft_draw draw = {.seed = 8, .member = 3, .tensor = 1, .draw = 4, .first = FIRST};
        size_t cap = weft_codec_bound(c, LANE) + LANE * 8, len = 0, edge = c->type->block(c);
        uint8_t *bytes = room(cap);
        make_vector(v, LANE, HEAVY, 9);
        cr_assert_eq(weft_codec_encode(c, &draw, v, LANE, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, whole, LANE), WEFT_OK);
        for (int round = 0; round < 20; round++) {
            memset(parts, 0xff, sizeof(parts));
            for (size_t off = 0; off < LANE;) {
                size_t unit = round % 2 && edge > 0 && edge < LANE ? edge : 8;
                size_t n = unit * (1 + weft_rng_below(&rng, 1 + LANE / 4 / unit));
                weft_stretch s = {.lane_count = LANE, .off = off, .count = n};
                if (s.count > LANE - off)
                    s.count = LANE - off;
                cr_assert_eq(c->type->encode(c, &draw, v, &s, bytes, cap, &len), WEFT_OK);
                cr_assert_leq(len, c->type->bound(c, &s));
                cr_assert_eq(c->type->decode(c, &s, bytes, len, parts + off, false), WEFT_OK);
                off += s.count;
            }
            cr_assert(!memcmp(parts, whole, sizeof(whole)), "%s, cut %d", spec, round);
        }
        free(bytes);
        weft_codec_close(&c);
    }
}

/* Decodes damaged bytes: accepted, or refused with the output as it was. */
static int decode_damaged(const weft_codec *c, const uint8_t *bytes, size_t len, size_t n,
                          const char *spec)
{
    /* A copy of exactly this length: reading past it shows under a sanitizer. */
    uint8_t *exact = room(len ? len - 1 : 0);
    float out[520];
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
    float v[520];
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = opened(spec);
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            const weft_draw draw = {.seed = 3};
            size_t n = sizes[k], cap = weft_codec_bound(c, n), len = 0;
            uint8_t *bytes = room(cap);
            make_vector(v, n, (enum shape)(k % SHAPES), k + 40);
            cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK);
            for (size_t cut = 0; cut < len; cut++)
                cr_assert_eq(decode_damaged(c, bytes, cut, n, spec), WEFT_ECODEC,
                             "%s of %zu: %zu of %zu bytes", spec, n, cut, len);
            for (size_t bit = 0; bit < 8 * len && bit < 3000; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                decode_damaged(c, bytes, len, n, spec);
                bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            }
            free(bytes);
        }
        weft_codec_close(&c);
    }
}

/* ---- statistics: unbiased, with the variance of the formula, independent ---- */

enum { TRIPS = 2000, LONG = 192 };

/* Step of each element's block, in double: what decoded values are multiples of. */
static void steps_of(const weft_codec *c, const float *v, size_t n, double *ret_step)
{
    size_t block = c->type->block(c) ? c->type->block(c) : n;
    double s = weft_codec_number(c, "levels");
    int norm = weft_codec_choice(c, "norm");
    for (size_t from = 0; from < n; from += block) {
        double most = 0, abs = 0, sq = 0;
        size_t to = from + block < n ? from + block : n;
        for (size_t i = from; i < to; i++) {
            most = fmax(most, fabs((double)v[i]));
            abs += fabs((double)v[i]);
            sq += (double)v[i] * (double)v[i];
        }
        for (size_t i = from; i < to; i++)
            ret_step[i] = (norm == 0 ? most : norm == 1 ? sqrt(sq) : abs) / s;
    }
}

static float *trips_of(const weft_codec *c, const float *v, size_t n, weft_draw draw)
{
    float *out = room(TRIPS * n * sizeof(float));
    size_t cap = weft_codec_bound(c, n), len = 0;
    uint8_t *bytes = room(cap);
    for (size_t t = 0; t < TRIPS; t++) {
        draw.draw = t;
        cr_assert_eq(weft_codec_encode(c, &draw, v, n, bytes, cap, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, out + t * n, n), WEFT_OK);
    }
    free(bytes);
    return out;
}

static const char *const quantizers[] = {
    "qsgd:levels=1,bucket=64",       "qsgd:levels=1,bucket=16,norm=2",
    "qsgd:levels=1,norm=1",          "qsgd:levels=7,bucket=50",
    "qsgd:levels=7,bucket=0,norm=2", "qsgd:levels=127,bucket=64,norm=1"};

static void check_moments(const char *spec, enum shape shape)
{
    const double sigmas = 5.5;
    float v[LONG];
    double step[LONG], squares = 0, want = 0, spread = 0, energy = 0, omega = 0;
    weft_codec *c = opened(spec);
    make_vector(v, LONG, shape, 1000 + (uint64_t)shape);
    steps_of(c, v, LONG, step);
    float *out = trips_of(c, v, LONG, (weft_draw){.seed = 42, .member = 1});
    for (size_t i = 0; i < LONG; i++) {
        double mean = 0, a = step[i] > 0 ? fabs((double)v[i]) / step[i] : 0, f = a - floor(a);
        double second = step[i] * step[i] * f * (1 - f);
        double fourth = pow(step[i], 4) * f * (1 - f) * (pow(1 - f, 3) + pow(f, 3));
        for (size_t t = 0; t < TRIPS; t++) {
            double e = (double)out[t * LONG + i] - (double)v[i];
            mean += e / TRIPS;
            squares += e * e / TRIPS;
        }
        /* Bernstein's bound, for coordinates that are rarely rounded up; 2^-16 of a step is the
         * resolution of the probabilities. */
        double bound =
            sigmas * sqrt(second / TRIPS) + step[i] * (sigmas * sigmas / (3 * TRIPS) + 0x1p-16);
        cr_expect_leq(fabs(mean), bound, "%s, shape %d, element %zu: bias %g of %g", spec, shape, i,
                      mean, bound);
        want += second;
        spread += (fourth - second * second) / TRIPS;
        energy += (double)v[i] * (double)v[i];
    }
    cr_expect_leq(fabs(squares - want), 5 * sqrt(spread) + 1e-4 * want,
                  "%s, shape %d: squared error %g, formula %g", spec, shape, squares, want);
    cr_assert_eq(weft_codec_omega(c, LONG, &omega), WEFT_OK);
    cr_expect_leq(want, omega * energy * (1 + 1e-6), "%s, shape %d: omega %g is broken", spec,
                  shape, omega);
    free(out);
    weft_codec_close(&c);
}

Test(codecs, quantization_is_unbiased_with_the_variance_of_the_formula)
{
    for (size_t k = 0; k < sizeof(quantizers) / sizeof(quantizers[0]); k++)
        for (int shape = 0; shape < SHAPES; shape++)
            check_moments(quantizers[k], (enum shape)shape);
}

/* omega is attained: the worst vectors of the design notes, by the exact variance. */
Test(codecs, omega_is_tight_for_the_largest_norm)
{
    enum { BLOCK = 64 };
    weft_codec *c = opened("qsgd:levels=1,bucket=64");
    double omega = 0, low = 1 / (1 + sqrt((double)BLOCK));
    cr_assert_eq(weft_codec_omega(c, BLOCK, &omega), WEFT_OK);
    double variance = (BLOCK - 1) * low * (1 - low), energy = 1 + (BLOCK - 1) * low * low;
    cr_assert_lt(fabs(variance / energy - omega), 1e-12);
    weft_codec_close(&c);
}

/* Mean product of the standardized errors of element i of a and element i + lag of b. */
static double correlation(const float *a, const float *b, const float *v, const double *step,
                          size_t lag, double *ret_sigma)
{
    double sum = 0, terms = 0;
    for (size_t i = 0; i + lag < LONG; i++) {
        double x = fabs((double)v[i]) / step[i], y = fabs((double)v[i + lag]) / step[i + lag];
        double f = x - floor(x), g = y - floor(y);
        if (f < 0.05 || f > 0.95 || g < 0.05 || g > 0.95)
            continue; /* too rarely rounded for a normal law */
        double scale = step[i] * step[i + lag] * sqrt(f * (1 - f) * g * (1 - g));
        for (size_t t = 0; t < TRIPS; t++)
            sum += ((double)a[t * LONG + i] - (double)v[i]) *
                   ((double)b[t * LONG + i + lag] - (double)v[i + lag]) / scale;
        terms += TRIPS;
    }
    cr_assert_gt(terms, 10.0 * TRIPS);
    *ret_sigma = 1 / sqrt(terms);
    return sum / terms;
}

Test(codecs, errors_of_peers_tensors_and_elements_are_independent)
{
    float v[LONG];
    double step[LONG], sigma = 1;
    weft_codec *c = opened("qsgd:levels=7,bucket=64");
    make_vector(v, LONG, GAUSSIAN, 77);
    steps_of(c, v, LONG, step);
    float *mine = trips_of(c, v, LONG, (weft_draw){.seed = 1, .member = 0});
    float *peer = trips_of(c, v, LONG, (weft_draw){.seed = 1, .member = 1});
    float *tensor = trips_of(c, v, LONG, (weft_draw){.seed = 1, .member = 0, .tensor = 1});
    static const size_t lags[] = {1, 2, 7, 8, 9, 64};
    for (size_t k = 0; k < sizeof(lags) / sizeof(lags[0]); k++) {
        double r = correlation(mine, mine, v, step, lags[k], &sigma);
        cr_expect_lt(fabs(r), 5.5 * sigma, "lag %zu: %g", lags[k], r);
    }
    double r = correlation(mine, peer, v, step, 0, &sigma);
    cr_expect_lt(fabs(r), 5.5 * sigma, "peers: %g", r);
    r = correlation(mine, tensor, v, step, 0, &sigma);
    cr_expect_lt(fabs(r), 5.5 * sigma, "tensors: %g", r);
    r = correlation(mine, mine, v, step, 0, &sigma);
    cr_expect_gt(r, 0.9, "the measure sees dependence: %g", r);
    free(mine);
    free(peer);
    free(tensor);
    weft_codec_close(&c);
}
