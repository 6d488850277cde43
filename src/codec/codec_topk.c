/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk: the k elements of largest magnitude, exactly; of equal ones those of lower index; zeros
 * never.
 *
 * k = ceil(density * count), at least 1 of any. Biased: |C(v) - v|^2 <= (1 - k/count) |v|^2, so it
 * belongs with error feedback (Stich et al. 2018; Lin et al. 2018). Two encodings of values=f32 are
 * merged to the k largest of their sum (gTop-k, Shi et al. 2019).
 *
 * Wire: pairs_wire.h. About log2(1/density) + 1.5 bits an index and 32, 16, 8 or 4 bits a value.
 */
#include <math.h>

#include "base/status.h"
#include "codec/codec.h"
#include "codec/selection.h"

enum { K, DENSITY, VALUES, INDEX }; /* order of the parameters */

static const weft_param params[] = {
    [K] = {.key = "k",
           .value = "auto",
           .min = 1,
           .max = 4294967295.0,
           .integer = 1,
           .help = "elements that are sent; auto: what density says"},
    [DENSITY] = {.key = "density",
                 .value = "auto",
                 .min = 1e-9,
                 .max = 1,
                 .help = "share of the elements that are sent, rounded up; auto: 0.01 without k"},
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

static int check(const weft_codec *c)
{
    if (isnan(c->spec.number[K]) || isnan(c->spec.number[DENSITY]))
        return WEFT_OK;
    return weft_fail(WEFT_EINVAL, "codec topk: k and density are given, one of them says how many");
}

weft_selection weft_selection_of_topk(const weft_codec *c, size_t count)
{
    const double k = c->spec.number[K], density = c->spec.number[DENSITY];
    const weft_pairs_coding coding = {
        .codec = "topk",
        .values = c->spec.choice[VALUES],
        .index = c->spec.choice[INDEX],
        .count = count,
        .most = isnan(k) ? weft_selection_share(isnan(density) ? WEFT_TOPK_DENSITY : density, count)
                : k < (double)count ? (size_t)k
                                    : count,
    };
    return (weft_selection){.coding = coding};
}

const weft_codec_type weft_codec_topk = {
    .name = "topk",
    .summary = "the largest elements, exactly; biased",
    .source = "Stich et al. 2018; Lin et al. 2018 (DGC); Shi et al. 2019 (gTop-k)",
    .traits = WEFT_CODEC_WHOLE | WEFT_CODEC_COMBINES | WEFT_CODEC_SELECTS,
    .params = params,
    .check = check,
    .block = weft_selection_codec_block,
    .bound = weft_selection_codec_bound,
    .encode = weft_selection_codec_encode,
    .decode = weft_selection_codec_decode,
    .combine = weft_selection_codec_combine,
    .combines = weft_selection_codec_combines,
    .pairs = weft_selection_codec_pairs,
};
