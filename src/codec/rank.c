/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k-th largest of many: a sample says between which two magnitudes it surely lies, one pass
 * counts those above and copies those between, of which there are few, and the rank is found among
 * them. Where the sample misleads or too many are equal: counters of the magnitude's 11 highest, 10
 * next and 10 last bits, three passes for whatever values.
 */
#include "codec/rank.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernel/kernel.h"

/* Floats at any address: spans of callers' buffers. */
typedef uint32_t any_bits __attribute__((aligned(1), may_alias));

enum { HIGH = 20, LOW = 10, HIGH_BINS = 1 << 11, LOW_BINS = 1 << 10, COPIES = 4 };

/* The bin in which the k-th largest lies, k counted down by those in the bins above. */
static uint32_t bin_of(const size_t *bins, uint32_t count, size_t *k)
{
    uint32_t bin = count - 1;
    while (bins[bin] < *k)
        *k -= bins[bin--];
    return bin;
}

/* Several counters a bin: elements of one bin in a row would wait for each other. */
static uint32_t rank_high(const any_bits *v, size_t count, size_t *k)
{
    uint32_t part[COPIES][HIGH_BINS];
    size_t bins[HIGH_BINS] = {0};
    for (size_t done = 0; done < count;) {
        const size_t left = count - done, n = left < UINT32_MAX ? left : UINT32_MAX;
        size_t i = 0;
        memset(part, 0, sizeof(part));
        for (; i + COPIES <= n; i += COPIES)
            for (size_t j = 0; j < COPIES; j++)
                part[j][(v[done + i + j] & INT32_MAX) >> HIGH]++;
        for (; i < n; i++)
            part[0][(v[done + i] & INT32_MAX) >> HIGH]++;
        for (size_t b = 0; b < HIGH_BINS; b++)
            for (size_t j = 0; j < COPIES; j++)
                bins[b] += part[j][b];
        done += n;
    }
    return bin_of(bins, HIGH_BINS, k);
}

/* The next bits of those whose bits above are `prefix`. Every element counts, by 1 or by 0: a
 * branch would be guessed wrong. */
static uint32_t rank_low(const any_bits *v, size_t count, unsigned shift, uint32_t prefix,
                         size_t *k, size_t *ret_equal)
{
    size_t bins[COPIES][LOW_BINS] = {{0}};
    size_t i = 0;
    for (; i + COPIES <= count; i += COPIES)
        for (size_t j = 0; j < COPIES; j++) {
            const uint32_t m = v[i + j] & INT32_MAX;
            bins[j][m >> shift & (LOW_BINS - 1)] += m >> shift >> LOW == prefix;
        }
    for (; i < count; i++) {
        const uint32_t m = v[i] & INT32_MAX;
        bins[0][m >> shift & (LOW_BINS - 1)] += m >> shift >> LOW == prefix;
    }
    for (size_t b = 0; b < LOW_BINS; b++)
        for (size_t j = 1; j < COPIES; j++)
            bins[0][b] += bins[j][b];
    const uint32_t bin = bin_of(bins[0], LOW_BINS, k);
    *ret_equal = bins[0][bin];
    return prefix << LOW | bin;
}

static weft_rank rank_by_counting(const any_bits *v, size_t count, size_t k)
{
    size_t left = k; /* of the k-th among those that share the bits known */
    weft_rank r = {0};
    r.magnitude = rank_high(v, count, &left);
    r.magnitude = rank_low(v, count, LOW, r.magnitude, &left, &r.equal);
    r.magnitude = rank_low(v, count, 0, r.magnitude, &left, &r.equal);
    r.above = k - left;
    return r;
}

void weft_rank_sample(const float *v, size_t count, size_t samples, float *ret)
{
    const any_bits *bits = (const any_bits *)v;
    const size_t part = count / samples;
    weft_rng places = {.state = count};
    for (size_t i = 0; i < samples; i++) {
        const uint64_t at = i * part + (size_t)((weft_rng_u64(&places) >> 32) * part >> 32);
        memcpy(ret + i, bits + at, sizeof(*ret));
    }
}

/* Magnitudes low … high - 1. */
typedef struct band {
    uint32_t low, high;
} band;

/* Of a sample the ranks that the k-th of count has with near certainty (4.5 sigma), as a band; room
 * for those within it, with the same certainty. */
static band guess(const float *sample, size_t samples, size_t count, size_t k, size_t *ret_room)
{
    const double each = (double)count / (double)samples, expect = (double)k / each;
    const double spread = 4.5 * sqrt(expect * (1.0 - (double)k / (double)count)) + 4.0;
    const double from = floor(expect - spread), to = ceil(expect + spread);
    band b = {.low = 1, .high = 1 + (uint32_t)INT32_MAX};
    if (to <= (double)samples)
        b.low = weft_rank_of(sample, samples, (size_t)to).magnitude;
    else
        b.low = 0;
    if (from >= 1.0)
        b.high = weft_rank_of(sample, samples, (size_t)from).magnitude + 1;
    size_t within = 0;
    for (size_t i = 0; i < samples; i++)
        within += weft_magnitude(sample[i]) - b.low < b.high - b.low;
    *ret_room = (size_t)(each * ((double)within + 5.0 * sqrt((double)within) + 16.0));
    return b;
}

/* false: the sample misled. */
static bool rank_by_sample(const float *v, size_t count, size_t k, weft_rank *ret)
{
    enum { SAMPLES = 4096 };
    float sample[SAMPLES];
    size_t room = 0, above = 0;
    weft_rank_sample(v, count, SAMPLES, sample);
    const band b = guess(sample, SAMPLES, count, k, &room);
    if (room > count / 4)
        return false;
    uint32_t *copy = weft_alloc(room * sizeof(*copy));
    if (!copy) /* without memory there is the other way */
        return false;
    const size_t within = weft_kernel_band(v, count, b.low, b.high, copy, room, &above);
    const bool found = within != SIZE_MAX && above < k && k <= above + within;
    if (found) {
        *ret = rank_by_counting(copy, within, k - above);
        ret->above += above;
    }
    weft_free(copy);
    return found;
}

weft_rank weft_rank_of(const float *v, size_t count, size_t k)
{
    enum { FEW = 1 << 15 };
    assert(k > 0 && k <= count);
    weft_rank r = {0};
    if (count <= FEW || !rank_by_sample(v, count, k, &r))
        r = rank_by_counting((const any_bits *)v, count, k);
    return r;
}
