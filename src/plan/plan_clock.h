/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation in virtual time: the plans of all ranks, lanes, grants and frames as the engine has
 * them (src/engine), over links that are shared.
 *
 * A rank is one thread: it takes what came, then works at its lanes in turn, a heavy step each. A
 * message goes through its connection behind those before it, at the rate that the ports on its
 * way give (clock_share.h), then flies for the latency. A rank's plan is built when it starts,
 * kept as a tape (plan_tape.h) while it is at work and freed when it is done. Memory grows with the
 * steps at work, the pairs that talk and the messages under way.
 */
#ifndef WEFT_PLAN_PLAN_CLOCK_H
#define WEFT_PLAN_PLAN_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/plan.h"
#include <weft/explain.h>

enum { WEFT_CLOCK_LANES = 64 }; /* most at work at a time */

typedef struct weft_clock_job {
    int size;
    uint64_t lanes; /* of the operation, at least 1 */
    bool rest;      /* the last lane is shorter: another plan */
    size_t element_bytes;
    const int *host; /* per rank, 0 …; NULL: all on one */
    int hosts;
    /* The checked plan of a rank, of the last lane or of one before it. */
    int (*build)(void *user, int rank, bool last, weft_plan *ret);
    /* Most bytes of the slot of a step. */
    size_t (*bound)(void *user, const weft_plan *p, const weft_step *step);
    void (*watch)(void *user, const weft_passage *passage); /* may be NULL */
    void *user, *watcher;                                   /* of build and bound; of watch */
} weft_clock_job;

/* network: checked by the caller. finish: size entries, or NULL. Fills all of *ret but size and
 * algo. 0; what build returned; WEFT_EINTERNAL plans that do not match one another, naming ranks;
 * WEFT_ENOMEM. */
int weft_plan_clock(const weft_clock_job *job, const weft_network *network, double *finish,
                    weft_simulated *ret);

#endif
