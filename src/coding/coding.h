/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an operation's elements are coded: which codec contributions and replies have, what of it the
 * choice of an algorithm depends on, and what becomes of the codec under the algorithm that was
 * chosen: levels of a shared scale, counted votes. For calls (group) and questions (explain) alike.
 */
#ifndef WEFT_CODING_CODING_H
#define WEFT_CODING_CODING_H

#include "codec/codec.h"
#include "codec/sparse.h"
#include "collectives/algo.h"
#include <weft/collective.h>

/* What is asked for. */
typedef struct weft_coding_ask {
    weft_coll coll;
    const char *algo;          /* SPEC, "auto", NULL */
    const char *codec, *reply; /* SPECs; NULL: what goes with the algorithm; none */
    weft_fidelity fidelity;
    weft_dtype dtype;
    weft_op op;
    const weft_user_op *user_op;
    bool residual, own, owned; /* the call has them */
} weft_coding_ask;

typedef struct weft_coding {
    weft_codec *codec, *reply; /* reply: the dense codec where none was asked for */
    weft_fidelity fidelity;
    bool replies_lossy, reply_asked; /* the latter: a lossy one was asked for */
    bool once, owned;                /* as in weft_choice */
    /* from weft_coding_follow() */
    weft_codec *base; /* of a shared scale: the codec whose scales are agreed on; of a vote that of
                         the signs; else NULL */
    float *scales;    /* of base: one a block of the vector, owned; what `codec` goes by */
    size_t scale_count;
    bool requantizes, selects;
    bool returns;            /* what was selected and did not win goes back to who sent it */
    weft_residual_rule rule; /* where it selects */
} weft_coding;

/* The codecs. 0; WEFT_EINVAL; WEFT_ENOTSUP what goes not together; WEFT_ENOMEM. Nothing is open
 * after a failure. */
int weft_coding_open(weft_coding *ret, const weft_coding_ask *ask);
void weft_coding_close(weft_coding *k); /* a zeroed one is fine */
/* What a choice for `count` elements depends on. */
void weft_coding_choice(const weft_coding *k, uint64_t count, weft_choice *c);
/* The codec under this algorithm of `size` peers; regions, fitted, of one that SPLITS; NULL. 0;
 * WEFT_ENOTSUP; WEFT_ENOMEM. */
int weft_coding_follow(weft_coding *k, const weft_pick *p, int size, uint64_t count,
                       weft_regions *regions);

#endif
