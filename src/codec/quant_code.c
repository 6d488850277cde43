/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the quantizing codecs: form, scales, levels, as codec_qsgd.c describes them. */
#include <float.h>
#include <math.h>

#include "base/status.h"
#include "codec/elias.h"
#include "codec/quant.h"
#include "kernel/kernel.h"

enum { FORM_BYTES = 1, BATCH = WEFT_LEVELS_BATCH };

static size_t head_of(const weft_quant *q, const weft_buckets *b)
{
    return FORM_BYTES + b->count * weft_quant_scale_bytes(q);
}

static bool takes_packed(const weft_quant *q)
{
    return q->code != WEFT_CODE_ELIAS;
}

/* The dense form's most: every level s. Sparse is only sent where it is shorter. */
static size_t elias_most(const weft_quant *q, size_t count)
{
    return (size_t)(((uint64_t)count * (weft_elias_bits(q->levels + 1) + 1) + 7) / 8);
}

size_t weft_quant_bound(const weft_quant *q, const weft_stretch *s)
{
    const weft_levels l = weft_levels_for(2 * q->levels);
    const weft_buckets b = weft_buckets_of(q->bucket, s);
    return head_of(q, &b) +
           (takes_packed(q) ? weft_levels_bytes(&l, s->count) : elias_most(q, s->count));
}

/* ---- encoding ---- */

/* Blocks are entered in order: each is measured just before its elements are rounded, while it is
 * in the cache, and its scale written where the message has it. */
static int measure_scale(weft_quantizer *z, size_t block, float *ret_norm, float *ret_most)
{
    const int code = weft_quantizer_measure(z, block, ret_norm, ret_most);
    if (code == WEFT_OK)
        weft_quant_put_scale(z->q, z->scales, block - z->b.first, *ret_norm);
    return code;
}

/* A second time over the same span, where nothing is clipped. */
static int known_scale(weft_quantizer *z, size_t block, float *ret_norm, float *ret_most)
{
    *ret_norm = weft_quant_scale(z->q, z->scales, block - z->b.first);
    *ret_most = FLT_MAX;
    return WEFT_OK;
}

static int count_elias(weft_quantizer *z, weft_elias_size *ret)
{
    weft_elias_size size = {0};
    for (size_t done = 0; done < z->s->count;) {
        weft_numbers number;
        const size_t n = z->s->count - done < BATCH ? z->s->count - done : BATCH;
        const int code = weft_quantize(z, done, n, true, &number);
        if (code != WEFT_OK)
            return code;
        weft_elias_count(&size, number.word, n, z->q->levels);
        done += n;
    }
    *ret = size;
    return WEFT_OK;
}

static int encode_elias(weft_quantizer *z, const weft_elias_size *size, int form, uint8_t *out)
{
    weft_elias_writer w;
    weft_elias_write_begin(&w, form == WEFT_FORM_SPARSE, size->nonzero, z->q->levels, out);
    for (size_t done = 0; done < z->s->count;) {
        weft_numbers number;
        const size_t n = z->s->count - done < BATCH ? z->s->count - done : BATCH;
        const int code = weft_quantize(z, done, n, true, &number);
        if (code != WEFT_OK)
            return code;
        weft_elias_write(&w, number.word, n);
        done += n;
    }
    weft_elias_write_end(&w);
    return WEFT_OK;
}

int weft_quant_encode(const weft_quant *q, const weft_draw *draw, const void *lane,
                      const weft_stretch *s, void *out, size_t *ret_len)
{
    const weft_levels l = weft_levels_for(2 * q->levels);
    uint8_t *bytes = out;
    weft_quantizer z = {.q = q,
                        .draw = draw,
                        .lane = lane,
                        .s = s,
                        .b = weft_buckets_of(q->bucket, s),
                        .scale = measure_scale,
                        .scales = bytes + FORM_BYTES,
                        .entered = SIZE_MAX};
    const size_t head = head_of(q, &z.b);
    uint64_t len = weft_levels_bytes(&l, s->count);
    int form = l.form, code = WEFT_OK;
    weft_elias_size size = {0};
    if (q->code != WEFT_CODE_PACKED) {
        code = count_elias(&z, &size);
        const uint64_t dense = weft_elias_dense_bytes(&size);
        const uint64_t sparse = weft_elias_sparse_bytes(&size);
        if (q->code == WEFT_CODE_ELIAS || dense < len) {
            form = WEFT_FORM_DENSE;
            len = dense;
        }
        if (sparse < len) {
            form = WEFT_FORM_SPARSE;
            len = sparse;
        }
        if (!(q->clip > 0))
            z.scale = known_scale;
        z.entered = SIZE_MAX;
    }
    bytes[0] = (uint8_t)form;
    if (code == WEFT_OK)
        code = form == l.form ? weft_quant_pack(&z, &l, bytes + head)
                              : encode_elias(&z, &size, form, bytes + head);
    if (code == WEFT_OK)
        *ret_len = head + (size_t)len;
    return code;
}

