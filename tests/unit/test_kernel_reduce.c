/* SPDX-License-Identifier: Apache-2.0 */
/* The loops that reduce and divide: every type and operation, in every table, by the definition. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"
#include "support/halves.h"

enum { BYTES = 4096, CANARY = 64, VALUES = 1 << 16 };

static bool is_floating(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64 || halves_are(dtype);
}

/* Bits of halves that go wrong first, of both signs in turn: zero, the least and the largest
 * subnormal, the least normal, one and its neighbours, what overflows, infinity, NaN. */
static uint16_t special_half(weft_dtype dtype, size_t i)
{
    static const uint16_t f16[] = {0,      1,      0x03ff, 0x0400, 0x3c00, 0x3c01, 0x3bff,
                                   0x3555, 0x7bff, 0x7800, 0x7c00, 0x7e00, 0x7c01};
    static const uint16_t bf16[] = {0,      1,      0x007f, 0x0080, 0x3f80, 0x3f81, 0x3f7f,
                                    0x3eab, 0x7f7f, 0x7f00, 0x7f80, 0x7fc0, 0x7f81};
    const size_t kinds = sizeof(f16) / sizeof(f16[0]);
    const uint16_t plain = (dtype == WEFT_F16 ? f16 : bf16)[i / 2 % kinds];
    return (uint16_t)(plain | (i % 2 ? 0x8000 : 0));
}
enum { SPECIALS = 26 };

/* Floating values that go wrong first: zeros of both signs, subnormals, the largest, infinities,
 * NaN. The rest is random bits. */
static void fill(uint8_t *out, size_t len, weft_dtype dtype, uint64_t seed)
{
    static const float f32[] = {0.0f,     -0.0f,     1e-45f, -1e-40f, FLT_MIN, FLT_MAX,   -FLT_MAX,
                                INFINITY, -INFINITY, NAN,    1.5f,    -2.25f,  0x1p-126f, 3.0f};
    static const double f64[] = {
        0.0,     -0.0,     5e-324,           -1e-310,           DBL_MIN,
        DBL_MAX, -DBL_MAX, (double)INFINITY, -(double)INFINITY, (double)NAN,
        1.5,     -2.25};
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)weft_rng_u64(&rng);
    for (size_t i = 0; dtype == WEFT_F32 && i + 4 <= len; i += 4)
        if (weft_rng_below(&rng, 3))
            memcpy(out + i, &f32[weft_rng_below(&rng, sizeof(f32) / sizeof(f32[0]))], 4);
    for (size_t i = 0; dtype == WEFT_F64 && i + 8 <= len; i += 8)
        if (weft_rng_below(&rng, 3))
            memcpy(out + i, &f64[weft_rng_below(&rng, sizeof(f64) / sizeof(f64[0]))], 8);
    for (size_t i = 0; halves_are(dtype) && i + 2 <= len; i += 2)
        if (weft_rng_below(&rng, 3)) {
            const uint16_t half = special_half(dtype, weft_rng_below(&rng, SPECIALS));
            memcpy(out + i, &half, 2);
        }
}

static bool is_nan(weft_dtype dtype, const uint8_t *at)
{
    float f = 0;
    double d = 0;
    if (dtype == WEFT_F32)
        memcpy(&f, at, sizeof(f));
    if (dtype == WEFT_F64)
        memcpy(&d, at, sizeof(d));
    return isnan(f) || isnan(d);
}

/* Equal bits, except that any NaN of binary32 or binary64 equals any other. */
static bool same(weft_dtype dtype, const uint8_t *a, const uint8_t *b)
{
    return !memcmp(a, b, weft_dtype_bytes(dtype)) || (is_nan(dtype, a) && is_nan(dtype, b));
}

#define ORACLE_INTEGER(name, type, wide)                                                           \
    case WEFT_##name: {                                                                            \
        type a, b, r;                                                                              \
        memcpy(&a, x, sizeof(a));                                                                  \
        memcpy(&b, y, sizeof(b));                                                                  \
        r = op == WEFT_SUM    ? (type)((wide)a + (wide)b)                                          \
            : op == WEFT_PROD ? (type)((wide)a * (wide)b)                                          \
            : op == WEFT_BAND ? (type)(a & b)                                                      \
            : op == WEFT_BOR  ? (type)(a | b)                                                      \
            : op == WEFT_BXOR ? (type)(a ^ b)                                                      \
            : op == WEFT_MIN  ? (b < a ? b : a)                                                    \
                              : (b > a ? b : a);                                                    \
        memcpy(out, &r, sizeof(r));                                                                \
        return;                                                                                    \
    }

