/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_minimum.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#define SET_MAX 2048   /* coordinates of a dense Hessian: 32 MiB */
#define BLOCK_ROWS 256 /* rows made dense at a time */
#define ROUNDS 1000    /* Newton steps */
#define SWEEPS 300     /* coordinate descent on one quadratic model */
#define CG_STEPS 5000  /* conjugate gradients on one quadratic model */
#define HALVINGS 50    /* of a Newton step that does not descend */
#define RIDGES 10      /* tried, each ten times the one before */
#define RESOLVED 1e-15 /* a promised decrease below this is not visible in f */
#define PROMISED 1e-13 /* accuracy of f* */

/* LAPACK: Cholesky factor of a in place, info 0 when a is positive definite; solve with it.
 * NOLINTBEGIN(readability-identifier-naming): Fortran's names */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info);
/* NOLINTEND(readability-identifier-naming) */

typedef struct newton {
    const weft_linear *problem;
    size_t dim;
    double *x, *gradient, *trial, *step; /* gradient: of f without l1 */
    double *weight;                      /* per used row: second derivative of its loss / N */
    size_t *set, set_size, set_cap;      /* coordinates of the dense model */
    size_t *pick;                        /* positions in the set that a solve takes */
    int32_t *place;                      /* coordinate to position in the set, -1: outside */
    double ridge; /* smallest addition to the diagonal that is worth trying */
    double *hessian, *factor, *block, *residual, *rhs;
    double *cg_r, *cg_p, *cg_hp, *cg_scale;
} newton;

static double sign_of(double v)
{
    return v > 0 ? 1 : v < 0 ? -1 : 0;
}

/* f at x; leaves the gradient without l1 behind when asked. */
static double value(const newton *n, const double *x, double *ret_gradient)
{
    const weft_linear *p = n->problem;
    const double rows = (double)p->cut.used;
    const double sum = weft_linear_loss(p, 0, p->cut.used, x, ret_gradient);

    if (ret_gradient != NULL) {
        for (size_t j = 0; j < n->dim; j++)
            ret_gradient[j] = ret_gradient[j] / rows + p->l2 * x[j];
    }
    return weft_linear_value(p, sum / rows, x);
}

/* Entry j of the smallest subgradient. */
static double subgradient(const newton *n, size_t j)
{
    const double l1 = n->problem->l1;

    if (n->x[j] != 0)
        return n->gradient[j] + l1 * sign_of(n->x[j]);
    return sign_of(n->gradient[j]) * fmax(fabs(n->gradient[j]) - l1, 0);
}

static void set_weights(newton *n)
{
    const weft_linear *p = n->problem;

    for (size_t i = 0; i < p->cut.used; i++) {
        const size_t row = p->cut.rows[i];

        n->weight[i] =
            p->loss->curve(weft_linear_dot(p->data, row, n->x), weft_linear_target(p, row)) /
            (double)p->cut.used;
    }
}

/* The working set: nonzeros and violated zeros; all coordinates when l1 = 0. false: some had to
 * be left out. */
static bool choose_set(newton *n)
{
    double threshold = 0;
    size_t wanted = 0;

    n->set_size = 0;
    for (size_t j = 0; j < n->dim; j++)
        wanted += n->problem->l1 == 0 || n->x[j] != 0 || subgradient(n, j) != 0;
    /* Too many: raise the bar until the most violated ones fit. */
    for (size_t fit = wanted; fit > n->set_cap;) {
        threshold = threshold == 0 ? 1e-300 : threshold * 1.5;
        fit = 0;
        for (size_t j = 0; j < n->dim; j++)
            fit += fabs(subgradient(n, j)) >= threshold;
    }
    for (size_t j = 0; j < n->dim; j++) {
        const double s = subgradient(n, j);
        const bool in =
            threshold > 0 ? fabs(s) >= threshold : n->problem->l1 == 0 || n->x[j] != 0 || s != 0;

        n->place[j] = in ? (int32_t)n->set_size : -1;
        if (in)
            n->set[n->set_size++] = j;
    }
    return threshold == 0;
}

/* Lower triangle (row major) from the rows one by one: for sparse data. */
static void add_sparse_rows(newton *n)
{
    const weft_linear *p = n->problem;
    const weft_libsvm *d = p->data;

    for (size_t i = 0; i < p->cut.used; i++) {
        const size_t row = p->cut.rows[i];

        for (size_t k = d->start[row]; k < d->start[row + 1]; k++) {
            const int32_t a = n->place[d->index[k]];
            const double v = n->weight[i] * d->value[k];

            for (size_t l = d->start[row]; a >= 0 && l <= k; l++) {
                const int32_t b = n->place[d->index[l]];

                if (b >= 0)
                    n->hessian[(size_t)a * n->set_size + (size_t)b] += v * d->value[l];
            }
        }
    }
}

