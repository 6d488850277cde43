/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/rank.h"
#include "codec/sparse.h"

enum { COUNT = 60000 };
enum shape { SMOOTH, EQUAL, ZEROS, FEW_VALUES, RISING, ALL_ZERO, SHAPES };

static void make(float *v, size_t count, enum shape shape, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++) {
        const double u = weft_rng_unit(&rng) - 0.5;
        switch (shape) {
        case SMOOTH:
            v[i] = (float)(u * u * u);
            break;
        case EQUAL:
            v[i] = u < 0 ? -3.0f : 3.0f;
            break;
        case ZEROS:
            v[i] = fabs(u) < 0.499 ? (u < 0 ? -0.0f : 0.0f) : (float)u;
            break;
        case FEW_VALUES:
            v[i] = (float)floor(u * 8);
            break;
        case RISING:
            v[i] = (float)i;
            break;
        default:
            v[i] = 0;
        }
    }
}

static int descending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* The selection by its definition; `chosen` says which. Returns how many. */
static size_t select_by_sorting(const float *v, size_t count, size_t k, float least, bool *chosen)
{
    uint32_t *sorted = malloc((count + 1) * sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] = weft_magnitude(v[i]);
    qsort(sorted, count, sizeof(*sorted), descending);
    const uint32_t last = k == 0 ? UINT32_MAX : k <= count ? sorted[k - 1] : 0;
    size_t above = 0, n = 0;
    while (above < count && sorted[above] > last)
        above++;
    size_t ties = k < above ? 0 : k - above;
    for (size_t i = 0; i < count; i++) {
        const uint32_t m = weft_magnitude(v[i]);
        chosen[i] = m > last || (m == last && ties > 0);
        ties -= m == last && ties > 0;
        chosen[i] = chosen[i] && m > 0 && fabsf(v[i]) >= least;
        n += chosen[i];
    }
    free(sorted);
    return n;
}

static void check_selection(const float *v, size_t count, size_t k, float least, const char *what)
{
    bool *chosen = malloc(count + 1);
    weft_pairs p = {0};
    const size_t n = select_by_sorting(v, count, k, least, chosen);
    cr_assert_eq(weft_sparse_select(v, count, k, least, &p), WEFT_OK);
    cr_assert_eq(p.count, n, "%s: %zu of %zu from %g on: %zu, not %zu", what, k, count,
                 (double)least, p.count, n);
    for (size_t i = 0, at = 0; i < count; i++)
        if (chosen[i]) {
            cr_assert_eq(p.index[at], i, "%s: %zu of %zu", what, k, count);
            cr_assert(!memcmp(&p.value[at], &v[i], sizeof(float)));
            at++;
        }
    weft_pairs_free(&p);
    free(chosen);
}

static const char *const names[] = {"smooth", "equal", "zeros", "few values", "rising", "all zero"};

Test(sparse, selection_is_that_of_sorting_whatever_the_values_are)
{
    static const size_t counts[] = {0, 1, 2, 7, 100, 16384, 16385, COUNT};
    float *v = malloc(COUNT * sizeof(float));
    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            const size_t n = counts[c];
            make(v, n, (enum shape)shape, c + 1);
            const size_t ks[] = {0, 1, 3, n / 1000, n / 100, n / 2, n - (n > 0), n, n + 5};
            for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
                check_selection(v, n, ks[i], 0, names[shape]);
                if (i % 3 == 0)
                    check_selection(v, n, ks[i], 0.1f, names[shape]);
            }
        }
    free(v);
}

Test(sparse, selection_takes_unaligned_vectors_and_appends)
{
    uint8_t bytes[4 * 50 + 1];
    weft_pairs p = {0};
    for (size_t i = 0; i < 50; i++) {
        const float x = (float)i;
        memcpy(bytes + 1 + 4 * i, &x, sizeof(x));
    }
    cr_assert_eq(weft_sparse_select((const float *)(void *)(bytes + 1), 50, 2, 0, &p), WEFT_OK);
    cr_assert_eq(weft_sparse_select((const float *)(void *)(bytes + 1), 50, 1, 0, &p), WEFT_OK);
    cr_assert(p.count == 3 && p.index[0] == 48 && p.index[1] == 49 && p.index[2] == 49);
    weft_pairs_free(&p);
    cr_assert(p.cap == 0 && !p.index);
}

/* The largest come first: so a caller finds them by looking at what was selected. */
Test(sparse, selection_takes_nan_and_infinity_before_all_others)
{
    float *v = calloc(COUNT, sizeof(float));
    weft_pairs p = {0};
    make(v, COUNT, SMOOTH, 3);
    v[41111] = NAN;
    v[333] = -INFINITY;
    cr_assert_eq(weft_sparse_select(v, COUNT, 2, 0, &p), WEFT_OK);
    cr_assert(p.count == 2 && p.index[0] == 333 && p.index[1] == 41111 && isnan(p.value[1]));
    weft_pairs_free(&p);
    free(v);
}

