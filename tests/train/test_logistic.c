/* SPDX-License-Identifier: Apache-2.0 */
/* The problem: shards, gradients, values. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "problem_linear.h"
#include "small_data.h"

enum { ROWS = 43, DIM = 6, PEERS = 4 };

static weft_linear *open_problem(const weft_libsvm *data, int peers, weft_shards shards)
{
    weft_linear *p = NULL;
    char why[256] = "";

    cr_assert_eq(
        weft_linear_open(&p, &weft_loss_logistic, data, peers, shards, 5, why, sizeof(why)), 0,
        "%s", why);
    return p;
}

static double value(const weft_linear *p, const double *x)
{
    return weft_linear_value(p, weft_linear_loss(p, 0, p->cut.used, x, NULL) / (double)p->cut.used,
                             x);
}

Test(logistic, the_rest_of_the_rows_is_left_out)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 1);
    weft_linear *p = open_problem(data, PEERS, WEFT_SHARDS_FILE);

    cr_expect_eq(p->cut.shard_rows, 10);
    cr_expect_eq(p->cut.used, 40);
    for (size_t i = 0; i < p->cut.used; i++)
        cr_expect_eq(p->cut.rows[i], i);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, shards_by_label_are_sorted_and_stable)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 1);
    weft_linear *p = open_problem(data, 1, WEFT_SHARDS_LABEL);

    for (size_t i = 1; i < p->cut.used; i++) {
        const int8_t before = data->sign[p->cut.rows[i - 1]], now = data->sign[p->cut.rows[i]];

        cr_expect(before < now || (before == now && p->cut.rows[i - 1] < p->cut.rows[i]));
    }
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, a_shuffle_takes_other_rows)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 1);
    weft_linear *p = open_problem(data, PEERS, WEFT_SHARDS_SHUFFLE);
    int seen[ROWS] = {0}, moved = 0;

    for (size_t i = 0; i < ROWS; i++) {
        seen[p->cut.rows[i]]++;
        moved += p->cut.rows[i] != i;
    }
    for (size_t i = 0; i < ROWS; i++)
        cr_expect_eq(seen[i], 1);
    cr_expect_gt(moved, ROWS / 2);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, fewer_rows_than_peers_are_refused)
{
    weft_libsvm *data = small_data(3, DIM, 0.7, 1);
    weft_linear *p = NULL;
    char why[256] = "";

    cr_expect_eq(
        weft_linear_open(&p, &weft_loss_logistic, data, 4, WEFT_SHARDS_FILE, 1, why, sizeof(why)),
        -1);
    cr_expect_null(p);
    cr_expect_not_null(strstr(why, "3 rows, too few for 4 peers"), "%s", why);
    weft_libsvm_free(&data);
}

Test(logistic, f_at_0_is_log_2)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 2);
    weft_linear *p = open_problem(data, PEERS, WEFT_SHARDS_FILE);
    const double zero[DIM] = {0};

    cr_expect(fabs(value(p, zero) - log(2)) < 1e-15);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, the_mean_of_the_shards_gradients_is_the_slope_of_f)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 3);
    weft_linear *p = open_problem(data, PEERS, WEFT_SHARDS_SHUFFLE);
    const float x[DIM] = {0.5f, -1, 2, 0.25f, -3, 1};
    double mean[DIM] = {0}, wide[DIM];
    float g[DIM];

    p->l2 = 0.1;
    for (int r = 0; r < PEERS; r++) {
        weft_linear_gradient(p, r, x, g);
        for (int j = 0; j < DIM; j++)
            mean[j] += (double)g[j] / PEERS;
    }
    for (int j = 0; j < DIM; j++)
        wide[j] = (double)x[j];
    for (int j = 0; j < DIM; j++) {
        const double h = 1e-5;
        double up[DIM], down[DIM], slope;

        memcpy(up, wide, sizeof(wide));
        memcpy(down, wide, sizeof(wide));
        up[j] += h;
        down[j] -= h;
        slope = (value(p, up) - value(p, down)) / (2 * h);
        cr_expect(fabs(slope - mean[j]) < 1e-7, "coordinate %d: %.9g, not %.9g", j, mean[j], slope);
    }
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, a_minibatch_of_all_rows_is_the_full_gradient)
{
    weft_libsvm *data = small_data(ROWS, DIM, 0.7, 4);
    weft_linear *p = open_problem(data, PEERS, WEFT_SHARDS_FILE);
    const float x[DIM] = {1, 0, -1, 2, 0.5f, -0.5f};
    const size_t all[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, one[2] = {3, 3};
    float full[DIM], batch[DIM], single[DIM];

    p->l2 = 0.01;
    weft_linear_gradient(p, 2, x, full);
    weft_linear_minibatch(p, 2, all, 10, x, batch);
    cr_expect_arr_eq(full, batch, sizeof(full));
    weft_linear_minibatch(p, 2, one, 2, x, batch);
    weft_linear_minibatch(p, 2, one, 1, x, single);
    cr_expect_arr_eq(batch, single, sizeof(single), "a row drawn twice counts twice");
    cr_expect_neq(memcmp(full, single, sizeof(full)), 0);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, far_away_the_loss_neither_overflows_nor_vanishes)
{
    weft_libsvm *data = one_column(2, 1);
    weft_linear *p = open_problem(data, 1, WEFT_SHARDS_FILE);
    const double x = 5000;
    double g = 0;

    /* log(1 + e^-5000) + log(1 + e^5000) */
    cr_expect(weft_linear_loss(p, 0, 2, &x, &g) == 5000);
    cr_expect(g == 1);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(logistic, the_slope_with_l1_is_the_smallest_subgradient)
{
    weft_libsvm *data = small_data(ROWS, 3, 1, 6);
    weft_linear *p = open_problem(data, 1, WEFT_SHARDS_FILE);
    const double x[3] = {0, 0, 2}, g[3] = {0.05, -0.3, 0.2};

    p->l1 = 0.1;
    p->l2 = 0.5;
    /* |g| below l1 at 0: nothing; above: what is over; off 0: g + l2 x + l1. */
    cr_expect(fabs(weft_linear_slope(p, g, x) - hypot(0.2, 0.2 + 1 + 0.1)) < 1e-15);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}
