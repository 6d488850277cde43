/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file collective.h
 * Collectives. Each has a blocking form and a _start form that returns a request (request.h).
 *
 * Rules for all of them:
 *  - Every peer of the group calls the same collectives in the same order with the same count,
 *    dtype, op, root and options; the n-th call on one peer meets the n-th call on every other.
 *    A difference is found at once: every peer gets WEFT_EMISMATCH with both calls in words, and
 *    the next operation works. (Of a collective with a root, or of mixing, a peer may be through
 *    before that: it has the data of the root or of the neighbours it named, or has given its own.)
 *  - Afterwards every peer holds the same bits, whatever the algorithm, link and timing.
 *  - Buffers are borrowed until the request completes. in == out means in place; any other overlap
 *    is WEFT_EINVAL. After an error out is unspecified; in (unless in place) and residual are
 *    untouched. An error ends the borrow too: the buffers may be freed at once.
 *  - count is in elements, 0 … 2^40; where there are blocks, all of them together. Count 0 and a
 *    group of one are valid.
 *  - Returns 0, or
 *      - of a call that cannot be made, which then was none: nothing was sent, the next call takes
 *        its place, and the others wait for that: WEFT_EINVAL; WEFT_ENOTSUP no algorithm fits type,
 *        codec and options (the text says why); WEFT_EIO a plan file cannot be read; WEFT_ENOMEM;
 *      - of the operation, on all peers but those that are through; the group works on:
 *        WEFT_EMISMATCH; WEFT_ECODEC a peer sent a malformed encoding; WEFT_ENONFINITE a lossy
 *        codec met NaN or infinity; WEFT_ETIMEDOUT no progress in timeout_ms (the text names the
 *        rank that was waited for); WEFT_ECANCELED a peer, this one or another, canceled it
 *        (weft_cancel()) or declined it (weft_coll_opts.decline), or the group was closed here
 *        meanwhile; WEFT_ENOMEM a peer had no memory for a message;
 *      - of the group, which is broken: WEFT_EPEER a peer died, or left the group (rank says who);
 *        WEFT_EPROTO a peer sent what the protocol does not allow, or refused the connection;
 *        WEFT_EVERSION a peer speaks another version; WEFT_EMISMATCH peers opened it with different
 *        seeds; WEFT_EIO sockets cannot be waited for; WEFT_ENOMEM no memory to keep the group
 *        going. Later calls return WEFT_EBROKEN, with what broke it in the text. All of these but a
 *        peer that left break every group over the same links (group.h), whether the peer is in it
 *        or not: rank is -1 where it is not;
 *      - WEFT_EFORKED in a child of the process that opened the group: there it cannot be used, in
 *        the parent nothing has changed; WEFT_EINTERNAL a bug in weft.
 *
 *    Where a rank is another one in the group that was opened, the text names both.
 *  - Threads: any; two threads that start operations on one group must agree on the order
 *    themselves.
 */
#ifndef WEFT_COLLECTIVE_H
#define WEFT_COLLECTIVE_H

#include <weft/request.h>
#include <weft/topology.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What to do where a peer's input to a lossy codec holds NaN or infinity. */
typedef enum weft_nonfinite {
    WEFT_NONFINITE_ERROR = 0, /**< WEFT_ENONFINITE on all peers, naming the rank and the element */
    WEFT_NONFINITE_SKIP = 1   /**< this peer contributes zeros (and its residual); the receipt says
                                   so. WEFT_MEAN still divides by all peers */
} weft_nonfinite;

/** What one operation did, on this peer; where peers agree first on scales or regions, with that.
 */
typedef struct weft_receipt {
    size_t size;              /**< sizeof(weft_receipt), set by the caller */
    char algo[64];            /**< the algorithm that ran, "ring", "tree:arity=2" */
    uint64_t encoded_bytes;   /**< bytes of this peer's own contribution as encoded, counted once
                                   (scales and padding in; the own chunk of scatter once) */
    uint64_t body_bytes_sent; /**< bodies of data frames handed to links, forwarding included */
    uint64_t body_bytes_received; /**< bodies of data frames taken */
    uint64_t wire_bytes_sent;     /**< frames of this operation with their 64-byte headers */
    uint64_t lanes;               /**< lanes the vector was cut into */
    char fidelity[16]; /**< "exact", "requantized"; "voted" of vote, "merged" of gtopk_…, oktopk */
    uint64_t skipped;  /**< 1: the input was not finite, and zeros went in */
    /* Nanoseconds. */
    uint64_t total_ns;   /**< from the operation's turn to its end */
    uint64_t encode_ns;  /**< of those: encoding contributions and replies */
    uint64_t combine_ns; /**< folding and merging what came */
    uint64_t decode_ns;  /**< decoding, and adding to the result */
    uint64_t send_ns;    /**< handing messages to links */
    uint64_t wait_ns;    /**< the rest: waiting for messages, other operations' work */
    /* With opts->measure_error and a codec that loses something, else 0. */
    double input_norm; /**< Euclidean norm of what was encoded (input and residual) */
    double error_norm; /**< and of what encoding changed in it */
} weft_receipt;

