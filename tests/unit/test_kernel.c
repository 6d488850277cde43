/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

enum { BYTES = 4096, CANARY = 64 };

/* Floats and doubles that go wrong first: zeros of both signs, subnormals, the largest, infinities,
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
}

static int is_nan(weft_dtype dtype, const uint8_t *p)
{
    float f;
    double d;
    memcpy(&f, p, sizeof(f));
    if (dtype == WEFT_F32)
        return isnan(f);
    memcpy(&d, p, sizeof(d));
    return isnan(d);
}

/* Equal bits, except that any NaN equals any other. */
static int same(weft_dtype dtype, const uint8_t *a, const uint8_t *b)
{
    if (!memcmp(a, b, weft_dtype_bytes(dtype)))
        return 1;
    return (dtype == WEFT_F32 || dtype == WEFT_F64) && is_nan(dtype, a) && is_nan(dtype, b);
}

#define ORACLE_INTEGER(name, type, wide)                                                           \
    case WEFT_##name: {                                                                            \
        type a, b, r;                                                                              \
        memcpy(&a, x, sizeof(a));                                                                  \
        memcpy(&b, y, sizeof(b));                                                                  \
        r = op == WEFT_SUM    ? (type)((wide)a + (wide)b)                                          \
            : op == WEFT_PROD ? (type)((wide)a * (wide)b)                                          \
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

/* One element by the words of weft/types.h. */
static void oracle(weft_dtype dtype, weft_op op, const uint8_t *x, const uint8_t *y, uint8_t *out)
{
    switch (dtype) {
        ORACLE_FLOAT(F32, float)
        ORACLE_FLOAT(F64, double)
        ORACLE_INTEGER(I8, int8_t, uint32_t)
        ORACLE_INTEGER(U8, uint8_t, uint32_t)
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
            weft_dtype dtype = (weft_dtype)d;
            weft_reduce_fn *fn = k->reduce[d][op];
            int floating = dtype == WEFT_F32 || dtype == WEFT_F64;
            cr_assert_eq(fn == NULL, op == WEFT_MEAN && !floating);
            for (size_t i = 0; fn && i < sizeof(counts) / sizeof(counts[0]); i++)
                for (size_t off = 0; off < 9; off += i % 3 + 1)
                    check_reduce(fn, dtype, (weft_op)op, counts[i], off, (int)(off % 3));
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

Test(kernel, reference_reductions_follow_the_definition)
{
    check_table(&weft_kernels_c);
}

Test(kernel, avx2_reductions_follow_the_definition)
{
    check_table(avx2_or_skip());
}

/* 400 floats at an odd address, without NaN: those that norms meet. */
enum { FLOATS = 400 };
static float *odd_floats(uint8_t *buffer, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < FLOATS; i++) {
        float v = (float)(weft_rng_unit(&rng) - 0.5) * (i % 7 ? 1.0f : 1e-41f);
        memcpy(buffer + 1 + 4 * i, &v, sizeof(v));
    }
    return (float *)(void *)(buffer + 1);
}

/* The other loops of a table give the bits of the reference. */
Test(kernel, avx2_gives_the_bits_of_the_reference)
{
    const weft_kernels *k = avx2_or_skip(), *ref = &weft_kernels_c;
    static uint8_t a[4 * FLOATS + 64], b[4 * FLOATS + 64], x[4 * FLOATS + 64], y[4 * FLOATS + 64];
    for (size_t n = 0; n <= FLOATS; n += n < 40 ? 1 : 41) {
        float *in = odd_floats(a, n + 1), *one = odd_floats(x, n + 2);
        float *other = (float *)(void *)(y + 1), *more = odd_floats(b, n + 3);
        memcpy(y, x, sizeof(x));
        float m = k->maxabs(in, n), mr = ref->maxabs(in, n);
        cr_assert_eq(memcmp(&m, &mr, sizeof(m)), 0);
        double s = k->sumabs(in, n), sr = ref->sumabs(in, n);
        cr_assert_eq(memcmp(&s, &sr, sizeof(s)), 0);
        s = k->sumsq(in, n), sr = ref->sumsq(in, n);
        cr_assert_eq(memcmp(&s, &sr, sizeof(s)), 0);
        k->axpy(one, 0.3f, in, n), ref->axpy(other, 0.3f, in, n);
        cr_assert_arr_eq(x, y, sizeof(x), "axpy of %zu", n);
        k->scale_add(one, 0.7f, more, n), ref->scale_add(other, 0.7f, more, n);
        cr_assert_arr_eq(x, y, sizeof(x), "scale_add of %zu", n);
        k->sub(one, one, in, n), ref->sub(other, other, in, n);
        cr_assert_arr_eq(x, y, sizeof(x), "sub of %zu", n);
        k->prox(one, 0.05f, 1.01f, n), ref->prox(other, 0.05f, 1.01f, n);
        cr_assert_arr_eq(x, y, sizeof(x), "prox of %zu", n);
        k->divide[WEFT_F32](one, n, 3.0), ref->divide[WEFT_F32](other, n, 3.0);
        cr_assert_arr_eq(x, y, sizeof(x), "divide of %zu", n);
    }
}

Test(kernel, sums_use_sixteen_partial_results_folded_in_order)
{
    static uint8_t buffer[4 * FLOATS + 64];
    float *v = odd_floats(buffer, 5);
    for (size_t n = 0; n <= FLOATS; n += 23) {
        double abs[16] = {0}, sq[16] = {0}, want_abs = 0, want_sq = 0;
        float most = 0;
        for (size_t i = 0; i < n; i++) {
            float e;
            memcpy(&e, buffer + 1 + 4 * i, sizeof(e));
            abs[i % 16] += fabs((double)e);
            sq[i % 16] += (double)e * (double)e;
            most = fmaxf(most, fabsf(e));
        }
        for (int j = 0; j < 16; j++) {
            want_abs += abs[j];
            want_sq += sq[j];
        }
        cr_assert_eq(weft_kernel_sumabs(v, n), want_abs);
        cr_assert_eq(weft_kernel_sumsq(v, n), want_sq);
        cr_assert_eq(weft_kernel_maxabs(v, n), most);
    }
}

Test(kernel, finite_finds_nan_and_infinity_anywhere)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    float v[67];
    for (size_t n = 1; n <= 67; n += 6)
        for (size_t at = 0; at < n; at++)
            for (int k = 0; k < 4; k++) {
                for (size_t i = 0; i < n; i++)
                    v[i] = i % 2 ? FLT_MAX : -FLT_MAX;
                cr_assert(weft_kernel_finite(v, n));
                v[at] = bad[k];
                cr_assert_not(weft_kernel_finite(v, n), "element %zu of %zu", at, n);
            }
    cr_assert(weft_kernel_finite(v, 0));
}

