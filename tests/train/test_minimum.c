/* SPDX-License-Identifier: Apache-2.0 */
/* f* against closed forms and optimality conditions. */
#include <math.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "problem_minimum.h"
#include "small_data.h"

/* f* of a problem, with the smallest subgradient at the point found in *ret_slope. */
static double minimum(const weft_libsvm *data, double l1, double l2, double *ret_slope)
{
    weft_linear *p = NULL;
    double *x = calloc(data->dim, sizeof(double)), *g = calloc(data->dim, sizeof(double));
    double fstar = (double)NAN, loss;
    char why[256] = "";

    cr_assert_eq(
        weft_linear_open(&p, &weft_loss_logistic, data, 1, WEFT_SHARDS_FILE, 1, why, sizeof(why)),
        0);
    p->l1 = l1;
    p->l2 = l2;
    cr_assert_eq(weft_linear_minimum(p, &fstar, x, why, sizeof(why)), 0, "%s", why);
    loss = weft_linear_loss(p, 0, p->cut.used, x, g) / (double)p->cut.used;
    cr_expect(fabs(weft_linear_value(p, loss, x) - fstar) < 1e-14, "f(x*) is not f*");
    for (size_t j = 0; j < data->dim; j++)
        g[j] /= (double)p->cut.used;
    *ret_slope = weft_linear_slope(p, g, x);
    free(x);
    free(g);
    weft_linear_close(&p);
    return fstar;
}

static void close_to(double got, double want)
{
    cr_expect(fabs(got - want) <= 1e-13, "%.17g, not %.17g", got, want);
}

/* One column of ones, q of the labels +1: at the minimum 1/(1 + e^-x) = q - l1 sign x. */
Test(minimum, one_coordinate_has_its_closed_form)
{
    weft_libsvm *data = one_column(8, 6);
    const double q = 0.75;
    double slope;

    close_to(minimum(data, 0, 0, &slope), -(q * log(q) + (1 - q) * log(1 - q)));
    for (int i = 1; i < 25; i += 4) {
        const double l1 = i / 100.0, p = q - l1;

        close_to(minimum(data, l1, 0, &slope),
                 -(q * log(p) + (1 - q) * log(1 - p)) + l1 * log(p / (1 - p)));
    }
    close_to(minimum(data, 0.25, 0, &slope), log(2)); /* l1 holds x at 0 */
    close_to(minimum(data, 3, 0.1, &slope), log(2));
    weft_libsvm_free(&data);
}

Test(minimum, separable_data_have_infimum_0)
{
    weft_libsvm *data = small_data(50, 5, 1, 3);
    double slope, fstar;

    for (size_t i = 0; i < data->rows; i++)
        data->sign[i] = data->value[data->start[i]] > 0 ? 1 : -1;
    fstar = minimum(data, 0, 0, &slope);
    cr_expect(fstar >= 0 && fstar <= 1e-13, "%g", fstar);
    weft_libsvm_free(&data);
}

/* By strong convexity f(x) - f* <= |s|^2 / (2 l2): a small slope proves the value. */
static void proven(size_t rows, size_t dim, double density, double l1, double l2)
{
    weft_libsvm *data = small_data(rows, dim, density, rows + dim);
    double slope = HUGE_VAL;

    minimum(data, l1, l2, &slope);
    cr_expect(slope * slope / (2 * l2) <= 1e-13, "%zu x %zu, l1 %g, l2 %g: slope %g", rows, dim, l1,
              l2, slope);
    weft_libsvm_free(&data);
}

Test(minimum, the_slope_there_vanishes)
{
    proven(200, 20, 0.1, 0, 1e-2);
    proven(200, 20, 1, 0, 1e-6);
    proven(30, 100, 0.5, 0, 1e-3);
}

Test(minimum, wide_data_go_by_conjugate_gradients)
{
    proven(150, 2500, 0.02, 0, 1e-3);
}

Test(minimum, l1_leaves_a_small_support)
{
    proven(200, 20, 0.5, 0.01, 1e-3);
    proven(200, 20, 1, 0.05, 1e-6);
    proven(60, 150, 0.3, 0.005, 1e-4);
    proven(150, 2500, 0.02, 0.002, 1e-3);
}

Test(minimum, dependent_columns_are_no_trouble)
{
    weft_libsvm *data = small_data(80, 4, 1, 9);
    double slope, plain, doubled;

    /* Column 3 := column 2: only the sum of the two coordinates matters. */
    for (size_t i = 0; i < data->rows; i++)
        data->value[4 * i + 3] = data->value[4 * i + 2];
    plain = minimum(data, 0, 0, &slope);
    cr_expect(slope < 1e-7, "slope %g", slope);
    for (size_t i = 0; i < data->rows; i++)
        data->value[4 * i + 3] = 0;
    doubled = minimum(data, 0, 0, &slope);
    close_to(plain, doubled);
    weft_libsvm_free(&data);
}
