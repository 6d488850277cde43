/* SPDX-License-Identifier: Apache-2.0 */
#include "pair_probe.h"

#include <stdlib.h>
#include <string.h>

#include <weft/p2p.h>

#include "report.h"

/* Round trips: the first ones open the connection and are not counted. By time: at least and at
 * most so many, and until so many seconds have passed; of the stream at most so many messages. */
enum { TRIPS_WARM = 5, TRIPS_LEAST = 20, TRIPS_MOST = 1000, STREAM_MOST = 1000 };
/* A receiver that sees the first message late finds a window of them there: so many windows, where
 * the number is given, bound what that adds to the rate. By time there are more, or each is slow.
 */
enum { STREAM_LEAST = 4 * WEFT_PROBE_WINDOW };
static const double trips_seconds = 0.05, stream_seconds = 0.1;

enum { TAG_PING = 1, TAG_PONG, TAG_STREAM };

/* What every message begins with. */
typedef struct head {
    uint64_t index; /* from 0 */
    uint64_t more; /* of a ping 1: another one comes; in the stream: the one a window later comes */
} head;

_Static_assert(sizeof(head) <= WEFT_PROBE_SMALL, "a small message holds a head");

int weft_probe_prepare(weft_probe *p)
{
    const size_t all = p->bytes * WEFT_PROBE_WINDOW; /* the option's range keeps it far from 2^64 */
    p->trips_cap = p->iters > 0 ? (size_t)p->iters : TRIPS_MOST;
    p->trips = calloc(p->trips_cap, sizeof(*p->trips));
    p->buffers = malloc(all);
    if (p->trips == NULL || p->buffers == NULL) {
        return weft_peer_fail(p->peer, WEFT_EXIT_WRONG, "no memory for %zu bytes of messages", all);
    }
    (void)memset(p->buffers, 0x5a, all); /* pages that are not there yet would be timed */
    return 0;
}

void weft_probe_release(weft_probe *p)
{
    free(p->trips);
    free(p->buffers);
}

static int check_head(const weft_probe *p, const unsigned char *message, int from, uint64_t index,
                      head *ret)
{
    (void)memcpy(ret, message, sizeof(*ret));
    if (ret->index != index) {
        return weft_peer_fail(p->peer, WEFT_EXIT_WRONG,
                              "message %llu from rank %d arrived as message %llu",
                              (unsigned long long)index, from, (unsigned long long)ret->index);
    }
    return 0;
}

static int send_small(const weft_probe *p, int to, uint32_t tag, const head *h)
{
    unsigned char message[WEFT_PROBE_SMALL] = {0};
    (void)memcpy(message, h, sizeof(*h));
    return weft_send(p->peer->group, message, sizeof(message), WEFT_U8, to, tag, NULL) == WEFT_OK
               ? 0
               : weft_peer_error(p->peer, "send");
}

static int receive_small(const weft_probe *p, int from, uint32_t tag, uint64_t index, head *ret)
{
    unsigned char message[WEFT_PROBE_SMALL];
    if (weft_recv(p->peer->group, message, sizeof(message), WEFT_U8, from, tag, NULL) != WEFT_OK) {
        return weft_peer_error(p->peer, "receive");
    }
    return check_head(p, message, from, index, ret);
}

/* Send there and wait until it is back. */
static int ping(weft_probe *p, int to, double *ret_latency)
{
    const double begun = weft_seconds();
    size_t timed = 0;
    int bad = 0;
    head h = {.index = 0, .more = 1}, back;
    for (; bad == 0 && h.more; h.index++) {
        const bool warm = h.index<TRIPS_WARM, enough = weft_seconds() - begun> trips_seconds;
        const size_t with_this = timed + !warm;
        h.more = with_this < (p->iters > 0 ? p->trips_cap : enough ? TRIPS_LEAST : TRIPS_MOST);
        const double start = weft_seconds();
        bad = send_small(p, to, TAG_PING, &h);
        bad = bad != 0 ? bad : receive_small(p, to, TAG_PONG, h.index, &back);
        if (!warm) {
            p->trips[timed++] = weft_seconds() - start;
        }
    }
    if (bad == 0) {
        *ret_latency = weft_median(p->trips, timed) / 2.0;
    }
    return bad;
}

