/* SPDX-License-Identifier: Apache-2.0 */
#include "coding/coding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/codec_region.h"
#include "codec/codec_shared.h"
#include "codec/codec_vote.h"

#define LEAST_DENSITY 1e-9 /* of codec topk, which selects one element at least */

/* The row that a SPEC names; NULL: none, or not one of the table. */
static const weft_algo *named(const weft_coding_ask *ask)
{
    char name[WEFT_SPEC_NAME];
    const weft_algo *a;

    if (!ask->algo || weft_spec_name(ask->algo, name))
        return NULL; /* which the choice reports */
    for (int i = 0; (a = weft_algo_at(i)); i++)
        if (a->coll == ask->coll && strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* The codec that goes with an algorithm where none is asked for. */
static const char *usual(const weft_algo *a)
{
    const uint32_t needs = a ? a->needs : 0;

    return needs & WEFT_NEEDS_SIGNS ? "sign:scaled=no" : needs & WEFT_NEEDS_PAIRS ? "topk" : "raw";
}

static int open_reply(weft_coding *k, const weft_coding_ask *ask)
{
    /* Where sums may be encoded again, replies are encoded like contributions. */
    const bool alike = ask->fidelity == WEFT_FIDELITY_REQUANTIZED && weft_codec_lossy(k->codec) &&
                       !(k->codec->type->traits & (WEFT_CODEC_WHOLE | WEFT_CODEC_COMMON));
    const char *spec = ask->reply ? ask->reply : alike ? weft_codec_spec(k->codec) : "raw";
    const int rc = weft_codec_make(&k->reply, spec, ask->dtype, ask->op, ask->user_op);

    if (rc)
        return weft_fail_context("reply");
    k->replies_lossy = weft_codec_lossy(k->reply);
    k->reply_asked = ask->reply && k->replies_lossy;
    if (k->reply->type->traits & WEFT_CODEC_WHOLE)
        return weft_fail(WEFT_ENOTSUP,
                         "reply codec %s encodes a vector as a whole, replies are parts of it",
                         k->reply->type->name);
    /* A place that was drawn is drawn again, and its value multiplied again. */
    if (k->codec->type->traits & k->reply->type->traits & WEFT_CODEC_COMMON)
        return weft_fail(WEFT_ENOTSUP,
                         "codec %s draws alike wherever it encodes: its sums are no input of reply "
                         "codec %s",
                         k->codec->type->name, k->reply->type->name);
    if (k->replies_lossy && ask->fidelity == WEFT_FIDELITY_EXACT)
        return weft_fail(WEFT_EINVAL,
                         "fidelity exact and reply codec %s: a reply that is encoded "
                         "is requantized",
                         weft_codec_spec(k->reply));
    return WEFT_OK;
}

int weft_coding_open(weft_coding *ret, const weft_coding_ask *ask)
{
    const weft_algo *a = named(ask);
    weft_coding k = {.fidelity = ask->fidelity};
    int rc = weft_codec_make(&k.codec, ask->codec ? ask->codec : usual(a), ask->dtype, ask->op,
                             ask->user_op);

    if (!rc && ask->coll != WEFT_COLL_ALLREDUCE && weft_codec_lossy(k.codec))
        rc = weft_fail(WEFT_ENOTSUP, "codec %s serves allreduce only", k.codec->type->name);
    if (!rc && (unsigned)ask->fidelity > WEFT_FIDELITY_REQUANTIZED)
        rc = weft_fail(WEFT_EINVAL, "fidelity %d is none", (int)ask->fidelity);
    if (!rc && a && (a->needs & WEFT_NEEDS_SIGNS) && ask->op != WEFT_SUM)
        rc = weft_fail(WEFT_ENOTSUP, "algorithm vote: %s of signs: takes sum",
                       weft_op_name(ask->op));
    if (!rc)
        rc = open_reply(&k, ask);
    if (!rc) {
        k.once = ask->own || (!ask->residual && !weft_codec_is_unbiased(k.codec));
        k.owned = ask->owned;
    }
    if (rc) {
        weft_coding_close(&k);
        return rc;
    }
    *ret = k;
    return WEFT_OK;
}

void weft_coding_close(weft_coding *k)
{
    weft_codec_close(&k->codec);
    weft_codec_close(&k->reply);
    weft_codec_close(&k->base);
    weft_free(k->scales);
    k->scales = NULL;
}

static bool signs_only(const weft_codec *c)
{
    return strcmp(c->type->name, "sign") == 0 && strstr(c->text, "scaled=no") != NULL;
}

static double encoded(const weft_codec *c, uint64_t count, double element)
{
    return count == 0 ? element : (double)weft_codec_bound(c, (size_t)count) / (double)count;
}

void weft_coding_choice(const weft_coding *k, uint64_t count, weft_choice *c)
{
    const double element = (double)c->element_bytes;

    c->encoded_bytes = encoded(k->codec, count, element);
    c->reply_bytes = encoded(k->reply, count, element);
    c->traits = k->codec->type->traits;
    c->levels = k->codec->type->levels ? k->codec->type->levels(k->codec) : 0;
    c->signs = signs_only(k->codec);
    c->adds_pairs = k->codec->type->combines && k->codec->type->combines(k->codec);
    c->cuts_pairs = weft_codec_has_regions(k->codec);
    c->reply_asked = k->reply_asked;
    c->once = k->once;
    c->owned = k->owned;
    c->fidelity = k->fidelity;
}

static int share(weft_coding *k, int size, uint64_t count)
{
    weft_codec *shared = NULL;

    k->scale_count = weft_codec_measure_count(k->codec, count);
    k->scales = weft_calloc(k->scale_count + 1, sizeof *k->scales);
    if (!k->scales)
        return weft_fail(WEFT_ENOMEM, "no memory for %zu scales", k->scale_count);
    const int rc = weft_codec_share(&shared, k->codec, size, k->scales, k->scale_count);
    if (rc)
        return rc;
    k->base = k->codec;
    k->codec = shared;
    return WEFT_OK;
}

/* Replies are the majority: nothing else than -1 and 1, or 0 where ties are that. */
static int vote(weft_coding *k, const weft_pick *p, int size)
{
    static const weft_ties ties[] = {WEFT_TIES_RANDOM, WEFT_TIES_PLUS, WEFT_TIES_MINUS,
                                     WEFT_TIES_ZERO}; /* order of the choices of allreduce_vote.c */
    const weft_ties rule = ties[p->spec.choice[0]];
    weft_codec *counts = NULL, *reply = NULL;
    int rc = weft_codec_vote(&counts, size, rule);

    if (rc)
        return rc;
    k->base = k->codec;
    k->codec = counts;
    rc = weft_codec_open(&reply, rule == WEFT_TIES_ZERO ? "qsgd:levels=1,bucket=0,norm=max"
                                                        : "sign:scaled=no");
    if (rc)
        return rc;
    weft_codec_close(&k->reply);
    k->reply = reply;
    return WEFT_OK;
}

/* Every owner keeps its share of the k. */
static int split(weft_coding *k, int size, uint64_t count, weft_regions *kept, unsigned every)
{
    char spec[WEFT_SPEC_TEXT];
    weft_codec *regions = NULL, *reply = NULL;
    size_t most, each;
    int rc;

    most = weft_codec_region_most(k->codec, (size_t)count);
    each = most / (size_t)size + (most % (size_t)size != 0);
    /* A share of the k where cuts follow what is selected, else a share of the span. */
    if (kept && most < count)
        snprintf(spec, sizeof spec, "topk:k=%zu", each > 0 ? each : 1);
    else
        snprintf(spec, sizeof spec, "topk:density=%.17g",
                 most < count ? fmax((double)most / (double)count, LEAST_DENSITY) : 1.0);
    if ((rc = weft_codec_region(&regions, k->codec, kept, every)))
        return rc;
    weft_codec_close(&k->codec);
    k->codec = regions;
    if ((rc = weft_codec_open(&reply, spec)))
        return rc;
    weft_codec_close(&k->reply);
    k->reply = reply;
    k->returns = true;
    return WEFT_OK;
}

int weft_coding_follow(weft_coding *k, const weft_pick *p, int size, uint64_t count,
                       weft_regions *regions)
{
    const weft_algo *a = p->algo;

    k->requantizes = (a->needs & WEFT_NEEDS_LOSSY) != 0;
    k->selects = (a->traits & WEFT_ALGO_SELECTS) != 0;
    if (k->selects)
        k->rule = (weft_residual_rule)p->spec.choice[0]; /* the order is that of the enum */
    if (a->traits & WEFT_ALGO_SPLITS)
        return split(k, size, count, regions, (unsigned)p->spec.number[0]);
    if (a->needs & WEFT_NEEDS_SHARED)
        return share(k, size, count);
    return a->needs & WEFT_NEEDS_SIGNS ? vote(k, p, size) : WEFT_OK;
}
