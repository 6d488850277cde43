/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several groups over the engines of one net, in virtual time, nothing going wrong: each rank
 * enters and leaves each group when it likes, calls of all groups interleave, every result is the
 * oracle's.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/engine_state.h"
#include "support/simgroups.h"

Test(prop_engine_contexts, calls_of_all_groups_end_right_whoever_enters_late)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        simgroups w;
        simgroups_open(&w, "late", seed);
        simgroups_call_all(&w, WEFT_FOREVER,
                           seed % 3 == 0   ? 0
                           : seed % 3 == 1 ? 2 * WEFT_MS
                                           : 200 * WEFT_MS,
                           NULL);
        simgroups_run(&w);
        simgroups_check(&w, simgroups_never);
        simgroups_check_credit(&w);
        for (int r = 0; r < w.size; r++) {
            cr_assert_eq(atomic_load(&weft_engine_counters(simnet_engine(w.net, r))->dropped), 0);
        }
        simgroups_close(&w);
    }
}

/* Who has done its part may leave: the others do not mind. */
Test(prop_engine_contexts, who_is_through_may_leave)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        simgroups w;
        simgroups_open(&w, "through", seed);
        for (int n = 0; n < w.count; n++) {
            for (int i = 0; i < w.groups[n].job->size; i++) {
                w.groups[n].may_leave[i] = simgroups_below(&w, 2) == 0;
            }
        }
        simgroups_call_all(&w, WEFT_FOREVER, 20 * WEFT_MS, NULL);
        simgroups_run(&w);
        simgroups_check(&w, simgroups_never);
        simgroups_check_credit(&w);
        simgroups_close(&w);
    }
}

/* Many groups that one rank opens late, and as much for it as may be sent before: what it keeps is
 * bounded (the net looks), and the rest comes when there is room. */
Test(prop_engine_contexts, what_comes_before_a_group_is_open_is_bounded)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        simgroups w;
        simgroups_open(&w, "bounded", seed);
        const int late = (int)simgroups_below(&w, (uint64_t)w.size);
        for (int n = 0; n < w.count; n++) {
            simgroup *g = &w.groups[n];
            g->chained = false;
            g->job->chain = NULL;
            g->calls = SIMGROUPS_CALLS;
            for (int c = 0; c < g->calls; c++) {
                simjob_call call = simgroups_any_call(&w, g, WEFT_FOREVER);
                if (c == (int)(seed % 3)) { /* 1.2 or 4.8 MB; 4.5 MiB may be on credit */
                    call = (simjob_call){.coll = WEFT_COLL_BROADCAST,
                                         .in_place = true,
                                         .root = (int)simgroups_below(&w, (uint64_t)g->job->size),
                                         .count = seed % 2 == 0 ? 1200000 : 300000,
                                         .lane = seed % 4 == 0 ? 1200000 : 0,
                                         .dtype = WEFT_F32,
                                         .timeout_ms = WEFT_FOREVER};
                }
                for (int i = 0; i < g->job->size; i++) {
                    cr_assert_not_null(simjob_make(g->job, i, c, &call));
                }
            }
            for (int i = 0; i < g->job->size; i++) {
                simgroups_take_part(&w, g, i,
                                    g->job->ranks[i] == late ? (100 + 50 * n) * WEFT_MS : 0);
            }
        }
        simgroups_run(&w);
        simgroups_check(&w, simgroups_never);
        simgroups_check_credit(&w);
        simgroups_close(&w);
    }
}

/* Two that have nothing to do with one another for long, in a group of which others have done much:
 * their first messages wait for frames, not for a timer (the first of which is after 20 ms). */
Test(prop_engine_contexts, a_pair_that_meets_late_waits_for_frames_only)
{
    enum { SIZE = 4, BEFORE_MOST = 80, ROUND_TRIPS_MOST = 40 };
    static const int before[] = {0, 1, 7, 8, 9, 63, 64, 65, BEFORE_MOST};
    for (int i = 0; i < 9; i++) {
        simgroups w = {.what = "meets late", .seed = (uint64_t)i};
        const int ranks[SIZE] = {2, 0, 3, 1};
        w.size = SIZE;
        w.net = simnet_open(&(simnet_opts){.size = SIZE,
                                           .seed = 1,
                                           .dead_ns = SIM_DEAD,
                                           .delay_ns = 50 * SIM_US,
                                           .ended = simgroups_ended,
                                           .user = &w});
        simgroups_add(&w, (const int[]){0, 1, 2, 3}, SIZE);
        simgroups_add(&w, ranks, SIZE);
        simgroup *g = &w.groups[1];
        g->chained = true;
        g->job->chain = w.net;
        g->calls = before[i] + 1;
        for (int c = 0; c < g->calls; c++) {
            const simjob_call call = {.coll = WEFT_COLL_ALLREDUCE,
                                      .algo = c < before[i] ? "ring" : "scatter",
                                      .count = 2000,
                                      .lane = 2000,
                                      .timeout_ms = WEFT_FOREVER};
            for (int r = 0; r < SIZE; r++) {
                cr_assert_not_null(simjob_make(g->job, r, c, &call));
            }
        }
        for (int r = 0; r < SIZE; r++) {
            simgroups_take_part(&w, g, r, 0);
        }
        simgroups_run(&w);
        simgroups_check(&w, simgroups_never);
        cr_expect_lt(simnet_now(w.net), (before[i] * 6 + ROUND_TRIPS_MOST) * 60 * SIM_US,
                     "%d before: %lld us", before[i], (long long)(simnet_now(w.net) / SIM_US));
        simgroups_close(&w);
    }
}
