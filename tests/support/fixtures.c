/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fixtures.h"

#include <math.h>

#include "base/hash.h"
#include "base/rng.h"
#include "support/halves.h"

static uint64_t mix(uint64_t seed, int rank, uint64_t index)
{
    weft_rng rng = {.state = seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)rank * 1000003 +
                             index * UINT64_C(0xd1342543de82ef95)};
    return weft_rng_u64(&rng);
}

long long fixture_value(weft_op op, uint64_t seed, int rank, uint64_t index)
{
    const uint64_t bits = mix(seed, rank, index) >> 40;
    switch (op) {
    case WEFT_PROD:
        return (const long long[]){1, 2, -1, 1}[bits % 4];
    case WEFT_MIN:
    case WEFT_MAX:
        return (long long)(bits % 101);
    case WEFT_BAND: /* three bits in four are set: some stay so */
        return (long long)(mix(seed, rank, index) | mix(seed + 1, rank, index));
    case WEFT_BOR:
        return (long long)(mix(seed, rank, index) & mix(seed + 1, rank, index));
    case WEFT_BXOR:
        return (long long)mix(seed, rank, index);
    default:
        return (long long)(bits % 17) - 8;
    }
}

static long long reduced(weft_op op, uint64_t seed, int peers, uint64_t index)
{
    long long acc = fixture_value(op, seed, 0, index);
    for (int r = 1; r < peers; r++) {
        const long long v = fixture_value(op, seed, r, index);
        switch (op) {
        case WEFT_PROD:
            acc *= v;
            break;
        case WEFT_MIN:
            acc = v < acc ? v : acc;
            break;
        case WEFT_MAX:
            acc = v > acc ? v : acc;
            break;
        case WEFT_BAND:
            acc &= v;
            break;
        case WEFT_BOR:
            acc |= v;
            break;
        case WEFT_BXOR:
            acc ^= v;
            break;
        default:
            acc += v;
            break;
        }
    }
    return acc;
}

static void put(weft_dtype dtype, void *out, size_t i, long long value)
{
    if (halves_are(dtype)) {
        ((uint16_t *)out)[i] = halves_nearest(dtype, (double)value);
        return;
    }
    switch (dtype) {
#define PUT_CASE(name, type, words)                                                                \
    case WEFT_##name:                                                                              \
        ((type *)out)[i] = (type)value;                                                            \
        break;
        WEFT_DTYPE_MAP(PUT_CASE)
#undef PUT_CASE
    default:
        break;
    }
}

void fixture_fill(weft_dtype dtype, weft_op op, uint64_t seed, int rank, uint64_t first, void *out,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(dtype, out, i, fixture_value(op, seed, rank, first + i));
    }
}

void fixture_reduce(weft_dtype dtype, weft_op op, uint64_t seed, int peers, uint64_t first,
                    void *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const long long sum = reduced(op, seed, peers, first + i);
        if (op == WEFT_MEAN && dtype == WEFT_F32) {
            ((float *)out)[i] = (float)sum / (float)peers;
        } else if (op == WEFT_MEAN && dtype == WEFT_F64) {
            ((double *)out)[i] = (double)sum / (double)peers;
        } else if (op == WEFT_MEAN && halves_are(dtype)) {
            const float mean = (float)sum / (float)peers;
            ((uint16_t *)out)[i] = halves_nearest(dtype, (double)mean);
        } else {
            put(dtype, out, i, sum);
        }
    }
}

void fixture_floats(uint64_t seed, int rank, float *out, size_t count)
{
    weft_rng rng = {.state = seed * 8191 + (uint64_t)rank};
    for (size_t i = 0; i < count; i++) {
        const double unit = weft_rng_unit(&rng) - 0.5;
        out[i] = (float)ldexp(unit, (int)weft_rng_below(&rng, 41) - 20);
    }
}

uint64_t fixture_digest(const void *data, size_t bytes)
{
    return weft_hash64(data, bytes);
}
