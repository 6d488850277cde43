/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State in double (state=f64), for methods that are to go further than binary32 lets a small step
 * move a model: x, v, h and hbar are kept in double, messages and the model that the caller sees
 * stay float32.
 */
#ifndef WEFT_OPTIM_STATE64_H
#define WEFT_OPTIM_STATE64_H

#include <stdbool.h>
#include <weft/optim.h>

typedef struct weft_state64 {
    double *x, *v;
    double *h, *hbar; /* NULL: no memories */
    double *fresh;    /* scratch: mean of all h */
} weft_state64;

/* Reserve it, with memories or without. 0 or WEFT_ENOMEM. */
int weft_state64_open(weft_optim *o, bool memories);
void weft_state64_close(weft_state64 **state);
/* o->work = gradient - h. */
void weft_state64_difference(const weft_optim *o, const float *gradient);
/* The step of sgd, or with memories of diana. The vectors of o are roundings of these. */
void weft_state64_commit(weft_optim *o, float *x);

#endif
