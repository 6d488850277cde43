/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of a ZeroMQ link: what is known of each, what is still to be told. */
#include <string.h>

#include "base/mem.h"
#include "link/zmq_link.h"

/* More connections than this between two frames of one: it has no more. ZeroMQ takes one frame of
 * each in turn, and some connections have not been seen yet. */
enum { UNSEEN_ACCEPTED = 64 };

/* --- events -------------------------------------------------------------------------------- */

/* Room for n more events than are waiting. */
static bool reserve_events(weft_zmq_link *l, size_t n)
{
    if (l->event_first > 0) {
        memmove(l->events, l->events + l->event_first,
                (l->event_end - l->event_first) * sizeof(*l->events));
        l->event_end -= l->event_first;
        l->event_first = 0;
    }
    return weft_grow((void **)&l->events, &l->event_cap, l->event_end + n, sizeof(*l->events));
}

/* Two for each that was dialled (UP, DOWN), one for each accepted (DOWN), one more of either. */
bool weft_zmq_reserve(weft_zmq_link *l)
{
    return reserve_events(l, 2 * (l->dial_count + 1) +
                                 weft_accepted_count(l->accepted, WEFT_ACCEPTED_LIVE) +
                                 weft_accepted_count(l->accepted, WEFT_ACCEPTED_CLOSING) + 1);
}

void weft_zmq_tell(weft_zmq_link *l, weft_link_what what, uint32_t conn, const char *why)
{
    l->events[l->event_end++] = (weft_link_event){.what = what, .conn = conn, .why = why};
}

/* Nobody wants to hear of the connection any more. */
void weft_zmq_untell(weft_zmq_link *l, uint32_t conn)
{
    size_t end = l->event_first;
    for (size_t i = l->event_first; i < l->event_end; i++) {
        if (l->events[i].conn != conn)
            l->events[end++] = l->events[i];
    }
    l->event_end = end;
}

/* --- sources ------------------------------------------------------------------------------- */

void weft_zmq_queue(weft_zmq_link *l, weft_zmq_source *s)
{
    if (s->queued)
        return;
    s->queued = true;
    s->next = NULL;
    if (l->first == NULL)
        l->first = s;
    else
        l->last->next = s;
    l->last = s;
}

void weft_zmq_unqueue(weft_zmq_link *l, weft_zmq_source *s)
{
    if (!s->queued)
        return;
    weft_zmq_source *before = NULL;
    for (weft_zmq_source *i = l->first; i != s; i = i->next)
        before = i;
    if (before == NULL) {
        l->first = s->next;
        l->turn = 0;
    } else {
        before->next = s->next;
    }
    if (l->last == s)
        l->last = before;
    s->queued = false;
}

/* --- dialled connections ------------------------------------------------------------------- */

