/* SPDX-License-Identifier: Apache-2.0 */
/* One engine with several groups, and a peer whose frames are made by hand: tags that are not open,
 * not yet or no more, credit, GREET and BYE. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "engine/engine_state.h"
#include "support/simjob.h"

enum { OPENED = 0x77, CHILD = 0x1234, CONN = 1, SENT_MOST = 4096 };

typedef struct bench {
    weft_engine *engine;
    weft_pool *pool;
    simjob *job;
    int64_t now;
    uint32_t sequence;
    weft_frame sent[SENT_MOST];
    int sends;
    weft_context *child;
    weft_request *enter, *leave;
} bench;

static bool take(void *user, uint32_t conn, weft_message *m)
{
    bench *b = user;
    (void)conn;
    cr_assert_lt(b->sends, SENT_MOST);
    cr_assert_eq(weft_frame_get(m->data, m->len, &b->sent[b->sends]), WEFT_OK);
    b->sends++;
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
    f.destination = 1;
    f.flags |= WEFT_FLAG_LAST;
    f.sequence = ++b->sequence;
    f.body_bytes = (uint32_t)len;
    weft_frame_put(&f, m->data);
    weft_engine_frame(b->engine, b->now, CONN, m);
}

/* Rank 1 of 3, greeted by rank 0. The child is of ranks 1 and 0, or of 1 and 2. */
static void open_bench(bench *b, int other)
{
    static const bool sums[3];
    static const char *const where[3] = {"sim:0", "sim:1", "sim:2"};
    const int ranks[2] = {1, other};
    *b = (bench){.job = simjob_open_in(2, ranks, 1, 1)};
    cr_assert_eq(weft_pool_open(&b->pool, 1 << 16), WEFT_OK);
    const weft_engine_opts o = {.rank = 1,
                                .size = 3,
                                .group = OPENED,
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
    feed(b, (weft_frame){.kind = WEFT_FRAME_HELLO, .group = OPENED, .lane = 1000}, NULL, 0);
    cr_assert_eq(b->engine->peers[0].state, WEFT_PEER_UP);
    b->sends = 0;
    b->child = weft_context_new(3, 2);
    b->enter = weft_request_new();
    b->leave = weft_request_new();
    weft_context_set(b->child, CHILD, ranks, 2, 0);
    b->enter->what = WEFT_REQUEST_ENTER;
    b->leave->what = WEFT_REQUEST_LEAVE;
    b->enter->context = b->leave->context = b->child;
    b->job->groups[0].context = b->child;
}

static void close_bench(bench *b)
{
    weft_engine_stop(b->engine, b->now);
    weft_engine_close(&b->engine);
    weft_pool_close(&b->pool);
    simjob_close(&b->job);
    weft_request_discard(b->enter);
    weft_request_discard(b->leave);
}

static void enter(bench *b)
{
    weft_engine_call(b->engine, b->now, b->enter);
    cr_assert_eq(b->enter->problem.code, WEFT_OK);
}

static const simjob_call small = {
    .coll = WEFT_COLL_ALLREDUCE, .algo = "gather", .count = 4, .timeout_ms = WEFT_FOREVER};

/* A call in the child, run as far as it goes. */
static weft_request *call(bench *b, int index)
{
    weft_request *r = simjob_make(b->job, 0, index, &small);
    weft_engine_call(b->engine, b->now, r);
    while (weft_engine_work(b->engine, b->now)) {
    }
    return r;
}

/* The descriptor of such a call. */
static uint64_t introduce(bench *b)
{
    weft_request *r = simjob_make(b->job, 1, 0, &small);
    feed(b,
         (weft_frame){
             .kind = WEFT_FRAME_START, .group = CHILD, .operation = 1, .descriptor = r->descriptor},
         r->words, strlen(r->words));
    return r->descriptor;
}

static void data(bench *b, uint64_t descriptor, uint32_t number, uint8_t flags, size_t len)
{
    static const uint8_t body[WEFT_FRAME_BODY_MAX];
    feed(b,
         (weft_frame){.kind = WEFT_FRAME_DATA,
                      .flags = flags,
                      .group = CHILD,
                      .operation = number,
                      .descriptor = descriptor},
         body, len);
}

static int count(const bench *b, weft_frame_kind kind, uint64_t tag)
{
    int n = 0;
    for (int i = 0; i < b->sends; i++) {
        n += b->sent[i].kind == kind && b->sent[i].group == tag;
    }
    return n;
}

static void check_broken(const bench *b, const char *word)
{
    cr_assert_eq(b->engine->broken.code, WEFT_EPROTO, "%d %s", b->engine->broken.code,
                 b->engine->broken.text);
    cr_assert(strstr(b->engine->broken.text, word) != NULL, "%s", b->engine->broken.text);
}

Test(engine_contexts, data_on_credit_wait_for_their_group)
{
    bench b;
    open_bench(&b, 0);
    const uint64_t d = introduce(&b);
    data(&b, d, 1, WEFT_FLAG_CREDIT, 16);
    cr_assert_eq(b.engine->peers[0].kept, weft_credit_cost(16 + WEFT_FRAME_HEADER));
    enter(&b);
    cr_assert(b.child->members[1].met);
    cr_assert_eq(b.engine->peers[0].kept, weft_credit_cost(16 + WEFT_FRAME_HEADER));
    call(&b, 0);
    cr_assert(b.job->parts[0][0].ended);
    cr_assert_eq(b.job->parts[0][0].request->problem.code, WEFT_OK, "%s",
                 b.job->parts[0][0].request->problem.text);
    cr_assert_eq(b.job->parts[0][0].request->call, 1);
    cr_assert_eq(b.engine->peers[0].kept, 0);
    cr_assert_eq(b.engine->peers[0].owed, weft_credit_cost(16 + WEFT_FRAME_HEADER));
    b.now += 130 * WEFT_MS;
    weft_engine_timer(b.engine, b.now); /* the beat gives it back */
    cr_assert_eq(count(&b, WEFT_FRAME_BEAT, OPENED), 1);
    cr_assert_eq(b.sent[b.sends - 1].lane, weft_credit_cost(16 + WEFT_FRAME_HEADER));
    cr_assert_eq(b.engine->peers[0].owed, 0);
    close_bench(&b);
}

Test(engine_contexts, data_of_an_unknown_group_without_credit_break_the_link)
{
    bench b;
    open_bench(&b, 0);
    data(&b, introduce(&b), 1, 0, 16);
    check_broken(&b, "sent beyond what was granted");
    weft_context_discard(b.child);
    close_bench(&b);
}

Test(engine_contexts, no_more_is_kept_on_credit_than_there_is)
{
    for (int open = 0; open < 2; open++) {
        bench b;
        open_bench(&b, 0);
        if (open == 1) {
            enter(&b);
        }
        const uint64_t d = introduce(&b);
        for (int i = 0; i < 17; i++) {
            data(&b, d, 1, WEFT_FLAG_CREDIT, WEFT_FRAME_BODY_MAX);
            cr_assert_eq(b.engine->broken.code, WEFT_OK);
        }
        cr_assert_leq(b.engine->peers[0].kept, WEFT_CREDIT);
        data(&b, d, 1, WEFT_FLAG_CREDIT, WEFT_FRAME_BODY_MAX);
        check_broken(&b, "sent beyond what was granted");
        cr_assert_eq(b.engine->peers[0].kept, 0);
        if (open == 0) {
            weft_context_discard(b.child);
        }
        close_bench(&b);
    }
}

Test(engine_contexts, small_frames_on_credit_are_bounded_too)
{
    bench b;
    open_bench(&b, 0);
    const uint64_t d = introduce(&b);
    int frames = 0;
    for (uint64_t tag = 1; b.engine->broken.code == WEFT_OK && frames < 100000; tag++, frames++) {
        feed(&b,
             (weft_frame){.kind = WEFT_FRAME_DATA,
                          .flags = WEFT_FLAG_CREDIT,
                          .group = tag << 32,
                          .operation = 1,
                          .descriptor = d},
             NULL, 0);
    }
    check_broken(&b, "sent beyond what was granted");
    cr_assert_lt(frames, 20000);
    cr_assert_eq(b.engine->tag_count, 1, "tags of frames that were dropped are forgotten");
    weft_context_discard(b.child);
    close_bench(&b);
}

Test(engine_contexts, more_credit_than_was_given_breaks_the_link)
{
    bench b;
    open_bench(&b, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT, .group = OPENED, .lane = 1}, NULL, 0);
    check_broken(&b, "gives back more credit than it got");
    weft_context_discard(b.child);
    close_bench(&b);
}

