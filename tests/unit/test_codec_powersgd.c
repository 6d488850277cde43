/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"

enum { HEAD = 10, MOST = 10007 };

static const weft_draw plain = {.seed = 1, .draw = 1};

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

static double gaussian(weft_rng *rng)
{
    const double radius = sqrt(-2.0 * log(1.0 - weft_rng_unit(rng)));
    return radius * cos(6.283185307179586 * weft_rng_unit(rng));
}

/* `rank` orthonormal vectors of n doubles. */
static double *make_frame(size_t n, size_t rank, weft_rng *rng)
{
    double *u = malloc(n * rank * sizeof(double));
    cr_assert_not_null(u);
    for (size_t k = 0; k < rank; k++) {
        double *v = u + k * n, norm = 0;
        for (size_t i = 0; i < n; i++)
            v[i] = gaussian(rng);
        for (size_t j = 0; j < 2 * k; j++) {
            double along = 0, *w = u + j % k * n;
            for (size_t i = 0; i < n; i++)
                along += v[i] * w[i];
            for (size_t i = 0; i < n; i++)
                v[i] -= along * w[i];
        }
        for (size_t i = 0; i < n; i++)
            norm += v[i] * v[i];
        for (size_t i = 0; i < n; i++)
            v[i] /= sqrt(norm);
    }
    return u;
}

/* A matrix with the singular values top * decay^k, k < rank, of which the first count elements are
 * kept. */
static void make_matrix(size_t rows, size_t columns, size_t rank, double top, double decay,
                        size_t count, float *out)
{
    weft_rng rng = {.state = rows * 131 + rank};
    double *u = make_frame(rows, rank, &rng), *v = make_frame(columns, rank, &rng);
    for (size_t i = 0; i < count; i++) {
        double sum = 0, s = top;
        for (size_t k = 0; k < rank; k++, s *= decay)
            sum += s * u[k * rows + i / columns] * v[k * columns + i % columns];
        out[i] = (float)sum;
    }
    free(u);
    free(v);
}

static double norm_of(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)a[i] - (b ? (double)b[i] : 0.0);
        sum += e * e;
    }
    return sqrt(sum);
}

/* Encode with or without a warm start, decode. |v - decoded|. */
static double trip(const weft_codec *c, const float *v, size_t n, float *warm, float *decoded)
{
    const size_t cap = weft_codec_bound(c, n);
    size_t len = 0;
    uint8_t *bytes = malloc(cap);
    cr_assert_not_null(bytes);
    cr_assert_eq(weft_codec_encode_warm(c, &plain, v, n, warm, warm, bytes, cap, &len), WEFT_OK,
                 "%s", weft_last_error()->message);
    cr_assert_leq(len, cap);
    cr_assert_eq(weft_codec_decode(c, bytes, len, decoded, n), WEFT_OK, "%s",
                 weft_last_error()->message);
    free(bytes);
    return norm_of(v, decoded, n);
}

Test(codec_powersgd, a_matrix_of_at_most_the_rank_comes_back)
{
    static float v[MOST], out[MOST];
    weft_codec *c = opened("powersgd:rank=4,rows=60");
    for (size_t rank = 1; rank <= 4; rank++)
        for (int power = -30; power <= 30; power += 15) {
            const double top = pow(10, power);
            make_matrix(60, 100, rank, top, 0.3, 6000, v);
            cr_expect_leq(trip(c, v, 6000, NULL, out), 1e-5 * top, "rank %zu of 1e%d", rank, power);
        }
    /* A last row that is cut short raises the rank by one at most. */
    make_matrix(60, 100, 3, 1, 0.5, 5983, v);
    cr_expect_leq(trip(c, v, 5983, NULL, out), 1e-5);
    memset(v, 0, sizeof(v));
    cr_expect_eq(trip(c, v, 6000, NULL, out), 0, "zeros");
    weft_codec_close(&c);
}

