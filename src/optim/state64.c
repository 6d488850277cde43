/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/state64.h"

#include <math.h>

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
    int code = reserve(o, &o->wide->x);
    if (code == WEFT_OK) {
        code = reserve(o, &o->wide->v);
    }
    if (code == WEFT_OK && memories) {
        code = reserve(o, &o->wide->h);
    }
    if (code == WEFT_OK && memories) {
        code = reserve(o, &o->wide->hbar);
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
    weft_free(*state);
    *state = NULL;
}

/* prox of lr (l1 |x|_1 + l2/2 |x|^2). */
static double prox(double x, double threshold, double divisor)
{
    return copysign(fmax(fabs(x) - threshold, 0.0), x) / divisor;
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

int weft_state64_step(weft_optim *o, float *x, const float *gradient)
{
    weft_state64 *s = o->wide;

    for (size_t j = 0; s->h != NULL && j < o->count; j++) {
        o->work[j] = (float)((double)gradient[j] - s->h[j]);
    }
    const int code = weft_optim_exchange(o, s->h != NULL ? o->work : gradient);
    if (code != WEFT_OK) {
        return code;
    }
    for (size_t j = 0; j < o->count; j++) {
        const double ghat = s->h != NULL ? learn(o, j) : (double)o->mean[j];
        /* The caller may have put another model there. */
        const double from = (float)s->x[j] == x[j] ? s->x[j] : (double)x[j];

        s->v[j] = o->setting.momentum > 0.0 ? o->setting.momentum * s->v[j] + ghat : ghat;
        s->x[j] = from - o->lr * s->v[j];
        if (o->l1 > 0.0 || o->l2 > 0.0) {
            s->x[j] = prox(s->x[j], o->lr * o->l1, 1.0 + o->lr * o->l2);
        }
        o->v[j] = (float)s->v[j];
        x[j] = (float)s->x[j];
    }
    return WEFT_OK;
}
