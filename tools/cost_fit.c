/* SPDX-License-Identifier: Apache-2.0 */
#include "cost_fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = WEFT_FIT_CONSTANTS, ROUND = 0, MESSAGE, BYTE, REDUCE, INCAST, SETS = 1 << N };

/* Of the squared length of a column: what a constant's distance from before weighs. Constants that
 * columns tell apart to a thousandth are found to a hundredth. */
static const double ridge = 1e-5;
static const double incast_most = 100.0; /* as the cost table takes it */

const char *const weft_fit_names[N] = {"round", "message", "byte", "reduce", "incast"};

weft_fit_row weft_fit_row_of(const weft_candidate *c)
{
    return (weft_fit_row){.rounds = c->rounds,
                          .messages = c->messages,
                          .bytes = c->serial_bytes,
                          .reduced_bytes = c->reduced_bytes,
                          .shared = c->peers > 1.0 ? (c->peers - 1.0) / c->peers : 0.0};
}

void weft_fit_constants_of(const weft_candidate *c, double value[N])
{
    if (c->rounds > 0.0) {
        value[ROUND] = c->round_s / c->rounds;
    }
    if (c->messages > 0.0) {
        value[MESSAGE] = c->message_s / c->messages;
    }
    if (c->reduced_bytes > 0.0) {
        value[REDUCE] = c->reduce_s / c->reduced_bytes;
    }
    if (c->serial_bytes > 0.0 && c->peers <= 1.0) {
        value[BYTE] = c->byte_s / c->serial_bytes;
    } else if (c->serial_bytes > 0.0 && value[BYTE] > 0.0) {
        /* Known from a candidate with one sender before. */
        const double share =
            (c->byte_s / c->serial_bytes / value[BYTE] - 1.0) / ((c->peers - 1.0) / c->peers);
        value[INCAST] = share > 1e-9 ? share : 0.0; /* what rounding leaves of 0 */
    }
}

/* The figures that the linear unknowns are multiplied by: the last one is byte × incast. */
static void columns_of(const weft_fit_row *row, double ret[N])
{
    ret[ROUND] = row->rounds;
    ret[MESSAGE] = row->messages;
    ret[BYTE] = row->bytes;
    ret[REDUCE] = row->reduced_bytes;
    ret[INCAST] = row->bytes * row->shared;
}

double weft_fit_price(const double value[N], const weft_fit_row *row)
{
    return value[ROUND] * row->rounds + value[MESSAGE] * row->messages +
           value[BYTE] * row->bytes * (1.0 + value[INCAST] * row->shared) +
           value[REDUCE] * row->reduced_bytes;
}

/* Least squares in unknowns whose columns have length 1: gram x = right. */
typedef struct system {
    double gram[N][N], right[N];
    double length[N]; /* of the columns before that; 0: no row has the figure */
} system;

static void accumulate(const weft_fit_row *rows, size_t n, system *ret)
{
    *ret = (system){0};
    for (size_t r = 0; r < n; r++) {
        double column[N];
        columns_of(&rows[r], column);
        for (int i = 0; i < N; i++) {
            column[i] /= rows[r].seconds; /* relative: each row is to add up to 1 */
            ret->right[i] += column[i];
            for (int k = 0; k <= i; k++) {
                ret->gram[i][k] += column[i] * column[k];
            }
        }
    }
    for (int i = 0; i < N; i++) {
        ret->length[i] = sqrt(ret->gram[i][i]);
    }
    for (int i = 0; i < N; i++) {
        if (ret->length[i] > 0.0) {
            ret->right[i] /= ret->length[i];
        }
        for (int k = 0; k <= i; k++) {
            if (ret->length[i] > 0.0 && ret->length[k] > 0.0) {
                ret->gram[i][k] /= ret->length[i] * ret->length[k];
            }
            ret->gram[k][i] = ret->gram[i][k];
        }
    }
}

/* Solve for the unknowns of a set, the others 0, by Cholesky's factors; the ridge keeps the matrix
 * definite. before: the unknowns that were. Returns half the squared error less a constant. */
static double solve(const system *s, unsigned set, const double before[N], double ret[N])
{
    double factor[N][N] = {{0}}, x[N] = {0}, error = 0.0;
    int at[N], n = 0;
    for (int i = 0; i < N; i++) {
        if (set >> i & 1u) {
            at[n++] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        double sum = s->right[at[i]] + ridge * before[at[i]];
        for (int k = 0; k <= i; k++) {
            double part = s->gram[at[i]][at[k]] + (i == k ? ridge : 0.0);
            for (int m = 0; m < k; m++) {
                part -= factor[i][m] * factor[k][m];
            }
            factor[i][k] = i == k ? sqrt(part) : part / factor[k][k];
        }
        for (int k = 0; k < i; k++) {
            sum -= factor[i][k] * x[k];
        }
        x[i] = sum / factor[i][i];
        error -= 0.5 * x[i] * x[i]; /* -1/2 b' A^-1 b, b' A^-1 b = |L^-1 b|^2 */
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++) {
            x[i] -= factor[k][i] * x[k];
        }
        x[i] /= factor[i][i];
    }
    (void)memset(ret, 0, N * sizeof(*ret));
    for (int i = 0; i < n; i++) {
        ret[at[i]] = x[i];
    }
    return error;
}

/* The best with none below 0 among the unknowns of `all`: with so few, every set of those above 0
 * is tried. */
static void solve_positive(const system *s, unsigned all, const double before[N], double ret[N])
{
    double least = (double)INFINITY;
    for (unsigned set = 0; set < SETS; set++) {
        double x[N];
        if ((set & ~all) != 0) {
            continue;
        }
        const double error = solve(s, set, before, x);
        bool fits = error < least;
        for (int i = 0; i < N; i++) {
            fits = fits && x[i] >= 0.0;
        }
        if (fits) {
            least = error;
            (void)memcpy(ret, x, sizeof(x));
        }
    }
}

void weft_fit_costs(const weft_fit_row *rows, size_t n, const double before[N], weft_fit *ret)
{
    double x[N], start[N];
    unsigned all = 0;
    system s;
    accumulate(rows, n, &s);
    for (int i = 0; i < N; i++) {
        const double was = i == INCAST ? before[BYTE] * before[INCAST] : before[i];
        start[i] = was * s.length[i];
        ret->told[i] = s.length[i] > 0.0;
        all |= ret->told[i] ? 1u << i : 0u;
    }
    solve_positive(&s, all, start, x);
    if (ret->told[INCAST] &&
        x[INCAST] / s.length[INCAST] > incast_most * x[BYTE] / s.length[BYTE]) {
        /* No table can say that bytes of one sender cost nothing and those of several do. */
        solve_positive(&s, all & ~(1u << INCAST), start, x);
    }
    for (int i = 0; i < N; i++) {
        ret->value[i] = ret->told[i] ? x[i] / s.length[i] : before[i];
    }
    if (ret->told[INCAST]) {
        ret->value[INCAST] = ret->value[BYTE] > 0.0 ? ret->value[INCAST] / ret->value[BYTE] : 0.0;
    }
}

void weft_fit_text(const weft_fit *fit, char ret[WEFT_FIT_TEXT])
{
    size_t at = 0;
    ret[0] = '\0';
    for (int i = 0; i < N; i++) {
        if (fit->told[i]) {
            const int len = snprintf(ret + at, WEFT_FIT_TEXT - at, "%s%s=%.4g", at > 0 ? "," : "",
                                     weft_fit_names[i], fit->value[i]);
            at += len > 0 ? (size_t)len : 0; /* 5 × (1 + 7 + 1 + 10) bytes fit */
        }
    }
}
