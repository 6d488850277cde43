/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <weft/status.h>

#include "base/hash.h"
#include "base/rng.h"
#include "wire/frame.h"

typedef struct golden {
    const char *name;
    weft_frame fields;
    const char *hex;
} golden;

static const golden goldens[] = {
#include "golden/frames_v0.inc"
};
enum { GOLDENS = sizeof(goldens) / sizeof(goldens[0]), FRAME = 256 };

static size_t bytes_of(const char *hex, uint8_t out[FRAME])
{
    const size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return len;
}

static bool same_fields(const weft_frame *a, const weft_frame *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->group == b->group &&
           a->epoch == b->epoch && a->source == b->source && a->destination == b->destination &&
           a->sequence == b->sequence && a->operation == b->operation &&
           a->descriptor == b->descriptor && a->lane == b->lane && a->message == b->message &&
           a->fragment == b->fragment && a->grant == b->grant && a->body_bytes == b->body_bytes &&
           a->body_sum == b->body_sum;
}

/* Put the header checksum right after a change. */
static void seal(uint8_t *frame)
{
    const uint32_t sum = weft_crc32c(0, frame, 60);
    for (int i = 0; i < 4; i++)
        frame[60 + i] = (uint8_t)(sum >> 8 * i);
}

static int get(const uint8_t *frame, size_t len)
{
    weft_frame f;
    return weft_frame_get(frame, len, &f);
}

Test(frame, headers_are_written_as_documented)
{
    for (int i = 0; i < GOLDENS; i++) {
        uint8_t want[FRAME], header[WEFT_FRAME_HEADER];
        bytes_of(goldens[i].hex, want);
        weft_frame_put(&goldens[i].fields, header);
        cr_expect_arr_eq(header, want, sizeof(header), "%s", goldens[i].name);
    }
}

Test(frame, documented_frames_are_read)
{
    for (int i = 0; i < GOLDENS; i++) {
        uint8_t frame[FRAME];
        weft_frame f;
        const size_t len = bytes_of(goldens[i].hex, frame);
        cr_expect_eq(weft_frame_get(frame, len, &f), WEFT_OK, "%s: %s", goldens[i].name,
                     weft_last_error()->message);
        cr_expect(same_fields(&f, &goldens[i].fields), "%s", goldens[i].name);
        cr_expect_eq(f.major, WEFT_FRAME_MAJOR);
        cr_expect_eq(f.minor, WEFT_FRAME_MINOR);
    }
}

Test(frame, any_fields_come_back_as_they_went)
{
    weft_rng rng = {.state = 3};
    for (int n = 0; n < 2000; n++) {
        const weft_frame f = {
            .kind = (uint8_t)(1 + weft_rng_below(&rng, WEFT_FRAME_KINDS - 1)),
            .flags = (uint8_t)weft_rng_below(&rng, 2),
            .group = weft_rng_u64(&rng),
            .epoch = (uint32_t)weft_rng_u64(&rng),
            .source = (uint16_t)weft_rng_u64(&rng),
            .destination = (uint16_t)weft_rng_u64(&rng),
            .sequence = (uint32_t)weft_rng_u64(&rng),
            .operation = (uint32_t)weft_rng_u64(&rng),
            .descriptor = weft_rng_u64(&rng),
            .lane = (uint32_t)weft_rng_u64(&rng),
            .message = (uint16_t)weft_rng_u64(&rng),
            .fragment = (uint16_t)weft_rng_u64(&rng),
            .grant = (uint32_t)weft_rng_u64(&rng),
        };
        uint8_t header[WEFT_FRAME_HEADER];
        weft_frame got;
        weft_frame_put(&f, header);
        cr_assert_eq(weft_frame_get(header, sizeof(header), &got), WEFT_OK);
        cr_assert(same_fields(&f, &got));
    }
}

