/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hadamard: random signs and a Hadamard rotation of each block, then quantization (qsgd, norm=max).
 * A rotated block has no outliers: one scale fits all of it (Suresh et al. 2017; Vargaftik et al.
 * 2021, DRIVE; Li et al. 2024, THC).
 *
 * A block v of B = 2^m elements becomes y = 2^-ceil(m/2) H D v, D the signs, H the Hadamard matrix
 * of entries +1 and -1; decoded is 2^-floor(m/2) D H q, q what y decodes to. A lane's last block
 * of t < B elements is padded with zeros to the next power of two: all of its rotated values are
 * sent, and of what is rotated back the first t are kept.
 *
 * Signs: element j of any block is negated when bit j (draw_bits.h, j counts from 0 in its block)
 * of the stream with seed K, member 2^32-2, tensor 0, draw 0 is set. K: words 0 (low) and 1 (high)
 * of Philox with counter (0, draw low, draw high + 2^16 tensor, 2^32-2), key = the draw's seed: the
 * same on all peers, another for every draw and tensor.
 *
 * Wire: 8 bytes, K, little endian; then the encoding of the rotated elements of all blocks, as
 *   qsgd:levels=s,bucket=B,norm=max makes it (codec_qsgd.c): s = 1, 7, 127 for inner=qsgd2, qsgd4,
 *   qsgd8. Any K is one; it only says what to rotate back by.
 *
 * Unbiased but for qsgd's 2^-17 of a step and the rounding of the 2m additions of an element; omega
 * of the inner codec, in the worst case. What the rotation gains is that a rotated block is like a
 * Gaussian one, far below that. Magnitudes from 2^(126 - m - floor(m/2)) on are refused like
 * infinity: their sums could overflow.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/draw_bits.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

#include <assert.h>

enum { INNER, BLOCK }; /* order of the parameters */
enum { KEY_BYTES = 8, BLOCK_LEAST = 8, BLOCK_MOST = 1 << 16 };

static const weft_param params[] = {
    [INNER] = {.key = "inner",
               .value = "qsgd4",
               .choices = "qsgd2|qsgd4|qsgd8",
               .help = "quantization of the rotated values: qsgd of so many bits"},
    [BLOCK] = {.key = "block",
               .value = "1024",
               .min = BLOCK_LEAST,
               .max = BLOCK_MOST,
               .integer = 1,
               .help = "elements of a block, a power of two; each is rotated and has its scale"},
    {.key = NULL},
};

static size_t block(const weft_codec *c)
{
    return (size_t)c->spec.number[BLOCK];
}

static int check(const weft_codec *c)
{
    if ((block(c) & (block(c) - 1)) == 0)
        return WEFT_OK;
    return weft_fail(WEFT_EINVAL, "codec hadamard: block: %zu is not a power of two", block(c));
}

static int open_inner(weft_codec *c)
{
    static const unsigned levels[] = {1, 7, 127}; /* of the choices above */
    char spec[WEFT_SPEC_TEXT];
    snprintf(spec, sizeof(spec), "qsgd:levels=%u,bucket=%zu,norm=max",
             levels[c->spec.choice[INNER]], block(c));
    return weft_codec_make(&c->inner, spec, WEFT_F32, WEFT_SUM, NULL);
}

static void close_inner(weft_codec *c)
{
    weft_codec_close(&c->inner);
}

/* m of the smallest 2^m >= count. */
static unsigned order_of(size_t count)
{
    unsigned m = 0;
    while ((size_t)1 << m < count)
        m++;
    return m;
}

/* Elements that rotate into so many: whole blocks, and a last one up to a power of two. */
static size_t padded(const weft_codec *c, size_t count)
{
    const size_t tail = count % block(c);
    return count - tail + (tail ? (size_t)1 << order_of(tail) : 0);
}

/* The rotated elements of a span, a lane of their own: a span begins and ends on block edges. */
static weft_stretch rotated(const weft_codec *c, const weft_stretch *s)
{
    assert(s->count == 0 || s->off % block(c) == 0);
    assert(s->count % block(c) == 0 || s->off + s->count == s->lane_count);
    const size_t n = padded(c, s->count);
    return (weft_stretch){.lane_count = n, .count = n, .first = s->first + s->off};
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    const weft_stretch inner = rotated(c, s);
    return KEY_BYTES + c->inner->type->bound(c->inner, &inner);
}

static double omega(const weft_codec *c, size_t count)
{
    return c->inner->type->omega(c->inner, padded(c, count));
}

static uint64_t key_of(const weft_draw *draw)
{
    const uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)};
    const uint32_t counter[4] = {0, (uint32_t)draw->draw,
                                 (uint32_t)(draw->draw >> 32) + (draw->tensor << 16),
                                 UINT32_MAX - 1};
    uint32_t word[4];
    weft_philox(counter, key, word);
    return word[0] | (uint64_t)word[1] << 32;
}

