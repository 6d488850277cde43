/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of float16 and bfloat16 from numbers, slowly: the check of the library's own rounding.
 */
#ifndef WEFT_TOOLS_HALF_BITS_H
#define WEFT_TOOLS_HALF_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/types.h>

/* Is it WEFT_F16 or WEFT_BF16? */
bool weft_is_half(weft_dtype dtype);
/* Whole numbers up to this one are exact: 2048 or 256. */
int weft_half_exact(weft_dtype dtype);
/* The element nearest to value, which is no NaN; of two equally near ones the even one. */
uint16_t weft_half_bits(weft_dtype dtype, double value);

#endif
