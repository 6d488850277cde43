/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vote: counts of signs, for the majority vote of signSGD (Bernstein et al. 2018).
 *
 * Wire, little endian:
 *   2 bytes   t, how many have voted; 0: nobody, and nothing follows
 *   planes    ceil(lg(t + 1)) of them, the lowest first: plane p holds bit p of each element's
 *             number of votes for -1; element i of the span in bit i mod 8 of byte i / 8, zero bits
 *             up to a whole byte at the end of each plane
 * So a voter sends 2 + ceil(d / 8) bytes: its signs, +0 and -0 for +1. Counts add exactly, in any
 * order and grouping. What is counted is never a bit of a majority: a majority of majorities is
 * not the majority.
 *
 * A tie (t even, t / 2 votes for -1) decodes by the rule; random takes the element's bit
 * (draw_bits.h) of the stream with member number 2^32-1, set: -1. The element is that of the
 * tensor: the same bits whatever the span.
 */
#include "codec/codec_vote.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/draw_bits.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

enum { HEAD = WEFT_VOTE_HEAD, BATCH = WEFT_DECODE_BATCH, BYTE_BITS = 8 };
enum { BATCH_BYTES = BATCH / BYTE_BITS };

typedef struct vote {
    weft_codec codec; /* first: weft_codec_close() frees it */
    uint32_t peers;
    weft_ties ties;
    bool keyed;
    weft_draw draw; /* of ties */
} vote;

/* A checked encoding. */
typedef struct counts {
    uint32_t voters;
    unsigned planes;
    size_t stride; /* bytes of a plane */
    const uint8_t *bits;
} counts;

static const vote *vote_of(const weft_codec *c)
{
    return (const vote *)c;
}

static size_t block(const weft_codec *c)
{
    (void)c;
    return 1;
}

static size_t bytes_of(uint32_t voters, size_t count)
{
    return HEAD + weft_kernel_planes(voters) * weft_bits_bytes(count);
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    return bytes_of(vote_of(c)->peers, s->count);
}

static void put_voters(uint8_t *out, uint32_t voters)
{
    out[0] = (uint8_t)voters;
    out[1] = (uint8_t)(voters >> 8);
}

void weft_vote_abstain(void *out, size_t *ret_len)
{
    put_voters(out, 0);
    *ret_len = HEAD;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const float *v = (const float *)lane + s->off;
    uint8_t *bytes = out;
    assert(cap >= bytes_of(1, s->count));
    (void)cap;
    if (!isfinite(weft_kernel_pack_signs(v, s->count, bytes + HEAD)))
        return weft_codec_nonfinite(c->type->name, v, s->count, draw->first + s->off, INFINITY);
    put_voters(bytes, 1);
    *ret_len = bytes_of(1, s->count);
    return WEFT_OK;
}

/* No count is above the voters? Looked at where so many bits could say more. */
static int check_counts(const weft_codec *c, const counts *n)
{
    uint8_t above[BATCH_BYTES], equal[BATCH_BYTES];
    if ((n->voters & (n->voters + 1)) == 0)
        return WEFT_OK;
    for (size_t at = 0; at < n->stride; at += BATCH_BYTES) {
        const size_t len = n->stride - at < BATCH_BYTES ? n->stride - at : BATCH_BYTES;
        weft_kernel_compare(n->bits + at, n->planes, n->stride, len, n->voters, above, equal);
        for (size_t i = 0; i < len; i++)
            if (above[i])
                return weft_codec_refuse(c, HEAD + (n->planes - 1) * n->stride + at + i,
                                         "a count above the voters");
    }
    return WEFT_OK;
}

static int check(const weft_codec *c, const weft_stretch *s, const void *in, size_t len,
                 counts *ret)
{
    const uint8_t *bytes = in;
    if (len < HEAD)
        return weft_codec_refuse(c, len, "no number of voters");
    counts n = {.voters = bytes[0] | (uint32_t)bytes[1] << 8,
                .stride = weft_bits_bytes(s->count),
                .bits = bytes + HEAD};
    n.planes = weft_kernel_planes(n.voters);
    if (n.voters > vote_of(c)->peers)
        return weft_codec_refuse(c, 0, "more voters than peers");
    if (len != bytes_of(n.voters, s->count))
        return weft_codec_refuse_length(c, len, s->count, bytes_of(n.voters, s->count));
    for (unsigned p = 0; p < n.planes; p++)
        if (weft_bits_padded(n.bits + p * n.stride, s->count))
            return weft_codec_refuse(c, HEAD + (p + 1) * n.stride - 1, "non-zero padding");
    const int code = check_counts(c, &n);
    if (code == WEFT_OK)
        *ret = n;
    return code;
}

/* Random bits where `ties` has some, of the elements from `first` of the tensor on. */
static void draw_ties(const vote *v, uint64_t first, const uint8_t *ties, size_t bytes,
                      uint8_t *minus)
{
    uint8_t random[BATCH_BYTES], any = 0;
    for (size_t i = 0; i < bytes; i++)
        any |= ties[i];
    if (!any)
        return;
    assert(v->keyed);
    weft_draw_bits(&v->draw, first, bytes * BYTE_BITS, random);
    for (size_t i = 0; i < bytes; i++)
        minus[i] |= ties[i] & random[i];
}

/* Bits of up to BATCH elements from the span's at * 8 on: the majority is for -1; they are zero
 * after all. Returns whether some are. */