Test(engine_contexts, a_beat_of_another_tag_breaks_the_link)
{
    bench b;
    open_bench(&b, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BEAT, .group = CHILD}, NULL, 0);
    check_broken(&b, "broke the protocol: BEAT");
    weft_context_discard(b.child);
    close_bench(&b);
}

Test(engine_contexts, who_is_not_in_a_group_may_not_send_in_it)
{
    for (int before = 0; before < 2; before++) {
        bench b;
        open_bench(&b, 2);
        if (before == 0) {
            enter(&b);
        }
        data(&b, introduce(&b), 1, WEFT_FLAG_CREDIT, 16);
        if (before == 1) {
            enter(&b);
        }
        check_broken(&b, "is not in the group");
        close_bench(&b);
    }
}

/* Calls, failures and farewells in a group of others are not believed. */
Test(engine_contexts, who_is_not_in_a_group_cannot_end_it)
{
    const uint8_t abort[] = {0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'o', 'h'};
    bench b;
    open_bench(&b, 2);
    enter(&b);
    call(&b, 0);
    for (uint32_t number = 0; number < 2; number++) {
        feed(&b,
             (weft_frame){.kind = WEFT_FRAME_ABORT, .group = CHILD, .operation = number, .lane = 1},
             abort, sizeof(abort));
    }
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BYE, .group = CHILD, .lane = 1}, NULL, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_GREET, .group = CHILD, .lane = 1}, NULL, 0);
    cr_assert_not(b.job->parts[0][0].ended);
    cr_assert_eq(b.child->broken.code, WEFT_OK);
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    cr_assert_eq(count(&b, WEFT_FRAME_GREET, CHILD), 0);
    close_bench(&b);
}

