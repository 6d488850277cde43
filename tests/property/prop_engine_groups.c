/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several groups over the engines of one net, in virtual time, and something goes wrong: what goes
 * wrong in one group, or in leaving it, is that group's alone; a lost peer is everybody's.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"
#include "support/share.h"
#include "support/simgroups.h"

/* Of a group's calls from the start, those that a rank is through with. */
static int through(const simgroups *w, int n, int i)
{
    int calls = 0;
    while (calls < w->groups[n].calls &&
           w->groups[n].job->parts[calls][i].request->problem.code == WEFT_OK) {
        calls++;
    }
    return calls;
}

/* What the leaver was through with fails for nobody. */
static bool left_group(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    if (n != w->odd_group || call < through(w, n, w->odd)) {
        return false;
    }
    if (i == w->odd) {
        return p->code == WEFT_ECANCELED && p->rank == w->odd;
    }
    return (p->code == WEFT_EPEER || p->code == WEFT_EBROKEN) && p->rank == w->odd &&
           strstr(p->text, "left the group") != NULL;
}

/* In the middle of its calls. */
Test(prop_engine_groups, who_leaves_ends_that_group_and_no_other)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        simgroups w;
        simgroups_open(&w, "leave", seed);
        w.odd_group = (int)simgroups_below(&w, SIMGROUPS);
        simgroup *g = &w.groups[w.odd_group];
        w.odd = (int)simgroups_below(&w, (uint64_t)g->job->size);
        g->chained = false; /* who has left calls no more */
        g->job->chain = NULL;
        simgroups_call_all(&w, WEFT_FOREVER, seed % 2 == 0 ? 0 : 3 * WEFT_MS, NULL);
        simnet_call(w.net, 6 * WEFT_MS, g->job->ranks[w.odd], g->leave[w.odd]);
        w.fault = (simnet_fault){.kind = SIMNET_STALL, /* so that some calls are not through then */
                                 .rank = (int)simgroups_below(&w, (uint64_t)w.size),
                                 .at = simgroups_below(&w, 200),
                                 .ns = 10 * WEFT_MS};
        simnet_inject(w.net, &w.fault);
        simgroups_run(&w);
        simgroups_check(&w, left_group);
        errors += w.errors;
        simgroups_close(&w);
    }
    cr_assert(errors > 20, "%ld errors", errors);
}

/* At once after it was opened, before others know it: they hear of it when they ask. */
Test(prop_engine_groups, who_left_before_the_others_came_is_named)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        simgroups w;
        simgroups_open(&w, "soon", seed);
        w.odd_group = 1;
        simgroup *g = &w.groups[1];
        w.odd = (int)simgroups_below(&w, (uint64_t)g->job->size);
        for (int n = 0; n < w.count; n++) {
            simgroup *at = &w.groups[n];
            at->calls = 2;
            at->chained = false;
            at->job->chain = NULL;
            for (int c = 0; c < 2; c++) {
                simjob_call call = simgroups_any_call(&w, at, WEFT_FOREVER);
                call.coll = WEFT_COLL_BARRIER; /* nobody's ends before all have called */
                call.count = 0;
                call.codec = call.algo = NULL;
                call.residual = false;
                for (int i = 0; i < at->job->size; i++) {
                    cr_assert_not_null(simjob_make(at->job, i, c, &call));
                }
            }
            for (int i = 0; i < at->job->size; i++) {
                if (n != 1 || i != w.odd) {
                    simgroups_take_part(&w, at, i,
                                        (1 + (int64_t)simgroups_below(&w, 40)) * WEFT_MS);
                }
            }
        }
        const int rank = g->job->ranks[w.odd];
        const int64_t when = (int64_t)simgroups_below(&w, 20) * WEFT_MS;
        simnet_call(w.net, when, rank, g->enter[w.odd]);
        simnet_call(w.net, when + (int64_t)simgroups_below(&w, 3) * 100 * SIM_US, rank,
                    g->leave[w.odd]);
        for (int c = 0; c < 2; c++) { /* it makes no call there */
            g->job->parts[c][w.odd].ended = true;
            g->job->parts[c][w.odd].times = 1;
            g->job->parts[c][w.odd].request->problem =
                (weft_problem){.code = WEFT_ECANCELED, .rank = w.odd};
        }
        simgroups_run(&w);
        simgroups_check(&w, left_group);
        errors += w.errors - 2;
        cr_assert_eq(w.errors, 2 * g->job->size, "seed %llu: %ld", (unsigned long long)seed,
                     w.errors);
        simgroups_close(&w);
    }
    cr_assert(errors > 300);
}

