/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16: bfloat16, the upper half of a binary32 (8 bits of exponent, 7 of fraction), rounded to
 * nearest, ties to even.
 *
 * Wire: 2 bytes an element, little endian, nothing else. Subnormals and -0 are kept.
 * Biased (it draws nothing); an element is off by at most 2^-8 of its magnitude while that is at
 * least 2^-126, and by 2^-134 below. What would become infinite is refused: magnitudes from
 * 2^128 - 2^119 on, infinity and NaN. So is an encoding that holds one of them.
 */
#include "codec/half_code.h"

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    (void)cap;
    return weft_halves_encode(c, WEFT_BF16, draw, lane, s, out, ret_len);
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    return weft_halves_decode(c, WEFT_BF16, s, in, len, out, add);
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_codec_type weft_codec_bf16;
const weft_codec_type weft_codec_bf16 = {
    .name = "bf16",
    .summary = "each element as a bfloat16, to nearest",
    .source = "Kalamkar et al. 2019",
    .traits = 0,
    .params = params,
    .block = weft_halves_block,
    .bound = weft_halves_bound,
    .encode = encode,
    .decode = decode,
};
