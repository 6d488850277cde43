/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `weft train` can minimize: f(x) = mean loss over the used rows + (l2/2)|x|^2 + l1 |x|_1.
 *
 * A problem is one file problem_NAME.c that defines weft_problem_NAME, and a row of problems.def.
 * f_i is the same mean over the rows of peer i, so that f is the mean of the f_i. Gradients are
 * those of f_i without l1, which is the optimizer's by prox.
 */
#ifndef WEFT_TOOLS_PROBLEM_H
#define WEFT_TOOLS_PROBLEM_H

#include <stdbool.h>

#include "dataset.h"
#include "shards.h"

/* A part of the model: rows x columns floats, row after row; a vector has one column. */
typedef struct weft_problem_tensor {
    char name[12];
    size_t count, rows, columns; /* count = rows x columns */
} weft_problem_tensor;

/* Smoothness of the data's part of f (without l2), of the worst f_i, of the worst row. 0: not
 * known. */
typedef struct weft_constants {
    double all, shard, row;
} weft_constants;

/* Sums over rows: of the loss, and how many were classified right. */
typedef struct weft_score {
    double loss;
    size_t right;
} weft_score;

typedef struct weft_problem weft_problem;

/* Who is told as soon as a tensor's part of a gradient is known, before the whole is. */
typedef struct weft_problem_listener {
    void (*ready)(void *user, size_t tensor, const float *gradient); /* NULL: nobody */
    void *user;
} weft_problem_listener;

typedef struct weft_problem_kind {
    const char *name, *summary;
    weft_labels labels; /* what it makes of a label */
    bool slopes;        /* loss() can tell the gradient */
    bool convex;        /* constants() can be asked */
    /* Are the keys (what stands behind the colon of the SPEC; "": nothing) good? NULL: there are
     * no keys. 0, or -1 with the reason in why. */
    int (*check)(const char *keys, char *why, size_t cap);
    /* Set dim, tensors and own. 0, or -1 with the reason in why. */
    int (*open)(weft_problem *problem, char *why, size_t cap);
    void (*close)(weft_problem *problem);                 /* also after a failed open */
    void (*start)(const weft_problem *problem, float *x); /* NULL: the model starts at 0 */
    /* Gradient of f_rank, or of the mean over count rows of the shard given by their numbers
     * 0 … m-1 (repeats count); rows NULL: the whole shard. */
    void (*gradient)(weft_problem *problem, int rank, const size_t *rows, size_t count,
                     const float *x, float *ret_gradient);
    /* Sum of the losses over the used rows first … first+count-1 in double, and, where ret_gradient
     * is not NULL, its gradient. */
    double (*loss)(weft_problem *problem, size_t first, size_t count, const float *x,
                   double *ret_gradient);
    /* Over rows first … first+count-1 of the test data. */
    weft_score (*test)(weft_problem *problem, size_t first, size_t count, const float *x);
    int (*constants)(weft_problem *problem, weft_constants *ret, char *why, size_t cap);
    /* f* to 1e-13 of max(1, f at the start); NaN when it is not known. NULL: never known. */
    int (*minimum)(weft_problem *problem, double *ret_fstar, char *why, size_t cap);
} weft_problem_kind;

/* One peer's problem. The numbers from l2 on are computed by rank 0 and broadcast. */
struct weft_problem {
    const weft_problem_kind *kind;
    const char *keys;         /* of the SPEC */
    const weft_dataset *data; /* borrowed */
    const weft_dataset *test; /* borrowed; NULL: none */
    weft_problem_listener listener;
    weft_cut cut;
    weft_shards shards;
    uint64_t seed;
    size_t dim;
    weft_problem_tensor *tensors;
    size_t tensor_count;
    double *wide; /* dim doubles for weft_problem_wide() */
    void *own;
    double l1, l2;
    double L, Lmax, Lrow, mu; /* 0: not known */
    double f0, fstar;         /* fstar NaN: not known */
};

/* What a SPEC ("mlp:hidden=128") names. *ret_keys points into spec. 0, or -1 with why. */
int weft_problem_find(const char *spec, const weft_problem_kind **ret, const char **ret_keys,
                      char *why, size_t cap);
const weft_problem_kind *weft_problem_kind_at(size_t index); /* NULL behind the last */
/* Value of a key, "" when it is not there; -1 with why for any other key. */
int weft_problem_key(const char *keys, const char *key, char *ret_value, size_t value_cap,
                     char *why, size_t cap);

/* Open the problem on data that has the labels it wants. test may be NULL. *ret is to be closed
 * even after a failure. 0, or -1 with the reason in why. */
int weft_problem_open(weft_problem *ret, const char *spec, const weft_dataset *data,
                      const weft_dataset *test, int peers, weft_shards shards, uint64_t seed,
                      char *why, size_t cap);
void weft_problem_close(weft_problem *problem);

/* The model before the first step: the same on every peer. */
void weft_problem_start(const weft_problem *problem, float *x);

/* For an open(): name the next tensor; adds to dim. false: out of memory. */
bool weft_problem_add_tensor(weft_problem *problem, const char *name, size_t rows, size_t columns);
/* x in double, until the next call. */
const double *weft_problem_wide(weft_problem *problem, const float *x);

/* f at x, given the mean loss there. */
double weft_problem_value(weft_problem *problem, double mean_loss, const float *x);
/* Euclidean norm of the smallest subgradient of f, given the gradient of the mean loss. */
double weft_problem_slope(weft_problem *problem, const double *mean_loss_gradient, const float *x);

/* The same two for any penalties and vectors in double. */
double weft_penalized(double mean_loss, const double *x, size_t dim, double l1, double l2);
double weft_penalized_slope(const double *mean_loss_gradient, const double *x, size_t dim,
                            double l1, double l2);

#endif
