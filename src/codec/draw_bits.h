/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One random bit an element, for ties and random signs: a sixteenth of the work of rng.h's 16 bits.
 *
 * Element e takes bit e mod 128 of block e / 128 of the draw's stream, bit 0 of word 0 first:
 * counter word 0 = e / 128 mod 2^32, the others and the key as in rng.h.
 */
#ifndef WEFT_CODEC_DRAW_BITS_H
#define WEFT_CODEC_DRAW_BITS_H

#include <stddef.h>
#include <stdint.h>

#include <weft/codec.h>

/* Bits of the elements first … first+count-1 (draw->first is not added), element i in bit i mod 8
 * of out[i / 8]; what follows in the last byte is of the next elements. */
void weft_draw_bits(const weft_draw *draw, uint64_t first, size_t count, uint8_t *out);

#endif
