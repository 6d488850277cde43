/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines of all ranks in virtual time, nothing going wrong: results equal the oracle on every rank
 * and in every interleaving, receipts are right, nothing is left over, what is kept is bounded.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/engine_state.h"
#include "kernel/kernel.h"
#include "support/rows.h"
#include "support/share.h"
#include "support/simjob.h"

#define US INT64_C(1000)
#define FAR (INT64_C(3600) * 1000 * WEFT_MS)

enum { SIZES = 8 };
static const int sizes[SIZES] = {1, 2, 3, 4, 5, 6, 7, 9};

typedef struct world {
    simjob *job;
    simnet *net;
    uint64_t seed;
    int calls;
    char name[200];
} world;

static world open_world(int size, uint64_t seed)
{
    world w = {.seed = seed};
    w.job = simjob_open(size, 4711);
    w.net = simnet_open(&(simnet_opts){.size = size,
                                       .seed = seed,
                                       .keys = 4711,
                                       .dead_ns = 10000 * WEFT_MS,
                                       .delay_ns = (int64_t)(seed % 5) * 50 * US,
                                       .work_ns = (int64_t)(seed % 3) * 10 * US,
                                       .sum = seed % 2 == 0,
                                       .ended = simjob_ended,
                                       .user = w.job});
    cr_assert(w.job != NULL && w.net != NULL);
    return w;
}

/* Every rank calls it, up to skew later than its call before. */
static void call_all(world *w, weft_rng *rng, const simjob_call *call, int64_t *at, int64_t skew)
{
    for (int r = 0; r < w->job->size; r++) {
        at[r] += skew == 0 ? 0 : (int64_t)weft_rng_below(rng, (uint64_t)skew);
        simnet_call(w->net, at[r], r, simjob_make(w->job, r, w->calls, call));
    }
    w->calls++;
}

static void check_part(world *w, int rank, int index)
{
    const simjob_part *p = &w->job->parts[index][rank];
    cr_assert(p->ended, "%s, seed %llu: rank %d call %d has not ended", w->name,
              (unsigned long long)w->seed, rank, index);
    cr_assert_eq(p->request->problem.code, WEFT_OK, "%s, seed %llu: rank %d call %d: %s", w->name,
                 (unsigned long long)w->seed, rank, index, p->request->problem.text);
    const char *wrong = simjob_result(w->job, rank, index);
    cr_assert(wrong[0] == '\0', "%s, seed %llu: %s", w->name, (unsigned long long)w->seed, wrong);
    if (simjob_alike(p->call.coll)) {
        cr_assert_eq(simjob_bits(w->job, rank, index), simjob_bits(w->job, 0, index),
                     "%s, seed %llu: rank %d call %d: other bits than rank 0", w->name,
                     (unsigned long long)w->seed, rank, index);
    }
}

/* Run to the end, check everything, close. The time it took. */
static int64_t finish(world *w)
{
    const bool ended = simnet_run(w->net, FAR);
    cr_assert(simnet_offence(w->net)[0] == '\0', "%s, seed %llu: %s", w->name,
              (unsigned long long)w->seed, simnet_offence(w->net));
    cr_assert(ended, "%s, seed %llu: not everything has ended", w->name,
              (unsigned long long)w->seed);
    uint64_t sent = 0, received = 0;
    for (int r = 0; r < w->job->size; r++) {
        uint64_t told = 0;
        for (int i = 0; i < w->calls; i++) {
            check_part(w, r, i);
            sent += w->job->parts[i][r].receipt.body_bytes_sent;
            received += w->job->parts[i][r].receipt.body_bytes_received;
            told += w->job->parts[i][r].receipt.body_bytes_sent;
        }
        weft_counters *c = weft_engine_counters(simnet_engine(w->net, r));
        cr_assert_eq(told, atomic_load(&c->body_sent), "%s: receipts and counters", w->name);
        cr_assert_eq(atomic_load(&c->operations), (uint64_t)w->calls);
        cr_assert_eq(atomic_load(&c->dropped), 0, "%s, seed %llu: frames dropped", w->name,
                     (unsigned long long)w->seed);
        const char *left = simnet_leftover(w->net, r);
        cr_assert(left[0] == '\0', "%s, seed %llu: %s", w->name, (unsigned long long)w->seed, left);
    }
    cr_assert_eq(sent, received, "%s: what was sent was received", w->name);
    const int64_t took = simnet_now(w->net);
    simnet_close(&w->net);
    simjob_close(&w->job);
    return took;
}

