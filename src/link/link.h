/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: frames between this process and others. A row of links.def and one file each.
 *
 * A link knows connections, not ranks. Who dials names the connection (an even number of its
 * choice, not 0); an accepted one gets an odd number from the link with the first frame it brings.
 * Frames of a connection come whole and in order, or the connection goes down; a connection that is
 * down never comes back. Frames that arrived before it went down are delivered first, then one
 * DOWN, whatever send() returned meanwhile; after DOWN the link has forgotten the number. A
 * connection that was given to drop() has no further events.
 *
 * One thread at a time uses a link (the engine's baton); only kick() may be called from any thread.
 */
#ifndef WEFT_LINK_LINK_H
#define WEFT_LINK_LINK_H

#include <stdint.h>

#include "base/log.h"
#include "link/message.h"

typedef struct weft_link weft_link;

typedef enum weft_link_what {
    WEFT_LINK_NOTHING, /* until passed */
    WEFT_LINK_UP,      /* a dialled connection is ready to send */
    WEFT_LINK_DOWN,    /* a connection failed or was refused; `why` says how */
    WEFT_LINK_FRAME,   /* a frame came; the message now belongs to the receiver of the event */
    WEFT_LINK_KICKED   /* kick() was called; several calls may give one event */
} weft_link_what;

typedef struct weft_link_event {
    weft_link_what what;
    uint32_t conn;
    weft_message *message;
    const char *why; /* static storage */
} weft_link_event;

typedef struct weft_hub weft_hub;

typedef struct weft_link_opts {
    /* Endpoints to bind, NULL ends: "tcp://10.0.0.1:*" (any port), "tcp://[::1]:7000",
     * "ipc://@name". An ipc endpoint whose name is * gets an abstract name of random letters: it
     * leaves no file. */
    const char *listen[4];
    weft_hub *hub;              /* mem only */
    int hub_seat;               /* mem only: own place at the hub, 0 … peers-1 */
    size_t frame_max;           /* longest frame taken, header and body */
    int64_t connect_timeout_ms; /* longest from dial() to UP */
    int64_t linger_ms;          /* how long drop() and close() go on sending what was sent */
    int64_t dead_ms;            /* data unacknowledged so long: the connection is dead (tcp) */
    weft_log log;               /* hears where connections are not taken in */
} weft_link_opts;

typedef struct weft_link_type {
    const char *scheme, *summary; /* "mem"; several with | between, "tcp|ipc" */
    int (*open)(weft_link **ret, const weft_link_opts *o);
    /* What was bound for the i-th listen endpoint, port filled in; NULL behind the last. */
    const char *(*endpoint)(const weft_link *l, int i);
    /* Also listen at this endpoint (a seed); a host name is resolved. WEFT_EIO when it is taken or
     * not ours; WEFT_ENOTSUP where a link has no endpoints. endpoint() then lists it too. */
    int (*bind)(weft_link *l, const char *endpoint);
    /* Begin to connect; UP or DOWN follows. WEFT_EINVAL: endpoint malformed or number in use. */
    int (*dial)(weft_link *l, uint32_t conn, const char *endpoint);
    /* Takes the caller's reference on success; WEFT_EPEER when the connection is not up (the
     * reference stays the caller's; no last error is set, DOWN brings the reason). The link may
     * read the message after this returns: see message.h. Never blocks. */
    int (*send)(weft_link *l, uint32_t conn, weft_message *m);
    /* The next event, waiting until the deadline at most (NOTHING then). 0 or WEFT_EIO. */
    int (*poll)(weft_link *l, int64_t until_ns, weft_link_event *ret);
    /* Forget a connection, closing it if dialled; what was sent goes out within linger. */
    void (*drop)(weft_link *l, uint32_t conn);
    void (*kick)(weft_link *l);
    /* Send what is queued within linger and free. */
    void (*close)(weft_link **l);
    weft_pool *(*pool)(weft_link *l); /* where to take messages for sending from */
} weft_link_type;

struct weft_link {
    const weft_link_type *type; /* first member of every link */
};

const weft_link_type *weft_link_type_at(int index);
/* By one scheme, "tcp", "ipc", "mem". NULL: none. */
const weft_link_type *weft_link_type_for(const char *scheme);

#endif