static bool decide(const vote *v, const counts *n, uint64_t first, size_t at, size_t bytes,
                   uint8_t *minus, uint8_t *zero)
{
    uint8_t any = 0;
    if (n->voters == 0) { /* as many for as against */
        memset(minus, 0, bytes);
        memset(zero, UINT8_MAX, bytes);
    } else {
        weft_kernel_compare(n->bits + at, n->planes, n->stride, bytes, n->voters / 2, minus, zero);
    }
    if (n->voters % 2 != 0 || v->ties == WEFT_TIES_PLUS) {
        memset(zero, 0, bytes);
    } else if (v->ties == WEFT_TIES_ZERO) {
        for (size_t i = 0; i < bytes; i++)
            any |= zero[i];
    } else {
        if (v->ties == WEFT_TIES_RANDOM)
            draw_ties(v, first + at * BYTE_BITS, zero, bytes, minus);
        for (size_t i = 0; v->ties == WEFT_TIES_MINUS && i < bytes; i++)
            minus[i] |= zero[i];
        memset(zero, 0, bytes);
    }
    return any != 0;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    float *values = out, batch[BATCH];
    uint8_t minus[BATCH_BYTES], zero[BATCH_BYTES];
    counts n = {0};
    const int code = check(c, s, in, len, &n);
    if (code != WEFT_OK)
        return code;
    for (size_t i = 0; i < s->count; i += BATCH) {
        const size_t now = s->count - i < BATCH ? s->count - i : BATCH;
        const bool zeros = decide(vote_of(c), &n, s->first + s->off, i / BYTE_BITS,
                                  weft_bits_bytes(now), minus, zero);
        weft_kernel_spread_signs(minus, 0, now, 1.0f, -1.0f, batch);
        for (size_t k = 0; zeros && k < now; k++)
            if (zero[k / BYTE_BITS] >> k % BYTE_BITS & 1)
                batch[k] = 0.0f;
        if (add)
            weft_kernel_add(values + i, values + i, batch, now);
        else
            memcpy(values + i, batch, now * sizeof(*batch));
    }
    return WEFT_OK;
}

static int combine_many(const weft_codec *c, const weft_stretch *s, const void *const *in,
                        const size_t *len, size_t n, void *out, size_t *ret_len)
{
    const size_t stride = weft_bits_bytes(s->count);
    uint8_t *bytes = out, *planes = bytes + HEAD;
    uint32_t voters = 0;
    size_t rows = 0;
    counts k = {0};
    const uint8_t **row = weft_calloc(n, sizeof(*row));
    if (!row)
        return weft_fail(WEFT_ENOMEM, "codec vote: out of memory");
    int code = WEFT_OK;
    for (size_t i = 0; code == WEFT_OK && i < n; i++) {
        code = check(c, s, in[i], len[i], &k);
        if (code != WEFT_OK)
            break;
        voters += k.voters;
        if (voters > vote_of(c)->peers)
            code = weft_codec_refuse(c, 0, "more voters than peers in all");
        if (k.voters == 1)
            row[rows++] = k.bits;
    }
    if (code == WEFT_OK) {
        const unsigned need = weft_kernel_planes(voters);
        const unsigned from = weft_kernel_planes((uint32_t)rows);
        if (rows > 0)
            weft_kernel_tally(row, rows, stride, planes);
        memset(planes + from * stride, 0, (need - from) * stride);
        for (size_t i = 0; i < n; i++) {
            const uint8_t *one = in[i];
            const uint32_t some = one[0] | (uint32_t)one[1] << 8;
            if (some > 1)
                weft_kernel_tally_add(planes, need, one + HEAD, weft_kernel_planes(some), stride);
        }
        put_voters(bytes, voters);
        *ret_len = bytes_of(voters, s->count);
    }
    weft_free(row);
    return code;
}

static int combine(const weft_codec *c, const weft_stretch *s, const void *a, size_t a_len,
                   const void *b, size_t b_len, void *out, size_t *ret_len, weft_pairs *dropped)
{
    const void *const in[2] = {a, b};
    const size_t len[2] = {a_len, b_len};
    (void)dropped;
    return combine_many(c, s, in, len, 2, out, ret_len);
}

static void key(weft_codec *c, const weft_draw *draw)
{
    vote *v = (vote *)c;
    v->draw = (weft_draw){
        .seed = draw->seed, .member = UINT32_MAX, .tensor = draw->tensor, .draw = draw->draw};
    v->keyed = true;
}

static const weft_param params[] = {{.key = NULL}};

static const weft_codec_type type = {
    .name = "vote",
    .summary = "counts of signs, decoded to the majority",
    .source = "Bernstein et al. 2018 (signSGD with majority vote)",
    .traits = WEFT_CODEC_COMBINES,
    .params = params,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
    .abstain = weft_vote_abstain,
    .combine = combine,
    .combine_many = combine_many,
    .key = key,
};

int weft_codec_vote(weft_codec **ret, int peers, weft_ties ties)
{
    static const char *const rules[] = {"random", "plus", "minus", "zero"};
    if (peers < 1 || peers > WEFT_VOTE_PEERS_MOST || (unsigned)ties > WEFT_TIES_ZERO)
        return weft_fail(WEFT_EINVAL, "codec vote: %d peers, ties %d: takes 1 to %d peers", peers,
                         (int)ties, WEFT_VOTE_PEERS_MOST);
    vote *v = weft_calloc(1, sizeof(*v));
    if (!v)
        return weft_fail(WEFT_ENOMEM, "codec vote: out of memory");
    v->codec = (weft_codec){.type = &type, .dtype = WEFT_F32, .op = WEFT_SUM};
    snprintf(v->codec.text, sizeof(v->codec.text), "vote:ties=%s", rules[ties]);
    v->peers = (uint32_t)peers;
    v->ties = ties;
    *ret = &v->codec;
    return WEFT_OK;
}
