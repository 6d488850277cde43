/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops themselves, compiled once for each instruction set: kernel_c.c, kernel_avx2.c. Plain C
 * that compilers vectorize. Every element goes through the same operations in the same order, so
 * the width of the vectors does not show in the bits.
 */
#ifndef WEFT_KERNEL_KERNEL_LOOPS_H
#define WEFT_KERNEL_KERNEL_LOOPS_H

#include <math.h>
#include <string.h>

#include "kernel/kernel_code_loops.h"
#include "kernel/kernel_large.h"
#include "kernel/kernel_reduce.h"
#include "kernel/kernel_table.h"
#include "kernel/pack_loops.h"
#include "kernel/quant_loops.h"

#ifdef KERNEL_AVX2
#include "kernel/quant_avx2.h"
#endif

#ifndef KERNEL_TABLE
#define KERNEL_TABLE weft_kernels_c
#define KERNEL_NAME "c"
#define KERNEL_QUANT(fn) c_##fn
#define c_draw weft_draw_u16
#endif

enum { LANES = 16 };

/* Of non-negative floats the larger one has the larger bits, and NaN is above infinity. */
static float maxabs(const float *v, size_t count)
{
    const any_I32 *bits = (const any_I32 *)v;
    int32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t b = bits[i] & INT32_MAX;
        most = b > most ? b : most;
    }
    float out;
    memcpy(&out, &most, sizeof(out));
    return out;
}

static double fold(const double part[LANES])
{
    double sum = part[0];
    for (int j = 1; j < LANES; j++)
        sum += part[j];
    return sum;
}

#define SUM_OVER(fn, PARAMETERS, TERM)                                                             \
    static double fn PARAMETERS                                                                    \
    {                                                                                              \
        const any_F32 *x = v;                                                                      \
        double part[LANES] = {0};                                                                  \
        size_t i = 0;                                                                              \
        for (; i + LANES <= count; i += LANES)                                                     \
            for (size_t j = 0; j < LANES; j++) {                                                   \
                double e = (double)x[i + j];                                                       \
                part[j] += TERM;                                                                   \
            }                                                                                      \
        for (size_t j = 0; i + j < count; j++) {                                                   \
            double e = (double)x[i + j];                                                           \
            part[j] += TERM;                                                                       \
        }                                                                                          \
        return fold(part);                                                                         \
    }

SUM_OVER(sum, (const float *v, size_t count), e)
SUM_OVER(sumabs, (const float *v, size_t count), (e < 0 ? -e : e))
SUM_OVER(sumsq, (const float *v, size_t count), e *e)
SUM_OVER(sumdev, (const float *v, size_t count, double mean), (e - mean) * (e - mean))

static void sub(float *dst, const float *a, const float *b, size_t count)
{
    any_F32 *d = dst;
    const any_F32 *x = a, *y = b;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        d[i] = x[i] - y[i];
    }
}

static void axpy(float *y, float alpha, const float *x, size_t count)
{
    any_F32 *d = y;
    const any_F32 *s = x;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        float term = alpha * s[i];
        d[i] = d[i] + term;
    }
}

static void scale_add(float *v, float beta, const float *g, size_t count)
{
    any_F32 *d = v;
    const any_F32 *s = g;
    INDEPENDENT for (size_t i = 0; i < count; i++)
    {
        float kept = beta * d[i];
        d[i] = kept + s[i];
    }
}

static void prox(float *x, float gamma_l1, float one_plus_gamma_l2, size_t count)
{
    any_F32 *d = x;
    for (size_t i = 0; i < count; i++) {
        float v = d[i];
        float left = fabsf(v) - gamma_l1;
        /* Not `left > 0 ? left : 0`: NaN has to stay NaN. And + 0: what falls to zero is +0. */
        float soft = copysignf(left <= 0 ? 0.0f : left, v) + 0.0f;
        d[i] = soft / one_plus_gamma_l2;
    }
}

/* Rows of the table, in the order of weft_op. */
#define FLOATING(name)                                                                             \
    {                                                                                              \
        sum_##name, sum_##name, prod_##name, min_##name, max_##name                                \
    }
#define INTEGER(name)                                                                              \
    {                                                                                              \
        sum_##name, NULL, prod_##name, min_##name, max_##name, and_##name, or_##name, xor_##name   \
    }
_Static_assert(WEFT_SUM == 0 && WEFT_MEAN == 1 && WEFT_PROD == 2 && WEFT_MIN == 3 &&
                   WEFT_MAX == 4 && WEFT_BAND == 5 && WEFT_BOR == 6 && WEFT_BXOR == 7,
               "rows follow weft_op");

const weft_kernels KERNEL_TABLE = {
    .name = KERNEL_NAME,
    .reduce = {[WEFT_F32] = FLOATING(F32),
               [WEFT_F64] = FLOATING(F64),
               [WEFT_F16] = FLOATING(F16),
               [WEFT_BF16] = FLOATING(BF16),
               [WEFT_I8] = INTEGER(I8),
               [WEFT_U8] = INTEGER(U8),
               [WEFT_I16] = INTEGER(I16),
               [WEFT_U16] = INTEGER(U16),
               [WEFT_I32] = INTEGER(I32),
               [WEFT_U32] = INTEGER(U32),
               [WEFT_I64] = INTEGER(I64),
               [WEFT_U64] = INTEGER(U64)},
    .divide = {[WEFT_F32] = divide_F32,
               [WEFT_F64] = divide_F64,
               [WEFT_F16] = divide_F16,
               [WEFT_BF16] = divide_BF16},
    .scale = {[WEFT_F32] = scale_F32,
              [WEFT_F64] = scale_F64,
              [WEFT_F16] = scale_F16,
              [WEFT_BF16] = scale_BF16},
    .maxabs = maxabs,
    .sum = sum,
    .sumdev = sumdev,
    .sumabs = sumabs,
    .sumsq = sumsq,
    .sub = sub,
    .axpy = axpy,
    .scale_add = scale_add,
    .prox = prox,
    .code = CODE_KERNELS,
    .large = large,
    .part = split_at,
    .band = band,
    .draw = KERNEL_QUANT(draw),
    .levels8 = KERNEL_QUANT(levels8),
    .levels16 = KERNEL_QUANT(levels16),
    .drawn8 = KERNEL_QUANT(drawn8),
    .values8 = values8,
    .values16 = values16,
    .add8 = add8,
    .add16 = add16,
    .most4 = most4,
    .most8 = most8,
    .most16 = most16,
    .least16 = least16,
    .others16 = KERNEL_QUANT(others16),
    .pack8 = pack8,
    .pack16 = pack16,
    .unpack8 = unpack8,
    .unpack16 = unpack16,
};

#endif
