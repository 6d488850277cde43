/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Vectors of the Random123 distribution, kat_vectors, philox4x32 10. */
Test(rng, philox_gives_the_published_answers)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t out[4];
        weft_philox(known[i].counter, known[i].key, out);
        cr_expect_arr_eq(out, known[i].out, sizeof(out), "vector %zu", i);
    }
}

/* The definition, written out for one element. */
static uint16_t draw_one(const weft_draw *draw, uint64_t index)
{
    uint32_t counter[4] = {(uint32_t)(index / 8), (uint32_t)draw->draw,
                           (uint32_t)(draw->draw >> 32) + 65536u * draw->tensor, draw->member};
    uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)}, out[4];
    weft_philox(counter, key, out);
    uint32_t word = out[index % 8 / 2];
    return (uint16_t)(index % 2 ? word >> 16 : word);
}

Test(rng, draws_follow_the_definition_from_any_start_and_length)
{
    const weft_draw draw = {.seed = 0x123456789abcdef0,
                            .member = 7,
                            .tensor = 65535,
                            .draw = 0xfedcba987654,
                            .first = 999 /* not added */};
    static const size_t counts[] = {0, 1, 7, 8, 9, 31, 32, 33, 64, 100};
    const uint64_t edge = UINT64_C(1) << 35; /* the counter word wraps here */
    for (uint64_t start = 0; start < 10; start++)
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            uint64_t first = k % 2 ? start : edge - 40 + start;
            uint16_t out[101];
            memset(out, 0xa5, sizeof(out));
            weft_draw_u16(&draw, first, counts[k], out);
            for (size_t i = 0; i < counts[k]; i++)
                cr_assert_eq(out[i], draw_one(&draw, first + i));
            cr_assert_eq(out[counts[k]], 0xa5a5, "wrote past the end");
        }
}

Test(rng, every_field_of_the_draw_matters)
{
    weft_draw draws[6];
    uint16_t out[6][64];
    for (int i = 0; i < 6; i++)
        draws[i] = (weft_draw){.seed = 1, .member = 1, .tensor = 1, .draw = 1};
    draws[1].seed = UINT64_C(1) << 32 | 1;
    draws[2].member = 2;
    draws[3].tensor = 2;
    draws[4].draw = 2;
    draws[5].draw = UINT64_C(1) << 32 | 1;
    for (int i = 0; i < 6; i++)
        weft_draw_u16(&draws[i], 0, 64, out[i]);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            cr_expect(memcmp(out[i], out[j], sizeof(out[0])) != 0, "draws %d and %d", j, i);
}

/* First outputs of splitmix64 from state 1234567, as published with the generator. */
Test(rng, splitmix_gives_the_published_answers)
{
    weft_rng rng = {.state = 1234567};
    cr_assert_eq(weft_rng_u64(&rng), UINT64_C(6457827717110365317));
    cr_assert_eq(weft_rng_u64(&rng), UINT64_C(3203168211198807973));
    cr_assert_eq(weft_rng_u64(&rng), UINT64_C(9817491932198370423));
}

Test(rng, below_reaches_every_value_equally_and_none_else)
{
    weft_rng rng = {.state = 3};
    enum { LIMIT = 7, DRAWS = 70000 };
    int seen[LIMIT] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t v = weft_rng_below(&rng, LIMIT);
        cr_assert_lt(v, LIMIT);
        seen[v]++;
    }
    double sigma = sqrt(DRAWS * (1.0 / LIMIT) * (1 - 1.0 / LIMIT));
    for (int i = 0; i < LIMIT; i++)
        cr_expect_lt(fabs(seen[i] - (double)DRAWS / LIMIT), 5 * sigma);
    for (int i = 0; i < 100; i++)
        cr_assert_lt(weft_rng_below(&rng, UINT64_MAX), UINT64_MAX);
    cr_assert_eq(weft_rng_below(&rng, 1), 0);
}

Test(rng, unit_is_in_range_with_the_right_mean)
{
    weft_rng rng = {.state = 4};
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double u = weft_rng_unit(&rng);
        cr_assert(u >= 0 && u < 1);
        sum += u;
    }
    cr_assert_lt(fabs(sum / 10000 - 0.5), 5 * sqrt(1.0 / 12 / 10000));
}

Test(rng, kernel_bytes_fill_the_buffer_and_differ)
{
    unsigned char a[17] = {0}, b[17] = {0};
    cr_assert_eq(weft_random_bytes(a, 16), 0);
    cr_assert_eq(weft_random_bytes(b, 16), 0);
    cr_assert_neq(memcmp(a, b, 16), 0);
    cr_assert_eq(a[16], 0);
    cr_assert_eq(weft_random_bytes(a, 0), 0);
}
