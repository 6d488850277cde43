/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire, little endian:
 *   bytes 0, 1  t, the number of encodings that were added up, 1 … peers
 *   sums        of each element its sum, -s t … s t, plus s t, packed as levels are (levels.h): in
 *               ceil(log2(2 s t + 1)) bits, ternary for s t = 1
 * Decoded: sum * fl32(N/s), N the agreed scale of the block.
 */
#include "codec/codec_shared.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/quant.h"
#include "kernel/kernel.h"

enum {
    HEAD = 2,
    BATCH = WEFT_LEVELS_BATCH,
    SUM_MOST = 32767, /* s t: sums are held in words */
    PART = 1024       /* floats added to their residual at a time */
};

typedef struct shared {
    weft_quant q;
    unsigned peers;
    const float *agreed; /* borrowed */
    size_t scale_count;
    float scale[]; /* as they were at the last look; those that cannot be used are 0 */
} shared;

/* ---- scales ---- */

static int must_share(const weft_codec *base)
{
    if (!weft_quant_is(base) || weft_quant_of(base).norm != WEFT_NORM_MAX)
        return weft_fail(WEFT_ENOTSUP,
                         "codec %s: peers can share the scale of qsgd with norm=max and of tern",
                         base->text);
    return WEFT_OK;
}

static size_t block_count(const weft_quant *q, uint64_t count)
{
    if (count == 0)
        return 0;
    return q->bucket > 0 ? (size_t)((count - 1) / q->bucket + 1) : 1;
}

size_t weft_codec_measure_count(const weft_codec *base, uint64_t count)
{
    const weft_quant q = weft_quant_of(base);
    return block_count(&q, count);
}

/* The block's v + plus, wherever its largest magnitude is enough: in parts. */
static int measure_sum(const weft_quant *q, const float *v, const float *plus, size_t count,
                       uint64_t index, float *ret)
{
    float part[PART], norm = 0, most = 0, unused = 0;
    for (size_t done = 0; done < count;) {
        const size_t n = count - done < PART ? count - done : PART;
        weft_kernel_add(part, v + done, plus + done, n);
        const int code = weft_quant_measure(q, part, n, index + done, &norm, &unused);
        if (code != WEFT_OK)
            return code;
        most = norm > most ? norm : most;
        done += n;
    }
    *ret = most;
    return WEFT_OK;
}

/* With clipping, which looks at the block more than once. `room` holds it. */
static int measure_block(const weft_quant *q, const float *v, const float *plus, size_t count,
                         uint64_t index, float *room, float *ret)
{
    float unused = 0;
    if (plus && !room)
        return measure_sum(q, v, plus, count, index, ret);
    if (plus)
        weft_kernel_add(room, v, plus, count);
    return weft_quant_measure(q, plus ? room : v, count, index, ret, &unused);
}

int weft_codec_measure(const weft_codec *base, const float *v, const float *plus, uint64_t count,
                       float *ret_scales)
{
    int code = must_share(base);
    if (code != WEFT_OK)
        return code;
    const weft_quant q = weft_quant_of(base);
    const size_t block = q.bucket > 0 && q.bucket < count ? q.bucket : (size_t)count;
    float *room = NULL;
    if (plus && q.clip > 0 && count > 0) {
        room = weft_calloc(block, sizeof(*room));
        if (!room)
            return weft_fail(WEFT_ENOMEM, "codec %s: out of memory", base->text);
    }
    for (uint64_t from = 0, i = 0; from < count && code == WEFT_OK; from += block, i++) {
        const size_t n = count - from < block ? (size_t)(count - from) : block;
        code =
            measure_block(&q, v + from, plus ? plus + from : NULL, n, from, room, ret_scales + i);
    }
    weft_free(room);
    return code;
}

/* ---- sums ---- */

static const shared *shared_of(const weft_codec *c)
{
    return c->extra;
}

static weft_levels levels_for(const shared *x, unsigned addends)
{
    return weft_levels_for(2 * x->q.levels * addends);
}

