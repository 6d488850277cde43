/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_logistic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train_random.h"

/* Rows of the smaller label, then those of the larger, each in file order. */
static void order_by_label(const weft_libsvm *data, size_t *rows)
{
    size_t at = 0;

    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t i = 0; i < data->rows; i++) {
            if (data->sign[i] == sign)
                rows[at++] = i;
        }
    }
}

int weft_logistic_open(weft_logistic **ret, const weft_libsvm *data, int peers, weft_shards shards,
                       uint64_t seed, char *why, size_t cap)
{
    weft_logistic *p;

    if (peers < 1 || data->rows < (size_t)peers) {
        snprintf(why, cap, "the data has %zu rows, too few for %d peers", data->rows, peers);
        return -1;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        goto memory;
    p->rows = malloc(data->rows * sizeof(*p->rows));
    p->scratch = calloc(data->dim, sizeof(*p->scratch));
    if (p->rows == NULL || p->scratch == NULL)
        goto memory;
    p->data = data;
    p->peers = peers;
    p->shard_rows = data->rows / (size_t)peers;
    p->used = p->shard_rows * (size_t)peers;
    for (size_t i = 0; i < data->rows; i++)
        p->rows[i] = i;
    if (shards == WEFT_SHARDS_LABEL)
        order_by_label(data, p->rows);
    if (shards == WEFT_SHARDS_SHUFFLE)
        weft_train_shuffle(seed, p->rows, data->rows);
    *ret = p;
    return 0;
memory:
    weft_logistic_close(&p);
    snprintf(why, cap, "out of memory for %zu rows of %zu coordinates", data->rows, data->dim);
    return -1;
}

void weft_logistic_close(weft_logistic **problem)
{
    weft_logistic *p = *problem;

    *problem = NULL;
    if (p == NULL)
        return;
    free(p->rows);
    free(p->scratch);
    free(p);
}

double weft_logistic_dot(const weft_libsvm *data, size_t row, const double *x)
{
    double sum = 0;

    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        sum += data->value[k] * x[data->index[k]];
    return sum;
}

/* Add the gradient of one row's loss to the sum; x is the float32 model. */
static void add_row_gradient(const weft_libsvm *data, size_t row, const float *x, double *sum)
{
    const double y = data->sign[row];
    double margin = 0, weight;

    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        margin += data->value[k] * (double)x[data->index[k]];
    weight = -y / (1.0 + exp(y * margin));
    for (size_t k = data->start[row]; k < data->start[row + 1]; k++)
        sum[data->index[k]] += weight * data->value[k];
}

/* Mean of count summed rows, plus the l2 term, rounded once to float32. */
static void finish_gradient(weft_logistic *p, size_t count, const float *x, float *ret_gradient)
{
    for (size_t j = 0; j < p->data->dim; j++)
        ret_gradient[j] = (float)(p->scratch[j] / (double)count + p->l2 * (double)x[j]);
}

void weft_logistic_gradient(weft_logistic *problem, int rank, const float *x, float *ret_gradient)
{
    const size_t *rows = problem->rows + (size_t)rank * problem->shard_rows;

    memset(problem->scratch, 0, problem->data->dim * sizeof(*problem->scratch));
    for (size_t i = 0; i < problem->shard_rows; i++)
        add_row_gradient(problem->data, rows[i], x, problem->scratch);
    finish_gradient(problem, problem->shard_rows, x, ret_gradient);
}

void weft_logistic_minibatch(weft_logistic *problem, int rank, const size_t *rows, size_t count,
                             const float *x, float *ret_gradient)
{
    const size_t *shard = problem->rows + (size_t)rank * problem->shard_rows;

    memset(problem->scratch, 0, problem->data->dim * sizeof(*problem->scratch));
    for (size_t i = 0; i < count; i++)
        add_row_gradient(problem->data, shard[rows[i]], x, problem->scratch);
    finish_gradient(problem, count, x, ret_gradient);
}

double weft_logistic_loss(const weft_logistic *problem, size_t first, size_t count, const double *x,
                          double *ret_gradient)
{
    const weft_libsvm *d = problem->data;
    double sum = 0, lost = 0; /* Neumaier's compensated sum: f* is wanted to 1e-13 */

    if (ret_gradient != NULL)
        memset(ret_gradient, 0, d->dim * sizeof(*ret_gradient));
    for (size_t i = first; i < first + count; i++) {
        const size_t row = problem->rows[i];
        const double y = d->sign[row];
        const double t = y * weft_logistic_dot(d, row, x);
        const double loss = t > 0 ? log1p(exp(-t)) : -t + log1p(exp(t));
        const double next = sum + loss;

        lost += fabs(sum) >= fabs(loss) ? (sum - next) + loss : (loss - next) + sum;
        sum = next;
        if (ret_gradient != NULL) {
            const double weight = -y / (1.0 + exp(t));

            for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
                ret_gradient[d->index[k]] += weight * d->value[k];
        }
    }
    return sum + lost;
}

double weft_logistic_value(const weft_logistic *problem, double mean_loss, const double *x)
{
    double square = 0, absolute = 0;

    for (size_t j = 0; j < problem->data->dim; j++) {
        square += x[j] * x[j];
        absolute += fabs(x[j]);
    }
    return mean_loss + problem->l2 / 2 * square + problem->l1 * absolute;
}

double weft_logistic_slope(const weft_logistic *problem, const double *mean_loss_gradient,
                           const double *x)
{
    double square = 0;

    for (size_t j = 0; j < problem->data->dim; j++) {
        double s = mean_loss_gradient[j] + problem->l2 * x[j];

        if (x[j] != 0)
            s += x[j] > 0 ? problem->l1 : -problem->l1;
        else
            s = fmax(fabs(s) - problem->l1, 0);
        square += s * s;
    }
    return sqrt(square);
}
