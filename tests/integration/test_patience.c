/* SPDX-License-Identifier: Apache-2.0 */
/* How long peers wait for one another: unequal patience, a pair that connects one way only, times
 * that no clock counts, calls that wait for their turn behind others. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/cluster.h"
#include "support/errand.h"

/* ------------------------------------------------------------------ unequal patience */

static void unequal(weft_group_opts *o, const member *me)
{
    o->dead_ms = cluster_patience(me->rank == 0 ? 400 : 4000);
}

static void idle_body(member *me)
{
    const gate *never = me->user;
    MUST_OK(me, weft_barrier(me->group, NULL));
    MUST(me, !gate_pass_within(never, cluster_patience(1500)), "somebody opened the gate");
    for (int i = 0; i < 3; i++) {
        float v = (float)(me->rank + 1);
        MUST_OK(me, weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, NULL));
        MUST(me, v == 6.0f, "the sum is %g", (double)v);
    }
}

Test(patience, the_less_patient_peer_is_told_often_enough_that_others_live)
{
    for (int link = CLUSTER_TCP; link < CLUSTER_LINKS; link += CLUSTER_MEM) {
        gate never = gate_new();
        cluster_join(cluster_start(&(cluster_plan){.link = (cluster_link)link,
                                                   .size = 3,
                                                   .body = idle_body,
                                                   .user = &never,
                                                   .options = unequal}));
    }
}

/* ------------------------------------------------------------------ heavy work */

enum { HEAVY_DEAD_MS = 400 };

static void heavy(weft_group_opts *o, const member *me)
{
    (void)me;
    o->dead_ms = cluster_patience(HEAVY_DEAD_MS);
}

/* A reduction that takes its time on one peer, though less than a peer is given. */
static void slow_sum(void *user, void *dst, const void *a, const void *b, size_t count,
                     weft_dtype dtype)
{
    const gate *never = user;
    uint64_t x, y;
    if (never != NULL) {
        (void)gate_pass_within(never, cluster_patience(HEAVY_DEAD_MS / 4));
    }
    for (size_t i = 0; dtype == WEFT_U64 && i < count; i++) {
        memcpy(&x, (const char *)a + i * sizeof(x), sizeof(x));
        memcpy(&y, (const char *)b + i * sizeof(y), sizeof(y));
        x += y;
        memcpy((char *)dst + i * sizeof(x), &x, sizeof(x));
    }
}

/* Each has all parts and merges them; one takes twice as long as the others wait for a sign of
 * life. */
