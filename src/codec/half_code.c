/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/half_code.h"

#include <math.h>
#include <string.h>

#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

enum { HALF_BYTES = 2 };

/* What becomes infinite when rounded to nearest: the largest number and half a unit of its last
 * place. 65504 + 16 for float16; for bfloat16 2^128 - 2^120 + 2^119. */
static const float f16_past = 65520.0f, bf16_past = 0x1.ffp127f;

static uint16_t infinity_of(weft_dtype dtype)
{
    return dtype == WEFT_F16 ? 0x7c00 : 0x7f80;
}

size_t weft_halves_block(const weft_codec *c)
{
    (void)c;
    return 1;
}

size_t weft_halves_bound(const weft_codec *c, const weft_stretch *s)
{
    (void)c;
    return s->count * HALF_BYTES;
}

int weft_halves_encode(const weft_codec *c, weft_dtype dtype, const weft_draw *draw,
                       const void *lane, const weft_stretch *s, void *out, size_t *ret_len)
{
    const float *v = (const float *)lane + s->off;
    if (s->count > 0 && weft_kernel_to_half(dtype, v, s->count, out) >= infinity_of(dtype))
        return weft_codec_nonfinite(c->type->name, v, s->count, draw->first + s->off,
                                    dtype == WEFT_F16 ? f16_past : bf16_past);
    *ret_len = s->count * HALF_BYTES;
    return WEFT_OK;
}

static int refuse_nonfinite(const weft_codec *c, const uint8_t *bytes, uint16_t infinity)
{
    size_t off = 0;
    uint16_t half = 0;
    do {
        memcpy(&half, bytes + off, sizeof(half));
        off += HALF_BYTES;
    } while ((half & 0x7fff) < infinity);
    return weft_codec_refuse(c, off - HALF_BYTES, "a value is not finite");
}

int weft_halves_decode(const weft_codec *c, weft_dtype dtype, const weft_stretch *s, const void *in,
                       size_t len, void *out, bool add)
{
    const uint8_t *bytes = in;
    float *values = out, batch[WEFT_DECODE_BATCH];
    if (len != s->count * HALF_BYTES)
        return weft_codec_refuse_length(c, len, s->count, s->count * HALF_BYTES);
    if (weft_kernel_half_most(in, s->count) >= infinity_of(dtype))
        return refuse_nonfinite(c, bytes, infinity_of(dtype));
    if (!add) {
        weft_kernel_from_half(dtype, in, s->count, values);
        return WEFT_OK;
    }
    for (size_t i = 0; i < s->count; i += WEFT_DECODE_BATCH) {
        const size_t n = s->count - i < WEFT_DECODE_BATCH ? s->count - i : WEFT_DECODE_BATCH;
        weft_kernel_from_half(dtype, bytes + i * HALF_BYTES, n, batch);
        weft_kernel_add(values + i, values + i, batch, n);
    }
    return WEFT_OK;
}
