/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a ZeroMQ link. zmq_poll makes two system calls for every open socket each time it
 * waits. So we wait with ppoll on the sockets' own descriptors: one call for all of them.
 *
 * Such a descriptor is readable from the moment the I/O thread leaves news for a socket until some
 * call on the socket takes the news in, which a send does too: then a message can be there and the
 * descriptor silent. A socket on which anything was called since it was last read until empty is
 * therefore *stale*, and read before anybody waits. Where a read found nothing, whatever comes
 * later makes the descriptor readable. Monitors are only read.
 *
 * A socket that was ready is read until it is empty; the others are looked at when all are, or
 * after FRAMES_BETWEEN_POLLS frames.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "link/zmq_link.h"

enum {
    FRAMES_BETWEEN_POLLS = 64,
    FRAMES_IN_A_ROW = 8, /* from one socket while others are ready */
    FIXED_ITEMS = 3,     /* of ppoll: wake-up, ROUTER, its monitor */
};

/* --- receiving ----------------------------------------------------------------------------- */

/* One part; false: nothing there. */
static bool receive_part(void *socket, zmq_msg_t *part)
{
    int len;
    do
        len = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
    while (len < 0 && zmq_errno() == EINTR);
    return len >= 0;
}

/* Read and forget the rest of a message of several parts. */
static void skip_parts(void *socket, zmq_msg_t *part)
{
    while (zmq_msg_more(part) && receive_part(socket, part))
        continue;
}

typedef enum taken { EMPTY, SKIPPED, ENDED, FRAME } taken; /* ENDED: the source is gone */

/* An empty message asks nothing: sending it was the question. */
static bool is_probe(zmq_msg_t *msg)
{
    return zmq_msg_size(msg) == 0 && !zmq_msg_more(msg);
}

static const char no_memory[] = "out of memory for a frame";
static const char many_parts[] = "a message of several parts came";

static taken refuse_dial(weft_zmq_link *l, weft_zmq_dial *d, const char *why)
{
    if (d->why == NULL)
        d->why = why;
    weft_zmq_end_dial(l, d);
    return ENDED;
}

static taken take_dialled(weft_zmq_link *l, weft_zmq_dial *d, weft_link_event *ret)
{
    if (!receive_part(d->source.socket, &l->body))
        return EMPTY;
    weft_zmq_dial_up(l, d);
    if (is_probe(&l->body))
        return SKIPPED;
    if (zmq_msg_more(&l->body)) {
        skip_parts(d->source.socket, &l->body);
        return refuse_dial(l, d, many_parts);
    }
    weft_message *m = weft_zmq_receive(l, &l->body);
    if (m == NULL)
        return refuse_dial(l, d, no_memory);
    *ret = (weft_link_event){.what = WEFT_LINK_FRAME, .conn = d->number, .message = m};
    return FRAME;
}

static taken take_accepted(weft_zmq_link *l, weft_link_event *ret)
{
    if (!receive_part(l->router.socket, &l->id))
        return EMPTY;
    if (!zmq_msg_more(&l->id) || !receive_part(l->router.socket, &l->body))
        return SKIPPED;
    if (is_probe(&l->body))
        return SKIPPED;
    const bool parts = zmq_msg_more(&l->body);
    weft_accepted *a = weft_zmq_sender(l);
    l->router_frames++;
    skip_parts(l->router.socket, &l->body);
    if (a == NULL)
        return SKIPPED;
    weft_message *m = parts ? NULL : weft_zmq_receive(l, &l->body);
    if (m == NULL) {
        weft_zmq_refuse_accepted(l, a, parts ? many_parts : no_memory);
        return SKIPPED;
    }
    *ret = (weft_link_event){.what = WEFT_LINK_FRAME, .conn = a->number, .message = m};
    return FRAME;
}

/* The next frame of those that wait. false: none, or it is time to look at all sockets. */
static bool next_frame(weft_zmq_link *l, weft_link_event *ret)
{
    while (l->first != NULL && l->since_poll < FRAMES_BETWEEN_POLLS) {
        weft_zmq_source *s = l->first;
        const taken got = s->dial != NULL ? take_dialled(l, s->dial, ret) : take_accepted(l, ret);
        if (got == EMPTY) {
            s->stale = false;
            weft_zmq_unqueue(l, s);
            if (s->dial == NULL) {
                weft_zmq_router_empty(l);
                weft_zmq_end_accepted(l, true);
            } else if (s->dial->why != NULL) {
                weft_zmq_end_dial(l, s->dial);
            }
            if (l->event_first < l->event_end)
                return false;
            continue;
        }
        if (got == ENDED)
            return false;
        l->since_poll++;
        if (s == l->first && ++l->turn >= FRAMES_IN_A_ROW) {
            weft_zmq_unqueue(l, s);
            weft_zmq_queue(l, s);
        }
        if (got == FRAME)
            return true;
    }
    return false;
}

/* --- waiting ------------------------------------------------------------------------------- */

/* The descriptors of ppoll. */
static int list_items(weft_zmq_link *l)
{
    const size_t need = FIXED_ITEMS + 2 * l->dial_count;
    if (!weft_grow((void **)&l->items, &l->item_cap, need, sizeof(*l->items)))
        return weft_fail(WEFT_ENOMEM, "link: out of memory");
    l->items[0] = (struct pollfd){.fd = l->wake_fd, .events = POLLIN};
    l->items[1] = (struct pollfd){.fd = l->router.fd, .events = POLLIN};
    l->items[2] = (struct pollfd){.fd = l->router_monitor_fd, .events = POLLIN};
    struct pollfd *next = l->items + FIXED_ITEMS;
    for (size_t i = 0; i < l->dial_count; i++) {
        *next++ = (struct pollfd){.fd = l->dials[i]->source.fd, .events = POLLIN};
        *next++ = (struct pollfd){.fd = l->dials[i]->monitor_fd, .events = POLLIN};
    }
    return WEFT_OK;
}

