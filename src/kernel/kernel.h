/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector loops. Buffers need no alignment: message bodies start anywhere.
 *
 * Bits do not depend on alignment, length of the call or instruction set: no FMA, no reassociation.
 * The one exception: which NaN of float or double comes out when both operands are NaN.
 */
#ifndef WEFT_KERNEL_KERNEL_H
#define WEFT_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/types.h>

/* dst[i] = a[i] op b[i]; dst may be a or b. MEAN reduces as SUM. */
typedef void weft_reduce_fn(void *dst, const void *a, const void *b, size_t count);

/* The loop for a type and operation; NULL when the pair makes no sense (MEAN of integers, AND
 * of floats). */
weft_reduce_fn *weft_kernel_reduce(weft_dtype dtype, weft_op op);

/* v[i] /= by, rounded to the type first, for halves to binary32; floating types only. */
void weft_kernel_divide(weft_dtype dtype, void *v, size_t count, double by);

/* v[i] = v[i] times by, rounded as for the division; floating types only. */
void weft_kernel_scale(weft_dtype dtype, void *v, size_t count, double by);

/* Norms over floats, in a fixed order: 16 partial results, element i into i mod 16, folded in
 * order at the end. Sums in double. The maximum is infinite or NaN when an element is. */
float weft_kernel_maxabs(const float *v, size_t count);
double weft_kernel_sum(const float *v, size_t count);
double weft_kernel_sumdev(const float *v, size_t count, double mean); /* of (v - mean)^2 */
double weft_kernel_sumabs(const float *v, size_t count);
double weft_kernel_sumsq(const float *v, size_t count);
/* true when every element is finite. */
bool weft_kernel_finite(const float *v, size_t count);

/* Optimizer arithmetic; every operation rounds to binary32, in the order written. */
void weft_kernel_sub(float *dst, const float *a, const float *b, size_t count); /* a - b */
void weft_kernel_add(float *dst, const float *a, const float *b, size_t count); /* a + b */
void weft_kernel_axpy(float *y, float alpha, const float *x, size_t count); /* y + fl(alpha x) */
void weft_kernel_scale_add(float *v, float beta, const float *g, size_t count); /* fl(beta v) + g */
/* x = prox of gamma (l1 |x|_1 + l2/2 |x|^2): soft threshold gamma*l1, then / (1 + gamma*l2). */
void weft_kernel_prox(float *x, float gamma_l1, float one_plus_gamma_l2, size_t count);

/* Magnitudes as whole numbers: the bits of a float without its sign order as the magnitudes do, and
 * those of infinity and NaN are above all others. `least` is such a number or one more, 1 … 2^31.
 *
 * Of v the elements of at least that magnitude, in order: first + i to index, v[i] to value.
 * Returns how many; SIZE_MAX, and anything in index and value, when they are more than room. */
size_t weft_kernel_large(const float *v, size_t count, uint32_t least, uint32_t first,
                         uint32_t *index, float *value, size_t room);
/* Of count pairs those whose value has at least that magnitude, in order, to to_…, and the others
 * to rest_… (both NULL: nowhere). Returns how many went to to_…, which may be the pairs themselves;
 * each place has room for count pairs. */
size_t weft_kernel_part(const uint32_t *index, const float *value, size_t count, uint32_t least,
                        uint32_t *to_index, float *to_value, uint32_t *rest_index,
                        float *rest_value);
/* The magnitudes of v that are low … high - 1, high at most 2^31, in order, to `to`, and how many
 * are high or more. Returns how many went to `to`; SIZE_MAX, and anything there, when they are more
 * than room: *ret_above is untouched then. */
size_t weft_kernel_band(const float *v, size_t count, uint32_t low, uint32_t high, uint32_t *to,
                        size_t room, size_t *ret_above);

#endif
