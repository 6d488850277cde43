/* SPDX-License-Identifier: Apache-2.0 */
/* `weft bench tune` finds the constants that times are made of. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "cost_fit.h"

enum { ROWS = 400, SIZES = 8 };

static const double elsewhere[WEFT_FIT_CONSTANTS] = {40e-6, 20e-6, 1e-9, 1.25e-10, 0.01};

/* What can serve an allreduce among peers, and takes what the constants say. */
static size_t rows_of(int peers, const char *costs, weft_fit_row *ret)
{
    size_t n = 0;
    for (int size = 0; size < SIZES; size++) {
        weft_candidate c = {.size = sizeof(c)};
        weft_explain *e = NULL;
        const weft_query q = {.size = sizeof(q),
                              .collective = "allreduce",
                              .costs = costs,
                              .peers = peers,
                              .dtype = WEFT_F32,
                              .count = UINT64_C(64) << 2 * size};
        cr_assert_eq(weft_explain_open(&e, &q), 0);
        for (int i = 0; weft_explain_get(e, i, &c) && n < ROWS; i++) {
            if (c.why_not[0] == '\0') {
                ret[n] = weft_fit_row_of(&c);
                ret[n++].seconds = c.seconds;
            }
        }
        weft_explain_close(&e);
    }
    return n;
}

static double squares(const double value[WEFT_FIT_CONSTANTS], const weft_fit_row *rows, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double off = weft_fit_price(value, &rows[i]) / rows[i].seconds - 1.0;
        sum += off * off;
    }
    return sum;
}

static void recovers(int peers, const char *costs, const double want[WEFT_FIT_CONSTANTS])
{
    static weft_fit_row rows[ROWS];
    const size_t n = rows_of(peers, costs, rows);
    weft_fit fit;
    cr_assert_gt(n, 40);
    weft_fit_costs(rows, n, elsewhere, &fit);
    for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
        cr_expect(fit.told[i]);
        cr_expect_leq(fabs(fit.value[i] - want[i]), 0.03 * want[i] + 1e-2 * elsewhere[i],
                      "%d peers, %s: %s is %g", peers, costs, weft_fit_names[i], fit.value[i]);
    }
    cr_expect_lt(sqrt(squares(fit.value, rows, n) / (double)n), 1e-3);
}

Test(cost_fit, constants_that_made_the_times_are_found)
{
    recovers(8, "round=7e-6,message=90e-6,byte=3e-9,reduce=9e-10,incast=0.2",
             (double[]){7e-6, 90e-6, 3e-9, 9e-10, 0.2});
    recovers(13, "round=1e-3,message=2e-6,byte=8e-8,reduce=1e-9,incast=0.05",
             (double[]){1e-3, 2e-6, 8e-8, 1e-9, 0.05});
}

Test(cost_fit, constants_of_zero_are_found)
{
    recovers(8, "round=0,message=50e-6,byte=2e-9,reduce=0,incast=0",
             (double[]){0, 50e-6, 2e-9, 0, 0});
}

Test(cost_fit, constants_of_a_candidate_are_those_it_was_priced_with)
{
    static const double want[WEFT_FIT_CONSTANTS] = {5e-5, 3e-5, 2e-9, 4e-10, 0.25};
    static const char *const algos[] = {"ring", "flat"};
    double got[WEFT_FIT_CONSTANTS] = {0};
    for (int k = 0; k < 2; k++) {
        weft_candidate c = {.size = sizeof(c)};
        weft_explain *e = NULL;
        const weft_query q = {.size = sizeof(q),
                              .collective = "allreduce",
                              .costs = "round=5e-5,message=3e-5,byte=2e-9,reduce=4e-10,incast=0.25",
                              .peers = 3,
                              .dtype = WEFT_F32,
                              .count = 1 << 18};
        cr_assert_eq(weft_explain_open(&e, &q), 0);
        for (int i = 0; weft_explain_get(e, i, &c); i++) {
            if (strcmp(c.algo, algos[k]) == 0) {
                const weft_fit_row row = weft_fit_row_of(&c);
                weft_fit_constants_of(&c, got);
                cr_expect_float_eq(weft_fit_price(want, &row), c.seconds, 1e-9 * c.seconds);
            }
        }
        weft_explain_close(&e);
    }
    for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
        cr_expect_float_eq(got[i], want[i], 1e-9 * want[i], "%s", weft_fit_names[i]);
    }
}

