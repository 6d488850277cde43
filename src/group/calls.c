/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives' entry points: the public shape of each, and nothing else. */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "group/call.h"
#include "group/dry_run.h"
#include <weft/collective.h>

static int start(weft_group *g, const weft_call *c, weft_request **ret)
{
    weft_request *r = NULL;
    if (ret == NULL) {
        return weft_fail(WEFT_EINVAL, "%s: nowhere to put the request", weft_coll_name(c->coll));
    }
    const int rc = weft_call_make(g, c, &r);
    return rc == WEFT_OK ? weft_call_start(g->loop, r, ret) : rc;
}

static int run(weft_group *g, const weft_call *c)
{
    weft_request *r = NULL;
    const int rc = weft_call_make(g, c, &r);
    return rc == WEFT_OK ? weft_call_run(g->loop, r, NULL) : rc;
}

static weft_call allreduce_call(const void *in, void *out, size_t count, weft_dtype dtype,
                                weft_op op, const weft_coll_opts *opts)
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
    const weft_call c = allreduce_call(in, out, count, dtype, op, opts);
    return run(group, &c);
}

int weft_allreduce_dry_run(weft_group *group, const void *in, void *out, size_t count,
                           weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                           char ret_algo[WEFT_DRY_ALGO])
{
    const weft_call c = allreduce_call(in, out, count, dtype, op, opts);
    weft_request *r = NULL;
    const int code = weft_call_make(group, &c, &r);
    if (code == WEFT_OK) {
        snprintf(ret_algo, WEFT_DRY_ALGO, "%s", r->algo);
        weft_request_discard(r);
    }
    return code;
}

int weft_allreduce_start(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                         weft_request **ret)
{
    const weft_call c = allreduce_call(in, out, count, dtype, op, opts);
    return start(group, &c, ret);
}

static weft_call reduce_call(const void *in, void *out, size_t count, weft_dtype dtype, weft_op op,
                             int root, const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_REDUCE,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .op = op,
                       .root = root,
                       .opts = opts};
}

int weft_reduce(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                weft_op op, int root, const weft_coll_opts *opts)
{
    const weft_call c = reduce_call(in, out, count, dtype, op, root, opts);
    return run(group, &c);
}

int weft_reduce_start(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                      weft_op op, int root, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = reduce_call(in, out, count, dtype, op, root, opts);
    return start(group, &c, ret);
}

static weft_call allgather_call(const void *in, void *out, size_t count, weft_dtype dtype,
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
    const weft_call c = allgather_call(in, out, count, dtype, opts);
    return run(group, &c);
}

int weft_allgather_start(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = allgather_call(in, out, count, dtype, opts);
    return start(group, &c, ret);
}

static weft_call allgatherv_call(const void *in, void *out, const size_t *counts,
                                 const size_t *offsets, weft_dtype dtype,
                                 const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_ALLGATHER,
                       .in = in,
                       .out = out,
                       .lengths = true,
                       .out_counts = counts,
                       .out_offsets = offsets,
                       .dtype = dtype,
                       .opts = opts};
}

int weft_allgatherv(weft_group *group, const void *in, void *out, const size_t *counts,
                    const size_t *offsets, weft_dtype dtype, const weft_coll_opts *opts)
{
    const weft_call c = allgatherv_call(in, out, counts, offsets, dtype, opts);
    return run(group, &c);
}

int weft_allgatherv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                          const size_t *offsets, weft_dtype dtype, const weft_coll_opts *opts,
                          weft_request **ret)
{
    const weft_call c = allgatherv_call(in, out, counts, offsets, dtype, opts);
    return start(group, &c, ret);
}

static weft_call gather_call(const void *in, void *out, size_t count, weft_dtype dtype, int root,
                             const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_GATHER,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .root = root,
                       .opts = opts};
}

int weft_gather(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                int root, const weft_coll_opts *opts)
{
    const weft_call c = gather_call(in, out, count, dtype, root, opts);
    return run(group, &c);
}

int weft_gather_start(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                      int root, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = gather_call(in, out, count, dtype, root, opts);
    return start(group, &c, ret);
}

static weft_call gatherv_call(const void *in, void *out, const size_t *counts,
                              const size_t *offsets, weft_dtype dtype, int root,
                              const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_GATHER,
                       .in = in,
                       .out = out,
                       .lengths = true,
                       .out_counts = counts,
                       .out_offsets = offsets,
                       .dtype = dtype,
                       .root = root,
                       .opts = opts};
}

int weft_gatherv(weft_group *group, const void *in, void *out, const size_t *counts,
                 const size_t *offsets, weft_dtype dtype, int root, const weft_coll_opts *opts)
{
    const weft_call c = gatherv_call(in, out, counts, offsets, dtype, root, opts);
    return run(group, &c);
}

int weft_gatherv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                       const size_t *offsets, weft_dtype dtype, int root,
                       const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = gatherv_call(in, out, counts, offsets, dtype, root, opts);
    return start(group, &c, ret);
}

static weft_call scatter_call(const void *in, void *out, size_t count, weft_dtype dtype, int root,
                              const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_SCATTER,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .root = root,
                       .opts = opts};
}

int weft_scatter(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                 int root, const weft_coll_opts *opts)
{
    const weft_call c = scatter_call(in, out, count, dtype, root, opts);
    return run(group, &c);
}

int weft_scatter_start(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                       int root, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = scatter_call(in, out, count, dtype, root, opts);
    return start(group, &c, ret);
}

static weft_call scatterv_call(const void *in, void *out, const size_t *counts,
                               const size_t *offsets, weft_dtype dtype, int root,
                               const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_SCATTER,
                       .in = in,
                       .out = out,
                       .lengths = true,
                       .in_counts = counts,
                       .in_offsets = offsets,
                       .dtype = dtype,
                       .root = root,
                       .opts = opts};
}