static void heavy_body(member *me)
{
    const weft_user_op u = {
        .size = sizeof(u), .reduce = slow_sum, .user = me->rank == 0 ? me->user : NULL};
    const weft_coll_opts o = {.size = sizeof(o), .algo = "gather", .user_op = &u};
    uint64_t v = (uint64_t)me->rank + 1;
    MUST_OK(me, weft_allreduce(me->group, &v, &v, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, v == 45, "the sum is %llu", (unsigned long long)v);
    MUST_OK(me, weft_barrier(me->group, NULL));
}

Test(patience, a_peer_with_heavy_work_is_heard_between_its_slices)
{
    gate never = gate_new();
    cluster_join(cluster_start(&(cluster_plan){
        .link = CLUSTER_MEM, .size = 9, .body = heavy_body, .user = &never, .options = heavy}));
}

/* ------------------------------------------------------------------ at rest */

enum { REST_MS = 600 };

static void sleepy(weft_group_opts *o, const member *me)
{
    (void)me;
    o->spin_us = -1;
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All but one wait with the first call that they make. */
static void rest_body(member *me)
{
    const gate *never = me->user;
    if (me->rank == 0) {
        const int64_t before = cpu_ms();
        MUST(me, !gate_pass_within(never, REST_MS), "somebody opened the gate");
        MUST(me, cpu_ms() - before < REST_MS / 2, "%lld ms of %d at work while all wait",
             (long long)(cpu_ms() - before), REST_MS);
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
}

Test(patience, threads_that_wait_sleep)
{
    gate never = gate_new();
    cluster_join(cluster_start(&(cluster_plan){
        .link = CLUSTER_MEM, .size = 9, .body = rest_body, .user = &never, .options = sleepy}));
}

/* ------------------------------------------------------------------ one way only */

typedef struct one_way {
    int hidden, closed_port;
    gate called, never;
} one_way;

static void hide(weft_group_opts *o, const member *me)
{
    static char nowhere[64];
    const one_way *w = me->user;
    snprintf(nowhere, sizeof(nowhere), "tcp://127.0.0.1:%d", w->closed_port);
    if (me->rank == w->hidden) {
        o->advertise = nowhere;
    }
    o->dead_ms = cluster_patience(2000);
}

/* The one that cannot be dialled calls later than the other, which dials in vain meanwhile. */
static void one_way_body(member *me)
{
    const one_way *w = me->user;
    if (me->rank == w->hidden) {
        MUST(me, gate_pass(&w->called), "the other did not call");
        MUST(me, !gate_pass_within(&w->never, 300), "somebody opened the gate");
    } else {
        gate_open(&w->called, 1);
    }
    float v = (float)(me->rank + 1);
    MUST_OK(me, weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, v == 3.0f, "the sum is %g", (double)v);
    MUST_OK(me, weft_barrier(me->group, NULL));
}

Test(patience, a_pair_that_connects_one_way_only_works)
{
    for (int hidden = 0; hidden < 2; hidden++) {
        one_way w = {hidden, errand_free_port(), gate_new(), gate_new()};
        cluster_join(cluster_start(&(cluster_plan){
            .link = CLUSTER_TCP, .size = 2, .body = one_way_body, .user = &w, .options = hide}));
    }
}

/* ------------------------------------------------------------------ out of range */

static void endless_body(member *me)
{
    const int64_t year = INT64_C(365) * 24 * 3600 * 1000;
    const int64_t bad[] = {INT64_MAX / 1000, INT64_MAX / 1000000, INT64_MAX, year + 1, -2};
    float v = 1.0f;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const weft_coll_opts o = {.size = sizeof(o), .timeout_ms = bad[i]};
        MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, &o));
        MUST(me, strstr(weft_last_error()->message, "timeout_ms") != NULL, "%s",
             weft_last_error()->message);
    }
    const weft_coll_opts most = {.size = sizeof(most), .timeout_ms = year};
    MUST_OK(me, weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, &most));
    MUST(me, v == 2.0f, "the sum is %g", (double)v);
}

Test(patience, a_timeout_above_a_year_is_refused)
{
    cluster_run(CLUSTER_MEM, 2, endless_body, NULL);
}

/* ------------------------------------------------------------------ behind others */

enum { QUEUED = 143, FREED = 100, CANCELED = 120 };

typedef struct queue {
    gate called;
} queue;

/* More broadcasts than are at work at one time, rank 0 far ahead of the last rank. */
static void ahead_body(member *me)
{
    const queue *q = me->user;
    static float out[CLUSTER_MAX][QUEUED][4];
    weft_request *r[QUEUED + 1] = {0};
    if (me->rank == me->size - 1) {
        for (int i = 1; i < me->size; i++) {
            MUST(me, gate_pass(&q->called), "the others did not call");
        }
    }
    for (int i = 0; i < QUEUED; i++) {
        float *v = out[me->rank][i];
        v[0] = me->rank == 0 ? (float)i : -1.0f;
        MUST_OK(me, weft_broadcast_start(me->group, v, 4, WEFT_F32, 0, NULL, &r[i]));
    }
    MUST_OK(me, weft_barrier_start(me->group, NULL, &r[QUEUED]));
    if (me->rank != me->size - 1) {
        MUST_END(me, WEFT_PENDING, weft_wait(r[QUEUED], 60));
        gate_open(&q->called, 1);
    }
    for (int i = 0; i <= QUEUED; i++) {
        MUST_OK(me, weft_wait(r[i], WEFT_FOREVER));
        MUST(me, i == QUEUED || out[me->rank][i][0] == (float)i, "broadcast %d", i);
        weft_request_free(&r[i]);
    }
}

