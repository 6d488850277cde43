/* SPDX-License-Identifier: Apache-2.0 */
/* The engine by itself: one engine, and frames made by hand from a peer that does as it likes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/engine_state.h"
#include "support/simjob.h"

enum { GROUP = 0x77, SENT_MOST = 4096, CONN = 1, NOT_LAST = 0x80 };

typedef struct bench {
    weft_engine *engine;
    weft_pool *pool;
    simjob *job;
    int64_t now;
    uint32_t sequence;
    weft_frame sent[SENT_MOST];
    char text[512]; /* body of the last frame sent, as words */
    int sends, drops, dials;
    uint32_t dialled;
    int dial_code; /* of every dial from here on */
} bench;

static bool take(void *user, uint32_t conn, weft_message *m)
{
    bench *b = user;
    (void)conn;
    cr_assert_lt(b->sends, SENT_MOST);
    cr_assert_eq(weft_frame_get(m->data, m->len, &b->sent[b->sends]), WEFT_OK);
    const size_t len = m->len - WEFT_FRAME_HEADER;
    snprintf(b->text, sizeof(b->text), "%.*s", len < 500 ? (int)len : 500,
             (const char *)m->data + WEFT_FRAME_HEADER);
    b->sends++;
    weft_message_unref(m);
    return true;
}

static int dial(void *user, uint32_t conn, int rank)
{
    bench *b = user;
    (void)rank;
    b->dials++;
    b->dialled = conn;
    return b->dial_code == WEFT_OK ? WEFT_OK : weft_fail(b->dial_code, "dial sim:0: no way");
}

static void drop(void *user, uint32_t conn)
{
    bench *b = user;
    (void)conn;
    b->drops++;
}

static void complete(void *user, weft_request *r)
{
    bench *b = user;
    simjob_ended(b->job, 1, r);
}

static void roster(void *user, uint32_t conn, weft_message *m)
{
    drop(user, conn);
    weft_message_unref(m);
}

static const bool sums[2];
static const char *const where[2] = {"sim:0", "sim:1"};

/* Rank 1 of 2: rank 0 dials it. */
static void open_bench(bench *b)
{
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
}

static void close_bench(bench *b)
{
    weft_engine_stop(b->engine, b->now);
    weft_engine_close(&b->engine);
    weft_pool_close(&b->pool);
    simjob_close(&b->job);
}

static void feed(bench *b, weft_frame f, const void *body, size_t len)
{
    weft_message *m = weft_message_new(b->pool, len);
    if (len > 0) {
        memcpy(m->data + WEFT_FRAME_HEADER, body, len);
    }
    f.group = f.group != 0 ? f.group : GROUP;
    f.destination = 1;
    f.flags = f.flags == NOT_LAST ? 0 : WEFT_FLAG_LAST;
    f.sequence = f.sequence != 0 ? f.sequence : ++b->sequence;
    f.body_bytes = (uint32_t)len;
    weft_frame_put(&f, m->data);
    weft_engine_frame(b->engine, b->now, CONN, m);
}

static void greet(bench *b)
{
    feed(b, (weft_frame){.kind = WEFT_FRAME_HELLO}, NULL, 0);
    cr_assert_eq(b->sends, 1);
    cr_assert_eq(b->sent[0].kind, WEFT_FRAME_HELLO);
}

static const simjob_call small = {
    .coll = WEFT_COLL_ALLREDUCE, .algo = "ring", .count = 16, .timeout_ms = WEFT_FOREVER};

static weft_request *call(bench *b, int index, const simjob_call *c)
{
    weft_request *r = simjob_make(b->job, 1, index, c);
    weft_engine_call(b->engine, b->now, r);
    while (weft_engine_work(b->engine, b->now)) {
    }
    return r;
}

static void start(bench *b, uint32_t number, const char *words)
{
    feed(b,
         (weft_frame){.kind = WEFT_FRAME_START,
                      .operation = number,
                      .descriptor = weft_hash64(words, strlen(words))},
         words, strlen(words));
}

