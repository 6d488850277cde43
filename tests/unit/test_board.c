/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "roster/board.h"

static weft_known peer(int number, int rank)
{
    weft_known k = {.stamp = 1, .state = WEFT_KNOWN_HERE};
    memset(k.entry.uuid, number, 16);
    memset(k.entry.host, 7, 16);
    k.entry.rank = rank;
    k.entry.arrival = 1;
    snprintf(k.entry.endpoint[0], WEFT_ENDPOINT_TEXT, "tcp://10.0.0.%d:%d", number, 1000 + number);
    snprintf(k.entry.endpoint[1], WEFT_ENDPOINT_TEXT, "ipc://@weft-%d", number);
    k.process = (weft_process){.pid = 1, .born = 2, .space = 3};
    return k;
}

static weft_meeting meeting(int peers)
{
    return (weft_meeting){.peers = peers, .rank = -1, .job = "job", .meet = "file:///x"};
}

static void open_board(weft_board *b, const weft_meeting *m, int number, int rank)
{
    weft_known self = peer(number, rank);
    cr_assert_eq(weft_board_open(b, m, &self.entry), WEFT_OK);
}

static uint64_t list_of(weft_board *b, const int *numbers)
{
    weft_roster r = {0};
    cr_assert_eq(weft_board_list(b, &r), WEFT_OK, "%s", weft_last_error()->message);
    for (int i = 0; i < r.size; i++)
        cr_assert_eq(r.entries[i].uuid[0], numbers[i], "place %d holds peer %d, expected %d", i,
                     r.entries[i].uuid[0], numbers[i]);
    cr_assert_eq(r.entries[r.rank].uuid[0], b->known[0].entry.uuid[0]);
    uint64_t hash = r.hash;
    weft_roster_free(&r);
    return hash;
}

Test(board, ranks_decide_and_the_order_of_news_does_not)
{
    weft_meeting m = meeting(3);
    static const int expected[] = {3, 1, 2};
    uint64_t hash[2];
    for (int way = 0; way < 2; way++) {
        weft_board b;
        weft_known two = peer(2, 2), three = peer(3, 0);
        open_board(&b, &m, 1, 1);
        cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
        cr_assert_eq(weft_board_learn(&b, way ? &two : &three), 1);
        cr_assert_eq(weft_board_learn(&b, way ? &three : &two), 1);
        cr_assert_eq(weft_board_learn(&b, &two), 0, "nothing new");
        cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
        hash[way] = list_of(&b, expected);
        cr_assert_eq(b.known[0].entry.ready, hash[way]);
        cr_assert_neq(hash[way], 0);
        weft_board_close(&b);
    }
    cr_assert_eq(hash[0], hash[1]);
}

Test(board, without_ranks_host_then_arrival_then_id_decide)
{
    weft_meeting m = meeting(4);
    weft_board b;
    weft_known two = peer(2, -1), three = peer(3, -1), four = peer(4, -1);
    open_board(&b, &m, 1, -1);
    b.known[0].entry.arrival = 50;
    two.entry.arrival = three.entry.arrival = 40;
    memset(four.entry.host, 6, 16);
    four.entry.arrival = 90;
    weft_board_learn(&b, &three);
    weft_board_learn(&b, &four);
    weft_board_learn(&b, &two);
    list_of(&b, (const int[]){4, 2, 3, 1});
    weft_board_close(&b);
}

Test(board, wished_ranks_keep_their_places_among_others)
{
    weft_meeting m = meeting(4);
    weft_board b;
    weft_known two = peer(2, 2), three = peer(3, 0), four = peer(4, -1);
    open_board(&b, &m, 1, -1);
    b.known[0].entry.arrival = 1;
    four.entry.arrival = 2;
    weft_board_learn(&b, &two);
    weft_board_learn(&b, &three);
    weft_board_learn(&b, &four);
    list_of(&b, (const int[]){3, 1, 2, 4});
    weft_board_close(&b);
}

