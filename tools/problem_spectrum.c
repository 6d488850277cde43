/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_spectrum.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "train_random.h"

#define TOLERANCE 1e-13 /* relative; ten times finer than what is promised */
#define BASIS_MAX 160   /* Lanczos vectors kept before a restart */
#define BASIS_BYTES ((size_t)1 << 30)
#define RESTARTS 500

/* LAPACK: eigenvalues (ascending, in d) and vectors (columns of z) of a tridiagonal matrix.
 * NOLINTBEGIN(readability-identifier-naming): Fortran's name */
extern void dstev_(const char *jobz, const int *n, double *d, double *e, double *z, const int *ldz,
                   double *work, int *info);
/* NOLINTEND(readability-identifier-naming) */

typedef struct lanczos {
    weft_gram *multiply;
    const void *user;
    size_t dim, size; /* length of a vector, vectors in the basis */
    double *basis;    /* (size + 1) x dim, rows orthonormal */
    double *diagonal, *off, *vectors, *work, *dots;
} lanczos;

/* Take the components along the first k basis vectors out of v, twice: once leaves rounding. */
static void orthogonalize(const lanczos *l, size_t k, double *v)
{
    const int rows = (int)k, n = (int)l->dim;

    for (int pass = 0; pass < 2; pass++) {
        cblas_dgemv(CblasRowMajor, CblasNoTrans, rows, n, 1, l->basis, n, v, 1, 0, l->dots, 1);
        cblas_dgemv(CblasRowMajor, CblasTrans, rows, n, -1, l->basis, n, l->dots, 1, 1, v, 1);
    }
}

/* One cycle from the unit vector in basis[0]; puts the Ritz vector there. Returns the dimension
 * reached, with the Ritz values in diagonal and the bound on the residual in *ret_residual. */
static size_t cycle(lanczos *l, double *ret_residual)
{
    const int n = (int)l->dim, ldz = (int)l->size;
    size_t k = 0;
    double norm = 0, scale = 0;
    int size, info = 0;
    bool more = true;

    while (more) {
        double *v = l->basis + k * l->dim, *w = v + l->dim;

        l->multiply(l->user, v, w);
        l->diagonal[k] = cblas_ddot(n, v, 1, w, 1);
        scale = fmax(scale, fabs(l->diagonal[k]));
        k++;
        orthogonalize(l, k, w);
        norm = cblas_dnrm2(n, w, 1);
        more = k < l->size && norm > scale * DBL_EPSILON * 8;
        if (more) {
            l->off[k - 1] = norm;
            cblas_dscal(n, 1 / norm, w, 1);
        }
    }
    if (norm <= scale * DBL_EPSILON * 8)
        norm = 0; /* the basis spans an invariant subspace: the values are exact */
    size = (int)k;
    dstev_("V", &size, l->diagonal, l->off, l->vectors, &ldz, l->work, &info);
    if (info != 0)
        return 0;
    *ret_residual = norm * fabs(l->vectors[(k - 1) * l->size + k - 1]);
    cblas_dgemv(CblasRowMajor, CblasTrans, size, n, 1, l->basis, n, l->vectors + (k - 1) * l->size,
                1, 0, l->work, 1);
    norm = cblas_dnrm2(n, l->work, 1);
    for (size_t j = 0; j < l->dim; j++)
        l->basis[j] = l->work[j] / norm;
    return k;
}

static bool reserve(lanczos *l)
{
    const size_t fit = BASIS_BYTES / (l->dim * sizeof(double));

    l->size = l->dim < BASIS_MAX ? l->dim : BASIS_MAX;
    if (l->size > fit)
        l->size = fit < 3 ? 3 : fit;
    l->basis = calloc((l->size + 1) * l->dim, sizeof(double));
    l->diagonal = calloc(l->size, sizeof(double));
    l->off = calloc(l->size, sizeof(double));
    l->vectors = calloc(l->size * l->size, sizeof(double));
    l->work = calloc(l->dim > 2 * l->size ? l->dim : 2 * l->size, sizeof(double));
    l->dots = calloc(l->size, sizeof(double));
    return l->basis != NULL && l->diagonal != NULL && l->off != NULL && l->vectors != NULL &&
           l->work != NULL && l->dots != NULL;
}

