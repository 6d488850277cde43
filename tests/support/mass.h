/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that peers bring to a sum is lost: it is in the result, or in somebody's residual. */
#ifndef WEFT_TESTS_SUPPORT_MASS_H
#define WEFT_TESTS_SUPPORT_MASS_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "support/cluster.h"

/* Of each element the sum over all peers of a + b; b NULL: of a alone. */
static inline int mass_of(const member *me, const float *a, const float *b, size_t count,
                          double *sum)
{
    for (size_t i = 0; i < count; i++) {
        sum[i] = (double)a[i] + (b != NULL ? (double)b[i] : 0.0);
    }
    return weft_allreduce(me->group, sum, sum, count, WEFT_F64, WEFT_SUM, NULL);
}

/* *ret: the first element of which result and residuals are not, up to room, what there was before,
 * by mass_of(); count: of all they are. */
static inline int mass_lost(const member *me, const double *before, const float *residual,
                            const float *result, size_t count, double room, size_t *ret)
{
    double *after = malloc(count * sizeof(double) + 1);
    int rc = after != NULL ? mass_of(me, residual, NULL, count, after) : WEFT_ENOMEM;
    size_t i = 0;
    while (rc == WEFT_OK && i < count && fabs(before[i] - after[i] - (double)result[i]) <= room) {
        i++;
    }
    if (rc == WEFT_OK) {
        *ret = i;
    }
    free(after);
    return rc;
}

/* How many are not 0. */
static inline size_t nonzero_of(const float *v, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += v[i] != 0.0f;
    }
    return n;
}

#endif
