/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the ZeroMQ link: link_zmq.c (the row of the table), zmq_conn.c (connections), zmq_poll.c
 * (reading and waiting), zmq_socket.c (sockets and their options), zmq_watch.c (monitors: who came
 * and went), zmq_message.c (messages).
 */
#ifndef WEFT_LINK_ZMQ_LINK_H
#define WEFT_LINK_ZMQ_LINK_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <zmq.h>

#include "link/accepted.h"
#include "link/link.h"

enum {
    WEFT_ZMQ_ENDPOINT = 256, /* longest endpoint, with its 0 */
    WEFT_ZMQ_LISTENS = 64,   /* most endpoints a link listens at */
    WEFT_ZMQ_ORPHANS = 64
};

/* A socket that frames come from. */
typedef struct weft_zmq_source {
    void *socket;
    int fd;     /* readable while ZeroMQ has news for the socket that no call on it has taken in */
    bool stale; /* a call has, since it was last read until it was empty */
    struct weft_zmq_dial *dial;   /* NULL: the ROUTER */
    struct weft_zmq_source *next; /* in the queue of those that may have something */
    bool queued;
} weft_zmq_source;

typedef struct weft_zmq_dial {
    weft_zmq_source source;
    void *monitor;
    int monitor_fd;
    bool unwatched; /* its monitor was not read yet */
    uint32_t number;
    int64_t deadline_ns; /* to be up */
    bool up;
    const char *why; /* not NULL: closing, static storage */
} weft_zmq_dial;

typedef struct weft_zmq_link {
    weft_link base;
    void *context;
    pid_t pid; /* a forked child must not touch the sockets */
    weft_pool *pool;
    size_t frame_max;
    int connect_timeout_ms, linger_ms, dead_ms;

    weft_zmq_source router;
    void *router_monitor;
    int router_monitor_fd;
    char *endpoints[WEFT_ZMQ_LISTENS];
    int endpoint_count;

    weft_zmq_dial **dials; /* sorted by number */
    size_t dial_count, dial_cap;
    weft_accepted_table *accepted;
    weft_log log;
    uint64_t router_frames; /* read so far */
    /* Descriptors that closed before a frame of theirs was read, since the ROUTER was last empty.
     */
    int orphans[WEFT_ZMQ_ORPHANS];
    int orphan_count; /* -1: too many to tell */
    int64_t probe_ns; /* when to find out by sending; WEFT_NEVER: nothing to find out */
    int probes;       /* to come */

    weft_zmq_source *first, *last; /* queue of sources to read */
    int turn;                      /* frames read from the first in a row */
    int since_poll;                /* frames given since the descriptors were last looked at */
    zmq_msg_t id, body;            /* kept between receives */

    weft_link_event *events; /* UP, DOWN to be told; room is made when a connection is */
    size_t event_first, event_end, event_cap;

    struct pollfd *items;
    size_t item_cap;

    int wake_fd;
    atomic_bool kicked;
    bool crowded; /* it was told that there is no room for more accepted connections */
} weft_zmq_link;

/* zmq_socket.c */

/* 0, or WEFT_EINVAL with `what` before the endpoint. */
int weft_zmq_check_endpoint(const char *what, const char *endpoint);
/* Make the ROUTER with its monitor. */
int weft_zmq_open_router(weft_zmq_link *l);
/* Bind it, and note the endpoint. */
int weft_zmq_listen(weft_zmq_link *l, const char *endpoint);
/* A DEALER with its monitor, connecting. */
int weft_zmq_open_dealer(weft_zmq_link *l, const char *endpoint, void **ret_socket,
                         void **ret_monitor);
/* The descriptor that tells of news for a socket. */
int weft_zmq_fd(void *socket, int *ret);
/* Close a monitored socket after linger_ms, and its monitor. */
void weft_zmq_close_socket(void *socket, void *monitor, int linger_ms);

/* zmq_message.c */

/* Send what the message holds and take its reference, or leave both. 0, or errno of zmq_msg_send.
 */
int weft_zmq_send(void *socket, weft_message *m);
/* To whom the ROUTER sends next. 0, or errno of zmq_send. */
int weft_zmq_send_id(weft_zmq_link *l, const weft_accepted *a);
/* What was received, as a message. Leaves an empty msg. NULL: out of memory. */
weft_message *weft_zmq_receive(weft_zmq_link *l, zmq_msg_t *msg);

/* zmq_watch.c */

extern const char weft_zmq_peer_closed[];

/* Read what monitors say. A connection that is to end is marked, no more. */
void weft_zmq_watch_router(weft_zmq_link *l);
void weft_zmq_watch_dial(weft_zmq_link *l, weft_zmq_dial *d);
/* The descriptor a frame of a new connection came from, -1 when it is not certain whose it is. */
int weft_zmq_frame_fd(weft_zmq_link *l, zmq_msg_t *msg);
/* Find out by sending which of the live connections with unknown descriptor are gone. */
void weft_zmq_probe(weft_zmq_link *l);
/* All frames that had come when the monitor was last read were taken. */
void weft_zmq_router_empty(weft_zmq_link *l);

/* zmq_conn.c */

/* Room for the events of all connections and of one more of either kind. */
bool weft_zmq_reserve(weft_zmq_link *l);
void weft_zmq_tell(weft_zmq_link *l, weft_link_what what, uint32_t conn, const char *why);
/* Nobody wants to hear of the connection any more. */
void weft_zmq_untell(weft_zmq_link *l, uint32_t conn);

/* The socket may have something to read. */
void weft_zmq_queue(weft_zmq_link *l, weft_zmq_source *s);
void weft_zmq_unqueue(weft_zmq_link *l, weft_zmq_source *s);

/* Position of the number among the dialled, or where it would be. */
size_t weft_zmq_dial_place(const weft_zmq_link *l, uint32_t number);
weft_zmq_dial *weft_zmq_find_dial(const weft_zmq_link *l, uint32_t number);
void weft_zmq_dial_up(weft_zmq_link *l, weft_zmq_dial *d);
/* What it still has is read, then it is ended. */
void weft_zmq_dial_closing(weft_zmq_link *l, weft_zmq_dial *d, const char *why);
/* Tell that it is down, and free it. */
void weft_zmq_end_dial(weft_zmq_link *l, weft_zmq_dial *d);
void weft_zmq_forget_dial(weft_zmq_link *l, weft_zmq_dial *d, int linger_ms);

/* The connection is gone: what it still has is read, then it is ended. */
void weft_zmq_accepted_closing(weft_zmq_link *l, weft_accepted *a, const char *why);
/* Tell that one is down which still is connected, as far as is known, and read no more of it. */
void weft_zmq_refuse_accepted(weft_zmq_link *l, weft_accepted *a, const char *why);
/* Those that are closing and have no more frames are down; all of them where the ROUTER is empty.
 */
void weft_zmq_end_accepted(weft_zmq_link *l, bool empty);
/* Who sent the frame whose parts are in l->id and l->body; NULL: nobody whose frames are wanted. */
weft_accepted *weft_zmq_sender(weft_zmq_link *l);

/* zmq_poll.c */

int weft_zmq_poll(weft_link *link, int64_t until_ns, weft_link_event *ret);

#endif
