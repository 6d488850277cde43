/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole groups over a hub, for a race detector: every peer starts operations of many lengths, its
 * own thread and a second one wait for them (each may drive the engine), a third reads statistics,
 * one operation is canceled by one peer, groups close while others still work. Sums are of small
 * integers, so they are known exactly.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { PEERS = 4, ROUNDS = 3, FLIGHT = 12, LONGEST = 300000, CANCELED = 6 };

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    weft_last_error()->message);                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

typedef struct operation {
    size_t count;
    float *in, *out;
    weft_request *request;
} operation;

typedef struct peer {
    weft_hub *hub;
    int rank;
    weft_group *group;
    operation flight[FLIGHT];
    atomic_bool done;
} peer;

/* Lengths from nothing to several lanes. */
static size_t length(int i)
{
    static const size_t lengths[] = {0, 1, 5, 64, 1000, 4099, 70000, LONGEST};
    return lengths[(size_t)i % (sizeof(lengths) / sizeof(lengths[0]))];
}

static float element(int rank, size_t at)
{
    return (float)((int)(at % 17) - 8 + rank);
}

static void start(peer *p, int i)
{
    operation *o = &p->flight[i];
    /* A scale per element, s levels of it: quantizing is then exact for every value. */
    weft_coll_opts opts = {.size = sizeof(opts), .codec = i % 3 == 2 ? "qsgd:bucket=1" : "raw"};

    o->count = length(i);
    o->in = malloc((o->count + 1) * sizeof(float));
    o->out = malloc((o->count + 1) * sizeof(float));
    NEED(o->in != NULL && o->out != NULL);
    for (size_t k = 0; k < o->count; k++)
        o->in[k] = element(p->rank, k);
    NEED(weft_allreduce_start(p->group, o->in, o->out, o->count, WEFT_F32, WEFT_SUM, &opts,
                              &o->request) == WEFT_OK);
}

static void finish(peer *p, int i)
{
    operation *o = &p->flight[i];
    const int code = weft_wait(o->request, WEFT_FOREVER);

    /* Who was done before the cancel came keeps the sum. */
    NEED(code == WEFT_OK || (i == CANCELED && code == WEFT_ECANCELED));
    for (size_t k = 0; code == WEFT_OK && k < o->count; k++) {
        float sum = 0.0f;
        for (int rank = 0; rank < PEERS; rank++)
            sum += element(rank, k);
        NEED(o->out[k] == sum);
    }
    weft_request_free(&o->request);
    free(o->in);
    free(o->out);
}

static void *wait_for_odd(void *arg)
{
    for (int i = 1; i < FLIGHT; i += 2)
        finish(arg, i);
    return NULL;
}

static void *read_statistics(void *arg)
{
    peer *p = arg;
    uint64_t operations = 0;

    while (!atomic_load(&p->done)) {
        weft_group_stats stats = {.size = sizeof(stats)};
        NEED(weft_group_get_stats(p->group, &stats) == WEFT_OK);
        NEED(stats.operations >= operations);
        operations = stats.operations;
    }
    return NULL;
}

static void *work(void *arg)
{
    peer *p = arg;

    for (int round = 0; round < ROUNDS; round++) {
        pthread_t waiter, reader;
        weft_group_opts opts;

        weft_group_opts_init(&opts);
        opts.peers = PEERS;
        opts.rank = p->rank;
        opts.link = "mem";
        opts.hub = p->hub;
        NEED(weft_group_open(&p->group, &opts) == WEFT_OK);
        atomic_store(&p->done, false);
        for (int i = 0; i < FLIGHT; i++)
            start(p, i);
        NEED(pthread_create(&waiter, NULL, wait_for_odd, p) == 0);
        NEED(pthread_create(&reader, NULL, read_statistics, p) == 0);
        if (p->rank == round)
            weft_cancel(p->flight[CANCELED].request);
        for (int i = 0; i < FLIGHT; i += 2)
            finish(p, i);
        NEED(pthread_join(waiter, NULL) == 0);
        NEED(weft_barrier(p->group, NULL) == WEFT_OK);
        atomic_store(&p->done, true);
        NEED(pthread_join(reader, NULL) == 0);
        weft_group_close(&p->group);
        NEED(p->group == NULL);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[PEERS];
    peer peers[PEERS] = {0};
    weft_hub *hub = NULL;

    NEED(weft_hub_open(&hub, PEERS) == WEFT_OK);
    for (int i = 0; i < PEERS; i++) {
        peers[i].hub = hub;
        peers[i].rank = i;
        NEED(pthread_create(&threads[i], NULL, work, &peers[i]) == 0);
    }
    for (int i = 0; i < PEERS; i++)
        NEED(pthread_join(threads[i], NULL) == 0);
    weft_hub_close(&hub);
    printf("%d rounds, %d operations in flight, %d peers\n", ROUNDS, FLIGHT, PEERS);
    return 0;
}
