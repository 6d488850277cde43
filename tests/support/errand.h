/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that only meet: processes that are sent on an errand, and report what came of it. */
#ifndef WEFT_TESTS_SUPPORT_ERRAND_H
#define WEFT_TESTS_SUPPORT_ERRAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "link/link.h"

enum { ERRAND_PEERS = 6, ERRAND_WAIT_MS = 20000 };

/* What one peer is asked to do. */
typedef struct errand {
    int peers, rank;
    char meet[256], job[64];
    int64_t timeout_ms;
    int tell_version;   /* speak this major version of the protocol; 0: ours */
    int refused_port;   /* this seed is not mine to serve; 0: all are; -1: none */
    bool leave_at_once; /* do not wait for the word to leave */
    bool own_folder;
} errand;

/* And what came of it. */
typedef struct report {
    int status, rank, size, error_rank;
    uint64_t hash;
    uint8_t uuid[16];
    size_t early;
    bool has_seed, has_file;
    char text[1024];
} report;

/* What the links of all peers on errands did, in memory that they share. */
typedef struct errand_counters {
    int binds, refused_binds, downs, ups, frames;
} errand_counters;

typedef struct runner {
    pid_t pid;
    int report_from, leave_to;
} runner;

extern errand_counters *errand_counts;    /* since the first errand_start() */
extern char errand_folder[64];            /* a folder of this test */
extern const weft_link_type *errand_real; /* the tcp link, not watched */

/* .init and .fini of a suite. */
void errand_make_folder(void);
void errand_remove_folder(void);

/* Errands of rank -1: by order. The folder is `meet` in this test's. */
errand errand_by_file(int peers, int rank);
errand errand_by_seed(int peers, int rank, int port);
/* A port that was free a moment ago. */
int errand_free_port(void);

/* Send a process on an errand; read its report; let it go (after its report); or kill it. */
runner errand_start(const errand *e);
report errand_report(const runner *r);
void errand_stop(const runner *r);
void errand_kill(const runner *r);

/* All met: sizes, hashes, and each rank once, the wished one where there is a wish. */
void errand_check_met(const runner *runners, const errand *errands, int peers);
/* Start, check, stop. */
void errand_meet_all(const errand *errands, int peers);

/* Until one of the counts reaches a value. */
void errand_await(const int *count, int value);
/* Entries in a folder; until so many are there. */
int errand_files(const char *folder);
void errand_await_files(const char *folder, int count);
/* A file below this test's folder. */
void errand_put_file(const char *name, const char *text, size_t len);

/* A tcp link on loopback. */
weft_link *errand_link(void);

#endif
