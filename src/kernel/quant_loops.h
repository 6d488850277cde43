/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stochastic rounding to levels and back, in plain C: the reference, and what is left over at the
 * ends of the vector loops. A part of kernel_loops.h.
 */
#ifndef WEFT_KERNEL_QUANT_LOOPS_H
#define WEFT_KERNEL_QUANT_LOOPS_H

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_quant.h"
#include "kernel/kernel_reduce.h"

enum { QUANT_PART = 64 }; /* numbers held between two loops */

/* |v| s/N with 16 fraction bits, at most the limit, rounded half to even. */
static inline uint32_t fixed_point(float v, const weft_rounding *r)
{
    const float scaled = fabsf(v) * r->ratio * 65536.0f;
    /* Rounds to the nearest even whole number: the sum's last bit is worth 1. */
    const double sum = (double)(scaled < r->limit ? scaled : r->limit) + 0x1p52;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    return (uint32_t)bits;
}

/* Two loops: gcc vectorizes each, but not conversion and choice together. */
#define LEVELS(fn, type)                                                                           \
    static inline void fn(const float *v, size_t count, const weft_rounding *r,                    \
                          const uint16_t *random, type *out)                                       \
    {                                                                                              \
        const any_F32 *x = v;                                                                      \
        const int32_t top = (int32_t)r->top;                                                       \
        while (count > 0) {                                                                        \
            uint32_t fixed[QUANT_PART];                                                            \
            const size_t n = count < QUANT_PART ? count : QUANT_PART;                              \
            for (size_t i = 0; i < n; i++)                                                         \
                fixed[i] = fixed_point(x[i], r);                                                   \
            for (size_t i = 0; i < n; i++) {                                                       \
                const int32_t level = (int32_t)((fixed[i] + random[i]) >> 16);                     \
                out[i] = (type)(top + (x[i] < 0 ? -level : level));                                \
            }                                                                                      \
            x += n;                                                                                \
            random += n;                                                                           \
            out += n;                                                                              \
            count -= n;                                                                            \
        }                                                                                          \
    }
LEVELS(c_levels8, uint8_t)
LEVELS(c_levels16, uint16_t)

static inline void c_drawn8(const float *v, size_t count, const weft_rounding *r,
                            const weft_draw *draw, uint64_t first, uint8_t *out)
{
    const any_F32 *x = v;
    for (size_t done = 0; done < count;) {
        uint16_t random[QUANT_PART];
        const size_t n = count - done < QUANT_PART ? count - done : QUANT_PART;
        weft_draw_u16(draw, first + done, n, random);
        c_levels8((const float *)(x + done), n, r, random, out + done);
        done += n;
    }
}

#define VALUES(fn, type, RESULT)                                                                   \
    static void fn(const type *level, size_t count, int32_t top, float step, float *out)           \
    {                                                                                              \
        any_F32 *d = out;                                                                          \
        INDEPENDENT for (size_t i = 0; i < count; i++)                                             \
        {                                                                                          \
            const float value = (float)((int32_t)level[i] - top) * step;                           \
            d[i] = RESULT;                                                                         \
        }                                                                                          \
    }
VALUES(values8, uint8_t, value)
VALUES(values16, uint16_t, value)
VALUES(add8, uint8_t, d[i] + value)
VALUES(add16, uint16_t, d[i] + value)

#define MOST(fn, type)                                                                             \
    static type fn(const type *v, size_t count)                                                    \
    {                                                                                              \
        type most = 0;                                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
            most = v[i] > most ? v[i] : most;                                                      \
        return most;                                                                               \
    }
MOST(most8, uint8_t)
MOST(most16, uint16_t)

static uint64_t least16(const uint16_t *v, size_t count, uint16_t least)
{
    uint64_t found = 0;
    while (count > 0) {
        const size_t n = count < INT16_MAX ? count : INT16_MAX;
        int16_t part = 0; /* as wide as the numbers, for the vectors' sake */
        for (size_t i = 0; i < n; i++)
            part = (int16_t)(part + (v[i] >= least));
        found += (uint64_t)part;
        v += n;
        count -= n;
    }
    return found;
}

static inline void c_others16(const uint16_t *v, size_t count, uint16_t than, uint64_t *out)
{
    for (size_t from = 0; from < count; from += 64) {
        uint64_t mask = 0;
        for (size_t i = 0; i < 64 && from + i < count; i++)
            mask |= (uint64_t)(v[from + i] != than) << i;
        *out++ = mask;
    }
}

#endif
