/* SPDX-License-Identifier: Apache-2.0 */
/*
 * randk: one element drawn at random out of each group of g = round(1/density) elements, times the
 * length of its group; the same elements on all peers, so that encodings are added value by value.
 *
 * Groups count from the lane's first element; the last one of a lane may be shorter. Group number
 * floor(index in the tensor of its first element / g) has the 32 random bits r of elements 2 number
 * and 2 number + 1 of the draw's tensor, the first the low half, for member number 2^32 - 2 whoever
 * encodes; element floor(r length / 2^32) of the group is sent.
 *
 * Unbiased but for less than 2^-32 in the chance of an element and the rounding of one product. The
 * error of a group is (length - 1) |group|^2 in the mean, so omega = longest group - 1, whatever
 * the vector is. All peers draw alike: their errors do not average out, as those of other codecs
 * do.
 *
 * Wire, little endian:
 *   byte 0    form: 1; 0: encodings of different draws were added, which decoding refuses
 *   8 bytes   seed              what decoding needs to draw the same
 *   8 bytes   draw + 2^48 tensor
 *   8 bytes   number of the first group
 *   values    binary32 of each group of the span, which holds whole groups
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"

enum { FORM = 1, MIXED = 0, HEAD = 25, BATCH = 256, DRAW_BITS = 48 };
static const uint32_t member_of_all = UINT32_MAX - 1;

static const weft_param params[] = {
    {.key = "density",
     .value = "0.01",
     .min = 1e-6,
     .max = 1,
     .help = "one element of each round(1/density) is sent"},
    {.key = NULL},
};

static size_t block(const weft_codec *c)
{
    return (size_t)round(1.0 / c->spec.number[0]);
}

static size_t groups_of(const weft_codec *c, const weft_stretch *s)
{
    const size_t g = block(c);
    assert(s->count == 0 || s->off % g == 0); /* an empty span may lie behind the last group */
    return s->count / g + (s->count % g != 0);
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    return HEAD + groups_of(c, s) * sizeof(float);
}

static double omega(const weft_codec *c, size_t count)
{
    const size_t g = block(c), longest = g < count ? g : count;
    return longest > 0 ? (double)longest - 1.0 : 0.0;
}

/* What was drawn for the groups of a stretch, a batch at a time. */
typedef struct places {
    size_t g, count, groups;
    uint64_t first; /* number of the first group */
    weft_draw draw;
} places;

/* The head of an encoding names the draw. */
static places places_of(const weft_codec *c, const weft_stretch *s, const uint8_t *head)
{
    places p = {.g = block(c), .count = s->count, .groups = groups_of(c, s)};
    uint64_t which;
    memcpy(&p.draw.seed, head + 1, sizeof(p.draw.seed));
    memcpy(&which, head + 9, sizeof(which));
    memcpy(&p.first, head + 17, sizeof(p.first));
    p.draw.draw = which & ((UINT64_C(1) << DRAW_BITS) - 1);
    p.draw.tensor = (uint32_t)(which >> DRAW_BITS);
    p.draw.member = member_of_all;
    return p;
}

static void put_head(const weft_codec *c, const weft_draw *draw, uint64_t first, uint8_t *head)
{
    const uint64_t which = draw->draw + ((uint64_t)draw->tensor << DRAW_BITS);
    const uint64_t number = first / block(c);
    head[0] = FORM;
    memcpy(head + 1, &draw->seed, sizeof(draw->seed));
    memcpy(head + 9, &which, sizeof(which));
    memcpy(head + 17, &number, sizeof(number));
}

static size_t length_of(const places *p, size_t group)
{
    const size_t left = p->count - group * p->g;
    return left < p->g ? left : p->g;
}

/* Of groups from … from + n - 1, n <= BATCH, the elements that are sent, counted from the stretch's
 * first. */
static void draw_places(const places *p, size_t from, size_t n, size_t *at)
{
    uint16_t half[2 * BATCH];
    weft_draw_u16(&p->draw, 2 * (p->first + from), 2 * n, half);
    for (size_t i = 0; i < n; i++) {
        const uint64_t r = half[2 * i] | (uint64_t)half[2 * i + 1] << 16;
        const size_t group = from + i;
        at[i] = group * p->g + (size_t)(r * length_of(p, group) >> 32);
    }
}

