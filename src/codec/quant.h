/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the quantizing codecs have in common: each block of a vector has a scale N, and its elements
 * become levels -s … s of it, at random or to the nearest. codec_qsgd.c says what is sent.
 */
#ifndef WEFT_CODEC_QUANT_H
#define WEFT_CODEC_QUANT_H

#include "codec/buckets.h"
#include "codec/codec.h"
#include "codec/levels.h"
#include "codec/refuse.h"
#include "kernel/kernel_quant.h"

/* In the order of the choices in parameter tables. */
enum { WEFT_NORM_MAX, WEFT_NORM_2, WEFT_NORM_1 };
enum { WEFT_SCALE_F32, WEFT_SCALE_BF16, WEFT_SCALE_POW2 };
enum { WEFT_CODE_PACKED, WEFT_CODE_ELIAS, WEFT_CODE_AUTO };

/* One way of quantizing: what the parameters of a codec say. */
typedef struct weft_quant {
    const char *name; /* of the codec, for errors */
    unsigned levels;  /* s */
    size_t bucket;    /* elements of a block, 0: the whole vector */
    int norm, scale, code;
    bool nearest;
    double clip; /* multiples of the standard deviation beyond which values are clipped; 0: none */
} weft_quant;

/* The codecs of this kind, and what an instance of one says. */
extern const weft_codec_type weft_codec_qsgd, weft_codec_tern;
bool weft_quant_is(const weft_codec *c);
weft_quant weft_quant_of(const weft_codec *c);
weft_quant weft_quant_of_qsgd(const weft_codec *c);
weft_quant weft_quant_of_tern(const weft_codec *c);

/* Members of their types. */
size_t weft_quant_codec_block(const weft_codec *c);
size_t weft_quant_codec_bound(const weft_codec *c, const weft_stretch *s);
double weft_quant_codec_omega(const weft_codec *c, size_t count);
int weft_quant_codec_encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                            const weft_stretch *s, void *out, size_t cap, size_t *ret_len);
int weft_quant_codec_decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len,
                            void *out, bool add);

/* Of a block: its norm, rounded up as it will be sent, and beyond which magnitude it is clipped
 * (FLT_MAX: nowhere). WEFT_ENONFINITE names the element, `index` that of v[0] in the tensor, or the
 * block whose norm overflows. */
int weft_quant_measure(const weft_quant *q, const float *v, size_t count, uint64_t index,
                       float *ret_norm, float *ret_most);
/* N itself, or 0 where N is too small for all machines to compute with: the block is zeros then. */
float weft_quant_usable(unsigned levels, float norm);
/* Is `times` steps of N/s a finite float? */
bool weft_quant_is_finite(unsigned levels, float norm, unsigned times);

/* Scales on the wire, those of the blocks that a span touches. */
size_t weft_quant_scale_bytes(const weft_quant *q);
void weft_quant_put_scale(const weft_quant *q, uint8_t *scales, size_t i, float norm);
float weft_quant_scale(const weft_quant *q, const uint8_t *scales, size_t i);

/* omega for blocks of `block` elements (times the peers that share a scale). */
double weft_quant_omega(const weft_quant *q, double block);
size_t weft_quant_bound(const weft_quant *q, const weft_stretch *s);
int weft_quant_encode(const weft_quant *q, const weft_draw *draw, const void *lane,
                      const weft_stretch *s, void *out, size_t *ret_len);
int weft_quant_decode(const weft_quant *q, const weft_stretch *s, const void *in, size_t len,
                      void *out, bool add);

/* ---- parts of the last two, for scales that are not in the message ---- */

/* A span that is being quantized. `scale` answers for one block of the lane, when it is entered:
 * its N and where it is clipped; an error ends the encoding. */
typedef struct weft_quantizer {
    const weft_quant *q;
    const weft_draw *draw;
    const weft_any_float *lane;
    const weft_stretch *s;
    weft_buckets b;
    int (*scale)(struct weft_quantizer *z, size_t block, float *ret_norm, float *ret_most);
    const void *of; /* of use to scale() */
    uint8_t *scales;
    size_t entered; /* the block that `rounding` is for, SIZE_MAX: none */
    weft_rounding rounding;
} weft_quantizer;

/* Norm, as far as it is usable, and clipping of a block of the lane. */
int weft_quantizer_measure(const weft_quantizer *z, size_t block, float *ret_norm, float *ret_most);

/* Level + s of elements done … done+count-1 of the span, count <= BATCH, as words where wide. */
int weft_quantize(weft_quantizer *z, size_t done, size_t count, bool wide, weft_numbers *ret);

/* The whole span, packed. */
int weft_quant_pack(weft_quantizer *z, const weft_levels *l, uint8_t *out);

/* The other way: N of each block of a span, 0: a block of zeros, and numbers 0 … 2 top that stand
 * for number - top steps of N/s. */
typedef struct weft_dequantizer {
    const weft_quant *q;
    const weft_stretch *s;
    weft_buckets b;
    float (*scale)(const struct weft_dequantizer *z, size_t block); /* of the lane */
    const void *of;
    unsigned top;
    bool any_zero; /* a block of zeros is among them */
} weft_dequantizer;

/* Index of the first of count numbers, bytes or words, that is above 2 top, or not `top` in a block
 * of zeros; count when all are right. *ret_reason says which. Elements done … of the span. */
size_t weft_quant_wrong(const weft_dequantizer *z, size_t done, size_t count, bool wide,
                        const void *in, const char **ret_reason);
/* Packed numbers of the whole span. NULL when they are right, else the reason and the byte. */
const char *weft_quant_check_packed(const weft_dequantizer *z, const weft_levels *l,
                                    const uint8_t *packed, size_t *ret_off);
/* Into out, or added to it: elements done … of the span. */
void weft_dequantize(const weft_dequantizer *z, size_t done, size_t count, bool wide,
                     const void *in, weft_any_float *out, bool add);
void weft_dequantize_packed(const weft_dequantizer *z, const weft_levels *l, const uint8_t *packed,
                            weft_any_float *out, bool add);

#endif
