/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links over ZeroMQ: tcp and ipc. One ROUTER takes every connection that others make; each that is
 * made here is a DEALER of its own, with a routing id that no other ever had, so that nothing sent
 * to one incarnation of a peer can reach the next.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "link/zmq_context.h"
#include "link/zmq_link.h"
#include "wire/frame.h"

enum { KEEP_FRAMES = 32 }; /* of the longest kind that the pool keeps */

static weft_zmq_link *self_of(weft_link *l)
{
    return (weft_zmq_link *)l;
}

/* --- dialling, sending --------------------------------------------------------------------- */

static int dial(weft_link *link, uint32_t conn, const char *endpoint)
{
    weft_zmq_link *l = self_of(link);
    if (conn == 0 || conn % 2 != 0 || weft_zmq_find_dial(l, conn) != NULL)
        return weft_fail(WEFT_EINVAL, "dial %s: connection number %u %s", endpoint, (unsigned)conn,
                         conn == 0 || conn % 2 != 0 ? "is not even" : "is in use");
    int rc = weft_zmq_check_endpoint("dial", endpoint);
    if (rc != WEFT_OK)
        return rc;
    if (!weft_grow((void **)&l->dials, &l->dial_cap, l->dial_count + 1, sizeof(l->dials[0])) ||
        !weft_zmq_reserve(l))
        return weft_fail(WEFT_ENOMEM, "dial %s: out of memory", endpoint);
    weft_zmq_dial *d = weft_calloc(1, sizeof(*d));
    if (d == NULL)
        return weft_fail(WEFT_ENOMEM, "dial %s: out of memory", endpoint);
    d->number = conn;
    d->source.dial = d;
    d->deadline_ns = weft_deadline(weft_now(), l->connect_timeout_ms);
    d->source.stale = true;
    d->unwatched = true;
    rc = weft_zmq_open_dealer(l, endpoint, &d->source.socket, &d->monitor);
    if (rc == WEFT_OK && ((rc = weft_zmq_fd(d->source.socket, &d->source.fd)) != WEFT_OK ||
                          (rc = weft_zmq_fd(d->monitor, &d->monitor_fd)) != WEFT_OK))
        weft_zmq_close_socket(d->source.socket, d->monitor, 0);
    if (rc != WEFT_OK) {
        weft_free(d);
        return rc;
    }
    const size_t i = weft_zmq_dial_place(l, conn);
    memmove(&l->dials[i + 1], &l->dials[i], (l->dial_count - i) * sizeof(l->dials[0]));
    l->dials[i] = d;
    l->dial_count++;
    return WEFT_OK;
}

static bool down(int error)
{
    return error == EAGAIN || error == EHOSTUNREACH;
}

static int send_accepted(weft_zmq_link *l, weft_accepted *a, weft_message *m)
{
    int error = weft_zmq_send_id(l, a);
    l->router.stale = true;
    if (error == 0) {
        do
            error = weft_zmq_send(l->router.socket, m);
        while (error == EINTR);
    }
    if (error == 0)
        return WEFT_OK;
    if (down(error))
        weft_zmq_accepted_closing(l, a, weft_zmq_peer_closed);
    else
        weft_zmq_refuse_accepted(l, a, "ZeroMQ refused to send");
    return WEFT_EPEER;
}

static int send_dialled(weft_zmq_link *l, weft_zmq_dial *d, weft_message *m)
{
    int error;
    d->source.stale = true;
    do
        error = weft_zmq_send(d->source.socket, m);
    while (error == EINTR);
    if (error == 0)
        return WEFT_OK;
    weft_zmq_dial_closing(
        l, d, down(error) ? "the connection was closed or cut" : "ZeroMQ refused to send");
    return WEFT_EPEER;
}

static int send(weft_link *link, uint32_t conn, weft_message *m)
{
    weft_zmq_link *l = self_of(link);
    if (conn % 2 == 0) {
        weft_zmq_dial *d = weft_zmq_find_dial(l, conn);
        return d != NULL && d->up && d->why == NULL ? send_dialled(l, d, m) : WEFT_EPEER;
    }
    weft_accepted *a = weft_accepted_by_number(l->accepted, conn);
    return a != NULL && a->state == WEFT_ACCEPTED_LIVE ? send_accepted(l, a, m) : WEFT_EPEER;
}

static void kick(weft_link *link)
{
    weft_zmq_link *l = self_of(link);
    const uint64_t one = 1;
    if (!atomic_exchange(&l->kicked, true))
        (void)!write(l->wake_fd, &one, sizeof(one));
}

/* --- open, close --------------------------------------------------------------------------- */

