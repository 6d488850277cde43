/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links between threads of one process: messages pass by pointer from seat to seat of a hub. Plain
 * mutexes and condition variables, so that a race detector sees all of it.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/spec.h"
#include "base/status.h"
#include "link/hub_seat.h"
#include "link/link.h"
#include "wire/frame.h"

enum { ENDPOINT_TEXT = 24, KEEP_FRAMES = 32 };

static const char scheme_colon[] = "mem:";
static const char closed_by_peer[] = "the peer closed the connection";

typedef struct mem_conn {
    uint32_t number;
    int end; /* of the wire: 0 dialled, 1 accepted */
    weft_wire *wire;
    bool up_due;
    const char *down_due; /* NULL: none */
} mem_conn;

typedef struct mem_link {
    weft_link base;
    weft_hub *hub;
    int seat;
    weft_inbox *inbox;
    weft_pool *pool;
    size_t frame_max;
    char endpoint[ENDPOINT_TEXT];
    mem_conn *conns; /* sorted by number */
    size_t count, cap;
    size_t due; /* UP and DOWN to tell that came with no letter */
    uint32_t next_accepted;
} mem_link;

static mem_link *self_of(weft_link *l)
{
    return (mem_link *)l;
}

static size_t place_of(const mem_link *l, uint32_t number)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (l->conns[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static mem_conn *find(const mem_link *l, uint32_t number)
{
    const size_t i = place_of(l, number);
    return i < l->count && l->conns[i].number == number ? &l->conns[i] : NULL;
}

/* NULL: out of memory. Takes a reference of the wire. */
static mem_conn *add(mem_link *l, uint32_t number, weft_wire *wire, int end)
{
    if (!weft_grow((void **)&l->conns, &l->cap, l->count + 1, sizeof(*l->conns)))
        return NULL;
    const size_t i = place_of(l, number);
    memmove(&l->conns[i + 1], &l->conns[i], (l->count - i) * sizeof(*l->conns));
    l->count++;
    l->conns[i] = (mem_conn){.number = number, .end = end, .wire = weft_wire_ref(wire)};
    wire->end[end].number = number;
    return &l->conns[i];
}

static void forget(mem_link *l, mem_conn *c)
{
    weft_wire *wire = c->wire;
    wire->end[c->end].gone = true;
    l->due -= (size_t)c->up_due + (size_t)(c->down_due != NULL);
    l->count--;
    const size_t i = (size_t)(c - l->conns);
    memmove(&l->conns[i], &l->conns[i + 1], (l->count - i) * sizeof(*l->conns));
    weft_wire_unref(wire);
}

static weft_inbox *inbox_of(const mem_link *l, const weft_wire *wire, int end)
{
    return weft_hub_inbox(l->hub, wire->end[end].seat);
}

/* Tell the other end. */
static void hang_up(const mem_link *l, weft_wire *wire, int own_end, const char *why)
{
    weft_inbox_put_end(inbox_of(l, wire, 1 - own_end), wire, 1 - own_end, why);
}

/* --- dialling, sending --------------------------------------------------------------------- */

static int seat_of(const mem_link *l, const char *endpoint, int *ret)
{
    long long seat;
    if (strncmp(endpoint, scheme_colon, sizeof(scheme_colon) - 1) != 0)
        return weft_fail(WEFT_EINVAL, "dial %.60s: not a mem: endpoint", endpoint);
    const int rc = weft_parse_int("dial mem", endpoint + sizeof(scheme_colon) - 1, 0,
                                  weft_hub_peers(l->hub) - 1, &seat);
    if (rc == WEFT_OK)
        *ret = (int)seat;
    return rc;
}

static int dial(weft_link *link, uint32_t conn, const char *endpoint)
{
    mem_link *l = self_of(link);
    int seat = -1;
    if (conn == 0 || conn % 2 != 0 || find(l, conn) != NULL)
        return weft_fail(WEFT_EINVAL, "dial %s: connection number %u %s", endpoint, (unsigned)conn,
                         conn == 0 || conn % 2 != 0 ? "is not even" : "is in use");
    int rc = seat_of(l, endpoint, &seat);
    if (rc != WEFT_OK)
        return rc;
    weft_wire *wire = weft_wire_new(l->seat, seat);
    mem_conn *c = wire != NULL ? add(l, conn, wire, 0) : NULL;
    if (c == NULL) {
        if (wire != NULL)
            weft_wire_unref(wire);
        return weft_fail(WEFT_ENOMEM, "dial %s: out of memory", endpoint);
    }
    weft_wire_unref(wire);

    weft_inbox *other = weft_hub_inbox(l->hub, seat);
    rc = weft_inbox_expect(l->inbox);
    if (rc == WEFT_OK) {
        rc = weft_inbox_expect(other);
        if (rc != WEFT_OK)
            weft_inbox_unexpect(l->inbox);
    }
    if (rc == WEFT_ENOMEM) {
        forget(l, c);
        return weft_fail(WEFT_ENOMEM, "dial %s: out of memory", endpoint);
    }
    if (rc == WEFT_OK)
        c->up_due = true;
    else
        c->down_due = "the peer closed its link";
    l->due++;
    return WEFT_OK;
}

static int send(weft_link *link, uint32_t conn, weft_message *m)
{
    mem_link *l = self_of(link);
    mem_conn *c = find(l, conn);
    if (c == NULL || c->up_due || c->down_due != NULL)
        return WEFT_EPEER;
    const int rc = weft_inbox_put(inbox_of(l, c->wire, 1 - c->end), c->wire, 1 - c->end, m);
    if (rc == WEFT_ENOMEM) {
        hang_up(l, c->wire, c->end, "out of memory for a frame");
        c->down_due = "out of memory for a frame";
        l->due++;
    }
    /* Where the other seat closed its end is in the inbox already, or coming. */
    return rc == WEFT_OK ? WEFT_OK : WEFT_EPEER;
}

static void drop(weft_link *link, uint32_t conn)
{
    mem_link *l = self_of(link);
    mem_conn *c = find(l, conn);
    if (c == NULL)
        return;
    if (c->down_due == NULL)
        hang_up(l, c->wire, c->end, closed_by_peer);
    forget(l, c);
}

/* --- receiving ----------------------------------------------------------------------------- */

static bool take_due(mem_link *l, weft_link_event *ret)
{
    for (size_t i = 0; l->due > 0 && i < l->count; i++) {
        mem_conn *c = &l->conns[i];
        if (c->up_due) {
            c->up_due = false;
            l->due--;
            *ret = (weft_link_event){.what = WEFT_LINK_UP, .conn = c->number};
            return true;
        }
        if (c->down_due != NULL) {
            *ret = (weft_link_event){.what = WEFT_LINK_DOWN, .conn = c->number, .why = c->down_due};
            forget(l, c);
            return true;
        }
    }
    return false;
}

static uint32_t next_number(mem_link *l)
{
    do
        l->next_accepted += 2;
    while (find(l, l->next_accepted) != NULL);
    return l->next_accepted;
}

/* The frame of a letter as an event. false: nobody wants it. */
static bool open_frame(mem_link *l, const weft_letter *letter, weft_link_event *ret)
{
    weft_wire *wire = letter->wire;
    if (wire->end[letter->end].number == 0 && add(l, next_number(l), wire, letter->end) == NULL) {
        wire->end[letter->end].gone = true;
        hang_up(l, wire, letter->end, "the peer is out of memory");
        weft_message_unref(letter->message);
        return false;
    }
    const uint32_t number = wire->end[letter->end].number;
    if (letter->message->len > l->frame_max) {
        weft_message_unref(letter->message);
        hang_up(l, wire, letter->end, "the peer refused a frame: too long");
        forget(l, find(l, number));
        *ret = (weft_link_event){
            .what = WEFT_LINK_DOWN, .conn = number, .why = "a frame came that is too long"};
        return true;
    }
    *ret = (weft_link_event){.what = WEFT_LINK_FRAME, .conn = number, .message = letter->message};
    return true;
}

/* The letter as an event. false: nobody wants it. */
static bool open_letter(mem_link *l, const weft_letter *letter, weft_link_event *ret)
{
    weft_wire *wire = letter->wire;
    if (wire->end[letter->end].gone) {
        weft_message_unref(letter->message);
        return false;
    }
    if (letter->message != NULL)
        return open_frame(l, letter, ret);

    /* This end sends no end back. */
    weft_inbox_unexpect(inbox_of(l, wire, 1 - letter->end));
    mem_conn *c = find(l, wire->end[letter->end].number);
    if (c == NULL) {
        wire->end[letter->end].gone = true;
        return false;
    }
    *ret = (weft_link_event){.what = WEFT_LINK_DOWN, .conn = c->number, .why = letter->why};
    forget(l, c);
    return true;
}

static int poll_events(weft_link *link, int64_t until_ns, weft_link_event *ret)
{
    mem_link *l = self_of(link);
    for (;;) {
        if (take_due(l, ret))
            return WEFT_OK;
        weft_letter letter;
        bool kicked;
        if (!weft_inbox_take(l->inbox, until_ns, &letter, &kicked)) {
            *ret = (weft_link_event){.what = kicked ? WEFT_LINK_KICKED : WEFT_LINK_NOTHING};
            return WEFT_OK;
        }
        const bool wanted = open_letter(l, &letter, ret);
        weft_wire_unref(letter.wire);
        if (wanted)
            return WEFT_OK;
    }
}

static void kick(weft_link *link)
{
    weft_inbox_kick(self_of(link)->inbox);
}

/* --- open, close --------------------------------------------------------------------------- */

static void close_link(weft_link **link)
{
    if (*link == NULL)
        return;
    mem_link *l = self_of(*link);
    *link = NULL;
    while (l->count > 0) {
        mem_conn *c = &l->conns[l->count - 1];
        if (c->down_due == NULL)
            hang_up(l, c->wire, c->end, "the peer closed its link");
        forget(l, c);
    }
    weft_hub_leave(l->hub, l->seat);
    weft_pool_close(&l->pool);
    weft_free(l->conns);
    weft_free(l);
}

extern const weft_link_type weft_link_mem;

static int open_link(weft_link **ret, const weft_link_opts *o)
{
    if (o->hub == NULL || o->hub_seat < 0 || o->hub_seat >= weft_hub_peers(o->hub))
        return weft_fail(WEFT_EINVAL, "link mem: no hub, or no seat %d at it", o->hub_seat);
    if (o->frame_max < WEFT_FRAME_HEADER)
        return weft_fail(WEFT_EINVAL, "link: longest frame %zu is shorter than a header",
                         o->frame_max);
    mem_link *l = weft_calloc(1, sizeof(*l));
    if (l == NULL)
        return weft_fail(WEFT_ENOMEM, "link: out of memory");
    const int rc = weft_pool_open(&l->pool, KEEP_FRAMES * o->frame_max);
    if (rc != WEFT_OK) {
        weft_free(l);
        return rc;
    }
    l->base.type = &weft_link_mem;
    l->hub = o->hub;
    l->seat = o->hub_seat;
    l->inbox = weft_hub_inbox(o->hub, o->hub_seat);
    l->frame_max = o->frame_max;
    l->next_accepted = UINT32_MAX; /* the first is 1 */
    snprintf(l->endpoint, sizeof(l->endpoint), "%s%d", scheme_colon, l->seat);
    *ret = &l->base;
    return WEFT_OK;
}

static const char *endpoint_at(const weft_link *link, int i)
{
    return i == 0 ? ((const mem_link *)link)->endpoint : NULL;
}

static int bind_also(weft_link *link, const char *endpoint)
{
    (void)link;
    return weft_fail(WEFT_ENOTSUP, "listen %.60s: threads meet at a hub", endpoint);
}

static weft_pool *pool_of(weft_link *link)
{
    return self_of(link)->pool;
}

const weft_link_type weft_link_mem = {
    .scheme = "mem",
    .summary = "threads of one process: pointers through a hub",
    .open = open_link,
    .endpoint = endpoint_at,
    .bind = bind_also,
    .dial = dial,
    .send = send,
    .poll = poll_events,
    .drop = drop,
    .kick = kick,
    .close = close_link,
    .pool = pool_of,
};
