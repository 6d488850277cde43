/* SPDX-License-Identifier: Apache-2.0 */
/* The problems behind their interface: gradients against finite differences, minima, starts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "problem.h"
#include "problem_softmax.h"
#include "small_data.h"
#include "train_random.h"

enum { ROWS = 40, DIM = 6, PEERS = 4, CLASSES = 3, SHARD = ROWS / PEERS };

typedef struct fixture {
    weft_libsvm *sparse;
    weft_dataset data;
    uint32_t class_of[ROWS];
    double classes[CLASSES];
    weft_problem problem;
} fixture;

/* Random rows whose labels are classes 0, 1, 2 by a column's value, or numbers. */
static void open_problem(fixture *f, const char *spec, size_t classes)
{
    char why[256] = "";

    memset(f, 0, sizeof(*f));
    f->sparse = small_data(ROWS, DIM, 0.8, 3);
    f->data = (weft_dataset){.path = "small",
                             .rows = ROWS,
                             .dim = DIM,
                             .nonzeros = f->sparse->nonzeros,
                             .sparse = f->sparse,
                             .label = f->sparse->label};
    for (size_t i = 0; i < ROWS; i++) {
        const double first = f->sparse->value[f->sparse->start[i]];
        const uint32_t c = classes == 2 ? f->sparse->sign[i] > 0 : first > 0.3 ? 2 : first > -0.3;

        f->class_of[i] = c;
        f->sparse->label[i] = classes == 0 ? 3 * first - 1 : (double)c;
    }
    for (size_t c = 0; c < classes; c++)
        f->classes[c] = (double)c;
    if (classes > 0) {
        f->data.classes = f->classes;
        f->data.class_count = classes;
        f->data.class_of = f->class_of;
    }
    cr_assert_eq(weft_problem_open(&f->problem, spec, &f->data, &f->data, PEERS,
                                   WEFT_SHARDS_SHUFFLE, 7, why, sizeof(why)),
                 0, "%s", why);
    f->problem.l2 = 0.05;
}

static void close_problem(fixture *f)
{
    weft_problem_close(&f->problem);
    weft_libsvm_free(&f->sparse);
}

static void random_model(size_t count, float *x)
{
    for (size_t j = 0; j < count; j++)
        x[j] = weft_train_start(11, 0, (uint32_t)j);
}

/* Loss of one row by the formula, in double, for a model in double. Nothing is shared with what is
 * tested but the data. */
typedef double row_loss(const fixture *f, size_t row, const double *x);

static void dense_row(const fixture *f, size_t row, double a[DIM])
{
    memset(a, 0, DIM * sizeof(*a));
    for (size_t k = f->sparse->start[row]; k < f->sparse->start[row + 1]; k++)
        a[f->sparse->index[k]] = f->sparse->value[k];
}

static double square_row(const fixture *f, size_t row, const double *x)
{
    double a[DIM], t = 0;

    dense_row(f, row, a);
    for (size_t j = 0; j < DIM; j++)
        t += a[j] * x[j];
    return (t - f->sparse->label[row]) * (t - f->sparse->label[row]) / 2;
}

static double cross_entropy(const double *outputs, size_t classes, uint32_t class_of)
{
    double sum = 0;

    for (size_t c = 0; c < classes; c++)
        sum += exp(outputs[c]);
    return log(sum) - outputs[class_of];
}

static double softmax_row(const fixture *f, size_t row, const double *x)
{
    double a[DIM], outputs[CLASSES] = {0};

    dense_row(f, row, a);
    for (size_t j = 0; j < DIM; j++) {
        for (size_t c = 0; c < CLASSES; c++)
            outputs[c] += a[j] * x[j * CLASSES + c];
    }
    return cross_entropy(outputs, CLASSES, f->class_of[row]);
}

/* Any layers, by the tensors' shapes. */
static double network_row(const fixture *f, size_t row, const double *x)
{
    double in[64] = {0}, out[64];

    dense_row(f, row, in);
    for (size_t t = 0; t < f->problem.tensor_count; t += 2) {
        const weft_problem_tensor *w = &f->problem.tensors[t];
        const double *bias = x + w->count;

        for (size_t u = 0; u < w->rows; u++) {
            out[u] = bias[u];
            for (size_t j = 0; j < w->columns; j++)
                out[u] += x[u * w->columns + j] * in[j];
            if (t + 2 < f->problem.tensor_count)
                out[u] = fmax(out[u], 0);
        }
        memcpy(in, out, sizeof(in));
        x += w->count + w->rows;
    }
    return cross_entropy(in, CLASSES, f->class_of[row]);
}