static int pong(const weft_probe *p, int from)
{
    head h = {.more = 1};
    int bad = 0;
    for (uint64_t i = 0; bad == 0 && h.more; i++) {
        bad = receive_small(p, from, TAG_PING, i, &h);
        bad = bad != 0 ? bad : send_small(p, from, TAG_PONG, &h);
    }
    return bad;
}

static int finish(const weft_probe *p, weft_request **request)
{
    const int code = *request != NULL ? weft_wait(*request, WEFT_FOREVER) : WEFT_OK;
    const int bad = code == WEFT_OK ? 0 : weft_peer_error(p->peer, "stream");
    weft_request_free(request);
    return bad;
}

static int stream(weft_probe *p, int to)
{
    weft_request *requests[WEFT_PROBE_WINDOW] = {NULL};
    const double begun = weft_seconds();
    uint64_t total = UINT64_MAX; /* not decided yet */
    int bad = 0;
    for (uint64_t i = 0; bad == 0 && i < total; i++) {
        const size_t slot = i % WEFT_PROBE_WINDOW;
        unsigned char *message = p->buffers + slot * p->bytes;
        bad = finish(p, &requests[slot]);
        const uint64_t next = i + WEFT_PROBE_WINDOW;
        const bool more = total == UINT64_MAX &&
                          (p->iters > 0 ? next < STREAM_LEAST || next < (uint64_t)p->iters
                                        : i == 0 || (next < STREAM_MOST &&
                                                     weft_seconds() - begun < stream_seconds));
        total = total == UINT64_MAX && !more ? next : total;
        const head h = {.index = i, .more = more};
        (void)memcpy(message, &h, sizeof(h));
        if (bad == 0 && weft_send_start(p->peer->group, message, p->bytes, WEFT_U8, to, TAG_STREAM,
                                        NULL, &requests[slot]) != WEFT_OK) {
            bad = weft_peer_error(p->peer, "stream");
        }
    }
    for (size_t i = 0; i < WEFT_PROBE_WINDOW; i++) {
        if (bad == 0) {
            bad = finish(p, &requests[i]);
        }
        weft_request_free(&requests[i]);
    }
    return bad;
}

static int expect(const weft_probe *p, int from, size_t slot, weft_request **ret)
{
    return weft_recv_start(p->peer->group, p->buffers + slot * p->bytes, p->bytes, WEFT_U8, from,
                           TAG_STREAM, NULL, ret) == WEFT_OK
               ? 0
               : weft_peer_error(p->peer, "stream");
}

static int take_stream(const weft_probe *p, int from, double *ret_rate)
{
    weft_request *requests[WEFT_PROBE_WINDOW] = {NULL};
    uint64_t total = UINT64_MAX;
    double first = 0.0, last = 0.0;
    int bad = 0;
    for (size_t slot = 0; bad == 0 && slot < WEFT_PROBE_WINDOW; slot++) {
        bad = expect(p, from, slot, &requests[slot]);
    }
    for (uint64_t i = 0; bad == 0 && i < total; i++) {
        const size_t slot = i % WEFT_PROBE_WINDOW;
        head h = {0};
        bad = finish(p, &requests[slot]);
        last = weft_seconds();
        first = i == 0 ? last : first;
        bad = bad != 0 ? bad : check_head(p, p->buffers + slot * p->bytes, from, i, &h);
        if (bad == 0 && h.more) {
            bad = expect(p, from, slot, &requests[slot]);
        } else if (total == UINT64_MAX) {
            total = i + WEFT_PROBE_WINDOW;
        }
    }
    for (size_t i = 0; i < WEFT_PROBE_WINDOW; i++) {
        weft_request_free(&requests[i]);
    }
    if (bad == 0) {
        const double seconds = last - first > 1e-9 ? last - first : 1e-9; /* the clock's step */
        *ret_rate = (double)(total - 1) * (double)p->bytes / seconds;
    }
    return bad;
}

int weft_probe_pair(weft_probe *p, int from, int to, double *ret_latency, double *ret_rate)
{
    const bool sends = p->peer->rank == from;
    const int bad = sends ? ping(p, to, ret_latency) : pong(p, from);
    if (bad != 0) {
        return bad;
    }
    return sends ? stream(p, to) : take_stream(p, from, ret_rate);
}
