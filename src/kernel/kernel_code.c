/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_code.h"

#include "kernel/kernel_table.h"

const weft_code_kernels *weft_kernels_code(void)
{
    return &weft_kernels_pick()->code;
}

uint16_t weft_kernel_to_half(weft_dtype dtype, const float *v, size_t count, void *out)
{
    const weft_code_kernels *k = weft_kernels_code();
    return dtype == WEFT_F16 ? k->to_f16(v, count, out) : k->to_bf16(v, count, out);
}

void weft_kernel_from_half(weft_dtype dtype, const void *in, size_t count, float *out)
{
    const weft_code_kernels *k = weft_kernels_code();
    if (dtype == WEFT_F16)
        k->from_f16(in, count, out);
    else
        k->from_bf16(in, count, out);
}

uint16_t weft_kernel_half_most(const void *in, size_t count)
{
    return weft_kernels_code()->half_most(in, count);
}

float weft_kernel_pack_signs(const float *v, size_t count, uint8_t *out)
{
    return weft_kernels_code()->pack_signs(v, count, out);
}

void weft_kernel_spread_signs(const uint8_t *bits, size_t from, size_t count, float plus,
                              float minus, float *out)
{
    weft_kernels_code()->spread_signs(bits, from, count, plus, minus, out);
}

void weft_kernel_hadamard(float *v, unsigned order)
{
    weft_kernels_code()->hadamard(v, order);
}

void weft_kernel_flip(const float *v, const uint8_t *signs, size_t count, float factor, float *out)
{
    weft_kernels_code()->flip(v, signs, count, factor, out);
}

void weft_kernel_split_sums(const float *v, size_t count, double ret[2])
{
    weft_kernels_code()->split_sums(v, count, ret);
}

size_t weft_kernel_count_below(const float *v, size_t count)
{
    return weft_kernels_code()->count_below(v, count);
}

void weft_kernel_extremes(const float *v, size_t count, float *ret_min, float *ret_max)
{
    weft_kernels_code()->extremes(v, count, ret_min, ret_max);
}

void weft_kernel_to_bytes(const float *v, size_t count, float min, float ratio, uint8_t *out)
{
    weft_kernels_code()->to_bytes(v, count, min, ratio, out);
}

void weft_kernel_from_bytes(const uint8_t *in, size_t count, float min, float step, float *out)
{
    weft_kernels_code()->from_bytes(in, count, min, step, out);
}

void weft_kernel_to_powers(const float *v, size_t count, const uint16_t *random, uint8_t *out)
{
    weft_kernels_code()->to_powers(v, count, random, out);
}

void weft_kernel_from_powers(const uint8_t *exponents, const uint8_t *signs, size_t count,
                             float *out)
{
    weft_kernels_code()->from_powers(exponents, signs, count, out);
}

unsigned weft_kernel_planes(uint32_t n)
{
    unsigned planes = 0;
    for (; n; n >>= 1)
        planes++;
    return planes;
}

void weft_kernel_tally(const uint8_t *const *rows, size_t n, size_t bytes, uint8_t *planes)
{
    weft_kernels_code()->tally(rows, n, bytes, planes);
}

void weft_kernel_tally_add(uint8_t *acc, unsigned acc_planes, const uint8_t *in, unsigned in_planes,
                           size_t bytes)
{
    weft_kernels_code()->tally_add(acc, acc_planes, in, in_planes, bytes);
}

void weft_kernel_compare(const uint8_t *planes, unsigned n, size_t stride, size_t bytes,
                         uint32_t than, uint8_t *above, uint8_t *equal)
{
    weft_kernels_code()->compare(planes, n, stride, bytes, than, above, equal);
}
