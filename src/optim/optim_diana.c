/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIANA (Mishchenko, Gorbunov, Takac, Richtarik 2019): peers exchange compressed differences from
 * memories that they learn, so that the messages, and the codec's noise with them, go to zero:
 *   Delta_i = g_i - h_i;  D_i = Q(Delta_i);  D = mean_i D_i;  ghat = hbar + D (the old hbar);
 *   hbar = hbar + alpha D;  h_i = h_i + alpha D_i;  v = beta v + ghat;  x = prox(x - lr v).
 * hbar = mean_i h_i but for rounding, which a refresh removes.
 *
 * With a reply codec the owner of a span encodes ghat there, less a memory H that all hold, and
 * alone keeps hbar (Liu et al. 2020, DORE).
 *
 * VR-DIANA (Horvath et al. 2019) takes minibatches and still converges linearly: its gradient is
 *   g_i = grad f_ij(x) - grad f_ij(w) + grad f_i(w),
 * where the anchor w becomes the model of the moment with probability 1/period a step, by a coin
 * that all peers throw alike: nothing is sent for it.
 *
 * With alpha = 0 the memories stay 0 and are not held: the method is sgd, bit for bit. A lossless
 * codec has nothing to remember, and in floats (g - h) + h is not g: alpha=auto is 0 there, and
 * diana is gradient descent, bit for bit. So are tensors that go as they are.
 */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

#define ALPHA                                                                                      \
    {                                                                                              \
        .key = "alpha", .value = "auto", .min = 0.0, .max = 1.0,                                   \
        .help = "rate at which memories learn; auto: 1/(1+omega), 0 for lossless codecs"           \
    }

static const weft_param params[] = {
    ALPHA,
    WEFT_OPTIM_PARAMS,
};

static const weft_param vr_params[] = {
    ALPHA,
    {.key = "period",
     .value = "100",
     .min = 1,
     .max = 1e15,
     .integer = 1,
     .help = "steps between two anchors, on average: about shard/minibatch"},
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    const double asked = weft_optim_number(o, "alpha");
    int code = WEFT_OK;

    const bool nonconvex = o->rule.kind == WEFT_LR_NONCONVEX;

    o->alpha = isnan(asked) ? weft_theory_alpha(o->setting.omega) : asked;
    if (!(o->rule.kind == WEFT_LR_THEORY2019 || nonconvex) || o->name->oracle) {
        code = weft_optim_lr_theory(o, o->name->oracle ? weft_theory_vr : weft_theory_diana);
        /* Theory is of memories that learn no faster than a message is sure. */
        if (o->alpha * (1.0 + o->setting.omega) > 1.0 + 1e-9) {
            o->bound = 0.0;
        }
    } else if (!isnan(asked)) {
        code = weft_fail(WEFT_EINVAL, "lr=%s sets alpha too: leave alpha=auto, or take lr=theory",
                         nonconvex ? "theory_nonconvex" : "theory2019");
    } else if (nonconvex && weft_prox_any(&o->prox)) {
        code = weft_fail(WEFT_ENOTSUP, "lr=theory_nonconvex is for f alone, without a prox");
    } else if (nonconvex) {
        code = weft_theory_nonconvex(&o->setting, &o->lr, &o->alpha);
        o->bound = 2.0 * o->lr;
    } else if (!weft_optim_one_level(o)) {
        code = weft_fail(WEFT_ENOTSUP,
                         "lr=theory2019 is for quantization with one level (qsgd:levels=1), not "
                         "for codec %s: take lr=theory",
                         o->codec);
    } else {
        code = weft_theory_diana2019(&o->setting, &o->lr, &o->alpha);
        o->bound = o->lr;
    }
    weft_optim_set_number(o, "alpha", o->alpha);
    return code;
}

static int reserve_replies(weft_optim *o)
{
    int code = weft_optim_reserve(o, &o->memory);

    if (code == WEFT_OK) {
        code = weft_optim_reserve(o, &o->memory_next);
    }
    return code == WEFT_OK ? weft_optim_reserve(o, &o->owned) : code;
}

static int reserve(weft_optim *o)
{
    float **const memories[] = {&o->work, &o->h, &o->hbar};
    int code = WEFT_OK;

    if (o->alpha > 0.0 || o->setting.omega > 0.0) {
        code = weft_optim_reserve(o, &o->q);
    }
    for (size_t i = 0; code == WEFT_OK && o->alpha > 0.0 && i < 3; i++) {
        code = weft_optim_reserve(o, memories[i]);
    }
    if (code == WEFT_OK && weft_optim_wide(o)) {
        code = o->reply != NULL || o->piece_count > 1
                   ? weft_fail(WEFT_ENOTSUP,
                               "state=f64 goes with one tensor and without a reply codec")
                   : weft_state64_open(o, o->alpha > 0.0 && !o->parts[0].raw);
    }
    if (code == WEFT_OK && o->reply != NULL) {
        code = reserve_replies(o);
    }
    if (code == WEFT_OK && o->name->oracle) {
        code = weft_optim_reserve(o, &o->anchor);
    }
    if (code == WEFT_OK && o->name->oracle) {
        code = weft_optim_reserve(o, &o->m);
    }
    o->stale = true;
    return code;
}

