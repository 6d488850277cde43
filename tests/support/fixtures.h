/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors made of a seed, and what reductions of them must be, computed without weft. */
#ifndef WEFT_TESTS_FIXTURES_H
#define WEFT_TESTS_FIXTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/types.h>

/* Element `index` of `rank`'s vector: a small integer (any bits for and, or, xor), such that the
 * operation over a few peers is exact in every type (integers wrap). */
long long fixture_value(weft_op op, uint64_t seed, int rank, uint64_t index);
/* Elements first … of it, count of them. */
void fixture_fill(weft_dtype dtype, weft_op op, uint64_t seed, int rank, uint64_t first, void *out,
                  size_t count);
/* The reduction over ranks 0 … peers-1 of the same elements. */
void fixture_reduce(weft_dtype dtype, weft_op op, uint64_t seed, int peers, uint64_t first,
                    void *out, size_t count);
/* Floats of both signs and of magnitudes from 2^-20 to 2^20: their sum depends on the order. */
void fixture_floats(uint64_t seed, int rank, float *out, size_t count);
/* Fingerprint of the bits. */
uint64_t fixture_digest(const void *data, size_t bytes);

#endif
