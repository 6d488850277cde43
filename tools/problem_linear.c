/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_linear.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int weft_linear_open(weft_linear **ret, const weft_loss *loss, const weft_libsvm *data, int peers,
                     weft_shards shards, uint64_t seed, char *why, size_t cap)
{
    weft_linear *p = calloc(1, sizeof(*p));

    if (p == NULL)
        goto memory;
    p->loss = loss;
    p->data = data;
    p->scratch = calloc(data->dim, sizeof(*p->scratch));
    if (p->scratch == NULL)
        goto memory;
    if (weft_cut_make(&p->cut, data->rows, data->label, peers, shards, seed, why, cap) != 0) {
        weft_linear_close(&p);
        return -1;
    }
    *ret = p;
    return 0;
memory:
    weft_linear_close(&p);
    snprintf(why, cap, "out of memory for %zu coordinates", data->dim);
    return -1;
}

void weft_linear_close(weft_linear **problem)
{
    weft_linear *p = *problem;

    *problem = NULL;
    if (p == NULL)
        return;
    weft_cut_free(&p->cut);
    free(p->scratch);
    free(p);
}

double weft_linear_target(const weft_linear *problem, size_t row)
{
    return problem->loss->pair ? problem->data->sign[row] : problem->data->label[row];
}

double weft_linear_dot(const weft_libsvm *data, size_t row, const double *x)
{
    double sum = 0;

    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        sum += data->value[k] * x[data->index[k]];
    return sum;
}

/* Add the gradient of one row's loss to the sum; x is the float32 model. */
static void add_row_gradient(weft_linear *p, size_t row, const float *x)
{
    const weft_libsvm *data = p->data;
    double margin = 0, weight;

    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        margin += data->value[k] * (double)x[data->index[k]];
    weight = p->loss->slope(margin, weft_linear_target(p, row));
    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        p->scratch[data->index[k]] += weight * data->value[k];
}

/* Mean of count summed rows, plus the l2 term, rounded once to float32. */
static void finish_gradient(weft_linear *p, size_t count, const float *x, float *ret_gradient)
{
    for (size_t j = 0; j < p->data->dim; j++)
        ret_gradient[j] = (float)(p->scratch[j] / (double)count + p->l2 * (double)x[j]);
}

void weft_linear_gradient(weft_linear *problem, int rank, const float *x, float *ret_gradient)
{
    const size_t *rows = problem->cut.rows + (size_t)rank * problem->cut.shard_rows;

    memset(problem->scratch, 0, problem->data->dim * sizeof(*problem->scratch));
    for (size_t i = 0; i < problem->cut.shard_rows; i++)
        add_row_gradient(problem, rows[i], x);
    finish_gradient(problem, problem->cut.shard_rows, x, ret_gradient);
}

void weft_linear_minibatch(weft_linear *problem, int rank, const size_t *rows, size_t count,
                           const float *x, float *ret_gradient)
{
    const size_t *shard = problem->cut.rows + (size_t)rank * problem->cut.shard_rows;

    memset(problem->scratch, 0, problem->data->dim * sizeof(*problem->scratch));
    for (size_t i = 0; i < count; i++)
        add_row_gradient(problem, shard[rows[i]], x);
    finish_gradient(problem, count, x, ret_gradient);
}

double weft_linear_loss(const weft_linear *problem, size_t first, size_t count, const double *x,
                        double *ret_gradient)
{
    const weft_libsvm *d = problem->data;
    double sum = 0, lost = 0; /* Neumaier's compensated sum: f* is wanted to 1e-13 */

    if (ret_gradient != NULL)
        memset(ret_gradient, 0, d->dim * sizeof(*ret_gradient));
    for (size_t i = first; i < first + count; i++) {
        const size_t row = problem->cut.rows[i];
        const double y = weft_linear_target(problem, row);
        const double t = weft_linear_dot(d, row, x);
        const double loss = problem->loss->value(t, y);
        const double next = sum + loss;

        lost += fabs(sum) >= fabs(loss) ? (sum - next) + loss : (loss - next) + sum;
        sum = next;
        if (ret_gradient != NULL) {
            const double weight = problem->loss->slope(t, y);

            for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
                ret_gradient[d->index[k]] += weight * d->value[k];
        }
    }
    return sum + lost;
}

double weft_linear_value(const weft_linear *problem, double mean_loss, const double *x)
{
    return weft_penalized(mean_loss, x, problem->data->dim, problem->l1, problem->l2);
}

double weft_linear_slope(const weft_linear *problem, const double *mean_loss_gradient,
                         const double *x)
{
    return weft_penalized_slope(mean_loss_gradient, x, problem->data->dim, problem->l1,
                                problem->l2);
}
