/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message: header and body in one piece of library memory, counted. No pointer into a caller's
 * memory is ever in one.
 *
 * Who may write: whoever holds a reference and finds the message exclusive, and nobody else. That
 * goes for every byte of data, the header too, and for len and next. send() gives a reference away;
 * who keeps another one shares the message with the link (which may still be sending) and, on a
 * link within one process, with the receiver, who gets this very message. All of them then only
 * read. So: to send a message on with a new header while it may be shared, make it writable first
 * (weft_message_writable copies when it must); to send one body to several peers, send a copy to
 * each; to have the receiver merge in place without a copy, keep no reference when sending.
 */
#ifndef WEFT_LINK_MESSAGE_H
#define WEFT_LINK_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_message {
    uint8_t *data;   /* 64-byte header, then the body; aligned to 8 bytes at least */
    size_t len, cap; /* header and body; a received one may be shorter than a header */
    atomic_int refs;
    void (*release)(struct weft_message *m); /* when the last reference goes; any thread */
    struct weft_message *next;               /* for whoever holds it exclusively */
} weft_message;

/* Buffers of sent messages are kept for the next ones, up to `keep_bytes` in all. */
typedef struct weft_pool weft_pool;
int weft_pool_open(weft_pool **ret, size_t keep_bytes);
/* Messages may outlive it: the last of them frees it. */
void weft_pool_close(weft_pool **pool);
/* A message with room for `body` bytes behind the header, len set to header + body, one reference;
 * its bytes are not initialised. NULL: out of memory. Any thread. */
weft_message *weft_message_new(weft_pool *pool, size_t body);

static inline weft_message *weft_message_ref(weft_message *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

static inline bool weft_message_exclusive(const weft_message *m)
{
    return atomic_load_explicit(&m->refs, memory_order_acquire) == 1;
}

void weft_message_unref(weft_message *m); /* NULL-safe */

/* The message itself when exclusive; else a copy from the pool, and the reference to m is given
 * back. NULL: out of memory, m is then as before. */
weft_message *weft_message_writable(weft_pool *pool, weft_message *m);

#endif
