/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of real peers for a test: processes over tcp or ipc, or threads over mem.
 *
 * Processes are forked before any weft call, die with the test, and open their group over
 * 127.0.0.1 in a folder of their own. A peer runs the test's body and tells with MUST() what does
 * not hold; the test sees it in cluster_join(). Peers, threads or processes, write what is to be
 * compared into memory from cluster_shared().
 */
#ifndef WEFT_TESTS_CLUSTER_H
#define WEFT_TESTS_CLUSTER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/weft.h>

typedef enum cluster_link { CLUSTER_TCP, CLUSTER_IPC, CLUSTER_MEM, CLUSTER_LINKS } cluster_link;

enum { CLUSTER_MAX = 9 };

typedef struct cluster cluster;

/* One peer, in its own process or thread. */
typedef struct member {
    int rank, size;
    cluster_link link;
    weft_group *group; /* open; the body may close it, else it is closed when the body returns */
    void *user;
    const char *folder; /* where the peers meet */
    weft_hub *hub;      /* mem only */
    cluster *cluster;
} member;

typedef void cluster_body(member *me);

typedef struct cluster_plan {
    cluster_link link;
    int size;
    cluster_body *body;
    void *user;
    /* Changes the options before the group is opened; NULL: default. */
    void (*options)(weft_group_opts *o, const member *me);
    bool unopened;    /* the body opens me->group itself, see member_options() */
    int64_t limit_ms; /* a process that lives longer fails the test; 0: 60 s */
} cluster_plan;

/* Zeroed memory that the test and all its peers see; lasts until the test ends. */
void *cluster_shared(size_t bytes);

cluster *cluster_start(const cluster_plan *plan);
/* SIGKILL, SIGSTOP, SIGCONT to a peer's process; death by SIGKILL is then no failure. */
void cluster_signal(cluster *c, int rank, int sig);
/* Wait for every peer's end. */
void cluster_wait(cluster *c);
/* The same, and free; the test fails when one told of a failure, or died. */
void cluster_join(cluster *c);
/* Start and join. */
void cluster_run(cluster_link link, int size, cluster_body *body, void *user);
/* The folder where the peers of this cluster meet. */
const char *cluster_folder(const cluster *c);
/* Files in it. */
int cluster_leftovers(const cluster *c);

const char *cluster_link_name(cluster_link link);
/* What a promise of so many milliseconds may take here: more under sanitizers, and as many times
 * as WEFT_TEST_PATIENCE says, where more tests run than there are cores. */
int64_t cluster_patience(int64_t ms);

/* For a peer. */
void member_options(const member *me, weft_group_opts *ret);
/* Keep the first failure of this peer. */
void member_failed(const member *me, const char *file, int line, const char *what,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* When it does not hold, the peer tells so, in the words of the format, and leaves the body. */
#define MUST(me, condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            member_failed(me, __FILE__, __LINE__, #condition, __VA_ARGS__);                        \
            return;                                                                                \
        }                                                                                          \
    } while (0)
/* A call that must succeed. */
#define MUST_OK(me, call)                                                                          \
    do {                                                                                           \
        const int must_code = (call);                                                              \
        if (must_code != WEFT_OK) {                                                                \
            member_failed(me, __FILE__, __LINE__, #call, "%s: %s", weft_status_name(must_code),    \
                          weft_last_error()->message);                                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)
/* A call that must end with this code. */
#define MUST_END(me, want, call)                                                                   \
    do {                                                                                           \
        const int must_code = (call);                                                              \
        if (must_code != (want)) {                                                                 \
            member_failed(me, __FILE__, __LINE__, #call, "%s (%s), not " #want,                    \
                          weft_status_name(must_code),                                             \
                          must_code < 0 ? weft_last_error()->message : "");                        \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* A place where peers, or the test, wait for one another: as many may pass as were let through.
 * Made before the cluster is started. */
typedef struct gate {
    int fd[2];
} gate;
gate gate_new(void);
void gate_open(const gate *g, int tickets);
/* false: nobody opened it in time. */
bool gate_pass(const gate *g);
/* false: it is still closed after so many milliseconds. */
bool gate_pass_within(const gate *g, int64_t ms);

#endif