Test(board, other_jobs_and_endpoints_give_other_hashes)
{
    uint64_t hash[3];
    for (int i = 0; i < 3; i++) {
        weft_meeting m = meeting(2);
        weft_board b;
        weft_known two = peer(2, 1);
        if (i == 1)
            strcpy(m.job, "job2");
        if (i == 2)
            strcpy(two.entry.endpoint[0], "tcp://10.0.0.2:1003");
        open_board(&b, &m, 1, 0);
        weft_board_learn(&b, &two);
        hash[i] = list_of(&b, (const int[]){1, 2});
        weft_board_close(&b);
    }
    cr_assert_neq(hash[0], hash[1]);
    cr_assert_neq(hash[0], hash[2]);
}

Test(board, begins_when_all_confirm_the_same_list)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, 1);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    two.stamp = 2;
    two.entry.ready = b.known[0].entry.ready + 1;
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING, "another list");
    two.stamp = 3;
    two.entry.ready = b.known[0].entry.ready;
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_OK);
    two.stamp = 2;
    two.entry.ready = 0;
    cr_assert_eq(weft_board_learn(&b, &two), 0, "old news change nothing");
    cr_assert_eq(weft_board_judge(&b), WEFT_OK);
    weft_board_close(&b);
}

Test(board, two_with_one_rank_are_both_named)
{
    weft_meeting m = meeting(3);
    weft_board b;
    weft_known two = peer(2, 1);
    open_board(&b, &m, 1, 1);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_EDUPLICATE);
    cr_assert_eq(weft_last_error()->rank, 1);
    cr_assert_not_null(strstr(weft_last_error()->message, "tcp://10.0.0.1:1001"));
    cr_assert_not_null(strstr(weft_last_error()->message, "tcp://10.0.0.2:1002"));
    weft_board_close(&b);
}

Test(board, too_many_peers_are_an_error)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, -1), three = peer(3, -1);
    open_board(&b, &m, 1, -1);
    weft_board_learn(&b, &two);
    weft_board_learn(&b, &three);
    cr_assert_eq(weft_board_judge(&b), WEFT_EINVAL);
    cr_assert_not_null(strstr(weft_last_error()->message, "3 peers came for a group of 2"));
    weft_board_close(&b);
}

Test(board, a_peer_that_gives_up_before_the_list_is_replaced)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, 1), three = peer(3, 1);
    two.state = WEFT_KNOWN_GAVE_UP;
    two.code = WEFT_ETIMEDOUT;
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    weft_board_learn(&b, &three);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    list_of(&b, (const int[]){1, 3});
    weft_board_close(&b);
}

Test(board, a_peer_that_gives_up_after_the_list_ends_the_meeting)
{
    weft_meeting m = meeting(3);
    weft_board b;
    weft_known two = peer(2, 1), three = peer(3, 2);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    weft_board_learn(&b, &three);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    two.stamp = 2;
    two.state = WEFT_KNOWN_GAVE_UP;
    two.code = WEFT_ETIMEDOUT;
    strcpy(two.why, "tired");
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_EPEER);
    cr_assert_eq(weft_last_error()->rank, 1);
    cr_assert_not_null(strstr(weft_last_error()->message, "tired"));
    weft_board_close(&b);
}

Test(board, what_another_found_ends_the_meeting_here_too)
{
    weft_meeting m = meeting(3);
    weft_board b;
    weft_known two = peer(2, 1);
    two.state = WEFT_KNOWN_GAVE_UP;
    two.code = WEFT_EDUPLICATE;
    strcpy(two.why, "two peers claim one rank: x and y");
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_EDUPLICATE);
    cr_assert_not_null(strstr(weft_last_error()->message, "x and y"));
    weft_board_close(&b);
}

Test(board, one_that_started_and_left_still_counts)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, 1);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    weft_board_find(&b, two.entry.uuid)->state = WEFT_KNOWN_VANISHED;
    cr_assert_eq(weft_board_judge(&b), WEFT_OK);
    weft_board_close(&b);
}

