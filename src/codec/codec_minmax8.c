/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minmax8: 8 bits an element, evenly between the smallest and the largest of the block, to the
 * nearest. What quantized model averaging commonly does (hivemind, PCCL).
 *
 * step = fl32(fl32(max - min) / 255); level = rint(fl32(fl32(v - min) * fl32(255 / fl32(max -
 * min)))), at most 255; decoded = fl32(min + fl32(level * step)). Biased (it draws nothing): off by
 * half a step and rounding. A block whose max - min is so small that 255 / (max - min) or the step
 * is not a normal number goes as min alone. Refused: NaN, infinity, a range that overflows
 * binary32.
 *
 * Wire, little endian:
 *   8 bytes   of each block that the span touches: binary32 min and max of the whole block; -0
 *             stands as +0
 *   1 byte    level of each element
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "codec/buckets.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

enum { BUCKET };

static const float top = 255.0f;

static const weft_param params[] = {
    [BUCKET] = {.key = "bucket",
                .value = "512",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has its range; 0: the whole vector"},
    {.key = NULL},
};

typedef struct range {
    float min, max;
} range;

static size_t block(const weft_codec *c)
{
    return (size_t)c->spec.number[BUCKET];
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    return weft_buckets_of(block(c), s).count * sizeof(range) + s->count;
}

/* May encoder and decoder, on any machine, compute with this range? */
static bool is_usable(range r)
{
    const float width = r.max - r.min;
    return width / top >= FLT_MIN && isfinite(top / width) && isfinite(r.min + top * (width / top));
}

static int measure(const weft_codec *c, const float *v, size_t count, uint64_t first, range *ret)
{
    if (!weft_kernel_finite(v, count))
        return weft_codec_nonfinite(c->type->name, v, count, first, INFINITY);
    range r = {0, 0};
    weft_kernel_extremes(v, count, &r.min, &r.max);
    const float width = r.max - r.min;
    if (!isfinite(width) || !isfinite(r.min + top * (width / top)))
        return weft_fail(WEFT_ENONFINITE,
                         "codec %s: the range of the block of elements %" PRIu64 " to %" PRIu64
                         " overflows float32",
                         c->type->name, first, first + count - 1);
    if (!is_usable(r))
        r.max = r.min;
    *ret = r;
    return WEFT_OK;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = lane;
    const weft_buckets b = weft_buckets_of(block(c), s);
    uint8_t *head = out, *levels = head + b.count * sizeof(range);
    assert(cap >= bound(c, s));
    (void)cap;
    for (size_t i = 0; i < b.count; i++) {
        const size_t begin = weft_bucket_begin(&b, i);
        float known[2];
        range r = {0, 0};
        size_t from = 0;
        if (weft_block_known(s, v + begin, known)) {
            r = (range){.min = known[0], .max = known[1]};
        } else {
            const int code =
                measure(c, v + begin, weft_bucket_count(&b, s, i), draw->first + begin, &r);
            if (code != WEFT_OK)
                return code;
            weft_block_keep(s, v + begin, r.min, r.max);
        }
        memcpy(head + i * sizeof(r), &r, sizeof(r));
        const size_t n = weft_bucket_part(&b, s, i, &from);
        const float ratio = r.max > r.min ? top / (r.max - r.min) : 0.0f;
        weft_kernel_to_bytes(v + s->off + from, n, r.min, ratio, levels + from);
    }
    *ret_len = bound(c, s);
    return WEFT_OK;
}

static range load_range(const uint8_t *head, size_t i)
{
    range r;
    memcpy(&r, head + i * sizeof(r), sizeof(r));
    return r;
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

static int check(const weft_codec *c, const weft_stretch *s, const weft_buckets *b,
                 const uint8_t *in, size_t len)
{
    const size_t head = b->count * sizeof(range);
    if (len != bound(c, s))
        return weft_codec_refuse_length(c, len, s->count, bound(c, s));
    for (size_t i = 0; i < b->count; i++) {
        const range r = load_range(in, i);
        size_t from = 0, n = weft_bucket_part(b, s, i, &from);
        if (!isfinite(r.min) || !isfinite(r.max))
            return weft_codec_refuse(c, i * sizeof(r), "a range is not finite");
        if ((!(r.min < 0) && signbit(r.min)) || (!(r.max < 0) && signbit(r.max)))
            return weft_codec_refuse(c, i * sizeof(r), "a range ends at -0");
        if (r.max < r.min)
            return weft_codec_refuse(c, i * sizeof(r), "a maximum is below its minimum");
        if (r.max > r.min && !is_usable(r))
            return weft_codec_refuse(c, i * sizeof(r), "a range is too large or too small");
        if (!(r.max > r.min) && !all_zero(in + head + from, n))
            return weft_codec_refuse(c, head + from, "levels in a block of one value");
    }
    return WEFT_OK;
}

static void expand(const uint8_t *levels, size_t count, range r, float *out, bool add)
{
    const float step = (r.max - r.min) / top;
    float batch[WEFT_DECODE_BATCH];
    if (!add)
        weft_kernel_from_bytes(levels, count, r.min, step, out);
    for (size_t i = 0; add && i < count; i += WEFT_DECODE_BATCH) {
        const size_t n = count - i < WEFT_DECODE_BATCH ? count - i : WEFT_DECODE_BATCH;
        weft_kernel_from_bytes(levels + i, n, r.min, step, batch);
        weft_kernel_add(out + i, out + i, batch, n);
    }
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    const weft_buckets b = weft_buckets_of(block(c), s);
    const uint8_t *head = in, *levels = head + b.count * sizeof(range);
    const int code = check(c, s, &b, in, len);
    for (size_t i = 0; code == WEFT_OK && i < b.count; i++) {
        size_t from = 0, n = weft_bucket_part(&b, s, i, &from);
        expand(levels + from, n, load_range(head, i), (float *)out + from, add);
    }
    return code;
}

extern const weft_codec_type weft_codec_minmax8;
const weft_codec_type weft_codec_minmax8 = {
    .name = "minmax8",
    .summary = "8 bits, evenly between the smallest and the largest of a block, nearest; biased",
    .source = "Ryabinin et al. 2020 (hivemind); PCCL",
    .traits = 0,
    .params = params,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
};
