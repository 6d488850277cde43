/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "roster/board.h"
#include "roster/finder.h"
#include "roster/peer_file.h"
#include "roster/peer_frame.h"
#include "wire/frame.h"

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

/* Peer file */

static size_t file_of(const weft_known *k, const weft_meeting *m, char text[WEFT_PEER_FILE_MAX])
{
    size_t len = weft_peer_file_format(k, m, text);
    cr_assert_gt(len, 0);
    return len;
}

Test(peer_file, what_is_written_is_read)
{
    weft_meeting m = meeting(5);
    weft_known k = peer(3, 4), back;
    char text[WEFT_PEER_FILE_MAX];
    const char *why = NULL;
    k.entry.ready = UINT64_C(0x8000000000000001);
    k.entry.arrival = UINT64_MAX;
    k.stamp = UINT32_MAX;
    k.state = WEFT_KNOWN_GAVE_UP;
    k.code = WEFT_EDUPLICATE;
    strcpy(k.why, "two words");
    k.entry.endpoint[1][0] = '\0';
    size_t len = file_of(&k, &m, text);
    cr_assert_eq(weft_peer_file_parse(text, len, &m, &back, &why), 1, "%s", why ? why : "");
    cr_assert_arr_eq(back.entry.uuid, k.entry.uuid, 16);
    cr_assert_arr_eq(back.entry.host, k.entry.host, 16);
    cr_assert_eq(back.entry.rank, 4);
    cr_assert_eq(back.entry.ready, k.entry.ready);
    cr_assert_eq(back.entry.arrival, k.entry.arrival);
    cr_assert_eq(back.stamp, k.stamp);
    cr_assert_eq(back.state, k.state);
    cr_assert_eq(back.code, k.code);
    cr_assert_str_eq(back.why, "two words");
    cr_assert_str_eq(back.entry.endpoint[0], k.entry.endpoint[0]);
    cr_assert_str_eq(back.entry.endpoint[1], "");
    cr_assert_eq(back.process.pid, 1);
    cr_assert_eq(back.process.born, 2);
    cr_assert_eq(back.process.space, 3);
}

Test(peer_file, the_longest_entry_fits)
{
    weft_meeting m = meeting(65535);
    weft_known k = peer(3, 65534), back;
    char text[WEFT_PEER_FILE_MAX];
    const char *why = NULL;
    memset(m.job, 'j', WEFT_JOB_TEXT - 1);
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        memset(k.entry.endpoint[i], 'e', WEFT_ENDPOINT_TEXT - 1);
    memset(k.why, 'w', WEFT_WHY_TEXT - 1);
    k.process = (weft_process){.pid = INT32_MAX, .born = UINT64_MAX, .space = UINT64_MAX};
    size_t len = file_of(&k, &m, text);
    cr_assert_eq(weft_peer_file_parse(text, len, &m, &back, &why), 1, "%s", why ? why : "");
}

Test(peer_file, every_truncation_is_refused)
{
    weft_meeting m = meeting(5);
    weft_known k = peer(3, 4), back;
    char text[WEFT_PEER_FILE_MAX];
    size_t len = file_of(&k, &m, text);
    for (size_t cut = 0; cut < len; cut++) {
        const char *why = NULL;
        /* An exact copy, so that a read behind it is seen by a checker. */
        char *copy = malloc(cut ? cut : 1);
        memcpy(copy, text, cut);
        cr_assert_eq(weft_peer_file_parse(copy, cut, &m, &back, &why), 0, "cut at %zu", cut);
        cr_assert_not_null(why);
        free(copy);
    }
}

