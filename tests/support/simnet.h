/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines of all ranks of a group in one process and in virtual time: no threads, no sockets, no
 * sleeping. A seed chooses how long frames take, how events and slices of work interleave, whether
 * frames travel by reference or as copies, and how the end of a connection shows. The same seed
 * gives the same run.
 *
 * A fault happens when so many frames have been sent. What an engine may never do, whatever
 * happens, is looked at after every event; the first offence is kept in words.
 */
#ifndef WEFT_TESTS_SUPPORT_SIMNET_H
#define WEFT_TESTS_SUPPORT_SIMNET_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

typedef enum simnet_kind {
    SIMNET_KILL,   /* rank dies: its connections go down, dials to it are refused */
    SIMNET_VANISH, /* rank is heard of no more, its connections stay up */
    SIMNET_STALL,  /* rank stops for ns */
    SIMNET_STOP,   /* rank closes its group: BYE */
    SIMNET_CUT,    /* the connection of rank and peer, or the next one, goes down at both ends */
    SIMNET_SLOW,   /* frames from rank to peer take ns longer */
    SIMNET_REFUSE, /* dials between rank and peer fail for ns */
    SIMNET_FLIP,   /* a bit of the frame is flipped */
    SIMNET_LOSE,   /* the frame is lost */
    SIMNET_TWICE,  /* the frame comes twice */
    SIMNET_SWAP,   /* the frame comes after the one behind it */
    SIMNET_KINDS
} simnet_kind;

typedef struct simnet_fault {
    simnet_kind kind;
    int rank, peer;
    uint64_t at; /* frames sent before it; of FLIP to SWAP: the frame */
    int64_t ns;
    bool done; /* out: it happened; rank and peer of FLIP to SWAP are then the frame's */
} simnet_fault;

enum { SIMNET_RANKS = 16, SIMNET_FAULTS = 4 };

typedef struct simnet_opts {
    int size;
    uint64_t seed;
    uint64_t keys; /* the engines' seed: of the codecs' random numbers */
    int64_t dead_ns;
    int64_t delay_ns; /* most that a frame takes */
    int64_t work_ns;  /* most that a slice of work takes */
    bool sum;         /* body checksums */
    /* A request ended on a rank; it stays the caller's. */
    void (*ended)(void *user, int rank, weft_request *r);
    void *user;
} simnet_opts;

typedef struct simnet simnet;

simnet *simnet_open(const simnet_opts *o); /* NULL: out of memory */
/* Ends what still runs. NULL-safe. */
void simnet_close(simnet **net);

void simnet_inject(simnet *net, const simnet_fault *fault);
/* The i-th fault, as it came about. */
const simnet_fault *simnet_fault_at(const simnet *net, int i);

/* The rank calls, cancels, at that time. */
void simnet_call(simnet *net, int64_t at, int rank, weft_request *r);
void simnet_cancel(simnet *net, int64_t at, int rank, weft_request *r);

/* Until every request on every live rank has ended and nothing is under way any more, or until that
 * time. true: the former. */
bool simnet_run(simnet *net, int64_t until);

int64_t simnet_now(const simnet *net);
uint64_t simnet_frames(const simnet *net); /* sent so far */
bool simnet_live(const simnet *net, int rank);
weft_engine *simnet_engine(simnet *net, int rank);
/* The first thing an engine did that it must not; "" when there is none. */
const char *simnet_offence(const simnet *net);
/* What a live rank keeps though every operation has ended; "" when it is nothing. After failures a
 * frame may wait for a link that nobody had the time to make. */
const char *simnet_leftover(simnet *net, int rank);

#endif