/**
 * What algorithm "oktopk" carries from one operation to the next: where the vector is cut, so that
 * every peer has as many of the selected elements to add up, and from which magnitude on this peer
 * selects. Of one tensor, of one operation at a time, until its request is freed; the caller's,
 * like a residual. An operation of another count, or of a group of another size, begins anew with
 * it.
 *
 * All peers pass theirs to the same operations, from the first on: an operation to which peers
 * bring regions that differ fails on all, with EMISMATCH. After a failure all begin anew with
 * weft_regions_reset(). Not for two threads at once. Memory: 16 bytes a peer.
 */
typedef struct weft_regions weft_regions;
/** @return 0, WEFT_ENOMEM. */
WEFT_API int weft_regions_open(weft_regions **ret);
/** As after opening. @return 0, WEFT_EINVAL an operation has them. */
WEFT_API int weft_regions_reset(weft_regions *regions);
/** Sets *regions to NULL; NULL-safe. An operation that has them keeps what it needs. */
WEFT_API void weft_regions_close(weft_regions **regions);

/** Options of one call. NULL, or zeroed with size set, means the defaults. */
typedef struct weft_coll_opts {
    size_t size;       /**< sizeof(weft_coll_opts) */
    const char *algo;  /**< algorithm SPEC, "ring", or "plan:path=FILE" for a plan of your own
                            (plan.h); NULL: WEFT_ALGO, else "auto", which goes by whether own,
                            residual and owned are given too: on all peers, or on none */
    const char *codec; /**< codec SPEC, "qsgd:levels=7,bucket=512"; NULL: "raw" */
    float *own;        /**< out, count floats: the decoded value of this peer's contribution, bit
                            for bit what the others decoded (DIANA's message); NULL: not wanted */
    float *residual;   /**< in/out, count floats: added to the input before encoding; receives what
                            encoding lost (error feedback); NULL: none */
    uint64_t draw;   /**< keys the random numbers of lossy codecs, 1 … 2^48-1 (the caller's step:
                          a retry uses the same); 0: the operation's number */
    uint32_t tensor; /**< keys them too, 0 … 65535 */
    int64_t timeout_ms; /**< longest time without progress; 0: the group's, WEFT_FOREVER: none.
                             Up to dead_ms more where the peer waited for is in the operation too:
                             so the one that waits for the culprit speaks first */
    float *warm;       /**< in/out, weft_codec_state_count() floats: where a codec with a warm start
                            (powersgd) goes on; receives the new state; NULL: it starts anew */
    int measure_error; /**< 1: the receipt tells the encoding's error, where contributions are
                            encoded once; costs a pass over the vector */
    weft_receipt *receipt;    /**< filled when the operation succeeds; NULL: not wanted */
    weft_fidelity fidelity;   /**< 0: exact */
    weft_nonfinite nonfinite; /**< this peer's own affair; 0: an error on all */
    const char *reply_codec;  /**< codec of the replies of algorithm scatter, a SPEC: the owner of
                                   a span encodes its sum once more (fidelity requantized); NULL:
                                   elements as they are */
    float *reply_memory;      /**< H, in/out, count floats, the same on all peers: only the
                                   difference to it is encoded, and reply_alpha of what was
                                   decoded is added; with a reply_codec; NULL: none */
    float reply_alpha;        /**< 0 to 1 */
    const float *reply_carry; /**< count floats, added to the sum (mean) by the owner of each
                                   span, who alone reads them there; with a reply_codec; NULL */
    float *owned;             /**< out, count floats, written where this peer owns a span: the
                                   exact sum (mean) there, before carry and reply; of scatter;
                                   NULL: not wanted */
    const weft_user_op *user_op; /**< what WEFT_USER means, copied by the call; NULL with any other
                                      operation */
    weft_regions *regions;       /**< in/out, of algorithm oktopk; NULL: it cuts evenly and selects
                                      exactly */
    int decline;                 /**< 1: this peer cannot do its part; its call fails the operation
                                      for all with WEFT_ECANCELED, before a byte of it is sent
                                      (weft_cancel() may come too late) */
} weft_coll_opts;

