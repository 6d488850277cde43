/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIANA (Mishchenko, Gorbunov, Takac, Richtarik 2019): peers exchange compressed differences from
 * memories that they learn, so that the messages, and the codec's noise with them, go to zero:
 *   Delta_i = g_i - h_i;  D_i = Q(Delta_i);  D = mean_i D_i;  ghat = hbar + D (the old hbar);
 *   hbar = hbar + alpha D;  h_i = h_i + alpha D_i;  v = beta v + ghat;  x = prox(x - lr v).
 * hbar = mean_i h_i but for rounding, which a refresh removes.
 *
 * With alpha = 0 the memories stay 0 and are not held: the method is sgd, bit for bit. A lossless
 * codec has nothing to remember, and in floats (g - h) + h is not g: alpha=auto is 0 there, and
 * diana is gradient descent, bit for bit.
 */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

/* hbar drifts from mean_i h_i by at most 2^-24 alpha max|D| a step: each so many steps it is
 * computed anew by an exact allreduce of the memories. With state=f64 the drift is 2^29 times
 * smaller and is left. */
enum { REFRESH_STEPS = 10000 };

static const weft_param params[] = {
    {.key = "alpha",
     .value = "auto",
     .min = 0.0,
     .max = 1.0,
     .help = "rate at which memories learn; auto: 1/(1+omega), 0 for lossless codecs"},
    WEFT_OPTIM_PARAMS,
};

/* One level of quantization, as the theory of 2019 takes it: the codec's own parameters tell. */
static int check_one_level(const weft_optim *o)
{
    char name[WEFT_SPEC_NAME];
    weft_spec spec;
    int code = weft_spec_name(o->codec, name);

    for (int i = 0; code == WEFT_OK; i++) {
        weft_info codec;
        if (!weft_info_get(WEFT_FAMILY_CODEC, i, &codec)) {
            break;
        }
        if (strcmp(codec.name, name) != 0) {
            continue;
        }
        code = weft_spec_parse("codec", o->codec, codec.params, &spec);
        if (code != WEFT_OK) {
            return code;
        }
        for (int k = 0; codec.params[k].key != NULL; k++) {
            if (strcmp(codec.params[k].key, "levels") == 0 && spec.number[k] == 1.0) {
                return WEFT_OK;
            }
        }
    }
    return weft_fail(WEFT_ENOTSUP,
                     "lr=theory2019 is for quantization with one level (qsgd:levels=1), not for "
                     "codec %s: take lr=theory",
                     o->codec);
}

static int steps(weft_optim *o)
{
    const double asked = weft_optim_number(o, "alpha");
    int code = WEFT_OK;

    o->alpha = isnan(asked) ? weft_theory_alpha(o->setting.omega) : asked;
    if (o->rule.kind == WEFT_LR_THEORY) {
        code = weft_theory_diana(&o->setting, &o->lr);
    } else if (o->rule.kind == WEFT_LR_NUMBER) {
        o->lr = o->rule.value;
    } else if (!isnan(asked)) {
        code = weft_fail(WEFT_EINVAL, "lr=theory2019 sets alpha too: leave alpha=auto, or take "
                                      "lr=theory");
    } else {
        code = check_one_level(o);
        if (code == WEFT_OK) {
            code = weft_theory_diana2019(&o->setting, &o->lr, &o->alpha);
        }
    }
    weft_optim_set_number(o, "alpha", o->alpha);
    return code;
}

static int reserve(weft_optim *o)
{
    int code = WEFT_OK;

    if (o->alpha > 0.0 || o->setting.omega > 0.0) {
        code = weft_optim_reserve(o, &o->q);
    }
    if (code == WEFT_OK && o->alpha > 0.0) {
        code = weft_optim_reserve(o, &o->work);
    }
    if (code == WEFT_OK && o->alpha > 0.0) {
        code = weft_optim_reserve(o, &o->h);
    }
    if (code == WEFT_OK && o->alpha > 0.0) {
        code = weft_optim_reserve(o, &o->hbar);
    }
    if (code == WEFT_OK && weft_optim_wide(o)) {
        code = weft_state64_open(o, o->alpha > 0.0);
    }
    return code;
}

static int step(weft_optim *o, float *x, const float *gradient)
{
    if (o->wide != NULL) {
        return weft_state64_step(o, x, gradient);
    }
    if (o->h == NULL) {
        const int code = weft_optim_exchange(o, gradient);
        if (code == WEFT_OK) {
            weft_optim_descend(o, x, o->mean);
        }
        return code;
    }
    const bool refresh = o->steps > 0 && o->steps % REFRESH_STEPS == 0;
    const float alpha = (float)o->alpha;
    float *ghat = o->setting.momentum > 0.0 ? o->work : o->v;
    int code;

    weft_kernel_sub(o->work, gradient, o->h, o->count);
    code = weft_optim_exchange(o, o->work);
    if (code == WEFT_OK && refresh) {
        code = weft_optim_exact_mean(o, o->h, o->work);
    }
    if (code != WEFT_OK) {
        return code;
    }
    if (refresh) {
        memcpy(o->hbar, o->work, o->count * sizeof(float));
    }
    weft_kernel_add(ghat, o->hbar, o->mean, o->count);
    weft_kernel_axpy(o->hbar, alpha, o->mean, o->count);
    weft_kernel_axpy(o->h, alpha, o->q, o->count);
    weft_optim_descend(o, x, ghat);
    return WEFT_OK;
}

static const weft_optim_name names[] = {
    {.info = {.name = "diana",
              .scope = "",
              .summary = "compressed differences from learned memories: linear convergence where "
                         "sgd through the same codec stalls",
              .source = "Mishchenko et al. 2019; Horvath et al. 2019",
              .cost = "state h, hbar, v; one allreduce of count floats a step",
              .params = params}},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_diana = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .step = step,
};
