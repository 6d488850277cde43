/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Algorithms with the library's own codecs on plan_sim. What a peer's contribution decodes to does
 * not depend on algorithm, number of ranks or spans: so gather and scatter must give exactly the
 * decoded whole vectors summed in rank order.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "collectives/partition.h"
#include "plan/plan_sim.h"
#include "support/rows.h"

enum { MOST = 9 };

typedef struct world {
    weft_codec *codec, *raw;
    size_t count;
    int size;
    float *in[MOST], *out[MOST];
} world;

static const weft_codec *codec_of(const world *w, const weft_step *step)
{
    return step->raw ? w->raw : w->codec;
}

static weft_stretch stretch(const world *w, weft_span span)
{
    return (weft_stretch){.lane_count = w->count, .off = span.off, .count = span.count};
}

static size_t bound(void *user, weft_span span, bool raw)
{
    const world *w = user;
    const weft_stretch s = stretch(w, span);
    const weft_codec *c = raw ? w->raw : w->codec;
    return c->type->bound(c, &s);
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    const world *w = user;
    const weft_stretch s = stretch(w, at->step->span);
    const weft_codec *c = codec_of(w, at->step);
    const weft_draw draw = {.seed = 7, .member = (uint32_t)at->rank, .draw = 3};
    const bool reply = at->step->verb == WEFT_VERB_REPLY;
    return c->type->encode(c, &draw, reply ? w->out[at->rank] : w->in[at->rank], &s, slot, cap,
                           ret_len);
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    const world *w = user;
    const weft_stretch s = stretch(w, at->step->span);

    (void)len;
    w->codec->type->fold(w->codec, &s, slot, w->in[at->rank] + s.off);
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    const world *w = user;
    const weft_stretch s = stretch(w, at->step->span);
    const bool first = at->step->other_first;

    cr_assert_eq(len, other_len);
    w->codec->type->merge(w->codec, &s, slot, first ? other : slot, first ? slot : other);
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    const world *w = user;
    const weft_stretch s = stretch(w, at->step->span);
    const weft_codec *c = codec_of(w, at->step);
    return c->type->decode(c, &s, slot, len, w->out[at->rank] + s.off,
                           at->step->verb == WEFT_VERB_ADD);
}

static void open_world(world *w, const char *spec, int size, size_t count)
{
    *w = (world){.size = size, .count = count};
    cr_assert_eq(weft_codec_make(&w->codec, spec, WEFT_F32, WEFT_SUM, NULL), 0, "%s",
                 weft_last_error()->message);
    cr_assert_eq(weft_codec_make(&w->raw, "raw", WEFT_F32, WEFT_SUM, NULL), 0);
    for (int r = 0; r < size; r++) {
        weft_rng rng = {.state = (uint64_t)r + count};
        w->in[r] = calloc(count + 1, sizeof(float));
        w->out[r] = calloc(count + 1, sizeof(float));
        for (size_t i = 0; i < count; i++)
            w->in[r][i] = (float)(weft_rng_unit(&rng) - 0.5);
    }
}

static void close_world(world *w)
{
    for (int r = 0; r < w->size; r++) {
        free(w->in[r]);
        free(w->out[r]);
    }
    weft_codec_close(&w->codec);
    weft_codec_close(&w->raw);
}

static void simulate(world *w, const weft_algo *a, uint64_t seed)
{
    const weft_sim_ops ops = {
        .bound = bound, .fill = fill, .fold = fold, .merge = merge, .unpack = unpack};
    weft_plan plans[MOST];

    for (int r = 0; r < w->size; r++) {
        const weft_shape s = {.coll = WEFT_COLL_ALLREDUCE,
                              .rank = r,
                              .size = w->size,
                              .count = w->count,
                              .block = w->codec->type->block(w->codec)};
        cr_assert_eq(weft_algo_build(a, &s, &plans[r]), 0);
    }
    cr_assert_eq(weft_plan_simulate(plans, w->size, &ops, w, seed, NULL), 0, "%s: %s", a->name,
                 weft_last_error()->message);
    for (int r = 0; r < w->size; r++)
        weft_plan_free(&plans[r]);
}

/* Every rank's whole vector, encoded and decoded alone, summed in rank order. */
static void sum_decoded(const world *w, float *sum)
{
    const weft_draw base = {.seed = 7, .draw = 3};
    const size_t cap = weft_codec_bound(w->codec, w->count);
    float *one = calloc(w->count + 1, sizeof *one);
    void *body = malloc(cap + 1);

    for (int r = 0; r < w->size; r++) {
        weft_draw draw = base;
        size_t len;
        draw.member = (uint32_t)r;
        cr_assert_eq(weft_codec_encode(w->codec, &draw, w->in[r], w->count, body, cap, &len), 0);
        cr_assert_eq(weft_codec_decode(w->codec, body, len, one, w->count), 0);
        for (size_t i = 0; i < w->count; i++)
            sum[i] = r ? sum[i] + one[i] : one[i];
    }
    free(one);
    free(body);
}

static void check(const char *spec, int size, size_t count)
{
    const weft_algo *a;
    float *want = calloc(count + 1, sizeof *want);

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        world w;
        if (a->coll != WEFT_COLL_ALLREDUCE || (a->traits & WEFT_ALGO_GRAPH) || !rows_any_codec(a))
            continue;
        open_world(&w, spec, size, count);
        const bool merges = a->needs & WEFT_NEEDS_MERGE;
        if (!merges || (w.codec->type->traits & WEFT_CODEC_MERGES)) {
            simulate(&w, a, (uint64_t)row);
            sum_decoded(&w, want);
            for (int r = 0; r < size; r++) {
                const float *exact = merges ? w.out[0] : want;
                cr_assert_arr_eq(w.out[r], exact, count * sizeof *exact, "%s %s P=%d n=%zu rank %d",
                                 spec, a->name, size, count, r);
            }
            for (size_t i = 0; i < count; i++)
                cr_assert_leq(fabsf(w.out[0][i] - want[i]), 1e-6f * (float)size);
        }
        close_world(&w);
    }
    free(want);
}

Test(algos_codecs, decoded_contributions_do_not_depend_on_the_way)
{
    const char *const specs[] = {"raw",
                                 "qsgd",
                                 "qsgd:levels=1,bucket=16",
                                 "qsgd:levels=7,bucket=64,norm=2",
                                 "qsgd:levels=127,bucket=0",
                                 "qsgd:levels=1,bucket=100,norm=1"};
    const size_t counts[] = {0, 1, 7, 8, 63, 64, 65, 1009};

    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int P = 1; P <= MOST; P++)
            for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
                check(specs[s], P, counts[n]);
}
