/* SPDX-License-Identifier: Apache-2.0 */
/* What the step size is multiplied by in each step. */
#ifndef WEFT_OPTIM_LR_SCHEDULE_H
#define WEFT_OPTIM_LR_SCHEDULE_H

#include <stdint.h>

typedef enum weft_schedule_kind {
    WEFT_SCHEDULE_CONSTANT, /* 1 */
    WEFT_SCHEDULE_STEP,     /* factor^floor(k / every) */
    WEFT_SCHEDULE_COSINE,   /* from 1 to `final` over `steps`, then `final` */
    WEFT_SCHEDULE_INVERSE,  /* 1/(1 + rate k): 2/(mu k + theta) where lr = 2/theta */
    WEFT_SCHEDULE_SQRT      /* 1/sqrt(k + 1) */
} weft_schedule_kind;

typedef struct weft_schedule {
    weft_schedule_kind kind;
    double every, factor, steps, final, rate;
    double warmup; /* steps over which it grows evenly from 1/warmup first */
} weft_schedule;

/* 0, or WEFT_EINVAL that names the choices. */
int weft_schedule_parse(const char *text, weft_schedule *ret);
/* inverse has no rate of its own: mu lr/2 is theory's. 0, or WEFT_EINVAL: mu is not known. */
int weft_schedule_rate(weft_schedule *s, double mu, double lr);
/* factor^n, with the same bits on every machine. */
double weft_schedule_power(double factor, uint64_t n);
/* In step k, from 0. */
double weft_schedule_at(const weft_schedule *s, uint64_t k);

#endif
