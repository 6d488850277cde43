/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/prox.h"

#include <math.h>

#include "base/status.h"
#include "kernel/kernel.h"

bool weft_prox_any(const weft_prox *p)
{
    return p->l1 > 0.0 || p->l2 > 0.0 || p->group > 0.0 || !isnan(p->low) || !isnan(p->high);
}

int weft_prox_check(const weft_prox *p)
{
    if (p->low > p->high) {
        return weft_fail(WEFT_EINVAL, "prox_low %g is above prox_high %g", p->low, p->high);
    }
    if (p->group > 0.0 && (!isnan(p->low) || !isnan(p->high) || p->l2 > 0.0)) {
        return weft_fail(WEFT_ENOTSUP,
                         "prox_group goes with prox_l1 alone: the step of more together is no "
                         "closed form");
    }
    return WEFT_OK;
}

/* What a block of that squared norm is multiplied by. */
static double shrink(const weft_prox *p, double lr, size_t length, double squares)
{
    const double norm = sqrt(squares), take = lr * p->group * sqrt((double)length);
    return norm > take ? 1.0 - take / norm : 0.0;
}

static size_t block_at(const weft_prox *p, size_t first, size_t count)
{
    return count - first < p->block ? count - first : p->block;
}

void weft_prox_apply(const weft_prox *p, double lr, float *x, size_t count)
{
    if (p->l1 > 0.0 || p->l2 > 0.0) {
        weft_kernel_prox(x, (float)(lr * p->l1), (float)(1.0 + lr * p->l2), count);
    }
    for (size_t i = 0; p->group > 0.0 && i < count; i += p->block) {
        const size_t length = block_at(p, i, count);
        const float by = (float)shrink(p, lr, length, weft_kernel_sumsq(x + i, length));
        for (size_t j = i; j < i + length; j++) {
            x[j] *= by;
        }
    }
    for (size_t i = 0; !isnan(p->low) && i < count; i++) {
        x[i] = x[i] < (float)p->low ? (float)p->low : x[i];
    }
    for (size_t i = 0; !isnan(p->high) && i < count; i++) {
        x[i] = x[i] > (float)p->high ? (float)p->high : x[i];
    }
}

void weft_prox_apply64(const weft_prox *p, double lr, double *x, size_t count)
{
    for (size_t i = 0; (p->l1 > 0.0 || p->l2 > 0.0) && i < count; i++) {
        x[i] = copysign(fmax(fabs(x[i]) - lr * p->l1, 0.0), x[i]) / (1.0 + lr * p->l2);
    }
    for (size_t i = 0; p->group > 0.0 && i < count; i += p->block) {
        const size_t length = block_at(p, i, count);
        double squares = 0.0;
        for (size_t j = i; j < i + length; j++) {
            squares += x[j] * x[j];
        }
        const double by = shrink(p, lr, length, squares);
        for (size_t j = i; j < i + length; j++) {
            x[j] *= by;
        }
    }
    for (size_t i = 0; !isnan(p->low) && i < count; i++) {
        x[i] = fmax(x[i], p->low);
    }
    for (size_t i = 0; !isnan(p->high) && i < count; i++) {
        x[i] = fmin(x[i], p->high);
    }
}
