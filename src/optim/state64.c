/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/state64.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "optim/optim.h"

static int reserve(const weft_optim *o, double **vector)
{
    *vector = weft_calloc(o->count, sizeof(double));
    return *vector != NULL
               ? WEFT_OK
               : weft_fail(WEFT_ENOMEM, "no memory for a vector of %zu doubles", o->count);
}

int weft_state64_open(weft_optim *o, bool memories)
{
    o->wide = weft_calloc(1, sizeof(*o->wide));
    if (o->wide == NULL) {
        return weft_fail(WEFT_ENOMEM, "no memory");
    }
    int code = o->clip > 0.0 ? weft_fail(WEFT_ENOTSUP, "state=f64 goes without clip")
                             : reserve(o, &o->wide->x);
    if (code == WEFT_OK) {
        code = reserve(o, &o->wide->v);
    }
    if (code == WEFT_OK && memories) {
        code = reserve(o, &o->wide->h);
    }
    if (code == WEFT_OK && memories) {
        code = reserve(o, &o->wide->hbar);
    }
    if (code == WEFT_OK && memories) {
        code = reserve(o, &o->wide->fresh);
    }
    return code;
}

void weft_state64_close(weft_state64 **state)
{
    if (*state == NULL) {
        return;
    }
    weft_free((*state)->x);
    weft_free((*state)->v);
    weft_free((*state)->h);
    weft_free((*state)->hbar);
    weft_free((*state)->fresh);
    weft_free(*state);
    *state = NULL;
}

/* ghat = hbar + D, then hbar and h learn. Returns ghat. */
static double learn(const weft_optim *o, size_t j)
{
    const weft_state64 *s = o->wide;
    const double ghat = s->hbar[j] + (double)o->mean[j];

    s->hbar[j] += o->alpha * (double)o->mean[j];
    s->h[j] += o->alpha * (double)o->q[j];
    o->hbar[j] = (float)s->hbar[j];
    o->h[j] = (float)s->h[j];
    return ghat;
}

void weft_state64_difference(const weft_optim *o, const float *gradient)
{
    for (size_t j = 0; j < o->count; j++) {
        o->work[j] = (float)((double)gradient[j] - o->wide->h[j]);
    }
}

void weft_state64_commit(weft_optim *o, float *x)
{
    weft_state64 *s = o->wide;
    const double lr = weft_optim_lr(o), keep = 1.0 - lr * o->decay;

    if (s->h != NULL && weft_optim_refreshes(o)) {
        memcpy(s->hbar, s->fresh, o->count * sizeof(*s->hbar));
    }
    for (size_t j = 0; j < o->count; j++) {
        const double ghat = s->h != NULL ? learn(o, j) : (double)o->mean[j];
        /* The caller may have put another model there. */
        const double from = (float)s->x[j] == x[j] ? s->x[j] : (double)x[j];

        s->v[j] = o->setting.momentum > 0.0 ? o->setting.momentum * s->v[j] + ghat : ghat;
        s->x[j] = (o->decay > 0.0 ? keep * from : from) - lr * s->v[j];
        o->v[j] = (float)s->v[j];
    }
    weft_prox_apply64(&o->prox, lr, s->x, o->count);
    for (size_t j = 0; j < o->count; j++) {
        x[j] = (float)s->x[j];
    }
}
