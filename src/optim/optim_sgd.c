/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradient descent, with momentum and prox, through any unbiased codec:
 *   D = mean_i Q(g_i);  v = beta v + D;  x = prox(x - lr v).
 * A lossy codec leaves a floor that the spread of the f_i sets; DIANA does not have it.
 */
#include "base/status.h"
#include "optim/optim.h"

static const weft_param params[] = {
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    if (o->rule.kind == WEFT_LR_THEORY2019) {
        return weft_fail(WEFT_ENOTSUP, "lr=theory2019 is diana's: take lr=theory");
    }
    if (o->rule.kind == WEFT_LR_NUMBER) {
        o->lr = o->rule.value;
        return WEFT_OK;
    }
    return weft_theory_sgd(&o->setting, &o->lr);
}

static int reserve(weft_optim *o)
{
    int code = WEFT_OK;

    if (o->setting.omega > 0.0) {
        code = weft_optim_reserve(o, &o->q);
    }
    if (code == WEFT_OK && weft_optim_wide(o)) {
        code = weft_state64_open(o, false);
    }
    return code;
}

static int step(weft_optim *o, float *x, const float *gradient)
{
    if (o->wide != NULL) {
        return weft_state64_step(o, x, gradient);
    }
    const int code = weft_optim_exchange(o, gradient);
    if (code == WEFT_OK) {
        weft_optim_descend(o, x, o->mean);
    }
    return code;
}

static const weft_optim_name names[] = {
    {.info = {.name = "sgd",
              .scope = "",
              .summary = "gradient descent on full gradients or minibatches, with momentum and "
                         "prox; through a codec QSGD, TernGrad, DQGD",
              .source = "Robbins & Monro 1951; Alistarh et al. 2017; Wen et al. 2017; Khirirat et "
                        "al. 2018",
              .cost = "state v; one allreduce of count floats a step",
              .params = params}},
    {.info = {.name = "gd",
              .scope = "",
              .summary = "sgd on full gradients",
              .source = "Cauchy 1847",
              .cost = "state v; one allreduce of count floats a step",
              .params = params},
     .full_only = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_sgd = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .step = step,
};
