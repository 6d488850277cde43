/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole groups over a hub, for a race detector: every peer starts operations of many lengths, its
 * own thread and a second one wait for them (each may drive the engine), a third reads statistics,
 * one operation is canceled by one peer, one is called differently by one peer, blocking calls of
 * every collective go on behind, and the last group closes with operations in flight. Sums are of
 * small integers, so they are known exactly.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum {
    PEERS = 4,
    ROUNDS = 3,
    FLIGHT = 12,
    LONGEST = 300000,
    CANCELED = 6,
    MISMATCHED = 7,
    BLOCK = 700,  /* elements of a peer's part in the blocking calls */
    CUT_OFF = 80, /* in flight when the last group closes, more than run at once */
};

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

    o->count = length(i) + (i == MISMATCHED && p->rank == 2);
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
    NEED((code == WEFT_OK && i != MISMATCHED) || (i == CANCELED && code == WEFT_ECANCELED) ||
         (code == WEFT_EMISMATCH && i == MISMATCHED));
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

/* Every other collective, by blocking calls. */
static void call_others(peer *p)
{
    static const int roots[] = {0, PEERS - 1};
    int32_t all[PEERS * BLOCK], part[BLOCK];

    for (int k = 0; k < BLOCK; k++)
        part[k] = p->rank * BLOCK + k;
    NEED(weft_allgather(p->group, part, all, BLOCK, WEFT_I32, NULL) == WEFT_OK);
    for (int k = 0; k < PEERS * BLOCK; k++)
        NEED(all[k] == k);
    NEED(weft_reduce_scatter(p->group, all, part, BLOCK, WEFT_I32, WEFT_SUM, NULL) == WEFT_OK);
    for (int k = 0; k < BLOCK; k++)
        NEED(part[k] == PEERS * (p->rank * BLOCK + k));
    for (int i = 0; i < 2; i++) {
        part[0] = p->rank;
        NEED(weft_broadcast(p->group, part, BLOCK, WEFT_I32, roots[i], NULL) == WEFT_OK);
        NEED(part[0] == roots[i]);
    }
    NEED(weft_barrier(p->group, NULL) == WEFT_OK);
}

/* Close while operations run and wait for their turn; a thread waits for each of two of them. */
static void *wait_through_close(void *arg)
{
    weft_request *r = arg;
    const int code = weft_wait(r, WEFT_FOREVER);

    NEED(code == WEFT_OK || code == WEFT_ECANCELED || code == WEFT_EPEER || code == WEFT_EBROKEN);
    return NULL;
}

static void close_under_load(peer *p)
{
    enum { COUNT = 5000 };
    static const int waited[] = {0, CUT_OFF / 2};
    float *in = calloc(COUNT, sizeof(float)), *out = calloc((size_t)CUT_OFF * COUNT, sizeof(float));
    weft_request *requests[CUT_OFF] = {0};
    pthread_t waiters[2];

    NEED(in != NULL && out != NULL);
    for (int i = 0; i < CUT_OFF; i++)
        NEED(weft_allreduce_start(p->group, in, out + (size_t)i * COUNT, COUNT, WEFT_F32, WEFT_SUM,
                                  NULL, &requests[i]) == WEFT_OK);
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&waiters[i], NULL, wait_through_close, requests[waited[i]]) == 0);
    for (int i = 0; i < p->rank; i++)
        (void)weft_wait(requests[i], WEFT_FOREVER);
    weft_group_close(&p->group);
    for (int i = 0; i < 2; i++)
        NEED(pthread_join(waiters[i], NULL) == 0);
    for (int i = 0; i < CUT_OFF; i++) {
        NEED(weft_wait(requests[i], WEFT_FOREVER) != WEFT_PENDING);
        weft_request_free(&requests[i]);
    }
    free(in);
    free(out);
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
        call_others(p);
        atomic_store(&p->done, true);
        NEED(pthread_join(reader, NULL) == 0);
        if (round == ROUNDS - 1)
            close_under_load(p);
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
