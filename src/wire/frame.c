/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <string.h>

#include "base/bytes.h"
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

void weft_frame_put(const weft_frame *f, uint8_t header[WEFT_FRAME_HEADER])
{
    weft_store_little32(header + AT_MAGIC, WEFT_FRAME_MAGIC);
    header[AT_MAJOR] = WEFT_FRAME_MAJOR;
    header[AT_MINOR] = WEFT_FRAME_MINOR;
    header[AT_KIND] = f->kind;
    header[AT_FLAGS] = f->flags;
    weft_store_little(header + AT_GROUP, f->group);
    weft_store_little32(header + AT_EPOCH, f->epoch);
    weft_store_little16(header + AT_SOURCE, f->source);
    weft_store_little16(header + AT_DESTINATION, f->destination);
    weft_store_little32(header + AT_SEQUENCE, f->sequence);
    weft_store_little32(header + AT_OPERATION, f->operation);
    weft_store_little(header + AT_DESCRIPTOR, f->descriptor);
    weft_store_little32(header + AT_LANE, f->lane);
    weft_store_little16(header + AT_MESSAGE, f->message);
    weft_store_little16(header + AT_FRAGMENT, f->fragment);
    weft_store_little32(header + AT_GRANT, f->grant);
    weft_store_little32(header + AT_BODY_BYTES, f->body_bytes);
    weft_store_little32(header + AT_BODY_SUM, f->flags & WEFT_FLAG_SUM ? f->body_sum : 0);
    weft_store_little32(header + AT_HEADER_SUM, weft_crc32c(0, header, AT_HEADER_SUM));
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
    return weft_crc32c(0, header, sizeof(header)) == weft_load_little32(data + AT_HEADER_SUM);
}

/* Everything up to and with the header checksum. */
static int check_envelope(const uint8_t *data, size_t len, weft_frame *f)
{
    if (len < AT_KIND)
        return weft_fail(WEFT_EPROTO, "frame of %zu bytes: too short for a header", len);
    if (weft_load_little32(data + AT_MAGIC) != WEFT_FRAME_MAGIC)
        return weft_fail(WEFT_EPROTO, "frame magic 0x%08x: not weft's",
                         (unsigned)weft_load_little32(data + AT_MAGIC));
    if (data[AT_MAJOR] != WEFT_FRAME_MAJOR && !damaged_major(data, len)) {
        f->major = data[AT_MAJOR];
        f->minor = data[AT_MINOR];
        return weft_fail(WEFT_EVERSION, "the peer speaks wire version %u.%u, this process %d.%d",
                         f->major, f->minor, WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR);
    }
    if (len < WEFT_FRAME_HEADER)
        return weft_fail(WEFT_EPROTO, "frame of %zu bytes: header cut short", len);
    if (weft_load_little32(data + AT_HEADER_SUM) != weft_crc32c(0, data, AT_HEADER_SUM))
        return weft_fail(WEFT_EPROTO, "frame header checksum does not hold");
    return WEFT_OK;
}

static void read_fields(const uint8_t *data, weft_frame *f)
{
    *f = (weft_frame){
        .kind = data[AT_KIND],
        .flags = data[AT_FLAGS],
        .group = weft_load_little(data + AT_GROUP),
        .epoch = weft_load_little32(data + AT_EPOCH),
        .source = weft_load_little16(data + AT_SOURCE),
        .destination = weft_load_little16(data + AT_DESTINATION),
        .sequence = weft_load_little32(data + AT_SEQUENCE),
        .operation = weft_load_little32(data + AT_OPERATION),
        .descriptor = weft_load_little(data + AT_DESCRIPTOR),
        .lane = weft_load_little32(data + AT_LANE),
        .message = weft_load_little16(data + AT_MESSAGE),
        .fragment = weft_load_little16(data + AT_FRAGMENT),
        .grant = weft_load_little32(data + AT_GRANT),
        .body_bytes = weft_load_little32(data + AT_BODY_BYTES),
        .body_sum = weft_load_little32(data + AT_BODY_SUM),
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