Test(peer_file, damaged_bytes_are_refused_or_in_range)
{
    weft_meeting m = meeting(5);
    weft_known k = peer(3, 4), back;
    char text[WEFT_PEER_FILE_MAX];
    size_t len = file_of(&k, &m, text);
    for (size_t at = 0; at < len; at++)
        for (int byte = 0; byte < 256; byte += 5) {
            const char *why = NULL;
            char old = text[at];
            text[at] = (char)byte;
            int status = weft_peer_file_parse(text, len, &m, &back, &why);
            cr_assert(status == 1 || (status == 0 && why) || status == WEFT_EVERSION ||
                          status == WEFT_EINVAL,
                      "byte %zu = %d: status %d", at, byte, status);
            if (status == 1)
                cr_assert(back.entry.rank >= -1 && back.entry.rank < 5);
            text[at] = old;
        }
}

Test(peer_file, another_job_is_ignored_and_another_size_or_version_is_an_error)
{
    weft_meeting m = meeting(5), other = meeting(5), larger = meeting(6);
    weft_known k = peer(3, 4), back;
    char text[WEFT_PEER_FILE_MAX];
    const char *why = NULL;
    size_t len = file_of(&k, &m, text);
    strcpy(other.job, "jobber");
    cr_assert_eq(weft_peer_file_parse(text, len, &other, &back, &why), 0);
    cr_assert_not_null(strstr(why, "another job"));
    cr_assert_eq(weft_peer_file_parse(text, len, &larger, &back, &why), WEFT_EINVAL);
    cr_assert_not_null(strstr(weft_last_error()->message, "expects 5 peers, this one 6"));
    cr_assert_not_null(strstr(weft_last_error()->message, "rank 4 (tcp://10.0.0.3:1003)"));
    char future[] = "weft-peer 9.3\njob job\nwhat comes then is not known\n";
    cr_assert_eq(weft_peer_file_parse(future, strlen(future), &m, &back, &why), WEFT_EVERSION);
    cr_assert_not_null(strstr(weft_last_error()->message, "9.3"));
    cr_assert_not_null(strstr(weft_last_error()->message, "0.1"));
}

Test(peer_file, names_of_different_jobs_differ)
{
    char a[WEFT_PEER_FILE_NAME], b[WEFT_PEER_FILE_NAME];
    char longest[WEFT_JOB_TEXT], longest2[WEFT_JOB_TEXT];
    uint8_t uuid[16] = {0xab};
    memset(longest, 'x', sizeof(longest));
    longest[WEFT_JOB_TEXT - 1] = '\0';
    memcpy(longest2, longest, sizeof(longest));
    longest2[WEFT_JOB_TEXT - 2] = 'y';
    static const char *const pairs[][2] = {{"a/b", "a_b"}, {"a/b", "a:b"}, {"..", "__"}};
    for (size_t i = 0; i < 3; i++) {
        weft_peer_file_name(pairs[i][0], uuid, a);
        weft_peer_file_name(pairs[i][1], uuid, b);
        cr_assert_str_neq(a, b);
        cr_assert_null(strchr(a, '/'));
        cr_assert_neq(a[0], '.');
    }
    weft_peer_file_name(longest, uuid, a);
    weft_peer_file_name(longest2, uuid, b);
    cr_assert_str_neq(a, b);
    weft_peer_file_name("job-7.0", uuid, a);
    cr_assert_str_eq(a, "job-7.0.ab000000000000000000000000000000.peer");
}

/* Peer frame, through a link that keeps what is sent */

static weft_message *sent[64];
static int sent_count;
static weft_pool *fake_messages;

static int keep(weft_link *l, uint32_t conn, weft_message *m)
{
    (void)l;
    (void)conn;
    sent[sent_count++] = m;
    return WEFT_OK;
}

static weft_pool *fake_pool(weft_link *l)
{
    (void)l;
    return fake_messages;
}

static const weft_link_type fake_type = {.scheme = "fake", .send = keep, .pool = fake_pool};
static weft_link fake_link = {.type = &fake_type};

static void open_fake(void)
{
    cr_assert_eq(weft_pool_open(&fake_messages, 0), WEFT_OK);
}

