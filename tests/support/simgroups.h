/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several groups over the engines of one simulated net: who is in them, when each rank enters and
 * leaves, what it calls there, and what must come of it.
 */
#ifndef WEFT_TESTS_SUPPORT_SIMGROUPS_H
#define WEFT_TESTS_SUPPORT_SIMGROUPS_H

#include "base/clock.h"
#include "base/rng.h"
#include "support/simjob.h"

#define SIM_US INT64_C(1000)
#define SIM_DEAD (1000 * WEFT_MS)
#define SIM_FAR (300 * SIM_DEAD)
enum { SIMGROUPS = 4, SIMGROUPS_CALLS = 12 };

/* A group; the first of a world is the one that was opened. */
typedef struct simgroup {
    simjob *job;
    int calls;
    bool chained;
    weft_context *context[SIMNET_RANKS]; /* by rank in it, until the engine has it */
    weft_request *enter[SIMNET_RANKS], *leave[SIMNET_RANKS];
    bool may_leave[SIMNET_RANKS]; /* when its last call has ended */
    int ended[SIMNET_RANKS];
} simgroup;

typedef struct simgroups {
    simnet *net;
    weft_rng rng;
    const char *what;
    uint64_t seed;
    int size, count;
    simgroup groups[SIMGROUPS];
    simnet_fault fault;
    int odd, odd_group, odd_call; /* a rank of a group, and a call of its own kind */
    long errors, successes;
} simgroups;

/* What else than success may have come of a call. */
typedef bool simgroups_fits(const simgroups *w, int n, int i, int call, const weft_problem *p);

/* A net of two to six ranks, the group of all and three of some, by chance. */
void simgroups_open(simgroups *w, const char *what, uint64_t seed);
void simgroups_close(simgroups *w);
/* A group of these ranks of the net; the first is that of all, in their order. */
void simgroups_add(simgroups *w, const int *ranks, int size);
uint64_t simgroups_below(simgroups *w, uint64_t limit);
/* simnet_opts.ended, for nets that are opened otherwise. */
void simgroups_ended(void *user, int rank, weft_request *r);

/* Any call in the group. */
simjob_call simgroups_any_call(simgroups *w, const simgroup *g, int64_t timeout_ms);
/* A rank enters the group, and calls all there is to call in it, at once or one after another. */
void simgroups_take_part(simgroups *w, simgroup *g, int i, int64_t at);
/* The calls of all groups. late: the most by which one rank may enter after another; odd: the call
 * of the odd rank in the odd group. */
void simgroups_call_all(simgroups *w, int64_t timeout_ms, int64_t late, const simjob_call *odd);
/* Until all has ended, which it must. */
void simgroups_run(simgroups *w);
/* Everything ended once, and rightly; counts errors and successes. */
void simgroups_check(simgroups *w, simgroups_fits *fits);
/* What one peer has on credit at the other is what the other still owes. */
void simgroups_check_credit(const simgroups *w);
bool simgroups_never(const simgroups *w, int n, int i, int call, const weft_problem *p);

#endif