/* The same by blocks of dense rows and BLAS: for dense data. */
static void add_dense_rows(newton *n)
{
    const weft_linear *p = n->problem;
    const weft_libsvm *d = p->data;
    const int size = (int)n->set_size;

    for (size_t first = 0; first < p->cut.used; first += BLOCK_ROWS) {
        const size_t left = p->cut.used - first;
        const size_t rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;

        memset(n->block, 0, rows * n->set_size * sizeof(double));
        for (size_t i = 0; i < rows; i++) {
            const size_t row = p->cut.rows[first + i];
            const double root = sqrt(n->weight[first + i]);

            for (size_t k = d->start[row]; k < d->start[row + 1]; k++) {
                const int32_t a = n->place[d->index[k]];

                if (a >= 0)
                    n->block[i * n->set_size + (size_t)a] = root * d->value[k];
            }
        }
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, size, (int)rows, 1, n->block, size, 1,
                    n->hessian, size);
    }
}

/* The Hessian on the set, symmetric and full. */
static void set_hessian(newton *n)
{
    const weft_libsvm *d = n->problem->data;
    const size_t s = n->set_size;
    double trace = 0;

    memset(n->hessian, 0, s * s * sizeof(double));
    if ((double)d->nonzeros < 0.2 * (double)d->rows * (double)d->dim)
        add_sparse_rows(n);
    else
        add_dense_rows(n);
    for (size_t a = 0; a < s; a++) {
        n->hessian[a * s + a] += n->problem->l2;
        trace += n->hessian[a * s + a];
        for (size_t b = 0; b < a; b++)
            n->hessian[b * s + a] = n->hessian[a * s + b];
    }
    n->ridge = 1e-15 * trace / (double)s + 1e-300;
    for (size_t a = 0; a < s; a++)
        n->hessian[a * s + a] += n->ridge; /* no diagonal entry is 0 */
}

/* Solve (hessian on the positions pick[0 … k-1]) y = rhs in place. Dependent columns make it
 * singular when l2 = 0: a ridge grows until Cholesky succeeds. It changes steps, not the minimum.
 * false: no ridge helps. */
static bool solve(newton *n, const size_t *pick, size_t k, double *rhs)
{
    const int size = (int)k, one = 1;
    double ridge = n->ridge;
    int info = 1;

    for (int i = 0; i < RIDGES && info != 0; i++) {
        for (size_t a = 0; a < k; a++) {
            for (size_t b = 0; b < k; b++)
                n->factor[a * k + b] = n->hessian[pick[a] * n->set_size + pick[b]];
            n->factor[a * k + a] += ridge;
        }
        dpotrf_("L", &size, n->factor, &size, &info);
        ridge *= 10;
    }
    if (info == 0)
        dpotrs_("L", &size, &one, n->factor, &size, rhs, &size, &info);
    return info == 0;
}

/* Coordinate descent on the quadratic model plus l1, over the set; step holds the result. */
static void descend(newton *n)
{
    const size_t s = n->set_size;
    const double l1 = n->problem->l1;
    double first = 0;

    for (size_t a = 0; a < s; a++)
        n->residual[a] = n->gradient[n->set[a]];
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        double largest = 0;

        for (size_t a = 0; a < s; a++) {
            const size_t j = n->set[a];
            const double curve = n->hessian[a * s + a];
            const double now = n->x[j] + n->step[j];
            const double aim = now - n->residual[a] / curve;
            const double next = sign_of(aim) * fmax(fabs(aim) - l1 / curve, 0);

            if (next == now)
                continue;
            n->step[j] = next - n->x[j];
            cblas_daxpy((int)s, next - now, n->hessian + a * s, 1, n->residual, 1);
            largest = fmax(largest, fabs(next - now) * sqrt(curve));
        }
        first = fmax(first, largest);
        if (largest <= 1e-4 * first)
            break;
    }
}

/* With the signs that the descent ended with, the model is smooth: minimize it exactly, and keep
 * the result if no sign changes. */