static void name_it(world *w, const simjob_call *c)
{
    snprintf(w->name, sizeof(w->name), "%s %s %s %s P=%d root %d count %llu lane %llu%s%s %s",
             weft_coll_name(c->coll), c->algo != NULL ? c->algo : "auto", weft_dtype_name(c->dtype),
             weft_op_name(c->op), w->job->size, c->root, (unsigned long long)c->count,
             (unsigned long long)c->lane, c->in_place ? " in place" : "",
             c->lengths == SIMJOB_MIXED ? " mixed lengths"
             : c->lengths == SIMJOB_ONE ? " one length"
                                        : "",
             c->codec != NULL ? c->codec : "raw");
}

static bool has_blocks(weft_coll coll)
{
    return weft_coll_in_blocks(coll, 2) > 1 || weft_coll_out_blocks(coll, 2) > 1;
}

/* Can the algorithm serve it? */
static bool serves(const weft_algo *a, int size, bool ragged)
{
    const weft_shape s = {.coll = a->coll, .size = size, .ragged = ragged};
    char why[160];
    return a->refuses == NULL || !a->refuses(&s, why, sizeof(why));
}

/* A call of any kind, by chance. */
static simjob_call any_call(weft_rng *rng, int size, weft_coll coll, const weft_algo *algo)
{
    static const char *const codecs[] = {"qsgd:levels=7,bucket=16", "qsgd:levels=1,bucket=24",
                                         "qsgd:levels=127,norm=2,bucket=8"};
    const bool merges = (algo->needs & WEFT_NEEDS_MERGE) != 0;
    const bool lossy = coll == WEFT_COLL_ALLREDUCE && !merges && weft_rng_below(rng, 2) == 0;
    const uint64_t counts[] = {0, 1, (uint64_t)size, (uint64_t)size + 1, 7, 100, 960, 1000};
    const simjob_lengths lengths =
        has_blocks(coll) ? (simjob_lengths)weft_rng_below(rng, 3) : SIMJOB_ALIKE;
    simjob_call c = {.coll = coll,
                     .algo = serves(algo, size, lengths != SIMJOB_ALIKE) ? algo->name : NULL,
                     .lengths = lengths,
                     .gaps = weft_rng_below(rng, 2) == 1,
                     .count = coll == WEFT_COLL_BARRIER ? 0 : counts[weft_rng_below(rng, 8)],
                     .dtype = (weft_dtype)weft_rng_below(rng, WEFT_DTYPE_COUNT),
                     .op = (weft_op)weft_rng_below(rng, WEFT_OP_COUNT),
                     .root = (int)weft_rng_below(rng, (uint64_t)size),
                     .in_place = weft_rng_below(rng, 2) == 1 || coll == WEFT_COLL_BROADCAST,
                     .timeout_ms = WEFT_FOREVER};
    if (lossy) {
        c.codec = codecs[weft_rng_below(rng, 3)];
        c.own = weft_rng_below(rng, 2) == 1;
        c.residual = weft_rng_below(rng, 2) == 1;
        c.dtype = WEFT_F32;
        c.op = weft_rng_below(rng, 2) == 1 ? WEFT_MEAN : WEFT_SUM;
        c.real = true;
        c.in_place = c.in_place && !c.residual;
    } else if (!weft_coll_reduces(coll)) {
        c.op = WEFT_SUM;
    } else if (weft_kernel_reduce(c.dtype, c.op) == NULL) {
        c.op = WEFT_SUM;
    } else if (c.op == WEFT_PROD && (c.dtype == WEFT_I8 || c.dtype == WEFT_U8)) {
        c.op = WEFT_MAX; /* 2^9 is no byte */
    }
    if (c.count > 900 && weft_rng_below(rng, 3) > 0) {
        c.lane = 48; /* some twenty lanes */
    }
    return c;
}

