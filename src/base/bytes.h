/* SPDX-License-Identifier: Apache-2.0 */
/* 64 bits at any address, in a byte order that does not depend on the machine's. */
#ifndef WEFT_BASE_BYTES_H
#define WEFT_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t weft_little(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

static inline uint64_t weft_load_little(const void *from)
{
    uint64_t v;
    memcpy(&v, from, sizeof(v));
    return weft_little(v);
}

static inline void weft_store_little(void *to, uint64_t v)
{
    v = weft_little(v);
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