Test(engine_contexts, frames_of_a_group_that_was_left_are_answered_with_bye)
{
    bench b;
    open_bench(&b, 0);
    enter(&b);
    const uint64_t d = introduce(&b);
    weft_engine_call(b.engine, b.now, b.leave);
    cr_assert_eq(count(&b, WEFT_FRAME_BYE, CHILD), 1);
    cr_assert_eq(b.sent[b.sends - 1].lane, 1);
    data(&b, d, 1, 0, 16);
    data(&b, d, 1, WEFT_FLAG_CREDIT, 16);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_GREET, .group = CHILD, .lane = 1}, NULL, 0);
    cr_assert_eq(count(&b, WEFT_FRAME_BYE, CHILD), 4);
    cr_assert_eq(atomic_load(&weft_engine_counters(b.engine)->dropped), 2);
    cr_assert_eq(b.engine->peers[0].kept, 0);
    cr_assert_eq(b.engine->peers[0].owed, weft_credit_cost(16 + WEFT_FRAME_HEADER));
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BYE, .group = CHILD, .lane = 1}, NULL, 0);
    cr_assert_eq(count(&b, WEFT_FRAME_BYE, CHILD), 4, "a BYE is not answered");
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    b.enter->context = weft_context_new(3, 2);
    weft_context_set(b.enter->context, CHILD, (const int[]){1, 0}, 2, 0);
    weft_engine_call(b.engine, b.now, b.enter); /* a tag serves once */
    cr_assert_eq(b.enter->problem.code, WEFT_EINTERNAL);
    weft_context_discard(b.enter->context);
    close_bench(&b);
}

