/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines of all ranks in virtual time, and something goes wrong: every request ends, with exactly
 * the oracle's result or with an error that fits what happened and names who; inputs are as they
 * were; where only an operation failed, the next one is right again.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine_state.h"
#include "support/share.h"
#include "support/simjob.h"

#define US INT64_C(1000)
#define DEAD (1000 * WEFT_MS)
#define FAR (300 * DEAD)
enum { CALLS_MOST = 8 };

typedef struct world {
    simjob *job;
    simnet *net;
    weft_rng rng;
    const char *what;
    uint64_t seed;
    int size, calls;
    bool chained; /* each call after the end of the one before */
    simnet_fault fault;
    int odd, odd_call; /* a rank and a call of its own kind */
    long errors, successes;
} world;

static uint64_t below(world *w, uint64_t limit)
{
    return weft_rng_below(&w->rng, limit);
}

static world open_world(const char *what, uint64_t seed)
{
    world w = {.what = what, .seed = seed, .odd = -1, .odd_call = -1};
    w.rng.state = seed * 77 + (uint64_t)what[0] * 1000 + (uint64_t)what[1];
    w.size = 2 + (int)below(&w, 5);
    w.calls = 1 + (int)below(&w, CALLS_MOST);
    w.chained = below(&w, 2) == 1;
    w.job = simjob_open(w.size, seed);
    w.net = simnet_open(&(simnet_opts){.size = w.size,
                                       .seed = weft_rng_u64(&w.rng),
                                       .keys = seed,
                                       .dead_ns = DEAD,
                                       .delay_ns = (int64_t)below(&w, 4) * 100 * US,
                                       .work_ns = (int64_t)below(&w, 3) * 20 * US,
                                       .sum = true,
                                       .ended = simjob_ended,
                                       .user = w.job});
    cr_assert(w.job != NULL && w.net != NULL);
    w.job->chain = w.chained ? w.net : NULL;
    return w;
}

/* A rank, and another. */
static void choose_two(world *w, simnet_fault *f)
{
    f->rank = (int)below(w, (uint64_t)w->size);
    f->peer = (f->rank + 1 + (int)below(w, (uint64_t)w->size - 1)) % w->size;
    f->at = below(w, UINT64_C(4) << below(w, 6));
}

static simjob_call any_call(world *w, int64_t timeout_ms)
{
    const uint64_t counts[] = {0, 1, 7, 40, 200, 960};
    simjob_call c = {.coll = simjob_coll((int)below(w, SIMJOB_COLLS)),
                     .count = counts[below(w, 6)],
                     .dtype = below(w, 2) == 0 ? WEFT_F32 : WEFT_I32,
                     .op = below(w, 2) == 0 ? WEFT_SUM : WEFT_MAX,
                     .root = (int)below(w, (uint64_t)w->size),
                     .lane = below(w, 2) == 0 ? 48 : 0,
                     .timeout_ms = timeout_ms};
    if (c.coll == WEFT_COLL_ALLREDUCE) {
        c.algo = simjob_algo(c.coll, (int)below(w, 4))->name;
    }
    if (c.coll == WEFT_COLL_ALLREDUCE && below(w, 4) == 0) {
        c.algo = below(w, 2) == 0 ? "gather" : "scatter";
        c.codec = "qsgd:levels=7,bucket=16";
        c.dtype = WEFT_F32;
        c.op = WEFT_SUM;
        c.residual = below(w, 2) == 0;
    }
    if (c.coll == WEFT_COLL_BARRIER) {
        c.count = 0;
    }
    if (weft_coll_in_blocks(c.coll, 2) > 1 || weft_coll_out_blocks(c.coll, 2) > 1) {
        c.lengths = (simjob_lengths)below(w, 3);
        c.gaps = below(w, 2) == 0;
    }
    c.in_place = c.coll == WEFT_COLL_BROADCAST || below(w, 4) == 0;
    return c;
}

/* The calls of all ranks; late: so much later the odd rank makes its call, and all behind it. */
static void call_all(world *w, int64_t timeout_ms, const simjob_call *odd, int64_t late)
{
    int64_t at[SIMNET_RANKS] = {0};
    for (int i = 0; i < w->calls; i++) {
        const simjob_call call = any_call(w, timeout_ms);
        for (int r = 0; r < w->size; r++) {
            const bool is_odd = r == w->odd && i == w->odd_call;
            weft_request *q = simjob_make(w->job, r, i, is_odd && odd != NULL ? odd : &call);
            at[r] += (int64_t)below(w, 300) * US + (is_odd ? late : 0);
            if (!w->chained || i == 0) {
                simnet_call(w->net, at[r], r, q);
            }
        }
    }
}

