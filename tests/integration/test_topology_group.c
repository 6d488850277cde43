/* SPDX-License-Identifier: Apache-2.0 */
/* Groups whose peers may talk along the edges of a topology only; mixing; orders of rings. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"

enum { COUNT = 40000, PEERS = 5 };

typedef struct shared {
    uint64_t connections[CLUSTER_MAX];
    float mixed[CLUSTER_MAX];
} shared;

static void over_a_ring(weft_group_opts *o, const member *me)
{
    (void)me;
    o->topology = "ring";
}

static void every_collective(member *me)
{
    const size_t p = (size_t)me->size, rank = (size_t)me->rank;
    int32_t *in = calloc(p * COUNT, sizeof(*in)), *out = calloc(p * COUNT, sizeof(*out));
    for (size_t i = 0; i < p * COUNT; i++) {
        in[i] = (int32_t)(rank * 1000000 + i);
    }
    const int32_t ranks = (int32_t)(p * (p - 1) / 2), all = (int32_t)p;
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_I32, WEFT_SUM, NULL));
    MUST(me, out[7] == ranks * 1000000 + all * 7, "allreduce: %d", out[7]);
    MUST_OK(me, weft_reduce(me->group, in, out, COUNT, WEFT_I32, WEFT_MAX, 2, NULL));
    MUST(me, me->rank != 2 || out[9] == (all - 1) * 1000000 + 9, "reduce: %d", out[9]);
    MUST_OK(me, weft_allgather(me->group, in, out, COUNT, WEFT_I32, NULL));
    MUST(me, out[3 * COUNT + 1] == 3000001, "allgather: %d", out[3 * COUNT + 1]);
    MUST_OK(me, weft_gather(me->group, in, out, COUNT, WEFT_I32, 4, NULL));
    MUST(me, me->rank != 4 || out[COUNT + 1] == 1000001, "gather: %d", out[COUNT + 1]);
    MUST_OK(me, weft_scatter(me->group, in, out, COUNT, WEFT_I32, 3, NULL));
    MUST(me, out[5] == 3000000 + (int32_t)(rank * COUNT) + 5, "scatter: %d", out[5]);
    MUST_OK(me, weft_reduce_scatter(me->group, in, out, COUNT, WEFT_I32, WEFT_SUM, NULL));
    MUST(me, out[2] == ranks * 1000000 + all * (int32_t)(rank * COUNT + 2), "reduce_scatter: %d",
         out[2]);
    MUST_OK(me, weft_alltoall(me->group, in, out, COUNT, WEFT_I32, NULL));
    MUST(me, out[COUNT + 4] == 1000000 + (int32_t)(rank * COUNT) + 4, "alltoall: %d",
         out[COUNT + 4]);
    MUST_OK(me, weft_broadcast(me->group, in, COUNT, WEFT_I32, 1, NULL));
    MUST(me, in[8] == 1000008, "broadcast: %d", in[8]);
    MUST_OK(me, weft_barrier(me->group, NULL));
    weft_group_stats stats = {.size = sizeof(stats)};
    MUST_OK(me, weft_group_get_stats(me->group, &stats));
    ((shared *)me->user)->connections[me->rank] = stats.connections;
    const weft_coll_opts forced = {.size = sizeof(forced), .algo = "doubling"};
    MUST_END(me, WEFT_ENOTSUP, weft_allreduce(me->group, in, out, 4, WEFT_I32, WEFT_SUM, &forced));
    MUST(me, strstr(weft_last_error()->message, "no neighbours") != NULL, "%s",
         weft_last_error()->message);
    free(in);
    free(out);
}

Test(topology_group, every_collective_reduces_along_a_ring_of_edges, .timeout = 60)
{
    shared *s = cluster_shared(sizeof(*s));
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        const cluster_plan plan = {.link = (cluster_link)link,
                                   .size = PEERS,
                                   .body = every_collective,
                                   .options = over_a_ring,
                                   .user = s};
        cluster_join(cluster_start(&plan));
        for (int r = 0; r < PEERS; r++) {
            cr_expect_leq(s->connections[r], 2, "rank %d has %llu connections", r,
                          (unsigned long long)s->connections[r]);
        }
    }
}

/* Mixing over a ring of five: weights 1/3 on oneself and each neighbour. */
static void mix(member *me)
{
    weft_topology *ring = NULL, *four = NULL;
    float in[3] = {(float)me->rank, 1, -3}, out[3];
    MUST_OK(me, weft_topology_open(&ring, "ring", me->size));
    MUST_OK(me, weft_neighbor_average(me->group, in, out, 3, WEFT_F32, ring, NULL));
    const int p = me->size, before = (me->rank + p - 1) % p, behind = (me->rank + 1) % p;
    const double want = (me->rank + before + behind) / 3.0;
    MUST(me, (double)out[0] > want - 1e-6 && (double)out[0] < want + 1e-6, "%g, not %g",
         (double)out[0], want);
    for (int step = 0; step < 200; step++) {
        MUST_OK(me, weft_neighbor_average(me->group, in, in, 3, WEFT_F32, ring, NULL));
    }
    ((shared *)me->user)->mixed[me->rank] = in[0];
    int32_t whole[3] = {0};
    MUST_END(me, WEFT_ENOTSUP,
             weft_neighbor_average(me->group, whole, whole, 3, WEFT_I32, ring, NULL));
    MUST_OK(me, weft_topology_open(&four, "ring", 4));
    MUST_END(me, WEFT_EINVAL, weft_neighbor_average(me->group, in, out, 3, WEFT_F32, four, NULL));
    MUST_END(me, WEFT_EINVAL, weft_neighbor_average(me->group, in, out, 3, WEFT_F32, NULL, NULL));
    weft_topology_close(&four);
    /* Who mixes over another graph hears so; those that it does not reach may be through before. */
    MUST_OK(me, weft_topology_open(&four, me->rank == 2 ? "complete" : "star", me->size));
    const int rc = weft_neighbor_average(me->group, in, out, 3, WEFT_F32, four, NULL);
    MUST(me, rc == WEFT_EMISMATCH || (rc == WEFT_OK && me->rank != 2), "%d: %s", rc,
         weft_last_error()->message);
    MUST_OK(me, weft_barrier(me->group, NULL));
    weft_topology_close(&four);
    weft_topology_close(&ring);
}

