/* SPDX-License-Identifier: Apache-2.0 */
/* Proximal steps against their definition: nothing near has a smaller R(z) + |z - x|^2/(2 lr). */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/rng.h"
#include "optim/prox.h"
#include <weft/weft.h>

enum { COUNT = 19 };

static const weft_prox steps[] = {
    {.l1 = 0.7, .block = 8, .low = (double)NAN, .high = (double)NAN},
    {.l2 = 1.3, .block = 8, .low = (double)NAN, .high = (double)NAN},
    {.l1 = 0.4, .l2 = 0.9, .block = 8, .low = (double)NAN, .high = (double)NAN},
    {.block = 8, .low = -0.5, .high = 0.25},
    {.l1 = 0.2, .l2 = 0.5, .block = 8, .low = -0.3, .high = (double)NAN},
    {.l1 = 0.2, .block = 8, .low = 0.1, .high = 0.6},
    {.group = 0.5, .block = 4, .low = (double)NAN, .high = (double)NAN},
    {.group = 0.3, .l1 = 0.2, .block = 8, .low = (double)NAN, .high = (double)NAN},
    {.group = 0.9, .block = 1, .low = (double)NAN, .high = (double)NAN},
    {.group = 0.2, .block = 100, .low = (double)NAN, .high = (double)NAN},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static double penalty(const weft_prox *p, const double *z)
{
    double sum = 0.0;

    for (size_t j = 0; j < COUNT; j++) {
        sum += p->l1 * fabs(z[j]) + p->l2 / 2.0 * z[j] * z[j];
        if (z[j] < p->low || z[j] > p->high) {
            return (double)INFINITY;
        }
    }
    for (size_t i = 0; p->group > 0.0 && i < COUNT; i += p->block) {
        const size_t end = i + p->block < COUNT ? i + p->block : COUNT;
        double squares = 0.0;
        for (size_t j = i; j < end; j++) {
            squares += z[j] * z[j];
        }
        sum += p->group * sqrt((double)(end - i)) * sqrt(squares);
    }
    return sum;
}

static double value(const weft_prox *p, double lr, const double *z, const double *x)
{
    double squares = 0.0;

    for (size_t j = 0; j < COUNT; j++) {
        squares += (z[j] - x[j]) * (z[j] - x[j]);
    }
    return penalty(p, z) + squares / (2.0 * lr);
}

/* The function is convex: who has no better neighbour in any of many directions is its minimum. */
static void expect_minimum(const weft_prox *p, double lr, const double *z, const double *x,
                           double tolerance, weft_rng *rng, const char *what, size_t which)
{
    const double best = value(p, lr, z, x);
    double other[COUNT];

    cr_assert(isfinite(best), "%s of %zu: outside of the box", what, which);
    for (int t = 0; t < 4000; t++) {
        const double far = pow(10.0, -4.0 * weft_rng_unit(rng));
        for (size_t j = 0; j < COUNT; j++) {
            const double to = 2.0 * weft_rng_unit(rng) - 1.0;
            const int alone = t % 2 == 0 && j != (size_t)(t / 2) % COUNT;
            other[j] = z[j] + (alone ? 0.0 : far * to);
            other[j] = t % 7 == 3 ? z[j] * (1.0 - far) : other[j]; /* and nearer to 0 */
            other[j] = fmin(fmax(other[j], p->low), p->high);      /* NAN: none */
        }
        cr_assert_geq(value(p, lr, other, x), best - tolerance, "%s of %zu, lr %g", what, which,
                      lr);
    }
}

Test(prox, the_result_minimizes_what_it_is_said_to)
{
    weft_rng rng = {.state = 11};
    static const double lrs[] = {0.05, 0.5, 2.0};

    for (size_t s = 0; s < STEPS; s++) {
        for (size_t l = 0; l < 3; l++) {
            float narrow[COUNT];
            double x[COUNT], wide[COUNT], z[COUNT];
            for (size_t j = 0; j < COUNT; j++) {
                narrow[j] = j % 6 == 5 ? 0.0f : (float)(4.0 * weft_rng_unit(&rng) - 2.0);
                wide[j] = x[j] = (double)narrow[j];
            }
            weft_prox_apply(&steps[s], lrs[l], narrow, COUNT);
            weft_prox_apply64(&steps[s], lrs[l], wide, COUNT);
            for (size_t j = 0; j < COUNT; j++) {
                cr_expect_float_eq((double)narrow[j], wide[j], 1e-6, "%zu: element %zu", s, j);
                /* The box's edges as floats may be outside of it by their rounding. */
                z[j] = fmin(fmax((double)narrow[j], steps[s].low), steps[s].high);
            }
            expect_minimum(&steps[s], lrs[l], wide, x, 1e-12, &rng, "double", s);
            expect_minimum(&steps[s], lrs[l], z, x, 1e-5, &rng, "float", s);
        }
    }
}

Test(prox, equal_models_get_equal_bits_wherever_they_lie)
{
    weft_rng rng = {.state = 12};
    float start[COUNT], first[COUNT], room[COUNT + 16];

    for (size_t j = 0; j < COUNT; j++) {
        start[j] = (float)(4.0 * weft_rng_unit(&rng) - 2.0);
    }
    for (size_t s = 0; s < STEPS; s++) {
        memcpy(first, start, sizeof(first));
        weft_prox_apply(&steps[s], 0.3, first, COUNT);
        for (size_t off = 0; off < 16; off++) {
            memcpy(room + off, start, sizeof(start));
            weft_prox_apply(&steps[s], 0.3, room + off, COUNT);
            cr_expect_arr_eq(room + off, first, sizeof(first), "%zu at %zu", s, off);
        }
    }
}

Test(prox, nothing_asked_for_changes_nothing)
{
    const weft_prox none = {.block = 8, .low = (double)NAN, .high = (double)NAN};
    float x[3] = {-0.0f, 1e-40f, -3.5f}, same[3];

    memcpy(same, x, sizeof(x));
    cr_expect(!weft_prox_any(&none));
    weft_prox_apply(&none, 0.5, x, 3);
    cr_expect_arr_eq(x, same, sizeof(x));
    for (size_t s = 0; s < STEPS; s++) {
        cr_expect(weft_prox_any(&steps[s]));
        cr_expect_eq(weft_prox_check(&steps[s]), WEFT_OK);
    }
}

Test(prox, a_vector_of_zeros_stays_so)
{
    for (size_t s = 0; s < STEPS; s++) {
        float x[COUNT] = {0};
        weft_prox_apply(&steps[s], 0.3, x, COUNT);
        for (size_t j = 0; j < COUNT; j++) {
            cr_expect_eq(x[j], steps[s].low > 0.0 ? (float)steps[s].low : 0.0f);
        }
    }
}

Test(prox, what_has_no_closed_form_together_is_refused)
{
    weft_prox p = {.group = 0.1, .l2 = 0.1, .block = 8, .low = (double)NAN, .high = (double)NAN};

    cr_expect_eq(weft_prox_check(&p), WEFT_ENOTSUP);
    p.l2 = 0.0;
    p.low = -1.0;
    cr_expect_eq(weft_prox_check(&p), WEFT_ENOTSUP);
    p.group = 0.0;
    p.high = -2.0;
    cr_expect_eq(weft_prox_check(&p), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, "prox_low -1"));
}
