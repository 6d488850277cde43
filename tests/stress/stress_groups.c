/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several groups over one engine, for a race detector: of every peer one thread reduces in the
 * opened group, one splits another and reduces in what comes of it again and again, two send and
 * receive, one cancels, one reads statistics; at last each closes its own group, the last one the
 * engine. What is sent is known exactly.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { PEERS = 3, ROUNDS = 40, COUNT = 3000, LONG = 150000, LETTERS = 120 };

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    weft_last_error()->message);                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

typedef struct peer {
    weft_hub *hub;
    int rank;
    weft_group *opened, *splits, *post;
    atomic_bool done;
} peer;

static void reduce(weft_group *g, float value)
{
    static _Thread_local float v[COUNT];
    const float want = value * (float)weft_group_size(g);

    for (int i = 0; i < COUNT; i++)
        v[i] = value;
    NEED(weft_allreduce(g, v, v, COUNT, WEFT_F32, WEFT_SUM, NULL) == WEFT_OK);
    for (int i = 0; i < COUNT; i++)
        NEED(v[i] == want);
}

static void *reduce_on(void *arg)
{
    peer *p = arg;

    for (int round = 0; round < 3 * ROUNDS; round++)
        reduce(p->opened, (float)(round % 7));
    return NULL;
}

static void *split_on(void *arg)
{
    peer *p = arg;

    for (int round = 0; round < ROUNDS; round++) {
        weft_group *g = NULL, *twin = NULL;
        const int color = p->rank == round % PEERS ? WEFT_UNDEFINED : round % 2;
        NEED(weft_group_split(p->splits, color, p->rank * (round % 3 - 1), &g) == WEFT_OK);
        NEED(weft_group_duplicate(p->splits, &twin) == WEFT_OK);
        if (g != NULL) {
            NEED(weft_group_size(g) == PEERS - 1);
            reduce(g, 1.0f);
        }
        reduce(twin, 2.0f);
        weft_group_close(round % 2 == 0 ? &g : &twin);
        weft_group_close(round % 2 == 0 ? &twin : &g);
    }
    weft_group_close(&p->splits);
    return NULL;
}

static uint32_t word(int from, int n, int i)
{
    return (uint32_t)(from * 1000003 + n * 101 + i);
}

static size_t length(int n)
{
    return n % 20 == 3 ? LONG : (size_t)(n % 50);
}

static void *send_on(void *arg)
{
    peer *p = arg;
    uint32_t *v = malloc(LONG * sizeof(*v));

    NEED(v != NULL);
    for (int n = 0; n < LETTERS; n++) {
        const int to = (p->rank + 1 + n % (PEERS - 1)) % PEERS;
        for (size_t i = 0; i < length(n); i++)
            v[i] = word(p->rank, n, (int)i);
        NEED(weft_send(p->post, v, length(n), WEFT_U32, to, (uint32_t)n / 2, NULL) == WEFT_OK);
    }
    free(v);
    return NULL;
}

/* Letters of two tags at once, the later one first. */
static void *receive_on(void *arg)
{
    peer *p = arg;
    uint32_t *v[2] = {malloc(LONG * sizeof(uint32_t)), malloc(LONG * sizeof(uint32_t))};
    weft_request *r[2];

    NEED(v[0] != NULL && v[1] != NULL);
    for (int n = 0; n < LETTERS; n += 2) {
        for (int k = 1; k >= 0; k--) {
            const int from = (p->rank + PEERS - 1 - (n + k) % (PEERS - 1)) % PEERS;
            NEED(weft_recv_start(p->post, v[k], length(n + k), WEFT_U32, from,
                                 (uint32_t)(n + k) / 2, NULL, &r[k]) == WEFT_OK);
        }
        for (int k = 0; k < 2; k++) {
            const int from = (p->rank + PEERS - 1 - (n + k) % (PEERS - 1)) % PEERS;
            NEED(weft_wait(r[k], WEFT_FOREVER) == WEFT_OK);
            for (size_t i = 0; i < length(n + k); i++)
                NEED(v[k][i] == word(from, n + k, (int)i));
            weft_request_free(&r[k]);
        }
    }
    free(v[0]);
    free(v[1]);
    return NULL;
}

/* Receives that nobody answers, of tags of their own. */
static void *cancel_on(void *arg)
{
    peer *p = arg;
    uint32_t v;

    for (uint32_t n = 0; n < ROUNDS; n++) {
        weft_request *r = NULL;
        NEED(weft_recv_start(p->opened, &v, 1, WEFT_U32, (p->rank + 1) % PEERS, n, NULL, &r) ==
             WEFT_OK);
        if (n % 3 != 0)
            NEED(weft_wait(r, n % 2) == WEFT_PENDING);
        if (n % 4 != 0) {
            weft_cancel(r);
            NEED(weft_wait(r, WEFT_FOREVER) == WEFT_ECANCELED);
        }
        weft_request_free(&r);
    }
    return NULL;
}

static void *read_on(void *arg)
{
    peer *p = arg;
    uint64_t operations = 0;

    while (!atomic_load(&p->done)) {
        weft_group_stats stats = {.size = sizeof(stats)};
        NEED(weft_group_get_stats(p->opened, &stats) == WEFT_OK);
        NEED(stats.operations >= operations);
        operations = stats.operations;
        NEED(weft_group_endpoint(p->opened, 0) != NULL);
    }
    return NULL;
}

static void *close_on(void *arg)
{
    weft_group_close(arg);
    return NULL;
}

static void *live(void *arg)
{
    static void *(*const bodies[])(void *) = {reduce_on,  split_on,  send_on,
                                              receive_on, cancel_on, read_on};
    enum { THREADS = sizeof(bodies) / sizeof(bodies[0]) };
    peer *p = arg;
    pthread_t threads[THREADS], closers[2];
    weft_group_opts opts;

    weft_group_opts_init(&opts);
    opts.hub = p->hub;
    opts.rank = p->rank;
    opts.dead_ms = 60000;
    NEED(weft_group_open(&p->opened, &opts) == WEFT_OK);
    NEED(weft_group_duplicate(p->opened, &p->splits) == WEFT_OK);
    NEED(weft_group_duplicate(p->opened, &p->post) == WEFT_OK);
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, bodies[i], p) == 0);
    for (int i = 0; i < THREADS - 1; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    atomic_store(&p->done, true);
    NEED(pthread_join(threads[THREADS - 1], NULL) == 0);
    NEED(weft_barrier(p->opened, NULL) == WEFT_OK);
    NEED(pthread_create(&closers[0], NULL, close_on, &p->opened) == 0);
    NEED(pthread_create(&closers[1], NULL, close_on, &p->post) == 0);
    for (int i = 0; i < 2; i++)
        NEED(pthread_join(closers[i], NULL) == 0);
    return NULL;
}

int main(void)
{
    peer peers[PEERS];
    pthread_t threads[PEERS];
    weft_hub *hub = NULL;

    NEED(weft_hub_open(&hub, PEERS) == WEFT_OK);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = (peer){.hub = hub, .rank = i};
        NEED(pthread_create(&threads[i], NULL, live, &peers[i]) == 0);
    }
    for (int i = 0; i < PEERS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    weft_hub_close(&hub);
    return 0;
}
