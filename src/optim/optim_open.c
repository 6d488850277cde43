/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: what options and SPEC say, and the vectors that come of it. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "optim/optim.h"
#include <weft/codec.h>
#include <weft/group.h>

static const uint64_t max_count = UINT64_C(1) << 40;

static int check_value(const char *name, double value)
{
    if (isfinite(value) && value >= 0.0) {
        return WEFT_OK;
    }
    return weft_fail(WEFT_EINVAL, "%s %g is not a number from 0 up", name, value);
}

/* Everything that the options say by themselves. */
static int take_options(weft_optim *o, const weft_optim_opts *opts)
{
    const weft_smoothness *m = &opts->smoothness;
    const char *const names[] = {
        "l1", "l2", "smoothness.L", "smoothness.Lmax", "smoothness.Lrow", "smoothness.mu"};
    const double values[] = {opts->l1, opts->l2, m->L, m->Lmax, m->Lrow, m->mu};
    int code = WEFT_OK;

    for (size_t i = 0; code == WEFT_OK && i < sizeof(values) / sizeof(values[0]); i++) {
        code = check_value(names[i], values[i]);
    }
    if (code == WEFT_OK && m->mu > m->L && m->L > 0.0) {
        code = weft_fail(WEFT_EINVAL, "smoothness.mu %g is above smoothness.L %g", m->mu, m->L);
    }
    if (code == WEFT_OK && m->minibatch && o->name->full_only) {
        code = weft_fail(WEFT_ENOTSUP, "takes full gradients: take sgd for minibatches");
    }
    if (code == WEFT_OK) {
        code = weft_lr_parse(opts->lr != NULL ? opts->lr : "theory", &o->rule);
    }
    if (code == WEFT_OK) {
        code =
            weft_schedule_parse(opts->schedule != NULL ? opts->schedule : "constant", &o->schedule);
    }
    o->prox.l1 = opts->l1;
    o->prox.l2 = opts->l2;
    o->setting.smoothness = *m;
    return code;
}

static int keep_text(char **to, const char *text)
{
    *to = weft_strdup(text);
    return *to != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory");
}

/* The value of a codec's key "bucket", and where it stands in its SPEC; NULL: it has none. */
static const char *find_bucket(const char *spec, double *ret)
{
    const char *at = strstr(spec, "bucket=");

    if (at == NULL || (at[-1] != ':' && at[-1] != ',')) {
        return NULL;
    }
    at += strlen("bucket=");
    *ret = strtod(at, NULL);
    return at;
}

/* omega where all peers share the scale of a block: that of blocks as many times as long as there
 * are peers. */
static int shared_omega(const weft_optim *o, const weft_codec *codec, size_t count, double *ret)
{
    char text[WEFT_SPEC_TEXT];
    const char *spec = weft_codec_spec(codec);
    double bucket = 0.0;
    const char *at = find_bucket(spec, &bucket);
    weft_codec *whole = NULL;

    if (at == NULL) {
        return weft_codec_omega(codec, count, ret);
    }
    const size_t block = bucket > 0.0 && bucket < (double)count ? (size_t)bucket : count;
    snprintf(text, sizeof(text), "%.*s0%s", (int)(at - spec), spec, at + strspn(at, "0123456789"));
    int code = weft_codec_open(&whole, text);
    if (code == WEFT_OK) {
        code = weft_codec_omega(whole, block * (size_t)weft_group_size(o->group), ret);
    }
    weft_codec_close(&whole);
    return code;
}

/* The largest omega of a tensor that is encoded; 0 of a biased codec. */
static int worst_omega(const weft_optim *o, const weft_codec *codec, bool shared, double *ret)
{
    double worst = 0.0;

    for (size_t i = 0; weft_codec_is_unbiased(codec) && i < o->part_count; i++) {
        double omega = 0.0;
        if (o->parts[i].raw) {
            continue;
        }
        const int code = shared ? shared_omega(o, codec, o->parts[i].count, &omega)
                                : weft_codec_omega(codec, o->parts[i].count, &omega);
        if (code != WEFT_OK) {
            return code;
        }
        worst = omega > worst ? omega : worst;
    }
    *ret = worst;
    return WEFT_OK;
}