static void polish(newton *n)
{
    const size_t s = n->set_size;
    size_t *pick = n->pick;
    size_t k = 0;
    bool same = true;

    for (size_t a = 0; a < s; a++) {
        if (n->x[n->set[a]] + n->step[n->set[a]] != 0)
            pick[k++] = a;
    }
    /* residual = gradient + H step: what is left of the model's slope. */
    for (size_t b = 0; b < k; b++) {
        const size_t j = n->set[pick[b]];

        n->rhs[b] = -(n->residual[pick[b]] + n->problem->l1 * sign_of(n->x[j] + n->step[j]));
    }
    if (k > 0 && solve(n, pick, k, n->rhs)) {
        for (size_t b = 0; b < k; b++) {
            const size_t j = n->set[pick[b]];
            const double now = n->x[j] + n->step[j];

            same = same && sign_of(now + n->rhs[b]) == sign_of(now);
        }
        for (size_t b = 0; b < k && same; b++)
            n->step[n->set[pick[b]]] += n->rhs[b];
    }
}

/* hp = H p, by products with the rows. */
static void apply_hessian(const newton *n, const double *p, double *hp)
{
    const weft_libsvm *d = n->problem->data;

    for (size_t j = 0; j < n->dim; j++)
        hp[j] = n->problem->l2 * p[j];
    for (size_t i = 0; i < n->problem->cut.used; i++) {
        const size_t row = n->problem->cut.rows[i];
        const double dot = n->weight[i] * weft_linear_dot(d, row, p);

        for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
            hp[d->index[k]] += dot * d->value[k];
    }
}

/* Newton step by conjugate gradients with a diagonal preconditioner. */
static void conjugate(newton *n)
{
    const weft_libsvm *d = n->problem->data;
    const int size = (int)n->dim;
    double rho = 0, target;

    for (size_t j = 0; j < n->dim; j++)
        n->cg_scale[j] = n->problem->l2;
    for (size_t i = 0; i < n->problem->cut.used; i++) {
        const size_t row = n->problem->cut.rows[i];

        for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
            n->cg_scale[d->index[k]] += n->weight[i] * d->value[k] * d->value[k];
    }
    for (size_t j = 0; j < n->dim; j++) {
        n->cg_scale[j] = n->cg_scale[j] > 0 ? 1 / n->cg_scale[j] : 0;
        n->cg_r[j] = -n->gradient[j];
        n->cg_p[j] = n->cg_scale[j] * n->cg_r[j];
        rho += n->cg_r[j] * n->cg_p[j];
    }
    target = rho * 1e-12;
    for (int i = 0; i < CG_STEPS && rho > target; i++) {
        const double before = rho;
        double alpha, curve;

        apply_hessian(n, n->cg_p, n->cg_hp);
        curve = cblas_ddot(size, n->cg_p, 1, n->cg_hp, 1);
        if (curve <= 0)
            break;
        alpha = rho / curve;
        cblas_daxpy(size, alpha, n->cg_p, 1, n->step, 1);
        cblas_daxpy(size, -alpha, n->cg_hp, 1, n->cg_r, 1);
        rho = 0;
        for (size_t j = 0; j < n->dim; j++)
            rho += n->cg_r[j] * n->cg_r[j] * n->cg_scale[j];
        for (size_t j = 0; j < n->dim; j++)
            n->cg_p[j] = n->cg_scale[j] * n->cg_r[j] + rho / before * n->cg_p[j];
    }
}

/* Find a step. false: the model could not be solved. *ret_whole: every coordinate that matters
 * took part. */
static bool find_step(newton *n, bool *ret_whole)
{
    *ret_whole = true;
    memset(n->step, 0, n->dim * sizeof(double));
    set_weights(n);
    if (n->problem->l1 == 0 && n->dim > n->set_cap) {
        conjugate(n);
        return true;
    }
    *ret_whole = choose_set(n);
    if (n->set_size == 0)
        return true; /* l1 holds every coordinate at 0 */
    set_hessian(n);
    if (n->problem->l1 > 0) {
        descend(n);
        polish(n);
        return true;
    }
    for (size_t j = 0; j < n->dim; j++)
        n->step[j] = -n->gradient[j];
    return solve(n, n->set, n->dim, n->step);
}

/* First-order change of f along the step, l1 taken whole: not positive. */
static double slope(const newton *n)
{
    double sum = 0;

    for (size_t j = 0; j < n->dim; j++)
        sum += n->gradient[j] * n->step[j] +
               n->problem->l1 * (fabs(n->x[j] + n->step[j]) - fabs(n->x[j]));
    return sum;
}

/* Go along the step as far as f falls. false: it does not. */
static bool line_search(newton *n, double f, double change)
{
    double t = 1;

    for (int i = 0; i < HALVINGS; i++) {
        for (size_t j = 0; j < n->dim; j++)
            n->trial[j] = n->x[j] + t * n->step[j];
        if (value(n, n->trial, NULL) <= f + 1e-4 * t * change) {
            memcpy(n->x, n->trial, n->dim * sizeof(double));
            return true;
        }
        t /= 2;
    }
    return false;
}

