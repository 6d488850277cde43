/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/status.h"

enum { ROUNDS = 10, WIDE = 4 /* blocks side by side */, GROUP = 8 /* elements of one block */ };
static const size_t wide_group = (size_t)WIDE * GROUP;

void weft_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t p0 = (uint64_t)WEFT_PHILOX_MUL0 * c0, p1 = (uint64_t)WEFT_PHILOX_MUL1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += WEFT_PHILOX_WEYL0;
        k1 += WEFT_PHILOX_WEYL1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void weft_draw_words(const weft_draw *draw, uint32_t counter[4], uint32_t key[2])
{
    counter[1] = (uint32_t)draw->draw;
    counter[2] = (uint32_t)(draw->draw >> 32) + (draw->tensor << 16);
    counter[3] = draw->member;
    key[0] = (uint32_t)draw->seed;
    key[1] = (uint32_t)(draw->seed >> 32);
}

static void put_halves(const uint32_t word[4], uint16_t out[GROUP])
{
    for (size_t i = 0; i < 4; i++) {
        out[2 * i] = (uint16_t)word[i];
        out[2 * i + 1] = (uint16_t)(word[i] >> 16);
    }
}

/* WIDE consecutive blocks at once: the inner loops are independent and vectorize. The words are
 * held in 64 bits because that is what the 32 x 32 multiplication of SIMD units works on. */
static void philox_wide(const uint32_t counter[4], const uint32_t key[2], uint16_t *out)
{
    uint64_t c0[WIDE], c1[WIDE], c2[WIDE], c3[WIDE];
    const uint64_t low = UINT32_MAX;
    for (uint32_t i = 0; i < WIDE; i++) {
        c0[i] = (uint32_t)(counter[0] + i);
        c1[i] = counter[1];
        c2[i] = counter[2];
        c3[i] = counter[3];
    }
    uint32_t k0 = key[0], k1 = key[1];
    for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 4 /* keeps the words in registers: 2.7 times as fast with gcc 12 */
        for (int i = 0; i < WIDE; i++) {
            uint64_t p0 = (c0[i] & low) * WEFT_PHILOX_MUL0, p1 = (c2[i] & low) * WEFT_PHILOX_MUL1;
            c0[i] = (p1 >> 32) ^ c1[i] ^ k0;
            c2[i] = (p0 >> 32) ^ c3[i] ^ k1;
            c1[i] = p1 & low;
            c3[i] = p0 & low;
        }
        k0 += WEFT_PHILOX_WEYL0;
        k1 += WEFT_PHILOX_WEYL1;
    }
    for (size_t i = 0; i < WIDE; i++) {
        uint32_t word[4] = {(uint32_t)c0[i], (uint32_t)c1[i], (uint32_t)c2[i], (uint32_t)c3[i]};
        put_halves(word, out + GROUP * i);
    }
}

void weft_draw_u16(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out)
{
    uint32_t counter[4], key[2], word[4];
    uint16_t group[GROUP];
    weft_draw_words(draw, counter, key);
    while (count > 0) {
        counter[0] = (uint32_t)(first / GROUP);
        size_t skip = (size_t)(first % GROUP);
        size_t n = GROUP - skip;
        if (skip == 0 && count >= wide_group) {
            philox_wide(counter, key, out);
            n = wide_group;
        } else {
            if (n > count)
                n = count;
            weft_philox(counter, key, word);
            put_halves(word, group);
            memcpy(out, group + skip, n * sizeof(*out));
        }
        out += n;
        first += n;
        count -= n;
    }
}

uint64_t weft_rng_u64(weft_rng *rng)
{
    /* splitmix64, Steele et al. 2014 */
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double weft_rng_unit(weft_rng *rng)
{
    return (double)(weft_rng_u64(rng) >> 11) * 0x1p-53;
}

uint64_t weft_rng_below(weft_rng *rng, uint64_t limit)
{
    uint64_t skip =
        (0 - limit) % limit; /* 2^64 mod limit: refused so that all are equally likely */
    uint64_t u = weft_rng_u64(rng);
    while (u < skip)
        u = weft_rng_u64(rng);
    return u % limit;
}

int weft_random_bytes(void *out, size_t len)
{
    unsigned char *p = out;
    while (len > 0) {
        ssize_t got = getrandom(p, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return weft_fail(WEFT_EIO, "random numbers: %s", strerrordesc_np(errno));
        p += got;
        len -= (size_t)got;
    }
    return WEFT_OK;
}