static const char *words(const world *w, int rank, int call)
{
    static char text[2000];
    const weft_problem *p = &w->job->parts[call][rank].request->problem;
    const simnet_fault *f = &w->fault;
    snprintf(text, sizeof(text),
             "%s, seed %llu, P=%d (ranks %d, %d, frame %llu, %lld ms): rank %d call %d (%s): %d %s",
             w->what, (unsigned long long)w->seed, w->size, f->rank, f->peer,
             (unsigned long long)f->at, (long long)(f->ns / WEFT_MS), rank, call,
             w->job->parts[call][rank].request->words, p->code, p->text);
    return text;
}

static void run(world *w)
{
    const bool ended = simnet_run(w->net, FAR);
    cr_assert(simnet_offence(w->net)[0] == '\0', "%s, seed %llu: %s", w->what,
              (unsigned long long)w->seed, simnet_offence(w->net));
    for (int r = 0; r < w->size; r++) {
        for (int i = 0; simnet_live(w->net, r) && i < w->calls; i++) {
            cr_assert(w->job->parts[i][r].ended, "%s has not ended", words(w, r, i));
        }
    }
    cr_assert(ended, "%s, seed %llu: no end", w->what, (unsigned long long)w->seed);
}

/* Ended once, and rightly; fits: what else than success may have come of it. */
static void check(world *w, bool (*fits)(const world *w, int rank, int call, const weft_problem *p))
{
    for (int r = 0; r < w->size; r++) {
        for (int i = 0; i < w->calls; i++) {
            const simjob_part *part = &w->job->parts[i][r];
            const weft_problem *p = &part->request->problem;
            if (!part->ended) {
                continue; /* on a rank that is gone */
            }
            cr_assert_eq(part->times, 1, "%s ended %d times", words(w, r, i), part->times);
            const char *wrong =
                p->code == WEFT_OK ? simjob_result(w->job, r, i) : simjob_untouched(w->job, r, i);
            cr_assert(wrong[0] == '\0', "%s: %s", words(w, r, i), wrong);
            cr_assert(p->code == WEFT_OK || fits(w, r, i, p), "%s", words(w, r, i));
            cr_assert(p->code == WEFT_OK || p->text[0] != '\0', "%s: no text", words(w, r, i));
            w->errors += p->code != WEFT_OK;
            w->successes += p->code == WEFT_OK;
        }
        const char *left = simnet_live(w->net, r) ? simnet_leftover(w->net, r) : "";
        cr_assert(left[0] == '\0' || simnet_engine(w->net, r)->broken.code != WEFT_OK,
                  "%s, seed %llu: %s", w->what, (unsigned long long)w->seed, left);
    }
}

static void shut(world *w)
{
    simnet_close(&w->net);
    simjob_close(&w->job);
}

static bool never(const world *w, int rank, int call, const weft_problem *p)
{
    (void)w;
    (void)rank;
    (void)call;
    (void)p;
    return false;
}

static bool broken_by_either(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    (void)call;
    return (p->code == WEFT_EPEER || p->code == WEFT_EBROKEN) &&
           (p->rank == w->fault.rank || p->rank == w->fault.peer);
}

static bool broken_by_rank(const world *w, int rank, int call, const weft_problem *p)
{
    if (rank == w->fault.rank) { /* only where it goes on living, or closed itself */
        return p->code == WEFT_EPEER || p->code == WEFT_EBROKEN ||
               (p->code == WEFT_ECANCELED && w->fault.kind == SIMNET_STOP);
    }
    (void)call;
    return (p->code == WEFT_EPEER || p->code == WEFT_EBROKEN) && p->rank == w->fault.rank;
}

static bool bad_frame(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    (void)call;
    return (p->code == WEFT_EPROTO || p->code == WEFT_EPEER || p->code == WEFT_EBROKEN) &&
           (p->rank == w->fault.rank || p->rank == w->fault.peer);
}

