/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory. Every allocation of the library goes through here, so that tests can make the n-th one
 * fail (weft_mem_fail_at). All return NULL when out of memory, without setting the last error.
 */
#ifndef WEFT_BASE_MEM_H
#define WEFT_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *weft_alloc(size_t bytes);                /* malloc; 0 bytes give a pointer too */
void *weft_calloc(size_t count, size_t bytes); /* zeroed, overflow checked */
void *weft_realloc(void *old, size_t bytes);
char *weft_strdup(const char *text); /* NULL gives NULL */
void weft_free(void *p);

/* Grow *array (of *cap elements of `bytes` each) so that it holds `need`. false: out of memory,
 * nothing changed. */
bool weft_grow(void **array, size_t *cap, size_t need, size_t bytes);

/* Tests only: the n-th allocation from now on (1 = the next) fails, and so does every later one
 * until called again; 0 switches it off. Counts over all threads. */
void weft_mem_fail_at(long n);
/* Allocations since the last weft_mem_fail_at(). */
long weft_mem_count(void);

#endif
