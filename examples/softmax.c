/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax regression: sort points into five classes. Every peer has points of its own, takes a
 * minibatch a step, and sends 4-bit gradients (QSGD); all end with the same model.
 *
 *     cc softmax.c -o softmax $(pkg-config --cflags --libs weft) -lm
 *     weft run -n 4 -- ./softmax
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { ROWS = 500, DIM = 20, CLASSES = 5, BATCH = 25, STEPS = 400, COUNT = DIM * CLASSES };

static float points[ROWS][DIM];
static int classes[ROWS];

static void check(int code)
{
    if (code != WEFT_OK) {
        fprintf(stderr, "softmax: %s\n", weft_last_error()->message);
        exit(EXIT_FAILURE);
    }
}

static float uniform(void)
{
    return (float)rand() / (float)RAND_MAX - 0.5f;
}

/* The centres of the classes are the same everywhere, the points about them are not. */
static void draw_points(int rank)
{
    float centre[CLASSES][DIM];

    srand(1);
    for (int c = 0; c < CLASSES; c++) {
        for (int j = 0; j < DIM; j++) {
            centre[c][j] = uniform();
        }
    }
    srand((unsigned)rank + 2);
    for (int r = 0; r < ROWS; r++) {
        classes[r] = rand() % CLASSES;
        for (int j = 0; j < DIM; j++) {
            points[r][j] = centre[classes[r]][j] + 1.5f * uniform();
        }
    }
}

/* Probabilities of the classes at a point under the model w; returns the likeliest. */
static int classify(const float *w, const float *point, double p[CLASSES])
{
    double sum = 0.0;
    int best = 0;

    for (int c = 0; c < CLASSES; c++) {
        p[c] = 0.0;
        for (int j = 0; j < DIM; j++) {
            p[c] += (double)w[c * DIM + j] * (double)point[j];
        }
        best = p[c] > p[best] ? c : best;
    }
    const double top = p[best]; /* exp() of what is left cannot overflow */
    for (int c = 0; c < CLASSES; c++) {
        p[c] = exp(p[c] - top);
        sum += p[c];
    }
    for (int c = 0; c < CLASSES; c++) {
        p[c] /= sum;
    }
    return best;
}

/* Mean gradient of -log p[class] over BATCH points from `first` on. */
static void gradient_at(const float *w, int first, float gradient[COUNT])
{
    double g[COUNT] = {0}, p[CLASSES];

    for (int i = 0; i < BATCH; i++) {
        const int r = (first + i) % ROWS;
        classify(w, points[r], p);
        p[classes[r]] -= 1.0;
        for (int k = 0; k < COUNT; k++) {
            g[k] += p[k / DIM] * (double)points[r][k % DIM] / BATCH;
        }
    }
    for (int k = 0; k < COUNT; k++) {
        gradient[k] = (float)g[k];
    }
}

int main(void)
{
    weft_group *group = NULL;
    weft_optim *optim = NULL;
    float w[COUNT] = {0}, gradient[COUNT];
    double p[CLASSES], right = 0.0;

    check(weft_group_open(&group, NULL)); /* `weft run` has set the environment */
    const int rank = weft_group_rank(group);
    draw_points(rank);

    const weft_optim_opts opts = {
        .size = sizeof(opts), .lr = "0.5", .codec = "qsgd:levels=7,bucket=20"};
    check(weft_optim_open(&optim, group, "sgd", COUNT, &opts));
    for (int step = 0; step < STEPS; step++) {
        gradient_at(w, step * BATCH, gradient);
        check(weft_optim_step(optim, w, gradient));
    }

    for (int r = 0; r < ROWS; r++) {
        right += classify(w, points[r], p) == classes[r];
    }
    right /= ROWS;
    check(weft_allreduce(group, &right, &right, 1, WEFT_F64, WEFT_MEAN, NULL));
    if (rank == 0) {
        printf("%.1f %% of all points are sorted right; a message: %d bytes, not %d\n",
               100.0 * right, (int)weft_optim_cost(optim).encoded_bytes, (int)sizeof(gradient));
    }
    weft_optim_close(&optim);
    weft_group_close(&group);
    return right > 0.8 ? 0 : 1;
}
