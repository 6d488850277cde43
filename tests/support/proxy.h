/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process between peers that damages one frame: it takes ZeroMQ connections in front of a peer,
 * passes everything on, and does one thing to one DATA frame on its way.
 */
#ifndef WEFT_TESTS_PROXY_H
#define WEFT_TESTS_PROXY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum proxy_fault {
    PROXY_NOTHING,
    PROXY_FLIP_BODY,   /* one bit of the body */
    PROXY_FLIP_HEADER, /* one bit of the header */
    PROXY_FLIP_LENGTH, /* one bit of ZeroMQ's own length */
    PROXY_SKIP,        /* the frame gets the next sequence number, all checksums right */
    PROXY_REPLAY,      /* it goes twice */
    PROXY_LOSE,        /* it does not go */
    PROXY_BEYOND,      /* it is of a lane nobody granted, all checksums right */
    PROXY_STRANGER,    /* it says it is from another rank, all checksums right */
    PROXY_CUT,         /* the connection ends in the middle of it */
    PROXY_FAULTS
} proxy_fault;

typedef struct proxy proxy;

/* Start it: it damages the `nth` DATA frame that passes, counted from 0, bits chosen by seed. */
proxy *proxy_start(proxy_fault fault, int nth, uint64_t seed);
/* Where to reach it: "tcp://127.0.0.1:40123". */
const char *proxy_endpoint(const proxy *p);
/* In the peer behind it: pass everything on to the port where this process listens. */
bool proxy_lead_here(const proxy *p);
/* End it. Was the frame damaged? */
bool proxy_stop(proxy *p);
const char *proxy_fault_name(proxy_fault fault);

#endif
