/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "codec/elias.h"
#include "codec/levels.h"

enum { MOST = 2000, BATCH = WEFT_LEVELS_BATCH, ROOM = 10 * MOST };

/* The table of Elias' code, as QSGD's description has it. */
static const struct {
    uint64_t n;
    char code[16];
} known[] = {
    {1, "0"},      {2, "100"},     {3, "110"},      {4, "101000"},       {5, "101010"},
    {7, "101110"}, {8, "1110000"}, {15, "1111110"}, {16, "10100100000"}, {100, "1011011001000"}};

/* Bits of what was written, up to its padding. */
static void text_of(const uint8_t *bytes, size_t bits, char *out)
{
    for (size_t i = 0; i < bits; i++)
        out[i] = bytes[i / 8] >> (7 - i % 8) & 1 ? '1' : '0';
    out[bits] = 0;
}

Test(codec_elias, codes_are_those_of_the_table)
{
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        uint8_t bytes[16] = {0};
        char text[80], want[80];
        const unsigned top = 200;
        const size_t bits = strlen(known[k].code);
        weft_elias_writer w;
        weft_elias_write_begin(&w, true, known[k].n - 1, top, bytes);
        weft_elias_write_end(&w);
        text_of(bytes, bits, text);
        cr_expect_str_eq(text, known[k].code, "%lu", (unsigned long)known[k].n);
        cr_expect_eq(weft_elias_bits(known[k].n), bits);
        /* dense: of the level above by one, and its sign */
        const uint16_t number = (uint16_t)(top + 1 - known[k].n);
        weft_elias_write_begin(&w, false, 0, top, bytes);
        weft_elias_write(&w, &number, 1);
        weft_elias_write_end(&w);
        strcpy(want, known[k].code);
        if (known[k].n > 1)
            strcat(want, "1");
        text_of(bytes, strlen(want), text);
        cr_expect_str_eq(text, want);
    }
}

Test(codec_elias, lengths_are_those_of_the_table)
{
    static const unsigned lengths[] = {1, 3, 6, 7, 11, 12, 13, 14, 16, 17, 18};
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
        cr_assert_eq(weft_elias_bits(UINT64_C(1) << k), lengths[k]);
    cr_assert_eq(weft_elias_bits(65536), 28);
}

/* Written in batches; returns the length, which counting has said. */
static size_t write_all(bool sparse, const uint16_t *number, size_t count, unsigned top,
                        uint8_t *out)
{
    weft_elias_size size = {0};
    weft_elias_writer w;
    for (size_t done = 0; done < count; done += BATCH)
        weft_elias_count(&size, number + done, count - done < BATCH ? count - done : BATCH, top);
    weft_elias_write_begin(&w, sparse, size.nonzero, top, out);
    for (size_t done = 0; done < count; done += BATCH)
        weft_elias_write(&w, number + done, count - done < BATCH ? count - done : BATCH);
    const size_t len = (size_t)(weft_elias_write_end(&w) - out);
    cr_assert_eq(len, sparse ? weft_elias_sparse_bytes(&size) : weft_elias_dense_bytes(&size));
    return len;
}

static const char *read_all(weft_elias_reader *r, uint16_t *number, size_t count)
{
    const char *reason = NULL;
    for (size_t done = 0; done < count && !reason; done += BATCH)
        reason = weft_elias_read(r, number + done, count - done < BATCH ? count - done : BATCH);
    return reason ? reason : weft_elias_end(r);
}

static void check_round_trip(bool sparse, const uint16_t *number, size_t count, unsigned top)
{
    static uint8_t out[ROOM];
    static uint16_t back[MOST + 1];
    static weft_elias_reader r;
    const size_t len = write_all(sparse, number, count, top, out);
    uint8_t *exact = malloc(len ? len : 1); /* reading beyond shows under a sanitizer */
    cr_assert_not_null(exact);
    memcpy(exact, out, len);
    back[count] = 0xbeef;
    cr_assert_null(weft_elias_begin(&r, sparse, exact, len, count, top));
    for (int again = 0; again < 2; again++) {
        const char *reason = read_all(&r, back, count);
        cr_assert_null(reason, "%zu of top %u, sparse %d: %s", count, top, sparse, reason);
        cr_assert(!memcmp(back, number, count * sizeof(*back)), "%zu of top %u", count, top);
        cr_assert_eq(back[count], 0xbeef);
        weft_elias_rewind(&r);
    }
    /* Every shorter one is too short: nothing is read for what is not there. */
    for (size_t cut = len > 40 ? len - 40 : 0; cut < len; cut++) {
        const char *reason = weft_elias_begin(&r, sparse, exact, cut, count, top);
        cr_assert(reason || read_all(&r, back, count), "%zu of %zu bytes", cut, len);
    }
    free(exact);
}