/* Bound on f - f* by strong convexity; infinite without. */
static double strong_bound(const newton *n)
{
    double square = 0;

    for (size_t j = 0; j < n->dim; j++) {
        const double s = subgradient(n, j);

        square += s * s;
    }
    return n->problem->l2 > 0 ? square / (2 * n->problem->l2) : HUGE_VAL;
}

/* Newton's method from x = 0. 0, or -1 when 1e-13 was not reached. */
static int minimize(newton *n, double *ret_fstar)
{
    double f = value(n, n->x, n->gradient);
    const double scale = fmax(1, fabs(f)); /* f is not known better than that */
    double promise = HUGE_VAL;

    for (int round = 0; round < ROUNDS; round++) {
        double change;
        bool whole = false, small;

        if (strong_bound(n) <= RESOLVED * scale)
            break;
        if (!find_step(n, &whole))
            break;
        change = slope(n);
        promise = whole ? -change : HUGE_VAL;
        small = whole && promise <= RESOLVED * scale;
        if (small) {
            for (size_t j = 0; j < n->dim; j++)
                n->x[j] += n->step[j];
        } else if (!line_search(n, f, change)) {
            break;
        }
        f = value(n, n->x, n->gradient);
        if (small)
            break;
    }
    *ret_fstar = f;
    return fmin(strong_bound(n), promise) <= PROMISED * scale ? 0 : -1;
}

static bool reserve(newton *n)
{
    const weft_linear *p = n->problem;
    const bool dense = p->l1 > 0 || n->dim <= SET_MAX;

    n->set_cap = n->dim < SET_MAX ? n->dim : SET_MAX;
    n->x = calloc(n->dim, sizeof(double));
    n->gradient = calloc(n->dim, sizeof(double));
    n->trial = calloc(n->dim, sizeof(double));
    n->step = calloc(n->dim, sizeof(double));
    n->weight = calloc(p->cut.used, sizeof(double));
    if (n->x == NULL || n->gradient == NULL || n->trial == NULL || n->step == NULL ||
        n->weight == NULL)
        return false;
    if (!dense) {
        n->cg_r = calloc(n->dim, sizeof(double));
        n->cg_p = calloc(n->dim, sizeof(double));
        n->cg_hp = calloc(n->dim, sizeof(double));
        n->cg_scale = calloc(n->dim, sizeof(double));
        return n->cg_r != NULL && n->cg_p != NULL && n->cg_hp != NULL && n->cg_scale != NULL;
    }
    n->set = calloc(n->set_cap, sizeof(*n->set));
    n->pick = calloc(n->set_cap, sizeof(*n->pick));
    n->place = calloc(n->dim, sizeof(*n->place));
    n->hessian = calloc(n->set_cap * n->set_cap, sizeof(double));
    n->factor = calloc(n->set_cap * n->set_cap, sizeof(double));
    n->block = calloc(BLOCK_ROWS * n->set_cap, sizeof(double));
    n->residual = calloc(n->set_cap, sizeof(double));
    n->rhs = calloc(n->set_cap, sizeof(double));
    return n->set != NULL && n->pick != NULL && n->place != NULL && n->hessian != NULL &&
           n->factor != NULL && n->block != NULL && n->residual != NULL && n->rhs != NULL;
}

static void release(newton *n)
{
    double *const all[] = {n->x,       n->gradient, n->trial, n->step,     n->weight,
                           n->hessian, n->factor,   n->block, n->residual, n->rhs,
                           n->cg_r,    n->cg_p,     n->cg_hp, n->cg_scale};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(all[i]);
    free(n->set);
    free(n->pick);
    free(n->place);
}

int weft_linear_minimum(const weft_linear *problem, double *ret_fstar, double *ret_x, char *why,
                        size_t cap)
{
    newton n = {.problem = problem, .dim = problem->data->dim};
    double fstar = 0;
    int status = -1;

    if (!reserve(&n)) {
        snprintf(why, cap, "out of memory for Newton's method in %zu coordinates", n.dim);
        goto out;
    }
    if (minimize(&n, &fstar) != 0) {
        snprintf(why, cap, "the minimum was not found to 1e-13 (f = %.15g, l1 = %g, l2 = %g)",
                 fstar, problem->l1, problem->l2);
        goto out;
    }
    *ret_fstar = fstar;
    if (ret_x != NULL)
        memcpy(ret_x, n.x, n.dim * sizeof(double));
    status = 0;
out:
    release(&n);
    return status;
}