Test(patience, a_peer_far_behind_catches_up)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int size = 2; size <= 5; size++) {
            queue q = {gate_new()};
            cluster_run((cluster_link)link, size, ahead_body, &q);
        }
    }
}

/* What rank 0 cancels last, far ahead, is no timeout on the late peer. */
static void cancel_ahead_body(member *me)
{
    enum { CALLS = 72 };
    const queue *q = me->user;
    static float out[CLUSTER_MAX][CALLS][4];
    weft_request *r[CALLS] = {0};
    if (me->rank == me->size - 1) {
        for (int i = 1; i < me->size; i++) {
            MUST(me, gate_pass(&q->called), "the others did not call");
        }
    }
    for (int i = 0; i < CALLS; i++) {
        MUST_OK(me, weft_broadcast_start(me->group, out[me->rank][i], 4, WEFT_F32, 0, NULL, &r[i]));
    }
    if (me->rank == 0) {
        weft_cancel(r[CALLS - 1]);
        MUST_END(me, WEFT_ECANCELED, weft_wait(r[CALLS - 1], WEFT_FOREVER));
    }
    if (me->rank != me->size - 1) {
        gate_open(&q->called, 1);
    }
    for (int i = 0; i < CALLS - 1; i++) {
        MUST_OK(me, weft_wait(r[i], WEFT_FOREVER));
    }
    MUST_END(me, WEFT_ECANCELED, weft_wait(r[CALLS - 1], WEFT_FOREVER));
    for (int i = 0; i < CALLS; i++) {
        weft_request_free(&r[i]);
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
}

static void no_longer(weft_group_opts *o, const member *me)
{
    (void)me;
    o->timeout_ms = cluster_patience(5000);
}

Test(patience, what_was_canceled_far_ahead_is_canceled_for_the_late_peer)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        queue q = {gate_new()};
        cluster_join(cluster_start(&(cluster_plan){.link = (cluster_link)link,
                                                   .size = 2,
                                                   .body = cancel_ahead_body,
                                                   .user = &q,
                                                   .options = no_longer}));
    }
}

/* Behind 64 that cannot end: cancel and free do not wait for them. */
static void cut_in_body(member *me)
{
    const queue *q = me->user;
    static float out[CLUSTER_MAX][QUEUED][4];
    const float in[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    weft_request *r[QUEUED] = {0};
    if (me->rank == 0) {
        for (int i = 1; i < me->size; i++) {
            MUST(me, gate_pass(&q->called), "the others did not call");
        }
    }
    for (int i = 0; i < QUEUED; i++) {
        MUST_OK(me, weft_allreduce_start(me->group, in, out[me->rank][i], 4, WEFT_F32, WEFT_SUM,
                                         NULL, &r[i]));
    }
    if (me->rank == 1) {
        weft_cancel(r[CANCELED]);
        MUST_END(me, WEFT_ECANCELED, weft_wait(r[CANCELED], WEFT_FOREVER));
        weft_request_free(&r[FREED]);
        weft_request_free(&r[QUEUED - 1]);
        MUST_END(me, WEFT_PENDING, weft_test(r[0]));
    }
    if (me->rank != 0) {
        gate_open(&q->called, 1);
    }
    for (int i = 0; i < QUEUED; i++) {
        const bool cut = i == FREED || i == CANCELED || i == QUEUED - 1;
        if (r[i] != NULL) {
            MUST_END(me, cut ? WEFT_ECANCELED : WEFT_OK, weft_wait(r[i], WEFT_FOREVER));
            MUST(me, cut || out[me->rank][i][3] == 4.0f * (float)me->size, "operation %d", i);
            weft_request_free(&r[i]);
        }
    }
    float v = 1.0f;
    MUST_OK(me, weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, v == (float)me->size, "the sum is %g", (double)v);
}

Test(patience, a_request_behind_others_is_canceled_and_freed_at_once)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        queue q = {gate_new()};
        cluster_run((cluster_link)link, 3, cut_in_body, &q);
    }
}
