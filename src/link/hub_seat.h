/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the mem link: what passes between seats. link_mem.c is one end, hub.c the meeting. */
#ifndef WEFT_LINK_HUB_SEAT_H
#define WEFT_LINK_HUB_SEAT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/hub.h"
#include "link/message.h"

/* A connection between two seats. Each end is used by the thread of its link alone. */
typedef struct weft_wire {
    atomic_int refs; /* ends that know it, and letters on it */
    struct {
        int seat;
        uint32_t number; /* of the connection at this end; 0: not there yet, or no more */
        bool gone;       /* this end forgot it */
    } end[2];
} weft_wire;

weft_wire *weft_wire_new(int from, int to); /* one reference; NULL: out of memory */
weft_wire *weft_wire_ref(weft_wire *w);
void weft_wire_unref(weft_wire *w);

/* Something for a seat: a frame, or the end of the connection. */
typedef struct weft_letter {
    weft_wire *wire;       /* a reference */
    int end;               /* the receiver's */
    weft_message *message; /* NULL: the connection ended */
    const char *why;
} weft_letter;

/* A seat's letters, in a ring. Room for one end of every connection is kept free, so that an end is
 * never lost for want of memory. */
typedef struct weft_inbox {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    weft_letter *letters;
    size_t first, count, cap;
    size_t ends; /* connections whose end may still come */
    bool closed, kicked;
} weft_inbox;

weft_inbox *weft_hub_inbox(weft_hub *hub, int seat);

/* Before a connection is made, at both seats. 0; WEFT_EPEER closed; WEFT_ENOMEM. */
int weft_inbox_expect(weft_inbox *inbox);
/* No end of that connection will come. */
void weft_inbox_unexpect(weft_inbox *inbox);
/* A frame: its message passes on success. 0; WEFT_EPEER closed; WEFT_ENOMEM. */
int weft_inbox_put(weft_inbox *inbox, weft_wire *wire, int end, weft_message *m);
/* The end of a connection, once, to the seat that expects it. */
void weft_inbox_put_end(weft_inbox *inbox, weft_wire *wire, int end, const char *why);
/* The oldest letter, with its references. false: none came until then, or *ret_kicked. */
bool weft_inbox_take(weft_inbox *inbox, int64_t until_ns, weft_letter *ret, bool *ret_kicked);
void weft_inbox_kick(weft_inbox *inbox);

#endif
