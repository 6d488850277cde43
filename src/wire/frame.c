/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <string.h>

#include "base/hash.h"
#include "base/status.h"

/* Offsets, docs/wire.md. */
enum {
    AT_MAGIC = 0,
    AT_MAJOR = 4,
    AT_MINOR = 5,
    AT_KIND = 6,
    AT_FLAGS = 7,
    AT_GROUP = 8,
    AT_EPOCH = 16,
    AT_SOURCE = 20,
    AT_DESTINATION = 22,
    AT_SEQUENCE = 24,
    AT_OPERATION = 28,
    AT_DESCRIPTOR = 32,
    AT_LANE = 40,
    AT_MESSAGE = 44,
    AT_FRAGMENT = 46,
    AT_GRANT = 48,
    AT_BODY_BYTES = 52,
    AT_BODY_SUM = 56,
    AT_HEADER_SUM = 60,
};

enum { FLAGS_KNOWN = WEFT_FLAG_LAST | WEFT_FLAG_SUM | WEFT_FLAG_CREDIT };

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

void weft_frame_put(const weft_frame *f, uint8_t header[WEFT_FRAME_HEADER])
{
    put32(header + AT_MAGIC, WEFT_FRAME_MAGIC);
    header[AT_MAJOR] = WEFT_FRAME_MAJOR;
    header[AT_MINOR] = WEFT_FRAME_MINOR;
    header[AT_KIND] = f->kind;
    header[AT_FLAGS] = f->flags;
    put64(header + AT_GROUP, f->group);
    put32(header + AT_EPOCH, f->epoch);
    put16(header + AT_SOURCE, f->source);
    put16(header + AT_DESTINATION, f->destination);
    put32(header + AT_SEQUENCE, f->sequence);
    put32(header + AT_OPERATION, f->operation);
    put64(header + AT_DESCRIPTOR, f->descriptor);
    put32(header + AT_LANE, f->lane);
    put16(header + AT_MESSAGE, f->message);
    put16(header + AT_FRAGMENT, f->fragment);
    put32(header + AT_GRANT, f->grant);
    put32(header + AT_BODY_BYTES, f->body_bytes);
    put32(header + AT_BODY_SUM, f->flags & WEFT_FLAG_SUM ? f->body_sum : 0);
    put32(header + AT_HEADER_SUM, weft_crc32c(0, header, AT_HEADER_SUM));
}

/* Another major version, or one bit of damage to ours? Ours has a header checksum that holds once
 * the byte is put right; a CRC never holds for two values of one byte. */
static bool damaged_major(const uint8_t *data, size_t len)
{
    if (len < WEFT_FRAME_HEADER)
        return false;
    uint8_t header[AT_HEADER_SUM];
    memcpy(header, data, sizeof(header));
    header[AT_MAJOR] = WEFT_FRAME_MAJOR;
    return weft_crc32c(0, header, sizeof(header)) == get32(data + AT_HEADER_SUM);
}

/* Everything up to and with the header checksum. */
static int check_envelope(const uint8_t *data, size_t len, weft_frame *f)
{
    if (len < AT_KIND)
        return weft_fail(WEFT_EPROTO, "frame of %zu bytes: too short for a header", len);
    if (get32(data + AT_MAGIC) != WEFT_FRAME_MAGIC)
        return weft_fail(WEFT_EPROTO, "frame magic 0x%08x: not weft's",
                         (unsigned)get32(data + AT_MAGIC));
    if (data[AT_MAJOR] != WEFT_FRAME_MAJOR && !damaged_major(data, len)) {
        f->major = data[AT_MAJOR];
        f->minor = data[AT_MINOR];
        return weft_fail(WEFT_EVERSION, "the peer speaks wire version %u.%u, this process %d.%d",
                         f->major, f->minor, WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR);
    }
    if (len < WEFT_FRAME_HEADER)
        return weft_fail(WEFT_EPROTO, "frame of %zu bytes: header cut short", len);
    if (get32(data + AT_HEADER_SUM) != weft_crc32c(0, data, AT_HEADER_SUM))
        return weft_fail(WEFT_EPROTO, "frame header checksum does not hold");
    return WEFT_OK;
}