/* The codec's full SPEC and omega are kept. */
static int take_codec(weft_optim *o, const char *asked)
{
    const char *spec = asked != NULL ? asked : o->name->codec != NULL ? o->name->codec : "raw";
    weft_codec *codec = NULL;
    int code = weft_codec_open(&codec, spec);

    if (code == WEFT_OK && !o->name->any_codec && !weft_codec_is_unbiased(codec)) {
        code = weft_fail(WEFT_ENOTSUP,
                         "needs an unbiased codec, %s is biased: take ef or ef21, which keep what "
                         "it loses",
                         weft_codec_spec(codec));
    }
    if (code == WEFT_OK && o->name->any_codec && weft_codec_draws_alike(codec)) {
        code =
            weft_fail(WEFT_ENOTSUP,
                      "keeps what a codec loses, and %s, which makes what it sends as many times "
                      "larger as it sends less, loses more than it was given: take topk",
                      weft_codec_spec(codec));
    }
    if (code == WEFT_OK) {
        const bool shared = weft_codec_is_unbiased(codec) && weft_parts_share_scales(o, spec);
        code = worst_omega(o, codec, shared, &o->setting.omega);
    }
    if (code == WEFT_OK) {
        o->setting.peers = weft_codec_draws_alike(codec) ? 1 : weft_group_size(o->group);
        code = keep_text(&o->codec, weft_codec_spec(codec));
    }
    weft_codec_close(&codec);
    return code;
}

static int take_reply(weft_optim *o, const char *spec)
{
    weft_codec *codec = NULL;
    int code = weft_codec_open(&codec, spec);

    if (code == WEFT_OK && strcmp(weft_codec_spec(codec), "raw") == 0) {
        o->reply_raw = true; /* which is how most replies go anyway */
        weft_codec_close(&codec);
        return WEFT_OK;
    }
    if (code == WEFT_OK) {
        code = keep_text(&o->reply, weft_codec_spec(codec));
        o->reply_biased = !weft_codec_is_unbiased(codec);
    }
    if (code == WEFT_OK) {
        code = worst_omega(o, codec, false, &o->setting.reply_omega);
    }
    weft_codec_close(&codec);
    return code;
}

/* A weight that an option or a key of the SPEC gives. */
static int take_weight(weft_optim *o, const char *key, const char *option, double *weight)
{
    const double asked = weft_optim_number(o, key);

    if (asked > 0.0 && *weight > 0.0) {
        return weft_fail(WEFT_EINVAL, "both the key %s and the option %s are given", key, option);
    }
    *weight += asked;
    weft_optim_set_number(o, key, *weight);
    return WEFT_OK;
}

/* What the keys of all methods say. */
static int take_keys(weft_optim *o)
{
    int code = take_weight(o, "prox_l1", "l1", &o->prox.l1);

    if (code == WEFT_OK) {
        code = take_weight(o, "prox_l2", "l2", &o->prox.l2);
    }
    o->prox.group = weft_optim_number(o, "prox_group");
    o->prox.block = (size_t)weft_optim_number(o, "prox_block");
    o->prox.low = weft_optim_number(o, "prox_low");
    o->prox.high = weft_optim_number(o, "prox_high");
    o->setting.l1 = o->prox.l1;
    o->setting.momentum = weft_optim_number(o, "momentum");
    o->clip = weft_optim_number(o, "clip");
    o->decay = weft_optim_number(o, "decay");
    if (code == WEFT_OK) {
        code = weft_prox_check(&o->prox);
    }
    if (code == WEFT_OK && weft_optim_wide(o) && !o->type->wide) {
        code = weft_fail(WEFT_ENOTSUP, "state=f64 goes with sgd and diana");
    }
    if (code == WEFT_OK && (float)o->setting.momentum >= 1.0f) {
        code = weft_fail(WEFT_EINVAL, "momentum %g is not below 1", o->setting.momentum);
    }
    return code;
}

/* What the SPEC says, and the step size that comes out of all. */
static int take_spec(weft_optim *o, const char *spec)
{
    const weft_param *params = o->name->info.params;
    int code = weft_spec_parse("optimizer", spec, params, &o->spec);

    if (code == WEFT_OK) {
        code = take_keys(o);
    }
    if (code == WEFT_OK) {
        code = o->type->steps(o);
    }
    if (code != WEFT_OK) {
        return code;
    }
    /* What a reply loses adds to what contributions lose. */
    o->bound /= 1.0 + o->setting.reply_omega;
    if (o->rule.kind != WEFT_LR_NUMBER) {
        o->lr *= o->rule.value / (1.0 + o->setting.reply_omega);
    }
    if (!((float)o->lr > 0.0f && o->lr <= (double)FLT_MAX)) {
        return weft_fail(WEFT_EINVAL, "the step size %g is no positive float32", o->lr);
    }
    if (o->decay * o->lr >= 1.0) {
        return weft_fail(WEFT_EINVAL, "lr %g times decay %g is not below 1", o->lr, o->decay);
    }
    weft_spec_format(&o->spec, params, o->text, sizeof(o->text));
    return weft_schedule_rate(&o->schedule, o->setting.smoothness.mu, o->lr);
}

