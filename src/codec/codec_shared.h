/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantization with a scale that all peers share (scaler sharing of TernGrad, Wen et al. 2017), so
 * that encodings add up exactly: integers, whose sum does not depend on the order.
 *
 * Not a row of the table: an instance is made for one operation, after the peers have agreed on the
 * scale of every block, the largest of what each has measured.
 */
#ifndef WEFT_CODEC_CODEC_SHARED_H
#define WEFT_CODEC_CODEC_SHARED_H

#include "codec/codec.h"

/* Scales of a tensor of count elements. */
size_t weft_codec_measure_count(const weft_codec *base, uint64_t count);

/* The scale of each block of v, a tensor of count elements; plus: what is added to it first, in
 * binary32 (a residual), NULL: nothing. 0; WEFT_ENONFINITE names the element, or the block whose
 * scale overflows; WEFT_ENOTSUP: base has no levels of a block's largest magnitude; WEFT_ENOMEM.
 * ret_scales may be written partly when it fails. */
int weft_codec_measure(const weft_codec *base, const float *v, const float *plus, uint64_t count,
                       float *ret_scales);

/* A codec of the sums of up to `peers` encodings. base: qsgd with norm=max and code=packed, or
 * tern. scales: those of the whole tensor, scales[i] of elements i B … (i+1) B - 1, B the bucket,
 * 0: all; borrowed until the codec is closed, looked at now and by key(), when peers have agreed. A
 * scale that is negative or not finite, or sums that would leave float32, are found by encode()
 * (WEFT_ENONFINITE). 0; WEFT_ENOTSUP: base is none of these; WEFT_EINVAL: peers 0, or sums that
 * would leave 16 bits; WEFT_ENOMEM.
 *
 * omega is that of the mean of the peers' errors: B times peers stands for B. */
int weft_codec_share(weft_codec **ret, const weft_codec *base, int peers, const float *scales,
                     size_t scale_count);

#endif
