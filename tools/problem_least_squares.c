/* SPDX-License-Identifier: Apache-2.0 */
/* Least squares: (a.x - y)^2 / 2, y = the label. */
#include "problem_linear.h"

static double value(double t, double y)
{
    return (t - y) * (t - y) / 2;
}

static double slope(double t, double y)
{
    return t - y;
}

static double curve(double t, double y)
{
    (void)t;
    (void)y;
    return 1;
}

const weft_loss weft_loss_square = {
    .pair = false, .curve_max = 1, .value = value, .slope = slope, .curve = curve};

static int open_it(weft_problem *problem, char *why, size_t cap)
{
    return weft_linear_problem_open(problem, &weft_loss_square, why, cap);
}

extern const weft_problem_kind weft_problem_least_squares;
const weft_problem_kind weft_problem_least_squares = {
    .name = "least_squares",
    .summary = "(a.x - y)^2 / 2, y = the label, any number",
    .labels = WEFT_LABELS_NUMBERS,
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
