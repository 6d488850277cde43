/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops that reduce, and those that divide or scale by a number: one for each type and
 * operation, named sum_F32 and so on. A part of kernel_loops.h.
 */
#ifndef WEFT_KERNEL_KERNEL_REDUCE_H
#define WEFT_KERNEL_KERNEL_REDUCE_H

#include "kernel/kernel.h"
#include "kernel/kernel_half.h"

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
#define AND(type, wide, a, b) (type)((wide)(a) & (wide)(b))
#define OR(type, wide, a, b) (type)((wide)(a) | (wide)(b))
#define XOR(type, wide, a, b) (type)((wide)(a) ^ (wide)(b))
/* a != a: NaN in either operand gives NaN (in b because no comparison with it holds). */
#define MIN_NAN(type, wide, a, b) (type)((((a) < (b)) | ((a) != (a))) ? (a) : (b))
#define MAX_NAN(type, wide, a, b) (type)((((a) > (b)) | ((a) != (a))) ? (a) : (b))
#define ADD_F16(type, wide, a, b) f16_of_float(float_of_f16(a) + float_of_f16(b))
#define MUL_F16(type, wide, a, b) f16_of_float(float_of_f16(a) * float_of_f16(b))
#define MIN_F16(type, wide, a, b) half_min(a, b, F16_INFINITY, F16_NAN)
#define MAX_F16(type, wide, a, b) half_max(a, b, F16_INFINITY, F16_NAN)
#define ADD_BF16(type, wide, a, b) bf16_of_float(float_of_bf16(a) + float_of_bf16(b))
#define MUL_BF16(type, wide, a, b) bf16_of_float(float_of_bf16(a) * float_of_bf16(b))
#define MIN_BF16(type, wide, a, b) half_min(a, b, BF16_INFINITY, BF16_NAN)
#define MAX_BF16(type, wide, a, b) half_max(a, b, BF16_INFINITY, BF16_NAN)

#define REDUCE(fn, name, type, wide, OP)                                                           \
    static inline void fn##_##name(void *dst, const void *a, const void *b, size_t count)          \
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
    REDUCE(max, name, type, wide, MAX)                                                             \
    REDUCE(and, name, type, wide, AND)                                                             \
    REDUCE(or, name, type, wide, OR)                                                               \
    REDUCE(xor, name, type, wide, XOR)

/* v[i] = v[i] OP by, by being of the type that is computed in. */
#define EACH(fn, name, type, OP)                                                                   \
    static inline void fn##_##name(void *v, size_t count, double by)                               \
    {                                                                                              \
        any_##name *d = v;                                                                         \
        const type other = (type)by;                                                               \
        for (size_t i = 0; i < count; i++)                                                         \
            d[i] = OP(d[i], other);                                                                \
    }

#define QUOTIENT(a, b) (a) / (b)
#define PRODUCT(a, b) (a) * (b)
#define QUOTIENT_F16(a, b) f16_of_float(float_of_f16(a) / (b))
#define PRODUCT_F16(a, b) f16_of_float(float_of_f16(a) * (b))
#define QUOTIENT_BF16(a, b) bf16_of_float(float_of_bf16(a) / (b))
#define PRODUCT_BF16(a, b) bf16_of_float(float_of_bf16(a) * (b))

#define REDUCE_FLOAT(name, type)                                                                   \
    REDUCE(sum, name, type, type, ADD)                                                             \
    REDUCE(prod, name, type, type, MUL)                                                            \
    REDUCE(min, name, type, type, MIN_NAN)                                                         \
    REDUCE(max, name, type, type, MAX_NAN)                                                         \
    EACH(divide, name, type, QUOTIENT)                                                             \
    EACH(scale, name, type, PRODUCT)

#define REDUCE_HALF(name)                                                                          \
    REDUCE(sum, name, uint16_t, float, ADD_##name)                                                 \
    REDUCE(prod, name, uint16_t, float, MUL_##name)                                                \
    REDUCE(min, name, uint16_t, float, MIN_##name)                                                 \
    REDUCE(max, name, uint16_t, float, MAX_##name)                                                 \
    EACH(divide, name, float, QUOTIENT_##name)                                                     \
    EACH(scale, name, float, PRODUCT_##name)

REDUCE_FLOAT(F32, float)
REDUCE_FLOAT(F64, double)
REDUCE_HALF(F16)
REDUCE_HALF(BF16)
REDUCE_INTEGER(I8, int8_t, uint32_t)
REDUCE_INTEGER(U8, uint8_t, uint32_t)
REDUCE_INTEGER(I16, int16_t, uint32_t)
REDUCE_INTEGER(U16, uint16_t, uint32_t)
REDUCE_INTEGER(I32, int32_t, uint32_t)
REDUCE_INTEGER(U32, uint32_t, uint32_t)
REDUCE_INTEGER(I64, int64_t, uint64_t)
REDUCE_INTEGER(U64, uint64_t, uint64_t)

#endif
