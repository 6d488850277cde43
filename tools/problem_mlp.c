/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multilayer perceptron: layers of weights W1, W2, ... (units x inputs) and biases b1, b2, ...,
 * ReLU between them, softmax cross entropy at the end. Everything but the loss is in float32; whole
 * minibatches go through one matrix product a layer (OpenBLAS).
 *
 * Start: W uniform in +-sqrt(6 / inputs), variance 2 / inputs (He et al. 2015), b zero.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "cli.h"
#include "problem_softmax.h"
#include "train_random.h"

#define HIDDEN_MAX 8      /* hidden layers */
#define UNITS_MAX 65536.0 /* of a layer */
#define BLOCK 256         /* rows that go through together */
#define HIDDEN_TEXT 64

typedef struct layer {
    size_t inputs, units;
    size_t weights, biases; /* places in the model */
    float *outputs;         /* BLOCK x units, after ReLU but in the last layer */
    float *slopes;          /* BLOCK x units: of the loss in what went into ReLU */
} layer;

typedef struct mlp {
    size_t layers;
    layer layer[HIDDEN_MAX + 1];
    float *inputs; /* BLOCK rows of the data */
    double *logits;
} mlp;

/* "512x256" into units of hidden layers; returns how many, 0 with the reason in why. */
static size_t read_hidden(const char *keys, size_t units[HIDDEN_MAX], char *why, size_t cap)
{
    char text[HIDDEN_TEXT] = "", *rest = NULL;
    size_t count = 0;

    if (weft_problem_key(keys, "hidden", text, sizeof(text), why, cap) != 0)
        return 0;
    if (text[0] == '\0')
        snprintf(text, sizeof(text), "128");
    if (text[strlen(text) - 1] == 'x' || text[0] == 'x' || strstr(text, "xx") != NULL)
        goto bad;
    for (char *word = strtok_r(text, "x", &rest); word != NULL; word = strtok_r(NULL, "x", &rest)) {
        int64_t n = 0;

        if (count == HIDDEN_MAX || !weft_cli_read_whole(word, 1, UNITS_MAX, &n))
            goto bad;
        units[count++] = (size_t)n;
    }
    return count;
bad:
    snprintf(why, cap, "hidden: 1 to %d layers of 1 to %.0f units are wanted, as 128 or 512x256",
             HIDDEN_MAX, UNITS_MAX);
    return 0;
}

static int check(const char *keys, char *why, size_t cap)
{
    size_t units[HIDDEN_MAX];

    return read_hidden(keys, units, why, cap) > 0 ? 0 : -1;
}

static bool add_layer(weft_problem *problem, mlp *m, size_t inputs, size_t units)
{
    layer *l = &m->layer[m->layers];
    char name[16];

    m->layers++;
    l->inputs = inputs;
    l->units = units;
    l->weights = problem->dim;
    snprintf(name, sizeof(name), "W%zu", m->layers);
    if (!weft_problem_add_tensor(problem, name, units, inputs))
        return false;
    l->biases = problem->dim;
    snprintf(name, sizeof(name), "b%zu", m->layers);
    if (!weft_problem_add_tensor(problem, name, units, 1))
        return false;
    l->outputs = calloc(BLOCK * units, sizeof(*l->outputs));
    l->slopes = calloc(BLOCK * units, sizeof(*l->slopes));
    return l->outputs != NULL && l->slopes != NULL;
}

