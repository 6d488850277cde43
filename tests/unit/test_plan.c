/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what the check refuses, what it fills in, and print. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/plan.h"

static weft_span span(size_t off, size_t count)
{
    return (weft_span){.off = off, .count = count};
}

static weft_plan plan_of(int rank, int size, size_t count)
{
    weft_plan p;

    cr_assert_eq(weft_plan_init(&p, rank, size, count), 0);
    return p;
}

/* The check refuses the plan and says `words`; frees it. */
static void refused(weft_plan *p, const char *words)
{
    cr_expect_eq(weft_plan_check(p), WEFT_EINTERNAL);
    cr_expect(strstr(weft_last_error()->message, words), "\"%s\" lacks \"%s\"",
              weft_last_error()->message, words);
    weft_plan_free(p);
}

Test(plan, rank_outside_the_group_is_refused)
{
    weft_plan p;

    cr_expect_eq(weft_plan_init(&p, 0, 0, 1), WEFT_EINVAL);
    cr_expect_eq(weft_plan_init(&p, 4, 4, 1), WEFT_EINVAL);
    cr_expect_eq(weft_plan_init(&p, -1, 4, 1), WEFT_EINVAL);
    cr_expect_eq(weft_plan_init(&p, 0, 65537, 1), WEFT_EINVAL);
}

Test(plan, empty_plan_is_valid)
{
    weft_plan p = plan_of(0, 1, 0);

    cr_expect_eq(weft_plan_check(&p), 0);
    cr_expect_eq(p.peer_count, 0);
    weft_plan_free(&p);
}

Test(plan, check_fills_peers_messages_and_spans)
{
    weft_plan p = plan_of(1, 4, 100);

    weft_plan_pack(&p, 0, span(0, 50)); /* 0 */
    weft_plan_send(&p, 0, 3);           /* 1 */
    weft_plan_recv(&p, 1, 2, span(0, 50));
    weft_plan_recv(&p, 2, 0, span(50, 50)); /* 3 */
    weft_plan_fence(&p);
    weft_plan_merge(&p, 1, 0, true); /* 5 */
    weft_plan_send(&p, 1, 3);
    weft_plan_recv(&p, 3, 2, span(50, 50)); /* 7 */
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 3, span(50, 50)); /* 9 */
    cr_assert_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_assert_eq(p.peer_count, 3);
    cr_expect_eq(p.peers[0].rank, 0);
    cr_expect_eq(p.peers[1].rank, 2);
    cr_expect_eq(p.peers[2].rank, 3);
    cr_expect_eq(p.peers[2].sends, 2);
    cr_expect_eq(p.peers[2].recvs, 0);
    cr_expect_eq(p.peers[1].recvs, 2);
    cr_assert_eq(p.recv_count, 3);
    cr_expect_eq(p.recvs[p.peers[0].first_recv], 3);
    cr_expect_eq(p.recvs[p.peers[1].first_recv], 2);
    cr_expect_eq(p.recvs[p.peers[1].first_recv + 1], 7);
    cr_expect_eq(p.steps[1].message, 0);
    cr_expect_eq(p.steps[6].message, 1);
    cr_expect_eq(p.steps[7].message, 1);
    cr_expect_eq(p.steps[1].span.count, 50);
    cr_expect_eq(p.steps[5].span.count, 50);
    cr_expect_not(p.steps[1].last, "slot 0 is read by the merge");
    cr_expect(p.steps[5].last, "nothing reads slot 0 below");
    cr_expect(p.steps[6].last);
    cr_expect(p.steps[9].last);
    cr_expect_not(p.replies);

    cr_expect_eq(weft_plan_check(&p), 0, "a second check gives the same");
    cr_expect_eq(p.peers[2].sends, 2);
    cr_expect_eq(p.recv_count, 3);
    weft_plan_free(&p);
}

Test(plan, empty_slot_is_refused)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_send(&p, 3, 1);
    refused(&p, "step 0 (send): slot 3 is empty");
}

