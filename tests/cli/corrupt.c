/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands before the library (LD_PRELOAD) and spoils one element of an allreduce's result on the
 * rank that CORRUPT_RANK names, where the vector is long enough to be a benchmark's: its check must
 * see it. Proofs of plans for CORRUPT_PROOF peers fail.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>
#include <weft/explain.h>
#include <weft/group.h>

typedef int allreduce_fn(weft_group *, const void *, void *, size_t, weft_dtype, weft_op,
                         const weft_coll_opts *);

typedef int verify_fn(const weft_query *, weft_proof *);

enum { LONG = 2000 };

int weft_allreduce(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                   weft_op op, const weft_coll_opts *opts)
{
    const char *rank = getenv("CORRUPT_RANK");
    void *found = dlsym(RTLD_NEXT, "weft_allreduce");
    allreduce_fn *next;
    memcpy(&next, &found, sizeof(next));
    const int status = next(group, in, out, count, dtype, op, opts);
    if (status == WEFT_OK && rank != NULL && atoi(rank) == weft_group_rank(group) &&
        dtype == WEFT_F32 && count >= LONG) {
        ((unsigned char *)out)[(count / 2) * sizeof(float)] ^= 1;
    }
    return status;
}

int weft_verify(const weft_query *query, weft_proof *ret)
{
    const char *peers = getenv("CORRUPT_PROOF");
    void *found = dlsym(RTLD_NEXT, "weft_verify");
    verify_fn *next;
    memcpy(&next, &found, sizeof(next));
    if (peers == NULL || atoi(peers) != query->peers) {
        return next(query, ret);
    }
    weft_query wrong = *query;
    wrong.size = 0; /* a text to tell */
    (void)next(&wrong, ret);
    return WEFT_EINTERNAL;
}
