/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onebit: one bit an element and two means a block, 1-bit SGD (Seide, Fu, Droppo, Li and Yu 2014).
 *
 * decoded = the mean of the block's elements >= 0 where v >= 0 (+0 and -0 too), else the mean of
 * those below zero: the nearest that two values split by sign can come (least squares). Biased, for
 * error feedback.
 *
 * Wire, little endian:
 *   8 bytes   of each block that the span touches: binary32 mean of the whole block's elements
 *             >= 0, then of those < 0; +0 for none. Sums in binary64, element i of the block into
 *             partial sum i mod 16 of its sign, folded in order, divided by their number, rounded
 *             to binary32
 *   bits      1: v < 0; element i of the span in bit i mod 8 of byte i / 8, zero bits at the end
 */
#include <math.h>
#include <string.h>

#include "codec/buckets.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

enum { BUCKET };

static const weft_param params[] = {
    [BUCKET] = {.key = "bucket",
                .value = "512",
                .min = 0,
                .max = 1 << 30,
                .integer = 1,
                .help = "elements of a block, each block has two means; 0: the whole vector"},
    {.key = NULL},
};

typedef struct means {
    float plus, minus;
} means;

static size_t block(const weft_codec *c)
{
    return (size_t)c->spec.number[BUCKET];
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    return weft_buckets_of(block(c), s).count * sizeof(means) + weft_bits_bytes(s->count);
}

static float mean_of(double sum, size_t count)
{
    return count ? (float)(sum / (double)count) + 0.0f : 0.0f;
}

static means measure(const float *block, size_t count)
{
    const size_t below = weft_kernel_count_below(block, count);
    double sums[2];
    weft_kernel_split_sums(block, count, sums);
    return (means){.plus = mean_of(sums[0], count - below), .minus = mean_of(sums[1], below)};
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = lane;
    const weft_buckets b = weft_buckets_of(block(c), s);
    uint8_t *head = out, *bits = head + b.count * sizeof(means);
    size_t packed = 0;
    assert(cap >= bound(c, s));
    (void)cap;
    for (size_t i = 0; i < b.count; i++) {
        const size_t begin = weft_bucket_begin(&b, i), n = weft_bucket_count(&b, s, i);
        float known[2];
        means m = {0, 0};
        if (weft_block_known(s, v + begin, known)) {
            m = (means){.plus = known[0], .minus = known[1]};
        } else {
            if (!weft_kernel_finite(v + begin, n))
                return weft_codec_nonfinite(c->type->name, v + begin, n, draw->first + begin,
                                            INFINITY);
            m = measure(v + begin, n);
            weft_block_keep(s, v + begin, m.plus, m.minus);
        }
        memcpy(head + i * sizeof(m), &m, sizeof(m));
        weft_bucket_signs(&b, s, i, v + s->off, bits, &packed); /* while the block is at hand */
    }
    *ret_len = bound(c, s);
    return WEFT_OK;
}

static means load_means(const uint8_t *head, size_t i)
{
    means m;
    memcpy(&m, head + i * sizeof(m), sizeof(m));
    return m;
}

static int check(const weft_codec *c, const weft_stretch *s, const weft_buckets *b,
                 const uint8_t *in, size_t len)
{
    if (len != bound(c, s))
        return weft_codec_refuse_length(c, len, s->count, bound(c, s));
    for (size_t i = 0; i < b->count; i++) {
        const means m = load_means(in, i);
        const size_t off = i * sizeof(m);
        if (!isfinite(m.plus) || signbit(m.plus))
            return weft_codec_refuse(c, off, "a mean of elements >= 0 is negative or not finite");
        if (!isfinite(m.minus) || m.minus > 0 || (!(m.minus < 0) && signbit(m.minus)))
            return weft_codec_refuse(c, off + sizeof(m.plus),
                                     "a mean of elements < 0 is positive or not finite");
    }
    if (weft_bits_padded((const uint8_t *)in + b->count * sizeof(means), s->count))
        return weft_codec_refuse(c, len - 1, "non-zero padding");
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    float *values = out, batch[WEFT_DECODE_BATCH];
    const weft_buckets b = weft_buckets_of(block(c), s);
    const uint8_t *bits = (const uint8_t *)in + b.count * sizeof(means);
    const int code = check(c, s, &b, in, len);
    if (code != WEFT_OK)
        return code;
    for (size_t i = 0; i < b.count; i++) {
        const means m = load_means(in, i);
        size_t from = 0;
        const size_t count = weft_bucket_part(&b, s, i, &from);
        if (!add)
            weft_kernel_spread_signs(bits, from, count, m.plus, m.minus, values + from);
        for (size_t k = 0; add && k < count; k += WEFT_DECODE_BATCH) {
            const size_t n = count - k < WEFT_DECODE_BATCH ? count - k : WEFT_DECODE_BATCH;
            float *to = values + from + k;
            weft_kernel_spread_signs(bits, from + k, n, m.plus, m.minus, batch);
            weft_kernel_add(to, to, batch, n);
        }
    }
    return WEFT_OK;
}

extern const weft_codec_type weft_codec_onebit;
const weft_codec_type weft_codec_onebit = {
    .name = "onebit",
    .summary = "the sign of each element and two means a block; biased",
    .source = "Seide, Fu, Droppo, Li & Yu 2014 (1-bit SGD)",
    .traits = 0,
    .params = params,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
};
