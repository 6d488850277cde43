/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics of prop_codec_stats.c for every SPEC that the properties try, ten times as many
 * round trips of longer vectors: minutes, for tools/nightly.sh.
 */
#include <criterion/criterion.h>

#include "support/codec_stats.h"

enum { TRIPS = 20000, COUNT = 512 };

Test(nightly_codecs, are_unbiased_with_the_variance_of_the_formula_for_all_parameters,
     .timeout = 3600)
{
    int studied = 0;
    FOR_EACH_SPEC(spec)
    {
        weft_codec *c = codec_opened(spec);
        const bool random = codec_is_random(c);
        weft_codec_close(&c);
        for (int shape = 0; random && shape < SHAPES; shape++) {
            codec_check_statistics(spec, (enum shape)shape, COUNT, TRIPS,
                                   5000 + (uint64_t)spec_index);
            studied++;
        }
    }
    cr_assert_gt(studied, 30);
}
