/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepted connections of a listening socket: routing id, number, the descriptor ZeroMQ reads it
 * from. Bounded: whoever connects a thousand times and is refused finds the oldest refused entry
 * reused, never more memory.
 */
#ifndef WEFT_LINK_ACCEPTED_H
#define WEFT_LINK_ACCEPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEFT_ROUTING_ID = 16,      /* bytes: 0x01, then random ones; a fresh one for every connection */
    WEFT_ROUTING_FIRST = 0x01, /* ZeroMQ keeps ids that begin with 0 for itself */
    WEFT_ACCEPTED_MAX = 4096,
};

typedef enum weft_accepted_state {
    WEFT_ACCEPTED_FREE,
    WEFT_ACCEPTED_LIVE,
    WEFT_ACCEPTED_CLOSING, /* its remaining frames are read, then it is down */
    WEFT_ACCEPTED_DROPPED  /* nobody wants its frames */
} weft_accepted_state;

typedef struct weft_accepted {
    uint8_t id[WEFT_ROUTING_ID];
    uint32_t number; /* odd; says the slot, so that finding it needs no search */
    int fd;          /* -1: not known */
    weft_accepted_state state;
    const char *why; /* of CLOSING, static storage; NULL: nobody wants to know */
    uint64_t
        since; /* of DROPPED: when, in a running count; of CLOSING: frames read before its last */
} weft_accepted;

typedef struct weft_accepted_table weft_accepted_table;

int weft_accepted_open(weft_accepted_table **ret);
void weft_accepted_close(weft_accepted_table **t);

/* NULL: none of that id, number. */
weft_accepted *weft_accepted_by_id(weft_accepted_table *t, const uint8_t id[WEFT_ROUTING_ID]);
weft_accepted *weft_accepted_by_number(weft_accepted_table *t, uint32_t number);
/* The connections, live or dropped, read from that descriptor; *ret is one of them. -1: the live
 * ones whose descriptor is not known. */
size_t weft_accepted_by_fd(weft_accepted_table *t, int fd, weft_accepted **ret);

/* A live entry of a new id. NULL: out of memory, or every entry is live. Valid until the next add.
 */
weft_accepted *weft_accepted_add(weft_accepted_table *t, const uint8_t id[WEFT_ROUTING_ID], int fd);
void weft_accepted_drop(weft_accepted_table *t, weft_accepted *a);
void weft_accepted_remove(weft_accepted_table *t, weft_accepted *a);

/* Slots, for walking over all: 0 … count-1, some FREE. */
size_t weft_accepted_slots(const weft_accepted_table *t);
weft_accepted *weft_accepted_at(weft_accepted_table *t, size_t slot);
/* Entries in a state. */
size_t weft_accepted_count(const weft_accepted_table *t, weft_accepted_state state);
/* Enter LIVE → CLOSING. */
void weft_accepted_closing(weft_accepted_table *t, weft_accepted *a, const char *why);

#endif
