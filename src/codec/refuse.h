/* SPDX-License-Identifier: Apache-2.0 */
/* What codecs say when they refuse, in one form, and the decoding that adds. */
#ifndef WEFT_CODEC_REFUSE_H
#define WEFT_CODEC_REFUSE_H

#include "codec/codec.h"

/* Floats at any address: spans of messages and of callers' buffers. */
typedef float weft_any_float __attribute__((aligned(1), may_alias));

/* Values decoded at a time, before they are added: they stay in the first cache. */
enum { WEFT_DECODE_BATCH = 1024 };

/* WEFT_ECODEC: "codec NAME: offset OFF: REASON". */
int weft_codec_refuse(const weft_codec *c, size_t off, const char *reason);
/* The same for a length that is not `want`, which `count` elements take. */
int weft_codec_refuse_length(const weft_codec *c, size_t len, size_t count, size_t want);
/* WEFT_ENONFINITE that names the first element of v which is NaN, infinite or of magnitude `least`
 * or more (INFINITY: any finite one passes); there is one. first: index of v[0] in the tensor. */
int weft_codec_nonfinite(const char *codec, const float *v, size_t count, uint64_t first,
                         float least);

/* The bits behind the first `count` of packed bits are not zero. */
bool weft_bits_padded(const uint8_t *bits, size_t count);

static inline size_t weft_bits_bytes(size_t count)
{
    return count / 8 + (count % 8 != 0);
}

#endif