/* f over some rows of a shard (repeats count), penalty in. */
static double objective(const fixture *f, row_loss *loss, int rank, const size_t *rows,
                        size_t count, const double *x)
{
    const size_t *shard = f->problem.cut.rows + (size_t)rank * SHARD;
    double sum = 0, square = 0;

    for (size_t i = 0; i < count; i++)
        sum += loss(f, shard[rows != NULL ? rows[i] : i], x);
    for (size_t j = 0; j < f->problem.dim; j++)
        square += x[j] * x[j];
    return sum / (double)count + f->problem.l2 / 2 * square;
}

/* Central differences of the objective for every coordinate, over the shard and over a minibatch.
 */
static void expect_gradient(fixture *f, row_loss *loss, double within)
{
    static const size_t batch[] = {3, 0, 3, 9, 5};
    const size_t d = f->problem.dim;
    float *x = calloc(d, sizeof(*x)), *g = calloc(d, sizeof(*g));
    double *wide = calloc(d, sizeof(*wide));

    random_model(d, x);
    for (size_t j = 0; j < d; j++)
        wide[j] = (double)x[j];
    for (int part = 0; part < 2; part++) {
        const size_t *rows = part == 0 ? NULL : batch;
        const size_t count = part == 0 ? SHARD : sizeof(batch) / sizeof(*batch);

        for (int rank = 0; rank < PEERS; rank += 3) {
            f->problem.kind->gradient(&f->problem, rank, rows, count, x, g);
            for (size_t j = 0; j < d; j++) {
                const double h = 1e-6, at = wide[j];
                double slope;

                wide[j] = at + h;
                slope = objective(f, loss, rank, rows, count, wide);
                wide[j] = at - h;
                slope = (slope - objective(f, loss, rank, rows, count, wide)) / (2 * h);
                wide[j] = at;
                cr_expect(fabs(slope - (double)g[j]) < within, "%s, rank %d, x[%zu]: %g, not %g",
                          f->problem.kind->name, rank, j, (double)g[j], slope);
            }
        }
    }
    free(x);
    free(g);
    free(wide);
}

/* The sum over all used rows is the sum of the rows; where a slope is told it is that of the mean
 * of all shards. */
static void expect_loss(fixture *f, row_loss *loss, double within)
{
    const size_t d = f->problem.dim;
    float *x = calloc(d, sizeof(*x)), *g = calloc(d, sizeof(*g));
    double *wide = calloc(d, sizeof(*wide)), *sums = calloc(d, sizeof(*sums)), want = 0, got;
    double *mean = calloc(d, sizeof(*mean));

    random_model(d, x);
    for (size_t j = 0; j < d; j++)
        wide[j] = (double)x[j];
    for (size_t i = 5; i < ROWS - 3; i++)
        want += loss(f, f->problem.cut.rows[i], wide);
    got = f->problem.kind->loss(&f->problem, 5, ROWS - 8, x, NULL);
    cr_expect(fabs(got - want) < within * ROWS, "%s: %g, not %g", f->problem.kind->name, got, want);
    if (f->problem.kind->slopes) {
        (void)f->problem.kind->loss(&f->problem, 0, ROWS, x, sums);
        for (int r = 0; r < PEERS; r++) {
            f->problem.kind->gradient(&f->problem, r, NULL, 0, x, g);
            for (size_t j = 0; j < d; j++)
                mean[j] += ((double)g[j] - f->problem.l2 * wide[j]) / PEERS;
        }
        for (size_t j = 0; j < d; j++)
            cr_expect(fabs(sums[j] / ROWS - mean[j]) < 1e-6);
    }
    free(x);
    free(g);
    free(wide);
    free(sums);
    free(mean);
}

Test(problems, least_squares_gradients_are_those_of_the_formula)
{
    fixture f;

    open_problem(&f, "least_squares", 0);
    expect_gradient(&f, square_row, 2e-6);
    expect_loss(&f, square_row, 1e-12);
    close_problem(&f);
}

Test(problems, softmax_gradients_are_those_of_the_formula)
{
    fixture f;

    open_problem(&f, "softmax", CLASSES);
    expect_gradient(&f, softmax_row, 1e-6);
    expect_loss(&f, softmax_row, 1e-12);
    close_problem(&f);
}

Test(problems, network_gradients_are_those_of_the_formula)
{
    static const char *const specs[] = {"mlp:hidden=5", "mlp:hidden=7x4", "mlp:hidden=4x3x5"};

    for (size_t i = 0; i < 3; i++) {
        fixture f;

        open_problem(&f, specs[i], CLASSES);
        expect_gradient(&f, network_row, 1e-5);
        expect_loss(&f, network_row, 1e-5);
        close_problem(&f);
    }
}

