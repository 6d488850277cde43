/* SPDX-License-Identifier: Apache-2.0 */
/* From a call to a request: checks, codec, algorithm, lanes, plans, descriptor. */
#ifndef WEFT_GROUP_CALL_H
#define WEFT_GROUP_CALL_H

#include "collectives/algo.h"
#include "group/group.h"

typedef struct weft_call {
    weft_coll coll;
    const char *serves; /* the call that it is made for, "split"; NULL: itself */
    const void *in;
    void *out;
    uint64_t count;
    weft_dtype dtype;
    weft_op op;
    int root;
    /* Of blocks with lengths of their own, per rank, in elements, of each side that has blocks.
     * offsets NULL: one behind another. count is not looked at. */
    bool lengths;
    const size_t *in_counts, *in_offsets, *out_counts, *out_offsets;
    const weft_topology *topology; /* of neighbor_average */
    const weft_coll_opts *opts;
} weft_call;

static inline const char *weft_call_name(const weft_call *c)
{
    return c->serves != NULL ? c->serves : weft_coll_name(c->coll);
}

/* Blocks whose lengths only the two ranks know between which they go: in a single lane, of which a
 * rank sees its own part. */
static inline bool weft_call_lone_lane(const weft_call *c)
{
    return c->in_counts != NULL && c->out_counts != NULL;
}

#define WEFT_COUNT_MOST (UINT64_C(1) << 40)

/* What can be said of a call before anything is made of it. Nothing is sent. 0; WEFT_EINVAL;
 * WEFT_ENOTSUP. */
int weft_call_check(const weft_group *g, const weft_call *c, const weft_coll_opts *o);
/* warm, of so many floats, against the other buffers. 0; WEFT_EINVAL. */
int weft_call_check_warm(const weft_group *g, const weft_call *c, const weft_coll_opts *o,
                         uint64_t floats);
/* Elements of this rank's input and output, as far as they reach from where the buffer begins. */
uint64_t weft_call_in_extent(const weft_group *g, const weft_call *c);
uint64_t weft_call_out_extent(const weft_group *g, const weft_call *c);
bool weft_call_has_in(const weft_group *g, const weft_call *c);
bool weft_call_has_out(const weft_group *g, const weft_call *c);

/* Put a request's call into words, and their hash beside them. Its plans are made. */
void weft_call_describe(const weft_group *g, const weft_call *c, weft_request *r);
/* 0; WEFT_EINVAL; WEFT_ENOTSUP; WEFT_ENOMEM. Nothing is sent, no operation number is used. */
int weft_call_make(weft_group *g, const weft_call *c, weft_request **ret);
/* The same for one end of a transfer, of which c says buffer, count, dtype and options. */
int weft_call_make_transfer(weft_group *g, weft_call *c, bool sends, int peer, uint32_t tag,
                            weft_request **ret);
/* Run a request to its end, and free it. ret_call: which call of its group it was; NULL: not asked.
 */
int weft_call_run(weft_loop *l, weft_request *r, uint64_t *ret_call);
/* Start it; on failure it is freed. */
int weft_call_start(weft_loop *l, weft_request *r, weft_request **ret);

#endif
