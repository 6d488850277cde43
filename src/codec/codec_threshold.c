/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threshold: the elements of magnitude `at` or more (Strom 2015; Dryden et al. 2016), but at most a
 * share of all: then the largest, of equal ones those of lower index. Zeros never.
 *
 * Biased. Two encodings of values=f32 are merged to what of their sum is `at` or more, with the
 * same limit. How many are sent depends on the data: a peer may send none.
 *
 * Wire: pairs_wire.h.
 */
#include "codec/codec.h"
#include "codec/selection.h"

enum { AT, MOST, VALUES, INDEX }; /* order of the parameters */

static const weft_param params[] = {
    [AT] = {.key = "at",
            .value = "0.001",
            .min = 0,
            .max = 1e38,
            .help = "least magnitude that is sent, taken as float32"},
    [MOST] = {.key = "most",
              .value = "0.1",
              .min = 1e-9,
              .max = 1,
              .help =
                  "largest share of the elements that is sent, rounded up: of more the largest"},
    [VALUES] = {.key = "values",
                .value = "f32",
                .choices = WEFT_PAIRS_VALUES,
                .help = "how values are sent: qsgd4 and qsgd8 in 7 and 127 levels at random"},
    [INDEX] = {.key = "index",
               .value = "rice",
               .choices = WEFT_PAIRS_INDEX,
               .help = "how indices are sent: as gaps in Rice codes, or 32 bits each"},
    {.key = NULL},
};

weft_selection weft_selection_of_threshold(const weft_codec *c, size_t count)
{
    const weft_pairs_coding coding = {
        .codec = "threshold",
        .values = c->spec.choice[VALUES],
        .index = c->spec.choice[INDEX],
        .count = count,
        .most = weft_selection_share(c->spec.number[MOST], count),
    };
    return (weft_selection){.coding = coding, .least = (float)c->spec.number[AT]};
}

const weft_codec_type weft_codec_threshold = {
    .name = "threshold",
    .summary = "the elements of a magnitude or more; biased",
    .source = "Strom 2015; Dryden et al. 2016",
    .traits = WEFT_CODEC_WHOLE | WEFT_CODEC_COMBINES | WEFT_CODEC_SELECTS,
    .params = params,
    .block = weft_selection_codec_block,
    .bound = weft_selection_codec_bound,
    .encode = weft_selection_codec_encode,
    .decode = weft_selection_codec_decode,
    .combine = weft_selection_codec_combine,
    .combines = weft_selection_codec_combines,
    .pairs = weft_selection_codec_pairs,
};
