/* SPDX-License-Identifier: Apache-2.0 */
/* Started operations: several in flight, waited for in any order, canceled, freed, outlived. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/fixtures.h"

enum { COUNT = 5000, MANY = 100 };

static void everywhere(int size, cluster_body *body, void *user)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, size, body, user);
    }
}

/* What a peer has in flight. */
typedef struct flight {
    weft_request *request[MANY];
    float *in[MANY], *out[MANY];
    size_t count[MANY];
} flight;

static flight *take_off(member *me, int n, size_t count)
{
    flight *f = calloc(1, sizeof(*f));
    for (int i = 0; i < n; i++) {
        f->count[i] = count + (size_t)i;
        f->in[i] = malloc(f->count[i] * sizeof(float));
        f->out[i] = malloc(f->count[i] * sizeof(float));
        fixture_fill(WEFT_F32, WEFT_SUM, (uint64_t)i, me->rank, 0, f->in[i], f->count[i]);
        const int rc = weft_allreduce_start(me->group, f->in[i], f->out[i], f->count[i], WEFT_F32,
                                            WEFT_SUM, NULL, &f->request[i]);
        if (rc != WEFT_OK) {
            member_failed(me, __FILE__, __LINE__, "start", "%d: %s", i, weft_last_error()->message);
        }
    }
    return f;
}

static bool arrived(const member *me, const flight *f, int i)
{
    float *want = malloc(f->count[i] * sizeof(float));
    fixture_reduce(WEFT_F32, WEFT_SUM, (uint64_t)i, me->size, 0, want, f->count[i]);
    const bool same = memcmp(want, f->out[i], f->count[i] * sizeof(float)) == 0;
    free(want);
    return same;
}

static void land(flight *f)
{
    for (int i = 0; i < MANY; i++) {
        weft_request_free(&f->request[i]);
        free(f->in[i]);
        free(f->out[i]);
    }
    free(f);
}

static void eight_body(member *me)
{
    static const int order[] = {7, 0, 3, 3, 6, 1, 5, 2, 4};
    flight *f = take_off(me, 8, COUNT);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const int n = order[i];
        MUST_OK(me, weft_wait(f->request[n], WEFT_FOREVER));
        MUST(me, arrived(me, f, n), "operation %d", n);
        MUST(me, weft_request_error(f->request[n])->code == WEFT_OK, "an error after success");
    }
    land(f);
}

Test(requests, eight_in_flight_are_waited_for_in_any_order)
{
    everywhere(4, eight_body, NULL);
}

static void hundred_body(member *me)
{
    flight *f = take_off(me, MANY, 300);
    for (int i = MANY - 1; i >= 0; i--) {
        MUST_OK(me, weft_wait(f->request[i], WEFT_FOREVER));
        MUST(me, arrived(me, f, i), "operation %d", i);
    }
    land(f);
}

Test(requests, a_hundred_in_flight_are_more_than_run_at_once)
{
    everywhere(3, hundred_body, NULL);
}

typedef struct waiter {
    pthread_t thread;
    weft_request *request;
    int code;
} waiter;

static void *wait_for_it(void *arg)
{
    waiter *w = arg;
    w->code = weft_wait(w->request, WEFT_FOREVER);
    return NULL;
}

static void threads_body(member *me)
{
    enum { WAITERS = 12 };
    waiter w[WAITERS];
    for (int round = 0; round < 5; round++) {
        flight *f = take_off(me, WAITERS, 2000);
        for (int i = 0; i < WAITERS; i++) {
            w[i] = (waiter){.request = f->request[i], .code = WEFT_PENDING};
            pthread_create(&w[i].thread, NULL, wait_for_it, &w[i]);
        }
        for (int i = 0; i < WAITERS; i++) {
            pthread_join(w[i].thread, NULL);
        }
        for (int i = 0; i < WAITERS; i++) {
            MUST(me, w[i].code == WEFT_OK, "waiter %d: %s", i, weft_status_name(w[i].code));
            MUST(me, arrived(me, f, i), "operation %d", i);
        }
        land(f);
    }
}

