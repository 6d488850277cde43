/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers at any address, in a byte order that is named; and what weft asks of a machine. */
#ifndef WEFT_BASE_BYTES_H
#define WEFT_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements go over the wire as they lie in memory: little endian machines only"
#endif
_Static_assert(sizeof(size_t) == 8, "vectors have up to 2^40 elements: 64-bit machines only");

static inline uint16_t weft_load_little16(const void *from)
{
    uint16_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline void weft_store_little16(void *to, uint16_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline uint32_t weft_load_little32(const void *from)
{
    uint32_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline void weft_store_little32(void *to, uint32_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline uint64_t weft_load_little(const void *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return v;
}

static inline void weft_store_little(void *to, uint64_t v)
{
    memcpy(to, &v, sizeof(v));
}

static inline uint64_t weft_load_big(const void *from)
{
    return __builtin_bswap64(weft_load_little(from));
}

static inline void weft_store_big(void *to, uint64_t v)
{
    weft_store_little(to, __builtin_bswap64(v));
}

#endif