static int open_it(weft_problem *problem, char *why, size_t cap)
{
    const size_t classes = problem->data->class_count;
    size_t units[HIDDEN_MAX + 1] = {0}, inputs = problem->data->dim;
    size_t hidden;
    mlp *m = calloc(1, sizeof(*m));

    problem->own = m;
    if (m == NULL)
        goto memory;
    hidden = read_hidden(problem->keys, units, why, cap);
    if (hidden == 0)
        return -1;
    units[hidden] = classes;
    m->logits = calloc(classes, sizeof(*m->logits));
    m->inputs = calloc(BLOCK, inputs * sizeof(*m->inputs));
    if (m->logits == NULL || m->inputs == NULL)
        goto memory;
    for (size_t i = 0; i <= hidden; i++) {
        if (inputs > ((size_t)INT32_MAX - problem->dim) / units[i] - 1) {
            snprintf(why, cap, "layer %zu of %zu x %zu weights: a model is at most 2^31 numbers",
                     i + 1, units[i], inputs);
            return -1;
        }
        if (!add_layer(problem, m, inputs, units[i]))
            goto memory;
        inputs = units[i];
    }
    return 0;
memory:
    snprintf(why, cap, "out of memory for a network of %zu inputs", problem->data->dim);
    return -1;
}

static void close_it(weft_problem *problem)
{
    mlp *m = problem->own;

    problem->own = NULL;
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->layers; i++) {
        free(m->layer[i].outputs);
        free(m->layer[i].slopes);
    }
    free(m->inputs);
    free(m->logits);
    free(m);
}

static void start(const weft_problem *problem, float *x)
{
    const mlp *m = problem->own;

    for (size_t i = 0; i < m->layers; i++) {
        const layer *l = &m->layer[i];
        const float most = sqrtf(6.0f / (float)l->inputs);

        for (size_t j = 0; j < l->inputs * l->units; j++)
            x[l->weights + j] = most * weft_train_start(problem->seed, (uint32_t)i, (uint32_t)j);
    }
}

/* Outputs of all layers for the count rows in m->inputs. */
static void forward(const mlp *m, const float *x, size_t count)
{
    const float *in = m->inputs;

    for (size_t i = 0; i < m->layers; i++) {
        const layer *l = &m->layer[i];
        const int n = (int)l->inputs, units = (int)l->units;
        const bool last = i + 1 == m->layers;

        for (size_t r = 0; r < count; r++)
            memcpy(l->outputs + r * l->units, x + l->biases, l->units * sizeof(float));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)count, units, n, 1.0f, in, n,
                    x + l->weights, n, 1.0f, l->outputs, units);
        for (size_t j = 0; j < count * l->units && !last; j++) {
            /* A NaN goes on: the loss must show it. */
            if (l->outputs[j] < 0.0f)
                l->outputs[j] = 0.0f;
        }
        in = l->outputs;
    }
}

/* The last layer's outputs of row r as probabilities; returns the loss for that class. */
static double probabilities(const mlp *m, size_t r, size_t class_of)
{
    const layer *l = &m->layer[m->layers - 1];

    for (size_t c = 0; c < l->units; c++)
        m->logits[c] = (double)l->outputs[r * l->units + c];
    return weft_softmax_row(m->logits, l->units, class_of);
}

/* The penalty's part, and the word that the tensor is known. */
static void complete(const weft_problem *problem, size_t tensor, size_t from, size_t count,
                     const float *x, float *gradient)
{
    const weft_problem_listener *to = &problem->listener;
    const float l2 = (float)problem->l2;

    for (size_t j = from; j < from + count && problem->l2 > 0; j++)
        gradient[j] += l2 * x[j];
    if (to->ready != NULL)
        to->ready(to->user, tensor, gradient + from);
}

/* From the last layer's slopes to the first's, adding to the gradient (first block: writing it;
 * last block: it is complete). */
static void backward(const weft_problem *problem, const float *x, size_t count, bool first,
                     bool final, float *gradient)
{
    const mlp *m = problem->own;
    const float beta = first ? 0.0f : 1.0f;

    for (size_t i = m->layers; i-- > 0;) {
        const layer *l = &m->layer[i];
        const layer *before = i > 0 ? l - 1 : NULL;
        const float *in = before != NULL ? before->outputs : m->inputs;
        const int n = (int)l->inputs, units = (int)l->units;
        float *bias = gradient + l->biases;

        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, units, n, (int)count, 1.0f, l->slopes,
                    units, in, n, beta, gradient + l->weights, n);
        if (first)
            memset(bias, 0, l->units * sizeof(*bias));
        for (size_t r = 0; r < count; r++) {
            for (size_t u = 0; u < l->units; u++)
                bias[u] += l->slopes[r * l->units + u];
        }
        if (final) {
            complete(problem, 2 * i + 1, l->biases, l->units, x, gradient);
            complete(problem, 2 * i, l->weights, l->inputs * l->units, x, gradient);
        }
        if (before == NULL)
            break;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, n, units, 1.0f,
                    l->slopes, units, x + l->weights, n, 0.0f, before->slopes, n);
        for (size_t j = 0; j < count * l->inputs; j++) {
            if (before->outputs[j] == 0.0f)
                before->slopes[j] = 0.0f;
        }
    }
}

