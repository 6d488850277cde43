/* SPDX-License-Identifier: Apache-2.0 */
/* The 16-bit floating types by their definition: slow, and nothing in common with src/kernel. */
#ifndef WEFT_TESTS_HALVES_H
#define WEFT_TESTS_HALVES_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/types.h>

/* WEFT_F16 or WEFT_BF16. */
bool halves_are(weft_dtype dtype);
/* What the bits stand for. */
double halves_value(weft_dtype dtype, uint16_t bits);
/* The nearest to a value that binary32 can hold, of two equally near ones the even one; the quiet
 * NaN without a sign or payload for every NaN. */
uint16_t halves_nearest(weft_dtype dtype, double value);

#endif
