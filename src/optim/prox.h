/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proximal steps: x = argmin_z R(z) + |z - x|^2/(2 lr), R the sum of what is asked for.
 *   l1 |x|_1 + l2/2 |x|^2:  soft threshold lr l1, then / (1 + lr l2)
 *   group:                  each block of the vector shrunk by lr group sqrt(block) in its norm
 *                           (group lasso), after l1: the sparse group lasso
 *   low <= x <= high:       clipped, last: exact where R is separable, so not with group
 */
#ifndef WEFT_OPTIM_PROX_H
#define WEFT_OPTIM_PROX_H

#include <stdbool.h>
#include <stddef.h>

typedef struct weft_prox {
    double l1, l2, group;
    size_t block;
    double low, high; /* NAN: none */
} weft_prox;

// clang-format off
#define WEFT_PROX_PARAMS                                                                           \
    {.key = "prox_l1", .value = "0", .max = 1e30,                                                  \
     .help = "weight of the l1 norm, by proximal step"},                                           \
    {.key = "prox_l2", .value = "0", .max = 1e30,                                                  \
     .help = "weight of half the squared norm, by proximal step"},                                 \
    {.key = "prox_group", .value = "0", .max = 1e30,                                               \
     .help = "weight of the sum of the blocks' norms times sqrt(block), by proximal step"},        \
    {.key = "prox_block", .value = "8", .min = 1, .max = 1073741824, .integer = 1,                 \
     .help = "elements of a block of prox_group, from the model's first on"},                      \
    {.key = "prox_low", .value = "auto", .min = -1e30, .max = 1e30,                                \
     .help = "least value of an element; auto: none"},                                             \
    {.key = "prox_high", .value = "auto", .min = -1e30, .max = 1e30,                               \
     .help = "largest value of an element; auto: none"},
// clang-format on

bool weft_prox_any(const weft_prox *p);
/* 0, or WEFT_EINVAL: what does not go together. */
int weft_prox_check(const weft_prox *p);
void weft_prox_apply(const weft_prox *p, double lr, float *x, size_t count);
/* The same in double. */
void weft_prox_apply64(const weft_prox *p, double lr, double *x, size_t count);

#endif
