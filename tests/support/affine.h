/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps x -> a x + b over 32-bit integers, packed into 64 bits: their composition is associative and
 * does not commute, so that the composition of many tells their order.
 */
#ifndef WEFT_TESTS_AFFINE_H
#define WEFT_TESTS_AFFINE_H

#include <stdint.h>

#include "base/rng.h"

/* A map of its own for each rank and element. a is odd: no composition forgets what came before. */
static inline uint64_t affine_map(int rank, uint64_t index)
{
    weft_rng rng = {.state = (uint64_t)rank * UINT64_C(0x9e3779b97f4a7c15) + index};
    return weft_rng_u64(&rng) | 1;
}

/* The lower half is a, the upper b. First f, then g. */
static inline uint64_t affine_then(uint64_t f, uint64_t g)
{
    const uint32_t a = (uint32_t)g * (uint32_t)f;
    const uint32_t b = (uint32_t)g * (uint32_t)(f >> 32) + (uint32_t)(g >> 32);
    return (uint64_t)b << 32 | a;
}

/* Ranks first … last in order. */
static inline uint64_t affine_chain(int first, int last, uint64_t index)
{
    uint64_t all = affine_map(first, index);
    for (int rank = first + 1; rank <= last; rank++) {
        all = affine_then(all, affine_map(rank, index));
    }
    return all;
}

#endif