Test(plan, received_slot_is_refused_above_its_fence)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_recv(&p, 0, 1, span(0, 10));
    weft_plan_unpack(&p, 0, span(0, 10));
    weft_plan_fence(&p);
    refused(&p, "step 1 (unpack): slot 0 was received but no fence");
}

Test(plan, receive_without_a_fence_is_refused)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_fence(&p);
    weft_plan_recv(&p, 0, 1, span(0, 10));
    refused(&p, "step 1 (recv): no fence below");
}

Test(plan, slot_awaited_twice_is_refused)
{
    weft_plan p = plan_of(0, 3, 10);

    weft_plan_recv(&p, 0, 1, span(0, 10));
    weft_plan_recv(&p, 0, 2, span(0, 10));
    refused(&p, "step 1 (recv)");
}

Test(plan, span_outside_the_lane_is_refused)
{
    const weft_span bad[] = {
        span(0, 11), span(11, 0), span(10, 1), span(SIZE_MAX, 2), {.block = 1, .count = 1}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_plan p = plan_of(0, 2, 10);
        weft_plan_pack(&p, 0, bad[i]);
        refused(&p, "step 0 (pack)");
    }
}

Test(plan, slot_of_another_span_is_refused)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_unpack(&p, 0, span(5, 5));
    refused(&p, "slot 0 holds block 0 elements 0+5, not 0 5+5");
}

Test(plan, peer_outside_the_group_or_itself_is_refused)
{
    const int bad[] = {-1, 2, 0};

    for (int i = 0; i < 3; i++) {
        weft_plan p = plan_of(0, 2, 10);
        weft_plan_pack(&p, 0, span(0, 5));
        weft_plan_send(&p, 0, bad[i]);
        refused(&p, "step 1 (send): peer");
    }
}

Test(plan, sent_slot_is_not_changed_until_filled_anew)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_send(&p, 0, 1);
    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_fold(&p, 0, span(0, 5));
    cr_expect_eq(weft_plan_check(&p), 0);
    weft_plan_send(&p, 0, 1);
    weft_plan_fold(&p, 0, span(0, 5));
    refused(&p, "step 5 (fold): slot 0 was sent");
}

Test(plan, input_is_not_read_after_its_place_was_written)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 6));
    weft_plan_unpack(&p, 0, span(0, 6));
    weft_plan_pack(&p, 1, span(6, 4));
    cr_expect_eq(weft_plan_check(&p), 0);
    weft_plan_pack(&p, 1, span(5, 5));
    refused(&p, "step 1 (unpack): in place");
}

Test(plan, in_place_knows_where_blocks_overlap)
{
    weft_plan p = plan_of(1, 3, 10);

    weft_plan_blocks(&p, 1, 3); /* the input is the output's block 1 */
    weft_plan_recv(&p, 0, 2, (weft_span){.block = 2, .count = 10});
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 0, (weft_span){.block = 2, .count = 10});
    weft_plan_pack(&p, 1, span(0, 10));
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_expect_eq(weft_plan_in(&p, span(0, 10)).block, 1);
    cr_expect_eq(weft_plan_out(&p, (weft_span){.block = 2}).block, 2);
    weft_plan_unpack(&p, 1, (weft_span){.block = 1, .count = 10});
    weft_plan_pack(&p, 1, span(0, 10));
    refused(&p, "step 4 (unpack): in place");
}

Test(plan, blocks_other_than_one_or_all_are_refused)
{
    weft_plan p = plan_of(0, 3, 10);

    weft_plan_blocks(&p, 2, 1);
    refused(&p, "blocks 2 and 1");
}

Test(plan, reply_makes_raw_slots_that_nothing_combines)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_unpack(&p, 0, span(0, 5));
    weft_plan_reply(&p, 1, span(0, 5));
    weft_plan_send(&p, 1, 1);
    weft_plan_recv_raw(&p, 2, 1, span(5, 5));
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 2, span(5, 5));
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_expect(p.replies);
    cr_expect_not(p.steps[1].raw);
    cr_expect(p.steps[3].raw);
    cr_expect(p.steps[6].raw);
    weft_plan_add(&p, 2, span(5, 5));
    refused(&p, "step 7 (add): slot 2 is raw");
}

