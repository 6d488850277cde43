/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error feedback: biased codecs too, whose losses are kept and sent later. What is kept stays small
 * where a codec loses less than it is given: an unbiased one with omega below 1, sign, topk.
 *   p_i = e_i + lr g_i;  D_i = C(p_i);  e_i = p_i - D_i;  v = beta v + mean_i D_i;  x = prox(x - v)
 * The step size is inside the residual: x - mean_i e_i is the model that dense steps would have
 * (Karimireddy et al. 2019), whatever the schedule.
 *
 * gtopk (Shi et al. 2019) is the same with the k largest elements of the sum of all, found on a
 * butterfly: what does not win a place goes back to the residuals (the algorithm's key residual
 * says how). Its first epochs send more: densities 0.25, 0.0725, 0.015, 0.004, an epoch each.
 * correction=yes keeps momentum on the peer, before the selection (Lin et al. 2018, DGC):
 *   m_i = beta m_i + g_i;  p_i = e_i + lr m_i;  m_i = 0 where D_i is sent and applied.
 *
 * clip shortens the step, not the gradients: what it cuts off is not kept.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

#define CORRECTION                                                                                 \
    {                                                                                              \
        .key = "correction", .value = "no", .choices = "no|yes",                                   \
        .help = "yes: momentum is each peer's own, of its gradients, and masked where it was sent" \
    }

static const weft_param params[] = {
    CORRECTION,
    WEFT_OPTIM_PARAMS,
};

static const weft_param gtopk_params[] = {
    CORRECTION,
    {.key = "epoch",
     .value = "0",
     .max = 1e15,
     .integer = 1,
     .help = "steps of an epoch of the density's warm-up; 0: no warm-up"},
    WEFT_OPTIM_PARAMS,
};

/* As text: a codec's SPEC has a point whatever the locale is. */
static const char *const warm_densities[] = {"0.25", "0.0725", "0.015", "0.004"};

enum { WARM_EPOCHS = sizeof(warm_densities) / sizeof(warm_densities[0]), CODEC_TEXT = 1024 };

static bool corrects(const weft_optim *o)
{
    return weft_optim_choice(o, "correction") == 1;
}

static bool selects(const weft_optim *o)
{
    return strcmp(o->name->info.name, "gtopk") == 0;
}

static bool sends_few(const weft_optim *o)
{
    static const char *const few[] = {"topk:", "threshold:"};

    for (size_t i = 0; i < sizeof(few) / sizeof(few[0]); i++) {
        if (strncmp(o->codec, few[i], strlen(few[i])) == 0) {
            return true;
        }
    }
    return false;
}

static int steps(weft_optim *o)
{
    if (selects(o) && weft_optim_share(o) <= 0.0) {
        return weft_fail(WEFT_ENOTSUP, "needs codec topk, not %s: take ef", o->codec);
    }
    if (corrects(o) && !(o->setting.momentum > 0.0)) {
        return weft_fail(WEFT_EINVAL, "correction=yes is of momentum, which is 0");
    }
    if (corrects(o) && !sends_few(o)) {
        return weft_fail(WEFT_ENOTSUP,
                         "correction=yes begins momentum anew where something was sent: of codec "
                         "%s that is nearly everywhere",
                         o->codec);
    }
    return weft_optim_lr_theory(o, weft_theory_feedback);
}

static int reserve(weft_optim *o)
{
    float **const vectors[] = {&o->work, &o->residual, &o->residual_next, &o->q, &o->m, &o->m_next};
    int code = weft_optim_reserve_all(o, vectors, corrects(o) ? 6 : 3);
    if (code == WEFT_OK && selects(o) && weft_optim_number(o, "epoch") > 0.0) {
        o->codec_now = weft_calloc(1, CODEC_TEXT);
        code = o->codec_now != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory");
    }
    return code;
}

