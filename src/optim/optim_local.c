/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Infrequent communication (DiLoCo, Douillard et al. 2023; with a selection SparseLoCo): each peer
 * takes `local` steps by itself, then all exchange how far they went:
 *   y_i = x;  local times: u_i = inner_momentum u_i + grad f_ij(y_i);  y_i = y_i - inner_lr u_i
 *   D = mean_i C(x - y_i + e_i);  e_i keeps what C lost
 *   v = beta v + D;  x = prox(x - lr (beta v + D))        outer Nesterov momentum
 * With lr = 1, no momentum and codec raw it is the average of the models (local SGD).
 */
#include <string.h>

#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

static const weft_param params[] = {
    {.key = "local",
     .value = "16",
     .min = 1,
     .max = 1e9,
     .integer = 1,
     .help = "minibatch steps of each peer between two exchanges"},
    {.key = "inner_lr", .value = "0.01", .min = 1e-30, .max = 1e30, .help = "their step size"},
    {.key = "inner_momentum", .value = "0", .max = 1.0, .help = "theirs, begun anew each time"},
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    if (weft_optim_number(o, "inner_momentum") >= 1.0) {
        return weft_fail(WEFT_EINVAL, "inner_momentum %g is not below 1",
                         weft_optim_number(o, "inner_momentum"));
    }
    return weft_optim_lr_number(o);
}

static int reserve(weft_optim *o)
{
    float **const vectors[] = {&o->work, &o->m, &o->residual, &o->residual_next};
    return weft_optim_reserve_all(o, vectors, strcmp(o->codec, "raw") == 0 ? 2 : 4);
}

static int estimate(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user)
{
    const uint64_t local = (uint64_t)weft_optim_number(o, "local");
    const float lr = (float)weft_optim_number(o, "inner_lr");
    const float beta = (float)weft_optim_number(o, "inner_momentum");
    int code = WEFT_OK;

    memcpy(o->work, x, o->count * sizeof(float));
    memset(o->m, 0, o->count * sizeof(float));
    for (uint64_t i = 0; code == WEFT_OK && i < local; i++) {
        code =
            weft_optim_ask(WEFT_ROWS_BATCH, o->steps * local + i, o->work, fn, user, o->estimate);
        if (code == WEFT_OK) {
            weft_kernel_scale_add(o->m, beta, o->estimate, o->count);
            weft_kernel_axpy(o->work, -lr, o->m, o->count);
        }
    }
    if (code == WEFT_OK) {
        weft_kernel_sub(o->estimate, x, o->work, o->count);
    }
    return code;
}

static void commit(weft_optim *o, float *x)
{
    const float lr = weft_optim_lr_now(o), beta = (float)o->setting.momentum;

    if (!(o->setting.momentum > 0.0)) {
        weft_optim_descend(o, x, o->mean, lr);
        return;
    }
    weft_optim_clip(o, o->mean, lr);
    /* v = beta v + D; what descend() takes off is lr v, the rest of Nesterov's step before it. */
    weft_optim_shrink(o, x);
    weft_kernel_axpy(x, -lr, o->mean, o->count);
    weft_kernel_scale_add(o->v, beta, o->mean, o->count);
    weft_kernel_axpy(x, -lr * beta, o->v, o->count);
    weft_prox_apply(&o->prox, weft_optim_lr(o), x, o->count);
}

static const weft_optim_name names[] = {
    {.info = {.name = "local",
              .scope = "",
              .summary = "local steps, then one exchange of how far they went, with outer momentum",
              .source = "McMahan et al. 2017; Douillard et al. 2023 (DiLoCo)",
              .cost = "state residual, v; one allreduce of count floats each `local` minibatches",
              .promise = "convex f, lr=1, no momentum, codec raw: as local SGD, to a floor that "
                         "the spread of the f_i and `local` set; else none is known",
              .params = params},
     .any_codec = true,
     .oracle = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_local = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .commit = commit,
    .estimate = estimate,
};
