/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing of small whole numbers, as the quantizing codecs send them.
 *
 * fixed:   width bits a number, the first number in the lowest bits of the first byte.
 * ternary: 5 numbers 0 … 2 in a byte, t0 + 3 t1 + 9 t2 + 27 t3 + 81 t4 (Mishchenko et al. count
 *          1.585 bits a number; this takes 1.6).
 * Both are padded with zeros to a whole byte, once, at the end.
 *
 * Between packing and arithmetic numbers are held in bytes, or in words (uint16_t) where they are
 * wide: where they take more than 8 bits.
 */
#ifndef WEFT_CODEC_LEVELS_H
#define WEFT_CODEC_LEVELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The form byte on the wire. */
enum { WEFT_FORM_FIXED = 1, WEFT_FORM_TERNARY = 2, WEFT_FORM_DENSE = 3, WEFT_FORM_SPARSE = 4 };

/* Numbers are handled in batches that begin on a byte in either form: a multiple of 8 and 5. */
enum { WEFT_LEVELS_BATCH = 640 };

/* A batch of numbers. */
typedef union weft_numbers {
    uint8_t byte[WEFT_LEVELS_BATCH];
    uint16_t word[WEFT_LEVELS_BATCH];
} weft_numbers;

typedef struct weft_levels {
    int form;
    unsigned width; /* bits of a number, 2 … 16; of ternary ones before they are packed */
    bool wide;      /* held in words */
} weft_levels;

/* The shorter form for numbers 0 … most, most 2 … 65535. */
weft_levels weft_levels_for(uint32_t most);
size_t weft_levels_bytes(const weft_levels *l, size_t count);
/* Write weft_levels_bytes(count) bytes of count <= BATCH numbers. `room` >= that many may be
 * written over. */
void weft_levels_pack(const weft_levels *l, const weft_numbers *in, size_t count, uint8_t *out,
                      size_t room);
/* Read count <= BATCH numbers; `room` >= weft_levels_bytes(count) bytes may be read. The bytes have
 * passed weft_levels_check(). */
void weft_levels_unpack(const weft_levels *l, const uint8_t *in, size_t room, size_t count,
                        weft_numbers *out);
/* What is wrong with the packing of count numbers, NULL when nothing is; *ret_off says at which
 * byte. Numbers that fit their bits but are too large are the codec's to find. */
const char *weft_levels_check(const weft_levels *l, const uint8_t *in, size_t count,
                              size_t *ret_off);

#endif
