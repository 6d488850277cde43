/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_data.h"

#include <string.h>

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

/* For each type: how a value is stored, and the reduction of one element over all ranks. Whole
 * numbers are reduced modulo 2^64 first: narrowing gives what wrapping in the type would. */
#define DEFINE_TYPE(name, type, words)                                                             \
    static void store_##name(void *to, size_t at, double value)                                    \
    {                                                                                              \
        ((type *)to)[at] = (type)value;                                                            \
    }                                                                                              \
    static void reduce_##name(weft_bench_data *d, size_t i)                                        \
    {                                                                                              \
        double real = d->base[place(0, i)];                                                        \
        uint64_t whole = (uint64_t)real;                                                           \
        for (int r = 1; r < d->size; r++) {                                                        \
            const double x = d->base[place(r, i)];                                                 \
            switch (d->op) {                                                                       \
            case WEFT_PROD:                                                                        \
                real *= x;                                                                         \
                whole *= (uint64_t)x;                                                              \
                break;                                                                             \
            case WEFT_MIN:                                                                         \
                real = x < real ? x : real;                                                        \
                whole = (uint64_t)x < whole ? (uint64_t)x : whole;                                 \
                break;                                                                             \
            case WEFT_MAX:                                                                         \
                real = x > real ? x : real;                                                        \
                whole = (uint64_t)x > whole ? (uint64_t)x : whole;                                 \
                break;                                                                             \
            default:                                                                               \
                real += x;                                                                         \
                whole += (uint64_t)x;                                                              \
                break;                                                                             \
            }                                                                                      \
        }                                                                                          \
        const bool floating = (type)0.5 != (type)0;                                                \
        type value = floating ? (type)real : (type)whole;                                          \
        if (d->op == WEFT_MEAN && floating) {                                                      \
            value = (type)(value / (type)d->size);                                                 \
        }                                                                                          \
        ((type *)(void *)d->reduced)[i] = value;                                                   \
    }
WEFT_DTYPE_MAP(DEFINE_TYPE)
#undef DEFINE_TYPE

typedef struct type_row {
    void (*store)(void *to, size_t at, double value);
    void (*reduce)(weft_bench_data *d, size_t i);
} type_row;

static const type_row types[WEFT_DTYPE_COUNT] = {
#define TYPE_ROW(name, type, words) {store_##name, reduce_##name},
    WEFT_DTYPE_MAP(TYPE_ROW)
#undef TYPE_ROW
};

void weft_bench_data_init(weft_bench_data *d, weft_dtype dtype, weft_op op, int size, bool real)
{
    d->dtype = dtype;
    d->op = op;
    d->size = size;
    for (size_t i = 0; i < WEFT_BENCH_PERIOD; i++) {
        /* Products: mostly ones, so that they stay exact for any number of peers. */
        d->base[i] = real              ? bell(i)
                     : op == WEFT_PROD ? (mix(i) % 16 == 0 ? 2.0 : 1.0)
                                       : (double)(mix(i) % 11);
    }
    for (size_t i = 0; i < WEFT_BENCH_PERIOD && !real; i++) {
        types[dtype].reduce(d, i);
    }
}

void weft_bench_fill(const weft_bench_data *d, int rank, size_t first, size_t count, void *to)
{
    const size_t cell = weft_dtype_bytes(d->dtype);
    const size_t head = count < WEFT_BENCH_PERIOD ? count : WEFT_BENCH_PERIOD;
    for (size_t i = 0; i < head; i++) {
        types[d->dtype].store(to, i, d->base[place(rank, first + i)]);
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
