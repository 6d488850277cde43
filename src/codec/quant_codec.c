/* SPDX-License-Identifier: Apache-2.0 */
/* What the types of quantizing codecs share: their instances differ in parameters alone. */
#include <assert.h>

#include "codec/quant.h"

bool weft_quant_is(const weft_codec *c)
{
    return c->type == &weft_codec_qsgd || c->type == &weft_codec_tern;
}

weft_quant weft_quant_of(const weft_codec *c)
{
    return c->type == &weft_codec_tern ? weft_quant_of_tern(c) : weft_quant_of_qsgd(c);
}

size_t weft_quant_codec_block(const weft_codec *c)
{
    return weft_quant_of(c).bucket;
}

size_t weft_quant_codec_bound(const weft_codec *c, const weft_stretch *s)
{
    const weft_quant q = weft_quant_of(c);
    return weft_quant_bound(&q, s);
}

double weft_quant_codec_omega(const weft_codec *c, size_t count)
{
    const weft_quant q = weft_quant_of(c);
    const size_t block = q.bucket > 0 && q.bucket < count ? q.bucket : count;
    return count > 0 ? weft_quant_omega(&q, (double)block) : 0.0;
}

int weft_quant_codec_encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                            const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const weft_quant q = weft_quant_of(c);
    assert(cap >= weft_quant_bound(&q, s));
    (void)cap;
    return weft_quant_encode(&q, draw, lane, s, out, ret_len);
}

int weft_quant_codec_decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len,
                            void *out, bool add)
{
    const weft_quant q = weft_quant_of(c);
    return weft_quant_decode(&q, s, in, len, out, add);
}