static int set_up(weft_optim *o, const char *spec, const weft_optim_opts *opts)
{
    int code = weft_optim_find(o, spec);
    const char *algo = opts->algo != NULL ? opts->algo : code == WEFT_OK ? o->name->algo : NULL;

    if (code == WEFT_OK) {
        code = take_options(o, opts);
    }
    if (code == WEFT_OK) {
        code = weft_parts_make(o, opts);
    }
    if (code == WEFT_OK && algo != NULL) {
        code = keep_text(&o->algo, algo);
    }
    if (code == WEFT_OK) {
        code = weft_optim_reserve(o, &o->mean);
    }
    if (code == WEFT_OK) {
        code = take_codec(o, opts->codec);
    }
    if (code == WEFT_OK && opts->reply_codec != NULL) {
        code = take_reply(o, opts->reply_codec);
    }
    if (code == WEFT_OK) {
        code = take_spec(o, spec);
    }
    if (code == WEFT_OK) {
        code = weft_optim_reserve(o, &o->v);
    }
    if (code == WEFT_OK && o->name->oracle) {
        code = weft_optim_reserve(o, &o->estimate);
    }
    if (code == WEFT_OK) {
        code = o->type->reserve(o);
    }
    if (code == WEFT_OK && o->reply_biased && o->residual == NULL) {
        code = weft_fail(WEFT_ENOTSUP,
                         "needs an unbiased reply codec, %s is biased: a residual, as ef has, "
                         "would keep what it loses",
                         o->reply);
    }
    return code == WEFT_OK ? weft_parts_try(o) : code;
}

int weft_optim_open(weft_optim **ret, weft_group *group, const char *spec, size_t count,
                    const weft_optim_opts *opts)
{
    weft_optim_opts mine = {.size = sizeof(mine)};

    if (ret == NULL || group == NULL || spec == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer: %s is NULL",
                         ret == NULL     ? "ret"
                         : group == NULL ? "group"
                                         : "spec");
    }
    if (count == 0 || count > max_count) {
        return weft_fail(WEFT_EINVAL, "optimizer %s: count %zu is not 1 to 2^40", spec, count);
    }
    if (opts != NULL && opts->size < sizeof(opts->size)) {
        return weft_fail(WEFT_EINVAL, "optimizer %s: opts->size %zu is not set", spec, opts->size);
    }
    if (opts != NULL) {
        memcpy(&mine, opts, opts->size < sizeof(mine) ? opts->size : sizeof(mine));
    }
    weft_optim *o = weft_calloc(1, sizeof(*o));
    if (o == NULL) {
        return weft_fail(WEFT_ENOMEM, "optimizer %s: no memory", spec);
    }
    o->group = group;
    o->count = count;
    const int code = set_up(o, spec, &mine);
    if (code != WEFT_OK) {
        /* Errors of the SPEC itself begin with it. */
        if (strncmp(weft_last_error()->message, "optimizer ", strlen("optimizer ")) != 0) {
            weft_fail_context("optimizer %s", spec);
        }
        weft_optim_close(&o);
        return code;
    }
    *ret = o;
    return WEFT_OK;
}

void weft_optim_close(weft_optim **optim)
{
    if (optim == NULL || *optim == NULL) {
        return;
    }
    weft_optim *o = *optim;
    float *const vectors[] = {o->given,  o->mean,       o->work,   o->estimate, o->q,
                              o->h,      o->hbar,       o->v,      o->m,        o->m_next,
                              o->second, o->anchor,     o->memory, o->residual, o->residual_next,
                              o->owned,  o->memory_next};
    weft_parts_free(o);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        weft_free(vectors[i]);
    }
    weft_state64_close(&o->wide);
    weft_free(o->codec_now);
    weft_free(o->reply);
    weft_free(o->algo);
    weft_free(o->codec);
    weft_free(o);
    *optim = NULL;
}
