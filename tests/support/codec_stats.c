/* SPDX-License-Identifier: Apache-2.0 */
#include "support/codec_stats.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "support/codec_laws.h"

/* Of a normal law: per coordinate, and of a sum over all. */
static const double coordinate_sigmas = 5.5, total_sigmas = 5.0;

enum { RUNS = 3, LAGS = 6 }; /* runs: this peer, another one, another tensor */
static const size_t lags[LAGS] = {1, 2, 7, 8, 9, 64};

/* A sum of terms that should be zero on average, and of their squares. */
typedef struct score {
    double sum, squares;
} score;

typedef struct study {
    const weft_codec *c;
    const char *spec;
    enum shape shape;
    size_t count, trips;
    float *v;
    const codec_law *law;
    codec_point *points;          /* of a law of two points a coordinate; else NULL */
    double *mean, *square, *most; /* of the error of each coordinate */
    double squares, expected;     /* squared error of all, summed over trips; what the law says */
    score excess;                 /* squared error less what is expected */
    score outward;                /* errors away from zero, in gaps: where there are points */
    score peers, tensors, lag[LAGS];
} study;

bool codec_is_random(const weft_codec *c)
{
    return weft_codec_is_unbiased(c) && !(c->type->traits & WEFT_CODEC_LOSSLESS);
}

bool codec_has_formula(const weft_codec *c)
{
    return codec_law_of(c) != NULL;
}

static void put(score *s, double term)
{
    s->sum += term;
    s->squares += term * term;
}

/* A score that is further from zero than its own scatter allows. */
static bool is_off(const score *s, double sigmas, double slack)
{
    return fabs(s->sum) > sigmas * sqrt(s->squares) + slack;
}

static double product(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Error of one round trip. */
static void trip(const study *s, const weft_draw *draw, uint8_t *bytes, size_t cap, float *out,
                 double *ret_error)
{
    size_t len = 0;
    cr_assert_eq(weft_codec_encode(s->c, draw, s->v, s->count, bytes, cap, &len), WEFT_OK, "%s: %s",
                 s->spec, weft_last_error()->message);
    cr_assert_eq(weft_codec_decode(s->c, bytes, len, out, s->count), WEFT_OK);
    for (size_t i = 0; i < s->count; i++)
        ret_error[i] = (double)out[i] - (double)s->v[i];
}

static void take(study *s, double *const error[RUNS], const weft_draw *draw)
{
    const double *e = error[0];
    double total = product(e, e, s->count), want = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->mean[i] += e[i];
        s->square[i] += e[i] * e[i];
        s->most[i] = fmax(s->most[i], fabs(e[i]));
    }
    if (s->law) {
        want = s->law->expected(s->c, s->v, s->count, draw);
        put(&s->excess, total - want);
    }
    s->squares += total;
    s->expected += want;
    double outward = 0;
    for (size_t i = 0; s->points && i < s->count; i++)
        if (s->points[i].gap > 0)
            outward += (s->v[i] < 0 ? -e[i] : e[i]) / s->points[i].gap;
    put(&s->outward, outward);
    put(&s->peers, product(e, error[1], s->count));
    put(&s->tensors, product(e, error[2], s->count));
    for (int k = 0; k < LAGS; k++)
        if (lags[k] < s->count)
            put(&s->lag[k], product(e, e + lags[k], s->count - lags[k]));
}

static void run(study *s, uint64_t seed)
{
    const size_t cap = weft_codec_bound(s->c, s->count);
    uint8_t *bytes = codec_room(cap);
    float *out = calloc(s->count, sizeof(*out));
    double *error[RUNS];
    for (int r = 0; r < RUNS; r++)
        error[r] = calloc(s->count, sizeof(double));
    cr_assert(out && error[0] && error[1] && error[2]);
    for (size_t t = 0; t < s->trips; t++) {
        const weft_draw draws[RUNS] = {{.seed = seed, .member = 1, .draw = t},
                                       {.seed = seed, .member = 2, .draw = t},
                                       {.seed = seed, .member = 1, .tensor = 1, .draw = t}};
        for (int r = 0; r < RUNS; r++)
            trip(s, &draws[r], bytes, cap, out, error[r]);
        take(s, error, &draws[0]);
    }
    for (int r = 0; r < RUNS; r++)
        free(error[r]);
    free(out);
    free(bytes);
}

static void check_bias(const study *s)
{
    const double trips = (double)s->trips, sigmas = coordinate_sigmas;
    for (size_t i = 0; i < s->count; i++) {
        double variance = s->square[i] / trips, range = s->most[i], grain = 0;
        if (s->points) {
            const codec_point *p = &s->points[i];
            variance = p->gap * p->gap * p->up * (1 - p->up);
            range = p->gap;
            grain = p->gap * 0x1p-16; /* resolution of the probability */
        }
        /* Bernstein's bound, for coordinates that are rarely rounded up. */
        const double bound = sigmas * sqrt(variance / trips) +
                             range * sigmas * sigmas / (3 * trips) + grain +
                             1e-6 * fabs((double)s->v[i]);
        cr_expect_leq(fabs(s->mean[i] / trips), bound, "%s, shape %d, element %zu: bias %g of %g",
                      s->spec, s->shape, i, s->mean[i] / trips, bound);
    }
}

