/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The minimum f* of a linear problem (problem_linear.h) to 1e-13 of max(1, f at 0), in double
 * precision. Least squares takes one Newton step, and one or two more to polish.
 *
 * l1 = 0: Newton with line search, steps by Cholesky up to 2048 coordinates and by conjugate
 * gradients above. l1 > 0: proximal Newton on a working set of at most 2048 coordinates; its
 * quadratic model is solved by coordinate descent, then by Cholesky on the support found.
 * The stop is a bound on f - f*: |s|^2 / (2 l2) with s the smallest subgradient, or, for l2 = 0,
 * the decrease the quadratic model still promises.
 */
#ifndef WEFT_TOOLS_PROBLEM_MINIMUM_H
#define WEFT_TOOLS_PROBLEM_MINIMUM_H

#include "problem_linear.h"

/* ret_x (dim doubles) may be NULL. 0, or -1 with the reason in why. */
int weft_linear_minimum(const weft_linear *problem, double *ret_fstar, double *ret_x, char *why,
                        size_t cap);

#endif
