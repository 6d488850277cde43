/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/draw_bits.h"

#include <string.h>

#include "base/rng.h"

enum { BLOCK_BITS = 128, BLOCK_BYTES = 16, BYTE_BITS = 8 };
enum { BLOCKS = 8, CHUNK_BYTES = BLOCKS * BLOCK_BYTES };

/* The bytes of blocks `from` … from + BLOCKS, one more than a chunk, which may begin amid a block.
 */
static void fill(const weft_draw *draw, uint64_t from, uint8_t out[CHUNK_BYTES + BLOCK_BYTES])
{
    const uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)};
    uint32_t counter[4] = {0, (uint32_t)draw->draw,
                           (uint32_t)(draw->draw >> 32) + (draw->tensor << 16), draw->member};
    for (uint64_t b = 0; b <= BLOCKS; b++) {
        uint32_t word[4];
        counter[0] = (uint32_t)(from + b);
        weft_philox(counter, key, word);
        for (size_t i = 0; i < BLOCK_BYTES; i++)
            out[b * BLOCK_BYTES + i] = (uint8_t)(word[i / 4] >> i % 4 * BYTE_BITS);
    }
}

void weft_draw_bits(const weft_draw *draw, uint64_t first, size_t count, uint8_t *out)
{
    uint8_t bits[CHUNK_BYTES + BLOCK_BYTES];
    const size_t bytes = count / BYTE_BITS + (count % BYTE_BITS != 0);
    for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
        const uint64_t e = first + (uint64_t)at * BYTE_BITS;
        const size_t n = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
        const size_t skip = (size_t)(e % BLOCK_BITS) / BYTE_BITS, shift = (size_t)(e % BYTE_BITS);
        fill(draw, e / BLOCK_BITS, bits);
        for (size_t i = 0; i < n; i++) {
            const unsigned pair = bits[skip + i] | (unsigned)bits[skip + i + 1] << BYTE_BITS;
            out[at + i] = (uint8_t)(pair >> shift);
        }
    }
}
