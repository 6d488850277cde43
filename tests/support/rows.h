/* SPDX-License-Identifier: Apache-2.0 */
/* One test for each algorithm: the positions in the table, for cr_make_param_array(). */
#ifndef WEFT_TESTS_SUPPORT_ROWS_H
#define WEFT_TESTS_SUPPORT_ROWS_H

#include "collectives/algo.h"

enum { ROWS_MOST = 64 };

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
