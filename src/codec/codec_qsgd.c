/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qsgd: stochastic quantization to the levels -s … s of each block's norm N.
 *
 * level = sign(v) * (|v| s/N rounded up or down at random, up with the probability of the
 * fraction); decoded = level * (N/s). Unbiased but for 2^-17 of a step.
 * s = 1: block p-quantization (Mishchenko et al. 2019); with norm=max TernGrad without its clipping
 * (Wen et al. 2017); norm=2 is QSGD as published (Alistarh et al. 2017, lemma 3.1).
 * round=nearest rounds to the nearest level, halves away from zero: less error, but biased.
 *
 * Wire, little endian:
 *   byte 0    form of the levels: 1 fixed width, 2 ternary, 3 Elias dense, 4 Elias sparse
 *   scales    N of each block that the span touches, of the whole block, as a binary32 (4 bytes), a
 *             bfloat16 (2) or the exponent byte of one (1: a power of two), rounded up; 0 when N/s
 *             would be subnormal (the block decodes to zeros)
 *   levels    forms 1 and 2: level + s of each element, packed (levels.h): ceil(log2(2s+1)) bits,
 *             or 5 in a byte. Forms 3 and 4: elias.h. Nothing between blocks, zero bits up to a
 *             whole byte at the end
 * code=packed: s = 1 is ternary, all others fixed, which is always the shorter of the two;
 * code=elias: the shorter of dense and sparse; code=auto: the shortest of all. By exact length, of
 * equal ones the lower number.
 *
 * omega, with B = min(bucket, count) elements of a block (scale=f32; others: quant_scale.c):
 *   norm=max  (sqrt(1 + (B-1)/s^2) - 1) / 2
 *   norm=2    s = 1: sqrt(B) - 1;  s > 1: min(B/s^2, sqrt(B)/s)
 *   norm=1    s = 1: B - 1;        s > 1: min(B/s, B^2/(4 s^2))
 */
#include "codec/quant.h"

enum { LEVELS, BUCKET, NORM, SCALE, CODE, ROUND }; /* order of the parameters */

static const weft_param params[] = {
    [LEVELS] = {.key = "levels",
                .value = "7",
                .min = 1,
                .max = 32767,
                .integer = 1,
                .help = "s: values are rounded to -s ... s parts of the block's norm"},
    [BUCKET] = {.key = "bucket",
                .value = "512",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has its own norm; 0: the whole vector"},
    [NORM] = {.key = "norm",
              .value = "max",
              .choices = "max|2|1",
              .help = "norm of a block: largest magnitude, Euclidean, sum of magnitudes"},
    [SCALE] = {.key = "scale",
               .value = "f32",
               .choices = "f32|bf16|pow2",
               .help = "norms in 32, 16 or 8 bits, rounded up"},
    [CODE] = {.key = "code",
              .value = "packed",
              .choices = "packed|elias|auto",
              .help = "levels in a fixed width, in Elias' code, or whichever is shorter"},
    [ROUND] = {.key = "round",
               .value = "random",
               .choices = "random|nearest",
               .help = "to the level above or below at random, or to the nearest: biased"},
    {.key = NULL},
};

weft_quant weft_quant_of_qsgd(const weft_codec *c)
{
    return (weft_quant){.name = "qsgd",
                        .levels = (unsigned)c->spec.number[LEVELS],
                        .bucket = (size_t)c->spec.number[BUCKET],
                        .norm = c->spec.choice[NORM],
                        .scale = c->spec.choice[SCALE],
                        .code = c->spec.choice[CODE],
                        .nearest = c->spec.choice[ROUND] != 0};
}

static bool biased(const weft_codec *c)
{
    return c->spec.choice[ROUND] != 0;
}

static unsigned levels(const weft_codec *c)
{
    return c->spec.choice[NORM] == WEFT_NORM_MAX ? (unsigned)c->spec.number[LEVELS] : 0;
}

const weft_codec_type weft_codec_qsgd = {
    .name = "qsgd",
    .summary = "stochastic quantization to levels of each block's norm; unbiased",
    .source = "Alistarh et al. 2017; Wen et al. 2017 (TernGrad); Mishchenko et al. 2019 (DIANA)",
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