Test(engine_contexts, a_greeting_is_answered_and_tells_how_far_we_are)
{
    bench b;
    open_bench(&b, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_GREET, .group = CHILD, .lane = 1}, NULL, 0);
    cr_assert_eq(b.sends, 0, "it is not open yet");
    enter(&b);
    call(&b, 0);
    b.sends = 0;
    feed(&b, (weft_frame){.kind = WEFT_FRAME_GREET, .group = CHILD, .operation = 3, .lane = 1},
         NULL, 0);
    cr_assert(b.child->members[1].met);
    cr_assert_eq(b.child->members[1].heard_operation, 3);
    cr_assert_eq(count(&b, WEFT_FRAME_GREET, CHILD), 1);
    cr_assert_eq(b.sent[b.sends - 1].operation, 1);
    cr_assert_eq(b.sent[b.sends - 1].lane, 0);
    cr_assert_eq(count(&b, WEFT_FRAME_START, CHILD) + count(&b, WEFT_FRAME_GRANT, CHILD), 1,
                 "what it may have missed is told again");
    b.sends = 0;
    feed(&b, (weft_frame){.kind = WEFT_FRAME_GREET, .group = CHILD, .operation = 3}, NULL, 0);
    cr_assert_eq(b.sends, 0, "an answer is not answered");
    close_bench(&b);
}

Test(engine_contexts, a_bye_in_one_group_leaves_the_others)
{
    bench b;
    open_bench(&b, 0);
    enter(&b);
    call(&b, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BYE, .group = CHILD, .lane = 1}, NULL, 0);
    const weft_problem *p = &b.job->parts[0][0].request->problem;
    cr_assert(b.job->parts[0][0].ended);
    cr_assert_eq(p->code, WEFT_EPEER);
    cr_assert_eq(p->rank, 1, "its position there");
    cr_assert(strstr(p->text, "rank 1 (rank 0 of the opened group, sim:0) left the group") != NULL,
              "%s", p->text);
    cr_assert_eq(call(&b, 1)->problem.code, WEFT_EBROKEN);
    cr_assert_eq(b.engine->broken.code, WEFT_OK);
    cr_assert_eq(b.engine->peers[0].state, WEFT_PEER_UP);
    close_bench(&b);
}

/* Who opens a group after a member left everything finds it left there too. */
Test(engine_contexts, who_left_all_is_not_waited_for_in_a_new_group)
{
    bench b;
    open_bench(&b, 0);
    feed(&b, (weft_frame){.kind = WEFT_FRAME_BYE, .group = OPENED}, NULL, 0);
    cr_assert_eq(b.engine->peers[0].state, WEFT_PEER_LEFT);
    enter(&b);
    cr_assert_eq(call(&b, 0)->problem.code, WEFT_EPEER);
    cr_assert(b.job->parts[0][0].ended);
    close_bench(&b);
}

/* More groups than buckets. */
Test(engine_contexts, a_thousand_groups_are_told_apart)
{
    enum { GROUPS = 1000 };
    bench b;
    weft_context *c[GROUPS];
    const int ranks[2] = {0, 1};
    open_bench(&b, 0);
    for (uint64_t i = 0; i < GROUPS; i++) {
        c[i] = weft_context_new(3, 2);
        weft_context_set(c[i], (i % 3) << 40 | (i + 1) << 4, ranks, 2, 1);
        cr_assert(weft_context_enter(b.engine, 0, c[i]));
    }
    for (uint64_t i = 0; i < GROUPS; i++) {
        cr_assert_eq(weft_context_find(b.engine, (i % 3) << 40 | (i + 1) << 4), c[i]);
        cr_assert_null(weft_context_find(b.engine, (i % 3) << 40 | (i + 1) << 4 | 1));
    }
    cr_assert_geq(b.engine->tag_buckets, GROUPS / 2);
    for (uint64_t i = 0; i < GROUPS; i += 2) {
        weft_context_leave(b.engine, 0, c[i]);
    }
    for (uint64_t i = 0; i < GROUPS; i++) {
        cr_assert_eq(weft_context_find(b.engine, (i % 3) << 40 | (i + 1) << 4),
                     i % 2 == 0 ? NULL : c[i]);
    }
    weft_context_discard(b.child);
    close_bench(&b);
}