#define ORACLE_FLOAT(name, type)                                                                   \
    case WEFT_##name: {                                                                            \
        type a, b, r;                                                                              \
        memcpy(&a, x, sizeof(a));                                                                  \
        memcpy(&b, y, sizeof(b));                                                                  \
        if (op == WEFT_SUM || op == WEFT_MEAN)                                                     \
            r = a + b;                                                                             \
        else if (op == WEFT_PROD)                                                                  \
            r = a * b;                                                                             \
        else if (isnan(a) || isnan(b))                                                             \
            r = (type)NAN;                                                                         \
        else if (op == WEFT_MIN)                                                                   \
            r = a < b ? a : b;                                                                     \
        else                                                                                       \
            r = a > b ? a : b;                                                                     \
        memcpy(out, &r, sizeof(r));                                                                \
        return;                                                                                    \
    }

/* One operation of binary32, rounded; of two zeros -0 is the lesser. */
static uint16_t oracle_half(weft_dtype dtype, weft_op op, uint16_t x, uint16_t y)
{
    const float a = (float)halves_value(dtype, x), b = (float)halves_value(dtype, y);
    if (op == WEFT_SUM || op == WEFT_MEAN)
        return halves_nearest(dtype, (double)(a + b));
    if (op == WEFT_PROD)
        return halves_nearest(dtype, (double)(a * b));
    if (isnan(a) || isnan(b))
        return halves_nearest(dtype, (double)NAN);
    const bool a_less = a < b || (a == b && x > y); /* equal with other bits: zeros */
    return a_less == (op == WEFT_MIN) ? x : y;
}

#define ORACLE_HALF(name)                                                                          \
    case WEFT_##name: {                                                                            \
        uint16_t a, b;                                                                             \
        memcpy(&a, x, sizeof(a));                                                                  \
        memcpy(&b, y, sizeof(b));                                                                  \
        a = oracle_half(dtype, op, a, b);                                                          \
        memcpy(out, &a, sizeof(a));                                                                \
        return;                                                                                    \
    }

/* One element by the words of weft/types.h. */
static void oracle(weft_dtype dtype, weft_op op, const uint8_t *x, const uint8_t *y, uint8_t *out)
{
    switch (dtype) {
        ORACLE_HALF(F16)
        ORACLE_HALF(BF16)
        ORACLE_FLOAT(F32, float)
        ORACLE_FLOAT(F64, double)
        ORACLE_INTEGER(I8, int8_t, uint32_t)
        ORACLE_INTEGER(U8, uint8_t, uint32_t)
        ORACLE_INTEGER(I16, int16_t, uint32_t)
        ORACLE_INTEGER(U16, uint16_t, uint32_t)
        ORACLE_INTEGER(I32, int32_t, uint32_t)
        ORACLE_INTEGER(U32, uint32_t, uint32_t)
        ORACLE_INTEGER(I64, int64_t, uint64_t)
        ORACLE_INTEGER(U64, uint64_t, uint64_t)
    default:
        cr_assert_fail("dtype %d", (int)dtype);
    }
}

/* Run one loop at some address and length; alias 1: dst is a, 2: dst is b. */
static void check_reduce(weft_reduce_fn *fn, weft_dtype dtype, weft_op op, size_t count, size_t off,
                         int alias)
{
    static uint8_t a[BYTES], b[BYTES], dst[BYTES], was_a[BYTES], was_b[BYTES];
    const size_t width = weft_dtype_bytes(dtype), len = count * width;
    fill(a + off, len, dtype, 17 * count + off);
    fill(b + 1, len, dtype, 31 * count + off + 1);
    memset(dst, 0xc3, sizeof(dst));
    memcpy(was_a, a, sizeof(a));
    memcpy(was_b, b, sizeof(b));
    uint8_t *to = alias == 1 ? a + off : alias == 2 ? b + 1 : dst + CANARY + off / 2;
    fn(to, a + off, b + 1, count);
    for (size_t i = 0; i < count; i++) {
        uint8_t want[8];
        oracle(dtype, op, was_a + off + i * width, was_b + 1 + i * width, want);
        cr_assert(same(dtype, to + i * width, want), "%s of %s, element %zu of %zu, offset %zu",
                  weft_op_name(op), weft_dtype_name(dtype), i, count, off);
    }
    cr_assert(alias == 1 || !memcmp(a, was_a, sizeof(a)), "an input changed");
    cr_assert(alias == 2 || !memcmp(b, was_b, sizeof(b)), "an input changed");
    for (size_t i = 0; alias == 0 && i < sizeof(dst); i++)
        if (dst + i < to || dst + i >= to + len)
            cr_assert_eq(dst[i], 0xc3, "wrote outside");
}

static void check_table(const weft_kernels *k)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 255};
    for (int d = 0; d < WEFT_DTYPE_COUNT; d++)
        for (int op = 0; op < WEFT_OP_COUNT; op++) {
            const weft_dtype dtype = (weft_dtype)d;
            weft_reduce_fn *fn = k->reduce[d][op];
            const bool bitwise = op == WEFT_BAND || op == WEFT_BOR || op == WEFT_BXOR;
            cr_assert_eq(fn == NULL,
                         op == WEFT_USER || (is_floating(dtype) ? bitwise : op == WEFT_MEAN));
            for (size_t i = 0; fn && i < sizeof(counts) / sizeof(counts[0]); i++)
                for (size_t off = 0; off < 9; off += i % 3 + 1)
                    check_reduce(fn, dtype, (weft_op)op, counts[i], off, (int)(off % 3));
        }
}