/* Index in the tensor of the first element of the lane's blocks, in blocks. */
static size_t first_block(const shared *x, const weft_stretch *s)
{
    return x->q.bucket > 0 ? (size_t)(s->first / x->q.bucket) : 0;
}

static int must_be_known(const shared *x, const weft_stretch *s, const weft_buckets *b)
{
    if (x->q.bucket > 0 && s->first % x->q.bucket != 0)
        return weft_fail(WEFT_EINVAL,
                         "codec %s: a lane begins at element %" PRIu64
                         ", not on the edge of a block of %zu",
                         x->q.name, s->first, x->q.bucket);
    if (b->count > 0 && first_block(x, s) + b->first + b->count > x->scale_count)
        return weft_fail(WEFT_EINVAL, "codec %s: block %zu has no scale, there are %zu", x->q.name,
                         first_block(x, s) + b->first + b->count - 1, x->scale_count);
    return WEFT_OK;
}

/* What peers agree on may be too large for their sum. */
static int must_be_finite(const shared *x, const weft_stretch *s, const weft_buckets *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const size_t at = first_block(x, s) + b->first + i;
        if (!(x->scale[at] >= 0) ||
            !weft_quant_is_finite(x->q.levels, x->scale[at], x->q.levels * x->peers))
            return weft_fail(WEFT_ENONFINITE,
                             "codec %s: scale %.9g of block %zu: negative, not finite, or sums of "
                             "%u peers overflow float32",
                             x->q.name, (double)x->scale[at], at, x->peers);
    }
    return WEFT_OK;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    const shared *x = shared_of(c);
    const weft_levels l = levels_for(x, x->peers);
    return HEAD + weft_levels_bytes(&l, s->count);
}

static double omega(const weft_codec *c, size_t count)
{
    const shared *x = shared_of(c);
    const size_t block = x->q.bucket > 0 && x->q.bucket < count ? x->q.bucket : count;
    return count > 0 ? weft_quant_omega(&x->q, (double)block * x->peers) : 0.0;
}

static size_t block(const weft_codec *c)
{
    return shared_of(c)->q.bucket;
}

static bool biased(const weft_codec *c)
{
    const shared *x = shared_of(c);
    return x->q.nearest || x->q.clip > 0;
}

/* What is above the agreed scale would be clipped in silence: the caller's mistake. */
static int agreed_scale(weft_quantizer *z, size_t block, float *ret_norm, float *ret_most)
{
    const shared *x = z->of;
    const float agreed = x->scale[first_block(x, z->s) + block];
    float norm = 0, most = 0;
    const int code = weft_quantizer_measure(z, block, &norm, &most);
    if (code != WEFT_OK)
        return code;
    if (norm > agreed) {
        const uint64_t from = z->draw->first + block * z->b.size;
        const size_t n = weft_bucket_count(&z->b, z->s, block - z->b.first);
        return weft_fail(WEFT_EINVAL,
                         "codec %s: the block of elements %" PRIu64 " to %" PRIu64
                         " has scale %.9g, above the agreed %.9g",
                         z->q->name, from, from + n - 1, (double)norm, (double)agreed);
    }
    *ret_norm = agreed;
    *ret_most = most;
    return WEFT_OK;
}

static void put_addends(uint8_t *out, unsigned addends)
{
    out[0] = (uint8_t)addends;
    out[1] = (uint8_t)(addends >> 8);
}

static unsigned addends_of(const uint8_t *in)
{
    return in[0] | (unsigned)in[1] << 8;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const shared *x = shared_of(c);
    weft_quantizer z = {.q = &x->q,
                        .draw = draw,
                        .lane = lane,
                        .s = s,
                        .b = weft_buckets_of(x->q.bucket, s),
                        .scale = agreed_scale,
                        .of = x,
                        .entered = SIZE_MAX};
    const weft_levels l = levels_for(x, 1);
    uint8_t *bytes = out;
    (void)cap;
    int code = must_be_known(x, s, &z.b);
    if (code == WEFT_OK)
        code = must_be_finite(x, s, &z.b);
    if (code == WEFT_OK)
        code = weft_quant_pack(&z, &l, bytes + HEAD);
    if (code != WEFT_OK)
        return code;
    put_addends(bytes, 1);
    *ret_len = HEAD + weft_levels_bytes(&l, s->count);
    return WEFT_OK;
}

