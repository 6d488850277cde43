/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Least squares: a weather station has its own measurements, and all stations fit the same curve to
 * all of them, in messages of 3 bits an element. Compressed plain gradients would stay at a
 * distance from the optimum; DIANA comes to it.
 *
 *     cc least_squares.c -o least_squares $(pkg-config --cflags --libs weft) -lm
 *     weft run -n 4 -- ./least_squares
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { ROWS = 300, DIM = 16, STEPS = 800 };

static const double l2 = 0.05;                /* f = mean of (a.x - y)^2 / 2 + l2/2 |x|^2 */
static double a[ROWS][DIM], y[ROWS];          /* a: cosines of the hour; y: what was measured */
static const double pi = 3.14159265358979323; /* M_PI is not C17 */

static void check(int code)
{
    if (code != WEFT_OK) {
        fprintf(stderr, "least_squares: %s\n", weft_last_error()->message);
        exit(EXIT_FAILURE);
    }
}

/* This station's hours and temperatures; returns the smoothness of the worst row. */
static double measure(int rank)
{
    double worst = 0.0;

    srand((unsigned)rank + 1);
    for (int r = 0; r < ROWS; r++) {
        const double hour = 24.0 * (r + (double)rand() / RAND_MAX) / ROWS;
        double square = 0.0;
        for (int j = 0; j < DIM; j++) {
            a[r][j] = cos(2.0 * pi * hour * j / 48.0);
            square += a[r][j] * a[r][j];
        }
        y[r] = 12.0 - 6.0 * cos(2.0 * pi * (hour - 3.0) / 24.0) + rank +
               2.0 * ((double)rand() / RAND_MAX - 0.5);
        worst = fmax(worst, square + l2);
    }
    return worst;
}

/* f of the own rows at x, and its gradient. */
static double loss(const float *x, float *gradient)
{
    double f = 0.0, g[DIM] = {0};

    for (int r = 0; r < ROWS; r++) {
        double miss = -y[r];
        for (int j = 0; j < DIM; j++) {
            miss += a[r][j] * (double)x[j];
        }
        f += miss * miss / 2.0 / ROWS;
        for (int j = 0; j < DIM; j++) {
            g[j] += miss * a[r][j] / ROWS;
        }
    }
    for (int j = 0; j < DIM; j++) {
        f += 0.5 * l2 * (double)x[j] * (double)x[j];
        gradient[j] = (float)(g[j] + l2 * (double)x[j]);
    }
    return f;
}

int main(void)
{
    weft_group *group = NULL;
    weft_optim *optim = NULL;
    float x[DIM] = {0}, gradient[DIM];
    double slope = 0.0;

    check(weft_group_open(&group, NULL)); /* `weft run` has set the environment */
    const int rank = weft_group_rank(group);
    double L = measure(rank);

    /* Theory's step size comes from it, so it must be one number for all peers. */
    check(weft_allreduce(group, &L, &L, 1, WEFT_F64, WEFT_MAX, NULL));

    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "theory*2",
                                  .codec = "qsgd:levels=3,bucket=16,norm=max",
                                  .smoothness = {.L = L, .Lmax = L, .mu = l2}};
    check(weft_optim_open(&optim, group, "diana", DIM, &opts));
    for (int step = 0; step <= STEPS; step++) {
        double f = loss(x, gradient);
        if (step % 200 == 0) { /* to look at it takes two more allreduces */
            float mean[DIM];
            check(weft_allreduce(group, &f, &f, 1, WEFT_F64, WEFT_MEAN, NULL));
            check(weft_allreduce(group, gradient, mean, DIM, WEFT_F32, WEFT_MEAN, NULL));
            slope = 0.0;
            for (int j = 0; j < DIM; j++) {
                slope += (double)mean[j] * (double)mean[j];
            }
            slope = sqrt(slope);
            if (rank == 0) {
                printf("step %3d: f = %.9f, |gradient| = %.1e\n", step, f, slope);
            }
        }
        check(weft_optim_step(optim, x, gradient));
    }
    weft_optim_close(&optim);
    weft_group_close(&group);
    return slope < 1e-4 ? 0 : 1;
}
