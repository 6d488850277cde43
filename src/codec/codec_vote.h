/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Majority vote over signs: a codec that is made for one operation, not named in a SPEC.
 *
 * encode() casts a vote, combine() and combine_many() count, decode() gives +1 or -1 by the
 * majority of those who voted; where nobody did all are ties. codec_vote.c tells the wire.
 */
#ifndef WEFT_CODEC_CODEC_VOTE_H
#define WEFT_CODEC_CODEC_VOTE_H

#include "codec/codec.h"

/* What becomes of an element with as many votes for +1 as for -1. */
typedef enum weft_ties {
    WEFT_TIES_RANDOM, /* a random bit that all peers draw alike: key() says from which stream */
    WEFT_TIES_PLUS,   /* +1 */
    WEFT_TIES_MINUS,  /* -1 */
    WEFT_TIES_ZERO    /* 0 */
} weft_ties;

enum { WEFT_VOTE_HEAD = 2, WEFT_VOTE_PEERS_MOST = 65535 };

/* A vote of up to `peers`. WEFT_EINVAL: not 1 … 65535, or no such rule; WEFT_ENOMEM. Closed by
 * weft_codec_close(). */
int weft_codec_vote(weft_codec **ret, int peers, weft_ties ties);

/* The encoding of who does not vote: WEFT_VOTE_HEAD bytes. */
void weft_vote_abstain(void *out, size_t *ret_len);

#endif
