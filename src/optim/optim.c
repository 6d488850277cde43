/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/optim.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include <weft/codec.h>
#include <weft/collective.h>
#include <weft/group.h>

#define X(name) extern const weft_optim_type weft_optim_##name;
#include "optim/optims.def"
#undef X

#define X(name) &weft_optim_##name,
static const weft_optim_type *const types[] = {
#include "optim/optims.def"
};
#undef X

enum { TYPES = sizeof(types) / sizeof(types[0]), MAX_NAMES = 64 };

static const uint64_t max_count = UINT64_C(1) << 40;

const weft_info *weft_optim_info_at(int index)
{
    for (size_t t = 0; t < TYPES; t++) {
        for (const weft_optim_name *n = types[t]->names; n->info.name != NULL; n++) {
            if (index-- == 0) {
                return &n->info;
            }
        }
    }
    return NULL;
}

/* Index of a key in the method's table; the key must be there. */
static int index_of(const weft_optim *o, const char *key)
{
    const weft_param *params = o->name->info.params;
    int i = 0;

    while (params[i].key != NULL && strcmp(params[i].key, key) != 0) {
        i++;
    }
    assert(params[i].key != NULL);
    return i;
}

double weft_optim_number(const weft_optim *o, const char *key)
{
    return o->spec.number[index_of(o, key)];
}

bool weft_optim_wide(const weft_optim *o)
{
    return o->spec.choice[index_of(o, "state")] == 1;
}

void weft_optim_set_number(weft_optim *o, const char *key, double value)
{
    o->spec.number[index_of(o, key)] = value;
}

int weft_optim_reserve(weft_optim *o, float **vector)
{
    *vector = weft_calloc(o->count, sizeof(float));
    return *vector != NULL
               ? WEFT_OK
               : weft_fail(WEFT_ENOMEM, "no memory for a vector of %zu floats", o->count);
}

/* Find the method of that name, or say which there are. */
static int find(weft_optim *o, const char *spec)
{
    char wanted[WEFT_SPEC_NAME], list[256] = "";
    const char *words[MAX_NAMES];
    size_t count = 0;
    int code = weft_spec_name(spec, wanted);

    for (size_t t = 0; code == WEFT_OK && t < TYPES; t++) {
        for (const weft_optim_name *n = types[t]->names; n->info.name != NULL; n++) {
            if (strcmp(n->info.name, wanted) == 0) {
                o->type = types[t];
                o->name = n;
                return WEFT_OK;
            }
            const size_t used = strlen(list);
            snprintf(list + used, sizeof(list) - used, "%s%s", count > 0 ? ", " : "", n->info.name);
            if (count < MAX_NAMES) {
                words[count++] = n->info.name;
            }
        }
    }
    if (code != WEFT_OK) {
        return code;
    }
    const char *near = weft_nearest(wanted, words, count);
    return weft_fail(WEFT_EINVAL, "no method \"%s\"%s%s%s; there are %s", wanted,
                     near != NULL ? ", did you mean " : "", near != NULL ? near : "",
                     near != NULL ? "?" : "", list);
}

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
    o->l1 = opts->l1;
    o->l2 = opts->l2;
    o->setting.smoothness = *m;
    return code;
}