/* The group is broken for this reason, and says so to the next caller. */
static void check_broken(bench *b, int code, const char *word)
{
    weft_request *r = call(b, 100, &small);
    cr_assert_eq(b->engine->broken.code, code, "%d %s", b->engine->broken.code,
                 b->engine->broken.text);
    cr_assert(strstr(b->engine->broken.text, word) != NULL, "%s", b->engine->broken.text);
    cr_assert(b->job->parts[100][1].ended);
    cr_assert_eq(r->problem.code, WEFT_EBROKEN);
    cr_assert_eq(r->problem.rank, 0);
    cr_assert_eq(weft_engine_active(b->engine), 0);
}

Test(engine, a_hello_is_answered_and_another_groups_is_refused)
{
    bench b;
    open_bench(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_HELLO, .group = GROUP + 1}, NULL, 0);
    cr_assert_eq(b.sent[0].kind, WEFT_FRAME_REFUSE);
    cr_assert_str_eq(b.text, "this peer is in another group");
    cr_assert_eq(b.drops, 1);
    b.sends = 0;
    b.sequence = 0;
    greet(&b);
    cr_assert_eq(b.sent[0].group, GROUP);
    cr_assert_eq(b.sent[0].source, 1);
    cr_assert_eq(b.sent[0].sequence, 1);
    close_bench(&b);
}

Test(engine, a_hello_with_wrong_ranks_is_refused)
{
    bench b;
    open_bench(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_HELLO, .source = 7}, NULL, 0);
    cr_assert_str_eq(b.text, "HELLO names wrong ranks");
    b.sequence = 0;
    feed(&b, (weft_frame){.kind = WEFT_FRAME_HELLO, .source = 1}, NULL, 0);
    cr_assert_eq(b.drops, 2);
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    close_bench(&b);
}

Test(engine, frames_before_hello_close_the_connection_and_nothing_else)
{
    bench b;
    open_bench(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT}, NULL, 0);
    cr_assert_eq(b.drops, 1);
    cr_assert_eq(b.sends, 0);
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    close_bench(&b);
}

Test(engine, another_wire_version_is_told_ours)
{
    bench b;
    open_bench(&b);
    weft_message *m = weft_message_new(b.pool, 0);
    weft_frame_put(&(weft_frame){.kind = WEFT_FRAME_HELLO, .group = GROUP}, m->data);
    m->data[4] = 9;
    for (uint32_t i = 0, sum = weft_crc32c(0, m->data, 60); i < 4; i++) {
        m->data[60 + i] = (uint8_t)(sum >> 8 * i);
    }
    weft_engine_frame(b.engine, b.now, CONN, m);
    cr_assert_eq(b.sends, 1);
    cr_assert_eq(b.sent[0].kind, WEFT_FRAME_REFUSE);
    cr_assert(strstr(b.text, "9") != NULL, "%s", b.text);
    cr_assert_eq(b.drops, 1);
    close_bench(&b);
}

Test(engine, a_gap_in_the_sequence_breaks_the_group)
{
    bench b;
    open_bench(&b);
    greet(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT, .sequence = 3}, NULL, 0);
    check_broken(&b, WEFT_EPROTO, "BEAT frame 3 where 2 was due");
    close_bench(&b);
}

Test(engine, data_without_a_description_break_the_group)
{
    bench b;
    open_bench(&b);
    greet(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_DATA, .operation = 1, .descriptor = 5}, "x", 1);
    check_broken(&b, WEFT_EPROTO, "never said what it calls");
    close_bench(&b);
}

Test(engine, lanes_above_the_grant_break_the_group)
{
    bench b;
    open_bench(&b);
    greet(&b);
    simjob_call lanes = small;
    lanes.count = 160;
    lanes.lane = 16;
    weft_request *r = call(&b, 0, &lanes);
    start(&b, 1, r->words);
    feed(&b,
         (weft_frame){.kind = WEFT_FRAME_DATA,
                      .operation = 1,
                      .descriptor = r->descriptor,
                      .lane = WEFT_LANES},
         "12345678", 8);
    cr_assert_eq(r->problem.code, WEFT_EPROTO);
    check_broken(&b, WEFT_EPROTO, "a lane that is not open");
    close_bench(&b);
}

Test(engine, a_second_lane_before_the_call_breaks_the_group)
{
    bench b;
    open_bench(&b);
    greet(&b);
    start(&b, 1, "something");
    feed(&b,
         (weft_frame){.kind = WEFT_FRAME_DATA,
                      .operation = 1,
                      .descriptor = weft_hash64("something", 9),
                      .lane = 1},
         "1234", 4);
    check_broken(&b, WEFT_EPROTO, "sent beyond what was granted");
    close_bench(&b);
}

