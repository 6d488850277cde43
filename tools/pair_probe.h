/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency and rate from one peer to another, over weft_send and weft_recv, while nobody else does
 * anything.
 *
 * Latency: half of a round trip of a small message, the median. Rate: of a stream of long ones with
 * a few under way at a time, from the arrival of the first to that of the last, as the receiver
 * sees it: so it holds neither the latency nor what the network between them keeps. How many of
 * either there are, the sender decides as it goes; every message says whether more come.
 */
#ifndef WEFT_TOOLS_PAIR_PROBE_H
#define WEFT_TOOLS_PAIR_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "peers.h"

enum {
    WEFT_PROBE_SMALL = 16, /* bytes of a small message */
    WEFT_PROBE_WINDOW = 4  /* long messages under way */
};

typedef struct weft_probe {
    weft_peer *peer;
    size_t bytes;           /* of a long message, WEFT_PROBE_SMALL at least */
    int64_t iters;          /* timed round trips, and long messages; 0: by time */
    unsigned char *buffers; /* one for each long message under way */
    double *trips;          /* seconds of round trips */
    size_t trips_cap;
} weft_probe;

/* 0, or the exit status after telling. Release in any case. */
int weft_probe_prepare(weft_probe *p);
void weft_probe_release(weft_probe *p);

/* Called by both. Rank `from` gets the latency in seconds, rank `to` the rate in bytes per second;
 * the other figure is left. 0, or the exit status after telling. */
int weft_probe_pair(weft_probe *p, int from, int to, double *ret_latency, double *ret_rate);

#endif
