/* SPDX-License-Identifier: Apache-2.0 */
/* What codecs promise, as bits that algorithms match against their needs. */
#ifndef WEFT_CODEC_TRAITS_H
#define WEFT_CODEC_TRAITS_H

enum {
    WEFT_CODEC_LOSSLESS = 1u << 0, /* decode(encode(v)) == v */
    WEFT_CODEC_UNBIASED = 1u << 1, /* the expectation of the decoded value is v */
    WEFT_CODEC_MERGES = 1u << 2,   /* encodings can be combined exactly without decoding */
    WEFT_CODEC_COMBINES = 1u << 3, /* so that the result has another length than its operands */
    WEFT_CODEC_SELECTS = 1u << 4,  /* and keeps the largest of the sum only */
    WEFT_CODEC_WHOLE = 1u << 5,  /* the vector is encoded as one: a lane and a span of all of it */
    WEFT_CODEC_BLOCKS = 1u << 6, /* spans begin and end on the edges of blocks */
    WEFT_CODEC_COMMON = 1u << 7, /* draws alike on all peers (draw->member is of no account) */
};

#endif
