/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates, schedules and proofs of a query. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "explain/study.h"
#include <weft/info.h>

static weft_query query(const char *collective, int peers, uint64_t count)
{
    return (weft_query){.size = sizeof(weft_query),
                        .collective = collective,
                        .peers = peers,
                        .count = count,
                        .dtype = WEFT_F32};
}

static void refused(const weft_query *q, int code, const char *says)
{
    weft_explain *e = NULL;

    cr_expect_eq(weft_explain_open(&e, q), code, "%s", says);
    cr_expect_null(e);
    cr_expect(strstr(weft_last_error()->message, says), "\"%s\" lacks \"%s\"",
              weft_last_error()->message, says);
}

Test(explain, malformed_queries_are_named)
{
    weft_query q = query("allreduze", 4, 100);

    refused(&q, WEFT_EINVAL, "no collective \"allreduze\"; there are allreduce, reduce");
    q = query("allreduce", 0, 100);
    refused(&q, WEFT_EINVAL, "0 peers");
    q = query("allreduce", 4, (UINT64_C(1) << 40) + 1);
    refused(&q, WEFT_EINVAL, "above 2^40");
    q = query("broadcast", 4, 100);
    q.root = 4;
    refused(&q, WEFT_EINVAL, "root 4");
    q = query("allreduce", 4, 100);
    q.size = 0;
    refused(&q, WEFT_EINVAL, "size is not set");
    q = query("allreduce", 4, 100);
    q.dtype = WEFT_DTYPE_COUNT;
    refused(&q, WEFT_EINVAL, "dtype");
    q = query("allreduce", 4, 100);
    q.algo = "rink";
    refused(&q, WEFT_EINVAL, "no algorithm \"rink\"");
    q.algo = NULL;
    q.codec = "qsdg";
    refused(&q, WEFT_EINVAL, "qsdg");
    q.codec = NULL;
    q.costs = "round=fast";
    refused(&q, WEFT_EINVAL, "round");
    q.costs = NULL;
    q.ragged = 1;
    refused(&q, WEFT_EINVAL, "no blocks of different lengths");
    q = query("broadcast", 4, 100);
    q.codec = "qsgd";
    refused(&q, WEFT_ENOTSUP, "allreduce only");
    q = query("allreduce", 4, 100);
    q.dtype = WEFT_I32;
    q.codec = "qsgd";
    refused(&q, WEFT_ENOTSUP, "float32");
}

/* The one that is chosen, and how many there are. */
static weft_candidate chosen(const weft_query *q, int *ret_count)
{
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof c}, found = {.size = 0};
    int count = 0;

    cr_assert_eq(weft_explain_open(&e, q), 0, "%s", weft_last_error()->message);
    for (; weft_explain_get(e, count, &c); count++)
        if (c.chosen) {
            cr_expect_eq(found.size, 0, "one at most");
            found = c;
        }
    cr_expect_eq(weft_explain_get(e, -1, &c), 0);
    weft_explain_close(&e);
    cr_expect_null(e);
    *ret_count = count;
    return found;
}

Test(explain, what_is_chosen_is_what_an_operation_chooses)
{
    int count;

    for (int P = 1; P <= 33; P += 4)
        for (uint64_t n = 1; n < 100000000; n *= 10) {
            weft_query q = query("allreduce", P, n);
            const weft_choice c = {.coll = WEFT_COLL_ALLREDUCE,
                                   .size = P,
                                   .count = n,
                                   .element_bytes = 4,
                                   .encoded_bytes = 4,
                                   .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES};
            weft_pick p;
            cr_assert_eq(weft_algo_select(NULL, &c, &p), 0);
            const weft_candidate got = chosen(&q, &count);
            cr_expect_str_eq(got.algo, p.text);
            cr_expect_eq(got.seconds, p.seconds);
            cr_expect_eq(got.lane, weft_lane_length(&p, &c, 1));
            cr_expect_eq(got.lanes, (n + got.lane - 1) / got.lane);
            cr_expect_float_eq(got.round_s + got.message_s + got.byte_s + got.reduce_s, got.seconds,
                               1e-12 * got.seconds);
        }
}