/* The codec must be unbiased; its full SPEC and omega are kept. */
static int take_codec(weft_optim *o, const char *spec)
{
    weft_codec *codec = NULL;
    int code = weft_codec_open(&codec, spec != NULL ? spec : "raw");

    if (code == WEFT_OK && !weft_codec_is_unbiased(codec)) {
        code = weft_fail(WEFT_ENOTSUP, "needs an unbiased codec, %s is biased",
                         weft_codec_spec(codec));
    }
    if (code == WEFT_OK) {
        code = weft_codec_omega(codec, o->count, &o->setting.omega);
    }
    if (code == WEFT_OK) {
        o->codec = weft_strdup(weft_codec_spec(codec));
        code = o->codec != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory");
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

/* What the method's own keys say, and the step size that comes out of all. */
static int take_spec(weft_optim *o, const char *spec)
{
    const weft_param *params = o->name->info.params;
    int code = weft_spec_parse("optimizer", spec, params, &o->spec);

    if (code != WEFT_OK) {
        return code;
    }
    o->setting.momentum = weft_optim_number(o, "momentum");
    if ((float)o->setting.momentum >= 1.0f) {
        return weft_fail(WEFT_EINVAL, "momentum %g is not below 1", o->setting.momentum);
    }
    code = take_weight(o, "prox_l1", "l1", &o->l1);
    if (code == WEFT_OK) {
        code = take_weight(o, "prox_l2", "l2", &o->l2);
    }
    if (code == WEFT_OK) {
        o->setting.l1 = o->l1;
        code = o->type->steps(o);
    }
    if (code != WEFT_OK) {
        return code;
    }
    if (o->rule.kind != WEFT_LR_NUMBER) {
        o->lr *= o->rule.value;
    }
    if (!((float)o->lr > 0.0f && o->lr <= (double)FLT_MAX)) {
        return weft_fail(WEFT_EINVAL, "the step size %g is no positive float32", o->lr);
    }
    weft_spec_format(&o->spec, params, o->text, sizeof(o->text));
    return WEFT_OK;
}

int weft_optim_open(weft_optim **ret, weft_group *group, const char *spec, size_t count,
                    const weft_optim_opts *opts)
{
    weft_optim_opts mine = {.size = sizeof(mine)};
    weft_optim *o = NULL;
    int code;

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
    o = weft_calloc(1, sizeof(*o));
    if (o == NULL) {
        return weft_fail(WEFT_ENOMEM, "optimizer %s: no memory", spec);
    }
    o->group = group;
    o->count = count;
    o->setting.peers = weft_group_size(group);
    code = find(o, spec);
    if (code == WEFT_OK) {
        code = take_options(o, &mine);
    }
    if (code == WEFT_OK) {
        code = take_codec(o, mine.codec);
    }
    if (code == WEFT_OK) {
        code = take_spec(o, spec);
    }
    if (code == WEFT_OK && mine.algo != NULL) {
        o->algo = weft_strdup(mine.algo);
        code = o->algo != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory");
    }
    if (code == WEFT_OK) {
        code = weft_optim_reserve(o, &o->mean);
    }
    if (code == WEFT_OK) {
        code = weft_optim_reserve(o, &o->v);
    }
    if (code == WEFT_OK) {
        code = o->type->reserve(o);
    }
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
    weft_state64_close(&o->wide);
    weft_free(o->v);
    weft_free(o->hbar);
    weft_free(o->h);
    weft_free(o->q);
    weft_free(o->work);
    weft_free(o->mean);
    weft_free(o->algo);
    weft_free(o->codec);
    weft_free(o);
    *optim = NULL;
}

static void spend(weft_optim *o, const weft_receipt *receipt)
{
    o->spending.encoded_bytes += receipt->encoded_bytes;
    o->spending.body_bytes_sent += receipt->body_bytes_sent;
    o->spending.wire_bytes_sent += receipt->wire_bytes_sent;
}

int weft_optim_exchange(weft_optim *o, const float *message)
{
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts opts = {
        .size = sizeof(opts),
        .algo = o->algo,
        .codec = o->codec,
        .own = o->q,
        .draw = o->steps + 1,
        .receipt = &receipt,
    };
    const int code =
        weft_allreduce(o->group, message, o->mean, o->count, WEFT_F32, WEFT_MEAN, &opts);

    if (code == WEFT_OK) {
        spend(o, &receipt);
        snprintf(o->using, sizeof(o->using), "%s", receipt.algo);
    }
    return code;
}

int weft_optim_exact_mean(weft_optim *o, const float *v, float *out)
{
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts opts = {.size = sizeof(opts), .algo = "auto", .receipt = &receipt};
    const int code = weft_allreduce(o->group, v, out, o->count, WEFT_F32, WEFT_MEAN, &opts);

    if (code == WEFT_OK) {
        spend(o, &receipt);
    }
    return code;
}

void weft_optim_descend(weft_optim *o, float *x, const float *direction)
{
    if (o->setting.momentum > 0.0) {
        weft_kernel_scale_add(o->v, (float)o->setting.momentum, direction, o->count);
    } else if (direction != o->v) {
        memcpy(o->v, direction, o->count * sizeof(float));
    }
    weft_kernel_axpy(x, -(float)o->lr, o->v, o->count);
    if (o->l1 > 0.0 || o->l2 > 0.0) {
        weft_kernel_prox(x, (float)(o->lr * o->l1), (float)(1.0 + o->lr * o->l2), o->count);
    }
}

int weft_optim_step(weft_optim *o, float *x, const float *gradient)
{
    if (o == NULL || x == NULL || gradient == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer step: %s is NULL",
                         o == NULL   ? "optim"
                         : x == NULL ? "x"
                                     : "gradient");
    }
    o->spending = (weft_step_cost){0};
    const fenv_t callers = weft_fp_enter();
    const int code = o->type->step(o, x, gradient);
    weft_fp_leave(&callers);
    if (code != WEFT_OK) {
        return weft_fail_context("optimizer %s, step %llu", o->name->info.name,
                                 (unsigned long long)o->steps + 1);
    }
    o->steps++;
    o->cost = o->spending;
    memcpy(o->used, o->using, sizeof(o->used));
    return WEFT_OK;
}

uint64_t weft_optim_steps(const weft_optim *o)
{
    return o->steps;
}

double weft_optim_lr(const weft_optim *o)
{
    return o->lr;
}

weft_step_cost weft_optim_cost(const weft_optim *o)
{
    return o->cost;
}

const char *weft_optim_spec(const weft_optim *o)
{
    return o->text;
}

const char *weft_optim_algo(const weft_optim *o)
{
    return o->used;
}

const float *weft_optim_state(const weft_optim *o, const char *name)
{
    const struct {
        const char *name;
        const float *vector;
    } vectors[] = {{"h", o->h}, {"hbar", o->hbar}, {"v", o->v}, {"q", o->q}};

    for (size_t i = 0; name != NULL && i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        if (strcmp(name, vectors[i].name) == 0) {
            return vectors[i].vector;
        }
    }
    return NULL;
}
