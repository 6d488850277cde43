/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sparse codecs: decoding and combining of any bytes.
 *
 * Input: a head of HEAD bytes (SPEC, mode, elements, k), then either one encoding, or two of which
 * the first is half of the bytes, or floats that are encoded and then damaged where the rest says:
 * so that fuzzing gets past the first checks at once.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/sparse.h"
#include "fuzz_must.h"
#include <weft/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 6, MOST = 700, UNTOUCHED = 0x5a };

static unsigned u16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static weft_codec *make(const uint8_t *head)
{
    static const char *const values[] = {"f32", "f16", "qsgd4", "qsgd8"};
    const char *index = head[0] & 0x10 ? "plain" : "rice", *value = values[head[0] & 3];
    char spec[WEFT_SPEC_TEXT];
    weft_codec *c = NULL;
    if ((head[0] >> 2 & 3) == 0)
        snprintf(spec, sizeof(spec), "randk:density=%.9g", 1.0 / (1 + u16(head + 4) % 40));
    else if ((head[0] >> 2 & 3) == 1)
        snprintf(spec, sizeof(spec), "threshold:at=%.9g,most=%.9g,values=%s,index=%s",
                 u16(head + 4) % 256 / 64.0, (1 + (head[4] ^ head[5])) / 256.0, value, index);
    else
        snprintf(spec, sizeof(spec), "topk:k=%u,values=%s,index=%s", 1 + u16(head + 4) % 1000,
                 value, index);
    MUST(weft_codec_open(&c, spec) == WEFT_OK);
    return c;
}

/* A refusal says what, by which codec, and at which byte. */
static void check_text(const weft_codec *c)
{
    MUST(strstr(weft_last_error()->message, c->type->name));
    MUST(strstr(weft_last_error()->message, "offset"));
}

/* Decode bytes of exactly len. A refusal leaves the output; what is accepted is finite. */
static bool decode(const weft_codec *c, const weft_stretch *s, const uint8_t *bytes, size_t len,
                   float out[MOST])
{
    static float again[MOST];
    memset(out, UNTOUCHED, MOST * sizeof(float));
    const int code = c->type->decode(c, s, bytes, len, out, false);
    const size_t written = code == WEFT_OK ? s->count : 0;
    MUST(code == WEFT_OK || code == WEFT_ECODEC);
    for (size_t i = written * sizeof(float); i < MOST * sizeof(float); i++)
        MUST(((const uint8_t *)out)[i] == UNTOUCHED);
    if (code != WEFT_OK) {
        check_text(c);
        return false;
    }
    MUST(len <= c->type->bound(c, s));
    memset(again, 0, sizeof(again));
    MUST(c->type->decode(c, s, bytes, len, again, true) == WEFT_OK);
    for (size_t i = 0; i < s->count; i++)
        MUST(isfinite(out[i]) && out[i] == again[i]);
    return true;
}

/* Encodings of the same stretch: kept and dropped are the sum, element by element. */
static void combine(const weft_codec *c, const weft_stretch *s, const uint8_t *a, size_t a_len,
                    const uint8_t *b, size_t b_len)
{
    static float x[MOST], y[MOST], kept[MOST];
    const bool first = decode(c, s, a, a_len, x), second = decode(c, s, b, b_len, y);
    const bool good = first && second;
    const size_t cap = c->type->bound(c, s);
    uint8_t *out = malloc(cap + 1);
    weft_pairs dropped = {0};
    size_t len = 0;
    MUST(out);
    const int code = c->type->combine(c, s, a, a_len, b, b_len, out, &len, &dropped);
    if (!c->type->combines(c)) {
        MUST(code == WEFT_ENOTSUP);
    } else if (code != WEFT_OK) {
        MUST(code == (good ? WEFT_ENONFINITE : WEFT_ECODEC) && len == 0 && dropped.count == 0);
    } else {
        MUST(good && len <= cap && decode(c, s, out, len, kept));
        for (size_t i = 0; i < dropped.count; i++) {
            MUST(dropped.index[i] < s->count && kept[dropped.index[i]] == 0);
            kept[dropped.index[i]] = dropped.value[i];
        }
        for (size_t i = 0; i < s->count; i++)
            MUST(kept[i] == x[i] + y[i]);
    }
    weft_pairs_free(&dropped);
    free(out);
}

static void merge(const weft_codec *c, const weft_stretch *s, const uint8_t *a, const uint8_t *b,
                  size_t len)
{
    static float sum[MOST];
    uint8_t *both = malloc(len);
    MUST(both);
    c->type->merge(c, s, both, a, b);
    decode(c, s, both, len, sum);
    free(both);
}

/* Two encodings as they are. */
static void take_two(const weft_codec *c, const weft_stretch *s, const uint8_t *data, size_t size)
{
    const size_t half = size / 2;
    if (c->type->combine)
        combine(c, s, data, half, data + half, size - half);
    else if (half == c->type->bound(c, s) && half > 0)
        merge(c, s, data, data + half, half);
}

/* Encode floats taken from data, damage the encoding by (position, byte) triples, decode, and
 * combine it with what it was. */
static void encode_damage(const weft_codec *c, const weft_stretch *s, const uint8_t *data,
                          size_t size)
{
    static float lane[MOST], out[MOST];
    const weft_draw draw = {.seed = size, .draw = 1};
    const size_t triples = size > 0 ? data[0] % 8u : 0, cap = c->type->bound(c, s);
    const size_t floats = size > 1 + 3 * triples ? (size - 1 - 3 * triples) / sizeof(float) : 0;
    uint8_t *bytes = malloc(cap + 1), *good = malloc(cap + 1);
    size_t len = 0;
    MUST(bytes && good);
    memset(lane, 0, sizeof(lane));
    if (floats > 0)
        memcpy(lane, data + 1 + 3 * triples,
               (floats < s->count ? floats : s->count) * sizeof(float));
    const int code = c->type->encode(c, &draw, lane, s, bytes, cap, &len);
    MUST(code == WEFT_OK || code == WEFT_ENONFINITE);
    if (code == WEFT_OK) {
        MUST(len <= cap && decode(c, s, bytes, len, out));
        memcpy(good, bytes, len);
        for (size_t i = 0; i < triples && 4 + 3 * i <= size && len > 0; i++)
            bytes[u16(data + 1 + 3 * i) % len] = data[3 + 3 * i];
        decode(c, s, bytes, len, out);
        if (c->type->combine)
            combine(c, s, good, len, bytes, len);
        else
            merge(c, s, good, bytes, len);
    }
    free(bytes);
    free(good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float out[MOST];
    if (size < HEAD)
        return 0;
    weft_codec *c = make(data);
    const size_t count = u16(data + 2) % MOST;
    const weft_stretch s = {.lane_count = count, .count = count};
    if (data[1] % 3 == 0)
        encode_damage(c, &s, data + HEAD, size - HEAD);
    else if (data[1] % 3 == 1)
        take_two(c, &s, data + HEAD, size - HEAD);
    else
        decode(c, &s, data + HEAD, size - HEAD, out);
    weft_codec_close(&c);
    return 0;
}