/* Position of the number, or where it would be. */
size_t weft_zmq_dial_place(const weft_zmq_link *l, uint32_t number)
{
    size_t low = 0, high = l->dial_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (l->dials[mid]->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

weft_zmq_dial *weft_zmq_find_dial(const weft_zmq_link *l, uint32_t number)
{
    const size_t i = weft_zmq_dial_place(l, number);
    return i < l->dial_count && l->dials[i]->number == number ? l->dials[i] : NULL;
}

void weft_zmq_forget_dial(weft_zmq_link *l, weft_zmq_dial *d, int linger_ms)
{
    const size_t i = weft_zmq_dial_place(l, d->number);
    memmove(&l->dials[i], &l->dials[i + 1], (l->dial_count - i - 1) * sizeof(l->dials[0]));
    l->dial_count--;
    weft_zmq_unqueue(l, &d->source);
    weft_zmq_close_socket(d->source.socket, d->monitor, linger_ms);
    weft_free(d);
}

void weft_zmq_dial_up(weft_zmq_link *l, weft_zmq_dial *d)
{
    if (d->up || d->why != NULL)
        return;
    d->up = true;
    weft_zmq_tell(l, WEFT_LINK_UP, d->number, NULL);
}

void weft_zmq_dial_closing(weft_zmq_link *l, weft_zmq_dial *d, const char *why)
{
    if (d->why != NULL)
        return;
    d->why = why;
    weft_zmq_queue(l, &d->source); /* its last frames first, then DOWN */
}

void weft_zmq_end_dial(weft_zmq_link *l, weft_zmq_dial *d)
{
    weft_zmq_tell(l, WEFT_LINK_DOWN, d->number, d->why);
    weft_zmq_forget_dial(l, d, 0);
}

/* --- accepted connections ------------------------------------------------------------------ */

void weft_zmq_accepted_closing(weft_zmq_link *l, weft_accepted *a, const char *why)
{
    if (a->state == WEFT_ACCEPTED_DROPPED) {
        weft_accepted_remove(l->accepted, a);
    } else if (a->state == WEFT_ACCEPTED_LIVE) {
        weft_accepted_closing(l->accepted, a, why);
        a->since = l->router_frames;
        weft_zmq_queue(l, &l->router); /* its last frames first, then DOWN */
    }
}

/* One that still is connected, as far as is known, and whose frames are not wanted any more. */
void weft_zmq_refuse_accepted(weft_zmq_link *l, weft_accepted *a, const char *why)
{
    weft_zmq_tell(l, WEFT_LINK_DOWN, a->number, why);
    weft_accepted_drop(l->accepted, a);
}

/* Those that are closing and have no more frames are down; all of them where the ROUTER is empty.
 */
void weft_zmq_end_accepted(weft_zmq_link *l, bool empty)
{
    const uint64_t silence = weft_accepted_count(l->accepted, WEFT_ACCEPTED_LIVE) + UNSEEN_ACCEPTED;
    for (size_t i = 0; i < weft_accepted_slots(l->accepted); i++) {
        weft_accepted *a = weft_accepted_at(l->accepted, i);
        if (a->state == WEFT_ACCEPTED_CLOSING && (empty || l->router_frames - a->since > silence)) {
            if (a->why != NULL)
                weft_zmq_tell(l, WEFT_LINK_DOWN, a->number, a->why);
            weft_accepted_remove(l->accepted, a);
        }
    }
}

/* Closing, and given to drop(). */
static bool is_silent(const weft_accepted *a)
{
    return a->state == WEFT_ACCEPTED_CLOSING && a->why == NULL;
}

/* Who sent the frame whose parts are in l->id and l->body; NULL: nobody whose frames are wanted. */
weft_accepted *weft_zmq_sender(weft_zmq_link *l)
{
    const uint8_t *id = zmq_msg_data(&l->id);
    if (zmq_msg_size(&l->id) != WEFT_ROUTING_ID || id[0] != WEFT_ROUTING_FIRST)
        return NULL;
    weft_accepted *a = weft_accepted_by_id(l->accepted, id);
    if (a != NULL && a->state == WEFT_ACCEPTED_CLOSING)
        a->since = l->router_frames;
    if (a != NULL)
        return a->state == WEFT_ACCEPTED_DROPPED || is_silent(a) ? NULL : a;
    if (!weft_zmq_reserve(l))
        return NULL;
    weft_accepted *fresh = weft_accepted_add(l->accepted, id, weft_zmq_frame_fd(l, &l->body));
    if (fresh == NULL && !l->crowded) { /* once: whoever connects must not flood the log */
        l->crowded = true;
        weft_log_write(&l->log, WEFT_LOG_WARN,
                       "%zu accepted connections are in use: there is no room for more, and they "
                       "are not heard",
                       weft_accepted_count(l->accepted, WEFT_ACCEPTED_LIVE) +
                           weft_accepted_count(l->accepted, WEFT_ACCEPTED_CLOSING));
    }
    return fresh;
}