/* A bias of all coordinates alike, too small to be seen in one. */
static void check_outward(const study *s)
{
    const double grains = 0x1p-17 * (double)s->count * (double)s->trips;
    cr_expect_not(is_off(&s->outward, total_sigmas, grains),
                  "%s, shape %d: magnitudes: bias of %g gaps", s->spec, s->shape,
                  s->outward.sum / (double)s->trips / (double)s->count);
}

static void check_squares(const study *s)
{
    double omega = 0, energy = 0;
    for (size_t i = 0; i < s->count; i++)
        energy += (double)s->v[i] * (double)s->v[i];
    /* The slack: probabilities have 16 bits, values 24. */
    const double slack = 1e-4 * s->expected + 0x1p-44 * energy * (double)s->trips;
    cr_expect_not(s->law && is_off(&s->excess, total_sigmas, slack),
                  "%s, shape %d: squared error %g, formula %g", s->spec, s->shape, s->squares,
                  s->expected);
    cr_assert_eq(weft_codec_omega(s->c, s->count, &omega), WEFT_OK);
    const double trips = (double)s->trips, mean = s->squares / trips;
    const double scatter = s->law ? sqrt(s->excess.squares) / trips : 0.1 * mean;
    cr_expect_leq(s->law ? s->expected / trips : mean,
                  omega * energy * (1 + 1e-6) + (s->law ? 0 : total_sigmas * scatter),
                  "%s, shape %d: omega %g is broken", s->spec, s->shape, omega);
}

/* How far from zero the sum over all trips of products of errors of element i and, drawn
 * independently, of element i + lag may be: Bernstein's bound from the law, where there are points;
 * where elements hang together, from what their covariances are at most. Else their own scatter. */
static double products_limit(const study *s, const score *products, size_t lag)
{
    const double trips = (double)s->trips, sigmas = total_sigmas;
    double each = 0, all = 0, range = 0;
    if (!s->points)
        return sigmas * sqrt(products->squares);
    for (size_t i = 0; i + lag < s->count; i++) {
        const codec_point *p = &s->points[i], *q = &s->points[i + lag];
        const double a = p->gap * p->gap * p->up * (1 - p->up);
        const double b = q->gap * q->gap * q->up * (1 - q->up);
        each += a * b;
        all += a;
        range += p->gap * fmax(p->up, 1 - p->up) * q->gap * fmax(q->up, 1 - q->up);
    }
    return sigmas * sqrt(trips * (s->law->independent ? each : all * all)) +
           sigmas * sigmas / 3 * range;
}

static void check_independence(const study *s)
{
    if (s->c->type->traits & WEFT_CODEC_COMMON)
        cr_expect_leq(fabs(s->peers.sum - s->squares), 1e-9 * s->squares, "%s: draws alike",
                      s->spec);
    else
        cr_expect_leq(fabs(s->peers.sum), products_limit(s, &s->peers, 0),
                      "%s, shape %d: peers: %g", s->spec, s->shape, s->peers.sum);
    cr_expect_leq(fabs(s->tensors.sum), products_limit(s, &s->tensors, 0),
                  "%s, shape %d: tensors: %g", s->spec, s->shape, s->tensors.sum);
    for (int k = 0; s->law && s->law->independent && k < LAGS; k++)
        cr_expect_leq(fabs(s->lag[k].sum), products_limit(s, &s->lag[k], lags[k]),
                      "%s, shape %d: lag %zu: %g", s->spec, s->shape, lags[k], s->lag[k].sum);
}

void codec_check_statistics(const char *spec, enum shape shape, size_t count, size_t trips,
                            uint64_t seed)
{
    weft_codec *c = codec_opened(spec);
    study s = {.c = c, .spec = spec, .shape = shape, .count = count, .trips = trips};
    s.law = codec_law_of(c);
    s.v = calloc(count, sizeof(*s.v));
    s.mean = calloc(count, sizeof(double));
    s.square = calloc(count, sizeof(double));
    s.most = calloc(count, sizeof(double));
    cr_assert(s.v && s.mean && s.square && s.most);
    codec_vector(s.v, count, shape, seed);
    if (s.law && s.law->points) {
        s.points = calloc(count, sizeof(*s.points));
        cr_assert_not_null(s.points);
        s.law->points(c, s.v, count, s.points);
    }
    run(&s, seed);
    check_bias(&s);
    check_outward(&s);
    check_squares(&s);
    check_independence(&s);
    free(s.v);
    free(s.mean);
    free(s.square);
    free(s.most);
    free(s.points);
    weft_codec_close(&c);
}
