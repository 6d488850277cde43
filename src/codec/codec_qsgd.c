/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qsgd: stochastic quantization to the levels -s … s of each block's norm N.
 *
 * level = sign(v) * (|v| s/N rounded up or down at random, up with the probability of the
 * fraction); decoded = level * (N/s). Unbiased but for 2^-17 of a step.
 * s = 1: block p-quantization (Mishchenko et al. 2019); with norm=max TernGrad without its clipping
 * (Wen et al. 2017); norm=2 is QSGD as published (Alistarh et al. 2017, lemma 3.1).
 *
 * Wire, little endian:
 *   byte 0    form of the levels: 1 fixed width, 2 ternary. s = 1 is ternary, all others fixed
 *   4 bytes   binary32 N of each block that the span touches: the norm of the whole block, +0 when
 *             N/s would be subnormal (the block decodes to zeros)
 *   levels    level + s of each element, packed (levels.h): ceil(log2(2s+1)) bits, or 5 in a byte;
 *             nothing between blocks, zero bits up to a whole byte at the end
 *
 * omega, with B = min(bucket, count) elements of a block:
 *   norm=max  (sqrt(1 + (B-1)/s^2) - 1) / 2
 *   norm=2    s = 1: sqrt(B) - 1;  s > 1: min(B/s^2, sqrt(B)/s)
 *   norm=1    s = 1: B - 1;        s > 1: min(B/s, B^2/(4 s^2))
 */
#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/levels.h"
#include "kernel/kernel.h"

enum { NORM_MAX, NORM_2, NORM_1 }; /* order of the choices below */
enum { LEVELS, BUCKET, NORM };     /* order of the parameters */
enum { FORM_BYTES = 1, SCALE_BYTES = 4, BATCH = WEFT_LEVELS_BATCH };

/* Floats at any address: spans of messages and of callers' buffers. */
typedef float any_float __attribute__((aligned(1), may_alias));