static float scale_of(const weft_dequantizer *z, size_t block)
{
    const shared *x = z->of;
    return x->scale[first_block(x, z->s) + block];
}

/* An encoding, looked through: how to unpack it. */
static int examine(const weft_codec *c, const weft_stretch *s, const uint8_t *in, size_t len,
                   weft_dequantizer *ret, weft_levels *ret_levels)
{
    const shared *x = shared_of(c);
    weft_dequantizer z = {
        .q = &x->q, .s = s, .b = weft_buckets_of(x->q.bucket, s), .scale = scale_of, .of = x};
    size_t off = 0;
    int code = must_be_known(x, s, &z.b);
    if (code == WEFT_OK)
        code = must_be_finite(x, s, &z.b);
    if (code != WEFT_OK)
        return code;
    if (len < HEAD)
        return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: cut short", c->type->name, len);
    const unsigned addends = addends_of(in);
    if (addends < 1 || addends > x->peers)
        return weft_fail(WEFT_ECODEC, "codec %s: offset 0: a sum of %u encodings, of %u peers",
                         c->type->name, addends, x->peers);
    const weft_levels l = levels_for(x, addends);
    if (len != HEAD + weft_levels_bytes(&l, s->count))
        return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %zu sums of %u take %zu bytes",
                         c->type->name, len, s->count, addends,
                         HEAD + weft_levels_bytes(&l, s->count));
    z.top = x->q.levels * addends;
    for (size_t i = 0; i < z.b.count; i++)
        z.any_zero |= !(scale_of(&z, z.b.first + i) > 0);
    const char *reason = weft_quant_check_packed(&z, &l, in + HEAD, &off);
    if (reason)
        return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %s", c->type->name, HEAD + off,
                         reason);
    *ret = z;
    *ret_levels = l;
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    weft_dequantizer z;
    weft_levels l;
    const int code = examine(c, s, in, len, &z, &l);
    if (code == WEFT_OK)
        weft_dequantize_packed(&z, &l, (const uint8_t *)in + HEAD, out, add);
    return code;
}

/* The next count numbers of an operand, in words where the sum has words. */
static void next_numbers(const weft_levels *l, bool wide, const uint8_t **in, size_t *room,
                         size_t count, weft_numbers *out)
{
    if (wide && !l->wide) {
        weft_numbers narrow;
        weft_levels_unpack(l, *in, *room, count, &narrow);
        for (size_t i = 0; i < count; i++)
            out->word[i] = narrow.byte[i];
    } else {
        weft_levels_unpack(l, *in, *room, count, out);
    }
    *in += weft_levels_bytes(l, count);
    *room -= weft_levels_bytes(l, count);
}

static void add_packed(const weft_levels *la, const uint8_t *a, const weft_levels *lb,
                       const uint8_t *b, const weft_levels *l, uint8_t *out, size_t count)
{
    size_t room_a = weft_levels_bytes(la, count), room_b = weft_levels_bytes(lb, count);
    size_t room = weft_levels_bytes(l, count);
    for (size_t done = 0; done < count;) {
        weft_numbers x, y;
        const size_t n = count - done < BATCH ? count - done : BATCH;
        const size_t used = weft_levels_bytes(l, n);
        next_numbers(la, l->wide, &a, &room_a, n, &x);
        next_numbers(lb, l->wide, &b, &room_b, n, &y);
        if (l->wide)
            for (size_t i = 0; i < n; i++)
                x.word[i] = (uint16_t)(x.word[i] + y.word[i]);
        else
            for (size_t i = 0; i < n; i++)
                x.byte[i] = (uint8_t)(x.byte[i] + y.byte[i]);
        weft_levels_pack(l, &x, n, out, room);
        out += used;
        room -= used;
        done += n;
    }
}

