/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers as threads of one process, and a problem whose answer is known.
 */
#ifndef WEFT_TESTS_OPTIM_PEERS_H
#define WEFT_TESTS_OPTIM_PEERS_H

#include <stddef.h>

#include "base/rng.h"
#include <weft/group.h>
#include <weft/optim.h>

enum { PEERS_MAX = 81 };

/* Run body on each of `size` peers, every one a thread with its group over a hub. Assertions
 * belong behind it: a body records what it saw. Fails the test when a group cannot be opened. */
void peers_run(int size, void (*body)(weft_group *group, int rank, void *user), void *user);
/* The same with groups of another timeout than 20 s. */
void peers_run_within(int size, int64_t timeout_ms,
                      void (*body)(weft_group *group, int rank, void *user), void *user);

/*
 * f_i(x) = 1/2 sum_j a_ij (x_j - c_ij)^2, different for every peer, so that the gradients of the
 * f_i at the optimum of f are far from 0.
 */
typedef struct quadratic {
    int peers;
    size_t count;
    double *a, *c;  /* [peer * count + j] */
    double *mean_a; /* of f: sum_j mean_a_j/2 (x_j - center_j)^2 + a constant */
    double *center;
    weft_smoothness smoothness;
} quadratic;

/* A normal number of mean 0 and variance 1 (Box and Muller). */
double peers_normal(weft_rng *rng);

void quadratic_make(quadratic *q, int peers, size_t count);
void quadratic_free(quadratic *q);
void quadratic_gradient(const quadratic *q, int peer, const float *x, float *gradient);
/* f(x) + l1 |x|_1 + l2/2 |x|^2 minus its minimum. */
double quadratic_gap(const quadratic *q, const float *x, double l1, double l2);
/* Options with theory's values of this problem. */
weft_optim_opts quadratic_opts(const quadratic *q, const char *lr, const char *codec);

/*
 * A run: every peer takes `steps` steps with the same SPEC and options from x = 0. Vectors of every
 * step are kept when `keep` is set: [(step * peers + rank) * count], step 0 being the start.
 */
typedef struct run {
    const quadratic *problem;
    const char *spec;
    weft_optim_opts opts;
    int steps;
    int keep;
    float *x, *h, *hbar, *q, *v;    /* NULL where the method holds none (or keep is 0) */
    float *gradient;                /* at x of that step */
    float *last[PEERS_MAX];         /* x at the end */
    int code[PEERS_MAX];            /* first failure */
    char text[PEERS_MAX][256];      /* its words */
    char full[256];                 /* the full SPEC (rank 0) */
    double lr;                      /* in force (rank 0) */
    weft_step_cost cost[PEERS_MAX]; /* of the last step */
} run;

/* Run it; fails the test when a step failed. */
void run_all(run *r);
void run_free(run *r);
/* Step's vector of a peer. */
float *run_at(const run *r, float *vectors, int step, int rank);

#endif
