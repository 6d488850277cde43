/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector loops of the simple codecs and of votes. As for kernel.h: any address, and bits that do
 * not depend on the instruction set.
 *
 * Bits of many elements lie in bytes, element i in bit i mod 8 (of value 2^(i mod 8)) of byte i
 * / 8. A counter of many elements is bit-sliced: plane p holds bit p of each element's count,
 * planes follow one another, each of the same number of bytes.
 */
#ifndef WEFT_KERNEL_KERNEL_CODE_H
#define WEFT_KERNEL_KERNEL_CODE_H

#include <stddef.h>
#include <stdint.h>

#include <weft/types.h>

typedef struct weft_code_kernels {
    uint16_t (*to_f16)(const float *v, size_t count, void *out);
    uint16_t (*to_bf16)(const float *v, size_t count, void *out);
    void (*from_f16)(const void *in, size_t count, float *out);
    void (*from_bf16)(const void *in, size_t count, float *out);
    uint16_t (*half_most)(const void *in, size_t count);
    float (*pack_signs)(const float *v, size_t count, uint8_t *out);
    void (*spread_signs)(const uint8_t *bits, size_t from, size_t count, float plus, float minus,
                         float *out);
    void (*tally)(const uint8_t *const *rows, size_t n, size_t bytes, uint8_t *planes);
    void (*tally_add)(uint8_t *acc, unsigned acc_planes, const uint8_t *in, unsigned in_planes,
                      size_t bytes);
    void (*compare)(const uint8_t *planes, unsigned n, size_t stride, size_t bytes, uint32_t than,
                    uint8_t *above, uint8_t *equal);
    void (*hadamard)(float *v, unsigned order);
    void (*flip)(const float *v, const uint8_t *signs, size_t count, float factor, float *out);
    void (*split_sums)(const float *v, size_t count, double ret[2]);
    size_t (*count_below)(const float *v, size_t count);
    void (*extremes)(const float *v, size_t count, float *ret_min, float *ret_max);
    void (*to_bytes)(const float *v, size_t count, float min, float ratio, uint8_t *out);
    void (*from_bytes)(const uint8_t *in, size_t count, float min, float step, float *out);
    void (*to_powers)(const float *v, size_t count, const uint16_t *random, uint8_t *out);
    void (*from_powers)(const uint8_t *exponents, const uint8_t *signs, size_t count, float *out);
} weft_code_kernels;

/* The loops for this CPU. */
const weft_code_kernels *weft_kernels_code(void);

/* float16 or bfloat16 (dtype WEFT_F16 or WEFT_BF16) of each float, rounded to nearest even. Returns
 * the largest magnitude among them, as bits: infinity or above where one did not fit. */
uint16_t weft_kernel_to_half(weft_dtype dtype, const float *v, size_t count, void *out);
void weft_kernel_from_half(weft_dtype dtype, const void *in, size_t count, float *out);
/* The largest magnitude among halves, as bits; of either type. */
uint16_t weft_kernel_half_most(const void *in, size_t count);

/* A set bit for each element below zero (-0 is not), zero bits behind the last. Returns the largest
 * magnitude: infinite or NaN when an element is. */
float weft_kernel_pack_signs(const float *v, size_t count, uint8_t *out);
/* out[i] = plus, or minus where bit from + i is set. */
void weft_kernel_spread_signs(const uint8_t *bits, size_t from, size_t count, float plus,
                              float minus, float *out);

/* v, 2^order floats, becomes H v: H the Hadamard matrix in Sylvester's order, entries +1 and -1, so
 * H H = 2^order. By butterflies of distance 1, 2, 4, …, each sum and difference rounded. */
void weft_kernel_hadamard(float *v, unsigned order);
/* out[i] = v[i] times factor, negated where bit i is set, a zero as +0; out may be v. */
void weft_kernel_flip(const float *v, const uint8_t *signs, size_t count, float factor, float *out);

/* Sums in binary64 of the elements not below zero, and of those below; element i in partial sum
 * i mod 16 of its sign, folded in order. */
void weft_kernel_split_sums(const float *v, size_t count, double ret[2]);
size_t weft_kernel_count_below(const float *v, size_t count); /* zero */
/* The smallest and the largest of count >= 1 finite elements, -0 as +0. */
void weft_kernel_extremes(const float *v, size_t count, float *ret_min, float *ret_max);
/* fl32(fl32(v - min) * ratio), which is 0 to 255.5, to the nearest whole number, halves to even. */
void weft_kernel_to_bytes(const float *v, size_t count, float min, float ratio, uint8_t *out);
/* fl32(min + fl32(byte * step)). */
void weft_kernel_from_bytes(const uint8_t *in, size_t count, float min, float step, float *out);
/* Exponent field of |v| rounded at random to a power of two (codec_natural.c), 0 for zero. */
void weft_kernel_to_powers(const float *v, size_t count, const uint16_t *random, uint8_t *out);
/* The powers of two, negative where a bit of signs is set. */
void weft_kernel_from_powers(const uint8_t *exponents, const uint8_t *signs, size_t count,
                             float *out);

/* Planes needed to count to n. */
unsigned weft_kernel_planes(uint32_t n);
/* Count n >= 1 rows of bits, n below 2^16, into weft_kernel_planes(n) planes. */
void weft_kernel_tally(const uint8_t *const *rows, size_t n, size_t bytes, uint8_t *planes);
/* acc = acc + in; acc has the planes that the sum needs, at least those of in. */
void weft_kernel_tally_add(uint8_t *acc, unsigned acc_planes, const uint8_t *in, unsigned in_planes,
                           size_t bytes);
/* Bits: which counts are above `than`, which are equal to it. bytes of each plane are looked at;
 * planes lie stride apart. */
void weft_kernel_compare(const uint8_t *planes, unsigned n, size_t stride, size_t bytes,
                         uint32_t than, uint8_t *above, uint8_t *equal);

#endif