/* Any algorithm of any collective. */
static simjob_call any_of_all(weft_rng *rng, int size)
{
    const weft_coll coll = simjob_coll((int)weft_rng_below(rng, SIMJOB_COLLS));
    int algos = 0;
    while (simjob_algo(coll, algos) != NULL) {
        algos++;
    }
    return any_call(rng, size, coll, simjob_algo(coll, (int)weft_rng_below(rng, (uint64_t)algos)));
}

Test(prop_engine, every_algorithm_gives_the_oracles_result)
{
    for (int s = 0; s < SIZES; s++) {
        for (int at = 0; weft_algo_at(at) != NULL; at++) {
            if (!simjob_knows(weft_algo_at(at)->coll) || !rows_any_codec(weft_algo_at(at)) ||
                (weft_algo_at(at)->traits & WEFT_ALGO_GRAPH) != 0) {
                continue; /* the simulated groups have no topology */
            }
            for (uint64_t seed = 0; seed < share_of(10); seed++) {
                weft_rng rng = {.state = seed * 1000 + (uint64_t)(at * 10 + s)};
                int64_t start[SIMNET_RANKS] = {0};
                const simjob_call call =
                    any_call(&rng, sizes[s], weft_algo_at(at)->coll, weft_algo_at(at));
                world w = open_world(sizes[s], seed);
                name_it(&w, &call);
                call_all(&w, &rng, &call, start, seed % 4 == 0 ? 0 : 300 * US);
                finish(&w);
            }
        }
    }
}

Test(prop_engine, a_hundred_operations_in_flight_end_right)
{
    for (uint64_t seed = 0; seed < share_of(40); seed++) {
        weft_rng rng = {.state = seed};
        int64_t start[SIMNET_RANKS] = {0};
        world w = open_world(sizes[seed % SIZES], seed);
        const int calls = seed % 3 == 0 ? 100 : 5 + (int)weft_rng_below(&rng, 60);
        const int64_t skew = (seed % 4) * 100 * (seed % 7 == 0 ? WEFT_MS : US);
        snprintf(w.name, sizeof(w.name), "%d calls", calls);
        while (w.calls < calls) {
            const simjob_call call = any_of_all(&rng, w.job->size);
            call_all(&w, &rng, &call, start, skew);
        }
        finish(&w);
    }
}

/* A caller that waits for each result before the next call, with rests between. */
Test(prop_engine, calls_one_after_another_end_right)
{
    for (uint64_t seed = 0; seed < share_of(40); seed++) {
        weft_rng rng = {.state = seed + 99};
        world w = open_world(sizes[seed % SIZES], seed);
        snprintf(w.name, sizeof(w.name), "one after another");
        while (w.calls < 30) {
            const simjob_call call = any_of_all(&rng, w.job->size);
            for (int r = 0; r < w.job->size; r++) {
                weft_request *q = simjob_make(w.job, r, w.calls, &call);
                if (w.calls == 0) {
                    simnet_call(w.net, 0, r, q);
                }
            }
            w.calls++;
        }
        w.job->chain = w.net;
        finish(&w);
    }
}

Test(prop_engine, bits_do_not_depend_on_timing)
{
    static const char *const algos[] = {"ring", "doubling", "scatter", "gather"};
    for (int a = 0; a < 4; a++) {
        uint64_t bits = 0;
        for (uint64_t seed = 0; seed < 12; seed++) {
            weft_rng rng = {.state = seed};
            int64_t start[SIMNET_RANKS] = {0};
            const simjob_call call = {.coll = WEFT_COLL_ALLREDUCE,
                                      .algo = algos[a],
                                      .count = 1000,
                                      .lane = 48,
                                      .real = true,
                                      .in_place = seed % 2 == 0,
                                      .timeout_ms = WEFT_FOREVER};
            world w = open_world(5, seed);
            name_it(&w, &call);
            call_all(&w, &rng, &call, start, 200 * US);
            cr_assert(simnet_run(w.net, FAR));
            cr_assert(seed == 0 || bits == simjob_bits(w.job, 0, 0), "%s: seed %llu has others",
                      w.name, (unsigned long long)seed);
            bits = simjob_bits(w.job, 0, 0);
            finish(&w);
        }
    }
}

