/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in motion. A stream carries one message after the other through up to WEFT_PORTS_MOST
 * ports; the streams of a port share it max-min fair: all rates rise alike until a port is full,
 * whose streams stay there, and so on. Rates change when a stream starts or stops, or a port's
 * bucket runs dry, and only of the streams that are joined to it by ports that are in use.
 */
#ifndef WEFT_PLAN_CLOCK_SHARE_H
#define WEFT_PLAN_CLOCK_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/clock_heap.h"

enum { WEFT_PORTS_MOST = 5 };

typedef struct weft_port {
    double rate;   /* bytes per second; INFINITY: no limit */
    double burst;  /* a full bucket, bytes; 0: none */
    double peak;   /* bytes per second while the bucket is not empty */
    double ack;    /* share of the rate taken away while `back` is in use */
    double incast; /* share of the rate lost for each stream but one */
    int back;      /* port of the other direction, -1: none */
    /* below: clock_share.c */
    double bucket, since; /* content at that time */
    double load;          /* bytes per second that pass now */
    double moved;         /* bytes of messages that have passed */
    int streams, first;   /* now; a leg, -1 */
    bool dirty;
    uint64_t seen;
    double left; /* while rates are shared out */
    int open;
} weft_port;

typedef struct weft_stream {
    int port[WEFT_PORTS_MOST];
    int ports;
    /* below: clock_share.c */
    bool active;
    uint64_t seen, fixed;
    double rate, left, since; /* bytes of its message still to go at that time */
    double bytes;             /* of its message */
    double fresh;             /* its next rate */
    int next[WEFT_PORTS_MOST], prev[WEFT_PORTS_MOST]; /* legs of the same port */
} weft_stream;

typedef struct weft_clock_share {
    weft_clock_heap *heap;
    weft_port *ports;
    weft_stream *streams;
    int port_count, stream_count;
    int first_stream, first_port; /* their numbers in the heap */
    uint64_t turn;
    int *dirty, dirty_count;
    int *group_ports, *group_streams; /* those joined to what changed */
    int *queue;                       /* ports by share: a heap of its own */
    double *share;
} weft_clock_share;

/* Ports and streams are the caller's to describe before the first start. In the heap stand, from
 * first_stream on, the ends of the streams' messages, and from first_port on the buckets that run
 * dry. 0 or WEFT_ENOMEM. */
int weft_clock_share_open(weft_clock_share *s, weft_clock_heap *heap, int ports, int streams,
                          int first_stream, int first_port);
void weft_clock_share_close(weft_clock_share *s);

/* A message of so many bytes enters a stream that stands still. */
void weft_clock_share_start(weft_clock_share *s, double now, int stream, double bytes);
/* The message of a stream is through (its time has come): the next right behind it, or none. */
void weft_clock_share_next(weft_clock_share *s, double now, int stream, double bytes);
void weft_clock_share_stop(weft_clock_share *s, double now, int stream);
/* The bucket of a port is empty (its time has come). */
void weft_clock_share_dry(weft_clock_share *s, double now, int port);
/* After all that happened at one time: share out anew what changed. */
void weft_clock_share_settle(weft_clock_share *s, double now);
/* Is there something in the bucket? */
bool weft_clock_share_bursts(const weft_clock_share *s, double now, int port);

#endif
