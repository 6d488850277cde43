/* SPDX-License-Identifier: Apache-2.0 */
/* Elements to levels and back, block by block. */
#include "codec/quant.h"

#include <assert.h>
#include <math.h>

#include "kernel/kernel.h"

enum {
    BATCH = WEFT_LEVELS_BATCH,
    AHEAD = 2048,  /* elements that are fetched before the block they are in */
    FUSED = 256,   /* elements of a block from which drawing and rounding in one is faster */
    HALF = 0x8000, /* of a step, in place of random bits: rounds to the nearest level */
};

/* Have the cache begin to read what is used soon. */
static void fetch(const weft_any_float *v, size_t count)
{
    for (size_t i = 0; i < count; i += 64 / sizeof(*v))
        __builtin_prefetch((const void *)(v + i));
}

static weft_rounding rounding_for(const weft_quant *q, float norm, float most)
{
    const float s = (float)q->levels, top = s * 65536.0f;
    weft_rounding r = {.ratio = norm > 0 ? s / norm : 0.0f, .limit = top, .top = q->levels};
    const float clipped = most * r.ratio * 65536.0f;
    if (clipped < top)
        r.limit = clipped;
    return r;
}

static int enter(weft_quantizer *z, size_t block)
{
    float norm = 0, most = 0;
    if (block == z->entered)
        return 0;
    const int code = z->scale(z, block, &norm, &most);
    if (code != 0)
        return code;
    z->rounding = rounding_for(z->q, norm, most);
    z->entered = block;
    return 0;
}

int weft_quantize(weft_quantizer *z, size_t done, size_t count, bool wide, weft_numbers *ret)
{
    const size_t at = z->s->off + done, size = z->b.size;
    const bool fused = !wide && !z->q->nearest && size >= FUSED;
    const size_t left = z->s->lane_count - at - count;
    uint16_t random[BATCH];
    assert(count <= BATCH);
    fetch(z->lane + at + count, left < count ? left : count); /* the next batch */
    if (z->q->nearest)
        for (size_t i = 0; i < count; i++)
            random[i] = HALF;
    else if (!fused)
        weft_kernel_draw_u16(z->draw, z->draw->first + at, count, random);
    for (size_t i = 0; i < count;) {
        const size_t block = (at + i) / size, end = (block + 1) * size - at;
        const size_t n = (end < count ? end : count) - i;
        const float *v = (const float *)(z->lane + at + i); /* kernels take any address */
        const int code = enter(z, block);
        if (code != 0)
            return code;
        if (fused)
            weft_kernel_drawn8(v, n, &z->rounding, z->draw, z->draw->first + at + i, ret->byte + i);
        else if (wide)
            weft_kernel_levels16(v, n, &z->rounding, random + i, ret->word + i);
        else
            weft_kernel_levels8(v, n, &z->rounding, random + i, ret->byte + i);
        i += n;
    }
    return 0;
}

int weft_quant_pack(weft_quantizer *z, const weft_levels *l, uint8_t *out)
{
    size_t room = weft_levels_bytes(l, z->s->count);
    for (size_t done = 0; done < z->s->count;) {
        weft_numbers number;
        const size_t n = z->s->count - done < BATCH ? z->s->count - done : BATCH;
        const size_t used = weft_levels_bytes(l, n);
        const int code = weft_quantize(z, done, n, l->wide, &number);
        if (code != 0)
            return code;
        weft_levels_pack(l, &number, n, out, room);
        out += used;
        room -= used;
        done += n;
    }
    return 0;
}

static unsigned number_at(const void *in, bool wide, size_t i)
{
    return wide ? ((const uint16_t *)in)[i] : ((const uint8_t *)in)[i];
}

/* Is one of the numbers not `top`? */
static bool has_other(const void *in, bool wide, size_t from, size_t to, unsigned top)
{
    const uint8_t *byte = in;
    const uint16_t *word = in;
    unsigned other = 0;
    if (wide)
        for (size_t i = from; i < to; i++)
            other |= word[i] ^ top;
    else
        for (size_t i = from; i < to; i++)
            other |= byte[i] ^ top;
    return other != 0;
}

static const char not_zero[] = "a level is not 0 in a block of zeros";

