/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smoothness constants of logistic regression, each to 1e-12 relative:
 *
 *   L    = lambda_max(A^T A) / (4 N) + l2 over the N used rows
 *   Lmax = the largest of the same over the rows of one peer
 *   Lrow = max over the used rows of |a|^2 / 4 + l2
 *
 * Eigenvalues by Lanczos with full reorthogonalization, restarted from the Ritz vector: products
 * with A and A^T only, so a data set of any width fits.
 */
#ifndef WEFT_TOOLS_PROBLEM_SPECTRUM_H
#define WEFT_TOOLS_PROBLEM_SPECTRUM_H

#include "problem_logistic.h"

/* The data's part: without l2. */
typedef struct weft_spectrum {
    double all;   /* lambda_max(A^T A) / (4 N) */
    double shard; /* the largest over the shards */
    double row;   /* the largest over the rows */
} weft_spectrum;

/* 0, or -1 with the reason in why. */
int weft_logistic_spectrum(const weft_logistic *problem, weft_spectrum *ret, char *why, size_t cap);

/* lambda_max(A^T A) of the used rows first … first+count-1. 0, or -1 with the reason in why. */
int weft_logistic_lambda(const weft_logistic *problem, size_t first, size_t count, double *ret,
                         char *why, size_t cap);

#endif