static void drop(weft_link *link, uint32_t conn)
{
    weft_zmq_link *l = self_of(link);
    if (conn % 2 == 0) {
        weft_zmq_dial *d = weft_zmq_find_dial(l, conn);
        if (d != NULL)
            weft_zmq_forget_dial(l, d, d->up ? l->linger_ms : 0);
    } else {
        weft_accepted *a = weft_accepted_by_number(l->accepted, conn);
        if (a != NULL && a->state == WEFT_ACCEPTED_LIVE)
            weft_accepted_drop(l->accepted, a);
        else if (a != NULL && a->state == WEFT_ACCEPTED_CLOSING)
            a->why = NULL;
    }
    weft_zmq_untell(l, conn);
}

/* In a forked child ZeroMQ's sockets are the parent's: only memory is freed. */
static void close_sockets(weft_zmq_link *l)
{
    while (l->dial_count > 0) {
        weft_zmq_dial *d = l->dials[--l->dial_count];
        weft_zmq_close_socket(d->source.socket, d->monitor, d->up ? l->linger_ms : 0);
        weft_free(d);
    }
    weft_zmq_close_socket(l->router.socket, l->router_monitor, l->linger_ms);
    zmq_msg_close(&l->id);
    zmq_msg_close(&l->body);
    if (l->context != NULL)
        weft_zmq_release(l->context);
}

static void close_link(weft_link **link)
{
    if (*link == NULL)
        return;
    weft_zmq_link *l = self_of(*link);
    *link = NULL;
    if (l->pid == getpid())
        close_sockets(l);
    for (size_t i = 0; i < l->dial_count; i++)
        weft_free(l->dials[i]);
    for (int i = 0; i < l->endpoint_count; i++)
        weft_free(l->endpoints[i]);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    weft_accepted_close(&l->accepted);
    weft_pool_close(&l->pool);
    weft_free(l->dials);
    weft_free(l->events);
    weft_free(l->items);
    weft_free(l);
}

static int clamp_ms(int64_t ms)
{
    return ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static int open_parts(weft_zmq_link *l, const weft_link_opts *o)
{
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return weft_fail(WEFT_EIO, "link: eventfd: %s", strerror(errno));
    int rc = weft_zmq_acquire(&l->context);
    if (rc == WEFT_OK)
        rc = weft_accepted_open(&l->accepted);
    if (rc == WEFT_OK)
        rc = weft_pool_open(&l->pool, KEEP_FRAMES * l->frame_max);
    if (rc == WEFT_OK)
        rc = weft_zmq_open_router(l);
    for (size_t i = 0;
         rc == WEFT_OK && i < sizeof(o->listen) / sizeof(o->listen[0]) && o->listen[i] != NULL; i++)
        rc = weft_zmq_listen(l, o->listen[i]);
    return rc;
}

extern const weft_link_type weft_link_zmq;

static int open_link(weft_link **ret, const weft_link_opts *o)
{
    if (o->frame_max < WEFT_FRAME_HEADER)
        return weft_fail(WEFT_EINVAL, "link: longest frame %zu is shorter than a header",
                         o->frame_max);
    weft_zmq_link *l = weft_calloc(1, sizeof(*l));
    if (l == NULL)
        return weft_fail(WEFT_ENOMEM, "link: out of memory");
    l->base.type = &weft_link_zmq;
    l->pid = getpid();
    l->frame_max = o->frame_max;
    l->connect_timeout_ms = clamp_ms(o->connect_timeout_ms);
    l->linger_ms = clamp_ms(o->linger_ms);
    l->dead_ms = clamp_ms(o->dead_ms);
    l->log = o->log;
    l->probe_ns = WEFT_NEVER;
    l->wake_fd = -1;
    atomic_init(&l->kicked, false);
    zmq_msg_init(&l->id);
    zmq_msg_init(&l->body);
    const int rc = open_parts(l, o);
    if (rc != WEFT_OK) {
        weft_link *failed = &l->base;
        close_link(&failed);
        return rc;
    }
    *ret = &l->base;
    return WEFT_OK;
}

static const char *endpoint_at(const weft_link *link, int i)
{
    const weft_zmq_link *l = (const weft_zmq_link *)link;
    return i >= 0 && i < l->endpoint_count ? l->endpoints[i] : NULL;
}

static int bind_also(weft_link *link, const char *endpoint)
{
    return weft_zmq_listen(self_of(link), endpoint);
}

static weft_pool *pool_of(weft_link *link)
{
    return self_of(link)->pool;
}

const weft_link_type weft_link_zmq = {
    .scheme = "tcp|ipc",
    .summary = "ZeroMQ: tcp between hosts, ipc on one",
    .open = open_link,
    .endpoint = endpoint_at,
    .bind = bind_also,
    .dial = dial,
    .send = send,
    .poll = weft_zmq_poll,
    .drop = drop,
    .kick = kick,
    .close = close_link,
    .pool = pool_of,
};