Test(requests, many_threads_wait_at_once)
{
    everywhere(3, threads_body, NULL);
}

/* Rank 0 comes when the gate is opened; the others have called by then. */
typedef struct late {
    gate others, first;
} late;

static void pending_body(member *me)
{
    const late *l = me->user;
    if (me->rank == 0) {
        for (int r = 1; r < me->size; r++) {
            MUST(me, gate_pass(&l->first), "the others did not get there");
        }
    }
    flight *f = take_off(me, 1, COUNT);
    if (me->rank != 0) {
        MUST_END(me, WEFT_PENDING, weft_test(f->request[0]));
        const int64_t before = weft_now();
        MUST_END(me, WEFT_PENDING, weft_wait(f->request[0], 30));
        MUST(me, weft_now() - before >= 30 * WEFT_MS, "the wait was cut short");
        MUST(me, weft_request_error(f->request[0])->code == WEFT_OK, "an error while it runs");
        gate_open(&l->first, 1);
    }
    MUST_OK(me, weft_wait(f->request[0], WEFT_FOREVER));
    MUST_OK(me, weft_test(f->request[0]));
    MUST(me, arrived(me, f, 0), "the result");
    land(f);
}

Test(requests, a_wait_that_ends_early_is_pending_and_ends_nothing)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_run((cluster_link)link, 3, pending_body, &l);
    }
}

static void next_operation_works(member *me)
{
    flight *f = take_off(me, 2, COUNT);
    for (int i = 0; i < 2; i++) {
        MUST_OK(me, weft_wait(f->request[i], WEFT_FOREVER));
        MUST(me, arrived(me, f, i), "operation %d", i);
    }
    land(f);
}

/* Rank 1 cancels while rank 0 has not called yet: rank 0's late call ends the same way. */
static void cancel_body(member *me)
{
    const late *l = me->user;
    if (me->rank == 0) {
        for (int r = 1; r < me->size; r++) {
            MUST(me, gate_pass(&l->first), "the others did not end");
        }
    }
    flight *f = take_off(me, 1, COUNT);
    if (me->rank == 1) {
        MUST_END(me, WEFT_PENDING, weft_test(f->request[0]));
        weft_cancel(f->request[0]);
    }
    MUST_END(me, WEFT_ECANCELED, weft_wait(f->request[0], WEFT_FOREVER));
    const weft_error *error = weft_request_error(f->request[0]);
    MUST(me,
         error->code == WEFT_ECANCELED && error->rank == 1 &&
             strstr(error->message, "rank 1") != NULL,
         "code %d, rank %d: %s", error->code, error->rank, error->message);
    weft_cancel(f->request[0]); /* ended: nothing happens */
    MUST_END(me, WEFT_ECANCELED, weft_test(f->request[0]));
    if (me->rank != 0) {
        gate_open(&l->first, 1);
    }
    land(f);
    next_operation_works(me);
}

Test(requests, cancel_ends_the_operation_on_every_peer)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_run((cluster_link)link, 4, cancel_body, &l);
    }
}

/* Freeing a running request cancels it; its buffers may go at once. */
static void free_body(member *me)
{
    const late *l = me->user;
    if (me->rank == 0) {
        for (int r = 1; r < me->size; r++) {
            MUST(me, gate_pass(&l->first), "the others did not end");
        }
    }
    flight *f = take_off(me, 1, COUNT);
    if (me->rank == 1) {
        weft_request_free(&f->request[0]);
        MUST(me, f->request[0] == NULL, "free leaves the pointer");
    } else {
        MUST_END(me, WEFT_ECANCELED, weft_wait(f->request[0], WEFT_FOREVER));
    }
    land(f);
    if (me->rank != 0) {
        gate_open(&l->first, 1);
    }
    next_operation_works(me);
}

Test(requests, freeing_a_running_request_cancels_it)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_run((cluster_link)link, 4, free_body, &l);
    }
}