Test(topology_group, mixing_comes_to_the_mean, .timeout = 60)
{
    shared *s = cluster_shared(sizeof(*s));
    cluster_run(CLUSTER_MEM, PEERS, mix, s);
    for (int r = 0; r < PEERS; r++) {
        cr_expect_float_eq((double)s->mixed[r], 2.0, 1e-4, "rank %d: %g", r, (double)s->mixed[r]);
    }
    cluster_run(CLUSTER_TCP, PEERS, mix, s);
}

static void in_another_order(weft_group_opts *o, const member *me)
{
    (void)me;
    o->order = "3,0,4,1,2";
    o->algo = "allreduce=ring;allgather=ring;reduce_scatter=ring;broadcast=tree";
}

static void ordered(member *me)
{
    const size_t p = (size_t)me->size;
    int64_t in[5 * 64], out[5 * 64];
    for (size_t i = 0; i < p * 64; i++) {
        in[i] = (int64_t)i + 1000 * me->rank;
    }
    const int64_t sum = 1000 * (int64_t)(p * (p - 1) / 2);
    MUST_OK(me, weft_allreduce(me->group, in, out, 64, WEFT_I64, WEFT_SUM, NULL));
    MUST(me, out[5] == sum + 5 * (int64_t)p, "allreduce: %lld", (long long)out[5]);
    MUST_OK(me, weft_allgather(me->group, in, out, 64, WEFT_I64, NULL));
    for (size_t r = 0; r < p; r++) {
        MUST(me, out[r * 64 + 3] == 3 + 1000 * (int64_t)r, "allgather: block %zu holds %lld", r,
             (long long)out[r * 64 + 3]);
    }
    MUST_OK(me, weft_reduce_scatter(me->group, in, out, 64, WEFT_I64, WEFT_SUM, NULL));
    MUST(me, out[1] == sum + (int64_t)p * (64 * me->rank + 1), "reduce_scatter: %lld",
         (long long)out[1]);
    MUST_OK(me, weft_broadcast(me->group, in, 64, WEFT_I64, 1, NULL));
    MUST(me, in[9] == 1009, "broadcast: %lld", (long long)in[9]);
    weft_group_stats stats = {.size = sizeof(stats)};
    MUST_OK(me, weft_group_get_stats(me->group, &stats));
}

Test(topology_group, an_order_moves_ranks_not_blocks, .timeout = 60)
{
    const cluster_plan plan = {
        .link = CLUSTER_IPC, .size = PEERS, .body = ordered, .options = in_another_order};
    cluster_join(cluster_start(&plan));
}

static void wrong_order(member *me)
{
    static const char *const orders[] = {
        "0,1,2", "0,1,1", "0,1,3", "0,1", "0,1,2,3,4", "0,1,2,", "links:path=/no/such/file"};
    weft_group_opts o;
    member_options(me, &o);
    for (size_t i = 1; i < sizeof(orders) / sizeof(orders[0]); i++) {
        weft_group *g = NULL;
        o.peers = 1;
        o.rank = -1;
        o.meet = NULL;
        o.order = orders[i];
        const int rc = weft_group_open(&g, &o);
        MUST(me, rc == WEFT_EINVAL || rc == WEFT_EIO, "%s: %d", orders[i], rc);
        MUST(me,
             strstr(weft_last_error()->message, "order") != NULL ||
                 strstr(weft_last_error()->message, "/no/such/file") != NULL,
             "%s", weft_last_error()->message);
    }
    o.order = "0";
    MUST_OK(me, weft_group_open(&me->group, &o));
}

Test(topology_group, a_wrong_order_is_refused, .timeout = 60)
{
    const cluster_plan plan = {
        .link = CLUSTER_TCP, .size = 1, .body = wrong_order, .unopened = true};
    cluster_join(cluster_start(&plan));
}