Test(engine, no_more_is_kept_before_the_call_than_is_granted)
{
    bench b;
    open_bench(&b);
    greet(&b);
    start(&b, 1, "something");
    static uint8_t body[WEFT_FRAME_BODY_MAX];
    for (uint16_t i = 0; i < 40; i++) {
        feed(&b,
             (weft_frame){.kind = WEFT_FRAME_DATA,
                          .operation = 1,
                          .descriptor = weft_hash64("something", 9),
                          .fragment = i},
             body, sizeof(body));
        cr_assert_leq(b.engine->root->members[0].early_bytes,
                      WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES);
    }
    check_broken(&b, WEFT_EPROTO, "sent beyond what was granted");
    cr_assert_null(b.engine->root->early);
    close_bench(&b);
}

Test(engine, bodies_that_do_not_fit_the_plan_break_the_group)
{
    const size_t lengths[] = {0, 31, 33, 4096};
    for (int i = 0; i < 4; i++) { /* 16 floats on a ring of 2: messages of 32 bytes */
        bench b;
        static const uint8_t body[4096];
        open_bench(&b);
        greet(&b);
        weft_request *r = call(&b, 0, &small);
        start(&b, 1, r->words);
        feed(&b, (weft_frame){.kind = WEFT_FRAME_DATA, .operation = 1, .descriptor = r->descriptor},
             body, lengths[i]);
        check_broken(&b, WEFT_EPROTO, "a body of the wrong length");
        close_bench(&b);
    }
}

Test(engine, a_message_too_many_or_twice_breaks_the_group)
{
    for (uint16_t message = 0; message < 3; message += 2) {
        bench b;
        static const uint8_t body[32];
        open_bench(&b);
        greet(&b);
        weft_request *r = call(&b, 0, &small);
        start(&b, 1, r->words);
        for (int i = 0; i < 2; i++) {
            feed(&b,
                 (weft_frame){.kind = WEFT_FRAME_DATA,
                              .operation = 1,
                              .descriptor = r->descriptor,
                              .message = message},
                 body, sizeof(body));
        }
        check_broken(&b, WEFT_EPROTO, message == 2 ? "in no plan" : "a fragment out of order");
        close_bench(&b);
    }
}

Test(engine, a_mismatch_names_both_calls)
{
    bench b;
    open_bench(&b);
    greet(&b);
    weft_request *r = call(&b, 0, &small);
    start(&b, 1, "barrier algo=dissemination");
    cr_assert_eq(r->problem.code, WEFT_EMISMATCH);
    cr_assert_eq(r->problem.rank, 0);
    cr_assert(strstr(r->problem.text, "rank 0 calls barrier algo=dissemination; rank 1 calls "
                                      "allreduce float32 sum count=16") != NULL,
              "%s", r->problem.text);
    cr_assert_eq(b.sent[b.sends - 1].kind, WEFT_FRAME_ABORT);
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    for (uint32_t i = 2; i <= 3; i++) {
        r = call(&b, (int)i, &small);
        start(&b, i, "barrier algo=dissemination");
        cr_assert_eq(r->problem.code, WEFT_EMISMATCH);
    }
    cr_assert(strstr(r->problem.text, "a call more or less") != NULL, "%s", r->problem.text);
    close_bench(&b);
}

Test(engine, a_failure_before_the_call_is_kept_for_it)
{
    bench b;
    open_bench(&b);
    greet(&b);
    const uint8_t body[] = {0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'o', '\n', 'h'}; /* -4, rank 0 */
    feed(&b, (weft_frame){.kind = WEFT_FRAME_ABORT, .operation = 2}, body, sizeof(body));
    weft_request *first = call(&b, 0, &small);
    weft_request *second = call(&b, 1, &small);
    cr_assert_not(b.job->parts[0][1].ended);
    cr_assert(b.job->parts[1][1].ended);
    cr_assert_eq(first->problem.code, WEFT_OK);
    cr_assert_eq(second->problem.code, WEFT_ECANCELED);
    cr_assert_eq(second->problem.rank, 0);
    cr_assert_str_eq(second->problem.text, "o?h");
    close_bench(&b);
}

