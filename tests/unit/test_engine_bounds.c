/* SPDX-License-Identifier: Apache-2.0 */
/* One engine, and a peer whose frames name nothing, or what is far ahead; requests behind others.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "engine/engine_state.h"
#include "support/simjob.h"

enum { GROUP = 0x77, CONN = 1 };

typedef struct bench {
    weft_engine *engine;
    weft_pool *pool;
    simjob *job;
    uint32_t sequence;
    int aborts;
    uint32_t aborted[SIMJOB_CALLS]; /* operations of the ABORT frames sent */
} bench;

static bool take(void *user, uint32_t conn, weft_message *m)
{
    bench *b = user;
    weft_frame f;
    (void)conn;
    cr_assert_eq(weft_frame_get(m->data, m->len, &f), WEFT_OK);
    if (f.kind == WEFT_FRAME_ABORT && b->aborts < SIMJOB_CALLS) {
        b->aborted[b->aborts++] = f.operation;
    }
    weft_message_unref(m);
    return true;
}

static int dial(void *user, uint32_t conn, int rank)
{
    (void)user;
    (void)conn;
    (void)rank;
    return WEFT_OK;
}

static void drop(void *user, uint32_t conn)
{
    (void)user;
    (void)conn;
}

static void complete(void *user, weft_request *r)
{
    const bench *b = user;
    simjob_ended(b->job, 1, r);
}

static void roster(void *user, uint32_t conn, weft_message *m)
{
    (void)user;
    (void)conn;
    weft_message_unref(m);
}

static void feed(bench *b, weft_frame f, const void *body, size_t len)
{
    weft_message *m = weft_message_new(b->pool, len);
    cr_assert_not_null(m);
    if (len > 0) {
        memcpy(m->data + WEFT_FRAME_HEADER, body, len);
    }
    f.group = GROUP;
    f.destination = 1;
    f.flags |= WEFT_FLAG_LAST;
    f.sequence = ++b->sequence;
    f.body_bytes = (uint32_t)len;
    weft_frame_put(&f, m->data);
    weft_engine_frame(b->engine, 0, CONN, m);
}

/* Rank 1 of 2, greeted by rank 0. */
static void open_bench(bench *b)
{
    static const bool sums[2];
    static const char *const where[2] = {"sim:0", "sim:1"};
    *b = (bench){.job = simjob_open(2, 1)};
    cr_assert_eq(weft_pool_open(&b->pool, 1 << 16), WEFT_OK);
    const weft_engine_opts o = {.rank = 1,
                                .size = 2,
                                .group = GROUP,
                                .dead_ns = 1000 * WEFT_MS,
                                .sum = sums,
                                .where = where,
                                .pool = b->pool,
                                .outlet = {.user = b,
                                           .send = take,
                                           .dial = dial,
                                           .drop = drop,
                                           .complete = complete,
                                           .roster = roster}};
    cr_assert_eq(weft_engine_open(&b->engine, &o), WEFT_OK);
    feed(b, (weft_frame){.kind = WEFT_FRAME_HELLO, .lane = 1000}, NULL, 0);
    cr_assert_eq(b->engine->peers[0].state, WEFT_PEER_UP);
}

static void close_bench(bench *b)
{
    weft_engine_stop(b->engine, 0);
    weft_engine_close(&b->engine);
    weft_pool_close(&b->pool);
    simjob_close(&b->job);
}

static weft_request *call(bench *b, int index)
{
    const simjob_call small = {
        .coll = WEFT_COLL_ALLREDUCE, .algo = "ring", .count = 16, .timeout_ms = WEFT_FOREVER};
    weft_request *r = simjob_make(b->job, 1, index, &small);
    weft_engine_call(b->engine, 0, r);
    while (weft_engine_work(b->engine, 0)) {
    }
    return r;
}

static void check_broken(const bench *b, const char *word)
{
    cr_assert_eq(b->engine->broken.code, WEFT_EPROTO, "%d %s", b->engine->broken.code,
                 b->engine->broken.text);
    cr_assert(strstr(b->engine->broken.text, word) != NULL, "%s", b->engine->broken.text);
}

static const char words[] = "something";

static void start(bench *b, uint32_t number)
{
    feed(b,
         (weft_frame){.kind = WEFT_FRAME_START,
                      .operation = number,
                      .descriptor = weft_hash64(words, strlen(words))},
         words, strlen(words));
}