/* Seeds of one fault; some of them must have led to errors. */
static void try_fault(const char *what, simnet_kind kind, uint64_t seeds, int64_t ns_least,
                      int64_t ns_most,
                      bool (*fits)(const world *w, int rank, int call, const weft_problem *p))
{
    long errors = 0, successes = 0;
    for (uint64_t seed = 1; seed <= share_of(seeds); seed++) {
        world w = open_world(what, seed);
        w.fault.kind = kind;
        choose_two(&w, &w.fault);
        w.fault.ns = ns_least + (int64_t)below(&w, (uint64_t)(ns_most - ns_least) + 1);
        simnet_inject(w.net, &w.fault);
        call_all(&w, below(&w, 2) == 0 ? WEFT_FOREVER : 30000, NULL, 0);
        run(&w);
        w.fault = *simnet_fault_at(w.net, 0);
        check(&w, w.fault.done ? fits : never);
        errors += w.errors;
        successes += w.successes;
        shut(&w);
    }
    cr_assert(successes > 0, "%s: nothing ever succeeded", what);
    cr_assert((errors > 0) == (fits != never), "%s: %ld errors", what, errors);
}

Test(prop_engine_faults, a_killed_rank_is_named)
{
    try_fault("kill", SIMNET_KILL, 600, 0, 0, broken_by_rank);
}

Test(prop_engine_faults, a_rank_that_falls_silent_is_named)
{
    try_fault("vanish", SIMNET_VANISH, 400, 0, 0, broken_by_rank);
}

Test(prop_engine_faults, a_cut_connection_names_one_of_its_ends)
{
    try_fault("cut", SIMNET_CUT, 600, 0, 0, broken_by_either);
}

Test(prop_engine_faults, a_rank_that_leaves_is_named)
{
    try_fault("stop", SIMNET_STOP, 600, 0, 0, broken_by_rank);
}

Test(prop_engine_faults, a_short_stall_does_no_harm)
{
    try_fault("stall", SIMNET_STALL, 300, 0, DEAD / 2, never);
}

Test(prop_engine_faults, a_long_stall_is_taken_for_death)
{
    try_fault("long stall", SIMNET_STALL, 300, DEAD, 4 * DEAD, broken_by_rank);
}

Test(prop_engine_faults, a_slow_connection_does_no_harm)
{
    try_fault("slow", SIMNET_SLOW, 300, 0, DEAD / 5, never);
}

Test(prop_engine_faults, refused_dials_are_tried_again)
{
    try_fault("refuse", SIMNET_REFUSE, 300, 0, DEAD / 5, never);
}

Test(prop_engine_faults, dials_refused_for_long_name_the_rank)
{
    try_fault("long refusal", SIMNET_REFUSE, 300, 2 * DEAD, 5 * DEAD, broken_by_either);
}

Test(prop_engine_faults, a_flipped_bit_is_seen)
{
    try_fault("flip", SIMNET_FLIP, 600, 0, 0, bad_frame);
}

Test(prop_engine_faults, a_lost_frame_is_seen)
{
    try_fault("lose", SIMNET_LOSE, 500, 0, 0, bad_frame);
}

Test(prop_engine_faults, a_doubled_frame_is_seen)
{
    try_fault("twice", SIMNET_TWICE, 500, 0, 0, bad_frame);
}

Test(prop_engine_faults, swapped_frames_are_seen)
{
    try_fault("swap", SIMNET_SWAP, 500, 0, 0, bad_frame);
}

static bool anything(const world *w, int rank, int call, const weft_problem *p)
{
    (void)w;
    (void)rank;
    (void)call;
    return p->code < 0;
}

/* Several faults of any kinds: whatever comes of it, it comes to an end, and no result is wrong. */
Test(prop_engine_faults, storms_end)
{
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        world w = open_world("storm", seed);
        for (int i = 0; i < 2 + (int)below(&w, 2); i++) {
            choose_two(&w, &w.fault);
            w.fault.kind = (simnet_kind)below(&w, SIMNET_KINDS);
            w.fault.ns = (int64_t)below(&w, 3000) * WEFT_MS;
            simnet_inject(w.net, &w.fault);
        }
        w.odd = (int)below(&w, (uint64_t)w.size);
        w.odd_call = (int)below(&w, (uint64_t)w.calls);
        w.calls = seed % 16 == 0 ? 90 : w.calls; /* more than are at work at one time */
        call_all(&w, below(&w, 2) == 0 ? WEFT_FOREVER : 1000, NULL,
                 (int64_t)below(&w, 3000) * WEFT_MS);
        run(&w);
        check(&w, anything);
        shut(&w);
    }
}