Test(frame, every_single_flipped_bit_of_a_header_is_refused_as_damage)
{
    for (int i = 0; i < GOLDENS; i++) {
        uint8_t frame[FRAME];
        const size_t len = bytes_of(goldens[i].hex, frame);
        for (int bit = 0; bit < 8 * WEFT_FRAME_HEADER; bit++) {
            frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_expect_eq(get(frame, len), WEFT_EPROTO, "%s: bit %d of byte %d", goldens[i].name,
                         bit % 8, bit / 8);
            frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cr_expect_eq(get(frame, len), WEFT_OK);
    }
}

Test(frame, flipped_bit_of_a_summed_body_is_refused)
{
    uint8_t frame[FRAME];
    const size_t len = bytes_of(goldens[1].hex, frame);
    for (size_t bit = 8 * WEFT_FRAME_HEADER; bit < 8 * len; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect_eq(get(frame, len), WEFT_EPROTO, "bit %zu", bit);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(frame, every_other_length_is_refused)
{
    uint8_t frame[FRAME] = {0};
    const size_t whole = bytes_of(goldens[1].hex, frame);
    for (size_t len = 0; len < sizeof(frame); len++)
        cr_expect_eq(get(frame, len), len == whole ? WEFT_OK : WEFT_EPROTO, "%zu bytes", len);
}

Test(frame, other_major_version_is_named_whatever_else_the_header_has)
{
    uint8_t frame[FRAME];
    weft_frame f = {0};
    bytes_of(goldens[1].hex, frame);
    frame[4] = 3;
    frame[5] = 7;
    memset(frame + 6, 0xab, sizeof(frame) - 6); /* all else is of that version's making */
    for (size_t len = 6; len < sizeof(frame); len += 13) {
        cr_expect_eq(weft_frame_get(frame, len, &f), WEFT_EVERSION, "%zu bytes", len);
        cr_expect_eq(f.major, 3);
        cr_expect_eq(f.minor, 7);
        char ours[16];
        snprintf(ours, sizeof(ours), "%d.%d", WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR);
        cr_expect_not_null(strstr(weft_last_error()->message, "3.7"));
        cr_expect_not_null(strstr(weft_last_error()->message, ours));
    }
    cr_expect_eq(get(frame, 5), WEFT_EPROTO);

    /* The same layout and a checksum that holds: a version, not damage. */
    bytes_of(goldens[2].hex, frame);
    frame[4] = 1;
    seal(frame);
    cr_expect_eq(get(frame, WEFT_FRAME_HEADER), WEFT_EVERSION);
}

Test(frame, later_minor_version_is_read)
{
    uint8_t frame[FRAME];
    weft_frame f;
    const size_t len = bytes_of(goldens[0].hex, frame);
    frame[5] = 200;
    seal(frame);
    cr_expect_eq(weft_frame_get(frame, len, &f), WEFT_OK);
    cr_expect_eq(f.minor, 200);
}

typedef struct change {
    int at;
    uint8_t value;
    char word[16];
} change;

Test(frame, fields_out_of_range_are_refused_by_name)
{
    static const change changes[] = {
        {6, 0, "kind"},        {6, WEFT_FRAME_KINDS, "kind"},
        {6, 255, "kind"},      {7, 8, "flags"},
        {7, 0x83, "flags"},    {52, 5, "body bytes"},
        {55, 1, "body bytes"}, {56, 1, "checksum"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint8_t frame[FRAME];
        const size_t len = bytes_of(goldens[0].hex, frame);
        frame[changes[i].at] = changes[i].value;
        seal(frame);
        cr_expect_eq(get(frame, len), WEFT_EPROTO, "%d = %d", changes[i].at, changes[i].value);
        cr_expect_not_null(strstr(weft_last_error()->message, changes[i].word), "%s",
                           weft_last_error()->message);
    }
}

Test(frame, body_beyond_the_limit_is_refused)
{
    static uint8_t frame[WEFT_FRAME_HEADER + WEFT_FRAME_BODY_MAX + 1];
    weft_frame f = {.kind = WEFT_FRAME_DATA, .body_bytes = WEFT_FRAME_BODY_MAX};
    weft_frame_put(&f, frame);
    cr_expect_eq(get(frame, WEFT_FRAME_HEADER + WEFT_FRAME_BODY_MAX), WEFT_OK);
    f.body_bytes++;
    weft_frame_put(&f, frame);
    cr_expect_eq(get(frame, sizeof(frame)), WEFT_EPROTO);
    cr_expect_not_null(strstr(weft_last_error()->message, "limit"));
}

Test(frame, fields_are_untouched_by_a_header_that_does_not_hold)
{
    uint8_t frame[FRAME];
    const size_t len = bytes_of(goldens[1].hex, frame);
    weft_frame f, before;
    memset(&f, 0x5a, sizeof(f));
    before = f;
    frame[20] ^= 1;
    cr_expect_eq(weft_frame_get(frame, len, &f), WEFT_EPROTO);
    cr_expect_eq(memcmp(&f, &before, sizeof(f)), 0);
}

Test(frame, every_kind_has_a_name)
{
    for (int kind = 1; kind < WEFT_FRAME_KINDS; kind++)
        cr_expect_str_neq(weft_frame_kind_name(kind), "unknown", "%d", kind);
    cr_expect_str_eq(weft_frame_kind_name(WEFT_FRAME_DATA), "DATA");
    cr_expect_str_eq(weft_frame_kind_name(0), "unknown");
    cr_expect_str_eq(weft_frame_kind_name(WEFT_FRAME_KINDS), "unknown");
    cr_expect_str_eq(weft_frame_kind_name(-1), "unknown");
}