/* Two peers never receive from several at once. */
Test(cost_fit, what_no_row_depends_on_stays_and_is_left_out)
{
    static weft_fit_row rows[ROWS];
    const size_t n = rows_of(2, "round=9e-6,message=9e-6,byte=4e-9,incast=7", rows);
    weft_fit fit;
    char text[WEFT_FIT_TEXT];
    weft_fit_costs(rows, n, elsewhere, &fit);
    weft_fit_text(&fit, text);
    cr_expect(!fit.told[4] && fit.value[4] == elsewhere[4]);
    cr_expect_eq(strncmp(text, "round=", 6), 0);
    cr_expect_null(strstr(text, "incast"));
    cr_expect_lt(sqrt(squares(fit.value, rows, n) / (double)n), 1e-3);
}

Test(cost_fit, text_is_a_cost_table)
{
    const weft_fit fit = {.value = {1.0 / 3e5, 1e-300, 12345.678e-9, 0, 99.99999},
                          .told = {true, true, true, true, true}};
    char text[WEFT_FIT_TEXT];
    weft_explain *e = NULL;
    weft_fit_text(&fit, text);
    cr_expect_str_eq(text, "round=3.333e-06,message=1e-300,byte=1.235e-05,reduce=0,incast=100");
    const weft_query q = {
        .size = sizeof(q), .collective = "allreduce", .costs = text, .peers = 3, .count = 1};
    cr_expect_eq(weft_explain_open(&e, &q), 0);
    weft_explain_close(&e);
}

/* Times that no constants explain: none is below 0, and none of many others are closer. */
Test(cost_fit, nothing_fits_contradictory_times_better)
{
    static weft_fit_row rows[ROWS];
    const size_t n = rows_of(6, NULL, rows);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        weft_rng rng = {.state = seed};
        weft_fit fit;
        for (size_t i = 0; i < n; i++) {
            rows[i].seconds *= 0.2 + 3.0 * weft_rng_unit(&rng);
        }
        weft_fit_costs(rows, n, elsewhere, &fit);
        const double best = squares(fit.value, rows, n);
        for (int k = 0; k < 2000; k++) {
            double other[WEFT_FIT_CONSTANTS];
            for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
                const double near = fit.value[i] * (0.7 + 0.6 * weft_rng_unit(&rng));
                cr_assert(fit.value[i] >= 0.0 && isfinite(fit.value[i]));
                other[i] = k % 2 ? near : elsewhere[i] * 4.0 * weft_rng_unit(&rng);
            }
            cr_assert_geq(squares(other, rows, n), best * (1.0 - 1e-3), "seed %d", (int)seed);
        }
    }
}

/* Free bytes of one sender beside dear ones of several: the table has no words for that. */
Test(cost_fit, incast_without_bytes_is_none)
{
    weft_fit_row rows[20];
    weft_fit fit;
    for (int i = 0; i < 20; i++) {
        rows[i] = (weft_fit_row){.rounds = 1, .bytes = 1e6 * (1 + i), .shared = i % 2 * 0.5};
        rows[i].seconds = 1e-3 + (i % 2 ? 1e-9 * rows[i].bytes : 0.0);
    }
    weft_fit_costs(rows, 20, elsewhere, &fit);
    for (int i = 0; i < WEFT_FIT_CONSTANTS; i++) {
        cr_expect(fit.value[i] >= 0.0 && fit.value[i] <= 100.0, "%s", weft_fit_names[i]);
    }
}
