/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smoothness constants of linear problems, each to 1e-12 relative, c being the largest second
 * derivative of the loss (logistic: 1/4):
 *
 *   L    = c lambda_max(A^T A) / N + l2 over the N used rows
 *   Lmax = the largest of the same over the rows of one peer
 *   Lrow = max over the used rows of c |a|^2 + l2
 *
 * Eigenvalues by Lanczos with full reorthogonalization, restarted from the Ritz vector: products
 * with A and A^T only, so a data set of any width fits.
 */
#ifndef WEFT_TOOLS_PROBLEM_SPECTRUM_H
#define WEFT_TOOLS_PROBLEM_SPECTRUM_H

#include "problem_linear.h"

/* out = A^T A in, dim doubles each. */
typedef void weft_gram(const void *user, const double *in, double *out);

/* lambda_max(A^T A). 0, or -1 with the reason in why. */
int weft_lambda_max(weft_gram *multiply, const void *user, size_t dim, double *ret, char *why,
                    size_t cap);

/* The data's part: without l2. 0, or -1 with the reason in why. */
int weft_linear_spectrum(const weft_linear *problem, weft_constants *ret, char *why, size_t cap);

/* lambda_max(A^T A) of the used rows first … first+count-1. 0, or -1 with the reason in why. */
int weft_linear_lambda(const weft_linear *problem, size_t first, size_t count, double *ret,
                       char *why, size_t cap);

#endif