static bool mismatch(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)i;
    return n == w->odd_group && call == w->odd_call && p->code == WEFT_EMISMATCH && p->rank >= 0 &&
           p->rank < w->groups[n].job->size;
}

Test(prop_engine_groups, a_mismatch_is_told_in_its_group_and_forgotten)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        simgroups w;
        simgroups_open(&w, "mismatch", seed);
        w.odd_group = (int)simgroups_below(&w, SIMGROUPS);
        simgroup *g = &w.groups[w.odd_group];
        w.odd = (int)simgroups_below(&w, (uint64_t)g->job->size);
        w.odd_call = 0;
        const simjob_call odd = simgroups_any_call(&w, g, WEFT_FOREVER);
        simgroups_call_all(&w, WEFT_FOREVER, 30 * WEFT_MS, &odd);
        simgroups_run(&w);
        simgroups_check(&w, mismatch);
        simgroups_check_credit(&w);
        errors += w.errors;
        simgroups_close(&w);
    }
    cr_assert(errors > 100, "%ld errors", errors);
}

static bool canceled(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)i;
    return n == w->odd_group && call == w->odd_call && p->code == WEFT_ECANCELED &&
           p->rank == w->odd;
}

Test(prop_engine_groups, a_cancel_is_told_in_its_group_and_forgotten)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        simgroups w;
        simgroups_open(&w, "cancel", seed);
        w.odd_group = (int)simgroups_below(&w, SIMGROUPS);
        simgroup *g = &w.groups[w.odd_group];
        w.odd = (int)simgroups_below(&w, (uint64_t)g->job->size);
        simgroups_call_all(&w, WEFT_FOREVER, 3 * WEFT_MS, NULL);
        w.odd_call = (int)simgroups_below(&w, (uint64_t)g->calls);
        simnet_cancel(w.net, (int64_t)simgroups_below(&w, 3000) * SIM_US, g->job->ranks[w.odd],
                      g->job->parts[w.odd_call][w.odd].request);
        simgroups_run(&w);
        simgroups_check(&w, canceled);
        simgroups_check_credit(&w);
        errors += w.errors;
        simgroups_close(&w);
    }
    cr_assert(errors > 50, "%ld errors", errors);
}

static bool timed_out(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)i;
    (void)call;
    return p->code == WEFT_ETIMEDOUT && p->rank >= 0 && p->rank < w->groups[n].job->size;
}

/* Who opens a group after the others' patience is told of what failed meanwhile. */
Test(prop_engine_groups, a_late_opener_is_told_of_the_timeouts)
{
    long errors = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        simgroups w;
        simgroups_open(&w, "timeout", seed);
        simgroups_call_all(&w, 300, 2000 * WEFT_MS, NULL);
        simgroups_run(&w);
        simgroups_check(&w, timed_out);
        simgroups_check_credit(&w);
        errors += w.errors;
        simgroups_close(&w);
    }
    cr_assert(errors > 1000, "%ld errors", errors);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* Where a rank of the net is in a group; -1: nowhere. */
static int place_of(const simgroups *w, int n, int rank)
{
    int at = w->groups[n].job->size - 1;
    while (at >= 0 && w->groups[n].job->ranks[at] != rank) {
        at--;
    }
    return at;
}

static bool broken(const weft_problem *p)
{
    return p->code == WEFT_EPEER || p->code == WEFT_EBROKEN || p->code == WEFT_EPROTO;
}

/* A lost peer ends every group, of its members and of others. */
static bool lost(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)call;
    if (w->groups[n].job->ranks[i] == w->fault.rank) {
        return broken(p);
    }
    return broken(p) && p->rank == place_of(w, n, w->fault.rank);
}

static bool either(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)i;
    (void)call;
    return broken(p) &&
           (p->rank == place_of(w, n, w->fault.rank) || p->rank == place_of(w, n, w->fault.peer));
}

/* One that leaves everything ends the groups that need it, and no other. */
static bool left_all(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    const int where = place_of(w, n, w->fault.rank);
    (void)call;
    if (i == where) {
        return p->code == WEFT_ECANCELED && p->rank == where;
    }
    /* Where a link to it was only being made it counts as lost, everywhere. */
    return (p->code == WEFT_EPEER || p->code == WEFT_EBROKEN) && p->rank == where &&
           (where >= 0 || strstr(p->text, "is lost") != NULL);
}