/**
 * Reduce one vector over all peers; every peer gets the same bits.
 *
 * @param in     count elements of dtype. May equal out (in place).
 * @param out    count elements.
 * @param dtype  WEFT_F32 for lossy codecs, any for "raw".
 * @param op     WEFT_SUM or WEFT_MEAN for lossy codecs, any for "raw"; WEFT_USER takes
 *               opts->user_op.
 * Cost: rounds and bytes as `weft info` prints for each algorithm.
 * Source: Patarasuk & Yuan 2009 (ring); Thakur et al. 2005 (recursive doubling).
 */
WEFT_API int weft_allreduce(weft_group *group, const void *in, void *out, size_t count,
                            weft_dtype dtype, weft_op op, const weft_coll_opts *opts);
WEFT_API int weft_allreduce_start(weft_group *group, const void *in, void *out, size_t count,
                                  weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                                  weft_request **ret);

/**
 * Concatenate one block of every peer, in rank order.
 *
 * @param in   count elements. In place: in == out + rank * count elements.
 * @param out  size * count elements.
 */
WEFT_API int weft_allgather(weft_group *group, const void *in, void *out, size_t count,
                            weft_dtype dtype, const weft_coll_opts *opts);
WEFT_API int weft_allgather_start(weft_group *group, const void *in, void *out, size_t count,
                                  weft_dtype dtype, const weft_coll_opts *opts, weft_request **ret);

/**
 * Reduce size blocks of count elements; each peer gets the block of its rank.
 *
 * @param in   size * count elements.
 * @param out  count elements. In place: out == in + rank * count elements (the rest of in is kept).
 */
WEFT_API int weft_reduce_scatter(weft_group *group, const void *in, void *out, size_t count,
                                 weft_dtype dtype, weft_op op, const weft_coll_opts *opts);
WEFT_API int weft_reduce_scatter_start(weft_group *group, const void *in, void *out, size_t count,
                                       weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                                       weft_request **ret);

/**
 * Reduce blocks of different lengths: counts[r] elements for rank r.
 *
 * @param in       the blocks, offsets[r] elements from its beginning each.
 * @param out      counts[rank] elements. In place: out == in + offsets[rank] elements; the blocks
 *                 must not overlap then.
 * @param counts   size entries, the same on all peers; copied.
 * @param offsets  size entries, this peer's own affair; copied. NULL: one block behind another.
 */
WEFT_API int weft_reduce_scatterv(weft_group *group, const void *in, void *out,
                                  const size_t *counts, const size_t *offsets, weft_dtype dtype,
                                  weft_op op, const weft_coll_opts *opts);
WEFT_API int weft_reduce_scatterv_start(weft_group *group, const void *in, void *out,
                                        const size_t *counts, const size_t *offsets,
                                        weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                                        weft_request **ret);

/**
 * Concatenate blocks of different lengths: counts[r] elements of rank r.
 *
 * @param in   counts[rank] elements. In place: in == out + offsets[rank] elements.
 * @param out  the blocks, offsets[r] elements from its beginning each; they must not overlap.
 * counts and offsets as in weft_reduce_scatterv().
 */
WEFT_API int weft_allgatherv(weft_group *group, const void *in, void *out, const size_t *counts,
                             const size_t *offsets, weft_dtype dtype, const weft_coll_opts *opts);
WEFT_API int weft_allgatherv_start(weft_group *group, const void *in, void *out,
                                   const size_t *counts, const size_t *offsets, weft_dtype dtype,
                                   const weft_coll_opts *opts, weft_request **ret);

/** Copy root's count elements to every peer. @param buffer in at root, out elsewhere. */
WEFT_API int weft_broadcast(weft_group *group, void *buffer, size_t count, weft_dtype dtype,
                            int root, const weft_coll_opts *opts);
WEFT_API int weft_broadcast_start(weft_group *group, void *buffer, size_t count, weft_dtype dtype,
                                  int root, const weft_coll_opts *opts, weft_request **ret);

/** As weft_allreduce(), for the peer root alone. @param out  count elements at root; elsewhere not
 *  looked at, NULL will do. */
WEFT_API int weft_reduce(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, weft_op op, int root, const weft_coll_opts *opts);
WEFT_API int weft_reduce_start(weft_group *group, const void *in, void *out, size_t count,
                               weft_dtype dtype, weft_op op, int root, const weft_coll_opts *opts,
                               weft_request **ret);

/** As weft_allgather() and weft_allgatherv(), for the peer root alone. @param out  at root the
 *  blocks; elsewhere not looked at. In place at root as there. */
WEFT_API int weft_gather(weft_group *group, const void *in, void *out, size_t count,
                         weft_dtype dtype, int root, const weft_coll_opts *opts);