Test(explain, one_that_cannot_serve_says_why_and_has_no_price)
{
    weft_query q = query("allreduce", 4, 1000);
    weft_candidate c = {.size = sizeof c};
    weft_explain *e = NULL;
    int fits = 0, unfit = 0;

    q.codec = "qsgd";
    cr_assert_eq(weft_explain_open(&e, &q), 0);
    for (int i = 0; weft_explain_get(e, i, &c); i++) {
        fits += c.why_not[0] == '\0';
        unfit += c.why_not[0] != '\0';
        cr_expect_eq(c.seconds > 0, c.why_not[0] == '\0', "%s", c.algo);
    }
    weft_explain_close(&e);
    cr_expect_gt(fits, 0);
    cr_expect_gt(unfit, 0);
    q.algo = "ring";
    int count;
    cr_expect_eq(chosen(&q, &count).size, 0, "what was named cannot, and nothing runs instead");
}

Test(explain, another_cost_table_makes_another_choice)
{
    weft_query q = query("allreduce", 8, 1 << 20);
    int count;

    q.costs = "round=1";
    cr_expect_str_neq(chosen(&q, &count).algo, "ring", "rounds are dear");
    q.costs = "round=0,message=0,byte=1,incast=1";
    cr_expect_str_eq(chosen(&q, &count).algo, "ring", "bytes are dear");
}

Test(explain, a_short_struct_of_an_older_caller_is_filled_as_far_as_it_goes)
{
    const weft_query q = query("barrier", 4, 0);
    weft_candidate c;
    weft_explain *e = NULL;

    memset(&c, 0x55, sizeof c);
    c.size = offsetof(weft_candidate, lane);
    cr_assert_eq(weft_explain_open(&e, &q), 0);
    cr_assert(weft_explain_get(e, 0, &c));
    cr_expect_eq(c.size, offsetof(weft_candidate, lane));
    cr_expect_eq(c.lanes, UINT64_C(0x5555555555555555));
    cr_expect_eq(c.rounds, 2);
    weft_explain_close(&e);
}

/* Every message is sent and received in the same round, of the same span. */
static void check_schedule(const char *collective, const char *algo, int peers, int rounds)
{
    enum { MOST = 4096 };
    weft_query q = query(collective, peers, 1000);
    weft_schedule *s = NULL;
    weft_schedule_step step = {.size = sizeof step};
    struct message {
        int from, to, round, travels;
        uint64_t off, count;
    } *sent = calloc(MOST, sizeof *sent), *got = calloc(MOST, sizeof *got);
    size_t steps, n = 0, m = 0, matched = 0;

    q.algo = algo;
    cr_assert_eq(weft_schedule_open(&s, &q), 0, "%s", weft_last_error()->message);
    cr_expect_str_eq(weft_schedule_algo(s), algo);
    cr_expect_eq(weft_schedule_count(s), 1000);
    cr_expect_eq(weft_schedule_rounds(s), rounds);
    for (int r = peers - 1; r >= 0; r--) {
        cr_assert_eq(weft_schedule_rank(s, r, &steps), 0);
        for (size_t i = 0; i < steps; i++) {
            cr_assert(weft_schedule_step_get(s, i, &step));
            const struct message out = {r,        step.peer, step.round, step.travels,
                                        step.off, step.count};
            const struct message in = {step.peer,    r,        step.round,
                                       step.travels, step.off, step.count};
            cr_assert(n < MOST && m < MOST);
            if (step.verb == WEFT_DO_SEND)
                sent[n++] = out;
            else if (step.verb == WEFT_DO_RECV)
                got[m++] = in;
            else
                cr_expect(step.round == 0 && step.peer == -1);
        }
        cr_expect_not(weft_schedule_step_get(s, steps, &step));
    }
    cr_expect_eq(n, m);
    for (size_t i = 0; i < n; i++) {
        cr_expect(sent[i].round >= 1 && sent[i].round <= rounds);
        for (size_t k = 0; k < m; k++)
            matched += memcmp(&sent[i], &got[k], sizeof *sent) == 0;
    }
    cr_expect_eq(matched, n, "%s %s: %zu of %zu", collective, algo, matched, n);
    cr_expect_eq(weft_schedule_rank(s, peers, &steps), WEFT_EINVAL);
    weft_schedule_close(&s);
    cr_expect_null(s);
    free(sent);
    free(got);
}

Test(schedule, sends_meet_receives_of_their_round)
{
    check_schedule("allreduce", "ring", 5, 8);
    check_schedule("allreduce", "doubling", 8, 3);
    check_schedule("allreduce", "scatter", 6, 2);
    check_schedule("broadcast", "tree", 7, 2);
    check_schedule("allgather", "ring", 1, 0);
}

