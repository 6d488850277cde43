/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame: 64-byte header, little endian, then the body. The only place that knows byte order.
 * docs/wire.md is the specification.
 */
#ifndef WEFT_WIRE_FRAME_H
#define WEFT_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEFT_FRAME_HEADER = 64,
    WEFT_FRAME_BODY_MAX = 256 * 1024, /* a longer message goes in fragments */
    WEFT_FRAME_MAJOR = 0,
    WEFT_FRAME_MINOR = 1,
};
#define WEFT_FRAME_MAGIC UINT32_C(0x54464557) /* "WEFT" in memory */

typedef enum weft_frame_kind {
    WEFT_FRAME_HELLO = 1, /* first on a link, both ways */
    WEFT_FRAME_REFUSE,    /* answer to a HELLO that cannot be taken: code and reason */
    WEFT_FRAME_ROSTER,    /* meeting: entries known */
    WEFT_FRAME_START,     /* descriptor of an operation, in words */
    WEFT_FRAME_DATA,
    WEFT_FRAME_GRANT,
    WEFT_FRAME_ABORT, /* an operation, or the group, failed: code, rank and text */
    WEFT_FRAME_BEAT,
    WEFT_FRAME_BYE,   /* the sender leaves the group of this tag, or all */
    WEFT_FRAME_GREET, /* the sender is in the group of this tag; are you? */
    WEFT_FRAME_KINDS
} weft_frame_kind;

enum {
    WEFT_FLAG_LAST = 1u << 0,   /* last fragment of its message */
    WEFT_FLAG_SUM = 1u << 1,    /* body checksum present */
    WEFT_FLAG_CREDIT = 1u << 2, /* the receiver may not know the group yet: counts on the link */
};

typedef struct weft_frame {
    uint8_t kind, flags;
    uint64_t group; /* tag */
    uint32_t epoch; /* reserved: 0 */
    uint16_t source, destination;
    uint32_t sequence; /* on this link, from 1 */
    uint32_t operation;
    uint64_t descriptor; /* hash */
    uint32_t lane;
    uint16_t message, fragment;
    uint32_t grant; /* lanes of `operation` the sender takes: lane < grant */
    uint32_t body_bytes;
    uint32_t body_sum; /* CRC32C when WEFT_FLAG_SUM, else 0 */
    /* of a header that was read */
    uint8_t major, minor;
} weft_frame;

/* Write the header (magic, version and both checksums too; with WEFT_FLAG_SUM the body's is taken
 * from f->body_sum). */
void weft_frame_put(const weft_frame *f, uint8_t header[WEFT_FRAME_HEADER]);

/* Read and check what needs no state, in the order of docs/wire.md: magic, major version, length,
 * header checksum, kind, flags, body length, body checksum. 0; WEFT_EVERSION with both versions,
 * also when the rest of that version's header looks different (f->major and f->minor are then set);
 * WEFT_EPROTO with the field. f is filled once the header checksum holds, and untouched before. */
int weft_frame_get(const uint8_t *data, size_t len, weft_frame *f);

/* "HELLO"; "unknown" for what is no kind. Static storage. */
const char *weft_frame_kind_name(int kind);

#endif
