/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process in front of a peer: it listens on loopback, the peer advertises its endpoint instead of
 * its own, and once the peer is there it tells the port to lead to. It dies with the test.
 */
#ifndef WEFT_TESTS_DOORWAY_H
#define WEFT_TESTS_DOORWAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct doorway {
    char endpoint[64]; /* "tcp://127.0.0.1:40123" */
    int listening;     /* in the process of the doorway */
    int told[2];       /* a pipe: the port of the peer behind */
    pid_t pid;
} doorway;

/* Start the process; it ends when serve() returns. */
void doorway_open(doorway *ret, void (*serve)(const doorway *d, void *user), void *user);
/* In that process: wait until the peer has told where it is. Later calls tell the same. */
bool doorway_wait(const doorway *d, struct sockaddr_in *ret);
/* In the peer behind it: lead to the port where this process listens. */
bool doorway_lead_here(const doorway *d);
/* Kill the process. */
void doorway_close(doorway *d);

#endif
