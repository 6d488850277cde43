/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EF21 (Richtarik, Sokolov, Fatkhullin 2021): DIANA's twin for biased codecs. Each peer keeps the
 * gradient that the others know of it, and sends what brings that nearer to the one it has:
 *   d_i = (1 - eta) d_i + eta g_i;  D_i = C(d_i - h_i);  h_i += D_i;  hbar += mean_i D_i;
 *   v = beta v + hbar;  x = prox(x - lr v).
 * eta = 1 is EF21, for full gradients: linear to the optimum; below 1 EF21-SGDM (Fatkhullin et al.
 * 2023), for minibatches.
 */
#include <string.h>

#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

static const weft_param params[] = {
    {.key = "eta",
     .value = "1",
     .min = 1e-6,
     .max = 1.0,
     .help = "share of the new gradient in the one that is followed; 1: all of it"},
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    if (o->reply != NULL) {
        return weft_fail(WEFT_ENOTSUP, "goes without a reply codec: what replies lose would stay "
                                       "lost in hbar; take diana");
    }
    /* What topk keeps is so much of a vector where values go as they are. */
    o->setting.delta = strcmp(o->codec, "raw") == 0             ? 1.0
                       : strstr(o->codec, "values=f32") != NULL ? weft_optim_share(o)
                                                                : 0.0;
    if (o->setting.omega > 0.0) {
        return weft_fail(WEFT_ENOTSUP,
                         "codec %s is unbiased and no contraction: take diana, or a biased codec",
                         o->codec);
    }
    return weft_optim_lr_theory(o, weft_theory_ef21);
}

static int reserve(weft_optim *o)
{
    float **const vectors[] = {&o->work, &o->q, &o->h, &o->hbar, &o->m, &o->m_next};
    int code = WEFT_OK;

    for (size_t i = 0; code == WEFT_OK && i < 6; i++) {
        code = weft_optim_reserve(o, vectors[i]);
    }
    return code;
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    const float eta = (float)weft_optim_number(o, "eta"), keep = 1.0f - eta;
    const float *m = o->m + p->first, *h = o->h + p->first;
    float *to = o->work + p->first, *next = o->m_next + p->first;

    for (size_t j = 0; j < p->count; j++) {
        const float old = keep * m[j], new = eta *gradient[j];
        next[j] = old + new;
        to[j] = next[j] - h[j];
    }
    return to;
}

static int settle(weft_optim *o, const float *x)
{
    (void)x;
    return weft_optim_refreshes(o) ? weft_optim_exact_mean(o, o->h, o->work) : WEFT_OK;
}

static void commit(weft_optim *o, float *x)
{
    if (weft_optim_refreshes(o)) {
        memcpy(o->hbar, o->work, o->count * sizeof(float));
    }
    weft_kernel_add(o->h, o->h, o->q, o->count);
    weft_kernel_add(o->hbar, o->hbar, o->mean, o->count);
    memcpy(o->mean, o->hbar, o->count * sizeof(float));
    weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
}

static const weft_optim_name names[] = {
    {.info = {.name = "ef21",
              .scope = "",
              .summary = "follows every peer's gradient through a biased codec: linear convergence "
                         "on full gradients",
              .source = "Richtarik et al. 2021; minibatches: Fatkhullin et al. 2023",
              .cost = "state h, d, hbar, v; one allreduce of count floats a step",
              .promise = "full gradients: linear to the optimum under the Polyak-Lojasiewicz "
                         "condition, else |grad f|^2 as 1/K; minibatches: to a floor",
              .params = params},
     .codec = "topk:density=0.01",
     .m = WEFT_M_OWN,
     .any_codec = true,
     .summed = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_ef21 = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .message = message,
    .settle = settle,
    .commit = commit,
};