static void close_fake(void)
{
    for (int i = 0; i < sent_count; i++)
        weft_message_unref(sent[i]);
    weft_pool_close(&fake_messages);
}

static weft_voice voice(int peers)
{
    return (weft_voice){.link = &fake_link, .tag = 99, .job = "job", .peers = peers, .uuid = {1}};
}

/* The body of a frame that was kept, checked. */
static const uint8_t *body_of(int index, size_t *len)
{
    weft_frame f;
    cr_assert_eq(weft_frame_get(sent[index]->data, sent[index]->len, &f), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(f.kind, WEFT_FRAME_ROSTER);
    cr_assert_eq(f.group, 99);
    *len = f.body_bytes;
    return sent[index]->data + WEFT_FRAME_HEADER;
}

Test(peer_frame, what_is_told_is_read, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[3] = {peer(1, -1), peer(2, 4), peer(3, 0)}, back;
    for (int i = 0; i < 3; i++)
        all[i].changed = (uint64_t)i + 1;
    all[1].entry.ready = UINT64_MAX;
    all[1].state = WEFT_KNOWN_GAVE_UP;
    all[1].code = WEFT_ETIMEDOUT;
    strcpy(all[1].why, "two words");
    all[2].state = WEFT_KNOWN_DEAD;
    all[2].entry.endpoint[0][0] = '\0';
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 0), WEFT_OK);
    cr_assert_eq(sent_count, 1);
    size_t len;
    weft_telling t;
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(t.what, WEFT_ROSTER_TOLD);
    cr_assert_eq(t.peers, 5);
    cr_assert_eq(t.count, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(weft_telling_next(&t, &back));
        cr_assert_arr_eq(back.entry.uuid, all[i].entry.uuid, 16);
        cr_assert_arr_eq(back.entry.host, all[i].entry.host, 16);
        cr_assert_eq(back.entry.rank, all[i].entry.rank);
        cr_assert_eq(back.entry.ready, all[i].entry.ready);
        cr_assert_eq(back.entry.arrival, all[i].entry.arrival);
        cr_assert_eq(back.state, all[i].state);
        cr_assert_eq(back.code, all[i].code);
        cr_assert_str_eq(back.why, all[i].why);
        cr_assert_str_eq(back.entry.endpoint[0], all[i].entry.endpoint[0]);
        cr_assert_str_eq(back.entry.endpoint[1], all[i].entry.endpoint[1]);
    }
    cr_assert_not(weft_telling_next(&t, &back));
}

Test(peer_frame, only_news_are_told_and_not_to_their_teller, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[3] = {peer(1, 0), peer(2, 1), peer(3, 2)};
    all[0].changed = 1;
    all[1].changed = 5;
    all[2].changed = 6;
    all[2].from = 2;
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 1), WEFT_OK);
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 5), WEFT_OK);
    cr_assert_eq(sent_count, 1, "nothing new, no frame");
    size_t len;
    weft_telling t;
    weft_known back;
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
    cr_assert_eq(t.count, 1);
    cr_assert(weft_telling_next(&t, &back));
    cr_assert_eq(back.entry.uuid[0], 2);
}

Test(peer_frame, a_long_list_goes_in_several_frames, .init = open_fake, .fini = close_fake)
{
    enum { MANY = 2000 };
    weft_voice v = voice(MANY);
    weft_known *all = calloc(MANY, sizeof(*all)), back;
    for (int i = 0; i < MANY; i++) {
        all[i] = peer(1, i);
        all[i].changed = 1;
        memset(all[i].entry.endpoint[0], 'e', WEFT_ENDPOINT_TEXT - 1);
    }
    cr_assert_eq(weft_voice_tell(&v, 2, all, MANY, 0), WEFT_OK);
    cr_assert_gt(sent_count, 1);
    int rank = 0;
    for (int i = 0; i < sent_count; i++) {
        size_t len;
        weft_telling t;
        const uint8_t *body = body_of(i, &len);
        cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
        while (weft_telling_next(&t, &back))
            cr_assert_eq(back.entry.rank, rank++);
    }
    cr_assert_eq(rank, MANY);
    free(all);
}

