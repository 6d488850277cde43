/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands before the library (LD_PRELOAD) and spoils one element of the result of an allreduce, a
 * gatherv, a reduce_scatter or an alltoallv, or of what is received, on the rank that CORRUPT_RANK
 * names, where the vector is long enough to be a benchmark's: its check must see it. Of started
 * allreduces it is one of the second's input. Proofs of plans for CORRUPT_PROOF peers fail. With
 * CORRUPT_CODEC a decoded vector has one large element.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/codec.h>
#include <weft/collective.h>
#include <weft/explain.h>
#include <weft/group.h>
#include <weft/p2p.h>

typedef int allreduce_fn(weft_group *, const void *, void *, size_t, weft_dtype, weft_op,
                         const weft_coll_opts *);
typedef int start_fn(weft_group *, const void *, void *, size_t, weft_dtype, weft_op,
                     const weft_coll_opts *, weft_request **);
typedef int gatherv_fn(weft_group *, const void *, void *, const size_t *, const size_t *,
                       weft_dtype, int, const weft_coll_opts *);
typedef int alltoallv_fn(weft_group *, const void *, const size_t *, const size_t *, void *,
                         const size_t *, const size_t *, weft_dtype, const weft_coll_opts *);

typedef int recv_fn(weft_group *, void *, size_t, weft_dtype, int, uint32_t,
                    const weft_coll_opts *);
typedef int decode_fn(const weft_codec *, const void *, size_t, float *, size_t);
typedef int verify_fn(const weft_query *, weft_proof *);

enum { LONG = 2000 };

/* The function of that name behind this library. */
static void behind(const char *name, void *ret, size_t bytes)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(ret, &found, bytes);
}

static int spoil(weft_group *group, int status, void *out, size_t count, weft_dtype dtype)
{
    const char *rank = getenv("CORRUPT_RANK");
    if (status == WEFT_OK && rank != NULL && atoi(rank) == weft_group_rank(group) && out != NULL &&
        dtype == WEFT_F32 && count >= LONG) {
        ((unsigned char *)out)[(count / 2) * sizeof(float)] ^= 1;
    }
    return status;
}

int weft_allreduce(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                   weft_op op, const weft_coll_opts *opts)
{
    allreduce_fn *next;
    behind("weft_allreduce", &next, sizeof(next));
    return spoil(group, next(group, in, out, count, dtype, op, opts), out, count, dtype);
}

int weft_allreduce_start(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                         weft_request **ret)
{
    static int started;
    start_fn *next;
    behind("weft_allreduce_start", &next, sizeof(next));
    if (count >= LONG && ++started == 2) {
        const float wrong = 1e6F;
        void *at = (unsigned char *)(uintptr_t)in + (count / 2) * sizeof(float);
        const char *rank = getenv("CORRUPT_RANK");
        if (rank != NULL && atoi(rank) == weft_group_rank(group)) {
            memcpy(at, &wrong, sizeof(wrong));
        }
    }
    return next(group, in, out, count, dtype, op, opts, ret);
}

int weft_reduce_scatter(weft_group *group, const void *in, void *out, size_t count,
                        weft_dtype dtype, weft_op op, const weft_coll_opts *opts)
{
    allreduce_fn *next;
    behind("weft_reduce_scatter", &next, sizeof(next));
    return spoil(group, next(group, in, out, count, dtype, op, opts), out, count, dtype);
}

int weft_recv(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int from,
              uint32_t tag, const weft_coll_opts *opts)
{
    recv_fn *next;
    behind("weft_recv", &next, sizeof(next));
    return spoil(group, next(group, buffer, count, dtype, from, tag, opts), buffer, count, dtype);
}

int weft_gatherv(weft_group *group, const void *in, void *out, const size_t *counts,
                 const size_t *offsets, weft_dtype dtype, int root, const weft_coll_opts *opts)
{
    gatherv_fn *next;
    behind("weft_gatherv", &next, sizeof(next));
    const int status = next(group, in, out, counts, offsets, dtype, root, opts);
    return spoil(group, status, out, counts[0], dtype);
}

int weft_alltoallv(weft_group *group, const void *in, const size_t *in_counts,
                   const size_t *in_offsets, void *out, const size_t *out_counts,
                   const size_t *out_offsets, weft_dtype dtype, const weft_coll_opts *opts)
{
    alltoallv_fn *next;
    behind("weft_alltoallv", &next, sizeof(next));
    const int status =
        next(group, in, in_counts, in_offsets, out, out_counts, out_offsets, dtype, opts);
    return spoil(group, status, out, out_counts[0], dtype);
}

int weft_codec_decode(const weft_codec *codec, const void *in, size_t len, float *out, size_t count)
{
    decode_fn *next;
    behind("weft_codec_decode", &next, sizeof(next));
    const int status = next(codec, in, len, out, count);
    if (status == WEFT_OK && count > 0 && getenv("CORRUPT_CODEC") != NULL) {
        out[count / 2] = 1e3F;
    }
    return status;
}

int weft_verify(const weft_query *query, weft_proof *ret)
{
    const char *peers = getenv("CORRUPT_PROOF");
    verify_fn *next;
    behind("weft_verify", &next, sizeof(next));
    if (peers == NULL || atoi(peers) != query->peers) {
        return next(query, ret);
    }
    weft_query wrong = *query;
    wrong.size = 0; /* a text to tell */
    (void)next(&wrong, ret);
    return WEFT_EINTERNAL;
}
