/* SPDX-License-Identifier: Apache-2.0 */
/* Logistic regression: log(1 + exp(-y a.x)), y = 1 for the larger label, -1 for the smaller. */
#include <math.h>

#include "problem_linear.h"

static double value(double t, double y)
{
    const double margin = y * t;

    return margin > 0 ? log1p(exp(-margin)) : -margin + log1p(exp(margin));
}

static double slope(double t, double y)
{
    return -y / (1.0 + exp(y * t));
}

static double curve(double t, double y)
{
    const double e = exp(-fabs(t));

    (void)y;
    return e / ((1 + e) * (1 + e));
}

const weft_loss weft_loss_logistic = {
    .pair = true, .curve_max = 0.25, .value = value, .slope = slope, .curve = curve};

static int open_it(weft_problem *problem, char *why, size_t cap)
{
    return weft_linear_problem_open(problem, &weft_loss_logistic, why, cap);
}

extern const weft_problem_kind weft_problem_logistic;
const weft_problem_kind weft_problem_logistic = {
    .name = "logistic",
    .summary = "log(1 + exp(-y a.x)), y = 1 for the larger of two labels, else -1",
    .labels = WEFT_LABELS_PAIR,
    .slopes = true,
    .convex = true,
    .open = open_it,
    .close = weft_linear_problem_close,
    .gradient = weft_linear_problem_gradient,
    .loss = weft_linear_problem_loss,
    .test = weft_linear_problem_test,
    .constants = weft_linear_problem_constants,
    .minimum = weft_linear_problem_minimum,
};
