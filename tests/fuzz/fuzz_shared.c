/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of a shared scale from bytes that anybody may have sent. The head of the input chooses the
 * codec, the peers and the span; then the two operands, each encoded here and damaged, or taken as
 * it is. Refused: nothing is written. Accepted: the sum is the same in either order, within its
 * bound, and decodes to finite floats that are the sum of both.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "codec/codec_shared.h"
#include "fuzz_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 12, LANE_MOST = 400, SCALES = 64, ROOM = 2 + 2 * LANE_MOST, UNTOUCHED = 0x5a };

typedef struct operand {
    uint8_t *bytes; /* exactly len */
    size_t len;
} operand;

static unsigned u16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static const char *const specs[] = {"qsgd:levels=1,bucket=16",
                                    "qsgd:levels=7,bucket=20",
                                    "qsgd:levels=127,bucket=7",
                                    "qsgd:levels=900,bucket=0",
                                    "qsgd:levels=20,round=nearest",
                                    "tern:bucket=30",
                                    "tern:clip=0",
                                    "qsgd:levels=5,bucket=50,scale=pow2"};

/* A codec whose every third scale is 0. */
static weft_codec *make(const uint8_t *head)
{
    static float scales[SCALES]; /* borrowed by the codec */
    weft_codec *base = NULL, *c = NULL;
    for (size_t i = 0; i < SCALES; i++)
        scales[i] = i % 3 == 2 ? 0.0f : ldexpf(2.0f, (int)(head[2] % 40) - 20);
    MUST(weft_codec_open(&base, specs[head[0] % (sizeof(specs) / sizeof(specs[0]))]) == WEFT_OK);
    MUST(weft_codec_share(&c, base, 1 + head[1] % 36, scales, SCALES) == WEFT_OK);
    weft_codec_close(&base);
    return c;
}

/* Floats of the lane within their scales, so that encoding succeeds. */
static void encode(const weft_codec *c, const weft_stretch *s, const uint8_t *head, operand *ret)
{
    static float lane[LANE_MOST];
    static uint8_t bytes[ROOM];
    const weft_draw draw = {.seed = head[3], .member = head[4]};
    const size_t block = c->type->block(c) ? c->type->block(c) : LANE_MOST;
    for (size_t i = 0; i < s->lane_count; i++)
        lane[i] = i / block % 3 == 2 ? 0.0f
                                     : ldexpf((float)((int)(i * head[5] % 31) - 15) / 10.0f,
                                              (int)(head[2] % 40) - 20);
    MUST(c->type->encode(c, &draw, lane, s, bytes, ROOM, &ret->len) == WEFT_OK);
    MUST(ret->len <= c->type->bound(c, s));
    ret->bytes = malloc(ret->len);
    MUST(ret->bytes);
    memcpy(ret->bytes, bytes, ret->len);
}

/* An operand: its own length of bytes, or an encoding with up to 7 bytes changed. */
static size_t take(const weft_codec *c, const weft_stretch *s, const uint8_t *head,
                   const uint8_t *data, size_t size, operand *ret)
{
    if (size < 3 || data[0] & 0x80) {
        const size_t at = size < 3 ? size : 3;
        const size_t len = size < 3 ? 0 : u16(data + 1) % (size - 3 + 1);
        ret->len = len;
        ret->bytes = malloc(len ? len : 1);
        MUST(ret->bytes);
        memcpy(ret->bytes, data + at, len);
        return at + len;
    }
    size_t at = 1;
    encode(c, s, head, ret);
    for (unsigned n = data[0] % 8; n > 0 && at + 3 <= size; n--, at += 3)
        ret->bytes[u16(data + at) % ret->len] = data[at + 2];
    return at;
}

static bool decode(const weft_codec *c, const weft_stretch *s, const operand *o, float *out)
{
    for (size_t i = 0; i < LANE_MOST; i++)
        memset(out + i, UNTOUCHED, sizeof(*out));
    const int code = c->type->decode(c, s, o->bytes, o->len, out, false);
    const size_t written = code == WEFT_OK ? s->count : 0;
    MUST(code == WEFT_OK || code == WEFT_ECODEC);
    for (size_t i = written * sizeof(*out); i < LANE_MOST * sizeof(*out); i++)
        MUST(((const uint8_t *)out)[i] == UNTOUCHED);
    for (size_t i = 0; i < written; i++)
        MUST(isfinite(out[i]));
    if (code != WEFT_OK)
        MUST(strstr(weft_last_error()->message, "codec shared: offset"));
    return code == WEFT_OK;
}

static void combine(const weft_codec *c, const weft_stretch *s, const operand *a, const operand *b)
{
    static uint8_t sum[ROOM], other[ROOM];
    static float va[LANE_MOST], vb[LANE_MOST], vs[LANE_MOST];
    size_t len = 1234, other_len = 1234;
    const bool good_a = decode(c, s, a, va), good_b = decode(c, s, b, vb);
    memset(sum, UNTOUCHED, sizeof(sum));
    const int code = c->type->combine(c, s, a->bytes, a->len, b->bytes, b->len, sum, &len, NULL);
    const int swapped =
        c->type->combine(c, s, b->bytes, b->len, a->bytes, a->len, other, &other_len, NULL);
    MUST(code == swapped && (code == WEFT_OK || code == WEFT_ECODEC));
    MUST(code != WEFT_OK || (good_a && good_b));
    for (size_t i = code == WEFT_OK ? len : 0; i < sizeof(sum); i++)
        MUST(sum[i] == UNTOUCHED);
    if (code != WEFT_OK) {
        MUST(len == 1234);
        MUST(strstr(weft_last_error()->message, "codec shared: offset"));
        return;
    }
    const operand o = {.bytes = sum, .len = len};
    MUST(len == other_len && !memcmp(sum, other, len));
    MUST(len <= c->type->bound(c, s));
    MUST(u16(sum) == u16(a->bytes) + u16(b->bytes));
    MUST(decode(c, s, &o, vs));
    for (size_t i = 0; i < s->count; i++) { /* each is rounded once */
        const double want = (double)va[i] + (double)vb[i];
        MUST(fabs((double)vs[i] - want) <= 1e-6 * (fabs((double)va[i]) + fabs((double)vb[i])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    operand a, b;
    weft_codec *c = make(data);
    weft_stretch s = {.lane_count = u16(data + 6) % LANE_MOST};
    s.off = u16(data + 8) % (s.lane_count + 1);
    s.count = u16(data + 10) % (s.lane_count - s.off + 1);
    const size_t used = HEAD + take(c, &s, data, data + HEAD, size - HEAD, &a);
    take(c, &s, data, data + used, size - used, &b);
    combine(c, &s, &a, &b);
    free(a.bytes);
    free(b.bytes);
    weft_codec_close(&c);
    return 0;
}
