/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign: one bit an element; +0 and -0 count as positive.
 *
 * scaled=yes  decoded = sign(v) * mean |v| of the block: the scaled sign of EF-signSGD (Karimireddy
 *             et al. 2019). Biased, for error feedback; contracts by |v|_1^2 / (B |v|_2^2).
 * scaled=no   decoded = +1 or -1: signSGD (Bernstein et al. 2018). bucket= is of no account.
 *
 * Wire, little endian:
 *   4 bytes   scaled only: binary32 mean of |v| of each block that the span touches (of the whole
 *             block: sum in binary64, 16 partial sums as kernel.h has them, divided by the number
 *             of elements, rounded to binary32)
 *   bits      1: v < 0; element i of the span in bit i mod 8 of byte i / 8, zero bits at the end
 *
 * A mean so small that it is 0 decodes to +0 whatever the sign.
 */
#include <math.h>
#include <string.h>

#include "codec/buckets.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

enum { SCALED, BUCKET }; /* order of the parameters */
enum { YES, NO };
enum { SCALE_BYTES = 4 };

static const weft_param params[] = {
    [SCALED] = {.key = "scaled",
                .value = "yes",
                .choices = "yes|no",
                .help = "yes: times the mean magnitude of the block; no: +1 and -1"},
    [BUCKET] = {.key = "bucket",
                .value = "512",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has its own mean; 0: the whole vector"},
    {.key = NULL},
};

static bool is_scaled(const weft_codec *c)
{
    return c->spec.choice[SCALED] == YES;
}

static size_t block(const weft_codec *c)
{
    return is_scaled(c) ? (size_t)c->spec.number[BUCKET] : 1;
}

/* Blocks whose means are sent: unscaled the whole span is one that has none. */
static weft_buckets buckets_of(const weft_codec *c, const weft_stretch *s)
{
    return weft_buckets_of(is_scaled(c) ? (size_t)c->spec.number[BUCKET] : 0, s);
}

static size_t head_bytes(const weft_codec *c, const weft_buckets *b)
{
    return is_scaled(c) ? b->count * SCALE_BYTES : 0;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    const weft_buckets b = buckets_of(c, s);
    return head_bytes(c, &b) + weft_bits_bytes(s->count);
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = lane;
    const weft_buckets b = buckets_of(c, s);
    uint8_t *scales = out, *bits = scales + head_bytes(c, &b);
    size_t packed = 0;
    assert(cap >= bound(c, s));
    (void)cap;
    for (size_t i = 0; i < b.count; i++) {
        const size_t begin = weft_bucket_begin(&b, i), n = weft_bucket_count(&b, s, i);
        float mean[2] = {0, 0};
        if (is_scaled(c) && !weft_block_known(s, v + begin, mean)) {
            const double sum = weft_kernel_sumabs(v + begin, n);
            if (!isfinite(sum))
                return weft_codec_nonfinite(c->type->name, v + begin, n, draw->first + begin,
                                            INFINITY);
            mean[0] = (float)(sum / (double)n);
            weft_block_keep(s, v + begin, mean[0], 0);
        }
        if (is_scaled(c))
            memcpy(scales + i * SCALE_BYTES, mean, SCALE_BYTES);
        if (!isfinite(weft_bucket_signs(&b, s, i, v + s->off, bits, &packed)))
            return weft_codec_nonfinite(c->type->name, v + s->off, s->count, draw->first + s->off,
                                        INFINITY);
    }
    *ret_len = bound(c, s);
    return WEFT_OK;
}

static float load_scale(const weft_codec *c, const uint8_t *scales, size_t i)
{
    float scale = 1.0f;
    if (is_scaled(c))
        memcpy(&scale, scales + i * SCALE_BYTES, sizeof(scale));
    return scale;
}

static int check(const weft_codec *c, const weft_stretch *s, const weft_buckets *b,
                 const uint8_t *in, size_t len)
{
    if (len != bound(c, s))
        return weft_codec_refuse_length(c, len, s->count, bound(c, s));
    for (size_t i = 0; i < b->count; i++) {
        const float scale = load_scale(c, in, i);
        if (!isfinite(scale))
            return weft_codec_refuse(c, i * SCALE_BYTES, "a scale is not finite");
        if (signbit(scale))
            return weft_codec_refuse(c, i * SCALE_BYTES, "a scale is negative");
    }
    if (weft_bits_padded(in + head_bytes(c, b), s->count))
        return weft_codec_refuse(c, len - 1, "non-zero padding");
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    float *values = out, batch[WEFT_DECODE_BATCH];
    const weft_buckets b = buckets_of(c, s);
    const uint8_t *bits = (const uint8_t *)in + head_bytes(c, &b);
    const int code = check(c, s, &b, in, len);
    if (code != WEFT_OK)
        return code;
    for (size_t i = 0; i < b.count; i++) {
        const float scale = load_scale(c, in, i);
        size_t from = 0;
        const size_t count = weft_bucket_part(&b, s, i, &from);
        if (!add)
            weft_kernel_spread_signs(bits, from, count, scale, 0.0f - scale, values + from);
        for (size_t k = 0; add && k < count; k += WEFT_DECODE_BATCH) {
            const size_t n = count - k < WEFT_DECODE_BATCH ? count - k : WEFT_DECODE_BATCH;
            float *to = values + from + k;
            weft_kernel_spread_signs(bits, from + k, n, scale, 0.0f - scale, batch);
            weft_kernel_add(to, to, batch, n);
        }
    }
    return WEFT_OK;
}

extern const weft_codec_type weft_codec_sign;
const weft_codec_type weft_codec_sign = {
    .name = "sign",
    .summary = "the sign of each element, times the mean magnitude of its block or not; biased",
    .source = "Bernstein et al. 2018 (signSGD); Karimireddy et al. 2019 (EF-signSGD)",
    .traits = 0,
    .params = params,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
};