Test(codec_powersgd, a_warm_start_comes_to_the_best_approximation_of_the_rank)
{
    enum { ROWS = 80, COLUMNS = 90, RANK = 12, KEPT = 3, COUNT = ROWS * COLUMNS };
    static float v[COUNT], out[COUNT];
    weft_codec *c = opened("powersgd:rank=3,rows=80");
    const size_t n = weft_codec_state_count(c, COUNT);
    float *warm = calloc(n, sizeof(*warm));
    cr_assert_eq(n, KEPT * COLUMNS);
    double best = 0, s = 1, cold = 0, last = 0;
    make_matrix(ROWS, COLUMNS, RANK, 1, 0.8, COUNT, v);
    for (int k = 0; k < RANK; k++, s *= 0.8)
        best += k < KEPT ? 0 : s * s;
    best = sqrt(best);
    for (int step = 0; step < 40; step++) {
        const double error = trip(c, v, COUNT, warm, out);
        cr_expect_geq(error, best * (1 - 1e-5));
        cr_expect(step == 0 || error <= last * (1 + 1e-5), "step %d: %g after %g", step, error,
                  last);
        cold = step == 0 ? error : cold;
        last = error;
    }
    cr_expect_leq(last, 1.001 * best, "%g, best %g", last, best);
    cr_expect_leq(cold, norm_of(v, NULL, COUNT), "a projection is never longer");
    cr_expect_gt(cold, 1.01 * best, "it was the warm start that did it");
    cr_expect_eq(trip(c, v, COUNT, NULL, out), cold, "nothing is kept in the codec");
    free(warm);
    weft_codec_close(&c);
}

Test(codec_powersgd, decoding_is_a_plain_sum_over_the_rank_in_order)
{
    enum { COUNT = 3 * 2500 - 2, ROWS = 3, COLUMNS = 2500, RANK = 2 };
    static float v[COUNT], out[COUNT], sum[COUNT];
    weft_codec *c = opened("powersgd:rank=2,rows=3");
    const weft_stretch s = {.lane_count = COUNT, .count = COUNT};
    weft_rng rng = {.state = 3};
    for (size_t i = 0; i < COUNT; i++) {
        v[i] = (float)gaussian(&rng);
        sum[i] = (float)gaussian(&rng);
    }
    size_t cap = weft_codec_bound(c, COUNT), len = 0;
    uint8_t *bytes = malloc(cap + 1) /* off any alignment */, *odd = bytes + 1;
    float p[RANK * ROWS], *q = malloc(RANK * COLUMNS * sizeof(*q));
    cr_assert_eq(cap, HEAD + RANK * (ROWS + COLUMNS) * sizeof(float));
    cr_assert_eq(weft_codec_encode(c, &plain, v, COUNT, odd, cap, &len), WEFT_OK);
    memcpy(p, odd + HEAD, sizeof(p));
    memcpy(q, odd + HEAD + sizeof(p), RANK * COLUMNS * sizeof(*q));
    cr_assert_eq(weft_codec_decode(c, odd, len, out, COUNT), WEFT_OK);
    for (size_t i = 0; i < COUNT; i++) {
        float value = 0;
        for (size_t k = 0; k < RANK; k++) {
            const float term = p[k * ROWS + i / COLUMNS] * q[k * COLUMNS + i % COLUMNS];
            value = value + term;
        }
        cr_assert(!memcmp(&value, &out[i], sizeof(value)), "element %zu", i);
        v[i] = sum[i] + value;
    }
    cr_assert_eq(c->type->decode(c, &s, odd, len, sum, true), WEFT_OK);
    cr_expect(!memcmp(sum, v, sizeof(v)), "added");
    free(bytes);
    free(q);
    weft_codec_close(&c);
}

