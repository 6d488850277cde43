/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logistic regression: every peer has its own rows, and all get the same model by DIANA, which
 * sends two bits an element instead of 32 and still comes to the optimum.
 *
 *     cc logistic.c -o logistic $(pkg-config --cflags --libs weft) -lm
 *     weft run -n 4 -- ./logistic
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { ROWS = 200, DIM = 64, STEPS = 600 };

static const double l2 = 0.02; /* f = mean of log(1 + exp(-row.x)) + l2/2 |x|^2 */
static double rows[ROWS][DIM]; /* each times its label, 1 or -1 */

static void check(int code)
{
    if (code != WEFT_OK) {
        fprintf(stderr, "logistic: %s\n", weft_last_error()->message);
        exit(EXIT_FAILURE);
    }
}

/* f of the own rows at x, and its gradient. */
static double loss(const float *x, float *gradient)
{
    double f = 0.0, g[DIM] = {0};

    for (int r = 0; r < ROWS; r++) {
        double margin = 0.0;
        for (int j = 0; j < DIM; j++) {
            margin += rows[r][j] * (double)x[j];
        }
        f += log1p(exp(-margin)) / ROWS;
        for (int j = 0; j < DIM; j++) {
            g[j] -= rows[r][j] / (1.0 + exp(margin)) / ROWS;
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
    double L = 0.0;

    check(weft_group_open(&group, NULL)); /* `weft run` has set the environment */
    const int rank = weft_group_rank(group);

    /* Other rows on every peer: the point where f is least is the optimum of none of them. */
    srand((unsigned)rank + 1);
    for (int r = 0; r < ROWS; r++) {
        double square = 0.0;
        for (int j = 0; j < DIM; j++) {
            rows[r][j] = (double)rand() / RAND_MAX - 0.5 + 0.1 * ((j + rank) % 3);
            square += rows[r][j] * rows[r][j];
        }
        L = fmax(L, square / 4.0 + l2); /* no f_i is less smooth */
    }
    /* Theory's step size comes from it, so it must be one number for all peers. */
    check(weft_allreduce(group, &L, &L, 1, WEFT_F64, WEFT_MAX, NULL));

    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "theory*4",
                                  .codec = "qsgd:levels=1,bucket=64,norm=max",
                                  .smoothness = {.L = L, .Lmax = L, .mu = l2}};
    check(weft_optim_open(&optim, group, "diana", DIM, &opts));
    for (int step = 0; step < STEPS; step++) {
        double f = loss(x, gradient);
        if (step % 100 == 0 || step == STEPS - 1) { /* to look at it takes one more allreduce */
            check(weft_allreduce(group, &f, &f, 1, WEFT_F64, WEFT_MEAN, NULL));
            if (rank == 0) {
                printf("step %3d: f = %.12f\n", step, f);
            }
        }
        check(weft_optim_step(optim, x, gradient));
    }
    if (rank == 0) {
        printf("a message: %d bytes, not %d\n", (int)weft_optim_cost(optim).encoded_bytes,
               (int)sizeof(gradient));
    }
    weft_optim_close(&optim);
    weft_group_close(&group);
    return 0;
}
