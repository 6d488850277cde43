/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "codec/rice.h"

enum { MOST = 5000, SPARE = 16 };

/* Ascending indices below count. */
static size_t make(uint32_t *index, size_t count, double density, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    size_t n = 0;
    for (size_t i = 0; i < count && n < MOST; i++) {
        const double u = weft_rng_unit(&rng);
        if (u < density)
            index[n++] = (uint32_t)i;
        else if (u > 0.999) /* gaps of all sizes */
            i += weft_rng_below(&rng, count);
    }
    return n;
}

static void check(const uint32_t *index, size_t n, size_t count)
{
    size_t bytes = 0, off = 0;
    const unsigned b = weft_rice_choose(index, n, &bytes);
    cr_assert_leq(bytes, weft_rice_bound(n, count));
    uint8_t *out = malloc(bytes + SPARE), *exact = malloc(bytes);
    uint32_t *back = malloc((n + 1) * sizeof(*back));
    memset(out, 0x5a, bytes + SPARE);
    back[n] = 0x5a5a5a5a;
    weft_rice_write(index, n, b, out);
    for (size_t i = 0; i < SPARE; i++)
        cr_assert_eq(out[bytes + i], 0x5a);
    memcpy(exact, out, bytes); /* reading past its end is seen by the sanitizer */
    weft_rice r;
    const char *wrong = weft_rice_check(exact, bytes, n, b, count, &r, &off);
    cr_assert_null(wrong, "%s", wrong);
    cr_assert_eq(weft_rice_end(&r), (uint64_t)index[n - 1] + 1);
    for (size_t done = 0, step = 1; done < n;
         done += step, step = step * 2 < 700 ? step * 2 : 700) {
        const size_t left = n - done;
        weft_rice_read(&r, step < left ? step : left, back + done);
    }
    cr_assert_eq(weft_rice_read_end(&r), (uint64_t)index[n - 1] + 1);
    cr_assert(!memcmp(index, back, n * sizeof(*back)) && back[n] == 0x5a5a5a5a);
    free(out);
    free(exact);
    free(back);
}

Test(rice, indices_come_back_and_nothing_else_is_touched)
{
    static uint32_t index[MOST];
    static const double densities[] = {1, 0.9, 0.3, 0.01, 0.001};
    for (size_t d = 0; d < sizeof(densities) / sizeof(densities[0]); d++)
        for (size_t count = 1; count < 100000; count = count < 70 ? count + 1 : count * 3) {
            const size_t n = make(index, count, densities[d], count + d);
            if (n > 0)
                check(index, n, count);
        }
    for (uint32_t i = 0; i < 20; i++) /* lengths at which low and high bits end together */
        index[i] = UINT32_MAX - 20 + i - (i < 7 ? UINT32_MAX / 2 : 0);
    for (size_t n = 1; n <= 20; n++)
        check(index, n, UINT32_MAX);
}

Test(rice, the_parameter_chosen_gives_the_fewest_bytes_of_equal_ones_the_lowest)
{
    static uint32_t index[MOST];
    for (uint64_t seed = 0; seed < 60; seed++) {
        const size_t n = make(index, 1 + seed * 200, 1.0 / (double)(1 + seed), seed);
        size_t bytes = 0, best = SIZE_MAX;
        unsigned at = 0;
        if (n == 0)
            continue;
        for (unsigned b = 0; b <= WEFT_RICE_MOST; b++) {
            uint64_t high = n;
            for (size_t i = 0; i < n; i++)
                high += (index[i] - (i ? index[i - 1] + 1 : 0)) >> b;
            const size_t len = (n * b + 7) / 8 + (size_t)((high + 7) / 8);
            if (len < best) {
                best = len;
                at = b;
            }
        }
        cr_assert_eq(weft_rice_choose(index, n, &bytes), at);
        cr_assert_eq(bytes, best);
    }
}

Test(rice, the_bound_grows_with_the_number_of_indices_and_is_attained)
{
    for (size_t count = 1; count < 3000; count += 97)
        for (size_t n = 2; n <= count; n++)
            cr_assert_geq(weft_rice_bound(n, count), weft_rice_bound(n - 1, count));
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    size_t bytes = 0;
    cr_assert_eq(weft_rice_choose(all, 9, &bytes), 0);
    cr_assert(bytes == 2 && weft_rice_bound(9, 9) == 2, "a bitmap");
}

Test(rice, an_index_of_a_thousandth_takes_less_than_twelve_bits)
{
    enum { COUNT = 4000000 };
    weft_rng rng = {.state = 1};
    uint32_t *index = malloc(COUNT / 500 * sizeof(*index));
    size_t n = 0, bytes = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        if (weft_rng_below(&rng, 1000) == 0)
            index[n++] = i;
    weft_rice_choose(index, n, &bytes);
    cr_assert_lt((double)bytes * 8 / (double)n, 12.0);
    cr_assert_gt((double)bytes * 8 / (double)n, log2(1000 * 2.718281828), "the entropy is");
    free(index);
}

/* What is wrong with n indices below count in these bytes. */
static const char *wrong_with(const uint8_t *in, size_t len, size_t n, unsigned b, size_t count)
{
    weft_rice r;
    size_t off = 0;
    const char *reason = weft_rice_check(in, len, n, b, count, &r, &off);
    cr_assert(!reason || off <= len);
    if (!reason && weft_rice_end(&r) > count)
        reason = "beyond";
    return reason;
}

Test(rice, damaged_bytes_are_refused)
{
    const uint8_t one[] = {0x05, 0x04}; /* b = 4: 5 + 2 * 16 */
    cr_assert_null(wrong_with(one, 2, 1, 4, 38));
    cr_assert_str_eq(wrong_with(one, 2, 1, 4, 37), "beyond");
    cr_assert_str_eq(wrong_with(one, 2, 1, 4, 31), "an index is not below the number of elements");
    cr_assert_str_eq(wrong_with(one, 2, 1, 32, 100), "the Rice parameter is above 31");
    cr_assert_str_eq(wrong_with(one, 1, 1, 4, 100), "the indices are cut short");
    cr_assert_str_eq(wrong_with(one, 0, 1, 0, 100), "the indices are cut short");
    cr_assert_str_eq(wrong_with(one, 2, 2, 4, 100), "not as many indices as the number of pairs");
    const uint8_t two[] = {0x15, 0x04}, three[] = {0x05, 0x04, 0x00}, none[] = {0x05, 0x00};
    cr_assert_str_eq(wrong_with(two, 2, 1, 4, 100), "the padding of the indices is not zero");
    cr_assert_str_eq(wrong_with(three, 3, 1, 4, 100), "bytes behind the last index");
    cr_assert_str_eq(wrong_with(none, 2, 1, 4, 100), "not as many indices as the number of pairs");
    uint8_t far[200] = {0}; /* high bits that would overflow when shifted */
    far[199] = 0x80;
    cr_assert_str_eq(wrong_with(far, 200, 1, 31, UINT32_MAX),
                     "an index is not below the number of elements");
}