/* The call behind all others, long after: it must be right on every rank. */
static void one_more(world *w)
{
    const simjob_call call = {
        .coll = WEFT_COLL_ALLREDUCE, .algo = "ring", .count = 500, .lane = 48, .timeout_ms = 30000};
    const int64_t at = simnet_now(w->net) + 10 * DEAD;
    w->job->chain = NULL;
    for (int r = 0; r < w->size; r++) {
        simnet_call(w->net, at, r, simjob_make(w->job, r, w->calls, &call));
    }
    w->calls++;
    run(w);
    for (int r = 0; r < w->size; r++) {
        cr_assert_eq(w->job->parts[w->calls - 1][r].request->problem.code, WEFT_OK, "%s",
                     words(w, r, w->calls - 1));
    }
}

static bool mismatch(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    return call == w->odd_call && p->code == WEFT_EMISMATCH && p->rank >= 0;
}

/* Is nobody through before all have called it alike? */
static bool needs_all(const simjob_call *c)
{
    return !weft_coll_rooted(c->coll);
}

Test(prop_engine_faults, a_mismatch_is_told_everywhere_and_forgotten)
{
    long seen = 0;
    for (uint64_t seed = 1; seed <= 800; seed++) {
        world w = open_world("mismatch", seed);
        const simjob_call odd = any_call(&w, below(&w, 2) == 0 ? WEFT_FOREVER : 30000);
        w.odd = (int)below(&w, (uint64_t)w.size);
        w.odd_call = (int)below(&w, (uint64_t)w.calls);
        call_all(&w, WEFT_FOREVER, &odd, 0);
        run(&w);
        check(&w, mismatch);
        const simjob_part *a = &w.job->parts[w.odd_call][w.odd];
        const simjob_part *b = &w.job->parts[w.odd_call][(w.odd + 1) % w.size];
        const bool differ = a->request->descriptor != b->request->descriptor;
        for (int r = 0; r < w.size && differ && needs_all(&a->call) && needs_all(&b->call); r++) {
            const weft_problem *p = &w.job->parts[w.odd_call][r].request->problem;
            cr_assert_eq(p->code, WEFT_EMISMATCH, "%s", words(&w, r, w.odd_call));
            seen++;
        }
        /* Of these the descriptor does not say how long the blocks are. */
        const bool own_lengths = a->request->in_lengths != NULL && a->request->out_lengths != NULL;
        cr_assert(differ || own_lengths || w.errors == 0);
        one_more(&w);
        shut(&w);
    }
    cr_assert(seen > 500);
}

/* Two ranks do not agree on what goes from one to the other: all hear of it, though the others'
 * data are here. */
Test(prop_engine_faults, a_length_that_two_disagree_on_is_told_everywhere_and_forgotten)
{
    const uint64_t counts[] = {0, 1, 7, 40, 960, 70000};
    for (uint64_t seed = 1; seed <= 400; seed++) {
        world w = open_world("length", seed);
        w.calls = 1;
        w.chained = false;
        w.job->chain = NULL;
        w.odd_call = 0;
        w.odd = (int)below(&w, (uint64_t)w.size);
        const simjob_call call = {.coll = WEFT_COLL_ALLTOALL,
                                  .algo = below(&w, 2) == 0 ? "pairwise" : "flat",
                                  .count = counts[below(&w, 6)],
                                  .lengths = below(&w, 3) == 0 ? SIMJOB_ONE : SIMJOB_MIXED,
                                  .gaps = below(&w, 2) == 0,
                                  .dtype = WEFT_F32,
                                  .op = WEFT_SUM,
                                  .timeout_ms = WEFT_FOREVER};
        simjob_call odd = call;
        odd.more_of = (w.odd + 1 + (int)below(&w, (uint64_t)w.size - 1)) % w.size;
        odd.more = (below(&w, 2) == 0 ? 1 : -1) * (below(&w, 4) == 0 ? 70000 : 1);
        const int sender = odd.more > 0 ? w.odd : odd.more_of;
        for (int r = 0; r < w.size; r++) {
            simnet_call(w.net, (int64_t)below(&w, 300) * US, r,
                        simjob_make(w.job, r, 0, r == w.odd ? &odd : &call));
        }
        run(&w);
        for (int r = 0; r < w.size; r++) {
            const weft_problem *p = &w.job->parts[0][r].request->problem;
            cr_assert_eq(p->code, WEFT_EMISMATCH, "%s", words(&w, r, 0));
            cr_assert_eq(p->rank, sender, "%s: not rank %d", words(&w, r, 0), sender);
            cr_assert(strstr(p->text, "does not send the") != NULL, "%s", p->text);
        }
        check(&w, mismatch);
        one_more(&w);
        shut(&w);
    }
}

