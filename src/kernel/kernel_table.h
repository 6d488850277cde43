/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of kernel.h for one instruction set. Same source, same bits: kernel_loops.h. */
#ifndef WEFT_KERNEL_KERNEL_TABLE_H
#define WEFT_KERNEL_KERNEL_TABLE_H

#include "kernel/kernel.h"
#include "kernel/kernel_code.h"
#include "kernel/kernel_quant.h"

typedef struct weft_kernels {
    const char *name; /* "c", "avx2" */
    weft_reduce_fn *reduce[WEFT_DTYPE_COUNT][WEFT_OP_COUNT];
    void (*divide[WEFT_DTYPE_COUNT])(void *v, size_t count, double by);
    void (*scale[WEFT_DTYPE_COUNT])(void *v, size_t count, double by);
    float (*maxabs)(const float *v, size_t count);
    double (*sum)(const float *v, size_t count);
    double (*sumdev)(const float *v, size_t count, double mean);
    double (*sumabs)(const float *v, size_t count);
    double (*sumsq)(const float *v, size_t count);
    void (*sub)(float *dst, const float *a, const float *b, size_t count);
    void (*axpy)(float *y, float alpha, const float *x, size_t count);
    void (*scale_add)(float *v, float beta, const float *g, size_t count);
    void (*prox)(float *x, float gamma_l1, float one_plus_gamma_l2, size_t count);
    weft_code_kernels code;
    size_t (*large)(const float *v, size_t count, uint32_t least, uint32_t first, uint32_t *index,
                    float *value, size_t room);
    size_t (*part)(const uint32_t *index, const float *value, size_t count, uint32_t least,
                   uint32_t *to_index, float *to_value, uint32_t *rest_index, float *rest_value);
    size_t (*band)(const float *v, size_t count, uint32_t low, uint32_t high, uint32_t *to,
                   size_t room, size_t *ret_above);
    void (*draw)(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out);
    void (*levels8)(const float *v, size_t count, const weft_rounding *r, const uint16_t *random,
                    uint8_t *out);
    void (*levels16)(const float *v, size_t count, const weft_rounding *r, const uint16_t *random,
                     uint16_t *out);
    void (*drawn8)(const float *v, size_t count, const weft_rounding *r, const weft_draw *draw,
                   uint64_t first, uint8_t *out);
    void (*values8)(const uint8_t *level, size_t count, int32_t top, float step, float *out);
    void (*values16)(const uint16_t *level, size_t count, int32_t top, float step, float *out);
    void (*add8)(const uint8_t *level, size_t count, int32_t top, float step, float *out);
    void (*add16)(const uint16_t *level, size_t count, int32_t top, float step, float *out);
    uint8_t (*most4)(const uint8_t *v, size_t bytes);
    uint8_t (*most8)(const uint8_t *v, size_t count);
    uint16_t (*most16)(const uint16_t *v, size_t count);
    uint64_t (*least16)(const uint16_t *v, size_t count, uint16_t least);
    void (*others16)(const uint16_t *v, size_t count, uint16_t than, uint64_t *out);
    void (*pack8)(unsigned width, const uint8_t *in, size_t count, uint8_t *out, size_t room);
    void (*pack16)(unsigned width, const uint16_t *in, size_t count, uint8_t *out, size_t room);
    void (*unpack8)(unsigned width, const uint8_t *in, size_t room, size_t count, uint8_t *out);
    void (*unpack16)(unsigned width, const uint8_t *in, size_t room, size_t count, uint16_t *out);
} weft_kernels;

extern const weft_kernels weft_kernels_c; /* the baseline of the build: the reference */
#if defined(__x86_64__) && defined(__GNUC__)
#define WEFT_HAVE_AVX2
extern const weft_kernels weft_kernels_avx2;
#endif

/* The best table for this CPU. AVX2's needs BMI2 too, which no CPU with AVX2 lacks but some virtual
 * ones hide. */
const weft_kernels *weft_kernels_pick(void);

#endif