static void draw_signs(const weft_codec *c, uint64_t key, uint8_t signs[BLOCK_MOST / 8])
{
    const weft_draw draw = {.seed = key, .member = UINT32_MAX - 1};
    weft_draw_bits(&draw, 0, block(c), signs);
}

static float limit(const weft_codec *c)
{
    const int m = (int)order_of(block(c));
    return ldexpf(1.0f, 126 - m - m / 2);
}

/* The rotated elements of the span's blocks into y. */
static void rotate(const weft_codec *c, const float *v, size_t count, const uint8_t *signs,
                   float *y)
{
    for (size_t at = 0; at < count; at += block(c)) {
        const size_t n = count - at < block(c) ? count - at : block(c);
        const unsigned m = order_of(n);
        float *to = y + at;
        weft_kernel_flip(v + at, signs, n, 1.0f, to);
        memset(to + n, 0, (((size_t)1 << m) - n) * sizeof(*to));
        weft_kernel_hadamard(to, m);
        const float factor = ldexpf(1.0f, -(int)((m + 1) / 2));
        for (size_t j = 0; j >> m == 0; j++)
            to[j] *= factor;
    }
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = (const float *)lane + s->off;
    const weft_stretch inner = rotated(c, s);
    const uint64_t key = key_of(draw);
    uint8_t signs[BLOCK_MOST / 8], *bytes = out;
    size_t len = 0;
    if (!(weft_kernel_maxabs(v, s->count) < limit(c)))
        return weft_codec_nonfinite(c->type->name, v, s->count, draw->first + s->off, limit(c));
    float *y = weft_calloc(inner.count, sizeof(*y));
    if (!y)
        return weft_fail(WEFT_ENOMEM, "codec hadamard: out of memory");
    draw_signs(c, key, signs);
    rotate(c, v, s->count, signs, y);
    memcpy(bytes, &key, sizeof(key));
    weft_draw own = *draw;
    own.first += s->off;
    const int code =
        c->inner->type->encode(c->inner, &own, y, &inner, bytes + KEY_BYTES, cap - KEY_BYTES, &len);
    weft_free(y);
    if (code == WEFT_OK)
        *ret_len = KEY_BYTES + len;
    return code;
}

/* Rotate q back, block by block, into the elements or onto them. */
static void restore(const weft_codec *c, float *q, size_t count, const uint8_t *signs, float *out,
                    bool add)
{
    for (size_t at = 0; at < count; at += block(c)) {
        const size_t n = count - at < block(c) ? count - at : block(c);
        const unsigned m = order_of(n);
        weft_kernel_hadamard(q + at, m);
        weft_kernel_flip(q + at, signs, n, ldexpf(1.0f, -(int)(m / 2)), q + at);
        if (add)
            weft_kernel_add(out + at, out + at, q + at, n);
        else
            memcpy(out + at, q + at, n * sizeof(*q));
    }
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    const weft_stretch inner = rotated(c, s);
    const uint8_t *bytes = in;
    uint8_t signs[BLOCK_MOST / 8];
    uint64_t key = 0;
    if (len < KEY_BYTES)
        return weft_codec_refuse(c, len, "no key of signs");
    float *q = weft_calloc(inner.count, sizeof(*q));
    if (!q)
        return weft_fail(WEFT_ENOMEM, "codec hadamard: out of memory");
    int code =
        c->inner->type->decode(c->inner, &inner, bytes + KEY_BYTES, len - KEY_BYTES, q, false);
    if (code != WEFT_OK)
        code = weft_fail_context("codec hadamard, behind %d bytes", KEY_BYTES);
    else if (!(weft_kernel_maxabs(q, inner.count) <= ldexpf(1.0f, 127 - (int)order_of(block(c)))))
        code = weft_codec_refuse(c, KEY_BYTES, "a scale is too large to rotate back");
    if (code == WEFT_OK) {
        memcpy(&key, bytes, sizeof(key));
        draw_signs(c, key, signs);
        restore(c, q, s->count, signs, out, add);
    }
    weft_free(q);
    return code;
}

extern const weft_codec_type weft_codec_hadamard;
const weft_codec_type weft_codec_hadamard = {
    .name = "hadamard",
    .summary = "random signs and a Hadamard rotation of blocks, then qsgd; unbiased",
    .source = "Suresh et al. 2017; Vargaftik et al. 2021 (DRIVE); Li et al. 2024 (THC)",
    .traits = WEFT_CODEC_UNBIASED | WEFT_CODEC_BLOCKS,
    .params = params,
    .check = check,
    .open = open_inner,
    .close = close_inner,
    .block = block,
    .bound = bound,
    .omega = omega,
    .encode = encode,
    .decode = decode,
};
