/* SPDX-License-Identifier: Apache-2.0 */
/* The table of methods, what they share, and what is asked of an optimizer. */
#include "optim/optim.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include <weft/codec.h>
#include <weft/group.h>

#define X(name) extern const weft_optim_type weft_optim_##name;
#include "optim/optims.def"
#undef X

#define X(name) &weft_optim_##name,
static const weft_optim_type *const types[] = {
#include "optim/optims.def"
};
#undef X

enum { TYPES = sizeof(types) / sizeof(types[0]), MAX_NAMES = 64, REFRESH_STEPS = 10000 };

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

int weft_optim_choice(const weft_optim *o, const char *key)
{
    return o->spec.choice[index_of(o, key)];
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

int weft_optim_reserve_all(weft_optim *o, float **const vectors[], size_t count)
{
    int code = WEFT_OK;

    for (size_t i = 0; code == WEFT_OK && i < count; i++) {
        code = weft_optim_reserve(o, vectors[i]);
    }
    return code;
}

int weft_optim_find(weft_optim *o, const char *spec)
{
    char wanted[WEFT_SPEC_NAME], list[512] = "";
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

/* --- for methods --------------------------------------------------------------------------- */

int weft_optim_lr_number(weft_optim *o)
{
    if (o->rule.kind != WEFT_LR_NUMBER) {
        return weft_fail(WEFT_ENOTSUP, "theory knows no step size for it: give lr as a number");
    }
    o->lr = o->rule.value;
    return WEFT_OK;
}

int weft_optim_lr_theory(weft_optim *o, int (*theory)(const weft_setting *s, double *ret_lr))
{
    double lr = 0.0;

    if (o->rule.kind == WEFT_LR_THEORY2019 || o->rule.kind == WEFT_LR_NONCONVEX) {
        return weft_fail(WEFT_ENOTSUP, "lr=%s is diana's: take lr=theory",
                         o->rule.kind == WEFT_LR_NONCONVEX ? "theory_nonconvex" : "theory2019");
    }
    const int code = theory(&o->setting, &lr);
    o->bound = code == WEFT_OK ? lr : 0.0;
    o->lr = o->rule.kind == WEFT_LR_NUMBER ? o->rule.value : lr;
    return o->rule.kind == WEFT_LR_NUMBER ? WEFT_OK : code;
}

float weft_optim_lr_now(const weft_optim *o)
{
    return (float)weft_optim_lr(o);
}

static int exact_mean(weft_optim *o, const void *v, void *out, weft_dtype dtype, bool decline)
{
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts opts = {
        .size = sizeof(opts), .algo = "auto", .receipt = &receipt, .decline = decline};
    const int code = weft_allreduce(o->group, v, out, o->count, dtype, WEFT_MEAN, &opts);

    if (code == WEFT_OK) {
        o->spending.encoded_bytes += receipt.encoded_bytes;
        o->spending.body_bytes_sent += receipt.body_bytes_sent;
        o->spending.wire_bytes_sent += receipt.wire_bytes_sent;
    }
    return code;
}

int weft_optim_tell(const weft_optim *o, const void *mine, void *all, size_t count,
                    weft_dtype dtype, weft_op op)
{
    const weft_coll_opts opts = {.size = sizeof(opts), .algo = "auto"};
    return weft_allreduce(o->group, mine, all, count, dtype, op, &opts);
}

int weft_optim_exact_mean(weft_optim *o, const float *v, float *out)
{
    return exact_mean(o, v, out, WEFT_F32, false);
}

void weft_optim_decline_mean(weft_optim *o)
{
    (void)exact_mean(o, o->mean, o->mean, WEFT_F32, true);
}

int weft_optim_exact_mean64(weft_optim *o, const double *v, double *out)
{
    return exact_mean(o, v, out, WEFT_F64, false);
}

void weft_optim_clip(const weft_optim *o, float *direction, float lr)
{
    if (o->clip > 0.0 && lr > 0.0f) {
        /* Error feedback has the step size in its directions already: lr is 1. */
        const double most = o->clip * weft_optim_lr(o) / (double)lr;
        const double norm = sqrt(weft_kernel_sumsq(direction, o->count));
        if (norm > most) {
            weft_kernel_scale(WEFT_F32, direction, o->count, most / norm);
        }
    }
}

bool weft_optim_refreshes(const weft_optim *o)
{
    return o->h != NULL && o->steps > 0 && o->steps % REFRESH_STEPS == 0;
}

void weft_optim_descend(weft_optim *o, float *x, float *direction, float lr)
{
    weft_optim_clip(o, direction, lr);
    if (o->setting.momentum > 0.0) {
        weft_kernel_scale_add(o->v, (float)o->setting.momentum, direction, o->count);
    } else if (direction != o->v) {
        memcpy(o->v, direction, o->count * sizeof(float));
    }
    weft_optim_shrink(o, x);
    weft_kernel_axpy(x, -lr, o->v, o->count);
    weft_prox_apply(&o->prox, weft_optim_lr(o), x, o->count);
}

void weft_optim_shrink(const weft_optim *o, float *x)
{
    if (o->decay > 0.0) {
        weft_kernel_scale(WEFT_F32, x, o->count, 1.0 - weft_optim_lr(o) * o->decay);
    }
}

/* What the codec's own table says of one of its keys. false: the codec is another one. */
static bool codec_number(const weft_optim *o, const char *name, const char *key, double *ret)
{
    char mine[WEFT_SPEC_NAME];
    weft_spec spec;
    weft_info codec;

    if (weft_spec_name(o->codec, mine) != WEFT_OK || strcmp(mine, name) != 0) {
        return false;
    }
    for (int i = 0; weft_info_get(WEFT_FAMILY_CODEC, i, &codec); i++) {
        if (strcmp(codec.name, name) != 0) {
            continue;
        }
        for (int k = 0; codec.params[k].key != NULL; k++) {
            if (strcmp(codec.params[k].key, key) == 0) {
                *ret = weft_spec_parse("codec", o->codec, codec.params, &spec) == WEFT_OK
                           ? spec.number[k]
                           : (double)NAN;
                return true;
            }
        }
    }
    return false;
}

bool weft_optim_one_level(const weft_optim *o)
{
    double levels;
    return codec_number(o, "qsgd", "levels", &levels) && levels == 1.0;
}

double weft_optim_share(weft_optim *o)
{
    double k, density, least = 1.0;

    if (!codec_number(o, "topk", "k", &k) || !codec_number(o, "topk", "density", &density)) {
        return 0.0;
    }
    density = isnan(density) ? WEFT_TOPK_DENSITY : density;
    for (size_t i = 0; i < o->part_count; i++) {
        weft_part *p = &o->parts[i];
        p->share = isnan(k) ? density : fmin(k / (double)p->count, 1.0);
        least = p->raw ? least : fmin(least, p->share);
    }
    return least;
}

double weft_optim_coin(const weft_optim *o)
{
    const weft_draw draw = {.seed = weft_group_seed(o->group),
                            .member = UINT32_MAX - 1, /* no rank's */
                            .draw = o->steps + 1};
    uint16_t bits[2];

    weft_draw_u16(&draw, 0, 2, bits);
    return ((double)bits[0] * 65536.0 + (double)bits[1]) / 4294967296.0;
}

uint64_t weft_optim_steps(const weft_optim *o)
{
    return o->steps;
}

double weft_optim_base_lr(const weft_optim *o)
{
    return o->lr;
}

double weft_optim_lr(const weft_optim *o)
{
    return o->lr * weft_schedule_at(&o->schedule, o->steps);
}

double weft_optim_bound(const weft_optim *o)
{
    return o->bound;
}

weft_step_cost weft_optim_cost(const weft_optim *o)
{
    return o->cost;
}

const char *weft_optim_spec(const weft_optim *o)
{
    return o->text;
}

const char *weft_optim_codec(const weft_optim *o)
{
    return o->codec;
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
    } vectors[] = {
        {"h", o->h}, {"hbar", o->hbar},         {"v", o->v},
        {"q", o->q}, {"residual", o->residual}, {"m", o->name->m != WEFT_M_SCRATCH ? o->m : NULL}};

    for (size_t i = 0; name != NULL && i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        if (strcmp(name, vectors[i].name) == 0) {
            return vectors[i].vector;
        }
    }
    return NULL;
}