Test(sparse, selection_without_memory_leaves_the_pairs_as_they_were)
{
    float *v = malloc(COUNT * sizeof(float));
    make(v, COUNT, SMOOTH, 3);
    for (long fail = 1; fail < 6; fail++) {
        weft_pairs p = {0};
        cr_assert_eq(weft_sparse_select(v, 3, 3, 0, &p), WEFT_OK);
        weft_mem_fail_at(fail);
        const int code = weft_sparse_select(v, COUNT, 1000, 0, &p);
        weft_mem_fail_at(0);
        cr_assert(code == WEFT_OK || code == WEFT_ENOMEM);
        cr_assert_eq(p.count, code == WEFT_OK ? 1003u : 3u);
        cr_assert(p.index[0] == 0 && p.index[2] == 2);
        weft_pairs_free(&p);
    }
    free(v);
}

static weft_pairs pairs_of(const float *v, size_t count)
{
    weft_pairs p = {0};
    cr_assert_eq(weft_sparse_select(v, count, count, 0, &p), WEFT_OK);
    return p;
}

static void scatter(const weft_pairs *p, float *v)
{
    for (size_t i = 0; i < p->count; i++)
        v[p->index[i]] += p->value[i];
}

static void check_merge(const float *x, const float *y, size_t count, size_t k, float least)
{
    float *sum = malloc((count + 1) * sizeof(float)), *back = calloc(count + 1, sizeof(float));
    bool *chosen = malloc(count + 1);
    weft_pairs a = pairs_of(x, count), b = pairs_of(y, count), kept = {0}, dropped = {0};
    cr_assert_eq(weft_pairs_reserve(&dropped, 1), WEFT_OK);
    dropped.count = 1;
    dropped.index[0] = 77;
    dropped.value[0] = 0.5f;
    for (size_t i = 0; i < count; i++)
        sum[i] = x[i] + y[i];
    const size_t n = select_by_sorting(sum, count, k, least, chosen);
    cr_assert_eq(weft_sparse_merge(&a, &b, k, least, &kept, &dropped), WEFT_OK);
    cr_assert_eq(kept.count, n, "%zu of %zu: %zu, not %zu", k, count, kept.count, n);
    for (size_t i = 0, at = 0; i < count; i++)
        if (chosen[i]) {
            cr_assert(kept.index[at] == i && kept.value[at] == sum[i]);
            at++;
        }
    cr_assert(dropped.index[0] == 77 && dropped.value[0] == 0.5f, "appended");
    for (size_t i = 2; i < dropped.count; i++)
        cr_assert_gt(dropped.index[i], dropped.index[i - 1]);
    dropped.value[0] = 0;
    dropped.index[0] = 0;
    if (count > 0) {
        scatter(&kept, back);
        scatter(&dropped, back);
    }
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(back[i], sum[i], "kept and dropped are all");
    kept.count = 0;
    cr_assert_eq(weft_sparse_merge(&a, &b, k, least, &kept, NULL), WEFT_OK);
    cr_assert_eq(kept.count, n);
    weft_pairs_free(&a);
    weft_pairs_free(&b);
    weft_pairs_free(&kept);
    weft_pairs_free(&dropped);
    free(sum);
    free(back);
    free(chosen);
}

Test(sparse, merging_keeps_the_largest_of_the_sum_and_drops_the_rest)
{
    enum { MOST = 3000 };
    static const size_t counts[] = {0, 1, 2, 9, 100, MOST};
    float x[MOST], y[MOST];
    for (int left = 0; left < SHAPES; left++)
        for (int right = 0; right < SHAPES; right++)
            for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
                const size_t n = counts[c];
                make(x, n, (enum shape)left, c);
                make(y, n, (enum shape)right, c + 100);
                for (size_t i = 0; i < n; i++) /* some apart, some together, some cancelled */
                    switch (i * 7 % 5) {
                    case 0:
                        x[i] = 0;
                        break;
                    case 1:
                        y[i] = 0;
                        break;
                    case 2:
                        y[i] = -x[i];
                        break;
                    default:
                        break;
                    }
                const size_t ks[] = {0, 1, n / 10, n / 2, n, 2 * n + 1};
                for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
                    check_merge(x, y, n, ks[i], 0);
                    check_merge(x, y, n, ks[i], 0.05f);
                }
            }
}

Test(sparse, merging_lists_of_which_one_ends_before_the_other_begins)
{
    float x[40] = {0}, y[40] = {0};
    for (int i = 0; i < 20; i++) {
        x[i] = (float)(i + 1);
        y[20 + i] = (float)(i + 1);
    }
    for (size_t k = 0; k <= 41; k++) {
        check_merge(x, y, 40, k, 0);
        check_merge(y, x, 40, k, 0);
    }
}

