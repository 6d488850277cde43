/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "roster/peer_file.h"

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
