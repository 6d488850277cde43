/* SPDX-License-Identifier: Apache-2.0 */
/** @file types.h Element types, reduction operations, opaque handles. */
#ifndef WEFT_TYPES_H
#define WEFT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <weft/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, C type, words): element types of dense operations. Elements of F16 (IEEE 754 binary16)
 * and BF16 (the upper half of a binary32) lie in memory as a uint16_t that holds their bits. */
#define WEFT_DTYPE_MAP(X)                                                                          \
    X(F32, float, "float32")                                                                       \
    X(F64, double, "float64")                                                                      \
    X(F16, uint16_t, "float16")                                                                    \
    X(BF16, uint16_t, "bfloat16")                                                                  \
    X(I8, int8_t, "int8")                                                                          \
    X(U8, uint8_t, "uint8")                                                                        \
    X(I16, int16_t, "int16")                                                                       \
    X(U16, uint16_t, "uint16")                                                                     \
    X(I32, int32_t, "int32")                                                                       \
    X(U32, uint32_t, "uint32")                                                                     \
    X(I64, int64_t, "int64")                                                                       \
    X(U64, uint64_t, "uint64")

/** Element types. */
typedef enum weft_dtype {
#define WEFT_DTYPE_ENUM(name, type, words) WEFT_##name,
    WEFT_DTYPE_MAP(WEFT_DTYPE_ENUM)
#undef WEFT_DTYPE_ENUM
        WEFT_DTYPE_COUNT
} weft_dtype;

/* X(name, words): reduction operations. MEAN is SUM, then one division by the number of peers, and
 * exists for floating types. BAND, BOR and BXOR work on the bits of integers. Integer sums and
 * products wrap (two's complement). MIN and MAX of floating types return NaN when either operand is
 * NaN. Of F16 and BF16 each single operation is one of binary32, rounded to the type at once
 * (nearest, ties to even): sums are kept in the type, and may overflow in it. */
#define WEFT_OP_MAP(X)                                                                             \
    X(SUM, "sum")                                                                                  \
    X(MEAN, "mean")                                                                                \
    X(PROD, "prod")                                                                                \
    X(MIN, "min")                                                                                  \
    X(MAX, "max")                                                                                  \
    X(BAND, "and")                                                                                 \
    X(BOR, "or")                                                                                   \
    X(BXOR, "xor")

/** Reduction operations. */
typedef enum weft_op {
#define WEFT_OP_ENUM(name, words) WEFT_##name,
    WEFT_OP_MAP(WEFT_OP_ENUM)
#undef WEFT_OP_ENUM
        WEFT_USER, /**< "user": the caller's own, weft_coll_opts.user_op */
    WEFT_OP_COUNT
} weft_op;

/**
 * A caller's own reduction, associative, the same on all peers. Every peer combines what it has of
 * the peers' vectors by calls of reduce().
 *
 * reduce() is called on the thread that drives the group: one of the library's or one that waits in
 * a call of this group, under the default floating-point environment; for one operation by one
 * thread at a time, but two operations, or two groups of a process, may call it at once. It must
 * return, and must not call weft for this group. Peers hold the same bits afterwards when it is a
 * function of its elements alone.
 */
typedef struct weft_user_op {
    size_t size; /**< sizeof(weft_user_op), set by the caller */
    /** dst[i] = a[i] op b[i] for count >= 1 elements of dtype. dst may be a or b, else they do not
     * overlap; none need be aligned. user is the field below. */
    void (*reduce)(void *user, void *dst, const void *a, const void *b, size_t count,
                   weft_dtype dtype);
    void *user;      /**< whatever reduce() needs; must live until the operation has ended */
    int commutative; /**< 1: a op b is b op a, any algorithm may serve; 0: operands keep the order
                          of ranks, and only algorithms that combine in it serve */
} weft_user_op;

typedef struct weft_group weft_group;     /**< peers that work together */
typedef struct weft_request weft_request; /**< one started operation */

/** Bytes of one element; 0 for what is no type. */
WEFT_API size_t weft_dtype_bytes(weft_dtype dtype);
/** "float32" for WEFT_F32, "unknown" for what is no type. Static storage. */
WEFT_API const char *weft_dtype_name(weft_dtype dtype);
/** "sum" for WEFT_SUM, "unknown" for what is no operation. Static storage. */
WEFT_API const char *weft_op_name(weft_op op);
/** The type of that name. @return 0, or WEFT_EINVAL with the names in the text. */
WEFT_API int weft_dtype_parse(const char *name, weft_dtype *ret);
/** The operation of that name. @return 0, or WEFT_EINVAL with the names in the text. */
WEFT_API int weft_op_parse(const char *name, weft_op *ret);

/** Version of the library that runs, "0.1.0". Static storage. */
WEFT_API const char *weft_version(void);

/** What becomes of contributions on their way. It limits what "auto" may choose; an algorithm that
 *  is named speaks for itself, but never against a fidelity that is named too (WEFT_ENOTSUP). */
typedef enum weft_fidelity {
    WEFT_FIDELITY_DEFAULT = 0,    /**< exact, unless algo or reply_codec says otherwise */
    WEFT_FIDELITY_EXACT = 1,      /**< each contribution is encoded once, the result is exactly the
                                       sum of the decoded ones */
    WEFT_FIDELITY_REQUANTIZED = 2 /**< sums may be encoded again: fewer bytes, more noise */
} weft_fidelity;

#ifdef __cplusplus
}
#endif
#endif