static void gradient_at(weft_problem *problem, int rank, const size_t *rows, size_t count,
                        const float *x, float *ret_gradient)
{
    const size_t *shard = problem->cut.rows + (size_t)rank * problem->cut.shard_rows;
    const weft_dataset *d = problem->data;
    const mlp *m = problem->own;
    const layer *last = &m->layer[m->layers - 1];

    if (rows == NULL)
        count = problem->cut.shard_rows;
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t block = count - first < BLOCK ? count - first : BLOCK;

        for (size_t r = 0; r < block; r++)
            weft_dataset_floats(d, shard[rows == NULL ? first + r : rows[first + r]], d->dim,
                                m->inputs + r * d->dim);
        forward(m, x, block);
        for (size_t r = 0; r < block; r++) {
            const size_t at = rows == NULL ? first + r : rows[first + r];
            const size_t class_of = d->class_of[shard[at]];

            (void)probabilities(m, r, class_of);
            m->logits[class_of] -= 1;
            for (size_t c = 0; c < last->units; c++)
                last->slopes[r * last->units + c] = (float)(m->logits[c] / (double)count);
        }
        backward(problem, x, block, first == 0, first + block == count, ret_gradient);
    }
}

/* Rows of data, order[first] … (NULL: first …): losses, and how many are right. */
static weft_score score(const weft_problem *problem, const weft_dataset *data, const size_t *order,
                        size_t first, size_t count, const float *x)
{
    const mlp *m = problem->own;
    const layer *last = &m->layer[m->layers - 1];
    const size_t dim = problem->data->dim;
    weft_score all = {0};

    for (size_t done = 0; done < count; done += BLOCK) {
        const size_t block = count - done < BLOCK ? count - done : BLOCK;

        for (size_t r = 0; r < block; r++) {
            const size_t at = first + done + r;

            weft_dataset_floats(data, order != NULL ? order[at] : at, dim, m->inputs + r * dim);
        }
        forward(m, x, block);
        for (size_t r = 0; r < block; r++) {
            const size_t at = first + done + r;
            const size_t class_of = data->class_of[order != NULL ? order[at] : at];
            const float *outputs = last->outputs + r * last->units;
            size_t best = 0;

            for (size_t c = 1; c < last->units; c++)
                best = outputs[c] > outputs[best] ? c : best;
            all.right += best == class_of;
            all.loss += probabilities(m, r, class_of);
        }
    }
    return all;
}

static double loss_at(weft_problem *problem, size_t first, size_t count, const float *x,
                      double *ret_gradient)
{
    (void)ret_gradient; /* .slopes is false */
    return score(problem, problem->data, problem->cut.rows, first, count, x).loss;
}

static weft_score test_at(weft_problem *problem, size_t first, size_t count, const float *x)
{
    return score(problem, problem->test, NULL, first, count, x);
}

extern const weft_problem_kind weft_problem_mlp;
const weft_problem_kind weft_problem_mlp = {
    .name = "mlp",
    .summary = "softmax cross entropy of a network with ReLU layers",
    .labels = WEFT_LABELS_CLASSES,
    .slopes = false,
    .convex = false,
    .check = check,
    .open = open_it,
    .close = close_it,
    .start = start,
    .gradient = gradient_at,
    .loss = loss_at,
    .test = test_at,
};