WEFT_API int weft_gather_start(weft_group *group, const void *in, void *out, size_t count,
                               weft_dtype dtype, int root, const weft_coll_opts *opts,
                               weft_request **ret);
WEFT_API int weft_gatherv(weft_group *group, const void *in, void *out, const size_t *counts,
                          const size_t *offsets, weft_dtype dtype, int root,
                          const weft_coll_opts *opts);
WEFT_API int weft_gatherv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                                const size_t *offsets, weft_dtype dtype, int root,
                                const weft_coll_opts *opts, weft_request **ret);

/**
 * Give each peer its block of root's.
 *
 * @param in   at root size * count elements (weft_scatterv: the blocks, offsets[r] elements from
 *             its beginning each); elsewhere not looked at.
 * @param out  count (counts[rank]) elements. In place at root: out == in + rank * count, or
 *             offsets[rank], elements; the blocks must not overlap then.
 * counts and offsets as in weft_reduce_scatterv().
 */
WEFT_API int weft_scatter(weft_group *group, const void *in, void *out, size_t count,
                          weft_dtype dtype, int root, const weft_coll_opts *opts);
WEFT_API int weft_scatter_start(weft_group *group, const void *in, void *out, size_t count,
                                weft_dtype dtype, int root, const weft_coll_opts *opts,
                                weft_request **ret);
WEFT_API int weft_scatterv(weft_group *group, const void *in, void *out, const size_t *counts,
                           const size_t *offsets, weft_dtype dtype, int root,
                           const weft_coll_opts *opts);
WEFT_API int weft_scatterv_start(weft_group *group, const void *in, void *out, const size_t *counts,
                                 const size_t *offsets, weft_dtype dtype, int root,
                                 const weft_coll_opts *opts, weft_request **ret);

/**
 * Exchange blocks: block d of rank o's input becomes block o of rank d's output.
 *
 * @param in   size * count elements. May equal out (in place).
 * @param out  size * count elements.
 */
WEFT_API int weft_alltoall(weft_group *group, const void *in, void *out, size_t count,
                           weft_dtype dtype, const weft_coll_opts *opts);
WEFT_API int weft_alltoall_start(weft_group *group, const void *in, void *out, size_t count,
                                 weft_dtype dtype, const weft_coll_opts *opts, weft_request **ret);

/**
 * Exchange blocks of different lengths.
 *
 * @param in_counts    elements to each rank; what rank o sends rank d must be what rank d expects
 *                     of rank o, else every peer gets WEFT_EMISMATCH: nobody is through before all
 *                     lengths were found right, which takes ceil(lg P) short messages more.
 * @param out_counts   elements from each rank.
 * @param in_offsets, out_offsets  where each block begins; NULL: one behind another. The blocks of
 *                     the output must not overlap. Not in place. All four are copied.
 * Memory: a peer holds all it receives beside the output while the operation runs.
 */
WEFT_API int weft_alltoallv(weft_group *group, const void *in, const size_t *in_counts,
                            const size_t *in_offsets, void *out, const size_t *out_counts,
                            const size_t *out_offsets, weft_dtype dtype,
                            const weft_coll_opts *opts);
WEFT_API int weft_alltoallv_start(weft_group *group, const void *in, const size_t *in_counts,
                                  const size_t *in_offsets, void *out, const size_t *out_counts,
                                  const size_t *out_offsets, weft_dtype dtype,
                                  const weft_coll_opts *opts, weft_request **ret);

/**
 * One mixing step over a topology: out = w(r,r) in + the sum over neighbours j of w(r,j) in of j,
 * with the weights of weft_topology_weights(). Unlike the others it leaves other values on every
 * peer; their sum over all peers is that of the inputs, to rounding.
 *
 * @param in        count elements of a floating type. May equal out (in place).
 * @param topology  of as many peers as the group, the same on all peers; used during the call only.
 * Order: terms by ascending rank, each product rounded to the type, then added.
 * Source: Xiao & Boyd 2004.
 */
WEFT_API int weft_neighbor_average(weft_group *group, const void *in, void *out, size_t count,
                                   weft_dtype dtype, const weft_topology *topology,
                                   const weft_coll_opts *opts);
WEFT_API int weft_neighbor_average_start(weft_group *group, const void *in, void *out, size_t count,
                                         weft_dtype dtype, const weft_topology *topology,
                                         const weft_coll_opts *opts, weft_request **ret);

/** Return when every peer has called it. */
WEFT_API int weft_barrier(weft_group *group, const weft_coll_opts *opts);
WEFT_API int weft_barrier_start(weft_group *group, const weft_coll_opts *opts, weft_request **ret);

#ifdef __cplusplus
}
#endif
#endif
