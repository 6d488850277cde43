/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selection: a sample gives a magnitude that is safely below the k-th largest; one vectorized pass
 * takes out all that are not below it, of which there are somewhat more than k; the k-th is found
 * among those. Where the sample misled, the k-th is found in all of the vector first (rank.h).
 */
#include "codec/sparse.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/rank.h"
#include "kernel/kernel.h"

/* Floats at any address: spans of callers' buffers. */
typedef float any_float __attribute__((aligned(1), may_alias));

int weft_pairs_reserve(weft_pairs *p, size_t cap)
{
    if (cap <= p->cap)
        return WEFT_OK;
    size_t more = p->cap > SIZE_MAX / 2 ? cap : 2 * p->cap; /* doubling: appending stays linear */
    more = more < cap ? cap : more;
    if (more > SIZE_MAX / sizeof(*p->index))
        return weft_fail(WEFT_ENOMEM, "out of memory for %zu pairs", cap);
    uint32_t *index = weft_realloc(p->index, more * sizeof(*index));
    if (index)
        p->index = index;
    float *value = index ? weft_realloc(p->value, more * sizeof(*value)) : NULL;
    if (!value)
        return weft_fail(WEFT_ENOMEM, "out of memory for %zu pairs", cap);
    p->value = value;
    p->cap = more;
    return WEFT_OK;
}

void weft_pairs_free(weft_pairs *p)
{
    weft_free(p->index);
    weft_free(p->value);
    *p = (weft_pairs){0};
}

/* What to take: all of magnitude `above` or more, and of those with one less, which are equal,
 * those before element `until`. */
typedef struct cut {
    uint32_t above;
    size_t until;
} cut;

/* The k largest of v and no more; 0 < k <= count. */
static cut cut_at(const float *v, size_t count, size_t k)
{
    const any_float *x = v;
    const weft_rank r = weft_rank_of(v, count, k);
    size_t need = k - r.above, until = count;
    if (need < r.equal)
        for (until = 0; need > 0; until++)
            need -= weft_magnitude(x[until]) == r.magnitude;
    return (cut){.above = r.magnitude + 1, .until = until};
}

/* `least` as a magnitude that zeros do not have. */
static uint32_t least_magnitude(float least)
{
    const uint32_t m = weft_magnitude(least);
    return m > 0 ? m : 1;
}

static cut cut_above(cut c, uint32_t least)
{
    return c.above > least ? c : (cut){.above = least, .until = 0};
}

/* A magnitude that is below the k-th largest with near certainty (4.5 sigma), but at least `least`,
 * and room for all that are not below it, with the same certainty. */
static int guess(const float *v, size_t count, size_t k, uint32_t least, uint32_t *ret,
                 size_t *room)
{
    enum { LEAST = 1024, MOST = 65536, EACH = 512 };
    size_t samples = count / EACH;
    samples = samples < LEAST ? LEAST : samples > MOST ? MOST : samples;
    float *sample = weft_alloc(samples * sizeof(*sample));
    if (!sample)
        return weft_fail(WEFT_ENOMEM, "out of memory for %zu samples", samples);
    weft_rank_sample(v, count, samples, sample);
    const double each = (double)count / (double)samples, expect = (double)k / each;
    const double rank = ceil(expect + 4.5 * sqrt(expect) + 8.0);
    uint32_t floor = least;
    if (rank <= (double)samples) {
        const uint32_t m = weft_rank_of(sample, samples, (size_t)rank).magnitude;
        floor = m > least ? m : least;
    }
    size_t found = 0;
    for (size_t i = 0; i < samples; i++)
        found += weft_magnitude(sample[i]) >= floor;
    weft_free(sample);
    const double most = each * ((double)found + 5.0 * sqrt((double)found) + 16.0);
    *ret = floor;
    *room = most < (double)count ? (size_t)most : count;
    return WEFT_OK;
}

/* Where the sample says what to take: all candidates into *ret behind `from`. *ret_count is
 * SIZE_MAX when it misled. */
static int take_candidates(const float *v, size_t count, size_t k, uint32_t least, weft_pairs *ret,
                           size_t *ret_count)
{
    uint32_t floor = 0;
    size_t room = 0, from = ret->count;
    int code = guess(v, count, k, least, &floor, &room);
    /* Ties in great number, or nearly all is wanted: the rank comes first. */
    const bool many = room / 2 > k && room > count / 4 && floor > least;
    if (code != WEFT_OK || many)
        return code;
    code = weft_pairs_reserve(ret, from + room);
    if (code != WEFT_OK)
        return code;
    const size_t n =
        weft_kernel_large(v, count, floor, 0, ret->index + from, ret->value + from, room);
    if (n == SIZE_MAX || (n < k && floor > least))
        return WEFT_OK;
    *ret_count = n;
    return WEFT_OK;
}

