/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QSVRG (Alistarh et al. 2017, section 3.3): epochs of `inner` steps around an anchor y whose exact
 * gradient H all know.
 *   H = mean_i grad f_i(y)                                 exact, once an epoch
 *   D = mean_i Q(grad f_ij(x) - grad f_ij(y) + H);  x = prox(x - lr D)
 * y is the last model of the epoch before. H goes through the codec too, so the noise is
 * omega |H|^2 and vanishes as H does: linear convergence.
 */
#include <string.h>

#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

static const weft_param params[] = {
    {.key = "inner",
     .value = "250",
     .min = 1,
     .max = 1e15,
     .integer = 1,
     .help = "steps of an epoch, some times the condition number"},
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    return weft_optim_lr_number(o);
}

static int reserve(weft_optim *o)
{
    float **const vectors[] = {&o->anchor, &o->hbar, &o->work, &o->q};
    return weft_optim_reserve_all(o, vectors, o->setting.omega > 0.0 ? 4 : 3);
}

/* Of the step under way. Tried again, it begins its epoch again, on all peers alike. */
static bool begins_epoch(const weft_optim *o)
{
    return o->steps % (uint64_t)weft_optim_number(o, "inner") == 0;
}

/* The anchor and its gradient. */
static int set_anchor(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    int code = weft_optim_ask(WEFT_ROWS_ALL, o->steps, x, fn, user, o->work);

    if (code == WEFT_OK) {
        code = weft_optim_exact_mean(o, o->work, o->mean);
    }
    if (code == WEFT_OK) {
        code = weft_optim_check_finite(o, o->mean, o->work, o->count, "the gradient of all rows");
    }
    if (code == WEFT_OK) {
        memcpy(o->hbar, o->mean, o->count * sizeof(float));
        memcpy(o->anchor, x, o->count * sizeof(float));
    }
    return code;
}

static int estimate(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    int code = begins_epoch(o) ? set_anchor(o, x, fn, user) : WEFT_OK;

    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, o->anchor, fn, user, o->work);
    }
    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, x, fn, user, o->estimate);
    }
    if (code == WEFT_OK) {
        weft_kernel_sub(o->estimate, o->estimate, o->work, o->count);
        weft_kernel_add(o->estimate, o->estimate, o->hbar, o->count);
    }
    return code;
}

static void commit(weft_optim *o, float *x)
{
    weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
}

static const weft_optim_name names[] = {
    {.info = {.name = "qsvrg",
              .scope = "",
              .summary = "minibatches around an anchor, quantized: linear convergence",
              .source = "Alistarh et al. 2017; Johnson & Zhang 2013",
              .cost = "state anchor, its mean gradient, v; one allreduce of count floats and two "
                      "minibatch gradients a step, an exact one and a full gradient an epoch",
              .params = params},
     .codec = "qsgd:levels=7,bucket=512,norm=max",
     .oracle = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_qsvrg = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .commit = commit,
    .estimate = estimate,
};