int weft_scatterv(weft_group *group, const void *in, void *out, const size_t *counts,
                  const size_t *offsets, weft_dtype dtype, int root, const weft_coll_opts *opts)
{
    const weft_call c = scatterv_call(in, out, counts, offsets, dtype, root, opts);
    return run(group, &c);
}

int weft_scatterv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                        const size_t *offsets, weft_dtype dtype, int root,
                        const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = scatterv_call(in, out, counts, offsets, dtype, root, opts);
    return start(group, &c, ret);
}

static weft_call reduce_scatter_call(const void *in, void *out, size_t count, weft_dtype dtype,
                                     weft_op op, const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_REDUCE_SCATTER,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .op = op,
                       .opts = opts};
}

int weft_reduce_scatter(weft_group *group, const void *in, void *out, size_t count,
                        weft_dtype dtype, weft_op op, const weft_coll_opts *opts)
{
    const weft_call c = reduce_scatter_call(in, out, count, dtype, op, opts);
    return run(group, &c);
}

int weft_reduce_scatter_start(weft_group *group, const void *in, void *out, size_t count,
                              weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                              weft_request **ret)
{
    const weft_call c = reduce_scatter_call(in, out, count, dtype, op, opts);
    return start(group, &c, ret);
}

static weft_call reduce_scatterv_call(const void *in, void *out, const size_t *counts,
                                      const size_t *offsets, weft_dtype dtype, weft_op op,
                                      const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_REDUCE_SCATTER,
                       .in = in,
                       .out = out,
                       .lengths = true,
                       .in_counts = counts,
                       .in_offsets = offsets,
                       .dtype = dtype,
                       .op = op,
                       .opts = opts};
}

int weft_reduce_scatterv(weft_group *group, const void *in, void *out, const size_t *counts,
                         const size_t *offsets, weft_dtype dtype, weft_op op,
                         const weft_coll_opts *opts)
{
    const weft_call c = reduce_scatterv_call(in, out, counts, offsets, dtype, op, opts);
    return run(group, &c);
}

int weft_reduce_scatterv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                               const size_t *offsets, weft_dtype dtype, weft_op op,
                               const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = reduce_scatterv_call(in, out, counts, offsets, dtype, op, opts);
    return start(group, &c, ret);
}

static weft_call alltoall_call(const void *in, void *out, size_t count, weft_dtype dtype,
                               const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_ALLTOALL,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .opts = opts};
}

int weft_alltoall(weft_group *group, const void *in, void *out, size_t count, weft_dtype dtype,
                  const weft_coll_opts *opts)
{
    const weft_call c = alltoall_call(in, out, count, dtype, opts);
    return run(group, &c);
}

int weft_alltoall_start(weft_group *group, const void *in, void *out, size_t count,
                        weft_dtype dtype, const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = alltoall_call(in, out, count, dtype, opts);
    return start(group, &c, ret);
}

static weft_call alltoallv_call(const void *in, const size_t *in_counts, const size_t *in_offsets,
                                void *out, const size_t *out_counts, const size_t *out_offsets,
                                weft_dtype dtype, const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_ALLTOALL,
                       .in = in,
                       .out = out,
                       .lengths = true,
                       .in_counts = in_counts,
                       .in_offsets = in_offsets,
                       .out_counts = out_counts,
                       .out_offsets = out_offsets,
                       .dtype = dtype,
                       .opts = opts};
}

int weft_alltoallv(weft_group *group, const void *in, const size_t *in_counts,
                   const size_t *in_offsets, void *out, const size_t *out_counts,
                   const size_t *out_offsets, weft_dtype dtype, const weft_coll_opts *opts)
{
    const weft_call c =
        alltoallv_call(in, in_counts, in_offsets, out, out_counts, out_offsets, dtype, opts);
    return run(group, &c);
}

int weft_alltoallv_start(weft_group *group, const void *in, const size_t *in_counts,
                         const size_t *in_offsets, void *out, const size_t *out_counts,
                         const size_t *out_offsets, weft_dtype dtype, const weft_coll_opts *opts,
                         weft_request **ret)
{
    const weft_call c =
        alltoallv_call(in, in_counts, in_offsets, out, out_counts, out_offsets, dtype, opts);
    return start(group, &c, ret);
}

static weft_call broadcast_call(void *buffer, size_t count, weft_dtype dtype, int root,
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
    const weft_call c = broadcast_call(buffer, count, dtype, root, opts);
    return run(group, &c);
}

int weft_broadcast_start(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int root,
                         const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = broadcast_call(buffer, count, dtype, root, opts);
    return start(group, &c, ret);
}

static weft_call neighbor_average_call(const void *in, void *out, size_t count, weft_dtype dtype,
                                       const weft_topology *topology, const weft_coll_opts *opts)
{
    return (weft_call){.coll = WEFT_COLL_NEIGHBOR_AVERAGE,
                       .in = in,
                       .out = out,
                       .count = count,
                       .dtype = dtype,
                       .topology = topology,
                       .opts = opts};
}

int weft_neighbor_average(weft_group *group, const void *in, void *out, size_t count,
                          weft_dtype dtype, const weft_topology *topology,
                          const weft_coll_opts *opts)
{
    const weft_call c = neighbor_average_call(in, out, count, dtype, topology, opts);
    return run(group, &c);
}

int weft_neighbor_average_start(weft_group *group, const void *in, void *out, size_t count,
                                weft_dtype dtype, const weft_topology *topology,
                                const weft_coll_opts *opts, weft_request **ret)
{
    const weft_call c = neighbor_average_call(in, out, count, dtype, topology, opts);
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
