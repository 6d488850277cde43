/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting: from "P peers somewhere" to one sorted list that every one of them holds.
 *
 * Bind first, then publish an entry; collect P entries of the same job; sort; publish the list's
 * hash; begin when all P published the same hash. Where entries are published is a finder's affair
 * (finder.h): a shared folder (find_file.c) or the peers at seed endpoints (find_seed.c). A job id
 * names one run: what a peer that was killed left behind is recognized on its own host by the dead
 * process; on other hosts only a new job id tells two runs at one place apart.
 */
#ifndef WEFT_ROSTER_ROSTER_H
#define WEFT_ROSTER_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "link/link.h"

enum { WEFT_ENDPOINT_TEXT = 128, WEFT_ROSTER_ENDPOINTS = 2, WEFT_JOB_TEXT = 128 };

/* One peer as published. */
typedef struct weft_entry {
    uint8_t uuid[16]; /* incarnation */
    uint8_t host[16]; /* machine id and network namespace: equal on one host */
    int rank;         /* wished, -1: none */
    char endpoint[WEFT_ROSTER_ENDPOINTS][WEFT_ENDPOINT_TEXT]; /* tcp, ipc; "" when not there */
    uint64_t arrival; /* the host's monotonic clock when it came: order within one host */
    uint64_t ready;   /* hash of the sorted list once this peer holds all of it, else 0 */
} weft_entry;

/* What a seed needs to go on answering latecomers once the group is open. */
typedef struct weft_seed weft_seed;

typedef struct weft_roster {
    int size, rank;         /* rank: own position */
    weft_entry *entries;    /* those with a wished rank at that place, the others between them by */
                            /* host, arrival, uuid */
    uint64_t hash;          /* of the sorted list and the job: the group tag */
    weft_seed *seed;        /* NULL unless met by seeds */
    weft_link_event *early; /* events that came while meeting and are not for it (a fast peer's */
    size_t early_count;     /* HELLO): the engine takes them first; it then owns their messages */
    char *file;             /* own entry in a meeting folder, removed with the roster; else NULL */
    pid_t owner;            /* the process that met */
    char *folder;           /* the job's own folder, removed once empty; else NULL */
} weft_roster;

/* Where and how, after environment and options were merged. */
typedef struct weft_meeting {
    int peers, rank; /* rank -1: by order */
    char job[WEFT_JOB_TEXT];
    char meet[512];  /* "file:///dir", "tcp://a:1,tcp://b:2" */
    char tried[512]; /* how options and environment were read, for error texts */
    bool own_folder; /* meet is a folder of this job alone, made by its launcher's */
                     /* name: private to the user, removed once empty */
    int64_t deadline_ns;
    const weft_log *log; /* NULL: silent */
} weft_meeting;

/* Meet. `self` is the own entry (uuid, host, rank, endpoints filled in); link is the bound link,
 * used by the seed finder for as long as this runs (a file meeting leaves it alone, NULL will do).
 * A group of one needs no place. 0; WEFT_ETIMEDOUT naming the missing ranks or how many, and what
 * was tried; WEFT_EDUPLICATE; WEFT_EVERSION; WEFT_EINVAL place malformed, or peers that disagree on
 * their number; WEFT_EIO; WEFT_EPEER one gave up after the list was agreed; WEFT_ENOMEM. */
int weft_roster_meet(weft_roster *ret, const weft_meeting *m, const weft_entry *self,
                     weft_link *link);
void weft_roster_free(weft_roster *r);

/* Merge options with the environment: WEFT_* first, then torchrun, mpirun, srun. Threads that meet
 * at a hub do not come here. `log` and the deadline are for the caller to set. 0 or WEFT_EINVAL
 * that names the variables. getenv_fn: for tests; NULL: getenv. */
typedef const char *weft_getenv_fn(void *user, const char *name);
struct weft_group_opts;
int weft_launch_read(const struct weft_group_opts *opts, weft_getenv_fn *getenv_fn, void *user,
                     weft_meeting *ret);

/* The IPv4 address to bind: that of the first interface that WEFT_SOCKET_IFNAME names (a comma list
 * of prefixes; "=" before the list: exact names; "^" before it: all but these), else the address
 * that leads to the first seed, else (file meeting, or a seed that is this host by name) the first
 * that is up and not loopback, container bridges last, else 127.0.0.1. 0; WEFT_EINVAL no interface
 * fits ifname, the text lists those there are; WEFT_EIO. */
int weft_address_choose(const weft_meeting *m, const char *ifname, char out[64]);
/* true for RFC 1918, loopback, link-local and unique local addresses. */
bool weft_address_private(const char *endpoint);
/* Equal for processes on one host and network namespace: from machine id, boot id (cloned machines
 * share the former) and namespace. The first WEFT_MACHINE_BYTES are equal for processes that share
 * a kernel, and so its cores, whatever their namespaces and containers. */
enum { WEFT_MACHINE_BYTES = 8 };
int weft_host_id(uint8_t out[16]);

/* A frame of kind ROSTER that came after opening: answer it. Takes the message. NULL-safe in seed:
 * the frame is then dropped. */
void weft_seed_frame(weft_seed *seed, weft_link *link, uint32_t conn, weft_message *m);

#endif
