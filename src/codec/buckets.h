/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a lane that a span touches, for codecs with a scale a block. */
#ifndef WEFT_CODEC_BUCKETS_H
#define WEFT_CODEC_BUCKETS_H

#include <assert.h>
#include <stdbool.h>

#include "codec/codec.h"
#include "kernel/kernel_code.h"

typedef struct weft_buckets {
    size_t size;  /* elements of a block */
    size_t first; /* first block touched */
    size_t count; /* blocks touched */
} weft_buckets;

/* size 0: the lane is one block. */
static inline weft_buckets weft_buckets_of(size_t size, const weft_stretch *s)
{
    assert(s->off <= s->lane_count && s->count <= s->lane_count - s->off);
    weft_buckets b = {.size = size};
    if (b.size == 0)
        b.size = s->lane_count ? s->lane_count : 1;
    b.first = s->off / b.size;
    b.count = s->count ? (s->off + s->count - 1) / b.size - b.first + 1 : 0;
    return b;
}

/* The i-th touched block: its whole in the lane, elements begin … begin+count-1. */
static inline size_t weft_bucket_begin(const weft_buckets *b, size_t i)
{
    return (b->first + i) * b->size;
}

static inline size_t weft_bucket_count(const weft_buckets *b, const weft_stretch *s, size_t i)
{
    const size_t left = s->lane_count - weft_bucket_begin(b, i);
    return left < b->size ? left : b->size;
}

/* The part of it in the span: elements *ret_from … of the span, how many is returned. */
static inline size_t weft_bucket_part(const weft_buckets *b, const weft_stretch *s, size_t i,
                                      size_t *ret_from)
{
    const size_t begin = weft_bucket_begin(b, i), end = begin + weft_bucket_count(b, s, i);
    const size_t from = begin > s->off ? begin : s->off, past = s->off + s->count;
    *ret_from = from - s->off;
    return (end < past ? end : past) - from;
}

/* What was measured of the block that begins there is still known. */
static inline bool weft_block_known(const weft_stretch *s, const void *block, float ret[2])
{
    if (!s->measured || s->measured->block != block)
        return false;
    ret[0] = s->measured->of[0];
    ret[1] = s->measured->of[1];
    return true;
}

static inline void weft_block_keep(const weft_stretch *s, const void *block, float first,
                                   float second)
{
    if (s->measured)
        *s->measured = (weft_measured){.block = block, .of = {first, second}};
}

/* Pack the signs of the i-th block's part of the span v, after those before it: up to a whole byte,
 * but at the end of the span. *packed: how many are done. Returns the largest magnitude of them. */
static inline float weft_bucket_signs(const weft_buckets *b, const weft_stretch *s, size_t i,
                                      const float *v, uint8_t *bits, size_t *packed)
{
    enum { BYTE_BITS = 8 };
    size_t from = 0;
    const size_t part = weft_bucket_part(b, s, i, &from), done = *packed;
    size_t end = from + part;
    if (end < s->count)
        end -= end % BYTE_BITS;
    if (end <= done)
        return 0.0f;
    *packed = end;
    return weft_kernel_pack_signs(v + done, end - done, bits + done / BYTE_BITS);
}

#endif