/* Leave of the pairs from `from` on what the cut takes. */
static size_t trim(weft_pairs *p, size_t from, size_t count, cut c, weft_pairs *dropped)
{
    uint32_t *index = p->index + from;
    float *value = p->value + from;
    const size_t at = dropped ? dropped->count : 0;
    uint32_t *rest = dropped ? dropped->index + at : NULL;
    float *rest_value = dropped ? dropped->value + at : NULL;
    size_t kept = 0;
    if (c.until > 0)
        kept = weft_kernel_part(index, value, c.until, c.above - 1, index, value, rest, rest_value);
    const size_t gone = c.until - kept;
    kept += weft_kernel_part(index + c.until, value + c.until, count - c.until, c.above,
                             index + kept, value + kept, dropped ? rest + gone : NULL,
                             dropped ? rest_value + gone : NULL);
    if (dropped)
        dropped->count = at + (count - kept);
    return kept;
}

/* The k largest, their magnitude found first. */
static int take_by_rank(const float *v, size_t count, size_t k, uint32_t least, weft_pairs *ret)
{
    const size_t from = ret->count;
    const int code = weft_pairs_reserve(ret, from + k);
    if (code != WEFT_OK)
        return code;
    const cut c = cut_above(cut_at(v, count, k), least);
    uint32_t *index = ret->index + from;
    float *value = ret->value + from;
    size_t n = 0;
    if (c.until > 0)
        n = weft_kernel_large(v, c.until, c.above - 1, 0, index, value, k);
    assert(n <= k);
    n += weft_kernel_large((const float *)((const any_float *)v + c.until), count - c.until,
                           c.above, (uint32_t)c.until, index + n, value + n, k - n);
    assert(n <= k);
    ret->count = from + n;
    return WEFT_OK;
}

int weft_sparse_select(const float *v, size_t count, size_t k, float least, weft_pairs *ret)
{
    enum { FEW = 1 << 14 }; /* of which a sample would be nearly all */
    assert(count <= UINT32_MAX);
    const uint32_t floor = least_magnitude(least);
    size_t n = SIZE_MAX;
    if (k == 0 || count == 0)
        return WEFT_OK;
    if (k > count)
        k = count;
    if (count > FEW) {
        const int code = take_candidates(v, count, k, floor, ret, &n);
        if (code != WEFT_OK)
            return code;
    }
    if (n == SIZE_MAX)
        return take_by_rank(v, count, k, floor, ret);
    if (n > k)
        n = trim(ret, ret->count, n, cut_at(ret->value + ret->count, n, k), NULL);
    ret->count += n;
    return WEFT_OK;
}

/* v where the condition is 1, +0 where it is 0, without a branch. */
static float value_if(float v, uint32_t condition)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    bits &= -condition;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* A merge under way: the next elements of a, of b, and of the sum. */
typedef struct front {
    size_t a, b, to;
} front;

/* The next of a + b. No branch on which index is lower: it would be guessed wrong every other time.
 * Adding +0 to a value that is not zero changes nothing. */
static inline front next_sum(front f, const weft_pairs *a, const weft_pairs *b, uint32_t *index,
                             float *value)
{
    const uint32_t x = a->index[f.a], y = b->index[f.b];
    const uint32_t from_a = x <= y, from_b = y <= x;
    const float sum = value_if(a->value[f.a], from_a) + value_if(b->value[f.b], from_b);
    index[f.to] = x < y ? x : y;
    value[f.to] = sum;
    return (front){f.a + from_a, f.b + from_b, f.to + (weft_magnitude(sum) > 0)};
}

/* Steps until one of the lists may be through: each takes at most one of either. */
static size_t sure_steps(const front *f, size_t until_a, size_t until_b)
{
    const size_t a = until_a - f->a, b = until_b - f->b;
    return a < b ? a : b;
}

/* What one list still has up to `until`, the other being through; returns the end of the sum. */
static size_t copy_rest(const weft_pairs *from, size_t at, size_t until, weft_pairs *to, size_t end)
{
    if (at < until) {
        memcpy(to->index + end, from->index + at, (until - at) * sizeof(*to->index));
        memcpy(to->value + end, from->value + at, (until - at) * sizeof(*to->value));
        end += until - at;
    }
    return end;
}

