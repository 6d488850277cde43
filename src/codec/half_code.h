/* SPDX-License-Identifier: Apache-2.0 */
/* What f16 and bf16 share: everything but the type. */
#ifndef WEFT_CODEC_HALF_CODE_H
#define WEFT_CODEC_HALF_CODE_H

#include "codec/codec.h"

/* Functions of a weft_codec_type; dtype is WEFT_F16 or WEFT_BF16. */
size_t weft_halves_block(const weft_codec *c);
size_t weft_halves_bound(const weft_codec *c, const weft_stretch *s);
int weft_halves_encode(const weft_codec *c, weft_dtype dtype, const weft_draw *draw,
                       const void *lane, const weft_stretch *s, void *out, size_t *ret_len);
int weft_halves_decode(const weft_codec *c, weft_dtype dtype, const weft_stretch *s, const void *in,
                       size_t len, void *out, bool add);

#endif
