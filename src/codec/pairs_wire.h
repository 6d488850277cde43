/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs as bytes, for the codecs that send the elements they selected.
 *
 * Wire, little endian:
 *   byte 0    form of the indices: 1 plain, 2 Rice
 *   4 bytes   u32 n, the number of pairs
 *   1 byte    form 2 only: b, the Rice parameter, 0 … 31
 *   indices   form 1: n times u32; form 2: Rice codes of the gaps (rice.h)
 *   values    f32: n times binary32; f16: n times binary16, rounded to nearest;
 *             qsgd4, qsgd8 (n > 0): binary32 N, the largest magnitude, then level + s of each in 4
 *             or 8 bits, s = 7 or 127, the first in the lowest bits, zero bits up to a whole byte
 *
 * index=rice takes the form that gives fewer bytes for the message, form 1 if both give as many,
 * and in form 2 the b that gives the fewest, of equal ones the lowest; index=plain takes form 1.
 *
 * Quantized values are rounded at random as by qsgd with one block and norm=max; the 16 random bits
 * of the i-th pair are those of element i of the draw's tensor: its place in the list of what was
 * selected, not its index. A value that becomes zero, in binary16 or by quantization, is not sent.
 */
#ifndef WEFT_CODEC_PAIRS_WIRE_H
#define WEFT_CODEC_PAIRS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/sparse.h"
#include <weft/codec.h>

/* In this order in the choices of a parameter. */
#define WEFT_PAIRS_VALUES "f32|f16|qsgd4|qsgd8"
#define WEFT_PAIRS_INDEX "rice|plain"
enum { WEFT_VALUES_F32, WEFT_VALUES_F16, WEFT_VALUES_QSGD4, WEFT_VALUES_QSGD8 };
enum { WEFT_INDEX_RICE, WEFT_INDEX_PLAIN };

typedef struct weft_pairs_coding {
    const char *codec; /* its name, for errors */
    int values, index;
    size_t count; /* elements of the vector, below 2^32 */
    size_t most;  /* pairs, at most count */
} weft_pairs_coding;

/* Most bytes that `most` pairs take. */
size_t weft_pairs_bound(const weft_pairs_coding *c);

/* Pairs, at most `most`, finite and not zero, to bytes; the contents of *p are used up. draw: of
 * quantized values only. 0; WEFT_ENONFINITE: a value has no binary16, or its level overflows. */
int weft_pairs_write(const weft_pairs_coding *c, const weft_draw *draw, weft_pairs *p, void *out,
                     size_t cap, size_t *ret_len);

/* Read into out, count elements: those that are not among the pairs become +0, or with add stay.
 * WEFT_ECODEC, out untouched: the bytes are no encoding, the text says at which offset. */
int weft_pairs_scatter(const weft_pairs_coding *c, const void *in, size_t len, void *out, bool add);

/* Append to *ret. WEFT_ECODEC as above, WEFT_ENOMEM; *ret is then as it was. */
int weft_pairs_read(const weft_pairs_coding *c, const void *in, size_t len, weft_pairs *ret);

#endif