Test(problems, minibatches_of_many_blocks_are_whole)
{
    enum { MANY = 1000 };
    fixture f;
    size_t *rows = calloc(MANY, sizeof(*rows));
    float *x, *g, *block;

    open_problem(&f, "mlp:hidden=5", CLASSES);
    x = calloc(f.problem.dim, sizeof(*x));
    g = calloc(f.problem.dim, sizeof(*g));
    block = calloc(f.problem.dim, sizeof(*block));
    random_model(f.problem.dim, x);
    for (size_t i = 0; i < MANY; i++)
        rows[i] = i % SHARD;
    f.problem.kind->gradient(&f.problem, 1, rows, MANY, x, g);
    f.problem.kind->gradient(&f.problem, 1, NULL, 0, x, block);
    for (size_t j = 0; j < f.problem.dim; j++)
        cr_expect(fabsf(g[j] - block[j]) < 1e-5f);
    free(x);
    free(g);
    free(block);
    free(rows);
    close_problem(&f);
}

Test(problems, minimum_of_least_squares_has_no_slope)
{
    fixture f;
    double fstar = 0, best;
    char why[256] = "";
    float *x, *g, *sum;

    open_problem(&f, "least_squares", 0);
    cr_assert_eq(f.problem.kind->minimum(&f.problem, &fstar, why, sizeof(why)), 0, "%s", why);
    /* Gradient descent, which shares nothing with it, ends there. */
    x = calloc(f.problem.dim, sizeof(*x));
    g = calloc(f.problem.dim, sizeof(*g));
    sum = calloc(f.problem.dim, sizeof(*sum));
    for (int step = 0; step < 3000; step++) {
        memset(sum, 0, f.problem.dim * sizeof(*sum));
        for (int r = 0; r < PEERS; r++) {
            f.problem.kind->gradient(&f.problem, r, NULL, 0, x, g);
            for (size_t j = 0; j < f.problem.dim; j++)
                sum[j] += g[j] / PEERS;
        }
        for (size_t j = 0; j < f.problem.dim; j++)
            x[j] -= 0.5f * sum[j];
    }
    best = weft_problem_value(&f.problem, f.problem.kind->loss(&f.problem, 0, ROWS, x, NULL) / ROWS,
                              x);
    cr_expect(best >= fstar - 1e-14 && best < fstar + 1e-11, "%.15g, f* %.15g", best, fstar);
    free(x);
    free(g);
    free(sum);
    close_problem(&f);
}

Test(problems, softmax_of_two_classes_is_logistic_with_half_the_penalty)
{
    fixture two, logistic;
    double a = 0, b = 0;
    char why[256] = "";

    /* w_1 = -w_0 = v / 2 at the minimum: a.w_1 - a.w_0 = a.v, |w|^2 = |v|^2 / 2. */
    open_problem(&two, "softmax", 2);
    open_problem(&logistic, "logistic", 2);
    logistic.problem.l2 = two.problem.l2 / 2;
    cr_assert_eq(two.problem.kind->minimum(&two.problem, &a, why, sizeof(why)), 0, "%s", why);
    cr_assert_eq(logistic.problem.kind->minimum(&logistic.problem, &b, why, sizeof(why)), 0);
    cr_expect(fabs(a - b) < 1e-13, "%.16g, not %.16g", a, b);
    two.problem.l2 = 0;
    cr_assert_eq(two.problem.kind->minimum(&two.problem, &a, why, sizeof(why)), 0, "%s", why);
    cr_expect(isnan(a), "f* without a penalty is not known");
    close_problem(&two);
    close_problem(&logistic);
}

Test(problems, constants_bound_the_curvature)
{
    static const char *const specs[] = {"logistic", "softmax", "least_squares"};
    static const size_t classes[] = {2, CLASSES, 0};
    static const double curve[] = {0.25, 0.5, 1};

    for (size_t i = 0; i < 3; i++) {
        fixture f;
        weft_constants c = {0};
        char why[256] = "";
        double square = 0, row = 0;

        open_problem(&f, specs[i], classes[i]);
        cr_assert_eq(f.problem.kind->constants(&f.problem, &c, why, sizeof(why)), 0, "%s", why);
        for (size_t r = 0; r < ROWS; r++) {
            const double own = weft_dataset_square(&f.data, r);

            square += own;
            row = fmax(row, own);
        }
        /* The largest eigenvalue is between the mean and the sum of all. */
        cr_expect(c.all < curve[i] * square / ROWS && c.all > curve[i] * square / ROWS / DIM);
        cr_expect(c.shard >= c.all);
        cr_expect(fabs(c.row - curve[i] * row) < 1e-12);
        close_problem(&f);
    }
}

