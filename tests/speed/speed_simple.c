/* SPDX-License-Identifier: Apache-2.0 */
/* Signs, votes and the simple codecs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "codec/codec_vote.h"
#include "kernel/kernel_code.h"
#include "kernel_speed.h"

static const weft_draw draw = {.seed = 1, .member = 2, .draw = 3};
static const weft_stretch all = {.lane_count = SPEED_COUNT, .count = SPEED_COUNT};
enum { VOTE_BYTES = SPEED_COUNT / 8 + 64 };

static void must(int code)
{
    if (code == WEFT_OK)
        return;
    fprintf(stderr, "kernel_speed: %s\n", weft_last_error()->message);
    exit(1);
}

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    must(weft_codec_open(&c, spec));
    return c;
}

static weft_codec *vote_of(int peers)
{
    weft_codec *c = NULL;
    must(weft_codec_vote(&c, peers, WEFT_TIES_RANDOM));
    c->type->key(c, &draw);
    return c;
}

static volatile float seen;

static void run_sign_pack(speed_bench *b, const char *with)
{
    (void)with;
    seen = weft_kernel_pack_signs(b->v, SPEED_COUNT, b->bytes);
}

static void run_sign_spread(speed_bench *b, const char *with)
{
    (void)with;
    weft_kernel_spread_signs(b->bytes, 0, SPEED_COUNT, 1.0f, -1.0f, b->out);
}

/* `with` votes, of peers whose elements are each other's neighbours. */
static void prepare_vote(speed_bench *b, const char *with)
{
    const int peers = atoi(with);
    weft_codec *c = vote_of(peers);
    for (int p = 0; p < peers; p++) {
        const size_t shift = (size_t)p * 77, rest = SPEED_COUNT - shift;
        memcpy(b->out, b->v + shift, rest * sizeof(float));
        memcpy(b->out + rest, b->v, shift * sizeof(float));
        must(c->type->encode(c, &draw, b->out, &all, b->more + (size_t)p * VOTE_BYTES, VOTE_BYTES,
                             &b->more_len));
    }
    weft_codec_close(&c);
}

static void run_vote(speed_bench *b, const char *with)
{
    enum { PEERS_MOST = 32 };
    const void *in[PEERS_MOST];
    size_t len[PEERS_MOST];
    const int peers = atoi(with);
    weft_codec *c = vote_of(peers);
    for (int p = 0; p < peers; p++) {
        in[p] = b->more + (size_t)p * VOTE_BYTES;
        len[p] = b->more_len;
    }
    must(c->type->combine_many(c, &all, in, len, (size_t)peers, b->bytes, &b->len));
    weft_codec_close(&c);
}

static void prepare_count(speed_bench *b, const char *with)
{
    prepare_vote(b, with);
    run_vote(b, with);
}

static void run_vote_decode(speed_bench *b, const char *with)
{
    weft_codec *c = vote_of(atoi(with));
    must(c->type->decode(c, &all, b->bytes, b->len, b->out, false));
    weft_codec_close(&c);
}

static void run_encode(speed_bench *b, const char *with)
{
    weft_codec *c = opened(with);
    must(weft_codec_encode(c, &draw, b->v, SPEED_COUNT, b->bytes, 4 * SPEED_COUNT + 64, &b->len));
    weft_codec_close(&c);
}

static void run_decode_add(speed_bench *b, const char *with)
{
    weft_codec *c = opened(with);
    must(c->type->decode(c, &all, b->bytes, b->len, b->out, true));
    weft_codec_close(&c);
}

#define BOTH(spec)                                                                                 \
    {.name = "encode " spec, .run = run_encode, .with = spec},                                     \
    {                                                                                              \
        .name = "decode-add " spec, .prepare = run_encode, .run = run_decode_add, .with = spec     \
    }

const speed_row speed_simple_rows[] = {
    {.name = "sign pack", .ratio = 1.7, .run = run_sign_pack},
    {.name = "sign spread", .run = run_sign_spread},
    {.name = "vote of 8: count",
     .ratio = 2.0,
     .prepare = prepare_vote,
     .run = run_vote,
     .with = "8"},
    {.name = "vote of 31: count", .prepare = prepare_vote, .run = run_vote, .with = "31"},
    {.name = "vote of 8: to +1 and -1",
     .prepare = prepare_count,
     .run = run_vote_decode,
     .with = "8"},
    {.name = "vote of 9: to +1 and -1",
     .prepare = prepare_count,
     .run = run_vote_decode,
     .with = "9"},
    BOTH("f16"),
    BOTH("bf16"),
    BOTH("natural"),
    BOTH("sign:scaled=no"),
    BOTH("sign"),
    BOTH("onebit"),
    BOTH("minmax8"),
    BOTH("hadamard:inner=qsgd2"),
    BOTH("hadamard"),
    {.name = NULL},
};
