/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel.h"

#include <math.h>

#include "kernel/kernel_quant.h"
#include "kernel/kernel_table.h"

const weft_kernels *weft_kernels_pick(void)
{
#ifdef WEFT_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return &weft_kernels_avx2;
#endif
    return &weft_kernels_c;
}

weft_reduce_fn *weft_kernel_reduce(weft_dtype dtype, weft_op op)
{
    if ((unsigned)dtype >= WEFT_DTYPE_COUNT || (unsigned)op >= WEFT_OP_COUNT)
        return NULL;
    return weft_kernels_pick()->reduce[dtype][op];
}

void weft_kernel_divide(weft_dtype dtype, void *v, size_t count, double by)
{
    weft_kernels_pick()->divide[dtype](v, count, by);
}

void weft_kernel_scale(weft_dtype dtype, void *v, size_t count, double by)
{
    weft_kernels_pick()->scale[dtype](v, count, by);
}

float weft_kernel_maxabs(const float *v, size_t count)
{
    return weft_kernels_pick()->maxabs(v, count);
}

double weft_kernel_sum(const float *v, size_t count)
{
    return weft_kernels_pick()->sum(v, count);
}

double weft_kernel_sumdev(const float *v, size_t count, double mean)
{
    return weft_kernels_pick()->sumdev(v, count, mean);
}

double weft_kernel_sumabs(const float *v, size_t count)
{
    return weft_kernels_pick()->sumabs(v, count);
}

double weft_kernel_sumsq(const float *v, size_t count)
{
    return weft_kernels_pick()->sumsq(v, count);
}

bool weft_kernel_finite(const float *v, size_t count)
{
    return isfinite(weft_kernel_maxabs(v, count));
}

void weft_kernel_sub(float *dst, const float *a, const float *b, size_t count)
{
    weft_kernels_pick()->sub(dst, a, b, count);
}

void weft_kernel_add(float *dst, const float *a, const float *b, size_t count)
{
    weft_kernels_pick()->reduce[WEFT_F32][WEFT_SUM](dst, a, b, count);
}

void weft_kernel_axpy(float *y, float alpha, const float *x, size_t count)
{
    weft_kernels_pick()->axpy(y, alpha, x, count);
}

void weft_kernel_scale_add(float *v, float beta, const float *g, size_t count)
{
    weft_kernels_pick()->scale_add(v, beta, g, count);
}

void weft_kernel_prox(float *x, float gamma_l1, float one_plus_gamma_l2, size_t count)
{
    weft_kernels_pick()->prox(x, gamma_l1, one_plus_gamma_l2, count);
}

size_t weft_kernel_large(const float *v, size_t count, uint32_t least, uint32_t first,
                         uint32_t *index, float *value, size_t room)
{
    return weft_kernels_pick()->large(v, count, least, first, index, value, room);
}

size_t weft_kernel_part(const uint32_t *index, const float *value, size_t count, uint32_t least,
                        uint32_t *to_index, float *to_value, uint32_t *rest_index,
                        float *rest_value)
{
    return weft_kernels_pick()->part(index, value, count, least, to_index, to_value, rest_index,
                                     rest_value);
}

size_t weft_kernel_band(const float *v, size_t count, uint32_t low, uint32_t high, uint32_t *to,
                        size_t room, size_t *ret_above)
{
    return weft_kernels_pick()->band(v, count, low, high, to, room, ret_above);
}

void weft_kernel_draw_u16(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out)
{
    weft_kernels_pick()->draw(draw, first, count, out);
}

void weft_kernel_levels8(const float *v, size_t count, const weft_rounding *r,
                         const uint16_t *random, uint8_t *out)
{
    weft_kernels_pick()->levels8(v, count, r, random, out);
}

void weft_kernel_levels16(const float *v, size_t count, const weft_rounding *r,
                          const uint16_t *random, uint16_t *out)
{
    weft_kernels_pick()->levels16(v, count, r, random, out);
}

void weft_kernel_drawn8(const float *v, size_t count, const weft_rounding *r, const weft_draw *draw,
                        uint64_t first, uint8_t *out)
{
    weft_kernels_pick()->drawn8(v, count, r, draw, first, out);
}

void weft_kernel_values8(const uint8_t *level, size_t count, int32_t top, float step, float *out)
{
    weft_kernels_pick()->values8(level, count, top, step, out);
}

void weft_kernel_values16(const uint16_t *level, size_t count, int32_t top, float step, float *out)
{
    weft_kernels_pick()->values16(level, count, top, step, out);
}

void weft_kernel_add8(const uint8_t *level, size_t count, int32_t top, float step, float *out)
{
    weft_kernels_pick()->add8(level, count, top, step, out);
}

void weft_kernel_add16(const uint16_t *level, size_t count, int32_t top, float step, float *out)
{
    weft_kernels_pick()->add16(level, count, top, step, out);
}

uint8_t weft_kernel_most4(const uint8_t *v, size_t bytes)
{
    return weft_kernels_pick()->most4(v, bytes);
}

uint8_t weft_kernel_most8(const uint8_t *v, size_t count)
{
    return weft_kernels_pick()->most8(v, count);
}

uint16_t weft_kernel_most16(const uint16_t *v, size_t count)
{
    return weft_kernels_pick()->most16(v, count);
}

uint64_t weft_kernel_least16(const uint16_t *v, size_t count, uint16_t least)
{
    return weft_kernels_pick()->least16(v, count, least);
}

void weft_kernel_others16(const uint16_t *v, size_t count, uint16_t than, uint64_t *out)
{
    weft_kernels_pick()->others16(v, count, than, out);
}

void weft_kernel_pack8(unsigned width, const uint8_t *in, size_t count, uint8_t *out, size_t room)
{
    weft_kernels_pick()->pack8(width, in, count, out, room);
}

void weft_kernel_pack16(unsigned width, const uint16_t *in, size_t count, uint8_t *out, size_t room)
{
    weft_kernels_pick()->pack16(width, in, count, out, room);
}

void weft_kernel_unpack8(unsigned width, const uint8_t *in, size_t room, size_t count, uint8_t *out)
{
    weft_kernels_pick()->unpack8(width, in, room, count, out);
}

void weft_kernel_unpack16(unsigned width, const uint8_t *in, size_t room, size_t count,
                          uint16_t *out)
{
    weft_kernels_pick()->unpack16(width, in, room, count, out);
}