Test(codec_powersgd, any_count_has_a_matrix_of_its_own)
{
    static const size_t counts[] = {0,  1,  2,  3,   5,    7,    11,   13,   16,
                                    17, 97, 99, 100, 1009, 4096, 4099, 9973, MOST};
    static const char *const specs[] = {"powersgd",
                                        "powersgd:rank=1",
                                        "powersgd:rank=1024",
                                        "powersgd:rank=1,rows=1",
                                        "powersgd:rank=2,rows=7",
                                        "powersgd:rank=1,rows=5000",
                                        "powersgd:rows=1073741824"};
    static float v[MOST], out[MOST];
    weft_rng rng = {.state = 8};
    for (size_t i = 0; i < MOST; i++)
        v[i] = (float)gaussian(&rng);
    for (size_t k = 0; k < sizeof(specs) / sizeof(*specs); k++)
        for (size_t j = 0; j < sizeof(counts) / sizeof(*counts); j++) {
            weft_codec *c = opened(specs[k]);
            const size_t n = counts[j], cap = weft_codec_bound(c, n);
            size_t len = 0;
            uint32_t rows = 0, columns = 0;
            uint16_t rank = 0;
            uint8_t *bytes = malloc(cap);
            cr_assert_eq(weft_codec_encode(c, &plain, v, n, bytes, cap, &len), WEFT_OK);
            cr_assert_eq(len, cap);
            memcpy(&rows, bytes, 4);
            memcpy(&columns, bytes + 4, 4);
            memcpy(&rank, bytes + 8, 2);
            cr_expect_geq((size_t)rows * columns, n);
            cr_expect(n == 0 || (size_t)(rows - 1) * columns < n, "%s of %zu: an empty row",
                      specs[k], n);
            cr_expect(n == 0 || strstr(specs[k], "rows") || rows - columns + 1 <= 2,
                      "%s of %zu: %u x %u", specs[k], n, rows, columns);
            cr_expect_leq(len, HEAD + n * sizeof(float), "never longer than the elements");
            cr_expect_eq(weft_codec_state_count(c, n), (size_t)rank * columns);
            const double lost = trip(c, v, n, NULL, out);
            cr_expect_leq(lost, norm_of(v, NULL, n) * (1 + 1e-6));
            if (rank == 0)
                cr_expect(!memcmp(v, out, n * sizeof(float)), "as they are");
            free(bytes);
            weft_codec_close(&c);
        }
}

static void expect_refused(const weft_codec *c, const uint8_t *bytes, size_t len, size_t n,
                           const char *text)
{
    static float out[MOST];
    memset(out, 0x77, sizeof(out));
    cr_expect_eq(weft_codec_decode(c, bytes, len, out, n), WEFT_ECODEC, "%s", text);
    cr_expect_str_eq(weft_last_error()->message, text);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((uint8_t *)out)[i], 0x77, "output touched: %s", text);
}

/* Put x at the offset for one call. */
static void refuse_with(const weft_codec *c, uint8_t *bytes, size_t len, size_t n, size_t off,
                        float x, const char *text)
{
    uint8_t kept[4];
    memcpy(kept, bytes + off, 4);
    memcpy(bytes + off, &x, 4);
    expect_refused(c, bytes, len, n, text);
    memcpy(bytes + off, kept, 4);
}