static void read_fields(const uint8_t *data, weft_frame *f)
{
    *f = (weft_frame){
        .kind = data[AT_KIND],
        .flags = data[AT_FLAGS],
        .group = get64(data + AT_GROUP),
        .epoch = get32(data + AT_EPOCH),
        .source = get16(data + AT_SOURCE),
        .destination = get16(data + AT_DESTINATION),
        .sequence = get32(data + AT_SEQUENCE),
        .operation = get32(data + AT_OPERATION),
        .descriptor = get64(data + AT_DESCRIPTOR),
        .lane = get32(data + AT_LANE),
        .message = get16(data + AT_MESSAGE),
        .fragment = get16(data + AT_FRAGMENT),
        .grant = get32(data + AT_GRANT),
        .body_bytes = get32(data + AT_BODY_BYTES),
        .body_sum = get32(data + AT_BODY_SUM),
        .major = data[AT_MAJOR],
        .minor = data[AT_MINOR],
    };
}

int weft_frame_get(const uint8_t *data, size_t len, weft_frame *f)
{
    int rc = check_envelope(data, len, f);
    if (rc != WEFT_OK)
        return rc;
    read_fields(data, f);
    if (f->kind == 0 || f->kind >= WEFT_FRAME_KINDS)
        return weft_fail(WEFT_EPROTO, "frame kind %u: unknown", f->kind);
    if (f->flags & ~FLAGS_KNOWN)
        return weft_fail(WEFT_EPROTO, "%s frame: unknown flags 0x%02x",
                         weft_frame_kind_name(f->kind), (unsigned)(f->flags & ~FLAGS_KNOWN));
    if (f->body_bytes != len - WEFT_FRAME_HEADER)
        return weft_fail(WEFT_EPROTO, "%s frame: header says %u body bytes, %zu came",
                         weft_frame_kind_name(f->kind), (unsigned)f->body_bytes,
                         len - WEFT_FRAME_HEADER);
    if (f->body_bytes > WEFT_FRAME_BODY_MAX)
        return weft_fail(WEFT_EPROTO, "%s frame: body of %u bytes, limit %d",
                         weft_frame_kind_name(f->kind), (unsigned)f->body_bytes,
                         WEFT_FRAME_BODY_MAX);
    if (!(f->flags & WEFT_FLAG_SUM) && f->body_sum != 0)
        return weft_fail(WEFT_EPROTO, "%s frame: body checksum without its flag",
                         weft_frame_kind_name(f->kind));
    if (f->flags & WEFT_FLAG_SUM &&
        f->body_sum != weft_crc32c(0, data + WEFT_FRAME_HEADER, f->body_bytes))
        return weft_fail(WEFT_EPROTO, "%s frame: body checksum does not hold",
                         weft_frame_kind_name(f->kind));
    return WEFT_OK;
}

const char *weft_frame_kind_name(int kind)
{
    static const char *const names[] = {
        [WEFT_FRAME_HELLO] = "HELLO",   [WEFT_FRAME_REFUSE] = "REFUSE",
        [WEFT_FRAME_ROSTER] = "ROSTER", [WEFT_FRAME_START] = "START",
        [WEFT_FRAME_DATA] = "DATA",     [WEFT_FRAME_GRANT] = "GRANT",
        [WEFT_FRAME_ABORT] = "ABORT",   [WEFT_FRAME_BEAT] = "BEAT",
        [WEFT_FRAME_BYE] = "BYE",       [WEFT_FRAME_GREET] = "GREET",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == WEFT_FRAME_KINDS, "a kind has no name");
    return kind > 0 && kind < WEFT_FRAME_KINDS ? names[kind] : "unknown";
}
