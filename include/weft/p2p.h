/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file p2p.h
 * Send and receive between two peers of a group, with a tag.
 *
 * The n-th send to a peer with a tag meets the n-th receive of it from this peer with that tag, in
 * this group; other tags, the other direction, other groups and collectives are apart from that:
 * they may be called in any order, and from other threads. (Two threads that send to one peer with
 * one tag must agree on the order themselves.)
 *
 *  - Count and type must agree: else both get WEFT_EMISMATCH with both calls in words, and the next
 *    transfer works. A timeout or a cancel at one end is told at the other too, then or when it
 *    makes that call. But a send that is through before, see below, has succeeded: what becomes of
 *    its message afterwards only the receiver hears.
 *  - A receive that times out or is canceled has used up its message: the next receive gets the
 *    next one, and a short one that comes later is lost though its send succeeded.
 *  - A send returns when its buffer may be used again: then the message is on its way, and need not
 *    have been received. One of up to 64 KiB, the first 8 of a tag, and the first lane (64 to 256
 *    KiB) of a longer one go without waiting for the receiver; more waits until it receives. What a
 *    peer has not received yet is at most 4.5 MiB of every other peer's, all tags together, each
 *    counting 320 bytes more than its own; beyond, a send waits for its receive, whatever else is
 *    outstanding.
 *  - So two peers that both send first and then receive may wait for one another when the messages
 *    are long; with weft_send_start() they do not.
 *  - Returns 0, or
 *      - of a call that cannot be made, nothing was sent: WEFT_EINVAL peer out of range or this
 *        peer itself, and what the collectives say (collective.h); WEFT_ENOTSUP a lossy codec,
 *        or no edge of the group's topology leads to the peer; WEFT_ENOMEM;
 *      - of this transfer, others go on: WEFT_EMISMATCH; WEFT_ETIMEDOUT; WEFT_ECANCELED at either
 *        end; WEFT_ENOMEM; WEFT_EPEER the peer left the group before it did its part;
 *      - of all groups over the links, as collective.h says: WEFT_EPEER a peer died; WEFT_EPROTO,
 *        WEFT_EVERSION, WEFT_EIO, WEFT_ENOMEM, WEFT_EMISMATCH of seeds; later WEFT_EBROKEN;
 *      - WEFT_EFORKED, WEFT_EINTERNAL as there.
 *  - Threads: any. Cost: one frame for each 256 KiB. A tag that is in use takes about 700 bytes at
 *    either end; of those that are not in use a thousand keep that, others take 80 bytes, and where
 *    a transfer failed 2 KiB, until the group is closed. What was sent and is never received takes
 *    its room until every group over the links is closed.
 */
#ifndef WEFT_P2P_H
#define WEFT_P2P_H

#include <weft/collective.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Send count elements to a peer.
 *
 * @param buffer  count elements of dtype; not written.
 * @param to      its rank in the group.
 * @param tag     any number.
 * @param opts    codec (lossless), timeout_ms and receipt are looked at; NULL: defaults.
 */
WEFT_API int weft_send(weft_group *group, const void *buffer, size_t count, weft_dtype dtype,
                       int to, uint32_t tag, const weft_coll_opts *opts);
WEFT_API int weft_send_start(weft_group *group, const void *buffer, size_t count, weft_dtype dtype,
                             int to, uint32_t tag, const weft_coll_opts *opts, weft_request **ret);

/**
 * Receive count elements from a peer.
 *
 * @param buffer  room for count elements of dtype; unspecified after an error.
 * @param from    its rank in the group.
 * @param tag     that of the send.
 * @param opts    as of weft_send(), with the same codec.
 */
WEFT_API int weft_recv(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int from,
                       uint32_t tag, const weft_coll_opts *opts);
WEFT_API int weft_recv_start(weft_group *group, void *buffer, size_t count, weft_dtype dtype,
                             int from, uint32_t tag, const weft_coll_opts *opts,
                             weft_request **ret);

#ifdef __cplusplus
}
#endif
#endif