static const weft_param params[] = {
    [LEVELS] = {.key = "levels",
                .value = "7",
                .min = 1,
                .max = 32767,
                .integer = 1,
                .help = "s: values are rounded to -s ... s parts of the block's norm"},
    [BUCKET] = {.key = "bucket",
                .value = "512",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has its own norm; 0: the whole vector"},
    [NORM] = {.key = "norm",
              .value = "max",
              .choices = "max|2|1",
              .help = "norm of a block: largest magnitude, Euclidean, sum of magnitudes"},
    {.key = NULL},
};

/* The blocks that a stretch touches. */
typedef struct blocks {
    size_t size;  /* elements of a block; the whole lane for bucket=0 */
    size_t first; /* first block touched */
    size_t count;
} blocks;

static unsigned levels_of(const weft_codec *c)
{
    return (unsigned)c->spec.number[LEVELS];
}

static size_t block(const weft_codec *c)
{
    return (size_t)c->spec.number[BUCKET];
}

static blocks blocks_of(const weft_codec *c, const weft_stretch *s)
{
    assert(s->off <= s->lane_count && s->count <= s->lane_count - s->off);
    blocks b = {.size = block(c)};
    if (b.size == 0)
        b.size = s->lane_count ? s->lane_count : 1;
    b.first = s->off / b.size;
    b.count = s->count ? (s->off + s->count - 1) / b.size - b.first + 1 : 0;
    return b;
}

/* Where the block that holds lane element `at` ends. */
static size_t block_end(const blocks *b, size_t at)
{
    return (at / b->size + 1) * b->size;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    weft_levels l = weft_levels_for(2 * levels_of(c));
    return FORM_BYTES + blocks_of(c, s).count * SCALE_BYTES + weft_levels_bytes(&l, s->count);
}

static double omega(const weft_codec *c, size_t count)
{
    double s = levels_of(c), b = c->spec.number[BUCKET], n = (double)count;
    if (count == 0)
        return 0.0;
    if (b < 1.0 || b > n)
        b = n;
    switch (c->spec.choice[NORM]) {
    case NORM_MAX:
        return (sqrt(1.0 + (b - 1.0) / (s * s)) - 1.0) / 2.0;
    case NORM_2:
        return s < 2.0 ? sqrt(b) - 1.0 : fmin(b / (s * s), sqrt(b) / s);
    default:
        return s < 2.0 ? b - 1.0 : fmin(b / s, b * b / (4.0 * s * s));
    }
}

/* Can this positive scale be used by encoder and decoder on any machine? Not where a step would be
 * subnormal (flushed to zero by some) nor where s steps overflow. */
static bool step_is_normal(float step)
{
    return step >= FLT_MIN;
}

static bool top_is_finite(float step, unsigned s)
{
    return isfinite((float)s * step);
}

/* The scale of one whole block, as sent. */
static int measure(const weft_codec *c, const any_float *v, size_t count, uint64_t index,
                   float *ret)
{
    const float *p = (const float *)v; /* kernels take any address */
    unsigned s = levels_of(c);
    float norm = weft_kernel_maxabs(p, count);
    if (!isfinite(norm)) {
        size_t i = 0;
        while (isfinite(v[i]))
            i++;
        return weft_fail(WEFT_ENONFINITE, "codec qsgd: element %" PRIu64 " is %s", index + i,
                         isnan(v[i]) ? "NaN" : "infinite");
    }
    if (c->spec.choice[NORM] == NORM_1)
        norm = (float)weft_kernel_sumabs(p, count);
    else if (c->spec.choice[NORM] == NORM_2)
        norm = (float)sqrt(weft_kernel_sumsq(p, count));
    float step = norm / (float)s;
    if (!isfinite(norm) || !top_is_finite(step, s))
        return weft_fail(WEFT_ENONFINITE,
                         "codec qsgd: the norm of the block of elements %" PRIu64 " to %" PRIu64
                         " overflows float32",
                         index, index + count - 1);
    *ret = step_is_normal(step) && isfinite((float)s / norm) ? norm : 0.0f;
    return WEFT_OK;
}

static float load_scale(const uint8_t *scales, size_t i)
{
    float v;
    memcpy(&v, scales + i * SCALE_BYTES, sizeof(v));
    return v;
}

static int put_scales(const weft_codec *c, const weft_draw *draw, const any_float *lane,
                      const weft_stretch *s, const blocks *b, uint8_t *scales)
{
    for (size_t i = 0; i < b->count; i++) {
        size_t from = (b->first + i) * b->size;
        size_t n = s->lane_count - from < b->size ? s->lane_count - from : b->size;
        float norm = 0;
        int code = measure(c, lane + from, n, draw->first + from, &norm);
        if (code != WEFT_OK)
            return code;
        memcpy(scales + i * SCALE_BYTES, &norm, sizeof(norm));
    }
    return WEFT_OK;
}

/* level + s of n <= BATCH elements of one block. */
static void quantize(const any_float *v, size_t n, float norm, unsigned s, const uint16_t *random,
                     uint16_t *out)
{
    uint32_t fixed[BATCH]; /* |v| s/N with 16 fraction bits */
    const int32_t top = (int32_t)s;
    float ratio = norm > 0 ? (float)s / norm : 0.0f;
    for (size_t i = 0; i < n; i++) {
        /* Rounds to the nearest even whole number: the sum's last bit is worth 1. */
        double sum = (double)(fabsf(v[i]) * ratio * 65536.0f) + 0x1p52;
        uint64_t bits;
        memcpy(&bits, &sum, sizeof(bits));
        fixed[i] = (uint32_t)bits;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t level = (int32_t)((fixed[i] + random[i]) >> 16);
        level = level < top ? level : top;
        level = v[i] < 0 ? -level : level;
        out[i] = (uint16_t)(level + top);
    }
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const any_float *v = lane;
    const unsigned top = levels_of(c);
    const blocks b = blocks_of(c, s);
    const weft_levels l = weft_levels_for(2 * top);
    uint8_t *bytes = out, *scales = bytes + FORM_BYTES, *packed = scales + b.count * SCALE_BYTES;
    size_t room = weft_levels_bytes(&l, s->count), len = (size_t)(packed - bytes) + room;
    assert(cap >= len);
    (void)cap;
    int code = put_scales(c, draw, v, s, &b, scales);
    if (code != WEFT_OK)
        return code;
    bytes[0] = (uint8_t)l.form;
    for (size_t done = 0; done < s->count;) {
        uint16_t random[BATCH], level[BATCH];
        size_t n = s->count - done < BATCH ? s->count - done : BATCH;
        size_t at = s->off + done;
        weft_draw_u16(draw, draw->first + at, n, random);
        for (size_t i = 0; i < n;) {
            size_t end = block_end(&b, at + i) - at, stop = end < n ? end : n;
            float norm = load_scale(scales, (at + i) / b.size - b.first);
            quantize(v + at + i, stop - i, norm, top, random + i, level + i);
            i = stop;
        }
        weft_levels_pack(&l, level, n, packed, room);
        size_t used = weft_levels_bytes(&l, n);
        packed += used;
        room -= used;
        done += n;
    }
    *ret_len = len;
    return WEFT_OK;
}

static int refuse(size_t off, const char *reason)
{
    return weft_fail(WEFT_ECODEC, "codec qsgd: offset %zu: %s", off, reason);
}

/* Check the scales; *ret_zero is true when a block is all zeros. */
static int check_scales(const uint8_t *scales, size_t count, unsigned s, bool *ret_zero)
{
    bool zero = false;
    for (size_t i = 0; i < count; i++) {
        float norm = load_scale(scales, i), step = norm / (float)s;
        size_t off = FORM_BYTES + i * SCALE_BYTES;
        if (!isfinite(norm))
            return refuse(off, "a scale is not finite");
        if (signbit(norm))
            return refuse(off, "a scale is negative");
        if (norm > 0 && !step_is_normal(step))
            return refuse(off, "a scale is too small");
        if (!top_is_finite(step, s))
            return refuse(off, "a scale is too large");
        zero |= !(norm > 0);
    }
    *ret_zero = zero;
    return WEFT_OK;
}

/* Byte of the message that holds number i of the levels. */
static size_t offset_of(const weft_levels *l, size_t levels_at, size_t i)
{
    return levels_at + weft_levels_bytes(l, i + 1) - 1;
}

static int check_levels(const blocks *b, const weft_stretch *s, const weft_levels *l, unsigned top,
                        const uint8_t *scales, bool any_zero)
{
    size_t head = FORM_BYTES + b->count * SCALE_BYTES, off = 0;
    const uint8_t *packed = scales + b->count * SCALE_BYTES;
    const char *reason = weft_levels_check(l, packed, s->count, &off);
    if (reason)
        return refuse(head + off, reason);
    if (!any_zero && l->form == WEFT_FORM_TERNARY)
        return WEFT_OK; /* every number that has passed is a level */
    size_t room = weft_levels_bytes(l, s->count);
    for (size_t done = 0; done < s->count;) {
        uint16_t level[BATCH];
        unsigned most = 0;
        size_t n = s->count - done < BATCH ? s->count - done : BATCH;
        weft_levels_unpack(l, packed, room, n, level);
        for (size_t i = 0; i < n; i++)
            most = level[i] > most ? level[i] : most;
        for (size_t i = 0; i < n && (most > 2 * top || any_zero); i++) {
            if (level[i] > 2 * top)
                return refuse(offset_of(l, head, done + i), "a level is above levels=");
            size_t k = (s->off + done + i) / b->size - b->first;
            if (any_zero && level[i] != top && !(load_scale(scales, k) > 0))
                return refuse(offset_of(l, head, done + i), "a level is not 0 in a block of zeros");
        }
        size_t used = weft_levels_bytes(l, n);
        packed += used;
        room -= used;
        done += n;
    }
    return WEFT_OK;
}

/* The values of n elements of one block. */
static void expand(const uint16_t *level, size_t n, unsigned s, float step, any_float *out,
                   bool add)
{
    const int32_t top = (int32_t)s;
    if (add)
        for (size_t i = 0; i < n; i++)
            out[i] = out[i] + (float)((int32_t)level[i] - top) * step;
    else
        for (size_t i = 0; i < n; i++)
            out[i] = (float)((int32_t)level[i] - top) * step;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    any_float *values = out;
    const unsigned top = levels_of(c);
    const blocks b = blocks_of(c, s);
    const weft_levels l = weft_levels_for(2 * top);
    const uint8_t *bytes = in;
    if (len != bound(c, s))
        return weft_fail(WEFT_ECODEC, "codec qsgd: offset %zu: %zu elements take %zu bytes", len,
                         s->count, bound(c, s));
    if (bytes[0] != l.form)
        return refuse(0, "the form byte is not that of levels=");
    const uint8_t *scales = bytes + FORM_BYTES, *packed = scales + b.count * SCALE_BYTES;
    bool any_zero = false;
    int code = check_scales(scales, b.count, top, &any_zero);
    if (code == WEFT_OK)
        code = check_levels(&b, s, &l, top, scales, any_zero);
    if (code != WEFT_OK)
        return code;
    size_t room = weft_levels_bytes(&l, s->count);
    for (size_t done = 0; done < s->count;) {
        uint16_t level[BATCH];
        size_t n = s->count - done < BATCH ? s->count - done : BATCH;
        size_t at = s->off + done;
        weft_levels_unpack(&l, packed, room, n, level);
        for (size_t i = 0; i < n;) {
            size_t end = block_end(&b, at + i) - at, stop = end < n ? end : n;
            float norm = load_scale(scales, (at + i) / b.size - b.first);
            expand(level + i, stop - i, top, norm / (float)top, values + done + i, add);
            i = stop;
        }
        size_t used = weft_levels_bytes(&l, n);
        packed += used;
        room -= used;
        done += n;
    }
    return WEFT_OK;
}

extern const weft_codec_type weft_codec_qsgd;
const weft_codec_type weft_codec_qsgd = {
    .name = "qsgd",
    .summary = "stochastic quantization to levels of each block's norm; unbiased",
    .source = "Alistarh et al. 2017; Wen et al. 2017 (TernGrad); Mishchenko et al. 2019 (DIANA)",
    .traits = WEFT_CODEC_UNBIASED,
    .params = params,
    .block = block,
    .bound = bound,
    .omega = omega,
    .encode = encode,
    .decode = decode,
};
