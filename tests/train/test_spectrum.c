/* SPDX-License-Identifier: Apache-2.0 */
/* Largest eigenvalues against LAPACK's dense ones. */
#include <math.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "problem_spectrum.h"
#include "small_data.h"

/* NOLINTNEXTLINE(readability-identifier-naming): Fortran's name */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                   double *w, double *work, const int *lwork, int *info);

static double dense_lambda(const weft_libsvm *d, size_t first, size_t count)
{
    const int n = (int)d->dim, lwork = 64 * n;
    double *a = calloc(d->dim * d->dim, sizeof(double)), *w = calloc(d->dim, sizeof(double));
    double *work = calloc((size_t)lwork, sizeof(double));
    double top;
    int info = 1;

    for (size_t i = first; i < first + count; i++) {
        for (size_t k = d->start[i]; k < d->start[i + 1]; k++) {
            for (size_t l = d->start[i]; l < d->start[i + 1]; l++)
                a[d->index[k] * d->dim + d->index[l]] += d->value[k] * d->value[l];
        }
    }
    dsyev_("N", "L", &n, a, &n, w, work, &lwork, &info);
    cr_assert_eq(info, 0);
    top = w[n - 1];
    free(a);
    free(w);
    free(work);
    return top;
}

/* |a|^2 of a row: the one eigenvalue of its matrix that is not 0. */
static double square(const weft_libsvm *d, size_t row)
{
    double sum = 0;

    for (size_t k = d->start[row]; k < d->start[row + 1]; k++)
        sum += d->value[k] * d->value[k];
    return sum;
}

static void close_to(double got, double want)
{
    cr_expect(fabs(got - want) <= 1e-12 * want, "%.17g, not %.17g", got, want);
}

Test(spectrum, eigenvalues_are_those_of_the_dense_matrix)
{
    const struct {
        size_t rows, dim;
        double density;
    } shapes[] = {{60, 1, 1}, {60, 2, 1}, {500, 40, 0.3}, {30, 300, 0.5}, {2000, 400, 0.02}};

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        weft_libsvm *data = small_data(shapes[i].rows, shapes[i].dim, shapes[i].density, i + 1);
        weft_linear *p = NULL;
        char why[256] = "";
        weft_constants s;
        double shard = 0, row = 0;
        const size_t m = shapes[i].rows / 3;

        cr_assert_eq(weft_linear_open(&p, &weft_loss_logistic, data, 3, WEFT_SHARDS_FILE, 1, why,
                                      sizeof(why)),
                     0);
        cr_assert_eq(weft_linear_spectrum(p, &s, why, sizeof(why)), 0, "%s", why);
        close_to(s.all, dense_lambda(data, 0, 3 * m) / (4.0 * 3.0 * (double)m));
        for (size_t r = 0; r < 3; r++)
            shard = fmax(shard, dense_lambda(data, r * m, m) / (4.0 * (double)m));
        close_to(s.shard, shard);
        for (size_t r = 0; r < 3 * m; r++)
            row = fmax(row, square(data, r) / 4);
        close_to(s.row, row);
        weft_linear_close(&p);
        weft_libsvm_free(&data);
    }
}

Test(spectrum, equal_largest_eigenvalues_are_no_trouble)
{
    enum { N = 200 };
    weft_libsvm *data = small_data(N, N, 0, 1);
    weft_linear *p = NULL;
    char why[256] = "";
    weft_constants s;

    /* A diagonal with the largest entry eight times. */
    for (size_t i = 0; i < N; i++) {
        data->index[i] = (uint32_t)i;
        data->value[i] = i < 8 ? 2 : 1 + (double)i / N;
        data->start[i + 1] = i + 1;
    }
    data->nonzeros = N;
    cr_assert_eq(
        weft_linear_open(&p, &weft_loss_logistic, data, 1, WEFT_SHARDS_FILE, 1, why, sizeof(why)),
        0);
    cr_assert_eq(weft_linear_spectrum(p, &s, why, sizeof(why)), 0, "%s", why);
    close_to(s.all, 4.0 / (4.0 * N));
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}

Test(spectrum, rows_without_entries_have_eigenvalue_0)
{
    weft_libsvm *data = small_data(10, 4, 0, 1);
    weft_linear *p = NULL;
    char why[256] = "";
    weft_constants s = {1, 1, 1};

    cr_assert_eq(
        weft_linear_open(&p, &weft_loss_logistic, data, 2, WEFT_SHARDS_FILE, 1, why, sizeof(why)),
        0);
    cr_assert_eq(weft_linear_spectrum(p, &s, why, sizeof(why)), 0, "%s", why);
    cr_expect(s.all == 0 && s.shard == 0 && s.row == 0);
    weft_linear_close(&p);
    weft_libsvm_free(&data);
}