/* Requests that wait for their turn, beyond those at work, are canceled and waited for too. */
static void cancel_queued_body(member *me)
{
    const late *l = me->user;
    if (me->rank == 0) {
        for (int r = 1; r < me->size; r++) {
            MUST(me, gate_pass(&l->first), "the others did not start");
        }
    }
    flight *f = take_off(me, MANY, 10);
    if (me->rank != 0) {
        MUST_END(me, WEFT_PENDING, weft_test(f->request[0]));
    }
    if (me->rank == 1) {
        weft_cancel(f->request[MANY - 1]);
    }
    if (me->rank != 0) {
        gate_open(&l->first, 1);
    }
    for (int i = 0; i < MANY - 1; i++) {
        MUST_OK(me, weft_wait(f->request[i], WEFT_FOREVER));
        MUST(me, arrived(me, f, i), "operation %d", i);
    }
    MUST_END(me, WEFT_ECANCELED, weft_wait(f->request[MANY - 1], WEFT_FOREVER));
    land(f);
    next_operation_works(me);
}

Test(requests, a_request_canceled_before_its_turn_uses_up_its_number)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_run((cluster_link)link, 3, cancel_queued_body, &l);
    }
}

/* Who closed cannot be dialled: count it as lost soon. */
static void impatient(weft_group_opts *o, const member *me)
{
    (void)me;
    o->dead_ms = cluster_patience(1000);
}

static void close_body(member *me)
{
    const late *l = me->user;
    flight *f = NULL;
    if (me->rank == 0) {
        for (int r = 1; r < me->size; r++) {
            MUST(me, gate_pass(&l->first), "the others did not close");
        }
        f = take_off(me, 1, COUNT);
        /* Between the close of the one and of the other it may have counted the first as lost. */
        const int code = weft_wait(f->request[0], WEFT_FOREVER);
        MUST(me, code == WEFT_EPEER || code == WEFT_EBROKEN, "%s", weft_status_name(code));
    } else {
        f = take_off(me, 70, COUNT);
        const int64_t before = weft_now();
        weft_group_close(&me->group);
        MUST(me, me->group == NULL, "close leaves the pointer");
        MUST(me, weft_now() - before < cluster_patience(1500) * WEFT_MS, "close took %lld ms",
             (long long)((weft_now() - before) / WEFT_MS));
        for (int i = 0; i < 70; i++) {
            /* Who closes second may have heard of the first. */
            const int code = weft_wait(f->request[i], WEFT_FOREVER);
            MUST(me, code == WEFT_ECANCELED || code == WEFT_EPEER || code == WEFT_EBROKEN,
                 "operation %d: %s", i, weft_status_name(code));
            MUST(me, weft_request_error(f->request[i])->code == code, "another code");
        }
        gate_open(&l->first, 1);
    }
    land(f);
}

Test(requests, close_ends_outstanding_requests_which_outlive_it)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_join(cluster_start(&(cluster_plan){.link = (cluster_link)link,
                                                   .size = 3,
                                                   .body = close_body,
                                                   .user = &l,
                                                   .options = impatient}));
    }
}

/* A thread waits while another closes. */
static void close_under_waiter_body(member *me)
{
    const late *l = me->user;
    if (me->rank != 0) {
        flight *f = take_off(me, 1, COUNT);
        waiter w = {.request = f->request[0], .code = WEFT_PENDING};
        pthread_create(&w.thread, NULL, wait_for_it, &w);
        MUST_END(me, WEFT_PENDING, weft_wait(f->request[0], 10));
        weft_group_close(&me->group);
        pthread_join(w.thread, NULL);
        MUST(me, w.code == WEFT_ECANCELED || w.code == WEFT_EPEER, "%s", weft_status_name(w.code));
        land(f);
        gate_open(&l->first, 1);
    } else {
        MUST(me, gate_pass(&l->first), "the other did not close");
    }
}

Test(requests, close_wakes_a_thread_that_waits)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        late l = {.first = gate_new()};
        cluster_run((cluster_link)link, 2, close_under_waiter_body, &l);
    }
}