/* Tensors that go as they are have no memory. */
static bool remembers(const weft_optim *o, const weft_part *p)
{
    return o->h != NULL && !p->raw;
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    if (!remembers(o, p)) {
        return gradient;
    }
    if (o->wide != NULL) {
        weft_state64_difference(o, gradient);
    } else {
        weft_kernel_sub(o->work + p->first, gradient, o->h + p->first, p->count);
    }
    return o->work + p->first;
}

/* With state=f64 too: what hbar takes in was added up in binary32. */
static int settle(weft_optim *o, const float *x)
{
    (void)x;
    if (!weft_optim_refreshes(o)) {
        return WEFT_OK;
    }
    if (o->wide == NULL) {
        return weft_optim_exact_mean(o, o->h, o->work);
    }
    return o->wide->h != NULL ? weft_optim_exact_mean64(o, o->wide->h, o->wide->fresh) : WEFT_OK;
}

static void learn(weft_optim *o, const weft_part *p, float *ghat)
{
    const float alpha = (float)o->alpha;
    const size_t at = p->first, n = p->count;

    if (!remembers(o, p)) {
        memcpy(ghat + at, o->mean + at, n * sizeof(float));
        return;
    }
    if (o->memory != NULL) { /* the reply is ghat already */
        memcpy(ghat + at, o->mean + at, n * sizeof(float));
        weft_kernel_axpy(o->hbar + at, alpha, o->owned + at, n);
    } else {
        weft_kernel_add(ghat + at, o->hbar + at, o->mean + at, n);
        weft_kernel_axpy(o->hbar + at, alpha, o->mean + at, n);
    }
    weft_kernel_axpy(o->h + at, alpha, o->q + at, n);
}

/* The anchor moves; its gradient is asked for in the next step. */
static void throw_coin(weft_optim *o, const float *x)
{
    if (o->anchor != NULL && weft_optim_coin(o) * weft_optim_number(o, "period") < 1.0) {
        memcpy(o->anchor, x, o->count * sizeof(float));
        o->stale = true;
    }
}

static void commit(weft_optim *o, float *x)
{
    if (o->wide != NULL) {
        weft_state64_commit(o, x);
        throw_coin(o, x);
        return;
    }
    if (weft_optim_refreshes(o)) {
        memcpy(o->hbar, o->work, o->count * sizeof(float));
    }
    float *ghat = o->setting.momentum > 0.0 && o->work != NULL ? o->work
                  : o->setting.momentum > 0.0                  ? o->mean
                                                               : o->v;
    for (size_t i = 0; i < o->part_count && ghat != o->mean; i++) {
        learn(o, &o->parts[i], ghat);
    }
    weft_optim_descend(o, x, ghat, weft_optim_lr_now(o));
    throw_coin(o, x);
}

static int estimate(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    int code = WEFT_OK;

    if (o->steps == 0) { /* the first step may be tried again with another model */
        memcpy(o->anchor, x, o->count * sizeof(float));
        o->stale = true;
    }
    if (o->stale) {
        code = weft_optim_ask(WEFT_ROWS_ALL, o->steps, o->anchor, fn, user, o->m);
        /* One that is not finite fails the step on all peers, and is asked for again. */
        o->stale = code != WEFT_OK || !weft_kernel_finite(o->m, o->count);
    }
    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, o->anchor, fn, user, o->mean);
    }
    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, x, fn, user, o->estimate);
    }
    if (code == WEFT_OK) {
        weft_kernel_sub(o->estimate, o->estimate, o->mean, o->count);
        weft_kernel_add(o->estimate, o->estimate, o->m, o->count);
    }
    return code;
}

static void loaded(weft_optim *o)
{
    o->stale = true; /* the anchor's gradient is this peer's own: it is asked for again */
}

static const weft_optim_name names[] = {
    {.info = {.name = "diana",
              .scope = "",
              .summary = "compressed differences from learned memories: linear convergence where "
                         "sgd through the same codec stalls",
              .source = "Mishchenko et al. 2019; Horvath et al. 2019; replies: Liu et al. 2020",
              .cost =
                  "state h, hbar, v, with a reply codec H; one allreduce of count floats a step",
              .promise = "strongly convex f, full gradients: linear to the optimum, with a prox "
                         "too; minibatches: to a floor; smooth f that is not convex: the mean of "
                         "|grad f|^2 falls as 1/K (lr=theory_nonconvex)",
              .params = params}},
    {.info = {.name = "vr_diana",
              .scope = "",
              .summary = "diana on minibatches with an anchor that takes their noise away: linear "
                         "convergence",
              .source = "Horvath et al. 2019",
              .cost =
                  "state h, hbar, v, anchor and its gradient; one allreduce of count floats and "
                  "two minibatch gradients a step, a full gradient each period",
              .promise = "strongly convex f: linear to the optimum, on minibatches",
              .params = vr_params},
     .oracle = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_diana = {
    .wide = true,
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .message = message,
    .settle = settle,
    .commit = commit,
    .estimate = estimate,
    .loaded = loaded,
};
