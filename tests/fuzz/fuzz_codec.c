/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding and combining of any bytes, by any codec, for any span it takes.
 *
 * Input: a head of HEAD bytes (what to do; 0 for a vote, else the row of the table and one; two
 * bytes for each of eight parameters; lane, offset, count), then either an encoding, or floats that
 * are encoded and then damaged where the rest says: so that fuzzing gets past the first checks at
 * once. codec_seeds.py writes seeds. FUZZ_CODEC (a row's name, or "vote") has libFuzzer write that
 * codec into every input it makes, and tells at the end how many of those reached it.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/codec_vote.h"
#include "codec/sparse.h"
#include <weft/status.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
/* libFuzzer's; replay_main.c has none. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 24, PARAMS_AT = 2, PARAMS = 8, LANE_AT = 18, LANE_MOST = 600, UNTOUCHED = 0x5a };
enum { ENCODE = 0x80 }; /* of what to do */
enum { AUTO = 0xffff }; /* of a parameter that may be "auto" */
enum { ANY = -2, VOTE = -1 };

static int only = ANY; /* the one row to fuzz */
static bool fresh;     /* the next input was just made, and is not of the corpus */
static unsigned long encodings, bytes_only;

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, "%s: %s\n", weft_codec_spec(c), weft_last_error()->message);           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static unsigned u16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

/* A number of the parameter's range: below 2^15 counted from its lower end, else a power of two. */
static double number_of(const weft_param *p, unsigned x, bool powers)
{
    const double range = p->max - p->min;
    double value = p->min + (x < 0x8000 ? (double)x : ldexp(1.0, (int)(x % 32)));
    if (!p->integer)
        value = p->min + range * (x < 0x8000 ? (double)x / 0x7fff : ldexp(1.0, -(int)(x % 32)));
    if (powers)
        value = value >= 1 ? ldexp(1.0, ilogb(value)) : 0;
    return fmin(fmax(value, p->min), p->max);
}

/* SPEC of a row with parameters from the head; a text keeps its default. */
static void write_spec(const weft_codec_type *t, const uint8_t *head, bool powers,
                       char out[WEFT_SPEC_TEXT])
{
    int len = snprintf(out, WEFT_SPEC_TEXT, "%s", t->name);
    const char *comma = ":";
    for (int i = 0; i < PARAMS && t->params[i].key; i++) {
        const weft_param *p = &t->params[i];
        const unsigned x = u16(head + PARAMS_AT + 2 * i);
        const char *word = p->choices;
        if (p->text)
            continue;
        len += snprintf(out + len, WEFT_SPEC_TEXT - (size_t)len, "%s%s=", comma, p->key);
        comma = ",";
        if (x == AUTO && !strcmp(p->value, "auto")) {
            len += snprintf(out + len, WEFT_SPEC_TEXT - (size_t)len, "auto");
            continue;
        }
        if (!word) {
            len +=
                snprintf(out + len, WEFT_SPEC_TEXT - (size_t)len, "%.17g", number_of(p, x, powers));
            continue;
        }
        unsigned words = 1;
        for (const char *bar = word; (bar = strchr(bar, '|')); bar++)
            words++;
        for (unsigned k = x % words; k > 0; k--)
            word = strchr(word, '|') + 1;
        len += snprintf(out + len, WEFT_SPEC_TEXT - (size_t)len, "%.*s", (int)strcspn(word, "|"),
                        word);
    }
}

/* NULL when the parameters do not fit together. */
static weft_codec *make(const uint8_t *head)
{
    weft_codec *c = NULL;
    char spec[WEFT_SPEC_TEXT];
    int rows = 0;
    while (weft_codec_type_at(rows))
        rows++;
    const int row = head[1] % (rows + 1) - 1;
    if (row == VOTE) {
        const weft_draw draw = {.seed = 1};
        const unsigned peers = u16(head + PARAMS_AT), ties = u16(head + PARAMS_AT + 2) % 4;
        if (weft_codec_vote(&c, peers ? (int)peers : 1, (weft_ties)ties) == WEFT_OK)
            c->type->key(c, &draw);
        return c;
    }
    for (int powers = 0; !c && powers < 2; powers++) {
        write_spec(weft_codec_type_at(row), head, powers, spec);
        if (weft_codec_open(&c, spec) != WEFT_OK)
            c = NULL;
    }
    return c;
}

/* A span such as the codec takes. */
static weft_stretch span_of(const weft_codec *c, const uint8_t *head)
{
    weft_stretch s = {.lane_count = u16(head + LANE_AT) % LANE_MOST};
    s.off = u16(head + LANE_AT + 2) % (s.lane_count + 1);
    s.count = u16(head + LANE_AT + 4) % (s.lane_count - s.off + 1);
    size_t edge = c->type->block(c);
    if (c->type->traits & WEFT_CODEC_BLOCKS) {
        if (edge == 0 || edge > s.lane_count)
            edge = s.lane_count ? s.lane_count : 1;
        const size_t past = s.off + s.count;
        s.off -= s.off % edge;
        s.count = past == s.lane_count ? past - s.off : (past - s.off) / edge * edge;
    }
    if (c->type->traits & WEFT_CODEC_WHOLE) {
        s.off = 0;
        s.count = s.lane_count;
    }
    return s;
}

/* A refusal names the codec, the offset and why. */
static void check_code(const weft_codec *c, int code)
{
    MUST(code == WEFT_OK || code == WEFT_ECODEC);
    if (code != WEFT_OK) {
        MUST(strstr(weft_last_error()->message, c->type->name));
        MUST(strstr(weft_last_error()->message, "offset"));
    }
}

