/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding of any bytes, by any codec, for any span.
 *
 * Input: a head of HEAD bytes (codec and mode, levels, bucket, lane, offset, count), then either
 * the encoding itself, or floats that are encoded and then damaged where the rest says: so that
 * fuzzing gets past the first checks at once.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include <weft/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 10, LANE_MOST = 600, UNTOUCHED = 0x5a };

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static unsigned u16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static weft_codec *make(const uint8_t *head)
{
    static const char *const norms[] = {"max", "2", "1"};
    char spec[WEFT_SPEC_TEXT];
    weft_codec *c = NULL;
    if (head[0] % 4 == 3)
        snprintf(spec, sizeof(spec), "raw");
    else
        snprintf(spec, sizeof(spec), "qsgd:levels=%u,bucket=%u,norm=%s", 1 + u16(head + 1) % 32767,
                 head[3] % 5u * head[3], norms[head[0] % 4]);
    MUST(weft_codec_open(&c, spec) == WEFT_OK);
    return c;
}

/* Decode bytes of exactly len. A refusal leaves the output; what is accepted is finite. */
static void decode(const weft_codec *c, const weft_stretch *s, const uint8_t *bytes, size_t len)
{
    static float out[LANE_MOST], again[LANE_MOST];
    memset(out, UNTOUCHED, sizeof(out));
    memset(again, UNTOUCHED, sizeof(again));
    int code = c->type->decode(c, s, bytes, len, out, false);
    size_t written = code == WEFT_OK ? s->count : 0;
    MUST(code == WEFT_OK || code == WEFT_ECODEC);
    for (size_t i = written * sizeof(float); i < sizeof(out); i++)
        MUST(((const uint8_t *)out)[i] == UNTOUCHED);
    if (code != WEFT_OK) {
        MUST(strstr(weft_last_error()->message, c->type->name));
        MUST(strstr(weft_last_error()->message, "offset"));
        return;
    }
    bool lossless = c->type->traits & WEFT_CODEC_LOSSLESS;
    for (size_t i = 0; i < s->count; i++)
        MUST(lossless || isfinite(out[i]));
    MUST(len <= c->type->bound(c, s));
    MUST(c->type->decode(c, s, bytes, len, again, false) == WEFT_OK);
    MUST(!memcmp(out, again, sizeof(out)));
}

/* Encode floats taken from data, damage the encoding by (position, byte) triples, decode. */
static void encode_damage_decode(const weft_codec *c, const weft_stretch *s, const uint8_t *data,
                                 size_t size)
{
    static float lane[LANE_MOST];
    const weft_draw draw = {.seed = size, .draw = 1};
    size_t triples = size > 0 ? data[0] % 8u : 0, len = 0, cap = c->type->bound(c, s);
    size_t floats = size > 1 + 3 * triples ? (size - 1 - 3 * triples) / sizeof(float) : 0;
    uint8_t *bytes = malloc(cap ? cap : 1);
    MUST(bytes);
    memset(lane, 0, sizeof(lane));
    if (floats > 0)
        memcpy(lane, data + 1 + 3 * triples,
               (floats < s->lane_count ? floats : s->lane_count) * sizeof(float));
    int code = c->type->encode(c, &draw, lane, s, bytes, cap, &len);
    MUST(code == WEFT_OK || code == WEFT_ENONFINITE);
    if (code == WEFT_OK) {
        MUST(len <= cap);
        static float out[LANE_MOST];
        MUST(c->type->decode(c, s, bytes, len, out, true) == WEFT_OK);
        for (size_t i = 0; i < triples && 4 + 3 * i <= size && len > 0; i++)
            bytes[u16(data + 1 + 3 * i) % len] = data[3 + 3 * i];
        decode(c, s, bytes, len);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    weft_codec *c = make(data);
    weft_stretch s = {.lane_count = u16(data + 4) % LANE_MOST};
    s.off = u16(data + 6) % (s.lane_count + 1);
    s.count = u16(data + 8) % (s.lane_count - s.off + 1);
    if (data[0] & 0x80)
        encode_damage_decode(c, &s, data + HEAD, size - HEAD);
    else
        decode(c, &s, data + HEAD, size - HEAD);
    weft_codec_close(&c);
    return 0;
}