size_t weft_quant_wrong(const weft_dequantizer *z, size_t done, size_t count, bool wide,
                        const void *in, const char **ret_reason)
{
    const size_t at = z->s->off + done, size = z->b.size;
    const unsigned most = wide ? weft_kernel_most16(in, count) : weft_kernel_most8(in, count);
    size_t wrong = count;
    if (most > 2 * z->top) {
        for (wrong = 0; number_at(in, wide, wrong) <= 2 * z->top;)
            wrong++;
        *ret_reason = "a level is above levels=";
    }
    for (size_t i = 0; z->any_zero && i < wrong;) {
        const size_t block = (at + i) / size, end = (block + 1) * size - at;
        const size_t to = end < wrong ? end : wrong;
        if (!(z->scale(z, block) > 0) && has_other(in, wide, i, to, z->top)) {
            for (wrong = i; number_at(in, wide, wrong) == z->top;)
                wrong++;
            *ret_reason = not_zero;
        }
        i = to;
    }
    return wrong;
}

/* Packed numbers that need no unpacking. */
static bool is_plain(const weft_levels *l)
{
    return l->form == WEFT_FORM_FIXED && l->width == 8;
}

const char *weft_quant_check_packed(const weft_dequantizer *z, const weft_levels *l,
                                    const uint8_t *packed, size_t *ret_off)
{
    const size_t count = z->s->count;
    const char *reason = weft_levels_check(l, packed, count, ret_off);
    if (reason || (!z->any_zero && l->form == WEFT_FORM_TERNARY))
        return reason; /* every ternary number that has passed is a level */
    if (!z->any_zero && l->width == 4 &&
        weft_kernel_most4(packed, weft_levels_bytes(l, count)) <= 2 * z->top)
        return NULL; /* else it is looked for below */
    if (is_plain(l)) {
        const size_t wrong = weft_quant_wrong(z, 0, count, false, packed, &reason);
        *ret_off = wrong;
        return wrong < count ? reason : NULL;
    }
    size_t room = weft_levels_bytes(l, count);
    const uint8_t *next = packed;
    for (size_t done = 0; done < count;) {
        weft_numbers number;
        const size_t n = count - done < BATCH ? count - done : BATCH;
        const size_t used = weft_levels_bytes(l, n);
        weft_levels_unpack(l, next, room, n, &number);
        const size_t wrong = weft_quant_wrong(z, done, n, l->wide, &number, &reason);
        if (wrong < n) {
            *ret_off = weft_levels_bytes(l, done + wrong + 1) - 1;
            return reason;
        }
        next += used;
        room -= used;
        done += n;
    }
    return NULL;
}

void weft_dequantize(const weft_dequantizer *z, size_t done, size_t count, bool wide,
                     const void *in, weft_any_float *out, bool add)
{
    const size_t at = z->s->off + done, size = z->b.size;
    const int32_t top = (int32_t)z->top;
    for (size_t i = 0; i < count;) {
        const size_t block = (at + i) / size, end = (block + 1) * size - at;
        const size_t n = (end < count ? end : count) - i;
        const float step = z->scale(z, block) / (float)z->q->levels;
        const size_t behind = count - i - n;
        float *to = (float *)(out + done + i);
        if (add)
            fetch(out + done + i + n, behind < AHEAD ? behind : AHEAD);
        if (wide)
            (add ? weft_kernel_add16 : weft_kernel_values16)((const uint16_t *)in + i, n, top, step,
                                                             to);
        else
            (add ? weft_kernel_add8 : weft_kernel_values8)((const uint8_t *)in + i, n, top, step,
                                                           to);
        i += n;
    }
}

void weft_dequantize_packed(const weft_dequantizer *z, const weft_levels *l, const uint8_t *packed,
                            weft_any_float *out, bool add)
{
    const size_t count = z->s->count;
    size_t room = weft_levels_bytes(l, count);
    if (is_plain(l)) {
        weft_dequantize(z, 0, count, false, packed, out, add);
        return;
    }
    for (size_t done = 0; done < count;) {
        weft_numbers number;
        const size_t n = count - done < BATCH ? count - done : BATCH;
        const size_t used = weft_levels_bytes(l, n);
        if (add)
            fetch(out + done, n); /* while the numbers are unpacked */
        weft_levels_unpack(l, packed, room, n, &number);
        weft_dequantize(z, done, n, l->wide, &number, out, add);
        packed += used;
        room -= used;
        done += n;
    }
}
