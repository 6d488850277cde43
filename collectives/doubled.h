/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange of whole vectors over distances 1, 2, 4, …, for any number of ranks. */
#ifndef WEFT_COLLECTIVES_DOUBLED_H
#define WEFT_COLLECTIVES_DOUBLED_H

#include "collectives/algo.h"

/* Where P is no power of two, P - Q ranks give their vector to another one first, and get the
 * result back at the end, with Q the largest power of two up to P. */
typedef enum weft_fold_of {
    WEFT_FOLD_NEIGHBOURS, /* 2i+1 to 2i, for the first of them: runs of neighbours stay together */
    WEFT_FOLD_BEHIND      /* Q+i to i (gTop-k as it is published) */
} weft_fold_of;

int weft_doubled_power(int size); /* Q */
int weft_doubled(weft_plan *p, const weft_shape *s, weft_fold_of fold);

#endif
