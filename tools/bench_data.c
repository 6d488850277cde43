/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_data.h"

#include <string.h>

#include "half_bits.h"

/* SplitMix64's finalizer (Steele et al. 2014): enough disorder for test data. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The sum of four uniform numbers, centred: bell-shaped, variance 1/3. */
static double bell(uint64_t key)
{
    double sum = -2.0;
    for (uint64_t k = 0; k < 4; k++) {
        sum += (double)(mix(4 * key + k) >> 11) * 0x1p-53;
    }
    return sum;
}

static size_t place(int rank, size_t i)
{
    return (i + (size_t)WEFT_BENCH_SHIFT * (size_t)rank) % WEFT_BENCH_PERIOD;
}

/* Whole numbers of any type are taken modulo 2^64 first: narrowing gives what wrapping in the type
 * would. */
#define DEFINE_STORE(name, type, words)                                                            \
    static void store_##name(void *to, size_t at, double real, uint64_t whole)                     \
    {                                                                                              \
        const bool floating = (type)0.5 != (type)0;                                                \
        ((type *)to)[at] = floating ? (type)real : (type)whole;                                    \
    }
WEFT_DTYPE_MAP(DEFINE_STORE)
#undef DEFINE_STORE

static void store(weft_dtype dtype, void *to, size_t at, double real, uint64_t whole)
{
    static void (*const stores[WEFT_DTYPE_COUNT])(void *, size_t, double, uint64_t) = {
#define STORE(name, type, words) store_##name,
        WEFT_DTYPE_MAP(STORE)
#undef STORE
    };
    if (weft_is_half(dtype)) {
        ((uint16_t *)to)[at] = weft_half_bits(dtype, real);
    } else {
        stores[dtype](to, at, real, whole);
    }
}

/* Element i of the reduction, under every operation exact in the order of any algorithm. */
static void reduce(weft_bench_data *d, size_t i)
{
    double real = d->base[place(0, i)];
    uint64_t whole = (uint64_t)real;
    for (int r = 1; r < d->size; r++) {
        const double x = d->base[place(r, i)];
        const uint64_t n = (uint64_t)x;
        switch (d->op) {
        case WEFT_PROD:
            real *= x;
            whole *= n;
            break;
        case WEFT_MIN:
            real = x < real ? x : real;
            whole = n < whole ? n : whole;
            break;
        case WEFT_MAX:
            real = x > real ? x : real;
            whole = n > whole ? n : whole;
            break;
        case WEFT_BAND:
            whole &= n;
            break;
        case WEFT_BOR:
            whole |= n;
            break;
        case WEFT_BXOR:
            whole ^= n;
            break;
        default:
            real += x;
            whole += n;
            break;
        }
    }
    if (d->op == WEFT_MEAN) {
        real = d->dtype == WEFT_F64 ? real / d->size : (double)((float)real / (float)d->size);
    }
    store(d->dtype, d->reduced, i, real, whole);
}

/* What sums of it over all ranks cannot leave the whole numbers that a half holds: small numbers
 * where there are few ranks, else ones at no more places than that. */
static double small_enough(weft_dtype dtype, int size, size_t i)
{
    const size_t exact = weft_is_half(dtype) ? (size_t)weft_half_exact(dtype) : SIZE_MAX;
    const size_t most = exact / (size_t)size < 10 ? exact / (size_t)size : 10;
    return most > 0 ? (double)(mix(i) % (most + 1))
                    : (double)(i % (WEFT_BENCH_PERIOD / exact + 1) == 0);
}

static double whole_number(weft_dtype dtype, weft_op op, int size, size_t i)
{
    const uint64_t bits = mix(i);
    const bool some = bits >> 32 & 1;
    switch (op) {
    case WEFT_PROD: /* mostly ones: exact for any number of peers */
        return bits % 16 == 0 ? 2.0 : 1.0;
    case WEFT_MIN:
    case WEFT_MAX:
        return (double)(bits % 11);
    case WEFT_BAND: /* 7 bits, most of them set: a few peers leave some */
        return (double)(127 & ~(some ? 1u << bits % 7 : 0u));
    case WEFT_BOR:
        return (double)(some ? 1u << bits % 7 : 0u);
    case WEFT_BXOR:
        return (double)(bits % 128);
    default:
        return small_enough(dtype, size, i);
    }
}

void weft_bench_data_init(weft_bench_data *d, weft_dtype dtype, weft_op op, int size, bool real)
{
    d->dtype = dtype;
    d->op = op;
    d->size = size;
    for (size_t i = 0; i < WEFT_BENCH_PERIOD; i++) {
        d->base[i] = real ? bell(i) : whole_number(dtype, op, size, i);
    }
    for (size_t i = 0; i < WEFT_BENCH_PERIOD && !real; i++) {
        reduce(d, i);
    }
}

void weft_bench_fill(const weft_bench_data *d, int rank, size_t first, size_t count, void *to)
{
    const size_t cell = weft_dtype_bytes(d->dtype);
    const size_t head = count < WEFT_BENCH_PERIOD ? count : WEFT_BENCH_PERIOD;
    for (size_t i = 0; i < head; i++) {
        const double value = d->base[place(rank, first + i)];
        store(d->dtype, to, i, value, value > 0.0 ? (uint64_t)value : 0);
    }
    for (size_t done = head; done < count;) { /* the rest repeats */
        const size_t part = count - done < done ? count - done : done;
        (void)memcpy((char *)to + done * cell, to, part * cell);
        done += part;
    }
}

/* Elements of got that differ from pattern[(i + first) mod period]. */
static uint64_t count_wrong(const unsigned char *pattern, size_t cell, size_t first, size_t count,
                            const unsigned char *got)
{
    uint64_t wrong = 0;
    size_t at = first % WEFT_BENCH_PERIOD;
    for (size_t done = 0; done < count;) {
        const size_t left = WEFT_BENCH_PERIOD - at;
        const size_t part = count - done < left ? count - done : left;
        const unsigned char *want = pattern + at * cell, *have = got + done * cell;
        if (memcmp(want, have, part * cell) != 0) {
            for (size_t i = 0; i < part; i++) {
                wrong += memcmp(want + i * cell, have + i * cell, cell) != 0;
            }
        }
        done += part;
        at = 0;
    }
    return wrong;
}

uint64_t weft_bench_wrong_copy(const weft_bench_data *d, int rank, size_t first, size_t count,
                               const void *got)
{
    unsigned char pattern[WEFT_BENCH_PERIOD * WEFT_BENCH_CELL];
    weft_bench_fill(d, rank, 0, WEFT_BENCH_PERIOD, pattern);
    return count_wrong(pattern, weft_dtype_bytes(d->dtype), first, count, got);
}

uint64_t weft_bench_wrong_reduced(const weft_bench_data *d, size_t first, size_t count,
                                  const void *got)
{
    return count_wrong(d->reduced, weft_dtype_bytes(d->dtype), first, count, got);
}

uint64_t weft_bench_hash(const void *bytes, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    const unsigned char *at = bytes;
    for (; len >= sizeof(uint64_t); at += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;
        (void)memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 32;
    }
    for (; len > 0; at++, len--) {
        hash = (hash ^ *at) * 0x100000001b3u;
    }
    return hash;
}
