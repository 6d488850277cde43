/* SPDX-License-Identifier: Apache-2.0 */
/* Operation numbers from the largest to 1: operations succeed across, and failures are those of
 * their own number. In virtual time. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine_state.h"
#include "support/simjob.h"

#define FAR (INT64_C(3600) * 1000 * WEFT_MS)

enum { SIZE = 3, CALLS = 120, BEFORE = 75 }; /* operations up to and with the largest number */

/* As if so many operations had gone before, on every rank. */
static void wind_on(simnet *net, uint32_t called)
{
    for (int r = 0; r < SIZE; r++) {
        weft_context *c = simnet_engine(net, r)->root;
        c->called = called;
        c->calls = called;
    }
}

/* canceled: the call that rank 1 cancels, -1: none. Chained: a rank makes the next call when the
 * one before has ended; else all at once. */
static void across(uint64_t seed, int canceled, bool chained)
{
    simjob *job = simjob_open(SIZE, 4711);
    simnet *net = simnet_open(&(simnet_opts){.size = SIZE,
                                             .seed = seed,
                                             .keys = 4711,
                                             .dead_ns = 10000 * WEFT_MS,
                                             .delay_ns = (int64_t)(seed % 3) * 50000,
                                             .ended = simjob_ended,
                                             .user = job});
    cr_assert(job != NULL && net != NULL);
    wind_on(net, UINT32_MAX - BEFORE);
    job->chain = chained ? net : NULL;
    for (int i = 0; i < CALLS; i++) {
        const simjob_call c = {.coll = i % 5 == 4 ? WEFT_COLL_BROADCAST : WEFT_COLL_ALLREDUCE,
                               .count = (uint64_t)(i % 7) * 10,
                               .root = i % SIZE,
                               .in_place = i % 5 == 4,
                               .timeout_ms = 5000};
        for (int r = 0; r < SIZE; r++) {
            weft_request *q = simjob_make(job, r, i, &c);
            if (!chained || i == 0) {
                simnet_call(net, r * 1000, r, q);
            }
        }
    }
    if (canceled >= 0) {
        simnet_cancel(net, 500 + 1000, 1, job->parts[canceled][1].request);
    }
    const bool ended = simnet_run(net, FAR);
    cr_assert_str_empty(simnet_offence(net), "seed %llu: %s", (unsigned long long)seed,
                        simnet_offence(net));
    cr_assert(ended, "seed %llu: not everything has ended", (unsigned long long)seed);
    for (int r = 0; r < SIZE; r++) {
        for (int i = 0; i < CALLS; i++) {
            const weft_problem *p = &job->parts[i][r].request->problem;
            const bool may_fail = i == canceled && p->code == WEFT_ECANCELED;
            cr_assert(p->code == WEFT_OK || may_fail, "seed %llu: rank %d call %d: %s",
                      (unsigned long long)seed, r, i, p->text);
            const char *wrong = p->code == WEFT_OK ? simjob_result(job, r, i) : "";
            cr_assert_str_empty(wrong, "seed %llu: %s", (unsigned long long)seed, wrong);
        }
        cr_assert_eq(simnet_engine(net, r)->root->called, (uint32_t)(CALLS - BEFORE));
        cr_assert_str_empty(simnet_leftover(net, r));
    }
    if (canceled >= 0) {
        cr_assert_eq(job->parts[canceled][1].request->problem.code, WEFT_ECANCELED);
    }
    simnet_close(&net);
    simjob_close(&job);
}

Test(engine_numbers, begin_again_at_1)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        across(seed, -1, seed % 2 == 0);
    }
}

Test(engine_numbers, of_failures_are_not_taken_for_others_across)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        across(seed, BEFORE - 1 - (int)(seed % 5), false);
        across(seed, BEFORE + (int)(seed % 5), false);
    }
}

/* What is remembered of the last number and of the first is found under these, and no other. */
Test(engine_numbers, are_told_apart_across)
{
    simnet *net = simnet_open(&(simnet_opts){.size = SIZE, .seed = 1, .dead_ns = 1000 * WEFT_MS});
    cr_assert_not_null(net);
    weft_context *c = simnet_engine(net, 0)->root;
    wind_on(net, UINT32_MAX);
    const weft_plan nobody = {0};
    weft_fail_number(c, 0, UINT32_MAX, &(weft_problem){.code = WEFT_ECANCELED, .text = "last"},
                     &nobody);
    weft_fail_number(c, 0, 2, &(weft_problem){.code = WEFT_ECANCELED, .text = "second"}, &nobody);
    for (uint32_t called = 0; called < 6; called++) {
        if (called > 0) {
            c->called = called;
            c->calls = (uint64_t)UINT32_MAX + called;
        }
        for (uint32_t n = 1; n < 6; n++) {
            const weft_failure *after = weft_fail_recall(c, n);
            const weft_failure *before = weft_fail_recall(c, UINT32_MAX - n + 1);
            cr_assert_eq(after != NULL, n == 2, "called %u, number %u", c->called, n);
            cr_assert_eq(before != NULL, n == 1, "called %u, number %u", c->called,
                         UINT32_MAX - n + 1);
        }
    }
    simnet_close(&net);
}
