/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mixing matrices: Metropolis-Hastings weights (Xiao & Boyd, Fast linear iterations for distributed
 * averaging, 2004) and their spectral gap.
 *
 * The weights are what peers average with, so they come from single divisions and a sum in a fixed
 * order. The gap is for people: it comes from LAPACK's dsyev, which OpenBLAS brings along. This is
 * the only file of the library that calls LAPACK; Debian's OpenBLAS has it with its Fortran
 * interface and no header for it, so the prototype stands here.
 */
#include <math.h>
#include <stddef.h>

#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "topology/graph.h"

/* NOLINTBEGIN(readability-identifier-naming): Fortran's name
 * All eigenvalues, ascending, of a symmetric matrix of which the `uplo` triangle is given; jobz
 * "N": no vectors. The last two are the lengths of the texts, as gfortran passes them. */
void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
            double *work, const int *lwork, int *info, size_t jobz_len, size_t uplo_len);
/* NOLINTEND(readability-identifier-naming) */

void weft_mixing_row(const weft_graph *g, int rank, double *ret_self, double *ret_neighbors)
{
    const int degree = weft_graph_degree(g, rank), *peer = weft_graph_row(g, rank);
    const fenv_t callers = weft_fp_enter();
    double sum = 0.0;
    for (int i = 0; i < degree; i++) {
        const int other = weft_graph_degree(g, peer[i]);
        ret_neighbors[i] = 1.0 / (1.0 + (double)(degree > other ? degree : other));
        sum += ret_neighbors[i];
    }
    *ret_self = 1.0 - sum;
    weft_fp_leave(&callers);
}

/* size x size; row has room for size weights. Both triangles: the same by rows and by columns. */
static void fill_matrix(const weft_graph *g, double *row, double *a)
{
    const size_t n = (size_t)g->size;
    for (int r = 0; r < g->size; r++) {
        const int degree = weft_graph_degree(g, r), *peer = weft_graph_row(g, r);
        weft_mixing_row(g, r, &a[(size_t)r * n + (size_t)r], row);
        for (int i = 0; i < degree; i++)
            a[(size_t)r * n + (size_t)peer[i]] = row[i];
    }
}

/* ret: size eigenvalues, ascending. a is destroyed. 0, WEFT_ENOMEM, WEFT_EINTERNAL. */
static int find_eigenvalues(int size, double *a, double *ret)
{
    int info = 0, lwork = -1;
    double best = 0.0;
    dsyev_("N", "U", &size, a, &size, ret, &best, &lwork, &info, 1, 1);
    lwork = (int)best > 3 * size ? (int)best : 3 * size;
    double *work = weft_calloc((size_t)lwork, sizeof(*work));
    if (!work)
        return weft_fail(WEFT_ENOMEM, "spectral gap of %d peers: out of memory", size);
    dsyev_("N", "U", &size, a, &size, ret, work, &lwork, &info, 1, 1);
    weft_free(work);
    return info == 0 ? WEFT_OK : weft_fail(WEFT_EINTERNAL, "spectral gap: dsyev says %d", info);
}

int weft_mixing_gap(const weft_graph *g, double *ret)
{
    const size_t n = (size_t)g->size;
    if (g->size > WEFT_GRAPH_MEASURED)
        return weft_fail(WEFT_ENOTSUP, "spectral gap: %d peers, at most %d", g->size,
                         (int)WEFT_GRAPH_MEASURED);
    if (g->size == 1) {
        *ret = 1.0;
        return WEFT_OK;
    }
    double *a = weft_calloc(n * n, sizeof(*a)), *values = weft_calloc(n, sizeof(*values));
    int code = WEFT_ENOMEM;
    if (a && values) {
        const fenv_t callers = weft_fp_enter();
        fill_matrix(g, values, a); /* values serve as room first */
        code = find_eigenvalues(g->size, a, values);
        weft_fp_leave(&callers);
    } else {
        weft_fail(code, "spectral gap of %d peers: out of memory", g->size);
    }
    if (code == WEFT_OK)
        *ret = 1.0 - fmax(fabs(values[n - 2]), fabs(values[0]));
    weft_free(a);
    weft_free(values);
    return code;
}
