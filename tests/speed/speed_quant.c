/* SPDX-License-Identifier: Apache-2.0 */
/* Quantization: the loops with a scale that is given, and the codecs with all they do. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "codec/codec_shared.h"
#include "codec/elias.h"
#include "codec/levels.h"
#include "kernel/kernel.h"
#include "kernel/kernel_quant.h"
#include "kernel_speed.h"

static const weft_draw draw = {.seed = 1, .member = 2, .draw = 3};
static const float norm = 6.5f; /* above all of them */

static void must(int code)
{
    if (code == WEFT_OK)
        return;
    fprintf(stderr, "kernel_speed: %s\n", weft_last_error()->message);
    exit(1);
}

static volatile float seen;

static void run_maxabs(speed_bench *b, const char *with)
{
    (void)with;
    seen = weft_kernel_maxabs(b->v, SPEED_COUNT);
}

static void run_draw(speed_bench *b, const char *with)
{
    (void)with;
    weft_kernel_draw_u16(&draw, 0, SPEED_COUNT, (uint16_t *)(void *)b->bytes);
}

static void quantize(speed_bench *b, unsigned top, weft_levels l)
{
    const weft_rounding r = {
        .ratio = (float)top / norm, .limit = (float)top * 65536.0f, .top = top};
    const size_t total = weft_levels_bytes(&l, SPEED_COUNT);
    for (size_t done = 0; done < SPEED_COUNT; done += WEFT_LEVELS_BATCH) {
        weft_numbers number;
        const size_t left = SPEED_COUNT - done;
        const size_t n = left < WEFT_LEVELS_BATCH ? left : WEFT_LEVELS_BATCH;
        const size_t at = weft_levels_bytes(&l, done);
        weft_kernel_drawn8(b->v + done, n, &r, &draw, done, number.byte);
        weft_levels_pack(&l, &number, n, b->bytes + at, total - at);
    }
}

static void run_8_bits(speed_bench *b, const char *with)
{
    (void)with;
    quantize(b, 127, weft_levels_for(254));
}

static void run_4_bits(speed_bench *b, const char *with)
{
    (void)with;
    quantize(b, 7, weft_levels_for(14));
}

static void run_2_bits(speed_bench *b, const char *with)
{
    (void)with;
    quantize(b, 1, weft_levels_for(3));
}

static void run_ternary(speed_bench *b, const char *with)
{
    (void)with;
    quantize(b, 1, weft_levels_for(2));
}

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    must(weft_codec_open(&c, spec));
    return c;
}

static void run_encode(speed_bench *b, const char *with)
{
    weft_codec *c = opened(with);
    const size_t cap = weft_codec_bound(c, SPEED_COUNT);
    must(weft_codec_encode(c, &draw, b->v, SPEED_COUNT, b->bytes, cap, &b->len));
    weft_codec_close(&c);
}

static void run_decode_add(speed_bench *b, const char *with)
{
    weft_codec *c = opened(with);
    const weft_stretch s = {.lane_count = SPEED_COUNT, .count = SPEED_COUNT};
    must(c->type->decode(c, &s, b->bytes, b->len, b->out, true));
    weft_codec_close(&c);
}

static void run_decode(speed_bench *b, const char *with)
{
    weft_codec *c = opened(with);
    must(weft_codec_decode(c, b->bytes, b->len, b->out, SPEED_COUNT));
    weft_codec_close(&c);
}

static weft_codec *shared_by_four(const char *spec)
{
    weft_codec *base = opened(spec), *c = NULL;
    must(weft_codec_share(&c, base, 4, &norm, 1));
    weft_codec_close(&base);
    return c;
}

static void prepare_combine(speed_bench *b, const char *with)
{
    weft_codec *c = shared_by_four(with);
    const weft_stretch s = {.lane_count = SPEED_COUNT, .count = SPEED_COUNT};
    must(c->type->encode(c, &draw, b->v, &s, b->bytes, SIZE_MAX, &b->len));
    weft_codec_close(&c);
}

static void run_combine(speed_bench *b, const char *with)
{
    weft_codec *c = shared_by_four(with);
    const weft_stretch s = {.lane_count = SPEED_COUNT, .count = SPEED_COUNT};
    must(c->type->combine(c, &s, b->bytes, b->len, b->bytes, b->len, b->more, &b->more_len, NULL));
    weft_codec_close(&c);
}

