/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f16: IEEE 754 binary16 (5 bits of exponent, 10 of fraction), rounded to nearest, ties to even.
 *
 * Wire: 2 bytes an element, little endian, nothing else. Subnormals and -0 are kept.
 * Biased (it draws nothing); an element is off by at most 2^-11 of its magnitude while that is at
 * least 2^-14, and by 2^-25 below. What would become infinite is refused: magnitudes from
 * 65520 on, infinity and NaN. So is an encoding that holds one of them.
 */
#include "codec/half_code.h"

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    (void)cap;
    return weft_halves_encode(c, WEFT_F16, draw, lane, s, out, ret_len);
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    return weft_halves_decode(c, WEFT_F16, s, in, len, out, add);
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_codec_type weft_codec_f16;
const weft_codec_type weft_codec_f16 = {
    .name = "f16",
    .summary = "each element as a float16, to nearest; up to 65504",
    .source = "IEEE 754-2008",
    .traits = 0,
    .params = params,
    .block = weft_halves_block,
    .bound = weft_halves_bound,
    .encode = encode,
    .decode = decode,
};