Test(problems, a_network_starts_by_its_seed_alone)
{
    fixture a, b;
    float *x, *y;
    double square = 0;

    open_problem(&a, "mlp:hidden=60", CLASSES);
    open_problem(&b, "mlp:hidden=60", CLASSES);
    x = calloc(a.problem.dim, sizeof(*x));
    y = calloc(a.problem.dim, sizeof(*y));
    weft_problem_start(&a.problem, x);
    weft_problem_start(&b.problem, y);
    cr_expect_arr_eq(x, y, a.problem.dim * sizeof(*x));
    b.problem.seed++;
    weft_problem_start(&b.problem, y);
    cr_expect_neq(x[0], y[0]);
    /* Variance 2 / inputs; biases 0. */
    for (size_t j = 0; j < 60 * DIM; j++)
        square += (double)x[j] * (double)x[j] / (60 * DIM);
    cr_expect(fabs(square - 2.0 / DIM) < 0.2 * 2.0 / DIM, "%g", square);
    for (size_t j = 60 * DIM; j < 60 * DIM + 60; j++)
        cr_expect_eq(x[j], 0);
    free(x);
    free(y);
    close_problem(&a);
    close_problem(&b);
}

Test(problems, tensors_are_named_and_cover_the_model)
{
    static const char *const names[] = {"W1", "b1", "W2", "b2", "W3", "b3"};
    static const size_t counts[] = {7 * DIM, 7, 4 * 7, 4, CLASSES * 4, CLASSES};
    fixture f;

    open_problem(&f, "mlp:hidden=7x4", CLASSES);
    cr_assert_eq(f.problem.tensor_count, 6);
    for (size_t t = 0; t < 6; t++) {
        cr_expect_str_eq(f.problem.tensors[t].name, names[t]);
        cr_expect_eq(f.problem.tensors[t].count, counts[t]);
        cr_expect_eq(f.problem.tensors[t].rows * f.problem.tensors[t].columns, counts[t]);
    }
    cr_expect_eq(f.problem.dim, 7 * DIM + 7 + 4 * 7 + 4 + CLASSES * 4 + CLASSES);
    close_problem(&f);
}

Test(problems, test_rows_are_counted_right)
{
    fixture f;
    float x[DIM * CLASSES] = {0};
    weft_score all, part, rest;

    open_problem(&f, "softmax", CLASSES);
    random_model(DIM * CLASSES, x);
    all = f.problem.kind->test(&f.problem, 0, ROWS, x);
    part = f.problem.kind->test(&f.problem, 0, 13, x);
    rest = f.problem.kind->test(&f.problem, 13, ROWS - 13, x);
    cr_expect_eq(all.right, part.right + rest.right);
    cr_expect(fabs(all.loss - part.loss - rest.loss) < 1e-12);
    cr_expect(fabs(all.loss - f.problem.kind->loss(&f.problem, 0, ROWS, x, NULL)) < 1e-12);
    memset(x, 0, sizeof(x)); /* all classes alike: the first is taken */
    all = f.problem.kind->test(&f.problem, 0, ROWS, x);
    for (size_t i = 0; i < ROWS; i++)
        all.right -= f.class_of[i] == 0;
    cr_expect_eq(all.right, 0);
    close_problem(&f);
}

Test(problems, specs_that_are_none_are_refused)
{
    static const char *const bad[][2] = {
        {"mpl", "nearest: mlp"},
        {"logistic:l2=1", "has no keys"},
        {"mlp:hiden=3", "did you mean hidden"},
        {"mlp:hidden=", "hidden"},
        {"mlp:hidden=0", "1 to 8 layers"},
        {"mlp:hidden=3x", "1 to 8 layers"},
        {"mlp:hidden=3xx3", "1 to 8 layers"},
        {"mlp:hidden=70000", "65536"},
        {"mlp:hidden=1x1x1x1x1x1x1x1x1", "1 to 8 layers"},
        {"mlp:hidden=3,hidden=4", "one value"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const weft_problem_kind *kind = NULL;
        const char *keys = NULL;
        char why[256] = "";

        cr_expect_eq(weft_problem_find(bad[i][0], &kind, &keys, why, sizeof(why)), -1, "%s",
                     bad[i][0]);
        cr_expect_null(kind);
        cr_expect_not_null(strstr(why, bad[i][1]), "'%s' lacks '%s'", why, bad[i][1]);
    }
}