Test(engine, a_malformed_abort_breaks_the_group)
{
    bench b;
    open_bench(&b);
    greet(&b);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_ABORT, .operation = 1}, "1234567", 7);
    check_broken(&b, WEFT_EPROTO, "malformed ABORT");
    close_bench(&b);
}

Test(engine, a_timeout_says_what_it_waits_for)
{
    bench b;
    open_bench(&b);
    greet(&b);
    simjob_call timed = small;
    timed.timeout_ms = 300;
    weft_request *r = call(&b, 0, &timed);
    while (!b.job->parts[0][1].ended) {
        const int64_t due = weft_engine_due(b.engine);
        cr_assert_gt(due, b.now);
        b.now = due;
        feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT}, NULL, 0);
        weft_engine_timer(b.engine, b.now);
    }
    cr_assert_eq(r->problem.code, WEFT_ETIMEDOUT);
    cr_assert_eq(r->problem.rank, 0);
    cr_assert(strstr(r->problem.text, "which waits for rank 0 (sim:0): it has not called the "
                                      "operation") != NULL,
              "%s", r->problem.text);
    close_bench(&b);
}

/* A message of 300000 bytes in fragments, each within the time, all of it far beyond. */
Test(engine, every_fragment_puts_the_timeout_off)
{
    bench b;
    static const uint8_t body[50000];
    const simjob_call broadcast = {.coll = WEFT_COLL_BROADCAST,
                                   .count = 75000,
                                   .lane = 75000,
                                   .in_place = true,
                                   .timeout_ms = 300};
    open_bench(&b);
    greet(&b);
    weft_request *r = call(&b, 0, &broadcast);
    start(&b, 1, r->words);
    for (uint16_t i = 0; i < 6; i++) {
        b.now += 250 * WEFT_MS;
        weft_engine_timer(b.engine, b.now);
        cr_assert_not(b.job->parts[0][1].ended, "fragment %d: %s", i, r->problem.text);
        feed(&b,
             (weft_frame){.kind = WEFT_FRAME_DATA,
                          .operation = 1,
                          .descriptor = r->descriptor,
                          .fragment = i,
                          .flags = i == 5 ? 0 : NOT_LAST},
             body, sizeof(body));
    }
    while (weft_engine_work(b.engine, b.now)) {
    }
    cr_assert(b.job->parts[0][1].ended);
    cr_assert_eq(r->problem.code, WEFT_OK, "%s", r->problem.text);
    close_bench(&b);
}

/* Its own part of a broadcast is done, the peer's of another call may wait for somebody. */
Test(engine, a_mismatch_is_told_when_the_own_part_is_done)
{
    bench b;
    const simjob_call broadcast = {.coll = WEFT_COLL_BROADCAST,
                                   .root = 1,
                                   .count = 16,
                                   .in_place = true,
                                   .timeout_ms = WEFT_FOREVER};
    open_bench(&b);
    greet(&b);
    weft_request *r = call(&b, 0, &broadcast);
    cr_assert_eq(r->problem.code, WEFT_OK);
    cr_assert(b.job->parts[0][1].ended);
    const int before = b.sends;
    start(&b, 1, r->words);
    cr_assert_eq(b.sends, before, "the same call, late");
    start(&b, 1, "reduce float32 sum count=16");
    cr_assert_eq(b.sends, before + 1);
    cr_assert_eq(b.sent[b.sends - 1].kind, WEFT_FRAME_ABORT);
    cr_assert_eq(b.sent[b.sends - 1].operation, 1);
    start(&b, 1, "reduce float32 sum count=16");
    cr_assert_leq(b.sends, before + 2, "told once, and once more when it is reminded");
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    close_bench(&b);
}

