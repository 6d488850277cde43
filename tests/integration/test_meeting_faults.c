/* SPDX-License-Identifier: Apache-2.0 */
/* Meetings of real processes that end badly, or well in spite of something. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "roster/peer_frame.h"
#include "support/errand.h"
#include "wire/frame.h"

TestSuite(meeting_faults, .init = errand_make_folder, .fini = errand_remove_folder, .timeout = 60);

/* Each peer fails with that code and its text holds every word of the comma list. */
static void check_failed(const report *r, int code, const char *words)
{
    char list[256], *save = NULL;
    cr_assert_eq(r->status, code, "status %d (%s), expected %d", r->status, r->text, code);
    snprintf(list, sizeof(list), "%s", words);
    for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save))
        cr_assert_not_null(strstr(r->text, w), "\"%s\" is not in: %s", w, r->text);
}

static void fail_all(const errand *errands, int peers, int code, const char *words)
{
    runner runners[ERRAND_PEERS] = {0};
    for (int i = 0; i < peers; i++)
        runners[i] = errand_start(&errands[i]);
    for (int i = 0; i < peers; i++) {
        report r = errand_report(&runners[i]);
        check_failed(&r, code, words);
        errand_stop(&runners[i]);
    }
}

Test(meeting_faults, a_missing_peer_is_named_in_a_folder)
{
    errand e[2] = {errand_by_file(4, 0), errand_by_file(4, 2)};
    e[0].timeout_ms = e[1].timeout_ms = 700;
    errand_put_file("ignored", "x", 1);
    fail_all(e, 1, WEFT_ETIMEDOUT,
             "1 of 4 peers came,missing ranks 1-3,job \"job\",meet,the test's errand");
    runner r[2] = {errand_start(&e[0]), errand_start(&e[1])};
    report got = errand_report(&r[0]);
    check_failed(&got, WEFT_ETIMEDOUT, "missing ranks 1");
    cr_assert_eq(got.error_rank, 1);
    got = errand_report(&r[1]);
    cr_assert_eq(got.status, WEFT_ETIMEDOUT);
    errand_stop(&r[0]);
    errand_stop(&r[1]);
}

Test(meeting_faults, a_missing_peer_is_named_at_a_seed)
{
    int port = errand_free_port();
    errand e[2] = {errand_by_seed(3, 0, port), errand_by_seed(3, 2, port)};
    e[0].timeout_ms = 3000;
    runner r[2] = {errand_start(&e[0]), errand_start(&e[1])};
    report got = errand_report(&r[0]);
    check_failed(&got, WEFT_ETIMEDOUT, "2 of 3 peers came,missing rank 1,tcp://127.0.0.1");
    cr_assert_eq(got.error_rank, 1);
    errand_stop(&r[0]);
    errand_kill(&r[1]);
}

Test(meeting_faults, without_ranks_the_number_that_came_is_named)
{
    errand e = errand_by_file(3, -1);
    e.timeout_ms = 200;
    fail_all(&e, 1, WEFT_ETIMEDOUT, "1 of 3 peers came");
}

Test(meeting_faults, two_with_one_rank_fail_on_all_peers_naming_both)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/meet", errand_folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    for (int way = 0; way < 2; way++) {
        int port = errand_free_port();
        errand e[3];
        runner r[3];
        for (int i = 0; i < 3; i++)
            e[i] = way ? errand_by_seed(4, i ? 1 : 0, port) : errand_by_file(4, i ? 1 : 0);
        r[0] = errand_start(&e[0]);
        /* Who comes when the two are gone again cannot know of them. */
        if (way)
            errand_await(&errand_counts->binds, 1);
        else
            errand_await_files(path, 1);
        r[1] = errand_start(&e[1]);
        r[2] = errand_start(&e[2]);
        for (int i = 0; i < 3; i++) {
            report got = errand_report(&r[i]);
            check_failed(&got, WEFT_EDUPLICATE, "rank 1 (tcp://127.0.0.1:,and rank 1 (tcp://");
            errand_stop(&r[i]);
        }
    }
}

