/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is proven of S-SGD with a global top-k (Shi et al. 2019), measured on a quadratic of 2000
 * coordinates and noisy gradients. With tau = 1 - k/d and any eta < k/(d - k), tau (1 + eta) is
 * below 1, and the distance of the sparse iterate from the dense one, |mean residual|, obeys
 *   |e_t|^2 <= (1/eta) sum_{i = 1 .. t} (tau (1 + eta))^i |lr g_{t-i}|^2,
 * as |e_{t+1}|^2 <= tau |e_t + lr g_t|^2 says (the paper's assumption on gTop-k, proven of top-k).
 * With lr = theta sqrt(B/T) the mean of |grad f|^2 over T steps of B rows is at most
 *   (4 (f_0 - f*) / theta + 2 L theta sigma^2) / sqrt(B T) + 4 (lr L d/k)^2 G^2,
 * G^2 the mean square of gradients (the last as in Karimireddy et al. 2019): theta is chosen so
 * that lr L d/k is small, else coordinates that wait for d/k steps swing.
 * Both tests print their table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/rng.h"
#include "optim_peers.h"
#include <weft/weft.h>

#define SIGMA 0.3 /* of a coordinate of one row's gradient */

enum { PEERS = 8, DIM = 2000 };

typedef struct course {
    const quadratic *q;
    double density, lr;
    int rows, steps; /* rows: of a peer's minibatch */
    float *residual; /* [PEERS * DIM] after the step under way */
    float *gradient; /* [PEERS * DIM] */
    double slope;    /* mean over the steps of |grad f|^2 */
    double square;   /* the same of the mean gradient that is sent */
    double worst;    /* greatest |e_t|^2 over its bound */
    double mean;     /* mean of the same */
    int code[PEERS];
} course;

static double square_of_sum(const float *of_peers, double factor)
{
    double all = 0.0;

    for (size_t j = 0; j < DIM; j++) {
        double sum = 0.0;
        for (size_t r = 0; r < PEERS; r++) {
            sum += (double)of_peers[r * DIM + j];
        }
        all += factor * sum * factor * sum;
    }
    return all;
}

/* |grad f|^2 at x. */
static double slope_at(const quadratic *q, const float *x)
{
    double all = 0.0;

    for (size_t j = 0; j < DIM; j++) {
        const double g = q->mean_a[j] * ((double)x[j] - q->center[j]);
        all += g * g;
    }
    return all;
}

static void descend(weft_group *group, int rank, void *user)
{
    course *c = user;
    const double tau = 1.0 - c->density, eta = 0.5 * c->density / tau;
    char lr[32], codec[48];
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = lr, .codec = codec};
    weft_rng rng = {.state = 0xD1342543DE82EF95U * (uint64_t)(rank + 1)};
    weft_optim *o = NULL;
    float *x = calloc(DIM, sizeof(*x)), *g = c->gradient + (size_t)rank * DIM;
    double bound = 0.0, ratios = 0.0;

    snprintf(lr, sizeof(lr), "%.9g", c->lr);
    snprintf(codec, sizeof(codec), "topk:density=%g", c->density);
    int code = weft_optim_open(&o, group, "gtopk", DIM, &opts);
    for (int k = 0; k < c->steps && code == WEFT_OK; k++) {
        quadratic_gradient(c->q, rank, x, g);
        for (size_t j = 0; j < DIM; j++) {
            g[j] += (float)(SIGMA * peers_normal(&rng) / sqrt(c->rows));
        }
        if (rank == 0) {
            c->slope += slope_at(c->q, x) / c->steps;
        }
        code = weft_optim_step(o, x, g);
        if (code == WEFT_OK) {
            memcpy(c->residual + (size_t)rank * DIM, weft_optim_state(o, "residual"),
                   DIM * sizeof(*x));
            code = weft_barrier(group, NULL);
        }
        if (rank == 0 && code == WEFT_OK) {
            const double square = square_of_sum(c->gradient, 1.0 / PEERS);
            c->square += square / c->steps;
            bound += c->lr * c->lr * square / eta;
            bound *= tau * (1.0 + eta);
            const double ratio = square_of_sum(c->residual, 1.0 / PEERS) / bound;
            c->worst = fmax(c->worst, ratio);
            ratios += ratio;
        }
        if (code == WEFT_OK) {
            code = weft_barrier(group, NULL);
        }
    }
    if (rank == 0) {
        c->mean = ratios / c->steps;
    }
    c->code[rank] = code;
    weft_optim_close(&o);
    free(x);
}

