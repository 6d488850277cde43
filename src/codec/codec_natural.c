/* SPDX-License-Identifier: Apache-2.0 */
/*
 * natural: each element rounded at random to one of the two powers of two around it (Horváth et al.
 * 2019, natural compression). No scale, no blocks: 9 bits an element.
 *
 * |v| = 2^a (1 + m) becomes 2^(a+1) with probability m, else 2^a. Below 2^-126 it becomes 2^-126
 * with probability |v| / 2^-126, else +0. In the bits of the binary32 that is one addition: the
 * fraction is rounded to 16 bits (nearest even), 16 random bits are added, and what is carried goes
 * into the exponent. So a probability is off by at most 2^-17: a bias of at most 2^-17 of the
 * distance of the two powers.
 *
 * Wire:
 *   1 byte   of each element: the exponent field of the binary32, 1 ... 254, or 0 for zero
 *   bits     1: negative; element i of the span in bit i mod 8 of byte i / 8; a zero has no sign;
 *            zero bits at the end
 *
 * omega = 1/8, attained at m = 1/3, for elements that are 0 or at least 2^-126. Magnitudes from
 * 2^127 on are refused like infinity: twice 2^127 is none.
 */
#include <math.h>
#include <string.h>

#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"
#include "kernel/kernel_quant.h"

enum { BATCH = WEFT_DECODE_BATCH, EXPONENT_PAST = 255, BYTE_BITS = 8 };

static size_t block(const weft_codec *c)
{
    (void)c;
    return 1;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    (void)c;
    return s->count + weft_bits_bytes(s->count);
}

static double omega(const weft_codec *c, size_t count)
{
    (void)c;
    return count ? 0.125 : 0.0;
}

/* Bit of each of n <= 8 bytes: it is not zero. */
static unsigned nonzero(const uint8_t *exponents, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, exponents, n);
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f), set = (((x & low) + low) | x) & ~low;
    /* Gathers the top bits of the bytes, that of the first lowest (bytes lie little endian). */
    return (unsigned)((set >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = (const float *)lane + s->off;
    uint8_t *exponents = out, *signs = exponents + s->count;
    (void)cap;
    if (!(weft_kernel_pack_signs(v, s->count, signs) < 0x1p127f))
        return weft_codec_nonfinite(c->type->name, v, s->count, draw->first + s->off, 0x1p127f);
    for (size_t i = 0; i < s->count; i += BATCH) {
        uint16_t random[BATCH];
        const size_t n = s->count - i < BATCH ? s->count - i : BATCH;
        weft_kernel_draw_u16(draw, draw->first + s->off + i, n, random);
        weft_kernel_to_powers(v + i, n, random, exponents + i);
    }
    for (size_t i = 0; i < s->count; i += BYTE_BITS)
        signs[i / BYTE_BITS] &=
            (uint8_t)nonzero(exponents + i, s->count - i < BYTE_BITS ? s->count - i : BYTE_BITS);
    *ret_len = bound(c, s);
    return WEFT_OK;
}

static int check(const weft_codec *c, const weft_stretch *s, const uint8_t *in, size_t len)
{
    const uint8_t *signs = in + s->count;
    if (len != bound(c, s))
        return weft_codec_refuse_length(c, len, s->count, bound(c, s));
    const bool past = weft_kernel_most8(in, s->count) == EXPONENT_PAST;
    for (size_t i = 0; past; i++)
        if (in[i] == EXPONENT_PAST)
            return weft_codec_refuse(c, i, "an exponent of 255");
    for (size_t i = 0; i < s->count; i += BYTE_BITS) {
        const size_t n = s->count - i < BYTE_BITS ? s->count - i : BYTE_BITS;
        if (signs[i / BYTE_BITS] & ~nonzero(in + i, n))
            return weft_codec_refuse(c, s->count + i / BYTE_BITS,
                                     "the sign of a zero, or non-zero padding");
    }
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    float *values = out, batch[BATCH];
    const uint8_t *exponents = in, *signs = exponents + s->count;
    const int code = check(c, s, in, len);
    for (size_t i = 0; code == WEFT_OK && i < s->count; i += BATCH) {
        const size_t n = s->count - i < BATCH ? s->count - i : BATCH;
        weft_kernel_from_powers(exponents + i, signs + i / BYTE_BITS, n, add ? batch : values + i);
        if (add)
            weft_kernel_add(values + i, values + i, batch, n);
    }
    return code;
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_codec_type weft_codec_natural;
const weft_codec_type weft_codec_natural = {
    .name = "natural",
    .summary = "each element rounded at random to a power of two beside it, 9 bits; unbiased",
    .source = "Horváth, Ho, Horváth, Sahu, Canini & Richtárik 2019",
    .traits = WEFT_CODEC_UNBIASED,
    .params = params,
    .block = block,
    .bound = bound,
    .omega = omega,
    .encode = encode,
    .decode = decode,
};