static bool canceled(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    return call == w->odd_call && p->code == WEFT_ECANCELED && p->rank == w->odd;
}

Test(prop_engine_faults, a_cancel_is_told_everywhere_and_forgotten)
{
    long seen = 0;
    for (uint64_t seed = 1; seed <= 800; seed++) {
        world w = open_world("cancel", seed);
        w.odd = (int)below(&w, (uint64_t)w.size);
        w.odd_call = (int)below(&w, (uint64_t)w.calls);
        call_all(&w, WEFT_FOREVER, NULL, 0);
        simnet_cancel(w.net, (int64_t)below(&w, 1200) * US, w.odd,
                      w.job->parts[w.odd_call][w.odd].request);
        run(&w);
        check(&w, canceled);
        seen += w.errors;
        one_more(&w);
        shut(&w);
    }
    cr_assert(seen > 500, "%ld errors", seen);
}

static bool timed_out(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    return call >= w->odd_call && p->code == WEFT_ETIMEDOUT && p->rank >= 0;
}

Test(prop_engine_faults, a_late_caller_is_told_of_the_timeout)
{
    long seen = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        world w = open_world("late", seed);
        w.chained = false;
        w.job->chain = NULL;
        w.odd = (int)below(&w, (uint64_t)w.size);
        w.odd_call = (int)below(&w, (uint64_t)w.calls);
        call_all(&w, 500, NULL, (int64_t)below(&w, 1500) * WEFT_MS);
        run(&w);
        check(&w, timed_out);
        seen += w.errors;
        one_more(&w);
        shut(&w);
    }
    cr_assert(seen > 500);
}

/* Out of memory for good, or for the rest of one event, at every allocation of a short run. */
static long starve(long n, bool for_good)
{
    world w = open_world("memory", (uint64_t)(n % 7));
    call_all(&w, 2000, NULL, 0);
    weft_mem_fail_at(n);
    if (for_good) {
        run(&w);
    } else {
        int64_t until = 0;
        while (weft_mem_count() < n && !simnet_run(w.net, until) && until < FAR &&
               simnet_offence(w.net)[0] == '\0') {
            until += simnet_now(w.net) < 20 * WEFT_MS ? 20 * US : 20 * WEFT_MS;
        }
    }
    const long count = weft_mem_count();
    weft_mem_fail_at(0);
    run(&w);
    check(&w, anything);
    cr_assert(count < n || w.errors > 0 || !for_good, "allocation %ld failed and nobody minded", n);
    shut(&w);
    return count;
}

Test(prop_engine_faults, out_of_memory_ends_calls_and_no_more)
{
    for (long n = 1; n < 400; n++) {
        starve(n, true);
        starve(n, false);
    }
}

static bool canceled_by_odd(const world *w, int rank, int call, const weft_problem *p)
{
    (void)rank;
    (void)call;
    return p->code == WEFT_ECANCELED && p->rank == w->odd;
}

/* One rank calls and cancels many times while another is late: the late one hears of each. */
Test(prop_engine_faults, cancels_far_ahead_of_a_late_caller_are_told)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world w = open_world("far ahead", seed);
        const int late = (int)below(&w, (uint64_t)w.size);
        w.odd = (late + 1) % w.size;
        w.calls = 70 + (int)below(&w, 50);
        w.job->chain = NULL;
        for (int i = 0; i < w.calls; i++) {
            simjob_call call = any_call(&w, WEFT_FOREVER);
            call.coll = WEFT_COLL_BARRIER; /* nobody's ends before all have called */
            call.count = 0;
            call.codec = call.algo = NULL;
            call.residual = false;
            for (int r = 0; r < w.size; r++) {
                simnet_call(w.net, r == late ? 3000 * WEFT_MS : 0, r,
                            simjob_make(w.job, r, i, &call));
            }
            simnet_cancel(w.net, (100 + i) * WEFT_MS, w.odd, w.job->parts[i][w.odd].request);
        }
        run(&w);
        check(&w, canceled_by_odd);
        cr_assert_eq(w.successes, 0);
        one_more(&w);
        shut(&w);
    }
}
