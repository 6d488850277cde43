/* SPDX-License-Identifier: Apache-2.0 */
#include "optim_peers.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/rng.h"

typedef struct seat {
    pthread_t thread;
    weft_hub *hub;
    int rank, size;
    int64_t timeout_ms;
    void (*body)(weft_group *group, int rank, void *user);
    void *user;
    int code;
    char text[256];
} seat;

static void *sit(void *arg)
{
    seat *s = arg;
    weft_group *group = NULL;
    weft_group_opts opts;

    weft_group_opts_init(&opts);
    opts.peers = s->size;
    opts.rank = s->rank;
    opts.link = "mem";
    opts.hub = s->hub;
    opts.open_timeout_ms = 20000;
    opts.dead_ms = 10000; /* a thread of a busy machine may not get to run for a second */
    opts.timeout_ms = s->timeout_ms;
    opts.seed = 42;
    s->code = weft_group_open(&group, &opts);
    if (s->code != WEFT_OK) {
        snprintf(s->text, sizeof(s->text), "%s", weft_last_error()->message);
        return NULL;
    }
    s->body(group, s->rank, s->user);
    weft_group_close(&group);
    return NULL;
}

void peers_run(int size, void (*body)(weft_group *group, int rank, void *user), void *user)
{
    peers_run_within(size, 20000, body, user);
}

void peers_run_within(int size, int64_t timeout_ms,
                      void (*body)(weft_group *group, int rank, void *user), void *user)
{
    weft_hub *hub = NULL;
    seat seats[PEERS_MAX];

    cr_assert_leq(size, PEERS_MAX);
    cr_assert_eq(weft_hub_open(&hub, size), WEFT_OK, "%s", weft_last_error()->message);
    for (int i = 0; i < size; i++) {
        seats[i] = (seat){.hub = hub,
                          .rank = i,
                          .size = size,
                          .timeout_ms = timeout_ms,
                          .body = body,
                          .user = user};
        cr_assert_eq(pthread_create(&seats[i].thread, NULL, sit, &seats[i]), 0);
    }
    for (int i = 0; i < size; i++) {
        pthread_join(seats[i].thread, NULL);
    }
    weft_hub_close(&hub);
    for (int i = 0; i < size; i++) {
        cr_assert_eq(seats[i].code, WEFT_OK, "rank %d: %s", i, seats[i].text);
    }
}

double peers_normal(weft_rng *rng)
{
    const double u = 1.0 - weft_rng_unit(rng), v = weft_rng_unit(rng);

    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}

static void *zeros(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);

    cr_assert_not_null(p);
    return p;
}

void quadratic_make(quadratic *q, int peers, size_t count)
{
    weft_rng rng = {.state = 7};
    const size_t all = (size_t)peers * count;

    *q = (quadratic){.peers = peers, .count = count};
    q->a = zeros(all, sizeof(double));
    q->c = zeros(all, sizeof(double));
    q->mean_a = zeros(count, sizeof(double));
    q->center = zeros(count, sizeof(double));
    q->smoothness.mu = (double)INFINITY;
    for (size_t k = 0; k < all; k++) {
        const size_t j = k % count;

        q->a[k] = 0.2 + 0.8 * weft_rng_unit(&rng);
        q->c[k] = 4.0 * weft_rng_unit(&rng) - 2.0;
        q->mean_a[j] += q->a[k] / peers;
        q->center[j] += q->a[k] * q->c[k] / peers;
        q->smoothness.Lmax = fmax(q->smoothness.Lmax, q->a[k]);
    }
    for (size_t j = 0; j < count; j++) {
        q->center[j] /= q->mean_a[j];
        q->smoothness.L = fmax(q->smoothness.L, q->mean_a[j]);
        q->smoothness.mu = fmin(q->smoothness.mu, q->mean_a[j]);
    }
}

void quadratic_free(quadratic *q)
{
    free(q->a);
    free(q->c);
    free(q->mean_a);
    free(q->center);
}

