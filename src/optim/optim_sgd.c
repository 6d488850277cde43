/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradient descent, with momentum and prox, through any unbiased codec:
 *   D = mean_i Q(g_i);  v = beta v + D;  x = prox(x - lr v).
 * A lossy codec leaves a floor that the spread of the f_i sets; DIANA does not have it.
 */
#include <string.h>

#include "base/status.h"
#include "optim/optim.h"

static const weft_param params[] = {
    WEFT_OPTIM_PARAMS,
};

static bool clips(const weft_optim *o)
{
    return o->name->any_codec && strncmp(o->codec, "tern:clip=0,", 12) != 0;
}

/* terngrad may clip, which is a bias that theory's step does not know. */
static int check_clipping(const weft_optim *o)
{
    if (o->name->any_codec && strncmp(o->codec, "tern:", 5) != 0) {
        return weft_fail(WEFT_ENOTSUP, "goes through codec tern, not %s: take sgd", o->codec);
    }
    if (clips(o) && o->rule.kind != WEFT_LR_NUMBER) {
        return weft_fail(WEFT_ENOTSUP, "theory knows no step size with clipping: give lr as a "
                                       "number, or codec tern:clip=0");
    }
    return WEFT_OK;
}

static int steps(weft_optim *o)
{
    int code = check_clipping(o);

    if (code == WEFT_OK) {
        code = weft_optim_lr_theory(o, weft_theory_sgd);
    }
    if (clips(o)) {
        o->bound = 0.0;
    }
    return code;
}

static int reserve(weft_optim *o)
{
    int code = WEFT_OK;

    if (strcmp(o->codec, "raw") != 0) {
        code = weft_optim_reserve(o, &o->q);
    }
    if (code == WEFT_OK && weft_optim_wide(o)) {
        code = weft_state64_open(o, false);
    }
    return code;
}

static void commit(weft_optim *o, float *x)
{
    if (o->wide != NULL) {
        weft_state64_commit(o, x);
    } else {
        weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
    }
}

static const weft_optim_name names[] = {
    {.info = {.name = "sgd",
              .scope = "",
              .summary = "gradient descent on full gradients or minibatches, with momentum and "
                         "prox, through any unbiased codec",
              .source = "Robbins & Monro 1951; Alistarh et al. 2017",
              .cost = "state v; one allreduce of count floats a step",
              .promise = "strongly convex f: linear to a floor that the noise of codec and "
                         "minibatches sets, to the optimum where there is none",
              .params = params}},
    {.info = {.name = "gd",
              .scope = "",
              .summary = "sgd on full gradients: linear where f is strongly convex",
              .source = "Cauchy 1847",
              .cost = "state v; one allreduce of count floats a step",
              .promise = "strongly convex f: linear to the optimum at lr up to 2/(L + mu); through "
                         "a lossy codec to a floor",
              .params = params},
     .full_only = true},
    {.info = {.name = "qsgd",
              .scope = "",
              .summary = "sgd through 4-bit quantization, unbiased: a floor that the noise sets",
              .source = "Alistarh et al. 2017",
              .cost = "state v; count/8 of the floats and scales a step",
              .promise = "as sgd: a floor, on full gradients too",
              .params = params},
     .codec = "qsgd:levels=7,bucket=512,norm=max"},
    {.info = {.name = "terngrad",
              .scope = "",
              .summary =
                  "sgd through three levels, each tensor by itself, one scale for all peers: "
                  "a floor that the noise sets",
              .source = "Wen et al. 2017",
              .cost = "state v; 1.6 bits an element and a scale a tensor, integers on the way",
              .promise = "as sgd with clip=0; none where it clips",
              .params = params},
     .codec = "tern:clip=0",
     .algo = "shared",
     .any_codec = true},
    {.info =
         {.name = "dqgd",
          .scope = "",
          .summary = "1-bit QSGD: gradient descent through one level by the 2-norm of the "
                     "whole vector: a floor that the spread of the f_i sets",
          .source = "Khirirat et al. 2018; Alistarh et al. 2017",
          .cost = "state v; about sqrt(count) non-zeros a step",
          .promise =
              "strongly convex f: linear to a floor that the spread of the f_i at the optimum sets",
          .params = params},
     .codec = "qsgd:levels=1,bucket=0,norm=2"},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_sgd = {
    .wide = true,
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .commit = commit,
};
