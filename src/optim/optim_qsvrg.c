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
    float **const vectors[] = {&o->anchor, &o->hbar, &o->m, &o->work, &o->q};
    return weft_optim_reserve_all(o, vectors, o->setting.omega > 0.0 ? 5 : 4);
}

/* Of the step under way. Tried again, it begins its epoch again, on all peers alike. */
static bool begins_epoch(const weft_optim *o)
{
    return o->steps % (uint64_t)weft_optim_number(o, "inner") == 0;
}

/* The gradient of the anchor that the step begins with, into o->m: until the step is committed the
 * old ones stay. */
static int ask_mean(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    int code = weft_optim_ask(WEFT_ROWS_ALL, o->steps, x, fn, user, o->work);

    if (code != WEFT_OK) { /* the others are in it */
        weft_problem why = {0};
        weft_problem_from_last(&why);
        weft_optim_decline_mean(o);
        return weft_fail_problem(&why);
    }
    code = weft_optim_exact_mean(o, o->work, o->m);
    return code == WEFT_OK
               ? weft_optim_check_finite(o, o->m, o->work, o->count, "the gradient of all rows")
               : code;
}

static int estimate(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    const bool begins = begins_epoch(o);
    int code = begins ? ask_mean(o, x, fn, user) : WEFT_OK;

    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, begins ? x : o->anchor, fn, user, o->work);
    }
    if (code == WEFT_OK) {
        code = weft_optim_ask(WEFT_ROWS_BATCH, o->steps, x, fn, user, o->estimate);
    }
    if (code == WEFT_OK) {
        weft_kernel_sub(o->estimate, o->estimate, o->work, o->count);
        weft_kernel_add(o->estimate, o->estimate, begins ? o->m : o->hbar, o->count);
    }
    return code;
}

static void commit(weft_optim *o, float *x)
{
    if (begins_epoch(o)) {
        memcpy(o->hbar, o->m, o->count * sizeof(float));
        memcpy(o->anchor, x, o->count * sizeof(float));
    }
    weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
}

static const weft_optim_name names[] = {
    {.info = {.name = "qsvrg",
              .scope = "",
              .summary = "minibatches around an anchor, quantized: linear convergence",
              .source = "Alistarh et al. 2017; Johnson & Zhang 2013",
              .cost = "state anchor, its mean gradient, v; one allreduce of count floats and two "
                      "minibatch gradients a step, an exact one and a full gradient an epoch",
              .promise =
                  "strongly convex f: a constant factor an epoch to the optimum, on minibatches",
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
