/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message: header and body in one piece of library memory, counted. No pointer into a caller's
 * memory is ever in one. The holder of the only reference may write; a link that still sends holds
 * one of its own.
 */
#ifndef WEFT_LINK_MESSAGE_H
#define WEFT_LINK_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_message {
    uint8_t *data;   /* 64-byte header, then the body */
    size_t len, cap; /* header and body */
    atomic_int refs;
    void (*release)(struct weft_message *m); /* when the last reference goes; any thread */
    struct weft_message *next;               /* for whoever holds it exclusively */
} weft_message;

/* Buffers of sent messages are kept for the next ones, up to `keep_bytes` in all. */
typedef struct weft_pool weft_pool;
int weft_pool_open(weft_pool **ret, size_t keep_bytes);
/* Messages may outlive it: the last of them frees it. */
void weft_pool_close(weft_pool **pool);
/* A message with room for `body` bytes behind the header, len set to header + body. NULL: out of
 * memory. Any thread. */
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

#endif
