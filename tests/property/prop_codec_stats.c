/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random codecs are unbiased, with the variance of their formula, and independent: the short form,
 * a vector of each shape. nightly_codecs.c goes through all parameters.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "support/codec_stats.h"

enum { TRIPS = 2000, COUNT = 192 };

/* SPECs besides the defaults: where a block is shorter than the vector, or the law another. */
static const char *const short_specs[] = {"qsgd:levels=1,bucket=64",
                                          "qsgd:levels=1,bucket=16,norm=2",
                                          "qsgd:levels=1,norm=1",
                                          "qsgd:levels=7,bucket=50",
                                          "qsgd:levels=7,bucket=0,norm=2",
                                          "qsgd:levels=127,bucket=64,norm=1",
                                          "qsgd:levels=3,bucket=64,scale=pow2",
                                          "qsgd:levels=1,bucket=32,scale=bf16",
                                          "tern:clip=0,bucket=64",
                                          "randk:density=0.125",
                                          "hadamard:inner=qsgd2,block=64",
                                          "hadamard:inner=qsgd4,block=16"};

Test(codec_stats, random_codecs_are_unbiased_with_the_variance_of_the_formula)
{
    for (size_t k = 0; k < sizeof(short_specs) / sizeof(short_specs[0]); k++)
        for (int shape = 0; shape < SHAPES; shape++)
            codec_check_statistics(short_specs[k], (enum shape)shape, COUNT, TRIPS, 1000 + k);
}

/* Whatever the table holds: 256 elements, a power of two for those that pad. */
Test(codec_stats, every_random_row_of_the_table_is_unbiased)
{
    const weft_codec_type *t;
    int rows = 0;
    for (int row = 0; (t = weft_codec_type_at(row)); row++) {
        weft_codec *c = codec_opened(t->name);
        const bool random = codec_is_random(c);
        weft_codec_close(&c);
        for (int shape = 0; random && shape < SHAPES; shape++)
            codec_check_statistics(t->name, (enum shape)shape, 256, TRIPS, 2000 + (uint64_t)row);
        rows += random;
    }
    cr_assert_geq(rows, 3);
}

/* The worst vector of the design notes, by the exact variance. */
Test(codec_stats, omega_is_tight_for_the_largest_norm)
{
    enum { BLOCK = 64 };
    weft_codec *c = codec_opened("qsgd:levels=1,bucket=64");
    double omega = 0, low = 1 / (1 + sqrt((double)BLOCK));
    cr_assert_eq(weft_codec_omega(c, BLOCK, &omega), WEFT_OK);
    double variance = (BLOCK - 1) * low * (1 - low), energy = 1 + (BLOCK - 1) * low * low;
    cr_assert_lt(fabs(variance / energy - omega), 1e-12);
    weft_codec_close(&c);
}
