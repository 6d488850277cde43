/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector loops of the quantizing codecs. As in kernel.h: any address of the floats, and the same
 * bits on every machine.
 */
#ifndef WEFT_KERNEL_KERNEL_QUANT_H
#define WEFT_KERNEL_KERNEL_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include <weft/codec.h>

/* weft_draw_u16() of base/rng.h, faster. */
void weft_kernel_draw_u16(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out);

/* How floats of one block become levels -top … top. */
typedef struct weft_rounding {
    float ratio; /* fl32(top / N); 0: all levels are 0 */
    float limit; /* most of |v| ratio 65536: top * 65536, less where values are clipped before */
    unsigned top;
} weft_rounding;

/* out[i] = top + sign(v[i]) * ((t + random[i]) >> 16), with t = min(rint(fl32(fl32(|v| ratio) *
 * 65536)), limit); v is finite. top <= 127 for bytes, 32767 for words. */
void weft_kernel_levels8(const float *v, size_t count, const weft_rounding *r,
                         const uint16_t *random, uint8_t *out);
void weft_kernel_levels16(const float *v, size_t count, const weft_rounding *r,
                          const uint16_t *random, uint16_t *out);
/* The same with the random bits of elements first … of the draw. */
void weft_kernel_drawn8(const float *v, size_t count, const weft_rounding *r, const weft_draw *draw,
                        uint64_t first, uint8_t *out);

/* out[i] = fl32((level[i] - top) * step), or that added to out[i]. */
void weft_kernel_values8(const uint8_t *level, size_t count, int32_t top, float step, float *out);
void weft_kernel_add8(const uint8_t *level, size_t count, int32_t top, float step, float *out);
void weft_kernel_values16(const uint16_t *level, size_t count, int32_t top, float step, float *out);
void weft_kernel_add16(const uint16_t *level, size_t count, int32_t top, float step, float *out);

/* The largest number, 0 of none. */
uint8_t weft_kernel_most4(const uint8_t *v, size_t bytes); /* of two in each byte */
uint8_t weft_kernel_most8(const uint8_t *v, size_t count);
uint16_t weft_kernel_most16(const uint16_t *v, size_t count);
/* How many numbers are `least` or more. */
uint64_t weft_kernel_least16(const uint16_t *v, size_t count, uint16_t least);
/* Bit i mod 64 of out[i / 64]: v[i] is not `than`; bits behind the last are 0. */
void weft_kernel_others16(const uint16_t *v, size_t count, uint16_t than, uint64_t *out);

/* Packing, width bits a number, the first number in the lowest bits of the first byte; the last
 * byte is filled with zero bits. Bytes: width 1 … 8; words: 9 … 16. Numbers fit the width.
 * `room` >= ceil(count width / 8) bytes of the packed buffer may be written over, or read. */
void weft_kernel_pack8(unsigned width, const uint8_t *in, size_t count, uint8_t *out, size_t room);
void weft_kernel_pack16(unsigned width, const uint16_t *in, size_t count, uint8_t *out,
                        size_t room);
void weft_kernel_unpack8(unsigned width, const uint8_t *in, size_t room, size_t count,
                         uint8_t *out);
void weft_kernel_unpack16(unsigned width, const uint8_t *in, size_t room, size_t count,
                          uint16_t *out);

#endif
