/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of requests and groups, for a race and an address sanitizer: several threads start and
 * free at once on a group that works and on one that is broken, cancel what others wait for, and a
 * group is closed while threads wait in short turns, free and cancel. Peers are threads on a hub.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weft/weft.h>

enum {
    CHURNERS = 4,
    BATCH =
        20, /* started by a thread between two barriers: all together fewer than are remembered */
    WAITERS = 4,
    STORM_MS = 1200, /* of each of two storms */
    CLOSING_MS = 1500,
};

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    weft_last_error()->message);                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static weft_group *open_group(weft_hub *hub, int rank)
{
    weft_group_opts opts;
    weft_group *group = NULL;

    weft_group_opts_init(&opts);
    opts.hub = hub;
    opts.rank = rank;
    NEED(weft_group_open(&group, &opts) == WEFT_OK);
    return group;
}

/* ---- storms ---------------------------------------------------------------------------------- */

typedef struct churn {
    weft_group *group;
    pthread_t thread;
    int64_t until_ms; /* 0: one batch */
    int index;
    long started;
} churn;

static const float input[4] = {1.0f, 2.0f, 3.0f, 4.0f};

static void start_and_free(churn *c, int i)
{
    float out[4];
    weft_request *r = NULL;

    NEED(weft_allreduce_start(c->group, input, out, 4, WEFT_F32, WEFT_SUM, NULL, &r) == WEFT_OK);
    if ((i + c->index) % 3 == 0)
        weft_cancel(r);
    if ((i + c->index) % 5 == 0)
        (void)weft_test(r);
    weft_request_free(&r);
    NEED(r == NULL);
    c->started++;
}

static void *churn_along(void *arg)
{
    churn *c = arg;

    do {
        for (int i = 0; i < BATCH; i++)
            start_and_free(c, i);
    } while (c->until_ms > 0 && now_ms() < c->until_ms);
    return NULL;
}

static long churn_all(weft_group *group, int64_t until_ms)
{
    churn c[CHURNERS] = {0};
    long started = 0;

    for (int i = 0; i < CHURNERS; i++) {
        c[i] = (churn){.group = group, .index = i, .until_ms = until_ms};
        NEED(pthread_create(&c[i].thread, NULL, churn_along, &c[i]) == 0);
    }
    for (int i = 0; i < CHURNERS; i++) {
        NEED(pthread_join(c[i].thread, NULL) == 0);
        started += c[i].started;
    }
    return started;
}

typedef struct peer {
    weft_hub *hub;
    int rank;
    long started;
} peer;

static void *leave_early(void *arg)
{
    const peer *p = arg;
    weft_group *group = open_group(p->hub, p->rank);

    NEED(weft_barrier(group, NULL) == WEFT_OK);
    weft_group_close(&group);
    return NULL;
}

static void storm_on_a_broken_group(weft_hub *hub)
{
    peer other = {.hub = hub, .rank = 1};
    pthread_t thread;
    float out[4];

    NEED(pthread_create(&thread, NULL, leave_early, &other) == 0);
    weft_group *group = open_group(hub, 0);
    NEED(weft_barrier(group, NULL) == WEFT_OK);
    NEED(pthread_join(thread, NULL) == 0);
    NEED(weft_allreduce(group, input, out, 4, WEFT_F32, WEFT_SUM, NULL) == WEFT_EPEER);
    const long started = churn_all(group, now_ms() + STORM_MS);
    NEED(weft_barrier(group, NULL) == WEFT_EBROKEN);
    weft_group_close(&group);
    printf("broken: %ld operations\n", started);
}

/* Rank 0 decides how long. */
static void *storm_in_rounds(void *arg)
{
    peer *p = arg;
    const int64_t until = now_ms() + STORM_MS;
    weft_group *group = open_group(p->hub, p->rank);

    for (int32_t on = 1; on != 0;) {
        const float one = 1.0f;
        float sum = 0.0f;
        p->started += churn_all(group, 0);
        NEED(weft_allreduce(group, &one, &sum, 1, WEFT_F32, WEFT_SUM, NULL) == WEFT_OK);
        NEED(sum == 2.0f);
        on = now_ms() < until;
        NEED(weft_broadcast(group, &on, 1, WEFT_I32, 0, NULL) == WEFT_OK);
    }
    weft_group_close(&group);
    return NULL;
}

