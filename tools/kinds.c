/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#include <string.h>

#include <weft/p2p.h>

static int call_allreduce(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_allreduce(g, a->in, a->out, a->count, a->dtype, a->op, a->opts)
                       : weft_allreduce_start(g, a->in, a->out, a->count, a->dtype, a->op, a->opts,
                                              &ret->requests[0]);
}

static int call_reduce(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_reduce(g, a->in, a->out, a->count, a->dtype, a->op, a->root, a->opts)
                       : weft_reduce_start(g, a->in, a->out, a->count, a->dtype, a->op, a->root,
                                           a->opts, &ret->requests[0]);
}

static int call_broadcast(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_broadcast(g, a->out, a->count, a->dtype, a->root, a->opts)
                       : weft_broadcast_start(g, a->out, a->count, a->dtype, a->root, a->opts,
                                              &ret->requests[0]);
}

static int call_allgather(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_allgather(g, a->in, a->out, a->count, a->dtype, a->opts)
                       : weft_allgather_start(g, a->in, a->out, a->count, a->dtype, a->opts,
                                              &ret->requests[0]);
}

static int call_allgatherv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL
               ? weft_allgatherv(g, a->in, a->out, a->out_counts, a->out_offsets, a->dtype, a->opts)
               : weft_allgatherv_start(g, a->in, a->out, a->out_counts, a->out_offsets, a->dtype,
                                       a->opts, &ret->requests[0]);
}

static int call_gather(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_gather(g, a->in, a->out, a->count, a->dtype, a->root, a->opts)
                       : weft_gather_start(g, a->in, a->out, a->count, a->dtype, a->root, a->opts,
                                           &ret->requests[0]);
}

static int call_gatherv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_gatherv(g, a->in, a->out, a->out_counts, a->out_offsets, a->dtype,
                                      a->root, a->opts)
                       : weft_gatherv_start(g, a->in, a->out, a->out_counts, a->out_offsets,
                                            a->dtype, a->root, a->opts, &ret->requests[0]);
}

static int call_scatter(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_scatter(g, a->in, a->out, a->count, a->dtype, a->root, a->opts)
                       : weft_scatter_start(g, a->in, a->out, a->count, a->dtype, a->root, a->opts,
                                            &ret->requests[0]);
}

static int call_scatterv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_scatterv(g, a->in, a->out, a->in_counts, a->in_offsets, a->dtype,
                                       a->root, a->opts)
                       : weft_scatterv_start(g, a->in, a->out, a->in_counts, a->in_offsets,
                                             a->dtype, a->root, a->opts, &ret->requests[0]);
}

static int call_reduce_scatter(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_reduce_scatter(g, a->in, a->out, a->count, a->dtype, a->op, a->opts)
                       : weft_reduce_scatter_start(g, a->in, a->out, a->count, a->dtype, a->op,
                                                   a->opts, &ret->requests[0]);
}

static int call_reduce_scatterv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_reduce_scatterv(g, a->in, a->out, a->in_counts, a->in_offsets,
                                              a->dtype, a->op, a->opts)
                       : weft_reduce_scatterv_start(g, a->in, a->out, a->in_counts, a->in_offsets,
                                                    a->dtype, a->op, a->opts, &ret->requests[0]);
}

static int call_alltoall(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_alltoall(g, a->in, a->out, a->count, a->dtype, a->opts)
                       : weft_alltoall_start(g, a->in, a->out, a->count, a->dtype, a->opts,
                                             &ret->requests[0]);
}

static int call_alltoallv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL
               ? weft_alltoallv(g, a->in, a->in_counts, a->in_offsets, a->out, a->out_counts,
                                a->out_offsets, a->dtype, a->opts)
               : weft_alltoallv_start(g, a->in, a->in_counts, a->in_offsets, a->out, a->out_counts,
                                      a->out_offsets, a->dtype, a->opts, &ret->requests[0]);
}

static int call_barrier(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    return ret == NULL ? weft_barrier(g, a->opts)
                       : weft_barrier_start(g, a->opts, &ret->requests[0]);
}

