/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_softmax.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_spectrum.h"

#define CURVE_MAX 0.5 /* of the loss in the logits */

double weft_softmax_row(double *logits, size_t classes, size_t class_of)
{
    double top = logits[0], sum = 0, loss;

    for (size_t c = 1; c < classes; c++)
        top = fmax(top, logits[c]);
    loss = top - logits[class_of];
    for (size_t c = 0; c < classes; c++) {
        logits[c] = exp(logits[c] - top);
        sum += logits[c];
    }
    for (size_t c = 0; c < classes; c++)
        logits[c] /= sum;
    return loss + log(sum);
}

/* Loss of one row; its gradient is added where wanted. */
static double row_loss(const weft_problem *p, size_t row, const double *w, double *gradient)
{
    const weft_softmax *s = p->own;
    const size_t class_of = p->data->class_of[row];
    double loss;

    weft_dataset_times(p->data, row, w, p->data->dim, s->classes, s->logits);
    loss = weft_softmax_row(s->logits, s->classes, class_of);
    if (gradient != NULL) {
        s->logits[class_of] -= 1;
        weft_dataset_add(p->data, row, s->logits, s->classes, gradient);
    }
    return loss;
}

double weft_softmax_loss(const weft_problem *problem, size_t first, size_t count, const double *w,
                         double *ret_gradient)
{
    double sum = 0, lost = 0; /* Neumaier's compensated sum: f* is wanted to 1e-13 */

    if (ret_gradient != NULL)
        memset(ret_gradient, 0, problem->dim * sizeof(*ret_gradient));
    for (size_t i = first; i < first + count; i++) {
        const double loss = row_loss(problem, problem->cut.rows[i], w, ret_gradient);
        const double next = sum + loss;

        lost += fabs(sum) >= fabs(loss) ? (sum - next) + loss : (loss - next) + sum;
        sum = next;
    }
    return sum + lost;
}

static double loss_at(weft_problem *problem, size_t first, size_t count, const float *x,
                      double *ret_gradient)
{
    return weft_softmax_loss(problem, first, count, weft_problem_wide(problem, x), ret_gradient);
}

static void gradient_at(weft_problem *problem, int rank, const size_t *rows, size_t count,
                        const float *x, float *ret_gradient)
{
    const size_t *shard = problem->cut.rows + (size_t)rank * problem->cut.shard_rows;
    const double *w = weft_problem_wide(problem, x);
    double *sum = ((weft_softmax *)problem->own)->scratch;

    if (rows == NULL)
        count = problem->cut.shard_rows;
    memset(sum, 0, problem->dim * sizeof(*sum));
    for (size_t i = 0; i < count; i++)
        (void)row_loss(problem, shard[rows == NULL ? i : rows[i]], w, sum);
    for (size_t j = 0; j < problem->dim; j++)
        ret_gradient[j] = (float)(sum[j] / (double)count + problem->l2 * w[j]);
}

static weft_score test_at(weft_problem *problem, size_t first, size_t count, const float *x)
{
    const weft_softmax *s = problem->own;
    const double *w = weft_problem_wide(problem, x);
    weft_score score = {0};

    for (size_t row = first; row < first + count; row++) {
        const size_t class_of = problem->test->class_of[row];
        size_t best = 0;

        weft_dataset_times(problem->test, row, w, problem->data->dim, s->classes, s->logits);
        for (size_t c = 1; c < s->classes; c++)
            best = s->logits[c] > s->logits[best] ? c : best;
        score.right += best == class_of;
        score.loss += weft_softmax_row(s->logits, s->classes, class_of);
    }
    return score;
}

/* Some used rows. */
typedef struct rows_of {
    const weft_problem *problem;
    size_t first, count;
} rows_of;

/* out = A^T A in over the rows. */
static void multiply(const void *user, const double *in, double *out)
{
    const rows_of *r = user;
    const weft_dataset *d = r->problem->data;

    memset(out, 0, d->dim * sizeof(*out));
    for (size_t i = r->first; i < r->first + r->count; i++) {
        const size_t row = r->problem->cut.rows[i];
        double dot = 0;

        weft_dataset_times(d, row, in, d->dim, 1, &dot);
        weft_dataset_add(d, row, &dot, 1, out);
    }
}

static int constants_of(weft_problem *problem, weft_constants *ret, char *why, size_t cap)
{
    const weft_cut *cut = &problem->cut;
    rows_of rows = {problem, 0, cut->used};
    weft_constants c = {0};
    double lambda = 0;

    if (weft_lambda_max(multiply, &rows, problem->data->dim, &lambda, why, cap) != 0)
        return -1;
    c.all = lambda / (double)cut->used * CURVE_MAX;
    rows.count = cut->shard_rows;
    for (rows.first = 0; rows.first < cut->used; rows.first += cut->shard_rows) {
        if (weft_lambda_max(multiply, &rows, problem->data->dim, &lambda, why, cap) != 0)
            return -1;
        c.shard = fmax(c.shard, lambda / (double)cut->shard_rows * CURVE_MAX);
    }
    for (size_t i = 0; i < cut->used; i++)
        c.row = fmax(c.row, weft_dataset_square(problem->data, cut->rows[i]) * CURVE_MAX);
    *ret = c;
    return 0;
}

static int open_it(weft_problem *problem, char *why, size_t cap)
{
    const size_t dim = problem->data->dim, classes = problem->data->class_count;
    weft_softmax *s = calloc(1, sizeof(*s));

    problem->own = s;
    if (s == NULL)
        goto memory;
    if (dim > (size_t)INT32_MAX / classes) {
        snprintf(why, cap, "a model of %zu x %zu numbers is above 2^31", dim, classes);
        return -1;
    }
    s->classes = classes;
    s->logits = calloc(classes, sizeof(*s->logits));
    s->weights = calloc(classes, sizeof(*s->weights));
    s->scratch = calloc(dim * classes, sizeof(*s->scratch));
    if (s->logits != NULL && s->weights != NULL && s->scratch != NULL &&
        weft_problem_add_tensor(problem, "W", dim, classes))
        return 0;
memory:
    snprintf(why, cap, "out of memory for a model of %zu x %zu numbers", dim, classes);
    return -1;
}

static void close_it(weft_problem *problem)
{
    weft_softmax *s = problem->own;

    problem->own = NULL;
    if (s == NULL)
        return;
    free(s->logits);
    free(s->weights);
    free(s->scratch);
    free(s);
}

extern const weft_problem_kind weft_problem_softmax;
const weft_problem_kind weft_problem_softmax = {
    .name = "softmax",
    .summary = "log(sum_c exp(a.w_c)) - a.w_y over the classes c",
    .labels = WEFT_LABELS_CLASSES,
    .slopes = true,
    .convex = true,
    .open = open_it,
    .close = close_it,
    .gradient = gradient_at,
    .loss = loss_at,
    .test = test_at,
    .constants = constants_of,
    .minimum = weft_softmax_minimum,
};