static void storm_on_a_healthy_group(weft_hub *hub)
{
    peer peers[2];
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        peers[i] = (peer){.hub = hub, .rank = i};
        NEED(pthread_create(&threads[i], NULL, storm_in_rounds, &peers[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    NEED(peers[0].started == peers[1].started);
    printf("healthy: %ld operations on each of 2 peers\n", peers[0].started);
}

/* ---- closing --------------------------------------------------------------------------------- */

typedef struct waiter {
    weft_request *request;
    pthread_t thread;
    int index;
    atomic_int *turns; /* that all waiters have waited */
} waiter;

static bool ended_as_it_may(int code)
{
    return code == WEFT_OK || code == WEFT_ECANCELED || code == WEFT_EPEER || code == WEFT_EBROKEN;
}

static void *wait_in_turns(void *arg)
{
    waiter *w = arg;
    int code;

    while ((code = weft_wait(w->request, w->index % 2)) == WEFT_PENDING) {
        const int turns = atomic_fetch_add(w->turns, 1);
        if (w->index == 3 && turns > 20)
            weft_cancel(w->request);
    }
    NEED(ended_as_it_may(code));
    NEED(weft_test(w->request) == code);
    weft_request_free(&w->request);
    return NULL;
}

/* Starts one after another until the others have waited for some turns, then closes. */
static void *start_and_close(void *arg)
{
    enum { MOST = 200 };
    const peer *p = arg;
    static const float one = 1.0f;
    float out[2][WAITERS + MOST];
    weft_request *extra[MOST] = {0};
    weft_group *group = open_group(p->hub, p->rank);
    waiter w[WAITERS];
    atomic_int turns = 0;
    int extras = 0;

    for (int i = 0; i < WAITERS; i++) {
        w[i] = (waiter){.index = i, .turns = &turns};
        NEED(weft_allreduce_start(group, &one, &out[0][i], 1, WEFT_F32, WEFT_SUM, NULL,
                                  &w[i].request) == WEFT_OK);
        NEED(pthread_create(&w[i].thread, NULL, wait_in_turns, &w[i]) == 0);
    }
    while (extras < MOST && atomic_load(&turns) < (int)(p->started % 50)) {
        NEED(weft_allreduce_start(group, &one, &out[1][extras], 1, WEFT_F32, WEFT_SUM, NULL,
                                  &extra[extras]) == WEFT_OK);
        extras++;
    }
    weft_group_close(&group);
    for (int i = 0; i < WAITERS; i++)
        NEED(pthread_join(w[i].thread, NULL) == 0);
    for (int i = 0; i < extras; i++) {
        NEED(ended_as_it_may(weft_wait(extra[i], WEFT_FOREVER)));
        weft_request_free(&extra[i]);
    }
    return NULL;
}

/* Rank 1 has called nothing: what rank 0 waits for does not end before somebody closes. */
static void *open_and_close(void *arg)
{
    const peer *p = arg;
    weft_group *group = open_group(p->hub, p->rank);

    weft_group_close(&group);
    return NULL;
}

static void close_under_waiters(weft_hub *hub)
{
    const int64_t until = now_ms() + CLOSING_MS;
    long rounds = 0;

    while (now_ms() < until) {
        peer peers[2] = {{.hub = hub, .rank = 0, .started = rounds * 7},
                         {.hub = hub, .rank = 1, .started = rounds * 11}};
        pthread_t threads[2];
        NEED(pthread_create(&threads[0], NULL, start_and_close, &peers[0]) == 0);
        NEED(pthread_create(&threads[1], NULL, rounds % 2 == 0 ? open_and_close : start_and_close,
                            &peers[1]) == 0);
        for (int i = 0; i < 2; i++)
            NEED(pthread_join(threads[i], NULL) == 0);
        rounds++;
    }
    printf("closing: %ld rounds\n", rounds);
}

int main(void)
{
    weft_hub *hub = NULL;

    NEED(weft_hub_open(&hub, 2) == WEFT_OK);
    storm_on_a_broken_group(hub);
    storm_on_a_healthy_group(hub);
    close_under_waiters(hub);
    weft_hub_close(&hub);
    return 0;
}
