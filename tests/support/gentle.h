/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of peers, and whether all hold the same. */
#ifndef WEFT_TESTS_GENTLE_H
#define WEFT_TESTS_GENTLE_H

#include "base/hash.h"
#include "base/rng.h"
#include "support/cluster.h"

/* -1 … 1, different on each peer. */
static inline void gentle(uint64_t seed, int rank, float *v, size_t count)
{
    weft_rng rng = {.state = seed * 8191 + (uint64_t)rank};
    for (size_t i = 0; i < count; i++) {
        v[i] = (float)(2 * weft_rng_unit(&rng) - 1);
    }
}

/* Do all peers hold these bits? */
static inline bool alike(const member *me, const void *v, size_t bytes)
{
    uint64_t mine = weft_hash64(v, bytes), all[CLUSTER_MAX];
    bool same = weft_allgather(me->group, &mine, all, 1, WEFT_U64, NULL) == WEFT_OK;
    for (int r = 0; r < me->size; r++) {
        same = same && all[r] == mine;
    }
    return same;
}

#endif