Test(codec_powersgd, damaged_encodings_are_refused_with_the_offset)
{
    enum { COUNT = 1000, RANK = 2, ROWS = 20, COLUMNS = 50 };
    static float v[COUNT];
    weft_codec *c = opened("powersgd:rank=2,rows=20");
    make_matrix(ROWS, COLUMNS, 5, 1, 0.5, COUNT, v);
    uint8_t bytes[HEAD + RANK * (ROWS + COLUMNS) * 4 + 1];
    size_t cap = weft_codec_bound(c, COUNT), len = 0;
    cr_assert_eq(cap, sizeof(bytes) - 1);
    cr_assert_eq(weft_codec_encode(c, &plain, v, COUNT, bytes, cap, &len), WEFT_OK);
    for (size_t cut = 0; cut < len; cut++) {
        char text[96];
        snprintf(text, sizeof(text), "codec powersgd: offset %zu: 1000 elements take 570 bytes",
                 cut);
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, bytes, cut);
        expect_refused(c, exact, cut, COUNT, text);
        free(exact);
    }
    expect_refused(c, bytes, len + 1, COUNT,
                   "codec powersgd: offset 571: 1000 elements take 570 bytes");
    static const char *const of[] = {"number of rows", "number of columns", "rank"};
    for (size_t i = 0; i < HEAD; i++) {
        char text[96];
        snprintf(text, sizeof(text), "codec powersgd: offset %zu: the %s is another", i, of[i / 4]);
        bytes[i] ^= 1;
        expect_refused(c, bytes, len, COUNT, text);
        bytes[i] ^= 1;
    }
    refuse_with(c, bytes, len, COUNT, HEAD + 4, NAN,
                "codec powersgd: offset 14: a number of the left factor is not finite");
    refuse_with(c, bytes, len, COUNT, HEAD + RANK * ROWS * 4, -INFINITY,
                "codec powersgd: offset 170: a number of the right factor is not finite");
    refuse_with(c, bytes, len, COUNT, len - 4, NAN,
                "codec powersgd: offset 566: a number of the right factor is not finite");
    refuse_with(c, bytes, len, COUNT, HEAD, FLT_MAX,
                "codec powersgd: offset 10: the product of the factors overflows float32");
    cr_assert_eq(weft_codec_decode(c, bytes, len, v, COUNT), WEFT_OK, "whole again");
    weft_codec_close(&c);
    c = opened("powersgd:rank=4");
    cr_assert_eq(weft_codec_encode(c, &plain, v, 3, bytes, weft_codec_bound(c, 3), &len), WEFT_OK);
    refuse_with(c, bytes, len, 3, HEAD + 8, INFINITY,
                "codec powersgd: offset 18: an element is not finite");
    weft_codec_close(&c);
}

Test(codec_powersgd, input_that_is_not_finite_or_overflows_is_refused)
{
    enum { COUNT = 900 };
    static float v[COUNT], warm[COUNT], kept[COUNT];
    static uint8_t bytes[HEAD + COUNT * 4];
    weft_codec *c = opened("powersgd:rank=2");
    weft_draw draw = {.seed = 1, .first = 1000};
    size_t cap = weft_codec_bound(c, COUNT), len = 99, n = weft_codec_state_count(c, COUNT);
    make_matrix(30, 30, 3, 1, 0.5, COUNT, v);
    v[17] = NAN;
    v[18] = INFINITY;
    cr_expect_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, cap, &len), WEFT_ENONFINITE);
    cr_expect_str_eq(weft_last_error()->message, "codec powersgd: element 1017 is NaN");
    v[17] = 0;
    cr_expect_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, cap, &len), WEFT_ENONFINITE);
    cr_expect_str_eq(weft_last_error()->message, "codec powersgd: element 1018 is infinite");
    for (size_t i = 0; i < COUNT; i++)
        v[i] = FLT_MAX;
    cr_expect_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, cap, &len), WEFT_ENONFINITE);
    cr_expect_str_eq(weft_last_error()->message,
                     "codec powersgd: the factors of the elements 1000 to 1899 overflow float32");
    make_matrix(30, 30, 3, 1, 0.5, COUNT, v);
    warm[n - 1] = INFINITY;
    memcpy(kept, warm, sizeof(kept));
    cr_expect_eq(weft_codec_encode_warm(c, &draw, v, COUNT, warm, warm, bytes, cap, &len),
                 WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message,
                     "codec powersgd: the state of the warm start is not finite");
    cr_expect(!memcmp(kept, warm, sizeof(kept)), "the state is as it was");
    cr_expect_eq(len, 99);
    weft_codec_close(&c);
}