/* theta sqrt(B/T), B the rows of all peers. */
static course run_course(const quadratic *q, double density, double theta, int rows, int steps)
{
    course c = {.q = q,
                .density = density,
                .lr = theta * sqrt((double)rows * PEERS / steps),
                .rows = rows,
                .steps = steps,
                .residual = calloc((size_t)PEERS * DIM, sizeof(float)),
                .gradient = calloc((size_t)PEERS * DIM, sizeof(float))};

    cr_assert(c.residual != NULL && c.gradient != NULL);
    peers_run(PEERS, descend, &c);
    free(c.residual);
    free(c.gradient);
    for (int r = 0; r < PEERS; r++) {
        cr_assert_eq(c.code[r], WEFT_OK, "rank %d: code %d", r, c.code[r]);
    }
    return c;
}

static const double densities[] = {0.01, 0.001};

Test(gtopk_laws, the_sparse_iterate_stays_as_near_as_the_condition_on_eta_says)
{
    quadratic q;

    quadratic_make(&q, PEERS, DIM);
    printf("| density | lr | residual^2 over its bound: mean | greatest |\n|---|---|---|---|\n");
    for (int d = 0; d < 2; d++) {
        const course c = run_course(&q, densities[d], 0.5, 4, 200);

        printf("| %g | %.3g | %.3g | %.3g |\n", c.density, c.lr, c.mean, c.worst);
        cr_expect_leq(c.worst, 1.0, "density %g: the residual is %g times the bound", c.density,
                      sqrt(c.worst));
        cr_expect_gt(c.mean, 0.0);
    }
    quadratic_free(&q);
}

/* Every tenth coordinate a step: d/k is 10, so that 3200 rows times steps are many beside its
 * square, and sixteen times as many must divide the mean by about four. */
Test(gtopk_laws, the_mean_square_of_the_slope_falls_with_the_root_of_rows_times_steps)
{
    static const double densities_here[] = {0.1, 0.01, 0.001}, theta[] = {0.1, 0.02, 0.002};
    static const int rows[] = {1, 4}, steps[] = {200, 800};
    const float zero[DIM] = {0};
    quadratic q;

    quadratic_make(&q, PEERS, DIM);
    const double gap = quadratic_gap(&q, zero, 0.0, 0.0), L = q.smoothness.L;
    printf("| density | rows B | steps T | lr | mean of |grad f|^2 | bound |\n"
           "|---|---|---|---|---|---|\n");
    for (int d = 0; d < 3; d++) {
        double before = 0.0;
        for (int i = 0; i < 2; i++) {
            const course c = run_course(&q, densities_here[d], theta[d], rows[i], steps[i]);
            const double root = sqrt((double)rows[i] * PEERS * steps[i]);
            const double delay = c.lr * L / c.density;
            const double bound =
                (4.0 * gap / theta[d] + 2.0 * L * theta[d] * SIGMA * SIGMA * DIM) / root +
                4.0 * delay * delay * c.square;

            printf("| %g | %d | %d | %.3g | %.4g | %.4g |\n", c.density, rows[i] * PEERS, steps[i],
                   c.lr, c.slope, bound);
            cr_expect_lt(c.slope, bound);
            if (d == 0 && i == 1) {
                cr_expect(before / c.slope > 2.5 && before / c.slope < 6.0,
                          "it fell by %g, where the law says 4", before / c.slope);
            }
            cr_expect(i == 0 || c.slope < before, "more rows and steps must help");
            before = c.slope;
        }
    }
    quadratic_free(&q);
}
