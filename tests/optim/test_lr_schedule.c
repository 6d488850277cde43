/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of the step size against their formulas. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim/lr_schedule.h"
#include <weft/weft.h>

static weft_schedule parsed(const char *text)
{
    weft_schedule s = {0};

    cr_assert_eq(weft_schedule_parse(text, &s), WEFT_OK, "%s", weft_last_error()->message);
    return s;
}

static void near(const char *text, uint64_t step, double want)
{
    const weft_schedule s = parsed(text);
    const double got = weft_schedule_at(&s, step);

    cr_expect(fabs(got - want) <= 1e-14 * fabs(want), "%s, step %llu: %.17g, not %.17g", text,
              (unsigned long long)step, got, want);
}

Test(lr_schedule, each_is_its_formula)
{
    static const uint64_t steps[] = {0, 1, 2, 3, 9, 10, 11, 99, 100, 101, 1000, 123456789};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const uint64_t k = steps[i];
        const double n = (double)k, pi = acos(-1.0);

        near("constant", k, 1.0);
        near("step", k, pow(0.1, floor(n / 100.0)));
        near("step:every=3,factor=0.75", k, pow(0.75, floor(n / 3.0)));
        near("inverse:rate=0.25", k, 1.0 / (1.0 + 0.25 * n));
        near("sqrt", k, 1.0 / sqrt(n + 1.0));
        near("sqrt:warmup=100", k, fmin((n + 1.0) / 100.0, 1.0) / sqrt(n + 1.0));
        near("cosine:steps=1,final=0.5", k, k == 0 ? 1.0 : 0.5);
        near("cosine:steps=100,final=0.25", k,
             0.25 + 0.75 * (1.0 + cos(pi * fmin(n / 100.0, 1.0))) / 2.0);
    }
}

Test(lr_schedule, cosine_ends_at_its_final_share_and_never_below)
{
    const weft_schedule to_zero = parsed("cosine:steps=777"),
                        to_some = parsed("cosine:steps=777,final=0.3");

    for (uint64_t k = 0; k < 777; k++) {
        cr_expect_geq(weft_schedule_at(&to_zero, k), 0.0);
        cr_expect_geq(weft_schedule_at(&to_some, k), 0.3);
    }
    cr_expect_eq(weft_schedule_at(&to_zero, 777), 0.0);
    cr_expect_eq(weft_schedule_at(&to_zero, UINT64_MAX), 0.0);
    cr_expect_eq(weft_schedule_at(&to_some, 778), 0.3);
}

Test(lr_schedule, none_grows_after_its_warm_up_or_leaves_0_to_1)
{
    static const char *const all[] = {"constant:warmup=10", "step:every=7,factor=0.9,warmup=10",
                                      "cosine:steps=300,warmup=10", "inverse:rate=0.1,warmup=10",
                                      "sqrt:warmup=10"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const weft_schedule s = parsed(all[i]);
        double last = weft_schedule_at(&s, 10);

        for (uint64_t k = 0; k < 1000; k++) {
            const double now = weft_schedule_at(&s, k);
            cr_expect(now >= 0.0 && now <= 1.0, "%s: %g in step %d", all[i], now, (int)k);
            cr_expect(k < 10 || now <= last, "%s grows in step %d", all[i], (int)k);
            last = k < 10 ? last : now;
        }
        cr_expect_gt(weft_schedule_at(&s, 0), 0.0);
        near("constant:warmup=10", 3, 0.4);
    }
}

Test(lr_schedule, the_rate_of_inverse_is_theorys_unless_given)
{
    weft_schedule s = parsed("inverse");

    cr_expect_eq(weft_schedule_rate(&s, 0.0, 0.5), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, "smoothness.mu"));
    cr_assert_eq(weft_schedule_rate(&s, 0.25, 0.5), WEFT_OK);
    /* 2/(mu k + theta) with lr = 2/theta: theta = 4 here. */
    cr_expect_float_eq(0.5 * weft_schedule_at(&s, 12), 2.0 / (0.25 * 12.0 + 4.0), 1e-15);
    s = parsed("inverse:rate=3");
    cr_assert_eq(weft_schedule_rate(&s, 0.0, 0.5), WEFT_OK);
    cr_expect_float_eq(weft_schedule_at(&s, 2), 1.0 / 7.0, 1e-15);
}

Test(lr_schedule, bad_specs_are_refused_in_words)
{
    static const char *const bad[][2] = {
        {"linear", "cosine"},         {"", "schedule"},
        {"step:evry=3", "every"},     {"step:every=0", "every"},
        {"step:every=1.5", "every"},  {"step:factor=1.5", "factor"},
        {"step:factor=-1", "factor"}, {"cosine:steps=0", "steps"},
        {"cosine:final=2", "final"},  {"inverse:rate=-1", "rate"},
        {"inverse:rate=x", "rate"},   {"constant:warmup=-1", "warmup"},
        {"sqrt:rate=1", "warmup"},    {"constant:warmup=nan", "warmup"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_schedule s = {.warmup = 77.0};

        cr_expect_eq(weft_schedule_parse(bad[i][0], &s), WEFT_EINVAL, "%s", bad[i][0]);
        cr_expect_not_null(strstr(weft_last_error()->message, bad[i][1]), "%s: \"%s\"", bad[i][0],
                           weft_last_error()->message);
        cr_expect_eq(s.warmup, 77.0, "%s touched the schedule", bad[i][0]);
    }
}
