/* SPDX-License-Identifier: Apache-2.0 */
#include "link/message.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "wire/frame.h"

/* Capacities kept for the next message: a header and a body of 128 bytes … 256 KiB. A longer one is
 * given back to malloc. */
static const size_t class_bytes[] = {
    64 + 128,        64 + 512,        64 + (2 << 10),   64 + (8 << 10),   64 + (16 << 10),
    64 + (32 << 10), 64 + (64 << 10), 64 + (128 << 10), 64 + (192 << 10), 64 + (256 << 10),
};
enum { CLASSES = sizeof(class_bytes) / sizeof(class_bytes[0]), ALIGN = 64 };

struct weft_pool {
    pthread_mutex_t lock; /* messages are released on ZeroMQ's I/O thread too */
    weft_message *kept[CLASSES];
    size_t kept_bytes, keep_bytes;
    size_t out;  /* messages not here */
    bool closed; /* the last message frees the pool */
};

typedef struct pooled {
    weft_message m;
    weft_pool *pool;
    int size_class; /* CLASSES: longer than any */
} pooled;

static void free_pool(weft_pool *pool)
{
    pthread_mutex_destroy(&pool->lock);
    weft_free(pool);
}

int weft_pool_open(weft_pool **ret, size_t keep_bytes)
{
    weft_pool *pool = weft_calloc(1, sizeof(*pool));
    if (pool == NULL)
        return weft_fail(WEFT_ENOMEM, "message pool: out of memory");
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        weft_free(pool);
        return weft_fail(WEFT_EIO, "message pool: no mutex");
    }
    pool->keep_bytes = keep_bytes;
    *ret = pool;
    return WEFT_OK;
}

void weft_pool_close(weft_pool **ret)
{
    weft_pool *pool = *ret;
    if (pool == NULL)
        return;
    *ret = NULL;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < CLASSES; i++) {
        while (pool->kept[i] != NULL) {
            weft_message *m = pool->kept[i];
            pool->kept[i] = m->next;
            weft_free(m);
        }
    }
    pool->kept_bytes = 0;
    pool->closed = true;
    const bool last = pool->out == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        free_pool(pool);
}

static void release(weft_message *m)
{
    pooled *p = (pooled *)m;
    weft_pool *pool = p->pool;
    const size_t bytes = p->size_class < CLASSES ? class_bytes[p->size_class] : 0;

    pthread_mutex_lock(&pool->lock);
    pool->out--;
    const bool last = pool->closed && pool->out == 0;
    const bool keep = bytes > 0 && !pool->closed && pool->kept_bytes + bytes <= pool->keep_bytes;
    if (keep) {
        m->next = pool->kept[p->size_class];
        pool->kept[p->size_class] = m;
        pool->kept_bytes += bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        weft_free(p);
    if (last)
        free_pool(pool);
}

/* Take a kept message of the class, counting it as out either way. */
static pooled *take(weft_pool *pool, int size_class)
{
    pthread_mutex_lock(&pool->lock);
    weft_message *m = size_class < CLASSES ? pool->kept[size_class] : NULL;
    if (m != NULL) {
        pool->kept[size_class] = m->next;
        pool->kept_bytes -= class_bytes[size_class];
    }
    pool->out++;
    pthread_mutex_unlock(&pool->lock);
    return (pooled *)m;
}

static pooled *make(weft_pool *pool, int size_class, size_t cap)
{
    /* malloc aligns to 16; what is lacking to a cache line comes after the struct. */
    pooled *p = cap < SIZE_MAX - sizeof(*p) - ALIGN ? weft_alloc(sizeof(*p) + ALIGN + cap) : NULL;
    if (p == NULL) {
        pthread_mutex_lock(&pool->lock);
        pool->out--;
        pthread_mutex_unlock(&pool->lock);
        return NULL;
    }
    const uintptr_t after = (uintptr_t)(p + 1);
    p->m.data = (uint8_t *)(p + 1) + (ALIGN - after % ALIGN) % ALIGN;
    p->m.cap = cap;
    p->m.release = release;
    p->pool = pool;
    p->size_class = size_class;
    return p;
}

weft_message *weft_message_new(weft_pool *pool, size_t body)
{
    if (body > SIZE_MAX - WEFT_FRAME_HEADER)
        return NULL;
    const size_t len = WEFT_FRAME_HEADER + body;
    int size_class = 0;
    while (size_class < CLASSES && class_bytes[size_class] < len)
        size_class++;

    pooled *p = take(pool, size_class);
    if (p == NULL)
        p = make(pool, size_class, size_class < CLASSES ? class_bytes[size_class] : len);
    if (p == NULL)
        return NULL;
    p->m.len = len;
    p->m.next = NULL;
    atomic_init(&p->m.refs, 1);
    return &p->m;
}

void weft_message_unref(weft_message *m)
{
    /* Acquire-release: what other holders read or wrote is done before the memory is used again. */
    if (m != NULL && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        m->release(m);
}

weft_message *weft_message_writable(weft_pool *pool, weft_message *m)
{
    if (weft_message_exclusive(m))
        return m;
    const size_t body = m->len > WEFT_FRAME_HEADER ? m->len - WEFT_FRAME_HEADER : 0;
    weft_message *copy = weft_message_new(pool, body);
    if (copy == NULL)
        return NULL;
    memcpy(copy->data, m->data, m->len);
    copy->len = m->len;
    weft_message_unref(m);
    return copy;
}
