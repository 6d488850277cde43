/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bad weather on a network without touching the network: a relay of TCP connections that delays,
 * stalls and ends them.
 *
 * A direction of a connection is cut into packets of WEATHER_PACKET bytes, counted from 0. What
 * happens to a packet is a function of seed, connection (numbered as they come), direction and
 * packet, and of nothing else. TCP never loses or reorders bytes, so a lost packet is one that
 * comes a retransmission later and holds up what is behind it, and order changes between
 * connections only: each has its own delays.
 */
#ifndef WEFT_TESTS_WEATHER_H
#define WEFT_TESTS_WEATHER_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

enum { WEATHER_PACKET = 1448, WEATHER_CONNECTIONS = 64 };

typedef struct weather {
    uint64_t seed;
    int64_t delay_ns, jitter_ns; /* a packet takes delay … delay + jitter */
    double loss;                 /* chance of a packet to be lost, 0 … 1 */
    int64_t resend_ns;           /* how much later a lost one comes */
    double rate;                 /* bytes a second in a direction of a connection; 0: any */
    /* Once so many bytes of a direction of a connection have passed; 0: never. */
    uint64_t cut_after;  /* that connection is closed on both sides */
    uint64_t mute_after; /* from then on nothing passes on any connection, and none is closed */
} weather;

/* What happened so far; a process that shares the memory may look. */
typedef struct weather_counts {
    atomic_ullong connections, packets, lost, cuts, muted, refused;
} weather_counts;

/* How long a packet is under way: delay, its jitter, its retransmission. */
int64_t weather_wait_ns(const weather *w, uint64_t connection, int direction, uint64_t packet);
/* Is it one of the lost? */
int weather_loses(const weather *w, uint64_t connection, int direction, uint64_t packet);

/* Relay what comes to the listening socket to that address until *stop is not 0. Returns 0, or
 * errno when there is no going on. A connection whose other side cannot be reached is closed; so is
 * one above WEATHER_CONNECTIONS at a time. */
int weather_serve(const weather *w, int listening, const struct sockaddr_in *to,
                  weather_counts *counts, const atomic_int *stop);

#endif
