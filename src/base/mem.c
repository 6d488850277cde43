/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The switch of the tests. Otherwise the library's mutable state that is not thread-local is
 * ZeroMQ's context (link/zmq_context.c). */
static atomic_long fail_at;
static atomic_long made;

static bool refused(void)
{
    long n = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    long limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return limit > 0 && n >= limit;
}

void weft_mem_fail_at(long n)
{
    atomic_store(&made, 0);
    atomic_store(&fail_at, n);
}

long weft_mem_count(void)
{
    return atomic_load(&made);
}

void *weft_alloc(size_t bytes)
{
    return refused() ? NULL : malloc(bytes ? bytes : 1);
}

void *weft_calloc(size_t count, size_t bytes)
{
    if (count == 0 || bytes == 0)
        count = bytes = 1;
    if (bytes > SIZE_MAX / count)
        return NULL;
    return refused() ? NULL : calloc(count, bytes);
}

void *weft_realloc(void *old, size_t bytes)
{
    return refused() ? NULL : realloc(old, bytes ? bytes : 1);
}

char *weft_strdup(const char *text)
{
    if (!text)
        return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = weft_alloc(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void weft_free(void *p)
{
    free(p);
}

bool weft_grow(void **array, size_t *cap, size_t need, size_t bytes)
{
    if (need <= *cap)
        return true;
    size_t limit = bytes ? SIZE_MAX / bytes : SIZE_MAX;
    if (need > limit)
        return false;
    size_t more = *cap > limit / 2 ? limit : *cap * 2; /* doubling: appending stays linear */
    if (more < need)
        more = need;
    void *grown = weft_realloc(*array, more * bytes);
    if (!grown)
        return false;
    *array = grown;
    *cap = more;
    return true;
}
