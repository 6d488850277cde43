/* SPDX-License-Identifier: Apache-2.0 */
/* Step sizes against their closed forms, worked out by hand. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim/theory.h"

static const weft_setting setting = {
    .smoothness = {.L = 2.0, .Lmax = 5.0, .Lrow = 8.0, .mu = 0.5},
    .omega = 1.5,
    .peers = 10,
};

static double sgd(weft_setting s)
{
    double lr = (double)NAN;

    cr_assert_eq(weft_theory_sgd(&s, &lr), WEFT_OK, "%s", weft_last_error()->message);
    return lr;
}

static double diana(weft_setting s)
{
    double lr = (double)NAN;

    cr_assert_eq(weft_theory_diana(&s, &lr), WEFT_OK, "%s", weft_last_error()->message);
    return lr;
}

static void equals(double got, double want)
{
    cr_expect(fabs(got - want) <= 1e-15 * fabs(want), "%.17g, not %.17g", got, want);
}

Test(theory, gradient_descent_steps_by_2_over_L_plus_mu)
{
    weft_setting s = setting;

    s.omega = 0.0;
    equals(sgd(s), 2.0 / 2.5);
    s.l1 = 1e-3;
    equals(sgd(s), 1.0 / 2.0);
    s.l1 = 0.0;
    s.smoothness.mu = 0.0;
    equals(sgd(s), 1.0 / 2.0);
    s.smoothness.Lmax = 0.0; /* not needed without noise */
    equals(sgd(s), 1.0 / 2.0);
}

Test(theory, a_lossy_codec_shortens_steps_by_its_noise)
{
    equals(sgd(setting), 1.0 / (2.0 + 2.0 * 1.5 * 5.0 / 10.0));
    equals(diana(setting), 1.0 / (2.0 + 6.0 * 1.5 * 5.0 / 10.0));
}

Test(theory, minibatches_step_by_the_rows)
{
    weft_setting s = setting;

    s.smoothness = (weft_smoothness){.Lrow = 8.0, .minibatch = 1};
    equals(sgd(s), 1.0 / (16.0 * (1.0 + 6.0 * 1.5 / 10.0)));
    equals(diana(s), sgd(s));
    s.omega = 0.0;
    equals(sgd(s), 1.0 / 16.0);
}

Test(theory, momentum_takes_its_share_of_every_step)
{
    weft_setting s = setting, slow = setting;
    double lr, slow_lr, alpha;

    slow.momentum = 0.75;
    equals(sgd(slow), 0.25 * sgd(s));
    equals(diana(slow), 0.25 * diana(s));
    cr_assert_eq(weft_theory_diana2019(&s, &lr, &alpha), WEFT_OK);
    cr_assert_eq(weft_theory_diana2019(&slow, &slow_lr, &alpha), WEFT_OK);
    equals(slow_lr, 0.25 * lr);
    s.omega = slow.omega = 0.0;
    equals(sgd(slow), 0.25 * sgd(s));
    s.smoothness.minibatch = slow.smoothness.minibatch = 1;
    equals(sgd(slow), 0.25 * sgd(s));
}

Test(theory, diana_2019_takes_the_smaller_of_two_bounds)
{
    const double blocks[] = {1, 2, 16, 112, 512};

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        const double B = blocks[i];
        const double alpha_p[] = {1.0 / B, 1.0 / sqrt(B), 2.0 / (1.0 + sqrt(B))};
        const double omega[] = {B - 1.0, sqrt(B) - 1.0, (sqrt(B) - 1.0) / 2.0};

        for (int p = 0; p < 3; p++) {
            for (double mu = 0.001; mu < 2.0; mu *= 10.0) {
                weft_setting s = setting;
                double lr, alpha;
                const double want_alpha = alpha_p[p] / 2.0;
                const double c = 4.0 * (1.0 - alpha_p[p]) / (10.0 * alpha_p[p] * alpha_p[p]);

                s.omega = omega[p];
                s.smoothness.mu = mu;
                cr_assert_eq(weft_theory_diana2019(&s, &lr, &alpha), WEFT_OK);
                cr_expect_float_eq(alpha, want_alpha, 1e-14);
                cr_expect_float_eq(
                    lr, fmin(want_alpha / mu, 2.0 / ((5.0 + mu) * (1.0 + c * want_alpha))),
                    1e-12 * lr);
            }
        }
    }
}

/* Mushrooms, 10 shards: the steps of the reference runs, times L. */
Test(theory, reference_steps_on_mushrooms_come_out)
{
    const double L = 2.612704961, Lmax = 3.680389569, whole = (sqrt(112.0) - 1.0) / 2.0;
    weft_setting s = {.smoothness = {.L = L, .Lmax = Lmax, .mu = L / 100.0}, .peers = 10};
    double lr, alpha;

    cr_expect_float_eq(L * sgd(s), 1.98, 0.005);
    s.omega = 1.5;
    cr_expect_float_eq(L * diana(s), 0.441, 0.0005);
    s.omega = 112.0 / 121.0;
    cr_expect_float_eq(L * sgd(s), 0.793, 0.0005);
    cr_expect_float_eq(L * diana(s), 0.561, 0.0005);
    s.omega = whole;
    cr_expect_float_eq(L * sgd(s), 0.426, 0.0005);
    cr_assert_eq(weft_theory_diana2019(&s, &lr, &alpha), WEFT_OK);
    cr_expect_float_eq(L * lr, 0.72, 0.005);
}

