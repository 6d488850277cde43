/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of kernel.h for one instruction set. Same source, same bits: kernel_loops.h. */
#ifndef WEFT_KERNEL_KERNEL_TABLE_H
#define WEFT_KERNEL_KERNEL_TABLE_H

#include "kernel/kernel.h"
#include "kernel/kernel_code.h"

typedef struct weft_kernels {
    const char *name; /* "c", "avx2" */
    weft_reduce_fn *reduce[WEFT_DTYPE_COUNT][WEFT_OP_COUNT];
    void (*divide[WEFT_DTYPE_COUNT])(void *v, size_t count, double by);
    void (*scale[WEFT_DTYPE_COUNT])(void *v, size_t count, double by);
    float (*maxabs)(const float *v, size_t count);
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
} weft_kernels;

extern const weft_kernels weft_kernels_c; /* the baseline of the build: the reference */
#if defined(__x86_64__) && defined(__GNUC__)
#define WEFT_HAVE_AVX2
extern const weft_kernels weft_kernels_avx2;
#endif

/* The best table for this CPU. */
const weft_kernels *weft_kernels_pick(void);

#endif
