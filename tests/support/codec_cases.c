/* SPDX-License-Identifier: Apache-2.0 */
#include "support/codec_cases.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { FILL = 0xd5 };

static double gaussian(weft_rng *rng)
{
    double radius = sqrt(-2.0 * log(1.0 - weft_rng_unit(rng)));
    return radius * cos(6.283185307179586 * weft_rng_unit(rng));
}

void codec_vector(float *v, size_t count, enum shape shape, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++) {
        double g = gaussian(&rng), u = weft_rng_unit(&rng);
        if (shape == HEAVY)
            g /= u + 1e-3;
        if (shape == SPARSE && u > 0.1)
            g = 0;
        v[i] = (float)g;
    }
}

/* Parameters that matter together. */
static const char *const together[] = {
    "qsgd:levels=1,bucket=16",
    "qsgd:levels=1,bucket=64,norm=2",
    "qsgd:levels=3,bucket=7,norm=1",
    "qsgd:levels=127,bucket=64",
    "qsgd:levels=255,bucket=0,norm=2",
    "sign:bucket=7",
    "onebit:bucket=24",
    "minmax8:bucket=100",
    "hadamard:inner=qsgd2,block=64",
    "hadamard:inner=qsgd8,block=8",
    "qsgd:levels=3,bucket=64,scale=pow2,code=auto",
    "qsgd:levels=1,bucket=0,norm=2,scale=bf16,code=elias",
    "tern:clip=0,bucket=64",
    "randk:density=0.25",
    "topk:density=0.1,values=qsgd8",
};

/* The i-th way to set parameter p of type t, of *i left. */
static bool setting(const weft_codec_type *t, const weft_param *p, int *i, char *out)
{
    for (int end = 0; !p->choices && !p->text && end < 2; end++) {
        snprintf(out, WEFT_SPEC_TEXT, "%s:%s=%.17g", t->name, p->key, end ? p->max : p->min);
        if ((*i)-- == 0)
            return true;
    }
    for (const char *word = p->choices; word; word = strchr(word, '|')) {
        word += *word == '|';
        snprintf(out, WEFT_SPEC_TEXT, "%s:%s=%.*s", t->name, p->key, (int)strcspn(word, "|"), word);
        if ((*i)-- == 0)
            return true;
    }
    return false;
}

bool codec_spec_at(int i, char out[WEFT_SPEC_TEXT])
{
    const weft_codec_type *t;
    for (int row = 0; (t = weft_codec_type_at(row)); row++) {
        snprintf(out, WEFT_SPEC_TEXT, "%s", t->name);
        if (i-- == 0)
            return true;
        for (const weft_param *p = t->params; p->key; p++)
            if (setting(t, p, &i, out))
                return true;
    }
    if (i >= (int)(sizeof(together) / sizeof(together[0])))
        return false;
    snprintf(out, WEFT_SPEC_TEXT, "%s", together[i]);
    return true;
}

weft_codec *codec_opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

uint8_t *codec_room(size_t bytes)
{
    uint8_t *p = malloc(bytes + CODEC_CANARY);
    cr_assert_not_null(p);
    memset(p + bytes, FILL, CODEC_CANARY);
    return p;
}

bool codec_room_kept(const uint8_t *room, size_t bytes)
{
    for (size_t i = 0; i < CODEC_CANARY; i++)
        if (room[bytes + i] != FILL)
            return false;
    return true;
}

weft_stretch codec_span(const weft_codec *c, size_t lane_count, size_t off, weft_rng *rng)
{
    const size_t left = lane_count - off, edge = c->type->block(c);
    const bool whole = c->type->traits & WEFT_CODEC_WHOLE;
    const bool blocks = c->type->traits & WEFT_CODEC_BLOCKS;
    const bool has_edges = edge > 0 && edge < lane_count;
    weft_stretch s = {.lane_count = lane_count, .off = off, .count = left};
    if (whole || (blocks && !has_edges))
        return s;
    const size_t unit = has_edges && (blocks || weft_rng_below(rng, 2)) ? edge : 8;
    const size_t n = unit * (1 + weft_rng_below(rng, 1 + lane_count / 4 / unit));
    s.count = n < left ? n : left;
    return s;
}
