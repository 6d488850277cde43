/* SPDX-License-Identifier: Apache-2.0 */
/* From a call to a request: checks, codec, algorithm, lanes, plans, descriptor. */
#ifndef WEFT_GROUP_CALL_H
#define WEFT_GROUP_CALL_H

#include "collectives/algo.h"
#include "group/group.h"

typedef struct weft_call {
    weft_coll coll;
    const void *in;
    void *out;
    uint64_t count;
    weft_dtype dtype;
    weft_op op;
    int root;
    const weft_coll_opts *opts;
} weft_call;

/* 0; WEFT_EINVAL; WEFT_ENOTSUP; WEFT_ENOMEM. Nothing is sent, no operation number is used. */
int weft_call_make(weft_group *g, const weft_call *c, weft_request **ret);

#endif
