/* SPDX-License-Identifier: Apache-2.0 */
/* One test for each algorithm: the positions in the table, for cr_make_param_array(). */
#ifndef WEFT_TESTS_SUPPORT_ROWS_H
#define WEFT_TESTS_SUPPORT_ROWS_H

#include "collectives/algo.h"

enum { ROWS_MOST = 96 };

/* Takes what any codec gives, so that its result is the sum of contributions. */
static inline bool rows_any_codec(const weft_algo *a)
{
    return (a->needs & ~(uint32_t)(WEFT_NEEDS_MERGE | WEFT_NEEDS_ELEMENTS)) == 0;
}

/* Fills rows; how many. */
static inline size_t rows_all(int rows[ROWS_MOST])
{
    size_t count = 0;
    while (count < ROWS_MOST && weft_algo_at((int)count) != NULL) {
        rows[count] = (int)count;
        count++;
    }
    return count;
}

#endif