/* The others hear of it, and would not know whose memory it is. */
Test(engine, memory_that_is_lacking_is_told_with_the_rank)
{
    bench b;
    static const char words[] = "allreduce";
    weft_frame f = {.kind = WEFT_FRAME_START,
                    .group = GROUP,
                    .destination = 1,
                    .sequence = 2,
                    .operation = 1,
                    .descriptor = weft_hash64(words, strlen(words)),
                    .flags = WEFT_FLAG_LAST,
                    .body_bytes = (uint32_t)strlen(words)};
    open_bench(&b);
    greet(&b);
    weft_message *m = weft_message_new(b.pool, strlen(words));
    memcpy(m->data + WEFT_FRAME_HEADER, words, strlen(words));
    weft_frame_put(&f, m->data);
    weft_mem_fail_at(1);
    weft_engine_frame(b.engine, b.now, CONN, m);
    weft_mem_fail_at(0);
    cr_assert_eq(b.engine->broken.code, WEFT_ENOMEM);
    cr_assert_eq(b.engine->broken.rank, 1);
    cr_assert_str_eq(b.engine->broken.text, "rank 1: out of memory for a descriptor");
    close_bench(&b);
}

/* A call of rank 1's, which dials as nobody else does, until the group is broken. */
static void dial_in_vain(bench *b, int code)
{
    open_bench(b);
    b->dial_code = code;
    call(b, 0, &small);
    while (b->engine->broken.code == WEFT_OK && b->now < 3000 * WEFT_MS) {
        b->now += 25 * WEFT_MS;
        weft_engine_timer(b->engine, b->now);
    }
}

Test(engine, a_dial_that_cannot_begin_is_tried_again_and_tells_who_could_not_and_why)
{
    bench b;
    dial_in_vain(&b, WEFT_EIO);
    cr_assert_gt(b.dials, 3);
    check_broken(&b, WEFT_EPEER, "rank 0 (sim:0) is lost: rank 1 cannot connect to it for 1");
    cr_assert(strstr(b.engine->broken.text, "ms: dial sim:0: no way") != NULL, "%s",
              b.engine->broken.text);
    close_bench(&b);
}

Test(engine, an_endpoint_that_is_malformed_is_dialled_once)
{
    bench b;
    dial_in_vain(&b, WEFT_EINVAL);
    cr_assert_eq(b.dials, 1);
    check_broken(&b, WEFT_EPEER,
                 "rank 0 (sim:0) is lost: rank 1 cannot connect to it: dial sim:0: no way");
    close_bench(&b);
}

Test(engine, silence_is_death_and_beats_are_life)
{
    bench b;
    open_bench(&b);
    greet(&b);
    for (int i = 0; i < 50; i++) {
        b.now += 125 * WEFT_MS;
        if (i % 4 == 0) {
            feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT}, NULL, 0);
        }
        weft_engine_timer(b.engine, b.now);
        cr_assert_eq(b.engine->broken.code, WEFT_OK);
    }
    cr_assert_gt(b.sends, 10); /* beats of its own */
    for (int i = 0; i < 9; i++) {
        b.now += 125 * WEFT_MS;
        weft_engine_timer(b.engine, b.now);
    }
    check_broken(&b, WEFT_EPEER, "silent for 1");
    cr_assert_eq(weft_engine_due(b.engine), WEFT_NEVER);
    close_bench(&b);
}

Test(engine, more_calls_than_fit_wait_for_their_turn)
{
    bench b;
    open_bench(&b);
    greet(&b);
    for (int i = 0; i < 90; i++) {
        call(&b, i, &small);
    }
    cr_assert_eq(weft_engine_active(b.engine), WEFT_IN_FLIGHT);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BYE}, NULL, 0);
    for (int i = 0; i < 90; i++) {
        const weft_problem *p = &b.job->parts[i][1].request->problem;
        cr_assert(b.job->parts[i][1].ended);
        cr_assert_eq(p->code, i < WEFT_IN_FLIGHT ? WEFT_EPEER : WEFT_EBROKEN, "call %d: %s", i,
                     p->text);
        cr_assert(strstr(p->text, "rank 0 (sim:0) left the group") != NULL, "%s", p->text);
    }
    close_bench(&b);
}

Test(engine, a_stopped_engine_ends_its_calls_and_says_bye)
{
    bench b;
    open_bench(&b);
    greet(&b);
    weft_request *running = call(&b, 0, &small);
    weft_engine_stop(b.engine, b.now);
    cr_assert_eq(running->problem.code, WEFT_ECANCELED);
    cr_assert_eq(b.sent[b.sends - 1].kind, WEFT_FRAME_BYE);
    cr_assert_eq(call(&b, 1, &small)->problem.code, WEFT_ECANCELED);
    close_bench(&b);
}
