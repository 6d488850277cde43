/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A neural network with one hidden layer learns which points lie within a ring: no straight line
 * parts them. Every peer has points of its own and sends 4-bit gradients; all end with the same
 * network.
 *
 *     cc mlp.c -o mlp $(pkg-config --cflags --libs weft) -lm
 *     weft run -n 4 -- ./mlp
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

enum { ROWS = 512, BATCH = 32, HIDDEN = 32, STEPS = 2000 };

/* The model in one vector: weights and biases of the hidden units, then of the output. */
enum { W1 = 0, B1 = 2 * HIDDEN, W2 = 3 * HIDDEN, B2 = 4 * HIDDEN, COUNT = 4 * HIDDEN + 1 };

static float points[ROWS][2];
static int inside[ROWS]; /* 1 in the ring, else 0 */

static void check(int code)
{
    if (code != WEFT_OK) {
        fprintf(stderr, "mlp: %s\n", weft_last_error()->message);
        exit(EXIT_FAILURE);
    }
}

static float uniform(void)
{
    return 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
}

/* Probability that the point lies in the ring; hidden: what the hidden units say. */
static float forward(const float *x, const float *point, float hidden[HIDDEN])
{
    float output = x[B2];

    for (int h = 0; h < HIDDEN; h++) {
        const float sum = x[W1 + 2 * h] * point[0] + x[W1 + 2 * h + 1] * point[1] + x[B1 + h];
        hidden[h] = fmaxf(sum, 0.0f); /* ReLU */
        output += x[W2 + h] * hidden[h];
    }
    return 1.0f / (1.0f + expf(-output));
}

/* Mean gradient of the cross entropy over a minibatch. */
static void backward(const float *x, int first, float *gradient)
{
    float hidden[HIDDEN];

    memset(gradient, 0, COUNT * sizeof(*gradient));
    for (int i = 0; i < BATCH; i++) {
        const int r = (first + i) % ROWS;
        const float miss = (forward(x, points[r], hidden) - (float)inside[r]) / BATCH;
        gradient[B2] += miss;
        for (int h = 0; h < HIDDEN; h++) {
            gradient[W2 + h] += miss * hidden[h];
            if (hidden[h] > 0.0f) {
                const float slope = miss * x[W2 + h];
                gradient[B1 + h] += slope;
                gradient[W1 + 2 * h] += slope * points[r][0];
                gradient[W1 + 2 * h + 1] += slope * points[r][1];
            }
        }
    }
}

int main(void)
{
    weft_group *group = NULL;
    weft_optim *optim = NULL;
    float x[COUNT], gradient[COUNT], hidden[HIDDEN];
    double right = 0.0;

    check(weft_group_open(&group, NULL)); /* `weft run` has set the environment */
    const int rank = weft_group_rank(group);

    /* The start must be the same on every peer, and not 0: all hidden units would stay alike. */
    srand(1);
    for (int j = 0; j < COUNT; j++) {
        x[j] = uniform();
    }
    check(weft_broadcast(group, x, COUNT, WEFT_F32, 0, NULL));
    srand((unsigned)rank + 2); /* the points are each peer's own */
    for (int r = 0; r < ROWS; r++) {
        points[r][0] = uniform();
        points[r][1] = uniform();
        const float radius = hypotf(points[r][0], points[r][1]);
        inside[r] = radius > 0.4f && radius < 0.8f;
    }

    const weft_optim_opts opts = {
        .size = sizeof(opts), .lr = "0.2", .codec = "qsgd:levels=7,bucket=32"};
    check(weft_optim_open(&optim, group, "sgd:momentum=0.9", COUNT, &opts));
    for (int step = 0; step < STEPS; step++) {
        backward(x, step * BATCH, gradient);
        check(weft_optim_step(optim, x, gradient));
    }

    for (int r = 0; r < ROWS; r++) {
        right += (forward(x, points[r], hidden) > 0.5f) == (inside[r] == 1);
    }
    right /= ROWS;
    check(weft_allreduce(group, &right, &right, 1, WEFT_F64, WEFT_MEAN, NULL));
    if (rank == 0) {
        printf("%.1f %% of all points are told right; a message: %d bytes, not %d\n", 100.0 * right,
               (int)weft_optim_cost(optim).encoded_bytes, (int)sizeof(gradient));
    }
    weft_optim_close(&optim);
    weft_group_close(&group);
    return right > 0.85 ? 0 : 1;
}