Test(kernel, divide_rounds_the_divisor_to_the_type)
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

/* Products and sums that a fused multiplication would round otherwise. */
Test(kernel, products_are_rounded_before_they_are_added)
{
    float x[40], y[40], v[40];
    const float e = 0x1p-12f;
    for (int i = 0; i < 40; i++) {
        x[i] = 1 + e;
        y[i] = v[i] = -(1 + 2 * e);
    }
    weft_kernel_axpy(y, 1 + e, x, 40); /* (1+e)^2 = 1 + 2e + e^2: e^2 is lost in float32 */
    for (int i = 0; i < 40; i++)
        cr_assert_eq(y[i], 0.0f);
    weft_kernel_scale_add(x, 1 + e, v, 40);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(x[i], 0.0f);
}

Test(kernel, prox_shrinks_towards_zero_and_keeps_nan)
{
    float x[6] = {3.0f, -3.0f, 0.5f, -0.5f, NAN, -1.0f};
    weft_kernel_prox(x, 1.0f, 2.0f, 6);
    cr_assert_eq(x[0], 1.0f);
    cr_assert_eq(x[1], -1.0f);
    cr_assert(x[2] == 0 && !signbit(x[2]));
    cr_assert(x[3] == 0 && !signbit(x[3]));
    cr_assert(isnan(x[4]));
    cr_assert(x[5] == 0 && !signbit(x[5]), "at the threshold");
}

Test(kernel, nonsense_pairs_have_no_loop)
{
    cr_assert_null(weft_kernel_reduce(WEFT_I32, WEFT_MEAN));
    cr_assert_null(weft_kernel_reduce(WEFT_DTYPE_COUNT, WEFT_SUM));
    cr_assert_null(weft_kernel_reduce(WEFT_F32, WEFT_OP_COUNT));
    cr_assert_null(weft_kernel_reduce((weft_dtype)-1, WEFT_SUM));
    cr_assert_not_null(weft_kernel_reduce(WEFT_U64, WEFT_PROD));
}
