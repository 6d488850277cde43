/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tern: TernGrad (Wen et al. 2017). Values are clipped at `clip` standard deviations, then rounded
 * at random to -N, 0 or N, N the largest magnitude that is left.
 *
 * The deviation is the population's, about the mean, of the whole block; both sums in binary64, in
 * 16 parts as norms are; clip times it is rounded to binary32. A block whose elements are all equal
 * is not clipped. Clipping is biased: clip=0 is unbiased, and then the codec is qsgd with levels=1,
 * norm=max.
 *
 * Wire: as qsgd with levels=1, norm=max: byte 2, a binary32 a block, 5 elements in a byte.
 */
#include "codec/quant.h"

enum { CLIP, BUCKET };

static const weft_param params[] = {
    [CLIP] = {.key = "clip",
              .value = "2.5",
              .min = 0,
              .max = 1e6,
              .help =
                  "standard deviations of a block at which values are clipped, a bias; 0: none"},
    [BUCKET] = {.key = "bucket",
                .value = "0",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has its own scale; 0: the whole vector"},
    {.key = NULL},
};

weft_quant weft_quant_of_tern(const weft_codec *c)
{
    return (weft_quant){.name = "tern",
                        .levels = 1,
                        .bucket = (size_t)c->spec.number[BUCKET],
                        .norm = WEFT_NORM_MAX,
                        .clip = c->spec.number[CLIP]};
}

static bool biased(const weft_codec *c)
{
    return c->spec.number[CLIP] > 0;
}

static unsigned levels(const weft_codec *c)
{
    (void)c;
    return 1;
}

const weft_codec_type weft_codec_tern = {
    .name = "tern",
    .summary = "TernGrad: clipped, then rounded at random to -N, 0 or N; unbiased with clip=0",
    .source = "Wen et al. 2017",
    .traits = WEFT_CODEC_UNBIASED,
    .params = params,
    .block = weft_quant_codec_block,
    .bound = weft_quant_codec_bound,
    .omega = weft_quant_codec_omega,
    .biased = biased,
    .encode = weft_quant_codec_encode,
    .decode = weft_quant_codec_decode,
    .levels = levels,
};