Test(sparse, merging_does_not_depend_on_the_order_of_the_operands)
{
    enum { N = 500 };
    float x[N], y[N];
    make(x, N, SMOOTH, 1);
    make(y, N, FEW_VALUES, 2);
    weft_pairs a = pairs_of(x, N), b = pairs_of(y, N), one = {0}, other = {0};
    cr_assert_eq(weft_sparse_merge(&a, &b, 100, 0, &one, NULL), WEFT_OK);
    cr_assert_eq(weft_sparse_merge(&b, &a, 100, 0, &other, NULL), WEFT_OK);
    cr_assert(one.count == 100 && other.count == 100);
    cr_assert(!memcmp(one.index, other.index, 400) && !memcmp(one.value, other.value, 400));
    weft_pairs_free(&a);
    weft_pairs_free(&b);
    weft_pairs_free(&one);
    weft_pairs_free(&other);
}

Test(sparse, merging_without_memory_leaves_dropped_as_it_was)
{
    float x[100], y[100];
    make(x, 100, RISING, 1);
    make(y, 100, RISING, 2);
    weft_pairs a = pairs_of(x, 100), b = pairs_of(y, 100);
    for (long fail = 1; fail < 6; fail++) {
        weft_pairs kept = {0}, dropped = {0};
        weft_mem_fail_at(fail);
        const int code = weft_sparse_merge(&a, &b, 10, 0, &kept, &dropped);
        weft_mem_fail_at(0);
        cr_assert(code == (fail < 5 ? WEFT_ENOMEM : WEFT_OK));
        cr_assert_eq(dropped.count, code == WEFT_OK ? 89u : 0u);
        cr_assert_eq(kept.count, code == WEFT_OK ? 10u : 0u);
        weft_pairs_free(&kept);
        weft_pairs_free(&dropped);
    }
    weft_pairs_free(&a);
    weft_pairs_free(&b);
}

/* One peer of four: sent 0, 2, 4, 6; of all, 2, 4 and 5 won; its merge dropped 1, 4, 6. */
static void settle(weft_residual_rule rule, uint32_t place, float ret[8])
{
    uint32_t own_at[] = {0, 2, 4, 6}, won_at[] = {2, 4, 5}, dropped_at[] = {1, 4, 6};
    float own[] = {10, 12, 14, 16}, won[] = {12, 14, 15}, lost[] = {1, 2, 4};
    const weft_pairs o = {.count = 4, .index = own_at, .value = own};
    const weft_pairs w = {.count = 3, .index = won_at, .value = won};
    const weft_dropped d = {
        .pairs = {.count = 3, .index = dropped_at, .value = lost}, .members = 4, .place = place};
    const float acc[8] = {10, 0.5f, 12, 0.25f, 14, 0, 16, -1};
    memcpy(ret, acc, sizeof(acc));
    weft_sparse_settle(rule, ret, 8, &o, &w, &d);
}

static void expect(const float got[8], float a, float b, float c, float d, float e, float f,
                   float g, float h)
{
    const float want[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++)
        cr_expect_eq(got[i], want[i], "element %d: %g, not %g", i, (double)got[i], (double)want[i]);
}

Test(sparse, residuals_follow_their_rules)
{
    float r[8];
    settle(WEFT_RESIDUAL_PAPER, 0, r); /* what did not win comes back */
    expect(r, 10, 0.5f, 0, 0.25f, 0, 0, 16, -1);
    settle(WEFT_RESIDUAL_PATCH, 0, r); /* and what was dropped of 4, which won */
    expect(r, 10, 0.5f, 0, 0.25f, 2, 0, 16, -1);
    settle(WEFT_RESIDUAL_PATCH, 1, r); /* which the lowest keeps alone */
    expect(r, 10, 0.5f, 0, 0.25f, 0, 0, 16, -1);
    settle(WEFT_RESIDUAL_KEEP, 0, r); /* all that was sent is gone, all that was dropped is kept */
    expect(r, 0, 1.5f, 0, 0.25f, 2, 0, 4, -1);
    settle(WEFT_RESIDUAL_KEEP, 3, r);
    expect(r, 0, 0.5f, 0, 0.25f, 0, 0, 0, -1);
    settle(WEFT_RESIDUAL_HASH, 0, r); /* 4 mod 4 */
    expect(r, 0, 0.5f, 0, 0.25f, 2, 0, 0, -1);
    settle(WEFT_RESIDUAL_HASH, 1, r); /* 1 mod 4 */
    expect(r, 0, 1.5f, 0, 0.25f, 0, 0, 0, -1);
    settle(WEFT_RESIDUAL_HASH, 2, r); /* 6 mod 4 */
    expect(r, 0, 0.5f, 0, 0.25f, 0, 0, 4, -1);
}