Test(meeting_faults, peers_that_disagree_on_their_number_say_so)
{
    for (int way = 0; way < 2; way++) {
        int port = errand_free_port();
        errand e[2];
        for (int i = 0; i < 2; i++)
            e[i] = way ? errand_by_seed(3 + i, i, port) : errand_by_file(3 + i, i);
        fail_all(e, 2, WEFT_EINVAL, "expects,peers, this one");
    }
}

Test(meeting_faults, garbage_in_the_folder_is_ignored_and_counted)
{
    char path[128], big[5000];
    snprintf(path, sizeof(path), "%s/meet", errand_folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    memset(big, 'x', sizeof(big));
    errand_put_file("meet/job.1.peer", "garbage", 7);
    errand_put_file("meet/job.2.peer", "weft-peer 0.1\njob job\npeers 2\n", 30);
    errand_put_file("meet/job.3.peer", "", 0);
    errand_put_file("meet/job.4.peer", big, sizeof(big));
    errand_put_file("meet/other.5.peer", "weft-peer 0.1\njob other\n", 24);
    errand_put_file("meet/README", "hello", 5);
    snprintf(path, sizeof(path), "%s/meet/job.6.peer", errand_folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/meet/job.7.peer", errand_folder);
    cr_assert_eq(symlink("/dev/zero", path), 0);
    errand e[2] = {errand_by_file(2, 0), errand_by_file(2, 1)};
    errand_meet_all(e, 2);
    e[0].timeout_ms = 200;
    fail_all(e, 1, WEFT_ETIMEDOUT, "6 files ignored,job.,1 entries of other jobs");
}

Test(meeting_faults, jobs_in_one_folder_do_not_mix)
{
    errand e[4];
    runner r[4];
    for (int i = 0; i < 4; i++) {
        e[i] = errand_by_file(2, i % 2);
        strcpy(e[i].job, i < 2 ? "job" : "job.2");
        r[i] = errand_start(&e[i]);
    }
    errand_check_met(r, e, 2);
    errand_check_met(r + 2, e + 2, 2);
    for (int i = 0; i < 4; i++)
        errand_stop(&r[i]);
}

Test(meeting_faults, a_seed_of_another_job_is_named)
{
    int port = errand_free_port();
    errand first = errand_by_seed(2, 0, port), second = errand_by_seed(2, 0, port);
    strcpy(second.job, "another");
    runner server = errand_start(&first);
    errand_await(&errand_counts->binds, 1);
    second.timeout_ms = 1000;
    fail_all(&second, 1, WEFT_ETIMEDOUT, "serves job \"job\"");
    errand last = errand_by_seed(2, 1, port);
    runner r[2] = {server, errand_start(&last)};
    errand e[2] = {first, last};
    errand_check_met(r, e, 2);
    errand_stop(&r[0]);
    errand_stop(&r[1]);
}

Test(meeting_faults, what_a_killed_run_left_is_swept)
{
    errand e[2] = {errand_by_file(2, 0), errand_by_file(2, 1)};
    errand before[2] = {errand_by_file(2, 1), errand_by_file(5, 4)};
    char path[128];
    snprintf(path, sizeof(path), "%s/meet", errand_folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        runner killed = errand_start(&before[i]);
        errand_await_files(path, 1);
        errand_kill(&killed);
        errand_meet_all(e, 2);
        cr_assert_eq(errand_files(path), 0);
    }
}

Test(meeting_faults, a_peer_killed_while_others_wait_is_replaced)
{
    errand e[2] = {errand_by_file(3, 0), errand_by_file(3, 1)};
    char path[128];
    snprintf(path, sizeof(path), "%s/meet", errand_folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    runner waits = errand_start(&e[0]), killed = errand_start(&e[1]);
    errand_await_files(path, 2);
    errand_kill(&killed);
    errand again[3] = {e[0], errand_by_file(3, 1), errand_by_file(3, 2)};
    runner r[3] = {waits, errand_start(&again[1]), errand_start(&again[2])};
    errand_check_met(r, again, 3);
    for (int i = 0; i < 3; i++)
        errand_stop(&r[i]);
}

Test(meeting_faults, another_protocol_version_is_named_on_both_sides)
{
    int port = errand_free_port();
    errand e[2] = {errand_by_seed(2, 0, port), errand_by_seed(2, 1, port)};
    e[1].tell_version = 3;
    e[1].timeout_ms = 1500;
    runner r[2] = {errand_start(&e[0]), errand_start(&e[1])};
    report ours = errand_report(&r[0]);
    check_failed(&ours, WEFT_EVERSION, "3.7,0.1");
    errand_kill(&r[1]);
    errand_stop(&r[0]);
}

Test(meeting_faults, a_port_that_another_program_holds_is_named_with_its_variables)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(listen(fd, 16), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    errand e = errand_by_seed(2, 0, ntohs(a.sin_port));
    e.timeout_ms = 500;
    fail_all(&e, 1, WEFT_ETIMEDOUT, "is taken,WEFT_MEET_PORT,MASTER_PORT,missing rank 1");
    close(fd);
}

Test(meeting_faults, the_own_folder_of_a_job_is_removed_and_must_be_private)
{
    errand e[2] = {errand_by_file(2, 0), errand_by_file(2, 1)};
    char path[128];
    struct stat st;
    e[0].own_folder = e[1].own_folder = true;
    errand_meet_all(e, 2);
    snprintf(path, sizeof(path), "%s/meet", errand_folder);
    cr_assert_neq(stat(path, &st), 0, "the folder is gone");
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, 0777), 0);
    fail_all(e, 1, WEFT_EIO, "meet,WEFT_MEET");
}

Test(meeting_faults, a_folder_that_cannot_be_made_is_an_error)
{
    errand e = errand_by_file(2, 0);
    snprintf(e.meet, sizeof(e.meet), "file://%s/no/such", errand_folder);
    fail_all(&e, 1, WEFT_EIO, "no/such,No such file");
    errand_put_file("plain", "x", 1);
    snprintf(e.meet, sizeof(e.meet), "file://%s/plain", errand_folder);
    fail_all(&e, 1, WEFT_EIO, "plain,no folder");
}

/* Send bytes behind a header of that kind, then a question of another job, and wait for its answer:
 * all before it was taken. */
static void send_and_ask(weft_link *link, uint32_t conn, weft_message *first)
{
    weft_voice stranger = {.link = link, .tag = 1, .job = "stranger", .peers = 2, .uuid = {1}};
    weft_known k = {.stamp = 1, .state = WEFT_KNOWN_HERE, .changed = 1};
    k.entry.uuid[0] = 1;
    cr_assert_eq(errand_real->send(link, conn, first), WEFT_OK);
    cr_assert_eq(weft_voice_tell(&stranger, conn, &k, 1, 0), WEFT_OK);
    weft_link_event event;
    weft_frame f;
    cr_assert_eq(errand_real->poll(link, weft_now() + ERRAND_WAIT_MS * WEFT_MS, &event), WEFT_OK);
    cr_assert_eq(event.what, WEFT_LINK_FRAME, "event %d %s", event.what,
                 event.why ? event.why : "");
    cr_assert_eq(event.conn, conn);
    cr_assert_eq(weft_frame_get(event.message->data, event.message->len, &f), WEFT_OK);
    cr_assert_eq(f.kind, WEFT_FRAME_ROSTER);
    weft_message_unref(event.message);
}

/* Frames to a server that waits: what is no meeting's comes out as early, garbage does no harm. */
Test(meeting_faults, frames_that_are_not_for_the_meeting_wait_for_the_engine)
{
    int port = errand_free_port();
    char endpoint[64];
    errand e[2] = {errand_by_seed(2, 0, port), errand_by_seed(2, 1, port)};
    runner r[2];
    r[0] = errand_start(&e[0]);
    errand_await(&errand_counts->binds, 1);
    weft_link *link = errand_link();
    cr_assert_not_null(link);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", port);
    for (uint32_t conn = 2; conn <= 4; conn += 2) {
        weft_link_event event;
        cr_assert_eq(errand_real->dial(link, conn, endpoint), WEFT_OK);
        cr_assert_eq(errand_real->poll(link, weft_now() + ERRAND_WAIT_MS * WEFT_MS, &event),
                     WEFT_OK);
        cr_assert_eq(event.what, WEFT_LINK_UP, "%s", event.why ? event.why : "");
    }
    weft_frame f = {.kind = WEFT_FRAME_HELLO, .flags = WEFT_FLAG_LAST};
    weft_message *hello = weft_message_new(errand_real->pool(link), 0);
    weft_frame_put(&f, hello->data);
    send_and_ask(link, 2, hello);
    weft_message *garbage = weft_message_new(errand_real->pool(link), 100);
    memset(garbage->data, 0x5a, garbage->len);
    cr_assert_eq(errand_real->send(link, 4, garbage), WEFT_OK);
    errand_await(&errand_counts->frames, 3);
    r[1] = errand_start(&e[1]);
    report got = errand_report(&r[0]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    cr_assert_eq(got.early, 1);
    got = errand_report(&r[1]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    errand_stop(&r[0]);
    errand_stop(&r[1]);
    errand_real->close(&link);
}

/* A peer that sends without end before all are here costs bounded memory. */
Test(meeting_faults, a_flood_before_the_meeting_is_bounded)
{
    int port = errand_free_port();
    char endpoint[64];
    errand e[2] = {errand_by_seed(2, 0, port), errand_by_seed(2, 1, port)};
    runner r[2];
    r[0] = errand_start(&e[0]);
    errand_await(&errand_counts->binds, 1);
    weft_link *link = errand_link();
    cr_assert_not_null(link);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", port);
    weft_link_event event;
    cr_assert_eq(errand_real->dial(link, 2, endpoint), WEFT_OK);
    cr_assert_eq(errand_real->poll(link, weft_now() + ERRAND_WAIT_MS * WEFT_MS, &event), WEFT_OK);
    cr_assert_eq(event.what, WEFT_LINK_UP);
    weft_frame f = {.kind = WEFT_FRAME_HELLO, .flags = WEFT_FLAG_LAST};
    for (int i = 0; i < 100; i++) {
        weft_message *hello = weft_message_new(errand_real->pool(link), 0);
        weft_frame_put(&f, hello->data);
        cr_assert_eq(errand_real->send(link, 2, hello), WEFT_OK);
    }
    errand_await(&errand_counts->frames, 16 * 2 + 1);
    r[1] = errand_start(&e[1]);
    report got = errand_report(&r[0]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    cr_assert_eq(got.early, 16 * 2);
    got = errand_report(&r[1]);
    errand_stop(&r[0]);
    errand_stop(&r[1]);
    errand_real->close(&link);
}

/* Threads of this process, which a leak checker sees. */
static void *run_thread(void *argument)
{
    const errand *e = argument;
    weft_meeting m = {.peers = e->peers, .rank = e->rank};
    weft_entry self = {.rank = e->rank};
    weft_roster roster = {0};
    weft_link *link = errand_link();
    cr_assert_not_null(link);
    snprintf(m.meet, sizeof(m.meet), "%s", e->meet);
    snprintf(m.job, sizeof(m.job), "%s", e->job);
    m.deadline_ns = weft_deadline(weft_now(), e->timeout_ms);
    cr_assert_eq(weft_random_bytes(self.uuid, sizeof(self.uuid)), WEFT_OK);
    cr_assert_eq(weft_host_id(self.host), WEFT_OK);
    snprintf(self.endpoint[0], WEFT_ENDPOINT_TEXT, "%s", errand_real->endpoint(link, 0));
    int status = weft_roster_meet(&roster, &m, &self, link);
    cr_expect_eq(status, e->timeout_ms < ERRAND_WAIT_MS ? WEFT_ETIMEDOUT : WEFT_OK, "%s",
                 weft_last_error()->message);
    weft_roster_free(&roster);
    errand_real->close(&link);
    return NULL;
}

Test(meeting_faults, threads_with_links_of_their_own_meet_and_fail_to)
{
    for (int way = 0; way < 4; way++) {
        pthread_t threads[2];
        errand e[2];
        int port = errand_free_port();
        for (int i = 0; i < 2; i++) {
            e[i] = way % 2 ? errand_by_seed(2 + way / 2, i, port) : errand_by_file(2 + way / 2, i);
            e[i].timeout_ms = way / 2 ? 300 : ERRAND_WAIT_MS;
            cr_assert_eq(pthread_create(&threads[i], NULL, run_thread, &e[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
}