static int64_t first_deadline(const weft_zmq_link *l, int64_t until_ns)
{
    int64_t first = l->probe_ns < until_ns ? l->probe_ns : until_ns;
    for (size_t i = 0; i < l->dial_count; i++) {
        const weft_zmq_dial *d = l->dials[i];
        if (!d->up && d->why == NULL && d->deadline_ns < first)
            first = d->deadline_ns;
    }
    return first;
}

/* Monitors before frames: a connection is up before its first frame. */
static void note_ready(weft_zmq_link *l)
{
    if (l->items[2].revents != 0)
        weft_zmq_watch_router(l);
    if (l->items[1].revents != 0)
        weft_zmq_queue(l, &l->router);
    const struct pollfd *next = l->items + FIXED_ITEMS;
    for (size_t i = 0; i < l->dial_count; i++, next += 2) {
        if (next[1].revents != 0 || l->dials[i]->unwatched)
            weft_zmq_watch_dial(l, l->dials[i]);
        l->dials[i]->unwatched = false;
        if (next[0].revents != 0)
            weft_zmq_queue(l, &l->dials[i]->source);
    }
}

static void note_time(weft_zmq_link *l)
{
    const int64_t now = weft_now();
    if (l->probe_ns <= now)
        weft_zmq_probe(l);
    for (size_t i = 0; i < l->dial_count; i++) {
        weft_zmq_dial *d = l->dials[i];
        if (!d->up && d->deadline_ns <= now)
            weft_zmq_dial_closing(l, d, "no answer within the connect timeout");
    }
}

static void clear_wake(weft_zmq_link *l)
{
    uint64_t kicks;
    (void)!read(l->wake_fd, &kicks, sizeof(kicks));
}

/* Sockets whose descriptors cannot be trusted are to be read first. true: there are some. */
static bool queue_stale(weft_zmq_link *l)
{
    bool any = l->router.stale;
    if (l->router.stale)
        weft_zmq_queue(l, &l->router);
    for (size_t i = 0; i < l->dial_count; i++) {
        weft_zmq_dial *d = l->dials[i];
        any = any || d->source.stale;
        if (d->source.stale)
            weft_zmq_queue(l, &d->source);
    }
    return any;
}

static bool unwatched(const weft_zmq_link *l)
{
    for (size_t i = 0; i < l->dial_count; i++) {
        if (l->dials[i]->unwatched)
            return true;
    }
    return false;
}

static int wait_for_news(weft_zmq_link *l, int64_t until_ns)
{
    const nfds_t count = (nfds_t)(FIXED_ITEMS + 2 * l->dial_count);
    const int64_t now = until_ns == WEFT_NEVER ? 0 : weft_now();
    const int64_t left = until_ns > now ? until_ns - now : 0;
    const struct timespec wait = {.tv_sec = (time_t)(left / (1000 * WEFT_MS)),
                                  .tv_nsec = (long)(left % (1000 * WEFT_MS))};
    if (ppoll(l->items, count, until_ns == WEFT_NEVER ? NULL : &wait, NULL) >= 0)
        return WEFT_OK;
    for (nfds_t i = 0; i < count; i++)
        l->items[i].revents = 0;
    return errno == EINTR ? WEFT_OK : weft_fail(WEFT_EIO, "link: ppoll: %s", strerror(errno));
}

/* Look at all sockets, waiting until the deadline when `sleep`. */
static int look(weft_zmq_link *l, int64_t until_ns, bool sleep)
{
    int rc = list_items(l);
    if (rc == WEFT_OK)
        rc = wait_for_news(l, sleep && !unwatched(l) ? first_deadline(l, until_ns) : INT64_MIN);
    if (rc != WEFT_OK)
        return rc;
    l->since_poll = 0;
    if (l->items[0].revents != 0)
        clear_wake(l);
    note_ready(l);
    note_time(l);
    return WEFT_OK;
}

/* An event that is there without reading a socket. */
static bool next_event(weft_zmq_link *l, weft_link_event *ret)
{
    if (l->event_first < l->event_end) {
        *ret = l->events[l->event_first++];
        return true;
    }
    if (atomic_load_explicit(&l->kicked, memory_order_relaxed) &&
        atomic_exchange(&l->kicked, false)) {
        clear_wake(l);
        *ret = (weft_link_event){.what = WEFT_LINK_KICKED};
        return true;
    }
    return false;
}

int weft_zmq_poll(weft_link *link, int64_t until_ns, weft_link_event *ret)
{
    weft_zmq_link *l = (weft_zmq_link *)link;
    for (bool last = false;;) {
        if (next_event(l, ret) || next_frame(l, ret))
            return WEFT_OK;
        if (weft_accepted_count(l->accepted, WEFT_ACCEPTED_CLOSING) > 0)
            weft_zmq_end_accepted(l, false);
        if (l->event_first < l->event_end)
            continue;
        if (last) {
            *ret = (weft_link_event){.what = WEFT_LINK_NOTHING};
            return WEFT_OK;
        }
        const bool ready = l->first != NULL;
        if (!ready && queue_stale(l))
            continue;
        const int rc = look(l, until_ns, !ready);
        if (rc != WEFT_OK)
            return rc;
        last = !ready && until_ns <= weft_now();
    }
}
