/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floating-point environment: what peers must hold with equal bits is computed under the
 * default one, whatever rounding mode or flush-to-zero the calling thread has set.
 */
#ifndef WEFT_BASE_FPENV_H
#define WEFT_BASE_FPENV_H

#include <fenv.h>

/* Put the caller's aside. */
static inline fenv_t weft_fp_enter(void)
{
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    return callers;
}

static inline void weft_fp_leave(const fenv_t *callers)
{
    fesetenv(callers);
}

#endif