static void try_fault(const char *what, simnet_kind kind, uint64_t seeds, simgroups_fits *fits)
{
    long errors = 0, successes = 0;
    for (uint64_t seed = 1; seed <= share_of(seeds); seed++) {
        simgroups w;
        simgroups_open(&w, what, seed);
        w.fault.kind = kind;
        w.fault.rank = (int)simgroups_below(&w, (uint64_t)w.size);
        w.fault.peer = (w.fault.rank + 1 + (int)simgroups_below(&w, (uint64_t)w.size - 1)) % w.size;
        w.fault.at = simgroups_below(&w, UINT64_C(4) << simgroups_below(&w, 8));
        w.fault.ns = 3 * SIM_DEAD;
        simnet_inject(w.net, &w.fault);
        simgroups_call_all(&w, 30000, 5 * WEFT_MS, NULL);
        simgroups_run(&w);
        w.fault = *simnet_fault_at(w.net, 0);
        simgroups_check(&w, w.fault.done ? fits : simgroups_never);
        errors += w.errors;
        successes += w.successes;
        simgroups_close(&w);
    }
    cr_assert(successes > 0 && errors > 0, "%s: %ld errors, %ld successes", what, errors,
              successes);
}

Test(prop_engine_groups, a_killed_rank_is_named_in_every_group)
{
    try_fault("kill", SIMNET_KILL, 200, lost);
}

Test(prop_engine_groups, a_silent_rank_is_named_in_every_group)
{
    try_fault("vanish", SIMNET_VANISH, 200, lost);
}

Test(prop_engine_groups, a_cut_connection_names_one_of_its_ends_in_every_group)
{
    try_fault("cut", SIMNET_CUT, 200, either);
}

Test(prop_engine_groups, a_flipped_bit_is_seen)
{
    try_fault("flip", SIMNET_FLIP, 200, either);
}

Test(prop_engine_groups, a_lost_frame_is_seen)
{
    try_fault("lose", SIMNET_LOSE, 200, either);
}

Test(prop_engine_groups, who_leaves_all_ends_the_groups_that_need_it)
{
    try_fault("stop", SIMNET_STOP, 300, left_all);
}

static bool anything(const simgroups *w, int n, int i, int call, const weft_problem *p)
{
    (void)w;
    (void)n;
    (void)i;
    (void)call;
    return p->code < 0;
}

/* Faults of all kinds, odd calls, ranks that leave early or come late: everything ends. */
Test(prop_engine_groups, storms_end)
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        simgroups w;
        simgroups_open(&w, "storm", seed);
        for (int i = 0; i < 2 + (int)simgroups_below(&w, 2); i++) {
            w.fault =
                (simnet_fault){.kind = (simnet_kind)simgroups_below(&w, SIMNET_KINDS),
                               .rank = (int)simgroups_below(&w, (uint64_t)w.size),
                               .at = simgroups_below(&w, UINT64_C(4) << simgroups_below(&w, 8)),
                               .ns = (int64_t)simgroups_below(&w, 3000) * WEFT_MS};
            w.fault.peer =
                (w.fault.rank + 1 + (int)simgroups_below(&w, (uint64_t)w.size - 1)) % w.size;
            simnet_inject(w.net, &w.fault);
        }
        w.odd_group = (int)simgroups_below(&w, SIMGROUPS);
        simgroup *g = &w.groups[w.odd_group];
        w.odd = (int)simgroups_below(&w, (uint64_t)g->job->size);
        w.odd_call = 1;
        const simjob_call odd = simgroups_any_call(&w, g, 1000);
        for (int i = 0; i < g->job->size; i++) {
            g->may_leave[i] = true;
        }
        simgroups_call_all(&w, 1000, (int64_t)simgroups_below(&w, 3000) * WEFT_MS,
                           seed % 2 == 0 ? &odd : NULL);
        simgroups_run(&w);
        simgroups_check(&w, anything);
        simgroups_close(&w);
    }
}

/* Out of memory for good from the n-th allocation on: calls end, nothing else happens. */
Test(prop_engine_groups, out_of_memory_ends_calls_and_no_more)
{
    for (long n = 1; n < 300; n++) {
        simgroups w;
        simgroups_open(&w, "memory", (uint64_t)(n % 5));
        simgroups_call_all(&w, 2000, 5 * WEFT_MS, NULL);
        weft_mem_fail_at(n);
        simgroups_run(&w);
        weft_mem_fail_at(0);
        simgroups_check(&w, anything);
        simgroups_close(&w);
    }
}
