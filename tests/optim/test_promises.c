/* SPDX-License-Identifier: Apache-2.0 */
/* What theory's step sizes promise, on problems that only just allow it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim_peers.h"
#include <weft/weft.h>

enum { COUNT = 64, PEERS = 8, STEPS = 3000 };

/* The same f_i on all peers: 1/2 sum_j a_j x_j^2, a_j from 0.5 to 1. What a codec that draws alike
 * loses is then lost alike too. */
typedef struct alike {
    const char *spec, *codec;
    int code[PEERS];
    double first, last; /* |x|^2 */
    char text[256];
} alike;

static double square(const float *v)
{
    double sum = 0.0;

    for (size_t j = 0; j < COUNT; j++) {
        sum += (double)v[j] * (double)v[j];
    }
    return sum;
}

static void descend(weft_group *group, int rank, void *user)
{
    alike *a = user;
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "theory",
                                  .codec = a->codec,
                                  .smoothness = {.L = 1.0, .Lmax = 1.0, .mu = 0.5}};
    weft_optim *o = NULL;
    float x[COUNT], g[COUNT];

    for (size_t j = 0; j < COUNT; j++) {
        x[j] = 1.0f;
    }
    const double first = square(x);
    int code = weft_optim_open(&o, group, a->spec, COUNT, &opts);
    for (int k = 0; code == WEFT_OK && k < STEPS; k++) {
        for (size_t j = 0; j < COUNT; j++) {
            g[j] = x[j] * (0.5f + 0.5f * (float)j / (COUNT - 1));
        }
        code = weft_optim_step(o, x, g);
    }
    a->code[rank] = code;
    if (rank == 0) {
        a->first = first;
        a->last = square(x);
        snprintf(a->text, sizeof(a->text), "%s", weft_last_error()->message);
    }
    weft_optim_close(&o);
}

Test(promises, steps_through_a_codec_that_draws_alike_converge)
{
    alike jobs[] = {{.spec = "sgd", .codec = "randk:density=0.03125"},
                    {.spec = "diana", .codec = "randk:density=0.03125"},
                    {.spec = "sgd", .codec = "qsgd:levels=1,bucket=16,norm=max"}};

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        peers_run(PEERS, descend, &jobs[i]);
        for (int r = 0; r < PEERS; r++) {
            cr_assert_eq(jobs[i].code[r], WEFT_OK, "%s, %s: %s", jobs[i].spec, jobs[i].codec,
                         jobs[i].text);
        }
        cr_expect(jobs[i].last < 1e-6 * jobs[i].first, "%s, %s: |x|^2 from %g to %g", jobs[i].spec,
                  jobs[i].codec, jobs[i].first, jobs[i].last);
    }
}

/* f_i(x) = sum_j u^2/(1 + u^2), u = x_j - c_ij, with |f_i''| up to 2 and below 0 far out. */
typedef struct bent {
    double f0, mean, last; /* f(0); |grad f|^2 over all steps, and over the last tenth of them */
    double spread;         /* the mean of |grad f_i(0)|^2 */
    double lr, bound;
    int code[PEERS];
    char text[256];
} bent;

static double center(int peer, size_t j)
{
    return sin(1.0 + 7.0 * (double)peer + 3.0 * (double)j) * 2.5;
}

static void bent_gradient(int peer, const float *x, float *g)
{
    for (size_t j = 0; j < COUNT; j++) {
        const double u = (double)x[j] - center(peer, j), one = 1.0 + u * u;
        g[j] = (float)(2.0 * u / (one * one));
    }
}

static void wander(weft_group *group, int rank, void *user)
{
    bent *b = user;
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "theory_nonconvex",
                                  .codec = "qsgd:levels=1,bucket=16,norm=max",
                                  .smoothness = {.Lmax = 2.0}};
    weft_optim *o = NULL;
    float x[COUNT] = {0}, g[COUNT];
    double mean = 0.0, last = 0.0;
    int code = weft_optim_open(&o, group, "diana", COUNT, &opts);

    if (code == WEFT_OK && rank == 0) {
        b->lr = weft_optim_lr(o);
        b->bound = weft_optim_bound(o);
    }
    for (int k = 0; code == WEFT_OK && k < STEPS; k++) {
        float sum[COUNT] = {0};
        for (int p = 0; p < PEERS; p++) {
            bent_gradient(p, x, g);
            b->spread += rank == 0 && k == 0 ? square(g) / PEERS : 0.0;
            for (size_t j = 0; j < COUNT; j++) {
                sum[j] += g[j] / PEERS;
            }
        }
        mean += square(sum) / STEPS;
        last += k >= STEPS - STEPS / 10 ? square(sum) / (STEPS / 10) : 0.0;
        bent_gradient(rank, x, g);
        code = weft_optim_step(o, x, g);
    }
    b->code[rank] = code;
    if (rank == 0) {
        b->mean = mean;
        b->last = last;
        snprintf(b->text, sizeof(b->text), "%s", weft_last_error()->message);
    }
    weft_optim_close(&o);
}

/* Mishchenko et al. 2019: the mean of |grad f|^2 over K steps is at most 2 V/(K lr) at
 * lr = 1/(L (1 + 2 c alpha)), V = f(0) - min f + c L lr^2/2 mean_i |grad f_i(0)|^2, where c is
 * 4 omega (1 + omega)/n. */
Test(promises, diana_finds_a_stationary_point_where_f_is_not_convex)
{
    const double omega = 1.5, c = 4.0 * omega * (1.0 + omega) / PEERS, L = 2.0;
    bent b = {0};

    for (int p = 0; p < PEERS; p++) {
        for (size_t j = 0; j < COUNT; j++) {
            const double u = center(p, j);
            b.f0 += u * u / (1.0 + u * u) / PEERS;
        }
    }
    peers_run(PEERS, wander, &b);
    for (int r = 0; r < PEERS; r++) {
        cr_assert_eq(b.code[r], WEFT_OK, "%s", b.text);
    }
    cr_expect_float_eq(b.lr, 1.0 / (L * (1.0 + 4.0 * omega / PEERS)), 1e-12);
    cr_expect_float_eq(b.bound, 2.0 * b.lr, 1e-12);
    const double v = b.f0 + c * L * b.lr * b.lr / 2.0 * b.spread;
    cr_expect(b.mean <= 2.0 * v / (STEPS * b.lr), "%g is above %g", b.mean,
              2.0 * v / (STEPS * b.lr));
    cr_expect(b.mean > 1e-6, "the start is no stationary point: %g", b.mean);
    cr_expect(b.last < 1e-9, "it is no stationary point: %g", b.last);
}