Test(codec_powersgd, the_start_depends_on_seed_and_tensor_alone)
{
    enum { COUNT = 2000 };
    static float v[COUNT], warm[COUNT], odd[COUNT + 1];
    static uint8_t first[HEAD + COUNT * 4], again[HEAD + COUNT * 4];
    weft_codec *c = opened("powersgd:rank=3");
    size_t cap = weft_codec_bound(c, COUNT), len = 0;
    make_matrix(45, 45, 9, 1, 0.9, COUNT, v);
    weft_draw draw = {.seed = 5, .member = 1, .tensor = 2, .draw = 3};
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, first, cap, &len), WEFT_OK);
    draw.member = 9;
    draw.draw = 77;
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, again, cap, &len), WEFT_OK);
    cr_expect(!memcmp(first, again, len), "another peer at another step");
    cr_assert_eq(weft_codec_encode_warm(c, &draw, v, COUNT, warm, NULL, again, cap, &len), WEFT_OK);
    cr_expect(!memcmp(first, again, len), "a state of zeros is no state");
    memcpy((char *)odd + 1, v, sizeof(v));
    cr_assert_eq(weft_codec_encode(c, &draw, (const float *)(const void *)((char *)odd + 1), COUNT,
                                   again, cap, &len),
                 WEFT_OK);
    cr_expect(!memcmp(first, again, len), "from any address");
    draw.tensor = 3;
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, again, cap, &len), WEFT_OK);
    cr_expect(memcmp(first, again, len), "another tensor");
    draw.tensor = 2;
    draw.seed = UINT64_C(5) << 32 | 5;
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, again, cap, &len), WEFT_OK);
    cr_expect(memcmp(first, again, len), "another seed");
    weft_codec_close(&c);
}

Test(codec_powersgd, codecs_without_state_take_a_warm_call_too)
{
    float v[8] = {1, -2, 3, -4, 5, -6, 7, -8};
    uint8_t first[64], again[64];
    weft_codec *c = opened("qsgd");
    size_t cap = weft_codec_bound(c, 8), len = 0, more = 0;
    cr_expect_eq(weft_codec_state_count(c, 8), 0);
    cr_assert_eq(weft_codec_encode(c, &plain, v, 8, first, cap, &len), WEFT_OK);
    cr_assert_eq(weft_codec_encode_warm(c, &plain, v, 8, NULL, NULL, again, cap, &more), WEFT_OK);
    cr_expect(len == more && !memcmp(first, again, len));
    cr_expect_eq(weft_codec_encode_warm(c, &plain, v, 8, NULL, NULL, again, cap - 1, &more),
                 WEFT_EINVAL);
    weft_codec_close(&c);
    c = opened("powersgd");
    cr_expect_eq(weft_codec_encode_warm(c, NULL, v, 8, NULL, NULL, again, 64, &more), WEFT_EINVAL);
    cr_expect_eq(weft_codec_state_count(c, SIZE_MAX), 0);
    weft_codec_close(&c);
}

Test(codec_powersgd, running_out_of_memory_is_reported_and_leaks_nothing)
{
    enum { COUNT = 1000 };
    static float v[COUNT + 1];
    static uint8_t bytes[HEAD + COUNT * 4];
    weft_codec *c = opened("powersgd:rank=1");
    const size_t cap = weft_codec_bound(c, COUNT);
    const float *odd = (const float *)(const void *)((char *)v + 1);
    int failures = 0;
    for (long n = 1;; n++) {
        size_t len = 99;
        weft_mem_fail_at(n);
        const int code = weft_codec_encode(c, &plain, odd, COUNT, bytes, cap, &len);
        weft_mem_fail_at(0);
        if (code == WEFT_OK)
            break;
        failures++;
        cr_assert_eq(code, WEFT_ENOMEM);
        cr_assert_eq(len, 99);
    }
    cr_expect_eq(failures, 3);
    weft_codec_close(&c);
}
