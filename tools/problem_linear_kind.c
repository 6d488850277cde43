/* SPDX-License-Identifier: Apache-2.0 */
/* Linear problems as rows of the table. */
#include "problem_linear.h"
#include "problem_minimum.h"
#include "problem_spectrum.h"

#include <stdio.h>

int weft_linear_problem_open(weft_problem *problem, const weft_loss *loss, char *why, size_t cap)
{
    weft_linear *own = NULL;

    if (problem->data->sparse == NULL) {
        snprintf(why, cap, "problem %s takes LIBSVM text, this is IDX", problem->kind->name);
        return -1;
    }
    if (weft_linear_open(&own, loss, problem->data->sparse, problem->cut.peers, problem->shards,
                         problem->seed, why, cap) != 0)
        return -1;
    problem->own = own;
    if (weft_problem_add_tensor(problem, "x", problem->data->dim, 1))
        return 0;
    snprintf(why, cap, "out of memory");
    return -1;
}

void weft_linear_problem_close(weft_problem *problem)
{
    weft_linear *own = problem->own;

    weft_linear_close(&own);
    problem->own = NULL;
}

/* With the penalties that the problem has by now. */
static weft_linear *linear_of(weft_problem *problem)
{
    weft_linear *own = problem->own;

    own->l1 = problem->l1;
    own->l2 = problem->l2;
    return own;
}

void weft_linear_problem_gradient(weft_problem *problem, int rank, const size_t *rows, size_t count,
                                  const float *x, float *ret_gradient)
{
    weft_linear *own = linear_of(problem);

    if (rows == NULL)
        weft_linear_gradient(own, rank, x, ret_gradient);
    else
        weft_linear_minibatch(own, rank, rows, count, x, ret_gradient);
}

double weft_linear_problem_loss(weft_problem *problem, size_t first, size_t count, const float *x,
                                double *ret_gradient)
{
    return weft_linear_loss(linear_of(problem), first, count, weft_problem_wide(problem, x),
                            ret_gradient);
}

weft_score weft_linear_problem_test(weft_problem *problem, size_t first, size_t count,
                                    const float *x)
{
    const weft_linear *own = linear_of(problem);
    const weft_libsvm *d = problem->test->sparse;
    const double *wide = weft_problem_wide(problem, x);
    weft_score score = {0};

    for (size_t row = first; row < first + count; row++) {
        const double y = own->loss->pair ? d->sign[row] : d->label[row];
        double margin = 0;

        weft_dataset_times(problem->test, row, wide, problem->dim, 1, &margin);
        score.loss += own->loss->value(margin, y);
        score.right += own->loss->pair && (margin > 0 ? y > 0 : y < 0);
    }
    return score;
}

int weft_linear_problem_constants(weft_problem *problem, weft_constants *ret, char *why, size_t cap)
{
    return weft_linear_spectrum(linear_of(problem), ret, why, cap);
}

int weft_linear_problem_minimum(weft_problem *problem, double *ret_fstar, char *why, size_t cap)
{
    return weft_linear_minimum(linear_of(problem), ret_fstar, NULL, why, cap);
}