/* The codec with the density of the step's epoch, for parts of which it sends less than that. */
static void begin(weft_optim *o)
{
    if (o->codec_now == NULL) {
        return;
    }
    const double epoch = floor((double)o->steps / weft_optim_number(o, "epoch"));
    size_t used = 0;

    o->warm = 0.0;
    if (epoch >= WARM_EPOCHS ||
        weft_parse_number("density", warm_densities[(int)epoch], 0.0, 1.0, &o->warm) != WEFT_OK) {
        return;
    }
    /* All its keys but k and density stay. */
    const char *at = strchr(o->codec, ':');
    used =
        (size_t)snprintf(o->codec_now, CODEC_TEXT, "topk:density=%s", warm_densities[(int)epoch]);
    while (at != NULL) {
        const char *key = at + 1;
        at = strchr(key, ',');
        const size_t length = at != NULL ? (size_t)(at - key) : strlen(key);
        if (strncmp(key, "k=", 2) != 0 && strncmp(key, "density=", 8) != 0 && used < CODEC_TEXT) {
            used +=
                (size_t)snprintf(o->codec_now + used, CODEC_TEXT - used, ",%.*s", (int)length, key);
        }
    }
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    const float lr = weft_optim_lr_now(o);
    float *to = o->work + p->first;

    if (o->m == NULL) {
        memset(to, 0, p->count * sizeof(float));
        weft_kernel_axpy(to, lr, gradient, p->count);
        return to;
    }
    const float *m = o->m + p->first;
    float *next = o->m_next + p->first;
    const float beta = (float)o->setting.momentum;
    for (size_t j = 0; j < p->count; j++) {
        const float kept = beta * m[j];
        next[j] = kept + gradient[j];
        to[j] = lr * next[j];
    }
    return to;
}

/* The momentum of what was applied begins anew: sent by this peer, and, where few of all win a
 * place, among those. Not so of tensors that go as they are: nothing of theirs is late. */
static void mask(weft_optim *o)
{
    for (size_t i = 0; i < o->part_count; i++) {
        const weft_part *p = &o->parts[i];
        for (size_t j = p->first; !p->raw && j < p->first + p->count; j++) {
            o->m_next[j] = o->q[j] != 0.0f && o->mean[j] != 0.0f ? 0.0f : o->m_next[j];
        }
    }
}

static void commit(weft_optim *o, float *x)
{
    if (o->m != NULL) {
        mask(o);
        weft_optim_clip(o, o->mean, 1.0f);
        memcpy(o->v, o->mean, o->count * sizeof(float));
        weft_optim_shrink(o, x);
        weft_kernel_sub(x, x, o->v, o->count);
        weft_prox_apply(&o->prox, weft_optim_lr(o), x, o->count);
        return;
    }
    weft_optim_descend(o, x, o->mean, 1.0f);
}

static const weft_optim_name names[] = {
    {.info = {.name = "ef",
              .scope = "",
              .summary = "error feedback, over biased codecs too: what is lost is sent later",
              .source = "Seide et al. 2014; Karimireddy et al. 2019; Stich et al. 2018",
              .cost = "state residual, v, with correction m; one allreduce of count floats a step",
              .promise = "smooth f, a codec that loses less than it is given: as sgd after a "
                         "transient that the codec sets",
              .params = params},
     .codec = "topk:density=0.01",
     .any_codec = true,
     .m = WEFT_M_OWN},
    {.info = {.name = "gtopk",
              .scope = "",
              .summary = "the k largest elements of the sum, found on the way, with residuals",
              .source = "Shi et al. 2019; densities and correction: Lin et al. 2018",
              .cost = "state residual, v, with correction m; k lg P pairs a step",
              .promise = "smooth f, lr as sqrt(B/T): the mean of |grad f|^2 falls as 1/sqrt(BT) "
                         "where that is large beside count/k, T steps of B rows",
              .params = gtopk_params},
     .codec = "topk:density=0.001",
     .algo = "gtopk_butterfly",
     .any_codec = true,
     .m = WEFT_M_OWN},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_ef = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .begin = begin,
    .message = message,
    .commit = commit,
};