Test(prop_engine, long_messages_go_in_fragments)
{
    const simjob_call calls[] = {
        {.coll = WEFT_COLL_ALLREDUCE, .algo = "doubling", .count = 250000, .lane = 100000},
        {.coll = WEFT_COLL_ALLREDUCE, .algo = "gather", .count = 200000, .lane = 200000},
        {.coll = WEFT_COLL_ALLREDUCE, .algo = "scatter", .count = 300000, .lane = 300000},
        {.coll = WEFT_COLL_BROADCAST, .count = 131073, .lane = 131073, .in_place = true},
        {.coll = WEFT_COLL_ALLREDUCE,
         .algo = "gather",
         .codec = "qsgd:levels=127,bucket=0",
         .real = true,
         .residual = true,
         .count = 300000},
        /* joined */
        {.coll = WEFT_COLL_ALLGATHER, .algo = "bruck", .count = 90000, .lane = 90000},
        {.coll = WEFT_COLL_GATHER, .algo = "binomial", .root = 2, .count = 70000, .lane = 50000},
        {.coll = WEFT_COLL_SCATTER,
         .algo = "binomial",
         .lengths = SIMJOB_MIXED,
         .count = 140000,
         .lane = 140000},
        {.coll = WEFT_COLL_REDUCE_SCATTER, .algo = "halving", .count = 70000, .lane = 70000},
        {.coll = WEFT_COLL_ALLTOALL, .algo = "bruck", .count = 70000, .lane = 70000},
        {.coll = WEFT_COLL_ALLTOALL, .lengths = SIMJOB_ONE, .gaps = true, .count = 200000},
    };
    enum { LONG = sizeof(calls) / sizeof(calls[0]) };
    for (uint64_t seed = 0; seed < LONG; seed++) {
        weft_rng rng = {.state = seed};
        int64_t start[SIMNET_RANKS] = {0};
        simjob_call call = calls[seed % LONG];
        call.timeout_ms = WEFT_FOREVER;
        world w = open_world(seed % 2 == 0 ? 3 : 5, seed);
        name_it(&w, &call);
        call_all(&w, &rng, &call, start, 200 * US);
        call_all(&w, &rng, &calls[3], start, 200 * US);
        finish(&w);
    }
}

/* The others may run ahead of a caller that is late, but no further than it has room for. */
Test(prop_engine, frames_for_a_late_caller_are_bounded)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        weft_rng rng = {.state = seed};
        const int size = 2 + (int)(seed % 4);
        const int late = (int)weft_rng_below(&rng, (uint64_t)size);
        world w = open_world(size, seed);
        snprintf(w.name, sizeof(w.name), "rank %d is late", late);
        while (w.calls < 90) {
            simjob_call call = any_of_all(&rng, size);
            if (seed % 4 != 3 &&
                w.calls == (int)(seed % 10)) { /* 4.8 MB, where 4 MiB may come early */
                call = (simjob_call){.coll = WEFT_COLL_BROADCAST,
                                     .in_place = true,
                                     .root = (late + 1) % size,
                                     .count = 1200000,
                                     .lane = seed % 2 == 0 ? 1200000 : 100000,
                                     .dtype = WEFT_F32,
                                     .timeout_ms = WEFT_FOREVER};
            }
            for (int r = 0; r < size; r++) {
                simnet_call(w.net, r == late ? 1500 * WEFT_MS : 0, r,
                            simjob_make(w.job, r, w.calls, &call));
            }
            w.calls++;
        }
        finish(&w);
    }
}

/* News of how far a receiver is must not have to wait for a timer: the engine's first one comes
 * after 20 ms, all frames of such a chain take a fraction of it. */