Test(plan, output_is_not_changed_after_its_reply)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_unpack(&p, 0, span(0, 5));
    weft_plan_reply(&p, 1, span(0, 5));
    weft_plan_add(&p, 0, span(0, 5));
    refused(&p, "step 3 (add): the output's elements 0+5 were replied above");
}

Test(plan, joined_messages_are_side_by_side)
{
    weft_plan p = plan_of(0, 3, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_pack(&p, 1, span(5, 5));
    weft_plan_send(&p, 0, 1);
    weft_plan_joined(&p);
    weft_plan_send(&p, 1, 1);
    weft_plan_recv(&p, 2, 2, span(0, 5));
    weft_plan_joined(&p);
    weft_plan_recv(&p, 3, 2, span(5, 5));
    weft_plan_fence(&p);
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_expect(p.steps[2].joined);
    cr_expect_not(p.steps[3].joined);
    cr_expect_eq(p.steps[2].message, 0);
    cr_expect_eq(p.steps[3].message, 1, "a step is counted, joined or not");
    weft_plan_send(&p, 0, 2);
    weft_plan_joined(&p);
    weft_plan_send(&p, 1, 1);
    refused(&p, "step 7 (send): joined to no send of peer 2");
}

Test(plan, joined_to_nothing_or_to_another_kind_is_refused)
{
    weft_plan p = plan_of(0, 2, 10), q = plan_of(0, 2, 10), r = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_send(&p, 0, 1);
    weft_plan_joined(&p);
    refused(&p, "step 1 (send): joined to no send of peer 1");
    weft_plan_recv(&q, 0, 1, span(0, 5));
    weft_plan_joined(&q);
    weft_plan_fence(&q);
    refused(&q, "step 0 (recv): joined to no recv of peer 1");
    weft_plan_pack(&r, 0, span(0, 5));
    weft_plan_joined(&r);
    refused(&r, "step 1: joined to no message");
}

Test(plan, scale_takes_a_finite_weight_and_a_slot_that_may_change)
{
    weft_plan p = plan_of(0, 2, 10), q = plan_of(0, 2, 10), r = plan_of(0, 2, 10),
              t = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_scale(&p, 0, 0.25);
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_expect_eq(p.steps[1].span.count, 5);
    weft_plan_scale(&p, 0, 1.0 / 0.0);
    refused(&p, "step 2 (scale): weight inf");
    weft_plan_scale(&q, 0, 0.5);
    refused(&q, "step 0 (scale): slot 0 is empty");
    weft_plan_pack(&r, 0, span(0, 5));
    weft_plan_send(&r, 0, 1);
    weft_plan_scale(&r, 0, 0.5);
    refused(&r, "step 2 (scale): slot 0 was sent");
    weft_plan_unpack(&t, 0, span(0, 5));
    weft_plan_reply(&t, 1, span(0, 5));
    t.steps[0].verb = WEFT_VERB_PACK;
    weft_plan_scale(&t, 1, 0.5);
    refused(&t, "step 2 (scale): slot 1 is raw");
}

static weft_span block(uint32_t b)
{
    return (weft_span){.block = b, .count = 10};
}

Test(plan, blocks_that_cross_are_named_by_whence_and_where_to)
{
    weft_plan p = plan_of(1, 3, 10), q = plan_of(1, 3, 10);

    weft_plan_blocks(&p, 3, 3);
    cr_expect(weft_plan_crosses(&p));
    cr_expect_eq(weft_plan_in(&p, block(2)).block, 1 * 3 + 2);
    cr_expect_eq(weft_plan_out(&p, block(2)).block, 2 * 3 + 1);
    weft_plan_pack(&p, 0, block(1));
    weft_plan_unpack(&p, 0, block(1)); /* 1 to itself */
    weft_plan_pack(&p, 0, block(2));
    weft_plan_send(&p, 0, 2);
    weft_plan_recv(&p, 1, 2, block(2 * 3 + 1));
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 1, block(2));
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    cr_expect_eq(p.steps[3].span.block, 5);
    weft_plan_recv(&p, 1, 0, block(9));
    refused(&p, "step 7 (recv): block 9 of 9");
    weft_plan_blocks(&q, 3, 3);
    weft_plan_pack(&q, 0, block(2));
    weft_plan_unpack(&q, 0, block(2));
    refused(&q, "slot 0 holds block 5 elements 0+10, not 7 0+10");
}

