/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax regression: loss = log(sum_c exp(a.w_c)) - a.w_y over K classes. The model is one matrix
 * W of dim rows and K columns (column c is w_c); there is no bias column.
 *
 * The Hessian of the loss in the logits is diag(p) - p p^T, at most 1/2: L = lambda_max(A^T A) /
 * (2 N) + l2.
 */
#ifndef WEFT_TOOLS_PROBLEM_SOFTMAX_H
#define WEFT_TOOLS_PROBLEM_SOFTMAX_H

#include "problem.h"

typedef struct weft_softmax {
    size_t classes;  /* K */
    double *logits;  /* K: p after weft_softmax_row() */
    double *weights; /* K */
    double *scratch; /* dim doubles of the model */
} weft_softmax;

/* Loss of a row of that class, given its logits; they become the probabilities. */
double weft_softmax_row(double *logits, size_t classes, size_t class_of);

/* Sum of the losses over the used rows first … first+count-1 at w (model in double), and, where
 * ret_gradient is not NULL, the sum's gradient. */
double weft_softmax_loss(const weft_problem *problem, size_t first, size_t count, const double *w,
                         double *ret_gradient);

/* f* by Newton's method with steps by conjugate gradients, l2 > 0 and l1 = 0; NaN for other
 * penalties, and where a pass over the rows costs so much that it would take minutes. 0, or -1 with
 * the reason in why. */
int weft_softmax_minimum(weft_problem *problem, double *ret_fstar, char *why, size_t cap);

#endif
