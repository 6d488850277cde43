/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

static const weft_kernels *avx2_or_skip(void)
{
#ifdef WEFT_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return &weft_kernels_avx2;
#endif
    cr_skip_test("this CPU has no AVX2");
    return NULL;
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