/* In place block b of the output lies where block b of the input does. */
Test(plan, in_place_crossing_blocks_are_read_before_they_are_written)
{
    weft_plan p = plan_of(0, 3, 10);

    weft_plan_blocks(&p, 3, 3);
    weft_plan_recv(&p, 0, 1, block(1 * 3 + 0));
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 0, block(1));
    weft_plan_pack(&p, 1, block(2));
    cr_expect_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    weft_plan_pack(&p, 1, block(1));
    refused(&p, "step 2 (unpack): in place, the input at block 1");
}

Test(plan, first_mistake_of_a_builder_sticks)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, -1, span(0, 5));
    weft_plan_pack(&p, 1 << 30, span(0, 5));
    refused(&p, "step 0: slot -1");
}

Test(plan, out_of_memory_is_reported_by_the_check)
{
    long n = 1;

    for (;; n++) {
        weft_plan p = plan_of(0, 2, 10);
        weft_mem_fail_at(n);
        weft_plan_pack(&p, 0, span(0, 10));
        weft_plan_send(&p, 0, 1);
        const int rc = weft_plan_check(&p);
        weft_mem_fail_at(0);
        weft_plan_free(&p);
        if (rc == 0)
            break;
        cr_assert_eq(rc, WEFT_ENOMEM);
    }
    cr_expect_geq(n, 5);
}

Test(plan, print_says_what_is_joined_and_scaled)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_scale(&p, 0, 0.25);
    weft_plan_send(&p, 0, 1);
    weft_plan_joined(&p);
    weft_plan_send(&p, 0, 1);
    cr_assert_eq(weft_plan_check(&p), 0, "%s", weft_last_error()->message);
    char *text = weft_plan_print(&p);
    cr_expect_str_eq(text, "plan of rank 0 of 2, 10 elements, 4 steps\n"
                           "   0 pack   slot 0 = in 0[0,5)\n"
                           "   1 scale  slot 0 of 0[0,5) by 0.25\n"
                           "   2 send   slot 0 of 0[0,5) to 1, message 0 with the next\n"
                           "   3 send   slot 0 of 0[0,5) to 1, message 1\n");
    weft_free(text);
    weft_plan_free(&p);
}

Test(plan, print_says_each_step_in_words)
{
    weft_plan p = plan_of(0, 2, 10);

    weft_plan_pack(&p, 0, span(0, 5));
    weft_plan_send(&p, 0, 1);
    weft_plan_recv_raw(&p, 1, 1, span(5, 5));
    weft_plan_fence(&p);
    weft_plan_unpack(&p, 1, span(5, 5));
    cr_assert_eq(weft_plan_check(&p), 0);
    char *text = weft_plan_print(&p);
    cr_expect_str_eq(text, "plan of rank 0 of 2, 10 elements, 5 steps\n"
                           "   0 pack   slot 0 = in 0[0,5)\n"
                           "   1 send   slot 0 of 0[0,5) to 1, message 0\n"
                           "   2 recv   raw slot 1 of 0[5,10) from 1, message 0\n"
                           "   3 fence\n"
                           "   4 unpack out 0[5,10) = raw slot 1\n");
    weft_free(text);
    weft_plan_free(&p);
}
