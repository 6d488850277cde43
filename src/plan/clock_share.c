/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Max-min fair rates by progressive filling (Bertsekas & Gallager, Data Networks, 1992, 6.5.2): the
 * port with the smallest share for each of its streams fixes their rates, what they take is taken
 * from their other ports, and so on with the port that is the smallest then. Shares of ports that
 * remain never fall on the way, so that a heap of old shares, corrected when one comes up, gives
 * the order.
 */
#include "plan/clock_share.h"

#include <math.h>

#include "base/mem.h"
#include "base/status.h"

enum { LEGS = WEFT_PORTS_MOST };
static const double drop = 1e-3; /* bytes: a bucket with less is empty */

int weft_clock_share_open(weft_clock_share *s, weft_clock_heap *heap, int ports, int streams,
                          int first_stream, int first_port)
{
    *s = (weft_clock_share){.heap = heap,
                            .port_count = ports,
                            .stream_count = streams,
                            .first_stream = first_stream,
                            .first_port = first_port};
    s->ports = weft_calloc((size_t)ports, sizeof *s->ports);
    s->streams = weft_calloc((size_t)streams, sizeof *s->streams);
    s->dirty = weft_calloc((size_t)ports, sizeof(int));
    s->group_ports = weft_calloc((size_t)ports, sizeof(int));
    s->group_streams = weft_calloc((size_t)streams, sizeof(int));
    s->queue = weft_calloc((size_t)ports, sizeof(int));
    s->share = weft_calloc((size_t)ports, sizeof(double));
    if (!s->ports || !s->streams || !s->dirty || !s->group_ports || !s->group_streams ||
        !s->queue || !s->share) {
        weft_clock_share_close(s);
        return weft_fail(WEFT_ENOMEM, "clock: no memory for %d links of %d pairs", ports, streams);
    }
    for (int i = 0; i < ports; i++)
        s->ports[i] = (weft_port){.rate = (double)INFINITY, .back = -1, .first = -1};
    return WEFT_OK;
}

void weft_clock_share_close(weft_clock_share *s)
{
    weft_free(s->ports);
    weft_free(s->streams);
    weft_free(s->dirty);
    weft_free(s->group_ports);
    weft_free(s->group_streams);
    weft_free(s->queue);
    weft_free(s->share);
    *s = (weft_clock_share){0};
}

static void soil(weft_clock_share *s, int port)
{
    if (s->ports[port].dirty)
        return;
    s->ports[port].dirty = true;
    s->dirty[s->dirty_count++] = port;
}

/* A port came into use or out of it: the other direction carries acknowledgements, or no more. */
static void turn_back(weft_clock_share *s, const weft_port *p)
{
    if (p->back >= 0 && s->ports[p->back].ack > 0)
        soil(s, p->back);
}

static void link_legs(weft_clock_share *s, int stream)
{
    weft_stream *t = &s->streams[stream];

    for (int i = 0; i < t->ports; i++) {
        weft_port *p = &s->ports[t->port[i]];
        const int leg = stream * LEGS + i;
        t->prev[i] = -1;
        t->next[i] = p->first;
        if (p->first >= 0)
            s->streams[p->first / LEGS].prev[p->first % LEGS] = leg;
        p->first = leg;
        if (p->streams++ == 0)
            turn_back(s, p);
        soil(s, t->port[i]);
    }
}

static void unlink_legs(weft_clock_share *s, int stream)
{
    weft_stream *t = &s->streams[stream];

    for (int i = 0; i < t->ports; i++) {
        weft_port *p = &s->ports[t->port[i]];
        if (t->prev[i] >= 0)
            s->streams[t->prev[i] / LEGS].next[t->prev[i] % LEGS] = t->next[i];
        else
            p->first = t->next[i];
        if (t->next[i] >= 0)
            s->streams[t->next[i] / LEGS].prev[t->next[i] % LEGS] = t->prev[i];
        if (--p->streams == 0)
            turn_back(s, p);
        soil(s, t->port[i]);
    }
}

void weft_clock_share_start(weft_clock_share *s, double now, int stream, double bytes)
{
    weft_stream *t = &s->streams[stream];

    t->active = true;
    t->bytes = t->left = bytes;
    t->since = now;
    t->rate = 0;
    link_legs(s, stream);
    if (t->ports == 0) /* nothing in its way */
        weft_clock_heap_set(s->heap, s->first_stream + stream, now);
}

static void through(weft_clock_share *s, const weft_stream *t)
{
    for (int i = 0; i < t->ports; i++)
        s->ports[t->port[i]].moved += t->bytes;
}

static double ends_at(const weft_stream *t)
{
    return isinf(t->rate) ? t->since : t->since + t->left / t->rate;
}

void weft_clock_share_next(weft_clock_share *s, double now, int stream, double bytes)
{
    weft_stream *t = &s->streams[stream];

    through(s, t);
    t->bytes = t->left = bytes;
    t->since = now;
    weft_clock_heap_set(s->heap, s->first_stream + stream,
                        t->ports == 0 || t->rate <= 0 ? now : ends_at(t));
}

void weft_clock_share_stop(weft_clock_share *s, double now, int stream)
{
    weft_stream *t = &s->streams[stream];

    (void)now;
    through(s, t);
    t->active = false;
    t->left = t->rate = 0;
    unlink_legs(s, stream);
}

void weft_clock_share_dry(weft_clock_share *s, double now, int port)
{
    weft_port *p = &s->ports[port];

    p->bucket = 0;
    p->since = now;
    soil(s, port);
}

static double content(const weft_port *p, double now)
{
    const double b = p->bucket + (p->rate - p->load) * (now - p->since);
    return b > p->burst ? p->burst : b < drop ? 0 : b;
}

