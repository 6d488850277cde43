/* SPDX-License-Identifier: Apache-2.0 */
/* The same loops for AVX2. Not for FMA: a contracted product would round differently. */
#include "kernel/kernel_table.h"

#ifdef WEFT_HAVE_AVX2
/* Outside of the region below: they have inline functions of their own. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"

#define KERNEL_QUANT(fn) avx2_##fn
#define KERNEL_TABLE weft_kernels_avx2
#define KERNEL_NAME "avx2"
#define KERNEL_AVX2

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi2"))), apply_to = function)
#include "kernel/kernel_loops.h"
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi2")
#include "kernel/kernel_loops.h"
#pragma GCC pop_options
#endif

#endif