/* Levels of the Gaussians by their root of a mean square: words, in `more`. */
enum { ELIAS_TOP = 5000 };

static void prepare_words(speed_bench *b, const char *with)
{
    const weft_rounding r = {.ratio = 1, .limit = ELIAS_TOP * 65536.0f, .top = ELIAS_TOP};
    uint16_t *random = (uint16_t *)(void *)b->bytes, *word = (uint16_t *)(void *)b->more;
    (void)with;
    weft_kernel_draw_u16(&draw, 0, SPEED_COUNT, random);
    weft_kernel_levels16(b->v, SPEED_COUNT, &r, random, word);
}

static void run_elias_write(speed_bench *b, const char *with)
{
    static weft_elias_writer w;
    const uint16_t *word = (const uint16_t *)(const void *)b->more;
    const bool sparse = *with == 's';
    weft_elias_write_begin(&w, sparse, 1, ELIAS_TOP, b->bytes);
    for (size_t done = 0; done < SPEED_COUNT; done += WEFT_LEVELS_BATCH)
        weft_elias_write(&w, word + done,
                         SPEED_COUNT - done < WEFT_LEVELS_BATCH ? SPEED_COUNT - done
                                                                : WEFT_LEVELS_BATCH);
    b->len = (size_t)(weft_elias_write_end(&w) - b->bytes);
}

#define ROOT "qsgd:levels=5000,bucket=0,norm=2,code=elias" /* sqrt(SPEED_COUNT) */

const speed_row speed_quant_rows[] = {
    {.name = "max-abs", .ratio = 1.6, .run = run_maxabs},
    {.name = "Philox4x32-10, 16 bits an element", .run = run_draw},
    {.name = "quantize and pack, 8 bits", .ratio = 0.8, .run = run_8_bits},
    {.name = "quantize and pack, 4 bits", .ratio = 0.8, .run = run_4_bits},
    {.name = "quantize and pack, 2 bits", .ratio = 0.8, .run = run_2_bits},
    {.name = "quantize and pack, ternary", .ratio = 0.8, .run = run_ternary},
    {.name = "encode qsgd levels=127", .run = run_encode, .with = "qsgd:levels=127"},
    {.name = "decode-add qsgd levels=127",
     .ratio = 1.2,
     .prepare = run_encode,
     .run = run_decode_add,
     .with = "qsgd:levels=127"},
    {.name = "encode qsgd levels=7", .run = run_encode, .with = "qsgd:levels=7"},
    {.name = "decode-add qsgd levels=7",
     .ratio = 1.2,
     .prepare = run_encode,
     .run = run_decode_add,
     .with = "qsgd:levels=7"},
    {.name = "encode qsgd levels=1", .run = run_encode, .with = "qsgd:levels=1"},
    {.name = "decode-add qsgd levels=1",
     .ratio = 1.2,
     .prepare = run_encode,
     .run = run_decode_add,
     .with = "qsgd:levels=1"},
    {.name = "encode Elias, levels=sqrt(n)", .elements = 250e6, .run = run_encode, .with = ROOT},
    {.name = "decode Elias, levels=sqrt(n)",
     .elements = 130e6,
     .prepare = run_encode,
     .run = run_decode,
     .with = ROOT},
    {.name = "Elias' codes of levels, written dense",
     .elements = 250e6,
     .prepare = prepare_words,
     .run = run_elias_write,
     .with = "dense"},
    {.name = "Elias' codes of levels, written sparse",
     .elements = 250e6,
     .prepare = prepare_words,
     .run = run_elias_write,
     .with = "sparse"},
    {.name = "combine shared levels=1",
     .prepare = prepare_combine,
     .run = run_combine,
     .with = "qsgd:levels=1,bucket=0"},
    {.name = "combine shared levels=7",
     .prepare = prepare_combine,
     .run = run_combine,
     .with = "qsgd:levels=7,bucket=0"},
    {.name = "combine shared levels=127",
     .prepare = prepare_combine,
     .run = run_combine,
     .with = "qsgd:levels=127,bucket=0"},
    {.name = NULL},
};