Test(codec_elias, numbers_come_back_from_either_form)
{
    static const unsigned tops[] = {1, 3, 14, 15, 16, 200, 512, 32767};
    static uint16_t number[MOST];
    weft_rng rng = {.state = 2};
    for (size_t t = 0; t < sizeof(tops) / sizeof(tops[0]); t++)
        for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 1 + n / 3)
            for (unsigned rare = 1; rare < 4000; rare *= 9) {
                const unsigned top = tops[t], small = top < 4 ? top : 4;
                for (size_t i = 0; i < n; i++) {
                    const unsigned most = weft_rng_below(&rng, 8) ? small : top;
                    number[i] = (uint16_t)(top - most + weft_rng_below(&rng, 2 * most + 1));
                    if (weft_rng_below(&rng, rare) > 0)
                        number[i] = (uint16_t)top;
                }
                check_round_trip(false, number, n, top);
                check_round_trip(true, number, n, top);
            }
}

Test(codec_elias, one_level_at_either_end_comes_back)
{
    static uint16_t number[MOST];
    for (size_t i = 0; i < MOST; i++)
        number[i] = 7;
    for (size_t at = 0; at < MOST; at += MOST - 1) {
        number[at] = 0;
        check_round_trip(false, number, MOST, 7);
        check_round_trip(true, number, MOST, 7);
        number[at] = 7;
    }
    check_round_trip(true, number, MOST, 7);
}

/* A string of bits as bytes. */
static size_t bytes_of(const char *text, uint8_t *out)
{
    const size_t len = (strlen(text) + 7) / 8;
    memset(out, 0, len);
    for (size_t i = 0; text[i]; i++)
        out[i / 8] = (uint8_t)(out[i / 8] | (text[i] == '1') << (7 - i % 8));
    return len;
}

static const char *reason_of(bool sparse, const char *text, size_t count, unsigned top)
{
    static weft_elias_reader r;
    uint16_t number[BATCH];
    uint8_t bytes[64];
    const size_t len = bytes_of(text, bytes);
    const char *reason = weft_elias_begin(&r, sparse, bytes, len, count, top);
    reason = reason ? reason : read_all(&r, number, count);
    return reason ? reason : "";
}

Test(codec_elias, malformed_codes_are_refused_with_their_reason)
{
    static const char ones[] =
        "111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111111111111111111111111111111111111111111";
    cr_expect_str_eq(reason_of(false, "1000", 1, 7), "");
    cr_expect_str_eq(reason_of(false, "1001", 1, 7), "");
    cr_expect_str_eq(reason_of(false, "10100100", 1, 7), "the levels are cut short");
    cr_expect_str_eq(reason_of(false, "", 1, 7), "the levels are cut short");
    cr_expect_str_eq(reason_of(false, "11100000", 1, 6), "a level is above levels=");
    cr_expect_str_eq(reason_of(false, "0010", 2, 7), "non-zero padding");
    cr_expect_str_eq(reason_of(false, "0000000000000000", 2, 7), "bytes behind the levels");
    cr_expect_str_eq(reason_of(false, ones, 1, 7), "a number of more than 64 bits");
    cr_expect_str_eq(reason_of(true,
                               "100"
                               "0"
                               "0"
                               "0",
                               2, 7),
                     "");
    cr_expect_str_eq(reason_of(true,
                               "110"
                               "0"
                               "0"
                               "0"
                               "0"
                               "0"
                               "0",
                               1, 7),
                     "more levels than elements");
    cr_expect_str_eq(reason_of(true,
                               "100"
                               "110"
                               "0"
                               "0",
                               2, 7),
                     "an index is beyond the elements");
    cr_expect_str_eq(reason_of(true,
                               "100"
                               "0"
                               "1"
                               "101000",
                               2, 3),
                     "a level is above levels=");
    cr_expect_str_eq(reason_of(true, ones, 9, 7), "a number of more than 64 bits");
}
