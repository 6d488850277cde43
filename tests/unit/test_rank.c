/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "codec/rank.h"

enum { COUNT = 70000 };
enum shape { SMOOTH, EQUAL, ZEROS, TWO, SORTED, HIDDEN, SHAPES };

static void make(float *v, size_t count, enum shape shape)
{
    weft_rng rng = {.state = count};
    for (size_t i = 0; i < count; i++) {
        const float u = (float)(weft_rng_unit(&rng) - 0.5);
        switch (shape) {
        case SMOOTH:
            v[i] = u;
            break;
        case EQUAL:
            v[i] = i % 2 ? 1.25f : -1.25f;
            break;
        case ZEROS:
            v[i] = i % 1000 == 7 ? u : 0.0f;
            break;
        case TWO:
            v[i] = i % 3 ? 1.0f : -2.0f;
            break;
        case SORTED:
            v[i] = (float)i;
            break;
        default: /* large where the sample does not look, small where it does */
            v[i] = 100.0f + u;
        }
    }
    if (shape == HIDDEN) {
        const size_t samples = 4096;
        float *sample = malloc(samples * sizeof(float));
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = (uint32_t)i;
            memcpy(&v[i], &bits, sizeof(bits)); /* the place as the value */
        }
        weft_rank_sample(v, count, samples, sample);
        for (size_t i = 0; i < count; i++)
            v[i] = 100.0f + (float)i;
        for (size_t i = 0; i < samples; i++) {
            uint32_t place;
            memcpy(&place, &sample[i], sizeof(place));
            v[place] = 1e-3f;
        }
        free(sample);
    }
}

static int descending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

static void check(const float *v, const uint32_t *sorted, size_t count, size_t k)
{
    const weft_rank r = weft_rank_of(v, count, k);
    size_t above = 0, equal = 0;
    for (size_t i = 0; i < count; i++) {
        above += sorted[i] > sorted[k - 1];
        equal += sorted[i] == sorted[k - 1];
    }
    cr_assert(r.magnitude == sorted[k - 1] && r.above == above && r.equal == equal,
              "number %zu of %zu", k, count);
}

Test(rank, is_that_of_the_sorted_magnitudes_whatever_the_values_are)
{
    static const size_t counts[] = {1, 2, 31, 1000, 32768, 32769, COUNT};
    float *v = malloc(COUNT * sizeof(float));
    uint32_t *sorted = malloc(COUNT * sizeof(uint32_t));
    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            const size_t count = counts[c];
            if (shape == HIDDEN && count < 4096)
                continue;
            make(v, count, (enum shape)shape);
            for (size_t i = 0; i < count; i++)
                sorted[i] = weft_magnitude(v[i]);
            qsort(sorted, count, sizeof(*sorted), descending);
            const size_t ks[] = {1, 2, count / 1000, count / 7, count / 2, count - 1, count};
            for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++)
                if (ks[i] > 0 && ks[i] <= count)
                    check(v, sorted, count, ks[i]);
        }
    free(v);
    free(sorted);
}

Test(rank, is_found_without_memory_too)
{
    float *v = malloc(COUNT * sizeof(float));
    make(v, COUNT, SMOOTH);
    const weft_rank with = weft_rank_of(v, COUNT, 777);
    weft_mem_fail_at(1);
    const weft_rank without = weft_rank_of(v, COUNT, 777);
    weft_mem_fail_at(0);
    cr_assert(with.magnitude == without.magnitude && with.above == without.above);
    free(v);
}

Test(rank, infinity_and_nan_are_above_all_others)
{
    const float v[] = {1, -INFINITY, 3, NAN, -4};
    cr_assert_gt(weft_rank_of(v, 5, 1).magnitude, weft_magnitude(INFINITY));
    cr_assert_eq(weft_rank_of(v, 5, 2).magnitude, weft_magnitude(INFINITY));
    cr_assert_eq(weft_rank_of(v, 5, 3).magnitude, weft_magnitude(4));
}
