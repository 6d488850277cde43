/* SPDX-License-Identifier: Apache-2.0 */
#include "support/codec_laws.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* To levels of a step: |v| / step lies between two whole numbers. */
static codec_point between_levels(double v, double step)
{
    const double a = step > 0 ? fabs(v) / step : 0;
    return (codec_point){.gap = step, .up = a - floor(a)};
}

/* Norm of a block: 0 the largest magnitude, 1 Euclidean, 2 the sum of magnitudes. */
static double norm_of(const float *v, size_t count, int kind)
{
    double most = 0, abs = 0, sq = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)v[i]));
        abs += fabs((double)v[i]);
        sq += (double)v[i] * (double)v[i];
    }
    return kind == 0 ? most : kind == 1 ? sqrt(sq) : abs;
}

/* A norm as it is sent: a binary32; rounded up to a bfloat16 or to a power of two. */
static double sent_scale(double norm, int form)
{
    enum { F32, BF16, POW2 };
    int exponent = 0;
    const double f32 = (double)(float)norm, part = frexp(f32, &exponent);
    if (form == F32 || f32 == 0)
        return f32;
    return form == BF16 ? ldexp(ceil(ldexp(part, 8)), exponent - 8)
                        : ldexp(1.0, part > 0.5 ? exponent : exponent - 1);
}

/* Levels of each block's norm; kinds of norm and scale in the order of the choices. */
static void level_points(const float *v, size_t count, size_t bucket, double s, int norm, int scale,
                         codec_point *ret)
{
    const size_t block = bucket ? bucket : count;
    for (size_t from = 0; from < count; from += block) {
        const size_t n = count - from < block ? count - from : block;
        const double step = sent_scale(norm_of(v + from, n, norm), scale) / s;
        for (size_t i = from; i < from + n; i++)
            ret[i] = between_levels((double)v[i], step);
    }
}

static void qsgd_points(const weft_codec *c, const float *v, size_t count, codec_point *ret)
{
    level_points(v, count, (size_t)weft_codec_number(c, "bucket"), weft_codec_number(c, "levels"),
                 weft_codec_choice(c, "norm"), weft_codec_choice(c, "scale"), ret);
}

/* Without clipping. */
static void tern_points(const weft_codec *c, const float *v, size_t count, codec_point *ret)
{
    level_points(v, count, (size_t)weft_codec_number(c, "bucket"), 1, 0, 0, ret);
}

/* One of each group is kept, times the length of the group. */
static void randk_points(const weft_codec *c, const float *v, size_t count, codec_point *ret)
{
    const size_t group = (size_t)fmax(1, rint(1 / weft_codec_number(c, "density")));
    for (size_t from = 0; from < count; from += group) {
        const size_t n = count - from < group ? count - from : group;
        for (size_t i = from; i < from + n; i++)
            ret[i] = (codec_point){.gap = fabs((double)v[i]) * (double)n, .up = 1 / (double)n};
    }
}

static void natural_points(const weft_codec *c, const float *v, size_t count, codec_point *ret)
{
    (void)c;
    for (size_t i = 0; i < count; i++) {
        const double a = fabs((double)v[i]), least = 0x1p-126;
        const double gap = a < least ? least : exp2(floor(log2(a)));
        ret[i] = (codec_point){.gap = gap, .up = a < least ? a / least : a / gap - 1};
    }
}

static double squares_of(const codec_point *p, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += p[i].gap * p[i].gap * p[i].up * (1 - p[i].up);
    return sum;
}

typedef void points_fn(const weft_codec *c, const float *v, size_t count, codec_point *ret);

static double expected_of(points_fn *points, const weft_codec *c, const float *v, size_t count)
{
    codec_point *p = calloc(count, sizeof(*p));
    cr_assert_not_null(p);
    points(c, v, count, p);
    const double sum = squares_of(p, count);
    free(p);
    return sum;
}

#define EXPECTED(name)                                                                             \
    static double name##_expected(const weft_codec *c, const float *v, size_t count,               \
                                  const weft_draw *d)                                              \
    {                                                                                              \
        (void)d;                                                                                   \
        return expected_of(name##_points, c, v, count);                                            \
    }

EXPECTED(qsgd)
EXPECTED(tern)
EXPECTED(natural)
EXPECTED(randk)

/* Sign of element j of a hadamard block: the stream whose seed the draw gives. */
static double hadamard_sign(const weft_draw *d, size_t j)
{
    uint32_t key[2] = {(uint32_t)d->seed, (uint32_t)(d->seed >> 32)}, out[4];
    uint32_t counter[4] = {0, (uint32_t)d->draw, (uint32_t)(d->draw >> 32) + (d->tensor << 16),
                           UINT32_MAX - 1};
    weft_philox(counter, key, out);
    memcpy(key, out, sizeof(key));
    counter[0] = (uint32_t)(j / 128);
    counter[1] = counter[2] = 0;
    weft_philox(counter, key, out);
    return out[j % 128 / 32] >> j % 32 & 1 ? -1.0 : 1.0;
}

/* The rotation keeps lengths: the squared error is that of quantizing the rotated blocks, but for
 * what falls on the zeros that the last block was padded with. On average over all signs that is
 * as much as on any other element; this takes vectors without a padded block. */
static double hadamard_expected(const weft_codec *c, const float *v, size_t count,
                                const weft_draw *d)
{
    static const double levels[] = {1, 7, 127};
    const size_t block = (size_t)weft_codec_number(c, "block");
    const double s = levels[weft_codec_choice(c, "inner")];
    double sum = 0, *y = calloc(block, sizeof(*y));
    cr_assert_not_null(y);
    for (size_t from = 0; from < count; from += block) {
        const size_t left = count - from < block ? count - from : block;
        size_t n = 1;
        double most = 0;
        while (n < left)
            n *= 2;
        cr_assert_eq(n, left, "a padded block");
        for (size_t i = 0; i < n; i++)
            y[i] = hadamard_sign(d, i) * (double)v[from + i] / sqrt((double)n);
        for (size_t h = 1; h < n; h *= 2)
            for (size_t i = 0; i < n; i++)
                if (!(i & h)) {
                    const double a = y[i], b = y[i + h];
                    y[i] = a + b;
                    y[i + h] = a - b;
                }
        for (size_t i = 0; i < n; i++)
            most = fmax(most, fabs(y[i]));
        for (size_t i = 0; i < n; i++) {
            const codec_point p = between_levels(y[i], most / s);
            sum += squares_of(&p, 1);
        }
    }
    free(y);
    return sum;
}

static const codec_law laws[] = {
    {"qsgd", qsgd_points, qsgd_expected, .independent = true},
    {"tern", tern_points, tern_expected, .independent = true},
    {"natural", natural_points, natural_expected, .independent = true},
    {"randk", randk_points, randk_expected, .independent = false},
    {"hadamard", NULL, hadamard_expected, .independent = false},
};

const codec_law *codec_law_of(const weft_codec *c)
{
    for (size_t i = 0; i < sizeof(laws) / sizeof(laws[0]); i++)
        if (!strcmp(c->type->name, laws[i].name))
            return &laws[i];
    return NULL;
}
