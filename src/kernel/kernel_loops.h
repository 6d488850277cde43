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

#include "kernel/kernel_table.h"

#ifndef KERNEL_TABLE
#define KERNEL_TABLE weft_kernels_c
#define KERNEL_NAME "c"
#endif

/* Element types as they lie in a message: at any address, beside any other type. */
#define UNALIGNED __attribute__((aligned(1), may_alias))
#define UNALIGNED_TYPE(name, type, words) typedef type any_##name UNALIGNED;
WEFT_DTYPE_MAP(UNALIGNED_TYPE)

/* Iterations are independent even when dst is a or b: each reads its element before it writes. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* not vectorized with sanitizers: slower only */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#define ADD(type, wide, a, b) (type)((wide)(a) + (wide)(b))
#define MUL(type, wide, a, b) (type)((wide)(a) * (wide)(b))
#define MIN(type, wide, a, b) (type)((a) < (b) ? (a) : (b))
#define MAX(type, wide, a, b) (type)((a) > (b) ? (a) : (b))
/* a != a: NaN in either operand gives NaN (in b because no comparison with it holds). */
#define MIN_NAN(type, wide, a, b) (type)((((a) < (b)) | ((a) != (a))) ? (a) : (b))
#define MAX_NAN(type, wide, a, b) (type)((((a) > (b)) | ((a) != (a))) ? (a) : (b))

#define REDUCE(fn, name, type, wide, OP)                                                           \
    static void fn##_##name(void *dst, const void *a, const void *b, size_t count)                 \
    {                                                                                              \
        any_##name *d = dst;                                                                       \
        const any_##name *x = a, *y = b;                                                           \
        INDEPENDENT for (size_t i = 0; i < count; i++)                                             \
        {                                                                                          \
            type p = x[i], q = y[i];                                                               \
            d[i] = OP(type, wide, p, q);                                                           \
        }                                                                                          \
    }

/* wide: the unsigned type the arithmetic wraps in, at least as wide as int. */
#define REDUCE_INTEGER(name, type, wide)                                                           \
    REDUCE(sum, name, type, wide, ADD)                                                             \
    REDUCE(prod, name, type, wide, MUL)                                                            \
    REDUCE(min, name, type, wide, MIN)                                                             \
    REDUCE(max, name, type, wide, MAX)

#define REDUCE_FLOAT(name, type)                                                                   \
    REDUCE(sum, name, type, type, ADD)                                                             \
    REDUCE(prod, name, type, type, MUL)                                                            \
    REDUCE(min, name, type, type, MIN_NAN)                                                         \
    REDUCE(max, name, type, type, MAX_NAN)                                                         \
    static void divide_##name(void *v, size_t count, double by)                                    \
    {                                                                                              \
        any_##name *d = v;                                                                         \
        type divisor = (type)by;                                                                   \
        for (size_t i = 0; i < count; i++)                                                         \
            d[i] = d[i] / divisor;                                                                 \
    }                                                                                              \
    static void scale_##name(void *v, size_t count, double by)                                     \
    {                                                                                              \
        any_##name *d = v;                                                                         \
        type factor = (type)by;                                                                    \
        for (size_t i = 0; i < count; i++)                                                         \
            d[i] = d[i] * factor;                                                                  \
    }

REDUCE_FLOAT(F32, float)
REDUCE_FLOAT(F64, double)
REDUCE_INTEGER(I8, int8_t, uint32_t)
REDUCE_INTEGER(U8, uint8_t, uint32_t)
REDUCE_INTEGER(I32, int32_t, uint32_t)
REDUCE_INTEGER(U32, uint32_t, uint32_t)
REDUCE_INTEGER(I64, int64_t, uint64_t)
REDUCE_INTEGER(U64, uint64_t, uint64_t)

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

#define SUM_OVER(fn, TERM)                                                                         \
    static double fn(const float *v, size_t count)                                                 \
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

SUM_OVER(sumabs, (e < 0 ? -e : e))
SUM_OVER(sumsq, e *e)

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

/* A row of the table, in the order of weft_op; mean is NULL where the type has none. */
#define ROW(name, mean)                                                                            \
    {                                                                                              \
        sum_##name, mean, prod_##name, min_##name, max_##name                                      \
    }
_Static_assert(WEFT_SUM == 0 && WEFT_MEAN == 1 && WEFT_PROD == 2 && WEFT_MIN == 3 && WEFT_MAX == 4,
               "rows follow weft_op");

const weft_kernels KERNEL_TABLE = {
    .name = KERNEL_NAME,
    .reduce = {[WEFT_F32] = ROW(F32, sum_F32),
               [WEFT_F64] = ROW(F64, sum_F64),
               [WEFT_I8] = ROW(I8, NULL),
               [WEFT_U8] = ROW(U8, NULL),
               [WEFT_I32] = ROW(I32, NULL),
               [WEFT_U32] = ROW(U32, NULL),
               [WEFT_I64] = ROW(I64, NULL),
               [WEFT_U64] = ROW(U64, NULL)},
    .divide = {[WEFT_F32] = divide_F32, [WEFT_F64] = divide_F64},
    .scale = {[WEFT_F32] = scale_F32, [WEFT_F64] = scale_F64},
    .maxabs = maxabs,
    .sumabs = sumabs,
    .sumsq = sumsq,
    .sub = sub,
    .axpy = axpy,
    .scale_add = scale_add,
    .prox = prox,
};

#endif
