/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives' entry points: the public shape of each, and nothing else. */
#include <string.h>

#include "base/status.h"
#include "group/call.h"
#include <weft/collective.h>

static int start(weft_group *g, const weft_call *c, weft_request **ret)
{
    weft_request *r = NULL;
    if (ret == NULL) {
        return weft_fail(WEFT_EINVAL, "%s: nowhere to put the request", weft_coll_name(c->coll));
    }
    int rc = weft_call_make(g, c, &r);
    if (rc == WEFT_OK) {
        rc = weft_loop_submit(g->loop, r);
    }
    if (rc != WEFT_OK) {
        weft_request_discard(r);
        return rc;
    }
    *ret = r;
    return WEFT_OK;
}

static int run(weft_group *g, const weft_call *c)
{
    weft_request *r = NULL;
    int rc = weft_call_make(g, c, &r);
    if (rc != WEFT_OK) {
        return rc;
    }
    rc = weft_loop_run(g->loop, r);
    if (r->loop == NULL) { /* it was not taken */
        weft_request_discard(r);
        return rc;
    }
    if (rc != WEFT_OK) {
        rc = weft_fail_problem(&r->problem);
    }
    weft_request_free(&r);
    return rc;
}

static weft_call allreduce(const void *in, void *out, size_t count, weft_dtype dtype, weft_op op,
                           const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_ALLREDUCE,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .op = op,
                       .opts = opts};
}

int weft_allreduce(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                   weft_op op, const weft_coll_opts *opts)
{
    const weft_call c = allreduce(in, out, count, dtype, op, opts);
    return run(group, &c);
}

int weft_allreduce_start(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                         weft_request **ret)
{
    const weft_call c = allreduce(in, out, count, dtype, op, opts);
    return start(group, &c, ret);
}

static weft_call allgather(const void *in, void *out, size_t count, weft_dtype dtype,
                           const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_ALLGATHER,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .opts = opts};
}

int weft_allgather(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                   const weft_coll_opts *opts)
{
    const weft_call c = allgather(in, out, count, dtype, opts);
    return run(group, &c);
}

int weft_allgather_start(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = allgather(in, out, count, dtype, opts);
    return start(group, &c, ret);
}

static weft_call reduce_scatter(const void *in, void *out, size_t count, weft_dtype dtype,
                                weft_op op, const weft_coll_opts *opts)
{
    weft_call c = allreduce(in, out, count, dtype, op, opts);
    c.coll = WEFT_COLL_REDUCE_SCATTER;
    return c;
}

int weft_reduce_scatter(weft_group *group, const void *in, void *out, size_t count,
                        weft_dtype dtype, weft_op op, const weft_coll_opts *opts)
{
    const weft_call c = reduce_scatter(in, out, count, dtype, op, opts);
    return run(group, &c);
}

int weft_reduce_scatter_start(weft_group *group, const void *in, void *out, size_t count,
                              weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                              weft_request **ret)
{
    const weft_call c = reduce_scatter(in, out, count, dtype, op, opts);
    return start(group, &c, ret);
}

static weft_call broadcast(void *buffer, size_t count, weft_dtype dtype, int root,
                           const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_BROADCAST,
                       .in = buffer,
                       .out = buffer,
                       .count = count,
                       .dtype = dtype,
                       .root = root,
                       .opts = opts};
}

int weft_broadcast(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int root,
                   const weft_coll_opts *opts)
{
    const weft_call c = broadcast(buffer, count, dtype, root, opts);
    return run(group, &c);
}

int weft_broadcast_start(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int root,
                         const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = broadcast(buffer, count, dtype, root, opts);
    return start(group, &c, ret);
}

int weft_barrier(weft_group *group, const weft_coll_opts *opts)
{
    const weft_call c = {.coll = WEFT_COLL_BARRIER, .dtype = WEFT_U8, .opts = opts};
    return run(group, &c);
}

int weft_barrier_start(weft_group *group, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = {.coll = WEFT_COLL_BARRIER, .dtype = WEFT_U8, .opts = opts};
    return start(group, &c, ret);
}