Test(schedule, verbs_have_the_plans_names)
{
    cr_expect_str_eq(weft_do_name(WEFT_DO_PACK), "pack");
    cr_expect_str_eq(weft_do_name(WEFT_DO_FENCE), "fence");
    cr_expect_str_eq(weft_do_name(WEFT_DO_COUNT), "unknown");
}

Test(verify, every_algorithm_is_proved_and_counted)
{
    weft_info info;

    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        weft_query q = query(info.scope, 5, strcmp(info.scope, "barrier") ? 1009 : 0);
        weft_proof p = {.size = sizeof p};
        q.algo = info.name;
        q.lane = 100;
        const int rc = weft_verify(&q, &p);
        if (rc == WEFT_ENOTSUP)
            continue; /* needs what this query has not: hosts, a graph, a power of two */
        cr_assert_eq(rc, 0, "%s", weft_last_error()->message);
        cr_expect_eq(p.plans, q.count ? 10 : 5, "%s %s: two lane lengths", info.scope, info.name);
        cr_expect_gt(p.steps, p.messages);
        cr_expect_geq(p.messages, 4);
    }
}

static weft_study ring_study(void)
{
    const weft_query q = query("allreduce", 4, 1000);
    weft_study s;

    cr_assert_eq(weft_study_open(&s, &q), 0);
    cr_assert_eq(weft_study_pick(&s, "ring"), 0);
    return s;
}

static const weft_algo *good;

static weft_cost cost_of_another(const weft_shape *s, double width, double reply)
{
    weft_cost c = good->cost(s, width, reply);

    c.messages++;
    return c;
}

/* Rank 2 of the ring leaves out its first fold. */
static int build_without_a_fold(weft_plan *p, const weft_shape *s)
{
    int rc = good->build(p, s);

    for (size_t i = 0; !rc && s->rank == 2 && i < p->step_count; i++)
        if (p->steps[i].verb == WEFT_VERB_FOLD) {
            memmove(&p->steps[i], &p->steps[i + 1], (--p->step_count - i) * sizeof *p->steps);
            return weft_plan_check(p);
        }
    return rc;
}

Test(verify, a_price_that_is_not_what_is_counted_is_refused)
{
    weft_study s = ring_study();
    weft_algo bad = *s.pick.algo;
    weft_proof p = {0};

    good = s.pick.algo;
    cr_expect_eq(weft_study_prove(&s, false, &p), 0);
    bad.cost = cost_of_another;
    s.pick.algo = &bad;
    cr_expect_eq(weft_study_prove(&s, false, &p), WEFT_EINTERNAL);
    cr_expect(strstr(weft_last_error()->message, "6 messages are counted, the price says 7"), "%s",
              weft_last_error()->message);
    weft_study_close(&s);
}

Test(verify, a_missing_contribution_is_refused_with_rank_and_step)
{
    weft_study s = ring_study();
    weft_algo bad = *s.pick.algo;
    weft_proof p = {0};

    good = s.pick.algo;
    bad.build = build_without_a_fold;
    bad.cost = good->cost;
    s.pick.algo = &bad;
    cr_expect_eq(weft_study_prove(&s, false, &p), WEFT_EINTERNAL);
    cr_expect(strstr(weft_last_error()->message, "lacks the contribution of rank 2"), "%s",
              weft_last_error()->message);
    cr_expect(strstr(weft_last_error()->message, "step"), "%s", weft_last_error()->message);
    weft_study_close(&s);
}

Test(explain, out_of_memory_anywhere_is_reported)
{
    const weft_query q = query("allreduce", 3, 100);

    for (int what = 0; what < 3; what++) {
        int rc = WEFT_ENOMEM;
        long i = 1;
        for (; rc; i++) {
            weft_explain *e = NULL;
            weft_schedule *s = NULL;
            size_t steps;
            weft_mem_fail_at(i);
            if (what == 0) {
                rc = weft_explain_open(&e, &q);
            } else if (what == 1) {
                rc = weft_schedule_open(&s, &q);
                rc = rc ? rc : weft_schedule_rank(s, 1, &steps);
            } else {
                rc = weft_verify(&q, NULL);
            }
            weft_mem_fail_at(0);
            weft_explain_close(&e);
            weft_schedule_close(&s);
            cr_assert(rc == 0 || rc == WEFT_ENOMEM, "%d: allocation %ld gave %d", what, i, rc);
        }
        cr_expect_gt(i, 4);
    }
}
