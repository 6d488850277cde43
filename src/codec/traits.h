/* SPDX-License-Identifier: Apache-2.0 */
/* What codecs promise, as bits that algorithms match against their needs. */
#ifndef WEFT_CODEC_TRAITS_H
#define WEFT_CODEC_TRAITS_H

enum {
    WEFT_CODEC_LOSSLESS = 1u << 0, /* decode(encode(v)) == v */
    WEFT_CODEC_UNBIASED = 1u << 1, /* the expectation of the decoded value is v */
    WEFT_CODEC_MERGES = 1u << 2,   /* encodings can be combined exactly without decoding */
};

#endif