bool weft_clock_share_bursts(const weft_clock_share *s, double now, int port)
{
    const weft_port *p = &s->ports[port];
    return p->burst > 0 && content(p, now) > 0;
}

/* What streams can have of a port; *ret_gone: what passes it besides. */
static double capacity(const weft_clock_share *s, const weft_port *p, double *ret_gone)
{
    const bool bursts = p->burst > 0 && p->bucket > 0;
    double c = bursts ? p->peak : p->rate;

    *ret_gone = 0;
    if (isinf(c))
        return c;
    if (p->back >= 0 && p->ack > 0 && s->ports[p->back].streams > 0) {
        const double other = s->ports[p->back].rate;
        *ret_gone = p->ack * (other < p->rate ? other : p->rate);
        c -= *ret_gone;
    }
    if (p->streams > 1 && !bursts) {
        const double lost = c - c / (1 + p->incast * (p->streams - 1));
        *ret_gone += lost;
        c -= lost;
    }
    return c;
}

/* Everything that is joined to the dirty ports, by streams that pass several. */
static void gather(weft_clock_share *s, int *ret_ports, int *ret_streams)
{
    int ports = 0, streams = 0;

    s->turn++;
    for (int i = 0; i < s->dirty_count; i++) {
        weft_port *p = &s->ports[s->dirty[i]];
        p->dirty = false;
        p->seen = s->turn;
        s->group_ports[ports++] = s->dirty[i];
    }
    s->dirty_count = 0;
    for (int i = 0; i < ports; i++) {
        for (int leg = s->ports[s->group_ports[i]].first; leg >= 0;) {
            weft_stream *t = &s->streams[leg / LEGS];
            const int next = t->next[leg % LEGS];
            if (t->seen != s->turn) {
                t->seen = s->turn;
                s->group_streams[streams++] = leg / LEGS;
                for (int k = 0; k < t->ports; k++) {
                    weft_port *q = &s->ports[t->port[k]];
                    if (q->seen != s->turn) {
                        q->seen = s->turn;
                        s->group_ports[ports++] = t->port[k];
                    }
                }
            }
            leg = next;
        }
    }
    *ret_ports = ports;
    *ret_streams = streams;
}

static void queue_put(weft_clock_share *s, int count, int port, double share)
{
    int at = count;

    while (at > 0 && share < s->share[s->queue[(at - 1) / 2]]) {
        s->queue[at] = s->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->queue[at] = port;
    s->share[port] = share;
}

static int queue_pop(weft_clock_share *s, int count)
{
    const int first = s->queue[0], last = s->queue[count - 1];
    int at = 0;

    for (int child; (child = 2 * at + 1) < count - 1; at = child) {
        if (child + 1 < count - 1 && s->share[s->queue[child + 1]] < s->share[s->queue[child]])
            child++;
        if (s->share[s->queue[child]] >= s->share[last])
            break;
        s->queue[at] = s->queue[child];
    }
    s->queue[at] = last;
    return first;
}

/* The rates of a port's streams that are not fixed yet become its share. */
static void fix(weft_clock_share *s, const weft_port *p, double share)
{
    for (int leg = p->first; leg >= 0; leg = s->streams[leg / LEGS].next[leg % LEGS]) {
        weft_stream *t = &s->streams[leg / LEGS];
        if (t->fixed == s->turn)
            continue;
        t->fixed = s->turn;
        t->fresh = share;
        for (int k = 0; k < t->ports; k++) {
            weft_port *q = &s->ports[t->port[k]];
            q->open--;
            q->load += share;
            q->left = q->left > share ? q->left - share : 0;
        }
    }
}

static void fill(weft_clock_share *s, int ports, double now)
{
    int count = 0;

    for (int i = 0; i < ports; i++) {
        weft_port *p = &s->ports[s->group_ports[i]];
        if (p->burst > 0)
            p->bucket = content(p, now);
        p->since = now;
        p->open = p->streams;
        p->left = capacity(s, p, &p->load);
        if (p->open > 0 && isfinite(p->left))
            queue_put(s, count++, s->group_ports[i], p->left / p->open);
    }
    while (count > 0) {
        const int port = queue_pop(s, count--);
        weft_port *p = &s->ports[port];
        if (p->open == 0)
            continue;
        const double share = p->left / p->open;
        if (share > s->share[port] * (1 + 1e-12))
            queue_put(s, count++, port, share);
        else
            fix(s, p, share);
    }
}

static bool same(double a, double b)
{
    return a == b || (isfinite(a) && isfinite(b) && fabs(a - b) <= 1e-13 * a);
}

void weft_clock_share_settle(weft_clock_share *s, double now)
{
    int ports, streams;

    if (s->dirty_count == 0)
        return;
    gather(s, &ports, &streams);
    fill(s, ports, now);
    for (int i = 0; i < streams; i++) {
        weft_stream *t = &s->streams[s->group_streams[i]];
        const double fresh = t->fixed == s->turn ? t->fresh : (double)INFINITY;
        if (same(fresh, t->rate)) /* keep the end that was worked out */
            continue;
        if (isfinite(t->rate))
            t->left -= t->rate * (now - t->since);
        t->left = t->left > 0 ? t->left : 0;
        t->since = now;
        t->rate = fresh;
        weft_clock_heap_set(s->heap, s->first_stream + s->group_streams[i], ends_at(t));
    }
    for (int i = 0; i < ports; i++) {
        const weft_port *p = &s->ports[s->group_ports[i]];
        const int thing = s->first_port + s->group_ports[i];
        if (p->burst > 0 && p->bucket > 0 && p->load > p->rate)
            weft_clock_heap_set(s->heap, thing, now + p->bucket / (p->load - p->rate));
        else
            weft_clock_heap_drop(s->heap, thing);
    }
}
