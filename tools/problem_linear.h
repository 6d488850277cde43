/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems whose rows meet the model in one number, a.x, on the shards of a LIBSVM data set.
 *
 *   f(x) = (1/N) sum over the N used rows of loss(a.x, y) + (l2/2) |x|^2 + l1 |x|_1
 *
 * Each of n peers holds m = floor(rows/n) rows, N = n m; f_i is the same over a peer's own rows, so
 * that f is the mean of the f_i. Gradients leave the l1 term out: it is the optimizer's, by prox.
 * Everything is accumulated in double precision, in row order.
 */
#ifndef WEFT_TOOLS_PROBLEM_LINEAR_H
#define WEFT_TOOLS_PROBLEM_LINEAR_H

#include <stdbool.h>

#include "libsvm.h"
#include "problem.h"
#include "shards.h"

/* A convex loss of the margin t = a.x. */
typedef struct weft_loss {
    bool pair;        /* y is the sign of the row's class, else the label as a number */
    double curve_max; /* largest second derivative */
    double (*value)(double t, double y);
    double (*slope)(double t, double y); /* first derivative in t */
    double (*curve)(double t, double y); /* second derivative in t */
} weft_loss;

extern const weft_loss weft_loss_logistic; /* log(1 + exp(-y t)) */
extern const weft_loss weft_loss_square;   /* (t - y)^2 / 2 */

typedef struct weft_linear {
    const weft_loss *loss;
    const weft_libsvm *data; /* borrowed */
    weft_cut cut;
    double l1, l2;   /* set by the caller; 0 at first */
    double *scratch; /* dim doubles */
} weft_linear;

/* Cut the data into shards. 0, or -1 with the reason in why. */
int weft_linear_open(weft_linear **ret, const weft_loss *loss, const weft_libsvm *data, int peers,
                     weft_shards shards, uint64_t seed, char *why, size_t cap);
/* Free it. NULL-safe, sets *problem to NULL. */
void weft_linear_close(weft_linear **problem);

/* y of one row of the data. */
double weft_linear_target(const weft_linear *problem, size_t row);

/* Gradient of f_rank at x (without l1): dim floats each. */
void weft_linear_gradient(weft_linear *problem, int rank, const float *x, float *ret_gradient);

/* The same over count rows of the shard, given by their numbers 0 … m-1 (repeats count). */
void weft_linear_minibatch(weft_linear *problem, int rank, const size_t *rows, size_t count,
                           const float *x, float *ret_gradient);

/* Sum of the losses over the used rows first … first+count-1, and, where ret_gradient is not NULL,
 * the sum's gradient (dim doubles). */
double weft_linear_loss(const weft_linear *problem, size_t first, size_t count, const double *x,
                        double *ret_gradient);

/* f at x, given the mean loss there. */
double weft_linear_value(const weft_linear *problem, double mean_loss, const double *x);

/* Euclidean norm of the smallest subgradient of f at x, given the gradient of the mean loss. For
 * l1 = 0 it is the norm of the gradient. */
double weft_linear_slope(const weft_linear *problem, const double *mean_loss_gradient,
                         const double *x);

/* a.x of one row of the data. */
double weft_linear_dot(const weft_libsvm *data, size_t row, const double *x);

/* What the table's rows are made of (problem.h): own is a weft_linear. */
int weft_linear_problem_open(weft_problem *problem, const weft_loss *loss, char *why, size_t cap);
void weft_linear_problem_close(weft_problem *problem);
void weft_linear_problem_gradient(weft_problem *problem, int rank, const size_t *rows, size_t count,
                                  const float *x, float *ret_gradient);
double weft_linear_problem_loss(weft_problem *problem, size_t first, size_t count, const float *x,
                                double *ret_gradient);
weft_score weft_linear_problem_test(weft_problem *problem, size_t first, size_t count,
                                    const float *x);
int weft_linear_problem_constants(weft_problem *problem, weft_constants *ret, char *why,
                                  size_t cap);
int weft_linear_problem_minimum(weft_problem *problem, double *ret_fstar, char *why, size_t cap);

#endif
