/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011), a pure function of seed,
 * member, tensor, draw and element index, so that any lane split and any machine give the same.
 *
 * counter = (index / 8 mod 2^32, draw lo, draw hi + 2^16 * tensor, member); key = (seed lo, hi).
 * The 16 bits of an element are half-word (index mod 8) of the output, low half of word 0 first.
 */
#ifndef WEFT_BASE_RNG_H
#define WEFT_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include <weft/codec.h>

/* Constants of Salmon et al. 2011, table 2 and section 4.2. */
#define WEFT_PHILOX_MUL0 UINT32_C(0xD2511F53)
#define WEFT_PHILOX_MUL1 UINT32_C(0xCD9E8D57)
#define WEFT_PHILOX_WEYL0 UINT32_C(0x9E3779B9)
#define WEFT_PHILOX_WEYL1 UINT32_C(0xBB67AE85)

/* One block: out[4] from counter and key. Known-answer tested. */
void weft_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Words 1 … 3 of the counter, and the key, of a draw. */
void weft_draw_words(const weft_draw *draw, uint32_t counter[4], uint32_t key[2]);

/* 16 random bits for each of the elements first … first+count-1 of the draw's tensor
 * (draw->first is not added). The reference; weft_kernel_draw_u16() is faster. */
void weft_draw_u16(const weft_draw *draw, uint64_t first, size_t count, uint16_t *out);

/* A small sequential generator for tools and tests, seeded (splitmix64). */
typedef struct weft_rng {
    uint64_t state;
} weft_rng;
uint64_t weft_rng_u64(weft_rng *rng);
double weft_rng_unit(weft_rng *rng);                    /* [0, 1), 53 bits */
uint64_t weft_rng_below(weft_rng *rng, uint64_t limit); /* unbiased, limit > 0 */

/* 16 bytes from the kernel, for names and incarnations only. 0 or WEFT_EIO. */
int weft_random_bytes(void *out, size_t len);

#endif
