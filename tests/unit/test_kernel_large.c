/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

enum { MOST = 300, SPARE = 8, CANARY = 0x5a };

static const weft_kernels *table(int i)
{
#ifdef WEFT_HAVE_AVX2
    if (i == 1)
        return __builtin_cpu_supports("avx2") ? &weft_kernels_avx2 : NULL;
#endif
    return i == 0 ? &weft_kernels_c : NULL;
}

static uint32_t magnitude(const float *v)
{
    uint32_t bits;
    memcpy(&bits, v, sizeof(bits));
    return bits & INT32_MAX;
}

/* Floats of all kinds, at an odd address: zeros, denormals, infinities, NaN, equal ones. */
static float *odd_floats(uint8_t *buffer, size_t count, uint64_t seed)
{
    static const float odd[] = {0.0f, -0.0f, 1e-42f, -1e-42f, INFINITY, -INFINITY, NAN, 1, -1};
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++) {
        float v = (float)(weft_rng_unit(&rng) - 0.5) * 8;
        const uint64_t pick = weft_rng_below(&rng, 40);
        if (pick < sizeof(odd) / sizeof(odd[0]))
            v = odd[pick];
        memcpy(buffer + 1 + 4 * i, &v, sizeof(v));
    }
    return (float *)(void *)(buffer + 1);
}

static uint32_t least_of(uint64_t pick)
{
    static const float at[] = {1, 3.9f, 0.01f, INFINITY, 1e-42f};
    if (pick == 0)
        return 1;
    return pick == 1 ? (uint32_t)INT32_MAX + 1 : magnitude(&at[pick % 5]);
}

Test(kernel_large, takes_the_elements_of_at_least_a_magnitude_in_order)
{
    static uint8_t bytes[4 * MOST + 8];
    for (int t = 0; t < 2 && table(t); t++)
        for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 23)
            for (uint64_t pick = 0; pick < 7; pick++) {
                const uint32_t least = least_of(pick);
                const float *v = odd_floats(bytes, n, n + 1000 * pick);
                uint32_t index[MOST + SPARE], want[MOST];
                float value[MOST + SPARE];
                size_t wanted = 0;
                for (size_t i = 0; i < n; i++) {
                    float x;
                    memcpy(&x, bytes + 1 + 4 * i, sizeof(x));
                    if (magnitude(&x) >= least)
                        want[wanted++] = (uint32_t)i;
                }
                memset(index, CANARY, sizeof(index));
                memset(value, CANARY, sizeof(value));
                cr_assert_eq(table(t)->large(v, n, least, 7, index, value, wanted), wanted);
                for (size_t i = 0; i < wanted; i++) {
                    cr_assert_eq(index[i], want[i] + 7);
                    cr_assert(!memcmp(&value[i], bytes + 1 + 4 * want[i], 4), "bit for bit");
                }
                for (size_t i = 4 * wanted; i < sizeof(index); i++)
                    cr_assert(((uint8_t *)index)[i] == CANARY && ((uint8_t *)value)[i] == CANARY,
                              "%s: written behind the room", table(t)->name);
                if (wanted > 0)
                    cr_assert_eq(table(t)->large(v, n, least, 7, index, value, wanted - 1),
                                 SIZE_MAX, "more than room");
            }
}

Test(kernel_large, parts_pairs_in_two_without_losing_any)
{
    static uint8_t bytes[4 * MOST + 8];
    for (int t = 0; t < 2 && table(t); t++)
        for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 23)
            for (uint64_t pick = 0; pick < 7; pick++) {
                const uint32_t least = least_of(pick);
                uint32_t index[MOST], to[MOST + SPARE], rest[MOST + SPARE];
                float value[MOST + 1], to_value[MOST + SPARE], rest_value[MOST + SPARE];
                odd_floats(bytes, n, n + 1000 * pick);
                memcpy(value, bytes + 1, 4 * n);
                for (size_t i = 0; i < n; i++)
                    index[i] = (uint32_t)(3 * i);
                memset(to, CANARY, sizeof(to));
                memset(rest, CANARY, sizeof(rest));
                const size_t kept =
                    table(t)->part(index, value, n, least, to, to_value, rest, rest_value);
                size_t a = 0, b = 0;
                for (size_t i = 0; i < n; i++) {
                    const bool large = magnitude(&value[i]) >= least;
                    const uint32_t at = large ? to[a] : rest[b];
                    const float *x = large ? &to_value[a] : &rest_value[b];
                    cr_assert(at == index[i] && !memcmp(x, &value[i], 4), "%zu of %zu", i, n);
                    a += large;
                    b += !large;
                }
                cr_assert_eq(kept, a);
                cr_assert(to[n] == 0x5a5a5a5au && rest[n] == 0x5a5a5a5au, "room for n each");
                /* In place, the rest forgotten. */
                cr_assert_eq(table(t)->part(index, value, n, least, index, value, NULL, NULL), a);
                cr_assert(!memcmp(index, to, 4 * a) && !memcmp(value, to_value, 4 * a));
            }
}

Test(kernel_large, copies_the_magnitudes_of_a_band_and_counts_those_above)
{
    static uint8_t bytes[4 * MOST + 8];
    for (int t = 0; t < 2 && table(t); t++)
        for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 23)
            for (uint64_t pick = 0; pick < 25; pick++) {
                const uint32_t high = least_of(pick % 5), low = least_of(pick / 5) - 1;
                const float *v = odd_floats(bytes, n, n + 1000 * pick);
                uint32_t to[MOST + SPARE], want[MOST];
                size_t wanted = 0, above = 0, found = 77;
                for (size_t i = 0; i < n && low < high; i++) {
                    float x;
                    memcpy(&x, bytes + 1 + 4 * i, sizeof(x));
                    above += magnitude(&x) >= high;
                    if (magnitude(&x) >= low && magnitude(&x) < high)
                        want[wanted++] = magnitude(&x);
                }
                if (low >= high)
                    continue;
                memset(to, CANARY, sizeof(to));
                cr_assert_eq(table(t)->band(v, n, low, high, to, wanted, &found), wanted);
                cr_assert_eq(found, above);
                cr_assert(!memcmp(to, want, 4 * wanted));
                for (size_t i = wanted; i < MOST + SPARE; i++)
                    cr_assert_eq(to[i], 0x5a5a5a5au, "written behind the room");
                found = 77;
                if (wanted > 0)
                    cr_assert_eq(table(t)->band(v, n, low, high, to, wanted - 1, &found), SIZE_MAX);
                cr_assert(wanted == 0 || found == 77);
            }
}
