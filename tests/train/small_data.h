/* SPDX-License-Identifier: Apache-2.0 */
/* Small data sets made on the spot. */
#ifndef WEFT_TESTS_SMALL_DATA_H
#define WEFT_TESTS_SMALL_DATA_H

#include "libsvm.h"

/* Random rows: each coordinate is there with probability density, its value in (-1, 1); labels -1
 * and +1 by a random plane, one in eight turned over. */
weft_libsvm *small_data(size_t rows, size_t dim, double density, uint64_t seed);

/* One column: rows of value 1, the first `positive` of them labelled +1, the rest -1. */
weft_libsvm *one_column(size_t rows, size_t positive);

#endif