Test(theory, alpha_is_0_only_where_nothing_is_lost)
{
    cr_expect_eq(weft_theory_alpha(0.0), 0.0);
    equals(weft_theory_alpha(1.5), 0.4);
}

Test(theory, an_unknown_value_is_named)
{
    const struct {
        int (*rate)(const weft_setting *s, double *ret_lr);
        weft_smoothness smoothness;
        const char *name;
    } cases[] = {
        {weft_theory_sgd, {.Lmax = 1.0}, "smoothness.L:"},
        {weft_theory_sgd, {.L = 1.0}, "smoothness.Lmax:"},
        {weft_theory_sgd, {.L = 1.0, .Lmax = 1.0, .minibatch = 1}, "smoothness.Lrow:"},
        {weft_theory_diana, {.Lmax = 1.0}, "smoothness.L:"},
        {weft_theory_diana, {.L = 1.0}, "smoothness.Lmax:"},
        {weft_theory_diana, {.L = 1.0, .Lmax = 1.0, .minibatch = 1}, "smoothness.Lrow:"},
    };
    double lr = 3.0, alpha = 4.0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const weft_setting s = {.smoothness = cases[i].smoothness, .omega = 1.0, .peers = 2};

        cr_expect_eq(cases[i].rate(&s, &lr), WEFT_EINVAL);
        cr_expect_not_null(strstr(weft_last_error()->message, cases[i].name), "%s: %s",
                           cases[i].name, weft_last_error()->message);
    }
    weft_setting s = {.smoothness = {.L = 1.0, .Lmax = 1.0}, .omega = 1.0, .peers = 2};
    cr_expect_eq(weft_theory_diana2019(&s, &lr, &alpha), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, "smoothness.mu:"));
    s.smoothness.minibatch = 1;
    cr_expect_eq(weft_theory_diana2019(&s, &lr, &alpha), WEFT_ENOTSUP);
    cr_expect_eq(lr, 3.0, "untouched on failure");
    cr_expect_eq(alpha, 4.0, "untouched on failure");
}

Test(theory, of_functions_that_are_not_convex)
{
    weft_setting s = setting;
    double lr = 3.0, alpha = 4.0;

    cr_assert_eq(weft_theory_nonconvex(&s, &lr, &alpha), WEFT_OK);
    equals(lr, 1.0 / (5.0 * (1.0 + 4.0 * 1.5 / 10.0)));
    equals(alpha, 0.2);
    s.smoothness.Lmax = 0.0;
    cr_expect_eq(weft_theory_nonconvex(&s, &lr, &alpha), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, "smoothness.Lmax"));
}

Test(theory, error_feedback_wants_codecs_that_lose_less_than_they_are_given)
{
    weft_setting s = setting;
    double lr = 3.0;

    cr_expect_eq(weft_theory_feedback(&s, &lr), WEFT_ENOTSUP);
    cr_expect_not_null(strstr(weft_last_error()->message, "omega is 1.5"));
    cr_expect_eq(lr, 3.0, "untouched on failure");
    s.omega = 0.99;
    cr_assert_eq(weft_theory_feedback(&s, &lr), WEFT_OK);
    equals(lr, 1.0 / 2.0);
}

Test(theory, rules_are_read)
{
    const struct {
        char text[24];
        weft_lr_kind kind;
        double value;
    } good[] = {
        {"0.1", WEFT_LR_NUMBER, 0.1},
        {"1e-6", WEFT_LR_NUMBER, 1e-6},
        {"theory", WEFT_LR_THEORY, 1.0},
        {"theory*4", WEFT_LR_THEORY, 4.0},
        {"theory*0.5", WEFT_LR_THEORY, 0.5},
        {"theory2019", WEFT_LR_THEORY2019, 1.0},
        {"theory2019*2", WEFT_LR_THEORY2019, 2.0},
        {"theory_nonconvex", WEFT_LR_NONCONVEX, 1.0},
        {"theory_nonconvex*0.5", WEFT_LR_NONCONVEX, 0.5},
    };
    const char *const bad[] = {"",          "0",         "-1",         "nan",      "inf",
                               "1e-60",     "1e39",      "theory*",    "theory*0", "theory*-1",
                               "theory4",   "theory *4", "theory2020", "teory",    "0.1x",
                               "theory**2", "theory_"};
    weft_lr_rule rule;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_eq(weft_lr_parse(good[i].text, &rule), WEFT_OK, "%s", good[i].text);
        cr_expect_eq(rule.kind, good[i].kind, "%s", good[i].text);
        cr_expect_eq(rule.value, good[i].value, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rule.value = 77.0;
        cr_expect_eq(weft_lr_parse(bad[i], &rule), WEFT_EINVAL, "%s", bad[i]);
        cr_expect_eq(rule.value, 77.0, "%s: untouched on failure", bad[i]);
        cr_expect_not_null(strstr(weft_last_error()->message, "theory2019"), "names the choices");
    }
}