size_t weft_pairs_from(const weft_pairs *p, uint32_t index)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (p->index[mid] < index)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* a + b into to, which has room; returns how many. Each step waits for the one before, so the lower
 * and the upper half are merged side by side (1.4 times as fast). */
static size_t add_pairs(const weft_pairs *a, const weft_pairs *b, weft_pairs *to)
{
    const size_t mid_a = a->count / 2;
    const size_t mid_b = a->count > 0 ? weft_pairs_from(b, a->index[mid_a]) : 0;
    const size_t mid = mid_a + mid_b;
    front low = {0}, high = {mid_a, mid_b, mid};
    uint32_t *const index = to->index;
    float *const value = to->value;
    for (;;) {
        const size_t one = sure_steps(&low, mid_a, mid_b);
        const size_t other = sure_steps(&high, a->count, b->count);
        const size_t both = one < other ? one : other;
        for (size_t i = 0; i < both; i++) {
            low = next_sum(low, a, b, index, value);
            high = next_sum(high, a, b, index, value);
        }
        for (size_t i = both; i < one; i++)
            low = next_sum(low, a, b, index, value);
        for (size_t i = both; i < other; i++)
            high = next_sum(high, a, b, index, value);
        if (one == 0 && other == 0)
            break;
    }
    low.to = copy_rest(a, low.a, mid_a, to, low.to);
    low.to = copy_rest(b, low.b, mid_b, to, low.to);
    high.to = copy_rest(a, high.a, a->count, to, high.to);
    high.to = copy_rest(b, high.b, b->count, to, high.to);
    const size_t gap = mid - low.to, count = high.to - mid;
    if (gap > 0) { /* equal indices in the lower half */
        memmove(index + low.to, index + mid, count * sizeof(*index));
        memmove(value + low.to, value + mid, count * sizeof(*value));
    }
    return low.to + count;
}

int weft_sparse_merge(const weft_pairs *a, const weft_pairs *b, size_t k, float least,
                      weft_pairs *kept, weft_pairs *dropped)
{
    const size_t most = a->count + b->count;
    int code = weft_pairs_reserve(kept, most);
    if (code == WEFT_OK && dropped)
        code = weft_pairs_reserve(dropped, dropped->count + most);
    if (code != WEFT_OK)
        return code;
    size_t n = most > 0 ? add_pairs(a, b, kept) : 0;
    cut c = {.above = 1, .until = 0};
    if (k == 0)
        c.above = 1 + (uint32_t)INT32_MAX;
    else if (n > k)
        c = cut_at(kept->value, n, k);
    c = cut_above(c, least_magnitude(least));
    if (c.above > 1 && n > 0)
        n = trim(kept, 0, n, c, dropped);
    kept->count = n;
    return WEFT_OK;
}

/* Is the index among the pairs? *at, 0 at first, follows indices that ascend. */
static bool holds(const weft_pairs *p, uint32_t index, size_t *at)
{
    if (*at > 0 && p->index[*at - 1] >= index) /* a list that begins anew */
        *at = 0;
    while (*at < p->count && p->index[*at] < index)
        ++*at;
    return *at < p->count && p->index[*at] == index;
}

/* Does this peer keep what the merge dropped of this index? */
static bool keeps(weft_residual_rule rule, const weft_dropped *d, uint32_t index, bool has_won)
{
    switch (rule) {
    case WEFT_RESIDUAL_PATCH:
        return d->place == 0 && has_won;
    case WEFT_RESIDUAL_KEEP:
        return d->place == 0;
    case WEFT_RESIDUAL_HASH:
        return index % d->members == d->place;
    default:
        return false;
    }
}

void weft_sparse_settle(weft_residual_rule rule, float *acc, size_t count, const weft_pairs *own,
                        const weft_pairs *won, const weft_dropped *dropped)
{
    any_float *residual = acc;
    const bool returns = rule == WEFT_RESIDUAL_PATCH || rule == WEFT_RESIDUAL_PAPER;
    size_t at = 0;
    for (size_t i = 0; i < own->count; i++) {
        const uint32_t index = own->index[i];
        assert(index < count);
        if (!returns || holds(won, index, &at))
            residual[index] = residual[index] - own->value[i];
    }
    for (const weft_dropped *d = dropped; d; d = d->next) {
        at = 0;
        for (size_t i = 0; i < d->pairs.count; i++) {
            const uint32_t index = d->pairs.index[i];
            assert(index < count);
            const bool has_won = rule == WEFT_RESIDUAL_PATCH && holds(won, index, &at);
            if (keeps(rule, d, index, has_won))
                residual[index] = residual[index] + d->pairs.value[i];
        }
    }
    (void)count;
}