/* value[…] (those before it, with add) = what is sent of the elements in[…]. */
static void take(const places *p, const weft_any_float *in, weft_any_float *value, bool add)
{
    for (size_t done = 0; done < p->groups; done += BATCH) {
        size_t at[BATCH];
        const size_t n = p->groups - done < BATCH ? p->groups - done : BATCH;
        draw_places(p, done, n, at);
        for (size_t i = 0; i < n; i++) {
            const float term = in[at[i]] * (float)length_of(p, done + i);
            value[done + i] = add ? value[done + i] + term : term;
        }
    }
}

static const weft_any_float *values_of(const void *encoding)
{
    return (const weft_any_float *)(const void *)((const uint8_t *)encoding + HEAD);
}

static size_t first_wrong(const weft_any_float *v)
{
    size_t i = 0;
    while (isfinite(v[i]))
        i++;
    return i;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const weft_any_float *v = (const weft_any_float *)lane + s->off;
    const uint64_t first = draw->first + s->off;
    const size_t len = bound(c, s);
    assert(cap >= len);
    (void)cap;
    if (!weft_kernel_finite((const float *)v, s->count))
        return weft_codec_nonfinite(c->type->name, (const float *)v, s->count, first, INFINITY);
    put_head(c, draw, first, out);
    const places p = places_of(c, s, out);
    weft_any_float *value = (weft_any_float *)(uintptr_t)values_of(out);
    take(&p, v, value, false);
    if (!weft_kernel_finite((const float *)value, p.groups)) {
        const uint64_t at = first + first_wrong(value) * p.g;
        return weft_fail(WEFT_ENONFINITE,
                         "codec randk: an element of the group from %" PRIu64
                         " on times the group's length overflows float32",
                         at);
    }
    *ret_len = len;
    return WEFT_OK;
}

static int check_encoding(const weft_codec *c, const weft_stretch *s, const uint8_t *in, size_t len)
{
    if (len != bound(c, s))
        return weft_fail(WEFT_ECODEC, "codec randk: offset %zu: %zu elements take %zu bytes", len,
                         s->count, bound(c, s));
    if (in[0] == MIXED)
        return weft_fail(WEFT_ECODEC,
                         "codec randk: offset 0: encodings of different draws were added");
    if (in[0] != FORM)
        return weft_fail(WEFT_ECODEC, "codec randk: offset 0: the form byte is not 1");
    if (!weft_kernel_finite((const float *)values_of(in), groups_of(c, s)))
        return weft_fail(WEFT_ECODEC, "codec randk: offset %zu: a value, or the sum, is not finite",
                         HEAD + sizeof(float) * first_wrong(values_of(in)));
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    weft_any_float *to = out;
    const int code = check_encoding(c, s, in, len);
    if (code != WEFT_OK)
        return code;
    const places p = places_of(c, s, in);
    const weft_any_float *value = values_of(in);
    if (!add && s->count > 0)
        memset(out, 0, s->count * sizeof(float));
    for (size_t done = 0; done < p.groups; done += BATCH) {
        size_t at[BATCH];
        const size_t n = p.groups - done < BATCH ? p.groups - done : BATCH;
        draw_places(&p, done, n, at);
        for (size_t i = 0; i < n; i++)
            to[at[i]] = to[at[i]] + value[done + i];
    }
    return WEFT_OK;
}

static void merge(const weft_codec *c, const weft_stretch *s, void *dst, const void *a,
                  const void *b)
{
    const bool alike = memcmp(a, b, HEAD) == 0;
    if (dst != a && dst != b)
        memcpy(dst, a, HEAD);
    if (!alike)
        *(uint8_t *)dst = MIXED;
    weft_kernel_add((float *)(uintptr_t)values_of(dst), (const float *)values_of(a),
                    (const float *)values_of(b), groups_of(c, s));
}

static void fold(const weft_codec *c, const weft_stretch *s, void *acc, const void *in)
{
    const places p = places_of(c, s, acc);
    take(&p, in, (weft_any_float *)(uintptr_t)values_of(acc), true);
}

extern const weft_codec_type weft_codec_randk;
const weft_codec_type weft_codec_randk = {
    .name = "randk",
    .summary = "one element of each group, drawn alike on all peers; unbiased, encodings are added",
    .source = "Wangni et al. 2018; Stich et al. 2018",
    .traits = WEFT_CODEC_UNBIASED | WEFT_CODEC_MERGES | WEFT_CODEC_BLOCKS | WEFT_CODEC_COMMON,
    .params = params,
    .block = block,
    .bound = bound,
    .omega = omega,
    .encode = encode,
    .decode = decode,
    .merge = merge,
    .fold = fold,
};