/* ---- decoding ---- */

static int refuse(const weft_quant *q, size_t off, const char *reason)
{
    return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %s", q->name, off, reason);
}

static int check_scales(const weft_quant *q, const uint8_t *scales, size_t count, bool *ret_zero)
{
    bool zero = false;
    for (size_t i = 0; i < count; i++) {
        const float norm = weft_quant_scale(q, scales, i);
        const size_t off = FORM_BYTES + i * weft_quant_scale_bytes(q);
        if (!isfinite(norm))
            return refuse(q, off, "a scale is not finite");
        if (signbit(norm))
            return refuse(q, off, "a scale is negative");
        if (norm > 0 && !(weft_quant_usable(q->levels, norm) > 0))
            return refuse(q, off, "a scale is too small");
        if (!weft_quant_is_finite(q->levels, norm, q->levels))
            return refuse(q, off, "a scale is too large");
        zero |= !(norm > 0);
    }
    *ret_zero = zero;
    return WEFT_OK;
}

static float scale_in_message(const weft_dequantizer *z, size_t block)
{
    return weft_quant_scale(z->q, z->of, block - z->b.first);
}

static int check_elias(const weft_dequantizer *z, weft_elias_reader *r, bool sparse,
                       const uint8_t *in, size_t len, size_t head)
{
    const char *reason = weft_elias_begin(r, sparse, in, len, z->s->count, z->top);
    for (size_t done = 0; !reason && done < z->s->count;) {
        weft_numbers number;
        const size_t n = z->s->count - done < BATCH ? z->s->count - done : BATCH;
        reason = weft_elias_read(r, number.word, n);
        if (!reason)
            weft_quant_wrong(z, done, n, true, &number, &reason);
        done += n;
    }
    if (!reason)
        reason = weft_elias_end(r);
    return reason ? refuse(z->q, head + weft_elias_byte(r), reason) : WEFT_OK;
}

static int decode_elias(const weft_dequantizer *z, bool sparse, const uint8_t *in, size_t len,
                        size_t head, weft_any_float *out, bool add)
{
    weft_elias_reader r;
    const int code = check_elias(z, &r, sparse, in, len, head);
    if (code != WEFT_OK)
        return code;
    weft_elias_rewind(&r);
    for (size_t done = 0; done < z->s->count;) {
        weft_numbers number;
        const size_t n = z->s->count - done < BATCH ? z->s->count - done : BATCH;
        weft_elias_read(&r, number.word, n);
        weft_dequantize(z, done, n, true, &number, out, add);
        done += n;
    }
    return WEFT_OK;
}

/* Form and length, as far as they show without the levels. */
static int check_head(const weft_quant *q, const weft_stretch *s, const weft_levels *l,
                      const uint8_t *bytes, size_t len, size_t head)
{
    const size_t packed = head + weft_levels_bytes(l, s->count);
    const bool is_packed = len > 0 && bytes[0] == l->form && takes_packed(q);
    if ((is_packed || q->code == WEFT_CODE_PACKED) && len != packed)
        return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %zu elements take %zu bytes", q->name,
                         len, s->count, packed);
    if (len < head || len > weft_quant_bound(q, s))
        return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %zu elements take %zu to %zu bytes",
                         q->name, len, s->count, head, weft_quant_bound(q, s));
    if (is_packed || (q->code != WEFT_CODE_PACKED &&
                      (bytes[0] == WEFT_FORM_DENSE || bytes[0] == WEFT_FORM_SPARSE)))
        return WEFT_OK;
    return refuse(q, 0,
                  q->code == WEFT_CODE_PACKED ? "the form byte is not that of levels="
                                              : "the form byte is none of code=");
}

int weft_quant_decode(const weft_quant *q, const weft_stretch *s, const void *in, size_t len,
                      void *out, bool add)
{
    const uint8_t *bytes = in;
    const weft_levels l = weft_levels_for(2 * q->levels);
    weft_dequantizer z = {.q = q,
                          .s = s,
                          .b = weft_buckets_of(q->bucket, s),
                          .scale = scale_in_message,
                          .top = q->levels};
    const size_t head = head_of(q, &z.b);
    int code = check_head(q, s, &l, bytes, len, head);
    if (code != WEFT_OK)
        return code;
    z.of = bytes + FORM_BYTES;
    code = check_scales(q, z.of, z.b.count, &z.any_zero);
    if (code != WEFT_OK)
        return code;
    if (bytes[0] != l.form)
        return decode_elias(&z, bytes[0] == WEFT_FORM_SPARSE, bytes + head, len - head, head, out,
                            add);
    size_t off = 0;
    const char *reason = weft_quant_check_packed(&z, &l, bytes + head, &off);
    if (reason)
        return refuse(q, head + off, reason);
    weft_dequantize_packed(&z, &l, bytes + head, out, add);
    return WEFT_OK;
}