void quadratic_gradient(const quadratic *q, int peer, const float *x, float *gradient)
{
    const double *a = q->a + (size_t)peer * q->count, *c = q->c + (size_t)peer * q->count;

    for (size_t j = 0; j < q->count; j++) {
        gradient[j] = (float)(a[j] * ((double)x[j] - c[j]));
    }
}

double quadratic_gap(const quadratic *q, const float *x, double l1, double l2)
{
    double gap = 0.0;

    for (size_t j = 0; j < q->count; j++) {
        const double a = q->mean_a[j], c = q->center[j], z = (double)x[j];
        const double pull = fmax(fabs(a * c) - l1, 0.0);
        const double best = copysign(pull, c) / (a + l2);

        gap += 0.5 * a * ((z - c) * (z - c) - (best - c) * (best - c));
        gap += l1 * (fabs(z) - fabs(best)) + 0.5 * l2 * (z * z - best * best);
    }
    return gap;
}

weft_optim_opts quadratic_opts(const quadratic *q, const char *lr, const char *codec)
{
    return (weft_optim_opts){
        .size = sizeof(weft_optim_opts), .lr = lr, .codec = codec, .smoothness = q->smoothness};
}

float *run_at(const run *r, float *vectors, int step, int rank)
{
    return vectors + ((size_t)step * (size_t)r->problem->peers + (size_t)rank) * r->problem->count;
}

static void keep(run *r, float *vectors, int step, int rank, const float *vector)
{
    if (vectors != NULL && vector != NULL) {
        memcpy(run_at(r, vectors, step, rank), vector, r->problem->count * sizeof(float));
    }
}

static void peer_body(weft_group *group, int rank, void *user)
{
    run *r = user;
    weft_optim *o = NULL;
    float *x = r->last[rank], *g = calloc(r->problem->count, sizeof(float));

    r->code[rank] = weft_optim_open(&o, group, r->spec, r->problem->count, &r->opts);
    for (int k = 1; r->code[rank] == WEFT_OK && k <= r->steps; k++) {
        quadratic_gradient(r->problem, rank, x, g);
        keep(r, r->gradient, k, rank, g);
        r->code[rank] = weft_optim_step(o, x, g);
        if (r->code[rank] == WEFT_OK) {
            keep(r, r->x, k, rank, x);
            keep(r, r->h, k, rank, weft_optim_state(o, "h"));
            keep(r, r->hbar, k, rank, weft_optim_state(o, "hbar"));
            keep(r, r->q, k, rank, weft_optim_state(o, "q"));
            keep(r, r->v, k, rank, weft_optim_state(o, "v"));
        }
    }
    if (r->code[rank] != WEFT_OK) {
        snprintf(r->text[rank], sizeof(r->text[rank]), "%s", weft_last_error()->message);
    } else {
        r->cost[rank] = weft_optim_cost(o);
        if (rank == 0) {
            snprintf(r->full, sizeof(r->full), "%s", weft_optim_spec(o));
            r->lr = weft_optim_lr(o);
        }
    }
    weft_optim_close(&o);
    free(g);
}

void run_all(run *r)
{
    const size_t count = r->problem->count;
    const size_t all = (size_t)(r->steps + 1) * (size_t)r->problem->peers * count;
    float **vectors[] = {&r->x, &r->h, &r->hbar, &r->q, &r->v, &r->gradient};

    for (size_t i = 0; r->keep && i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        *vectors[i] = zeros(all, sizeof(float));
    }
    for (int i = 0; i < r->problem->peers; i++) {
        r->last[i] = zeros(count, sizeof(float));
    }
    peers_run(r->problem->peers, peer_body, r);
    for (int i = 0; i < r->problem->peers; i++) {
        cr_assert_eq(r->code[i], WEFT_OK, "%s, codec %s, rank %d: %s", r->spec, r->opts.codec, i,
                     r->text[i]);
    }
}

void run_free(run *r)
{
    free(r->x);
    free(r->h);
    free(r->hbar);
    free(r->q);
    free(r->v);
    free(r->gradient);
    for (int i = 0; i < PEERS_MAX; i++) {
        free(r->last[i]);
    }
}