static int call_sendrecv(weft_group *g, const weft_kind_args *a, weft_kind_started *ret)
{
    const int size = weft_group_size(g), rank = weft_group_rank(g);
    const int next = (rank + 1) % size, before = (rank + size - 1) % size;
    weft_receipt received = {.size = sizeof(received)};
    weft_coll_opts of_recv = *a->opts;
    weft_kind_started here = {0};
    if (size == 1) {
        return call_allgather(g, a, ret); /* the next one is this one: a copy */
    }
    /* A long send waits until the next rank receives: started, so that this rank can. */
    int code = weft_send_start(g, a->in, a->count, a->dtype, next, a->tag, a->opts,
                               ret != NULL ? &ret->requests[0] : &here.requests[0]);
    of_recv.receipt = ret == NULL && a->opts->receipt != NULL ? &received : NULL;
    if (code == WEFT_OK && ret != NULL) {
        return weft_recv_start(g, a->out, a->count, a->dtype, before, a->tag, &of_recv,
                               &ret->requests[1]);
    }
    if (code == WEFT_OK) {
        code = weft_recv(g, a->out, a->count, a->dtype, before, a->tag, &of_recv);
    }
    code = code != WEFT_OK ? code : weft_kind_wait(&here);
    weft_kind_drop(&here);
    if (code == WEFT_OK && a->opts->receipt != NULL) {
        a->opts->receipt->body_bytes_received += received.body_bytes_received;
        a->opts->receipt->wire_bytes_sent += received.wire_bytes_sent;
    }
    return code;
}

static const weft_kind kinds[] = {
    {.name = "allreduce", .family = "allreduce", .call = call_allreduce, .reduces = true},
    {.name = "reduce",
     .family = "reduce",
     .call = call_reduce,
     .reduces = true,
     .out_of_root = true},
    {.name = "broadcast",
     .family = "broadcast",
     .call = call_broadcast,
     .in_of_root = true,
     .one_buffer = true},
    {.name = "allgather", .family = "allgather", .call = call_allgather, .out_blocks = true},
    {.name = "allgatherv",
     .family = "allgather",
     .call = call_allgatherv,
     .out_blocks = true,
     .lengths = true},
    {.name = "gather",
     .family = "gather",
     .call = call_gather,
     .out_of_root = true,
     .out_blocks = true},
    {.name = "gatherv",
     .family = "gather",
     .call = call_gatherv,
     .out_of_root = true,
     .out_blocks = true,
     .lengths = true},
    {.name = "scatter",
     .family = "scatter",
     .call = call_scatter,
     .in_of_root = true,
     .in_blocks = true},
    {.name = "scatterv",
     .family = "scatter",
     .call = call_scatterv,
     .in_of_root = true,
     .in_blocks = true,
     .lengths = true},
    {.name = "reduce_scatter",
     .family = "reduce_scatter",
     .call = call_reduce_scatter,
     .reduces = true,
     .in_blocks = true},
    {.name = "reduce_scatterv",
     .family = "reduce_scatter",
     .call = call_reduce_scatterv,
     .reduces = true,
     .in_blocks = true,
     .lengths = true},
    {.name = "alltoall",
     .family = "alltoall",
     .call = call_alltoall,
     .in_blocks = true,
     .out_blocks = true},
    {.name = "alltoallv",
     .family = "alltoall",
     .call = call_alltoallv,
     .in_blocks = true,
     .out_blocks = true,
     .lengths = true},
    {.name = "sendrecv", .family = "sendrecv", .call = call_sendrecv, .to_next = true},
    {.name = "barrier", .family = "barrier", .call = call_barrier, .empty = true},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

int weft_kind_wait(weft_kind_started *started)
{
    for (int i = 0; i < WEFT_KIND_REQUESTS && started->requests[i] != NULL; i++) {
        const int code = weft_wait(started->requests[i], WEFT_FOREVER);
        if (code != WEFT_OK) {
            return code;
        }
    }
    return WEFT_OK;
}

void weft_kind_drop(weft_kind_started *started)
{
    for (int i = 0; i < WEFT_KIND_REQUESTS; i++) {
        weft_request_free(&started->requests[i]);
    }
}

const weft_kind *weft_kind_find(const char *name)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

int weft_kind_refuse(const weft_cli *cli, const char *name)
{
    const char *names[KINDS + 1];
    for (int i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
    }
    names[KINDS] = NULL;
    return weft_cli_refuse(cli, "unknown collective '%s'; nearest: %s", name,
                           weft_cli_nearest(name, names));
}

bool weft_kind_rooted(const weft_kind *k)
{
    return k->in_of_root || k->out_of_root;
}

bool weft_kind_has_in(const weft_kind *k, int rank, int root)
{
    return !k->in_of_root || rank == root;
}

bool weft_kind_has_out(const weft_kind *k, int rank, int root)
{
    return !k->out_of_root || rank == root;
}

double weft_kind_bus_factor(const weft_kind *k, int size)
{
    const double n = size;
    if (k->in_blocks || k->out_blocks) {
        return (n - 1.0) / n;
    }
    return k->reduces && !k->out_of_root ? 2.0 * (n - 1.0) / n : 1.0;
}
