/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

enum { BYTES = 40000 };

/* Bit by bit: the definition. */
static uint32_t crc_by_bits(uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void fill(uint8_t *out)
{
    weft_rng rng = {.state = 11};
    for (int i = 0; i < BYTES; i++)
        out[i] = (uint8_t)weft_rng_u64(&rng);
}

/* RFC 3720, B.4, and the check value of the catalogue of CRC algorithms. */
Test(hash, crc32c_gives_the_published_answers)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++)
        up[i] = (uint8_t)i;
    cr_expect_eq(weft_crc32c(0, "123456789", 9), 0xe3069283);
    cr_expect_eq(weft_crc32c(0, zeros, 32), 0x8a9136aa);
    cr_expect_eq(weft_crc32c(0, ones, 32), 0x62a8ab43);
    cr_expect_eq(weft_crc32c(0, up, 32), 0x46dd794e);
    cr_expect_eq(weft_crc32c(0, "", 0), 0);
    cr_expect_eq(weft_crc32c_table(0, "123456789", 9), 0xe3069283);
}

Test(hash, crc32c_is_the_same_by_bits_by_table_and_by_streams)
{
    static uint8_t data[BYTES];
    fill(data);
    for (size_t len = 0; len < 2000; len += 1 + len / 50)
        for (size_t off = 0; off < 9; off++) {
            uint32_t want = crc_by_bits(77, data + off, len);
            cr_assert_eq(weft_crc32c(77, data + off, len), want, "len %zu off %zu", len, off);
            cr_assert_eq(weft_crc32c_table(77, data + off, len), want);
        }
    static const size_t edges[] = {767, 768, 769, 12287, 12288, 12289, 24576, 25344, BYTES - 3};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        cr_assert_eq(weft_crc32c(0, data + 3, edges[i]), crc_by_bits(0, data + 3, edges[i]),
                     "len %zu", edges[i]);
}

Test(hash, crc32c_continues)
{
    static uint8_t data[BYTES];
    fill(data);
    uint32_t whole = weft_crc32c(0, data, BYTES);
    for (size_t cut = 0; cut <= BYTES; cut += 997)
        cr_assert_eq(weft_crc32c(weft_crc32c(0, data, cut), data + cut, BYTES - cut), whole);
}

Test(hash, hash64_differs_for_similar_texts)
{
    enum { TEXTS = 1000 };
    static uint64_t seen[TEXTS];
    char text[32];
    for (int i = 0; i < TEXTS; i++) {
        int len = snprintf(text, sizeof(text), "tcp://10.0.0.%d:7000", i);
        seen[i] = weft_hash64(text, (size_t)len);
        for (int j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j]);
    }
    cr_assert_neq(weft_hash64("a", 1), weft_hash64("a\0", 2));
    cr_assert_eq(weft_hash64("weave", 5), weft_hash64("weave", 5));
}