/* Decode bytes of exactly len. A refusal leaves the output; what is accepted is finite. */
static void decode(const weft_codec *c, const weft_stretch *s, const uint8_t *bytes, size_t len)
{
    static float out[LANE_MOST], again[LANE_MOST];
    memset(out, UNTOUCHED, sizeof(out));
    memset(again, UNTOUCHED, sizeof(again));
    int code = c->type->decode(c, s, bytes, len, out, false);
    size_t written = code == WEFT_OK ? s->count : 0;
    check_code(c, code);
    for (size_t i = written * sizeof(float); i < sizeof(out); i++)
        MUST(((const uint8_t *)out)[i] == UNTOUCHED);
    bool lossless = c->type->traits & WEFT_CODEC_LOSSLESS;
    for (size_t i = 0; i < written; i++)
        MUST(lossless || isfinite(out[i]));
    if (code == WEFT_OK) {
        MUST(len <= c->type->bound(c, s));
        MUST(c->type->decode(c, s, bytes, len, again, false) == WEFT_OK);
        MUST(!memcmp(out, again, sizeof(out)));
    }
    if (c->type->pairs) {
        weft_pairs p = {0};
        MUST(c->type->pairs(c, s, bytes, len, &p) == code);
        for (size_t i = 0; i < p.count; i++)
            MUST(code == WEFT_OK && p.index[i] < s->count);
        weft_pairs_free(&p);
    }
}

/* Combine an encoding that is good with one that may not be, either way round. */
static void combine(const weft_codec *c, const weft_stretch *s, const uint8_t *good,
                    size_t good_len, const uint8_t *bytes, size_t len)
{
    const size_t cap = c->type->bound(c, s);
    uint8_t *out = malloc(cap ? cap : 1);
    MUST(out);
    for (int turn = 0; turn < 2; turn++) {
        weft_pairs dropped = {0};
        size_t got = 0;
        memset(out, UNTOUCHED, cap);
        int code = turn ? c->type->combine(c, s, bytes, len, good, good_len, out, &got, &dropped)
                        : c->type->combine(c, s, good, good_len, bytes, len, out, &got, &dropped);
        if (code != WEFT_ENONFINITE) /* sums of selected values may overflow */
            check_code(c, code);
        for (size_t i = 0; code != WEFT_OK && i < cap; i++)
            MUST(out[i] == UNTOUCHED);
        MUST(code == WEFT_OK || (dropped.count == 0 && got == 0));
        weft_pairs_free(&dropped);
        if (code == WEFT_OK) {
            MUST(got <= cap);
            decode(c, s, out, got);
        }
    }
    free(out);
}

/* Encode floats taken from data, damage the encoding by (position, byte) triples, decode. */
static void encode_damage_decode(const weft_codec *c, const weft_stretch *s, const uint8_t *data,
                                 size_t size)
{
    static float lane[LANE_MOST], out[LANE_MOST];
    const weft_draw draw = {.seed = size, .draw = 1};
    size_t triples = size > 0 ? data[0] % 8u : 0, len = 0, cap = c->type->bound(c, s);
    size_t floats = size > 1 + 3 * triples ? (size - 1 - 3 * triples) / sizeof(float) : 0;
    uint8_t *bytes = malloc(cap ? cap : 1), *damaged = malloc(cap ? cap : 1);
    MUST(bytes && damaged);
    memset(lane, 0, sizeof(lane));
    if (floats > 0)
        memcpy(lane, data + 1 + 3 * triples,
               (floats < s->lane_count ? floats : s->lane_count) * sizeof(float));
    int code = c->type->encode(c, &draw, lane, s, bytes, cap, &len);
    MUST(code == WEFT_OK || code == WEFT_ENONFINITE);
    if (code == WEFT_OK) {
        MUST(len <= cap);
        MUST(c->type->decode(c, s, bytes, len, out, true) == WEFT_OK);
        memcpy(damaged, bytes, len);
        for (size_t i = 0; i < triples && 4 + 3 * i <= size && len > 0; i++)
            damaged[u16(data + 1 + 3 * i) % len] = data[3 + 3 * i];
        decode(c, s, damaged, len);
        if (c->type->combine && (!c->type->combines || c->type->combines(c)))
            combine(c, s, bytes, len, damaged, len);
    }
    free(bytes);
    free(damaged);
}

static void tell(void)
{
    fprintf(stderr, "%lu inputs reached the codec, %lu of them to be encoded and damaged\n",
            encodings + bytes_only, encodings);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = getenv("FUZZ_CODEC");
    (void)argc, (void)argv;
    if (!name)
        return 0;
    for (int row = 0; only == ANY && weft_codec_type_at(row); row++)
        if (!strcmp(weft_codec_type_at(row)->name, name))
            only = row;
    if (only == ANY && strcmp(name, "vote") != 0) {
        fprintf(stderr, "FUZZ_CODEC=%s: no such codec\n", name);
        exit(2);
    }
    only = only == ANY ? VOTE : only;
    return atexit(tell);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    size_t len = LLVMFuzzerMutate(data, size, most);
    (void)seed;
    if (only != ANY && len > 1)
        data[1] = (uint8_t)(only + 1);
    fresh = true;
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool counts = fresh;
    fresh = false;
    weft_codec *c = size < HEAD ? NULL : make(data);
    if (!c)
        return 0;
    const weft_stretch s = span_of(c, data);
    if (data[0] & ENCODE) {
        encodings += counts;
        encode_damage_decode(c, &s, data + HEAD, size - HEAD);
    } else {
        bytes_only += counts;
        decode(c, &s, data + HEAD, size - HEAD);
    }
    weft_codec_close(&c);
    return 0;
}
