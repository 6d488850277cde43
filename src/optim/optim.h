/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Optimizers: a row of optims.def and one file each.
 *
 * A step works on scratch until its last collective has succeeded, then commits everything: a
 * failed step leaves model and state as they were and draws the same random numbers when it is
 * tried again. Everything that every peer must hold with equal bits goes through weft_kernel_*.
 */
#ifndef WEFT_OPTIM_OPTIM_H
#define WEFT_OPTIM_OPTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spec.h"
#include "optim/state64.h"
#include "optim/theory.h"
#include <weft/info.h>
#include <weft/optim.h>

/* A name that a method goes by. */
typedef struct weft_optim_name {
    weft_info info;
    bool full_only; /* takes gradients of the whole f_i only */
} weft_optim_name;

typedef struct weft_optim_type {
    const weft_optim_name *names; /* ends with info.name NULL */
    /* lr (theory's before its factor) and alpha, from rule, setting and SPEC. */
    int (*steps)(weft_optim *o);
    /* Reserve the vectors that the method needs besides mean and v. */
    int (*reserve)(weft_optim *o);
    int (*step)(weft_optim *o, float *x, const float *gradient);
} weft_optim_type;

struct weft_optim {
    const weft_optim_type *type;
    const weft_optim_name *name;
    weft_spec spec;
    char text[WEFT_SPEC_TEXT]; /* the full SPEC */
    weft_group *group;
    size_t count;
    char *codec, *algo; /* SPECs of every exchange */
    weft_lr_rule rule;
    weft_setting setting;
    double lr, alpha, l1, l2; /* in force; momentum is in setting */
    uint64_t steps;           /* done */
    /* Vectors of count floats; NULL: not held. */
    float *mean;                   /* scratch: result of the exchange */
    float *work;                   /* scratch: what is exchanged */
    float *q;                      /* own decoded message */
    float *h;                      /* own memory */
    float *hbar;                   /* mean of all h, the same on all peers */
    float *v;                      /* direction of the last step, with momentum its state */
    weft_state64 *wide;            /* state=f64: what h, hbar and v are roundings of; else NULL */
    weft_step_cost cost, spending; /* of the last step; of the step under way */
    char used[24], using[24];      /* algorithm of the last step; of the step under way */
};

/* Rows that end the tables of all methods. */
// clang-format off
#define WEFT_OPTIM_PARAMS                                                                          \
    {.key = "momentum", .value = "0", .max = 1.0, .help = "beta of v = beta v + g, below 1"},      \
    {.key = "prox_l1", .value = "0", .max = 1e30,                                                  \
     .help = "weight of the l1 norm, by proximal step"},                                           \
    {.key = "prox_l2", .value = "0", .max = 1e30,                                                  \
     .help = "weight of half the squared norm, by proximal step"},                                 \
    {.key = "state", .value = "f32", .choices = "f32|f64",                                         \
     .help = "precision of model and memories on the peer"},                                       \
    {.key = NULL}
// clang-format on

/* Value of a number parameter of this optimizer's SPEC; the key must be in its table. */
double weft_optim_number(const weft_optim *o, const char *key);
/* true: the SPEC says state=f64. */
bool weft_optim_wide(const weft_optim *o);
/* Put the value in force there. */
void weft_optim_set_number(weft_optim *o, const char *key, double value);

/* Reserve a vector of zeros. 0 or WEFT_ENOMEM. */
int weft_optim_reserve(weft_optim *o, float **vector);

/* o->mean = mean over the peers of `message` through the codec, drawn by the number of the step
 * under way; o->q, where held, = own decoded message. Touches nothing else. */
int weft_optim_exchange(weft_optim *o, const float *message);
/* out = mean over the peers of v, exact. */
int weft_optim_exact_mean(weft_optim *o, const float *v, float *out);
/* v = momentum v + direction; x = prox(x - lr v). direction may be o->v without momentum. */
void weft_optim_descend(weft_optim *o, float *x, const float *direction);

/* All names of all methods, in the order of the table; NULL behind the last. */
const weft_info *weft_optim_info_at(int index);

#endif
