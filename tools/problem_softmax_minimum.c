/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_softmax.h"

#define ROUNDS 200       /* Newton steps */
#define CG_STEPS 2000    /* on one quadratic model */
#define HALVINGS 50      /* of a step that does not descend */
#define PROMISED 1e-13   /* accuracy of f* */
#define RESOLVED 1e-15   /* below, a decrease is not visible in f */
#define WORK_MAX 2.5e9   /* multiply-adds of the search: about ten seconds */
#define PASS_GUESS 300.0 /* passes over the rows that a search takes */

typedef struct newton {
    weft_problem *problem;
    size_t dim;
    double *w, *gradient, *trial, *step, *r, *p, *hp, *probability;
} newton;

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;

    for (size_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

/* f at w; leaves the gradient behind when asked. */
static double value(const newton *n, const double *w, double *ret_gradient)
{
    const weft_problem *p = n->problem;
    const double rows = (double)p->cut.used;
    const double mean = weft_softmax_loss(p, 0, p->cut.used, w, ret_gradient) / rows;

    if (ret_gradient != NULL) {
        for (size_t j = 0; j < n->dim; j++)
            ret_gradient[j] = ret_gradient[j] / rows + p->l2 * w[j];
    }
    return weft_penalized(mean, w, n->dim, 0, p->l2);
}

/* The class probabilities of every row at w. */
static void set_probabilities(newton *n)
{
    const weft_problem *p = n->problem;
    const weft_softmax *s = p->own;

    for (size_t i = 0; i < p->cut.used; i++) {
        double *own = n->probability + i * s->classes;

        weft_dataset_times(p->data, p->cut.rows[i], n->w, p->data->dim, s->classes, own);
        (void)weft_softmax_row(own, s->classes, 0);
    }
}

/* hp = H p: for each row (diag(q) - q q^T) applied to its logits along p. */
static void apply_hessian(const newton *n, const double *p, double *hp)
{
    const weft_problem *problem = n->problem;
    const weft_softmax *s = problem->own;

    memset(hp, 0, n->dim * sizeof(*hp));
    for (size_t i = 0; i < problem->cut.used; i++) {
        const double *q = n->probability + i * s->classes;
        const size_t row = problem->cut.rows[i];
        double mean = 0;

        weft_dataset_times(problem->data, row, p, problem->data->dim, s->classes, s->weights);
        for (size_t c = 0; c < s->classes; c++)
            mean += q[c] * s->weights[c];
        for (size_t c = 0; c < s->classes; c++)
            s->weights[c] = q[c] * (s->weights[c] - mean);
        weft_dataset_add(problem->data, row, s->weights, s->classes, hp);
    }
    for (size_t j = 0; j < n->dim; j++)
        hp[j] = hp[j] / (double)problem->cut.used + problem->l2 * p[j];
}

/* Newton step by conjugate gradients; the nearer to the minimum, the more exact. */
static void conjugate(newton *n, double slope)
{
    const double wanted = fmin(0.1, sqrt(slope)) * slope;
    double rho = 0;

    memset(n->step, 0, n->dim * sizeof(*n->step));
    for (size_t j = 0; j < n->dim; j++)
        n->p[j] = n->r[j] = -n->gradient[j];
    rho = dot(n->r, n->r, n->dim);
    for (int i = 0; i < CG_STEPS && sqrt(rho) > wanted; i++) {
        const double before = rho;
        double alpha;

        apply_hessian(n, n->p, n->hp);
        alpha = rho / dot(n->p, n->hp, n->dim);
        for (size_t j = 0; j < n->dim; j++) {
            n->step[j] += alpha * n->p[j];
            n->r[j] -= alpha * n->hp[j];
        }
        rho = dot(n->r, n->r, n->dim);
        for (size_t j = 0; j < n->dim; j++)
            n->p[j] = n->r[j] + rho / before * n->p[j];
    }
}

/* Go along the step as far as f falls; where rounding hides whether it does, the whole of it. */
static bool line_search(newton *n, double f, double change)
{
    double t = 1;

    for (int i = 0; i < HALVINGS; i++, t /= 2) {
        for (size_t j = 0; j < n->dim; j++)
            n->trial[j] = n->w[j] + t * n->step[j];
        if (-change > RESOLVED * fabs(f) && value(n, n->trial, NULL) > f + 1e-4 * t * change)
            continue;
        memcpy(n->w, n->trial, n->dim * sizeof(*n->w));
        return true;
    }
    return false;
}

/* From w = 0. f - f* is at most |gradient|^2 / (2 l2). false: not to 1e-13. */
static bool minimize(newton *n, double *ret_fstar)
{
    const double l2 = n->problem->l2;
    double f = value(n, n->w, n->gradient), slope = 0;

    for (int round = 0; round < ROUNDS; round++) {
        slope = sqrt(dot(n->gradient, n->gradient, n->dim));
        if (slope * slope / (2 * l2) <= RESOLVED)
            break;
        set_probabilities(n);
        conjugate(n, slope);
        if (!line_search(n, f, dot(n->gradient, n->step, n->dim)))
            break;
        f = value(n, n->w, n->gradient);
    }
    slope = sqrt(dot(n->gradient, n->gradient, n->dim));
    *ret_fstar = f;
    return slope * slope / (2 * l2) <= PROMISED;
}

int weft_softmax_minimum(weft_problem *problem, double *ret_fstar, char *why, size_t cap)
{
    const weft_softmax *s = problem->own;
    const double pass = 2 * (double)problem->data->nonzeros * (double)s->classes;
    newton n = {.problem = problem, .dim = problem->dim};
    double **const vectors[] = {&n.w, &n.gradient, &n.trial, &n.step, &n.r, &n.p, &n.hp};
    int status = 0;

    if (problem->l2 <= 0 || problem->l1 > 0 || pass * PASS_GUESS > WORK_MAX) {
        *ret_fstar = (double)NAN;
        return 0;
    }
    n.probability = calloc(problem->cut.used, s->classes * sizeof(*n.probability));
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        *vectors[i] = calloc(n.dim, sizeof(double));
        if (*vectors[i] == NULL || n.probability == NULL)
            status = -1;
    }
    if (status != 0)
        snprintf(why, cap, "out of memory for Newton's method in %zu coordinates", n.dim);
    else if (!minimize(&n, ret_fstar))
        *ret_fstar = (double)NAN; /* it is a help, not the task */
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
        free(*vectors[i]);
    free(n.probability);
    return status;
}
