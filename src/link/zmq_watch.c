/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ZeroMQ's monitors tell.
 *
 * A monitor of a DEALER speaks of its one connection. The ROUTER's speaks of all that were accepted
 * and names them by descriptor, which every received frame knows too (ZMQ_SRCFD). The system gives
 * descriptors out again, so a new connection gets one only after the monitor was read, when no
 * earlier connection can have it (ZeroMQ tells of an end before it closes the descriptor). Where
 * that is not certain, because a connection ended before its first frame was read, the descriptor
 * counts as unknown; whether such a connection is still there is found out by sending it an empty
 * message, which a link ignores and the ROUTER refuses where nobody is.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "link/zmq_link.h"

/* The end is told a moment before the ROUTER refuses to send there. That moment is microseconds,
 * and more on a machine that is busy. */
#define PROBE_EVERY_NS (50 * WEFT_MS)
enum { PROBES = 4 };

const char weft_zmq_peer_closed[] = "the peer closed the connection, or it was cut";

/* Two parts: event (16 bits, host order) and value (32 bits); endpoint. */
static bool next_event(void *monitor, uint16_t *event, int32_t *value)
{
    uint8_t head[6];
    int len;
    do
        len = zmq_recv(monitor, head, sizeof(head), ZMQ_DONTWAIT);
    while (len < 0 && zmq_errno() == EINTR);
    if (len != (int)sizeof(head))
        return false;
    memcpy(event, head, sizeof(*event));
    memcpy(value, head + sizeof(*event), sizeof(*value));
    int more = 0;
    size_t more_len = sizeof(more);
    while (zmq_getsockopt(monitor, ZMQ_RCVMORE, &more, &more_len) == 0 && more)
        zmq_recv(monitor, NULL, 0, ZMQ_DONTWAIT);
    return true;
}

static const char *end_of(const weft_zmq_dial *d, uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return "the ZeroMQ handshake failed: no answer, or the other side closed";
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return "the ZeroMQ handshake failed: not a weft peer, or not of this security";
    case ZMQ_EVENT_CLOSED:
    case ZMQ_EVENT_CONNECT_RETRIED:
        return d->deadline_ns <= weft_now() ? "no answer within the connect timeout"
                                            : "refused or unreachable";
    default:
        return d->up ? "the connection was closed or cut" : "closed before it was up";
    }
}

void weft_zmq_watch_dial(weft_zmq_link *l, weft_zmq_dial *d)
{
    uint16_t event;
    int32_t value;
    while (next_event(d->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            weft_zmq_dial_up(l, d);
        else
            weft_zmq_dial_closing(l, d, end_of(d, event));
    }
}

static void note_orphan(weft_zmq_link *l, int fd)
{
    if (l->orphan_count == WEFT_ZMQ_ORPHANS)
        l->orphan_count = -1;
    if (l->orphan_count >= 0)
        l->orphans[l->orphan_count++] = fd;
}

static bool is_orphan(const weft_zmq_link *l, int fd)
{
    for (int i = 0; i < l->orphan_count; i++) {
        if (l->orphans[i] == fd)
            return true;
    }
    return l->orphan_count < 0;
}

static void probe_later(weft_zmq_link *l)
{
    l->probes = PROBES;
    if (l->probe_ns == WEFT_NEVER)
        l->probe_ns = weft_now() + PROBE_EVERY_NS;
}

void weft_zmq_probe(weft_zmq_link *l)
{
    for (size_t i = 0; i < weft_accepted_slots(l->accepted); i++) {
        weft_accepted *a = weft_accepted_at(l->accepted, i);
        if (a->state != WEFT_ACCEPTED_LIVE || a->fd >= 0)
            continue;
        if (weft_zmq_send_id(l, a) == 0)
            zmq_send(l->router.socket, NULL, 0, ZMQ_DONTWAIT);
        else
            weft_zmq_accepted_closing(l, a, weft_zmq_peer_closed);
    }
    l->probes--;
    l->probe_ns = l->probes > 0 ? weft_now() + PROBE_EVERY_NS : WEFT_NEVER;
}

void weft_zmq_watch_router(weft_zmq_link *l)
{
    uint16_t event;
    int32_t fd;
    while (next_event(l->router_monitor, &event, &fd)) {
        weft_accepted *a = NULL;
        if (weft_accepted_by_fd(l->accepted, fd, &a) > 0) {
            weft_zmq_accepted_closing(l, a, weft_zmq_peer_closed);
            continue;
        }
        note_orphan(l, fd);
        /* There may be frames of it; they are read, and the ROUTER found empty, in the end. */
        weft_zmq_queue(l, &l->router);
        if (weft_accepted_by_fd(l->accepted, -1, &a) > 0)
            probe_later(l);
    }
}

int weft_zmq_frame_fd(weft_zmq_link *l, zmq_msg_t *msg)
{
    weft_accepted *other = NULL;
    weft_zmq_watch_router(l);
    const int fd = zmq_msg_get(msg, ZMQ_SRCFD);
    const size_t others = fd < 0 ? 0 : weft_accepted_by_fd(l->accepted, fd, &other);
    if (fd >= 0 && others == 0 && !is_orphan(l, fd))
        return fd;
    if (others > 0)
        other->fd = -1; /* one of the two is gone */
    probe_later(l);
    return -1;
}

void weft_zmq_router_empty(weft_zmq_link *l)
{
    l->orphan_count = 0;
}