/* Each of the 65536 values against each special one, on either side. */
static void check_all_halves(const weft_kernels *k, weft_dtype dtype)
{
    static const weft_op ops[] = {WEFT_SUM, WEFT_PROD, WEFT_MIN, WEFT_MAX};
    static uint16_t all[VALUES], other[VALUES], out[VALUES];
    for (int i = 0; i < VALUES; i++)
        all[i] = (uint16_t)i;
    for (size_t s = 0; s < SPECIALS; s++) {
        for (int i = 0; i < VALUES; i++)
            other[i] = special_half(dtype, s);
        for (int o = 0; o < 4; o++) {
            const uint16_t *a = s % 3 ? all : other, *b = s % 3 ? other : all;
            k->reduce[dtype][ops[o]](out, a, b, VALUES);
            for (int i = 0; i < VALUES; i++)
                if (out[i] != oracle_half(dtype, ops[o], a[i], b[i]))
                    cr_assert_fail("%s %s of %04x and %04x is %04x", weft_dtype_name(dtype),
                                   weft_op_name(ops[o]), a[i], b[i], out[i]);
        }
    }
    static const double by[] = {1, 2, 3, 7, 60000, 65535, 0.3};
    for (size_t s = 0; s < sizeof(by) / sizeof(by[0]); s++) {
        memcpy(out, all, sizeof(out));
        memcpy(other, all, sizeof(other));
        k->divide[dtype](out, VALUES, by[s]);
        k->scale[dtype](other, VALUES, by[s]);
        for (int i = 0; i < VALUES; i++) {
            const float v = (float)halves_value(dtype, all[i]), n = (float)by[s];
            if (out[i] != halves_nearest(dtype, (double)(v / n)) ||
                other[i] != halves_nearest(dtype, (double)(v * n)))
                cr_assert_fail("%s %04x by %g is %04x, times %04x", weft_dtype_name(dtype), all[i],
                               by[s], out[i], other[i]);
        }
    }
}

static const weft_kernels *avx2_or_skip(void)
{
#ifdef WEFT_HAVE_AVX2
    if (__builtin_cpu_supports("avx2"))
        return &weft_kernels_avx2;
#endif
    cr_skip_test("this CPU has no AVX2");
    return NULL;
}

Test(kernel_reduce, reference_follows_the_definition)
{
    check_table(&weft_kernels_c);
}

Test(kernel_reduce, avx2_follows_the_definition)
{
    check_table(avx2_or_skip());
}

Test(kernel_reduce, reference_rounds_all_float16_as_defined)
{
    check_all_halves(&weft_kernels_c, WEFT_F16);
}

Test(kernel_reduce, reference_rounds_all_bfloat16_as_defined)
{
    check_all_halves(&weft_kernels_c, WEFT_BF16);
}

Test(kernel_reduce, avx2_rounds_all_float16_as_defined)
{
    check_all_halves(avx2_or_skip(), WEFT_F16);
}

Test(kernel_reduce, avx2_rounds_all_bfloat16_as_defined)
{
    check_all_halves(avx2_or_skip(), WEFT_BF16);
}

Test(kernel_reduce, divide_rounds_the_divisor_to_the_type)
{
    float f[3] = {1, 2, 7};
    double d[3] = {1, 2, 7};
    weft_kernel_divide(WEFT_F32, f, 3, 3.0);
    weft_kernel_divide(WEFT_F64, d, 3, 3.0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(f[i], (i == 0 ? 1.0f : i == 1 ? 2.0f : 7.0f) / 3.0f);
        cr_assert_eq(d[i], (i == 0 ? 1.0 : i == 1 ? 2.0 : 7.0) / 3.0);
    }
}

Test(kernel_reduce, divide_of_halves_keeps_a_divisor_that_the_type_cannot_hold)
{
    uint16_t half = 0x4380; /* 256, and by 257 it is no 1 */
    weft_kernel_divide(WEFT_BF16, &half, 1, 257.0);
    cr_assert_eq(half, 0x3f7f);
}

Test(kernel_reduce, nonsense_pairs_have_no_loop)
{
    cr_assert_null(weft_kernel_reduce(WEFT_I32, WEFT_MEAN));
    cr_assert_null(weft_kernel_reduce(WEFT_BF16, WEFT_BXOR));
    cr_assert_null(weft_kernel_reduce(WEFT_F64, WEFT_USER));
    cr_assert_null(weft_kernel_reduce(WEFT_DTYPE_COUNT, WEFT_SUM));
    cr_assert_null(weft_kernel_reduce(WEFT_F32, WEFT_OP_COUNT));
    cr_assert_null(weft_kernel_reduce((weft_dtype)-1, WEFT_SUM));
    cr_assert_not_null(weft_kernel_reduce(WEFT_U64, WEFT_PROD));
}
