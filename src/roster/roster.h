/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting: from "P peers somewhere" to one sorted list that every one of them holds.
 *
 * Bind first, then publish an entry; collect P entries of the same job; sort; publish the list's
 * hash; begin when all P published the same hash.
 */
#ifndef WEFT_ROSTER_ROSTER_H
#define WEFT_ROSTER_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "link/link.h"

enum { WEFT_ENDPOINT_TEXT = 128, WEFT_ROSTER_ENDPOINTS = 2, WEFT_JOB_TEXT = 128 };

/* One peer as published. */
typedef struct weft_entry {
    uint8_t uuid[16];   /* incarnation */
    uint8_t host[16];   /* machine id and network namespace: equal on one host */
    int rank;           /* wished, -1: none */
    char endpoint[WEFT_ROSTER_ENDPOINTS][WEFT_ENDPOINT_TEXT]; /* tcp, ipc; "" when not there */
    uint64_t arrival;   /* order at the meeting place, where it has one */
    uint64_t ready;     /* hash of the sorted list once this peer holds all of it, else 0 */
} weft_entry;

/* What a seed needs to go on answering latecomers once the group is open. */
typedef struct weft_seed weft_seed;

typedef struct weft_roster {
    int size, rank;       /* rank: own position */
    weft_entry *entries;  /* sorted: by wished rank, else host and arrival, else uuid */
    uint64_t hash;        /* of the sorted list and the job: the group tag */
    weft_seed *seed;      /* NULL unless met by seeds */
    weft_link_event *early; /* events that came while meeting and are not for it (a fast peer's */
    size_t early_count;     /* HELLO): the engine takes them first; it then owns their messages */
} weft_roster;

/* Where and how, after environment and options were merged. */
typedef struct weft_meeting {
    int peers, rank;                 /* rank -1: by order */
    char job[WEFT_JOB_TEXT];
    char meet[512];                  /* "file:///dir", "tcp://a:1,tcp://b:2", "hub" */
    char tried[512];                 /* how the environment was read, for error texts */
    int64_t deadline_ns;
    const weft_log *log;
} weft_meeting;

/* Meet. `self` is the own entry (uuid, host, rank, endpoints filled in); link is the bound link,
 * used by the seed finder for as long as this runs. 0; WEFT_ETIMEDOUT naming the missing ranks or
 * how many, and what was tried; WEFT_EDUPLICATE; WEFT_EIO; WEFT_EPEER one gave up. */
int weft_roster_meet(weft_roster *ret, const weft_meeting *m, const weft_entry *self,
                     weft_link *link);
void weft_roster_free(weft_roster *r);

/* Merge options with the environment: WEFT_* first, then torchrun, mpirun, srun. 0 or WEFT_EINVAL
 * that names the variables. getenv_fn: for tests; NULL: getenv. */
typedef const char *weft_getenv_fn(void *user, const char *name);
struct weft_group_opts;
int weft_launch_read(const struct weft_group_opts *opts, weft_getenv_fn *getenv_fn, void *user,
                     weft_meeting *ret);

/* The address to bind: WEFT_SOCKET_IFNAME (a comma list of prefixes, "=name" exact, "^name" not),
 * else the interface that leads to the first seed, else for a file meeting the first address that
 * is up and not loopback, else 127.0.0.1. */
int weft_address_choose(const weft_meeting *m, const char *ifname, char out[64]);
/* true for RFC 1918, loopback, link-local and unique local addresses. */
bool weft_address_private(const char *endpoint);
/* Equal for processes on one host and network namespace. */
int weft_host_id(uint8_t out[16]);

/* A frame of kind ROSTER that came after opening: answer it. Takes the message. */
void weft_seed_frame(weft_seed *seed, weft_link *link, uint32_t conn, weft_message *m);

#endif