Test(prop_engine, a_chain_of_operations_waits_for_frames_only)
{
    static const uint64_t counts[] = {100, 20000, 60000, 100000};
    static const weft_coll colls[] = {
        WEFT_COLL_ALLREDUCE, WEFT_COLL_ALLGATHER, WEFT_COLL_BROADCAST, WEFT_COLL_REDUCE_SCATTER,
        WEFT_COLL_REDUCE,    WEFT_COLL_GATHER,    WEFT_COLL_SCATTER,   WEFT_COLL_ALLTOALL};
    enum { CALLS = 12, ROUNDS_MOST = 8, COLLS = sizeof(colls) / sizeof(colls[0]) };
    for (int i = 0; i < COLLS * 4 * 2; i++) {
        const weft_coll coll = colls[i % COLLS];
        const uint64_t count = counts[i / COLLS % 4] / (has_blocks(coll) ? 4 : 1);
        const simjob_call call = {.coll = coll,
                                  .algo = i % COLLS == 0 ? "ring" : NULL,
                                  .count = count,
                                  .lane = count,
                                  .in_place = true,
                                  .timeout_ms = WEFT_FOREVER};
        const bool at_once = i >= COLLS * 4; /* all calls in flight */
        world w = open_world(4, 1);          /* frames take up to 50 us */
        name_it(&w, &call);
        for (; w.calls < CALLS; w.calls++) {
            for (int r = 0; r < w.job->size; r++) {
                weft_request *q = simjob_make(w.job, r, w.calls, &call);
                if (w.calls == 0 || at_once) {
                    simnet_call(w.net, 0, r, q);
                }
            }
        }
        w.job->chain = at_once ? NULL : w.net;
        const int64_t took = finish(&w);
        cr_expect_lt(took, CALLS * ROUNDS_MOST * 2 * 60 * US, "call %d at once %d: %lld us", i,
                     at_once, (long long)(took / US));
    }
}

/* Neither of two ranks that barriers did not bring together knows how far the other one is: both
 * hold their data back, and must hear of each other without a timer. */
Test(prop_engine, strangers_that_hold_data_back_tell_each_other)
{
    enum { SIZE = 8, BARRIERS = 3, CALLS = 4 };
    world w = open_world(SIZE, 1);
    const simjob_call barrier = {.coll = WEFT_COLL_BARRIER, .lane = 1, .timeout_ms = WEFT_FOREVER};
    const simjob_call call = {.coll = WEFT_COLL_ALLREDUCE,
                              .algo = "scatter",
                              .count = 65536,
                              .lane = 65536,
                              .timeout_ms = WEFT_FOREVER};
    name_it(&w, &call);
    for (; w.calls < (BARRIERS + 1) * CALLS; w.calls++) {
        const bool last = w.calls % (BARRIERS + 1) == BARRIERS;
        for (int r = 0; r < SIZE; r++) {
            weft_request *q = simjob_make(w.job, r, w.calls, last ? &call : &barrier);
            if (w.calls == 0) {
                simnet_call(w.net, 0, r, q);
            }
        }
    }
    w.job->chain = w.net;
    const int64_t took = finish(&w);
    cr_expect_lt(took, 10 * WEFT_MS, "%lld us", (long long)(took / US));
}

/* Lanes in flight would leave the caches: of many long operations the first ones have the turn. */
Test(prop_engine, long_operations_take_turns)
{
    enum { SIZE = 4, CALLS = 10, LATE = 3 };
    world w = open_world(SIZE, 3);
    const simjob_call call = {.coll = WEFT_COLL_ALLREDUCE,
                              .algo = "ring",
                              .count = 20000,
                              .lane = 1000,
                              .timeout_ms = WEFT_FOREVER};
    name_it(&w, &call);
    for (; w.calls < CALLS; w.calls++) {
        for (int r = 0; r < SIZE; r++) {
            simnet_call(w.net, r == LATE ? 50 * WEFT_MS : 0, r,
                        simjob_make(w.job, r, w.calls, &call));
        }
    }
    cr_assert_not(simnet_run(w.net, 40 * WEFT_MS));
    for (int r = 0; r < SIZE; r++) {
        const weft_engine *e = simnet_engine(w.net, r);
        cr_expect_eq(e->started, r == LATE ? 0 : WEFT_LANES_ALL, "rank %d: %d", r, e->started);
        cr_expect_eq(e->parked, r == LATE ? 0 : CALLS * WEFT_LANES - WEFT_LANES_ALL);
    }
    cr_assert(simnet_run(w.net, FAR));
    for (int r = 0; r < SIZE; r++) {
        const weft_engine *e = simnet_engine(w.net, r);
        cr_expect(e->started == 0 && e->parked == 0, "rank %d: %d, %d", r, e->started, e->parked);
    }
    finish(&w);
}