Test(board, one_that_confirmed_an_earlier_list_and_vanished_does_not_count)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, 1);
    two.entry.ready = 4711; /* of the group that it is closing */
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    weft_board_find(&b, two.entry.uuid)->state = WEFT_KNOWN_VANISHED;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    }
    weft_board_close(&b);
}

Test(board, one_that_vanishes_before_the_list_does_not_count)
{
    weft_meeting m = meeting(2);
    weft_board b;
    weft_known two = peer(2, 1);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    weft_board_find(&b, two.entry.uuid)->state = WEFT_KNOWN_VANISHED;
    cr_assert_eq(weft_board_judge(&b), WEFT_PENDING);
    cr_assert_eq(b.known[0].entry.ready, 0);
    weft_board_close(&b);
}

Test(board, the_table_is_bounded)
{
    weft_meeting m = meeting(2);
    weft_board b;
    open_board(&b, &m, 1, 0);
    for (int i = 2; i < 200; i++) {
        weft_known k = peer(i, -1);
        cr_assert_geq(weft_board_learn(&b, &k), 0);
    }
    cr_assert_eq(b.count, weft_board_limit(2));
    cr_assert_gt(b.refused, 0);
    weft_board_close(&b);
}

static const char *missing(const weft_board *b, int *rank)
{
    static char text[512];
    weft_board_missing(b, text, sizeof(text), rank);
    return text;
}

Test(board, missing_ranks_are_named)
{
    weft_meeting m = meeting(9);
    weft_board b;
    int rank;
    weft_known two = peer(2, 3), three = peer(3, 8);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    weft_board_learn(&b, &three);
    cr_assert_str_eq(missing(&b, &rank), "3 of 9 peers came, missing ranks 1-2, 4-7");
    cr_assert_eq(rank, 1);
    weft_board_find(&b, three.entry.uuid)->entry.rank = -1;
    cr_assert_str_eq(missing(&b, &rank), "3 of 9 peers came");
    cr_assert_eq(rank, -1);
    weft_board_close(&b);
}

Test(board, many_missing_ranks_do_not_overflow_the_text)
{
    weft_meeting m = meeting(65535);
    weft_board b;
    int rank;
    char small[40];
    open_board(&b, &m, 1, 0);
    for (int i = 1; i < 250; i++) {
        weft_known k = peer(i + 1, 3 * i);
        weft_board_learn(&b, &k);
    }
    cr_assert_not_null(strstr(missing(&b, &rank), "and more"));
    weft_board_missing(&b, small, sizeof(small), &rank);
    cr_assert_lt(strlen(small), sizeof(small));
    weft_board_close(&b);
}

Test(board, who_did_not_confirm_is_named)
{
    weft_meeting m = meeting(2);
    weft_board b;
    int rank;
    weft_known two = peer(2, 1);
    open_board(&b, &m, 1, 0);
    weft_board_learn(&b, &two);
    weft_board_judge(&b);
    cr_assert_str_eq(missing(&b, &rank),
                     "all 2 peers came, rank 1 (tcp://10.0.0.2:1002) did not confirm the list");
    cr_assert_eq(rank, 1);
    weft_board_close(&b);
}

/* Every allocation of an open, filled and judged board may fail: ENOMEM, nothing lost. */
Test(board, out_of_memory_is_an_error)
{
    for (long n = 1;; n++) {
        weft_meeting m = meeting(2);
        weft_board b = {0};
        weft_roster r = {0};
        weft_known self = peer(1, 0), two = peer(2, 1);
        weft_mem_fail_at(n);
        int status = weft_board_open(&b, &m, &self.entry);
        if (status == WEFT_OK)
            status = weft_board_learn(&b, &two) < 0 ? WEFT_ENOMEM : weft_board_judge(&b);
        if (status == WEFT_PENDING)
            status = weft_board_list(&b, &r);
        weft_mem_fail_at(0);
        cr_assert(status == WEFT_OK || status == WEFT_ENOMEM, "allocation %ld: %d", n, status);
        weft_roster_free(&r);
        weft_board_close(&b);
        if (status == WEFT_OK)
            break;
    }
}
