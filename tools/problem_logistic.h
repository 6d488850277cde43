/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regularized logistic regression on the shards of a data set.
 *
 *   f(x) = (1/N) sum over the N used rows of log(1 + exp(-y a.x)) + (l2/2) |x|^2 + l1 |x|_1
 *
 * Each of n peers holds m = floor(rows/n) rows, N = n m; f_i is the same over a peer's own rows, so
 * that f is the mean of the f_i. Gradients leave the l1 term out: it is the optimizer's, by prox.
 * Everything is accumulated in double precision, in row order.
 */
#ifndef WEFT_TOOLS_PROBLEM_LOGISTIC_H
#define WEFT_TOOLS_PROBLEM_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

#include "libsvm.h"

/* How rows are ordered before they are cut into shards. */
typedef enum weft_shards {
    WEFT_SHARDS_FILE,    /* as in the file */
    WEFT_SHARDS_SHUFFLE, /* Fisher-Yates from the seed (train_random.h) */
    WEFT_SHARDS_LABEL    /* stable sort, smaller label first */
} weft_shards;

typedef struct weft_logistic {
    const weft_libsvm *data; /* borrowed */
    size_t *rows;            /* used row numbers of data, shard after shard */
    size_t used;             /* N */
    size_t shard_rows;       /* m */
    int peers;               /* n */
    double l1, l2;           /* set by the caller; 0 at first */
    double *scratch;         /* dim doubles */
} weft_logistic;

/* Cut the data into shards. 0, or -1 with the reason in why. */
int weft_logistic_open(weft_logistic **ret, const weft_libsvm *data, int peers, weft_shards shards,
                       uint64_t seed, char *why, size_t cap);
/* Free it. NULL-safe, sets *problem to NULL. */
void weft_logistic_close(weft_logistic **problem);

/* Gradient of f_rank at x (without l1): dim floats each. */
void weft_logistic_gradient(weft_logistic *problem, int rank, const float *x, float *ret_gradient);

/* The same over count rows of the shard, given by their numbers 0 … m-1 (repeats count). */
void weft_logistic_minibatch(weft_logistic *problem, int rank, const size_t *rows, size_t count,
                             const float *x, float *ret_gradient);

/* Sum of log(1 + exp(-y a.x)) over the used rows first … first+count-1, and, where ret_gradient is
 * not NULL, the sum's gradient (dim doubles). */
double weft_logistic_loss(const weft_logistic *problem, size_t first, size_t count, const double *x,
                          double *ret_gradient);

/* f at x, given the mean loss there. */
double weft_logistic_value(const weft_logistic *problem, double mean_loss, const double *x);

/* Euclidean norm of the smallest subgradient of f at x, given the gradient of the mean loss. For
 * l1 = 0 it is the norm of the gradient. */
double weft_logistic_slope(const weft_logistic *problem, const double *mean_loss_gradient,
                           const double *x);

/* a.x of one row of the data. */
double weft_logistic_dot(const weft_libsvm *data, size_t row, const double *x);

#endif