static void release(lanczos *l)
{
    free(l->basis);
    free(l->diagonal);
    free(l->off);
    free(l->vectors);
    free(l->work);
    free(l->dots);
}

/* The first vector: fixed random numbers in (0.5, 1.5), never orthogonal to the largest
 * eigenvector of non-negative data, and of other data with probability 0. */
static void begin(lanczos *l)
{
    double norm;

    for (size_t j = 0; j < l->dim; j++) {
        const uint64_t u = weft_train_u64(0, 0, (uint64_t)j >> 32, (uint32_t)j);

        l->basis[j] = 0.5 + (double)(u >> 11) * 0x1p-53;
    }
    norm = cblas_dnrm2((int)l->dim, l->basis, 1);
    cblas_dscal((int)l->dim, 1 / norm, l->basis, 1);
}

int weft_lambda_max(weft_gram *multiply, const void *user, size_t dim, double *ret, char *why,
                    size_t cap)
{
    lanczos l = {.multiply = multiply, .user = user, .dim = dim};
    int status = -1;

    if (l.dim > INT32_MAX || !reserve(&l)) {
        snprintf(why, cap, "out of memory for an eigenvalue in %zu coordinates", l.dim);
        goto out;
    }
    begin(&l);
    for (int i = 0; i < RESTARTS; i++) {
        double residual = 0, error, top;
        const size_t k = cycle(&l, &residual);

        if (k == 0)
            break;
        top = l.diagonal[k - 1];
        /* The eigenvalue is off by at most the residual, and by its square over the gap. */
        error = residual;
        if (k > 1 && residual < (top - l.diagonal[k - 2]) / 4)
            error = fmin(error, residual * residual / (top - l.diagonal[k - 2]) * 2);
        if (error <= TOLERANCE * top || top <= 0) {
            *ret = fmax(top, 0);
            status = 0;
            goto out;
        }
    }
    snprintf(why, cap, "the largest eigenvalue in %zu coordinates was not found to 1e-12", dim);
out:
    release(&l);
    return status;
}

/* Some used rows of a problem. */
typedef struct rows_of {
    const weft_linear *problem;
    size_t first, count;
} rows_of;

/* out = A^T A in over the rows. */
static void multiply_rows(const void *user, const double *in, double *out)
{
    const rows_of *r = user;
    const weft_libsvm *d = r->problem->data;

    memset(out, 0, d->dim * sizeof(*out));
    for (size_t i = r->first; i < r->first + r->count; i++) {
        const size_t row = r->problem->cut.rows[i];
        const double dot = weft_linear_dot(d, row, in);

        for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
            out[d->index[k]] += dot * d->value[k];
    }
}

int weft_linear_lambda(const weft_linear *problem, size_t first, size_t count, double *ret,
                       char *why, size_t cap)
{
    const rows_of rows = {problem, first, count};

    return weft_lambda_max(multiply_rows, &rows, problem->data->dim, ret, why, cap);
}

int weft_linear_spectrum(const weft_linear *problem, weft_constants *ret, char *why, size_t cap)
{
    const double curve = problem->loss->curve_max;
    const weft_libsvm *d = problem->data;
    weft_constants s = {0};
    double lambda = 0;

    if (weft_linear_lambda(problem, 0, problem->cut.used, &lambda, why, cap) != 0)
        return -1;
    s.all = lambda / (double)problem->cut.used * curve;
    for (int r = 0; r < problem->cut.peers; r++) {
        if (weft_linear_lambda(problem, (size_t)r * problem->cut.shard_rows,
                               problem->cut.shard_rows, &lambda, why, cap) != 0)
            return -1;
        s.shard = fmax(s.shard, lambda / (double)problem->cut.shard_rows * curve);
    }
    for (size_t i = 0; i < problem->cut.used; i++) {
        const size_t row = problem->cut.rows[i];
        double square = 0;

        for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
            square += d->value[k] * d->value[k];
        s.row = fmax(s.row, square * curve);
    }
    *ret = s;
    return 0;
}