static int combine(const weft_codec *c, const weft_stretch *s, const void *a, size_t a_len,
                   const void *b, size_t b_len, void *out, size_t *ret_len, weft_pairs *dropped)
{
    const shared *x = shared_of(c);
    weft_dequantizer za, zb;
    weft_levels la, lb;
    (void)dropped; /* all is kept */
    int code = examine(c, s, a, a_len, &za, &la);
    if (code == WEFT_OK)
        code = examine(c, s, b, b_len, &zb, &lb);
    if (code != WEFT_OK)
        return code;
    const unsigned addends = addends_of(a) + addends_of(b);
    if (addends > x->peers)
        return weft_fail(WEFT_ECODEC,
                         "codec %s: offset 0: sums of %u and of %u encodings, of %u peers",
                         c->type->name, addends_of(a), addends_of(b), x->peers);
    const weft_levels l = levels_for(x, addends);
    uint8_t *bytes = out;
    put_addends(bytes, addends);
    add_packed(&la, (const uint8_t *)a + HEAD, &lb, (const uint8_t *)b + HEAD, &l, bytes + HEAD,
               s->count);
    *ret_len = HEAD + weft_levels_bytes(&l, s->count);
    return WEFT_OK;
}

/* Peers may have agreed since the instance was made. */
static void look(shared *x)
{
    for (size_t i = 0; i < x->scale_count; i++) {
        const float agreed = x->agreed[i];
        const bool sound = isfinite(agreed) && agreed >= 0;
        x->scale[i] = sound ? weft_quant_usable(x->q.levels, agreed) : agreed;
    }
}

static void key(weft_codec *c, const weft_draw *draw)
{
    (void)draw; /* only encoding draws */
    look(c->extra);
}

static const weft_param none[] = {{.key = NULL}};

static const weft_codec_type type = {
    .name = "shared",
    .summary = "sums of levels of a scale that all peers share",
    .source = "Wen et al. 2017",
    .traits = WEFT_CODEC_UNBIASED | WEFT_CODEC_COMBINES,
    .params = none,
    .block = block,
    .bound = bound,
    .omega = omega,
    .biased = biased,
    .encode = encode,
    .decode = decode,
    .combine = combine,
    .key = key,
};

static int check_share(const weft_codec *base, const weft_quant *q, int peers)
{
    if (q->code != WEFT_CODE_PACKED)
        return weft_fail(WEFT_ENOTSUP, "codec %s: a shared scale goes with code=packed only",
                         base->text);
    if (peers < 1 || (uint64_t)peers * q->levels > SUM_MOST)
        return weft_fail(WEFT_EINVAL,
                         "codec %s: %d peers times levels=%u is not in 1 ... %d, the sums of a "
                         "shared scale",
                         base->text, peers, q->levels, SUM_MOST);
    return WEFT_OK;
}

int weft_codec_share(weft_codec **ret, const weft_codec *base, int peers, const float *scales,
                     size_t scale_count)
{
    int code = must_share(base);
    if (code != WEFT_OK)
        return code;
    const weft_quant q = weft_quant_of(base);
    code = check_share(base, &q, peers);
    if (code != WEFT_OK)
        return code;
    weft_codec *c = weft_calloc(1, sizeof(*c));
    shared *x = scale_count < SIZE_MAX / sizeof(float) / 2
                    ? weft_calloc(1, sizeof(*x) + scale_count * sizeof(float))
                    : NULL;
    if (!c || !x) {
        weft_free(c);
        weft_free(x);
        return weft_fail(WEFT_ENOMEM, "codec %s: out of memory", base->text);
    }
    x->q = q;
    x->peers = (unsigned)peers;
    x->scale_count = scale_count;
    x->agreed = scales;
    look(x);
    *c = *base;
    c->type = &type;
    c->extra = x;
    *ret = c;
    return WEFT_OK;
}