Test(peer_frame, truncated_and_damaged_bodies_are_refused_or_in_range, .init = open_fake,
     .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[2] = {peer(1, 0), peer(2, 1)}, back;
    all[0].changed = all[1].changed = 1;
    cr_assert_eq(weft_voice_tell(&v, 2, all, 2, 0), WEFT_OK);
    cr_assert_eq(weft_voice_other_job(&v, 2), WEFT_OK);
    for (int frame = 0; frame < 2; frame++) {
        size_t len;
        weft_telling t;
        const uint8_t *body = body_of(frame, &len);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, body, cut);
            cr_assert_eq(weft_telling_open(copy, cut, &t), WEFT_EPROTO, "cut at %zu", cut);
            free(copy);
        }
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, body, len);
        copy[len] = 0;
        cr_assert_eq(weft_telling_open(copy, len + 1, &t), WEFT_EPROTO, "one byte more");
        for (size_t at = 0; at < len; at++)
            for (int bit = 0; bit < 8; bit++) {
                copy[at] ^= (uint8_t)(1 << bit);
                if (weft_telling_open(copy, len, &t) == WEFT_OK)
                    while (weft_telling_next(&t, &back))
                        cr_assert(back.entry.rank >= -1 && back.entry.rank < t.peers &&
                                  back.state < WEFT_KNOWN_STATES && back.stamp > 0);
                copy[at] ^= (uint8_t)(1 << bit);
            }
        free(copy);
    }
}

Test(peer_frame, another_job_is_named, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    size_t len;
    weft_telling t;
    cr_assert_eq(weft_voice_other_job(&v, 2), WEFT_OK);
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
    cr_assert_eq(t.what, WEFT_ROSTER_OTHER_JOB);
    cr_assert_str_eq(t.job, "job");
}

/* Meetings that need nobody */

Test(roster, one_peer_meets_alone)
{
    weft_meeting m = meeting(1);
    weft_roster r = {0};
    weft_known self = peer(1, -1);
    m.meet[0] = '\0';
    cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, NULL), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(r.size, 1);
    cr_assert_eq(r.rank, 0);
    cr_assert_null(r.seed);
    cr_assert_null(r.file);
    cr_assert_eq(r.entries[0].uuid[0], 1);
    weft_roster_free(&r);
    cr_assert_null(r.entries);
}

Test(roster, a_place_of_no_finder_is_an_error_naming_the_forms)
{
    static const char *const bad[] = {"",         "/mnt/x", "udp://a:1", "file://relative",
                                      "file:///", "tcp://a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_meeting m = meeting(2);
        weft_roster r;
        weft_known self = peer(1, -1);
        snprintf(m.meet, sizeof(m.meet), "%s", bad[i]);
        cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, &fake_link), WEFT_EINVAL, "%s", bad[i]);
        cr_assert(strstr(weft_last_error()->message, "file://") ||
                  strstr(weft_last_error()->message, "tcp://HOST:PORT"));
    }
}

Test(roster, a_rank_out_of_range_is_an_error)
{
    weft_meeting m = meeting(2);
    weft_roster r;
    weft_known self = peer(1, 2);
    cr_assert_eq(weft_roster_meet(&r, &m, &self.entry, NULL), WEFT_EINVAL);
}

Test(roster, finders_are_listed)
{
    cr_assert_str_eq(weft_finder_type_at(0)->name, "file");
    cr_assert_str_eq(weft_finder_type_at(1)->name, "seed");
    cr_assert_null(weft_finder_type_at(2));
    cr_assert_null(weft_finder_type_at(-1));
}

/* Every allocation of an open, filled and judged board may fail: ENOMEM, nothing lost. */
Test(roster, out_of_memory_is_an_error)
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