/* 0 is what an empty cell of the table of descriptors holds. */
Test(engine_bounds, a_descriptor_of_0_names_nothing)
{
    const weft_frame_kind kinds[] = {WEFT_FRAME_GRANT, WEFT_FRAME_DATA};
    for (int called = 0; called < 2; called++) {
        for (int i = 0; i < 2; i++) {
            bench b;
            open_bench(&b);
            if (called == 1) {
                call(&b, 0);
            }
            feed(&b, (weft_frame){.kind = kinds[i], .operation = 1}, "x",
                 kinds[i] == WEFT_FRAME_DATA ? 1 : 0);
            check_broken(&b, "never said what it calls");
            close_bench(&b);
        }
    }
}

Test(engine_bounds, frames_of_operations_far_ahead_are_kept_within_bounds)
{
    const uint32_t most = 2 * WEFT_IN_FLIGHT;
    bench b;
    open_bench(&b);
    start(&b, most);
    feed(&b,
         (weft_frame){.kind = WEFT_FRAME_GRANT,
                      .operation = most - 1,
                      .descriptor = weft_hash64(words, strlen(words))},
         NULL, 0);
    cr_assert_eq(b.engine->broken.code, WEFT_OK, "%s", b.engine->broken.text);
    cr_assert_eq(b.engine->root->members[0].early_frames, 2);
    start(&b, most + 1);
    check_broken(&b, "sent beyond what was granted");
    cr_assert_null(b.engine->root->early);
    close_bench(&b);
}

Test(engine_bounds, a_failure_far_ahead_is_kept_for_the_call)
{
    const uint8_t body[] = {0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'o', 'h'}; /* -4, rank 0 */
    const int at = 100;
    bench b;
    open_bench(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_ABORT, .operation = (uint32_t)at}, body, sizeof(body));
    for (int i = 0; i < at; i++) {
        weft_request *r = call(&b, i);
        if (i < at - 1) {
            weft_engine_cancel(b.engine, 0, r);
        }
        cr_assert_eq(r->problem.code, WEFT_ECANCELED);
        cr_assert(i != at - 1 || strcmp(r->problem.text, "oh") == 0, "%s", r->problem.text);
    }
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    close_bench(&b);
}

Test(engine_bounds, what_is_canceled_behind_others_ends_at_once_and_uses_up_its_number)
{
    enum { CALLS = WEFT_IN_FLIGHT + 6, CUT = WEFT_IN_FLIGHT + 2 };
    bench b;
    weft_request *r[CALLS];
    open_bench(&b);
    for (int i = 0; i < CALLS; i++) {
        r[i] = call(&b, i);
    }
    weft_engine_cancel(b.engine, 0, r[CUT]);
    weft_engine_cancel(b.engine, 0, r[CALLS - 1]);
    for (int i = 0; i < CALLS; i++) {
        const bool cut = i == CUT || i == CALLS - 1;
        cr_assert_eq(b.job->parts[i][1].ended, cut, "call %d", i);
        cr_assert_eq(r[i]->problem.code, cut ? WEFT_ECANCELED : WEFT_OK, "call %d", i);
    }
    cr_assert_eq(b.aborts, 0, "it has no number yet");
    cr_assert_eq(weft_engine_active(b.engine), WEFT_IN_FLIGHT);
    for (int i = 0; i < 7; i++) {
        weft_engine_cancel(b.engine, 0, r[i]);
    }
    const weft_request *next = call(&b, CALLS);
    cr_assert_eq(b.engine->root->called, CALLS + 1);
    cr_assert_eq(next->operation->number, CALLS + 1);
    cr_assert_eq(r[CALLS - 2]->operation->number, CALLS - 1);
    cr_assert_eq(b.aborts, 9);
    int told = 0;
    for (int i = 0; i < b.aborts; i++) {
        told += b.aborted[i] == CUT + 1 || b.aborted[i] == CALLS;
    }
    cr_assert_eq(told, 2, "the peer is told of the numbers that no operation has");
    for (int i = 0; i < CALLS; i++) {
        cr_assert_leq(b.job->parts[i][1].times, 1, "call %d ended twice", i);
    }
    close_bench(&b);
}

/* The stand-ins of canceled requests go with the engine. */
Test(engine_bounds, a_stopped_engine_forgets_what_was_canceled_behind_others)
{
    bench b;
    open_bench(&b);
    for (int i = 0; i < WEFT_IN_FLIGHT + 4; i++) {
        weft_request *r = call(&b, i);
        if (i >= WEFT_IN_FLIGHT + 1) {
            weft_engine_cancel(b.engine, 0, r);
        }
    }
    weft_engine_stop(b.engine, 0);
    for (int i = 0; i < WEFT_IN_FLIGHT + 4; i++) {
        cr_assert_eq(b.job->parts[i][1].times, 1, "call %d", i);
        cr_assert_eq(b.job->parts[i][1].request->problem.code, WEFT_ECANCELED);
    }
    cr_assert_null(b.engine->root->queue);
    close_bench(&b);
}
