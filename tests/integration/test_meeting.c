/* SPDX-License-Identifier: Apache-2.0 */
/* Meetings of real processes over real sockets and folders. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "link/link.h"
#include "roster/peer_frame.h"
#include "roster/roster.h"
#include "wire/frame.h"

enum { PEERS_MAX = 6, LONG_MS = 20000 };

/* What one peer is asked to do. */
typedef struct errand {
    int peers, rank;
    char meet[256], job[64];
    int64_t timeout_ms;
    int tell_version;   /* speak this major version of the protocol; 0: ours */
    int refused_port;   /* this seed is not mine to serve; 0: all are; -1: none */
    bool leave_at_once; /* do not wait for the word to leave */
    bool own_folder;
} errand;

/* And what came of it. */
typedef struct report {
    int status, rank, size, error_rank;
    uint64_t hash;
    uint8_t uuid[16];
    size_t early;
    bool has_seed, has_file;
    char text[1024];
} report;

/* Shared with the peers. */
typedef struct shared {
    int binds, refused_binds, downs, ups, frames;
} shared;

typedef struct runner {
    pid_t pid;
    int report_from, leave_to;
} runner;

static shared *counts;
static errand mine;                /* in a peer: its errand */
static const weft_link_type *real; /* of tcp */
static weft_link_type watched;

/* A link type whose bind may be refused, as on a host to which the address does not belong. */
static int watched_bind(weft_link *l, const char *endpoint)
{
    char port[16];
    snprintf(port, sizeof(port), ":%d", mine.refused_port);
    if (mine.refused_port < 0 || (mine.refused_port > 0 && strstr(endpoint, port))) {
        __atomic_add_fetch(&counts->refused_binds, 1, __ATOMIC_SEQ_CST);
        return weft_fail(WEFT_EIO, "listen %s: not ours", endpoint);
    }
    int status = real->bind(l, endpoint);
    if (status == WEFT_OK)
        __atomic_add_fetch(&counts->binds, 1, __ATOMIC_SEQ_CST);
    return status;
}

static int watched_poll(weft_link *l, int64_t until_ns, weft_link_event *ret)
{
    int status = real->poll(l, until_ns, ret);
    if (status == WEFT_OK && ret->what == WEFT_LINK_DOWN)
        __atomic_add_fetch(&counts->downs, 1, __ATOMIC_SEQ_CST);
    if (status == WEFT_OK && ret->what == WEFT_LINK_UP)
        __atomic_add_fetch(&counts->ups, 1, __ATOMIC_SEQ_CST);
    if (status == WEFT_OK && ret->what == WEFT_LINK_FRAME)
        __atomic_add_fetch(&counts->frames, 1, __ATOMIC_SEQ_CST);
    return status;
}

/* Frames of another major version, checksum in order. */
static int watched_send(weft_link *l, uint32_t conn, weft_message *m)
{
    if (mine.tell_version) {
        m->data[4] = (uint8_t)mine.tell_version;
        m->data[5] = 7;
    }
    return real->send(l, conn, m);
}

static weft_link *open_link(void)
{
    weft_link *l = NULL;
    weft_link_opts o = {.listen = {"tcp://127.0.0.1:*"},
                        .frame_max = WEFT_FRAME_HEADER + WEFT_FRAME_BODY_MAX,
                        .connect_timeout_ms = 2000,
                        .linger_ms = 1000,
                        .dead_ms = 10000};
    if (!real || real->open(&l, &o) != WEFT_OK)
        return NULL;
    return l;
}

static void watch(weft_link *l)
{
    watched = *real;
    watched.bind = watched_bind;
    watched.poll = watched_poll;
    watched.send = watched_send;
    l->type = &watched;
}

static void run_errand(int report_to, int leave_from)
{
    weft_meeting m = {.peers = mine.peers, .rank = mine.rank, .own_folder = mine.own_folder};
    weft_entry self = {.rank = mine.rank};
    weft_roster roster = {0};
    report r = {.status = WEFT_EINTERNAL};
    weft_link *link = open_link();
    if (!link)
        goto out;
    watch(link);
    snprintf(m.meet, sizeof(m.meet), "%s", mine.meet);
    snprintf(m.job, sizeof(m.job), "%s", mine.job);
    strcpy(m.tried, "the test's errand");
    m.deadline_ns = weft_deadline(weft_now(), mine.timeout_ms);
    weft_random_bytes(self.uuid, sizeof(self.uuid));
    memcpy(r.uuid, self.uuid, 16);
    weft_host_id(self.host);
    snprintf(self.endpoint[0], WEFT_ENDPOINT_TEXT, "%s", real->endpoint(link, 0));
    r.status = weft_roster_meet(&roster, &m, &self, link);
out:
    r.error_rank = weft_last_error()->rank;
    snprintf(r.text, sizeof(r.text), "%s", weft_last_error()->message);
    r.rank = roster.rank;
    r.size = roster.size;
    r.hash = roster.hash;
    r.early = roster.early_count;
    r.has_seed = roster.seed != NULL;
    r.has_file = roster.file != NULL;
    bool ok = write(report_to, &r, sizeof(r)) == sizeof(r);
    /* Serve latecomers, as an open group does, until told to leave. */
    char byte;
    fcntl(leave_from, F_SETFL, O_NONBLOCK);
    while (link && r.status == WEFT_OK && !mine.leave_at_once && read(leave_from, &byte, 1) < 0) {
        weft_link_event event = {.what = WEFT_LINK_NOTHING};
        if (link->type->poll(link, weft_now() + 10 * WEFT_MS, &event) != WEFT_OK)
            break;
        if (event.what == WEFT_LINK_FRAME)
            weft_seed_frame(roster.seed, link, event.conn, event.message);
    }
    weft_roster_free(&roster);
    if (link)
        real->close(&link);
    _exit(ok ? 0 : 1);
}

static runner start(const errand *e)
{
    int up[2], down[2];
    cr_assert_eq(pipe(up), 0);
    cr_assert_eq(pipe(down), 0);
    if (!counts) {
        counts =
            mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(counts, MAP_FAILED);
    }
    pid_t parent = getpid(), pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        close(up[0]);
        close(down[1]);
        mine = *e;
        run_errand(up[1], down[0]);
    }
    close(up[1]);
    close(down[0]);
    fcntl(down[1], F_SETFD, FD_CLOEXEC);
    return (runner){.pid = pid, .report_from = up[0], .leave_to = down[1]};
}

static report reported(const runner *r)
{
    report got;
    cr_assert_eq(read(r->report_from, &got, sizeof(got)), (ssize_t)sizeof(got),
                 "a peer ended without a report");
    return got;
}

static void stop(const runner *r)
{
    int status;
    cr_assert_eq(write(r->leave_to, "x", 1) == 1 || errno == EPIPE, 1);
    close(r->leave_to);
    close(r->report_from);
    cr_assert_eq(waitpid(r->pid, &status, 0), r->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a peer ended badly: %d", status);
}

static void kill_peer(const runner *r)
{
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    close(r->leave_to);
    close(r->report_from);
}

/* Until a shared count reaches a value; the peer under test reports when it cannot. */
static void await(const int *count, int value)
{
    int64_t deadline = weft_now() + LONG_MS * WEFT_MS;
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < value) {
        cr_assert_lt(weft_now(), deadline, "never came to %d", value);
        sched_yield();
    }
}

static char folder_name[64];

static void make_folder(void)
{
    signal(SIGPIPE, SIG_IGN);
    real = weft_link_type_for("tcp");
    strcpy(folder_name, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder_name));
}

static int files_in(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    cr_assert_not_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".peer") == 0;
    closedir(d);
    return n;
}

/* Until so many entries are there, whole ones. */
static void await_files(const char *folder, int count)
{
    int64_t deadline = weft_now() + LONG_MS * WEFT_MS;
    while (files_in(folder) < count)
        cr_assert_lt(weft_now(), deadline);
}

static void put_file(const char *name, const char *text, size_t len)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder_name, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text, 1, len, f), len);
    fclose(f);
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder_name);
    cr_assert_eq(system(command), 0);
}

static errand by_file(int peers, int rank)
{
    errand e = {.peers = peers, .rank = rank, .job = "job", .timeout_ms = LONG_MS};
    snprintf(e.meet, sizeof(e.meet), "file://%s/meet", folder_name);
    return e;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static errand by_seed(int peers, int rank, int port)
{
    errand e = {.peers = peers, .rank = rank, .job = "job", .timeout_ms = LONG_MS};
    snprintf(e.meet, sizeof(e.meet), "tcp://127.0.0.1:%d", port);
    return e;
}

/* All met: sizes, hashes, and each rank once, the wished one where there is a wish. */
static void check_met(const runner *runners, const errand *errands, int peers)
{
    bool seen[PEERS_MAX] = {false};
    uint64_t hash = 0;
    for (int i = 0; i < peers; i++) {
        report r = reported(&runners[i]);
        cr_assert_eq(r.status, WEFT_OK, "peer %d of %d: %s", i, peers, r.text);
        cr_assert_eq(r.size, peers);
        cr_assert(r.rank >= 0 && r.rank < peers && !seen[r.rank], "rank %d twice", r.rank);
        seen[r.rank] = true;
        if (errands[i].rank >= 0)
            cr_assert_eq(r.rank, errands[i].rank);
        if (i == 0)
            hash = r.hash;
        cr_assert_eq(r.hash, hash);
        cr_assert_neq(r.hash, 0);
        cr_assert_eq(r.has_file, peers > 1 && errands[i].meet[0] == 'f');
        cr_assert_eq(r.has_seed, peers > 1 && errands[i].meet[0] == 't');
    }
}

static void meet_all(const errand *errands, int peers)
{
    runner runners[PEERS_MAX] = {0};
    for (int i = 0; i < peers; i++)
        runners[i] = start(&errands[i]);
    check_met(runners, errands, peers);
    for (int i = 0; i < peers; i++)
        stop(&runners[i]);
}

TestSuite(meeting, .init = make_folder, .fini = remove_folder, .timeout = 60);

Test(meeting, peers_meet_in_a_folder)
{
    for (int peers = 1; peers <= 5; peers++) {
        errand e[PEERS_MAX];
        for (int i = 0; i < peers; i++)
            e[i] = by_file(peers, peers - 1 - i);
        meet_all(e, peers);
        if (peers > 1) {
            char path[128];
            snprintf(path, sizeof(path), "%s/meet", folder_name);
            cr_assert_eq(files_in(path), 0, "entries are removed at close");
        }
    }
}

Test(meeting, peers_without_ranks_meet_in_a_folder)
{
    errand e[4];
    for (int i = 0; i < 4; i++)
        e[i] = by_file(4, i == 2 ? 0 : -1);
    meet_all(e, 4);
}

Test(meeting, peers_meet_at_a_seed)
{
    for (int peers = 1; peers <= 5; peers++) {
        errand e[PEERS_MAX];
        int port = free_port();
        for (int i = 0; i < peers; i++)
            e[i] = by_seed(peers, i, port);
        meet_all(e, peers);
    }
}

Test(meeting, one_of_many_serves_a_port_that_all_could)
{
    errand e[4];
    int port = free_port();
    for (int i = 0; i < 4; i++)
        e[i] = by_seed(4, -1, port);
    meet_all(e, 4);
    cr_assert_eq(counts->binds, 1);
}

Test(meeting, the_server_may_come_last)
{
    errand e[3];
    runner r[3];
    int port = free_port();
    for (int i = 0; i < 3; i++)
        e[i] = by_seed(3, i, port);
    e[0].refused_port = e[1].refused_port = -1;
    r[0] = start(&e[0]);
    r[1] = start(&e[1]);
    await(&counts->downs, 4);
    cr_assert_eq(counts->binds, 0);
    r[2] = start(&e[2]);
    check_met(r, e, 3);
    for (int i = 0; i < 3; i++)
        stop(&r[i]);
}

Test(meeting, one_live_seed_of_two_suffices)
{
    errand e[3];
    int dead = free_port(), live = free_port();
    for (int i = 0; i < 3; i++) {
        e[i] = by_seed(3, i, live);
        snprintf(e[i].meet, sizeof(e[i].meet), "tcp://127.0.0.1:%d,tcp://localhost:%d", dead, live);
        e[i].refused_port = dead;
    }
    meet_all(e, 3);
    cr_assert_eq(counts->binds, 1);
}

Test(meeting, peers_that_know_different_seeds_meet_through_them)
{
    errand e[4];
    int one = free_port(), two = free_port();
    for (int i = 0; i < 4; i++)
        e[i] = by_seed(4, i, i < 2 ? one : two);
    for (int i = 0; i < 4; i += 3)
        snprintf(e[i].meet, sizeof(e[i].meet), "tcp://127.0.0.1:%d,tcp://127.0.0.1:%d", one, two);
    meet_all(e, 4);
}

Test(meeting, a_server_that_is_killed_is_replaced)
{
    errand e[3];
    runner r[3];
    int port = free_port();
    for (int i = 0; i < 3; i++)
        e[i] = by_seed(3, i, port);
    runner killed = start(&e[0]);
    await(&counts->binds, 1);
    r[1] = start(&e[1]);
    await(&counts->ups, 1);
    kill_peer(&killed);
    r[0] = start(&e[0]);
    r[2] = start(&e[2]);
    check_met(r, e, 3);
    for (int i = 0; i < 3; i++)
        stop(&r[i]);
}

Test(meeting, peers_that_leave_at_once_let_the_others_begin)
{
    for (int way = 0; way < 2; way++) {
        errand e[4];
        int port = free_port();
        for (int i = 0; i < 4; i++) {
            e[i] = way ? by_seed(4, i, port) : by_file(4, i);
            e[i].leave_at_once = true;
        }
        meet_all(e, 4);
    }
}

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
    runner runners[PEERS_MAX] = {0};
    for (int i = 0; i < peers; i++)
        runners[i] = start(&errands[i]);
    for (int i = 0; i < peers; i++) {
        report r = reported(&runners[i]);
        check_failed(&r, code, words);
        stop(&runners[i]);
    }
}

Test(meeting, a_missing_peer_is_named_in_a_folder)
{
    errand e[2] = {by_file(4, 0), by_file(4, 2)};
    e[0].timeout_ms = e[1].timeout_ms = 700;
    put_file("ignored", "x", 1);
    fail_all(e, 1, WEFT_ETIMEDOUT,
             "1 of 4 peers came,missing ranks 1-3,job \"job\",meet,the test's errand");
    runner r[2] = {start(&e[0]), start(&e[1])};
    report got = reported(&r[0]);
    check_failed(&got, WEFT_ETIMEDOUT, "missing ranks 1");
    cr_assert_eq(got.error_rank, 1);
    got = reported(&r[1]);
    cr_assert_eq(got.status, WEFT_ETIMEDOUT);
    stop(&r[0]);
    stop(&r[1]);
}

Test(meeting, a_missing_peer_is_named_at_a_seed)
{
    int port = free_port();
    errand e[2] = {by_seed(3, 0, port), by_seed(3, 2, port)};
    e[0].timeout_ms = 3000;
    runner r[2] = {start(&e[0]), start(&e[1])};
    report got = reported(&r[0]);
    check_failed(&got, WEFT_ETIMEDOUT, "2 of 3 peers came,missing rank 1,tcp://127.0.0.1");
    cr_assert_eq(got.error_rank, 1);
    stop(&r[0]);
    kill_peer(&r[1]);
}

Test(meeting, without_ranks_the_number_that_came_is_named)
{
    errand e = by_file(3, -1);
    e.timeout_ms = 200;
    fail_all(&e, 1, WEFT_ETIMEDOUT, "1 of 3 peers came");
}

Test(meeting, two_with_one_rank_fail_on_all_peers_naming_both)
{
    for (int way = 0; way < 2; way++) {
        int port = free_port();
        errand e[3];
        for (int i = 0; i < 3; i++)
            e[i] = way ? by_seed(4, i ? 1 : 0, port) : by_file(4, i ? 1 : 0);
        fail_all(e, 3, WEFT_EDUPLICATE, "rank 1 (tcp://127.0.0.1:, and rank 1 (tcp://127.0.0.1:");
    }
}

Test(meeting, peers_that_disagree_on_their_number_say_so)
{
    for (int way = 0; way < 2; way++) {
        int port = free_port();
        errand e[2];
        for (int i = 0; i < 2; i++)
            e[i] = way ? by_seed(3 + i, i, port) : by_file(3 + i, i);
        fail_all(e, 2, WEFT_EINVAL, "expects,peers, this one");
    }
}

Test(meeting, garbage_in_the_folder_is_ignored_and_counted)
{
    char path[128], big[5000];
    snprintf(path, sizeof(path), "%s/meet", folder_name);
    cr_assert_eq(mkdir(path, 0700), 0);
    memset(big, 'x', sizeof(big));
    put_file("meet/job.1.peer", "garbage", 7);
    put_file("meet/job.2.peer", "weft-peer 0.1\njob job\npeers 2\n", 30);
    put_file("meet/job.3.peer", "", 0);
    put_file("meet/job.4.peer", big, sizeof(big));
    put_file("meet/other.5.peer", "weft-peer 0.1\njob other\n", 24);
    put_file("meet/README", "hello", 5);
    snprintf(path, sizeof(path), "%s/meet/job.6.peer", folder_name);
    cr_assert_eq(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/meet/job.7.peer", folder_name);
    cr_assert_eq(symlink("/dev/zero", path), 0);
    errand e[2] = {by_file(2, 0), by_file(2, 1)};
    meet_all(e, 2);
    e[0].timeout_ms = 200;
    fail_all(e, 1, WEFT_ETIMEDOUT, "6 files ignored,job.,1 entries of other jobs");
}

Test(meeting, jobs_in_one_folder_do_not_mix)
{
    errand e[4];
    runner r[4];
    for (int i = 0; i < 4; i++) {
        e[i] = by_file(2, i % 2);
        strcpy(e[i].job, i < 2 ? "job" : "job.2");
        r[i] = start(&e[i]);
    }
    check_met(r, e, 2);
    check_met(r + 2, e + 2, 2);
    for (int i = 0; i < 4; i++)
        stop(&r[i]);
}

Test(meeting, a_seed_of_another_job_is_named)
{
    int port = free_port();
    errand first = by_seed(2, 0, port), second = by_seed(2, 0, port);
    strcpy(second.job, "another");
    runner server = start(&first);
    await(&counts->binds, 1);
    second.timeout_ms = 1000;
    fail_all(&second, 1, WEFT_ETIMEDOUT, "serves job \"job\"");
    errand last = by_seed(2, 1, port);
    runner r[2] = {server, start(&last)};
    errand e[2] = {first, last};
    check_met(r, e, 2);
    stop(&r[0]);
    stop(&r[1]);
}

Test(meeting, what_a_killed_run_left_is_swept)
{
    errand e[2] = {by_file(2, 0), by_file(2, 1)};
    errand before[2] = {by_file(2, 1), by_file(5, 4)};
    char path[128];
    snprintf(path, sizeof(path), "%s/meet", folder_name);
    cr_assert_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        runner killed = start(&before[i]);
        await_files(path, 1);
        kill_peer(&killed);
        meet_all(e, 2);
        cr_assert_eq(files_in(path), 0);
    }
}

Test(meeting, a_peer_killed_while_others_wait_is_replaced)
{
    errand e[2] = {by_file(3, 0), by_file(3, 1)};
    char path[128];
    snprintf(path, sizeof(path), "%s/meet", folder_name);
    cr_assert_eq(mkdir(path, 0700), 0);
    runner waits = start(&e[0]), killed = start(&e[1]);
    await_files(path, 2);
    kill_peer(&killed);
    errand again[3] = {e[0], by_file(3, 1), by_file(3, 2)};
    runner r[3] = {waits, start(&again[1]), start(&again[2])};
    check_met(r, again, 3);
    for (int i = 0; i < 3; i++)
        stop(&r[i]);
}

Test(meeting, another_protocol_version_is_named_on_both_sides)
{
    int port = free_port();
    errand e[2] = {by_seed(2, 0, port), by_seed(2, 1, port)};
    e[1].tell_version = 3;
    e[1].timeout_ms = 1500;
    runner r[2] = {start(&e[0]), start(&e[1])};
    report ours = reported(&r[0]);
    check_failed(&ours, WEFT_EVERSION, "3.7,0.1");
    kill_peer(&r[1]);
    stop(&r[0]);
}

Test(meeting, a_port_that_another_program_holds_is_named_with_its_variables)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(listen(fd, 16), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    errand e = by_seed(2, 0, ntohs(a.sin_port));
    e.timeout_ms = 500;
    fail_all(&e, 1, WEFT_ETIMEDOUT, "is taken,WEFT_MEET_PORT,MASTER_PORT,missing rank 1");
    close(fd);
}

Test(meeting, the_own_folder_of_a_job_is_removed_and_must_be_private)
{
    errand e[2] = {by_file(2, 0), by_file(2, 1)};
    char path[128];
    struct stat st;
    e[0].own_folder = e[1].own_folder = true;
    meet_all(e, 2);
    snprintf(path, sizeof(path), "%s/meet", folder_name);
    cr_assert_neq(stat(path, &st), 0, "the folder is gone");
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, 0777), 0);
    fail_all(e, 1, WEFT_EIO, "meet,WEFT_MEET");
}

Test(meeting, a_folder_that_cannot_be_made_is_an_error)
{
    errand e = by_file(2, 0);
    snprintf(e.meet, sizeof(e.meet), "file://%s/no/such", folder_name);
    fail_all(&e, 1, WEFT_EIO, "no/such,No such file");
    put_file("plain", "x", 1);
    snprintf(e.meet, sizeof(e.meet), "file://%s/plain", folder_name);
    fail_all(&e, 1, WEFT_EIO, "plain,no folder");
}

/* Send bytes behind a header of that kind, then a question of another job, and wait for its answer:
 * all before it was taken. */
static void send_and_ask(weft_link *link, uint32_t conn, weft_message *first)
{
    weft_voice stranger = {.link = link, .tag = 1, .job = "stranger", .peers = 2, .uuid = {1}};
    weft_known k = {.stamp = 1, .state = WEFT_KNOWN_HERE, .changed = 1};
    k.entry.uuid[0] = 1;
    cr_assert_eq(real->send(link, conn, first), WEFT_OK);
    cr_assert_eq(weft_voice_tell(&stranger, conn, &k, 1, 0), WEFT_OK);
    weft_link_event event;
    weft_frame f;
    cr_assert_eq(real->poll(link, weft_now() + LONG_MS * WEFT_MS, &event), WEFT_OK);
    cr_assert_eq(event.what, WEFT_LINK_FRAME, "event %d %s", event.what,
                 event.why ? event.why : "");
    cr_assert_eq(event.conn, conn);
    cr_assert_eq(weft_frame_get(event.message->data, event.message->len, &f), WEFT_OK);
    cr_assert_eq(f.kind, WEFT_FRAME_ROSTER);
    weft_message_unref(event.message);
}

/* Frames to a server that waits: what is no meeting's comes out as early, garbage does no harm. */
Test(meeting, frames_that_are_not_for_the_meeting_wait_for_the_engine)
{
    int port = free_port();
    char endpoint[64];
    errand e[2] = {by_seed(2, 0, port), by_seed(2, 1, port)};
    runner r[2];
    r[0] = start(&e[0]);
    await(&counts->binds, 1);
    weft_link *link = open_link();
    cr_assert_not_null(link);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", port);
    for (uint32_t conn = 2; conn <= 4; conn += 2) {
        weft_link_event event;
        cr_assert_eq(real->dial(link, conn, endpoint), WEFT_OK);
        cr_assert_eq(real->poll(link, weft_now() + LONG_MS * WEFT_MS, &event), WEFT_OK);
        cr_assert_eq(event.what, WEFT_LINK_UP, "%s", event.why ? event.why : "");
    }
    weft_frame f = {.kind = WEFT_FRAME_HELLO, .flags = WEFT_FLAG_LAST};
    weft_message *hello = weft_message_new(real->pool(link), 0);
    weft_frame_put(&f, hello->data);
    send_and_ask(link, 2, hello);
    weft_message *garbage = weft_message_new(real->pool(link), 100);
    memset(garbage->data, 0x5a, garbage->len);
    cr_assert_eq(real->send(link, 4, garbage), WEFT_OK);
    await(&counts->frames, 3);
    r[1] = start(&e[1]);
    report got = reported(&r[0]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    cr_assert_eq(got.early, 1);
    got = reported(&r[1]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    stop(&r[0]);
    stop(&r[1]);
    real->close(&link);
}

/* A peer that sends without end before all are here costs bounded memory. */
Test(meeting, a_flood_before_the_meeting_is_bounded)
{
    int port = free_port();
    char endpoint[64];
    errand e[2] = {by_seed(2, 0, port), by_seed(2, 1, port)};
    runner r[2];
    r[0] = start(&e[0]);
    await(&counts->binds, 1);
    weft_link *link = open_link();
    cr_assert_not_null(link);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", port);
    weft_link_event event;
    cr_assert_eq(real->dial(link, 2, endpoint), WEFT_OK);
    cr_assert_eq(real->poll(link, weft_now() + LONG_MS * WEFT_MS, &event), WEFT_OK);
    cr_assert_eq(event.what, WEFT_LINK_UP);
    weft_frame f = {.kind = WEFT_FRAME_HELLO, .flags = WEFT_FLAG_LAST};
    for (int i = 0; i < 100; i++) {
        weft_message *hello = weft_message_new(real->pool(link), 0);
        weft_frame_put(&f, hello->data);
        cr_assert_eq(real->send(link, 2, hello), WEFT_OK);
    }
    await(&counts->frames, 16 * 2 + 1);
    r[1] = start(&e[1]);
    report got = reported(&r[0]);
    cr_assert_eq(got.status, WEFT_OK, "%s", got.text);
    cr_assert_eq(got.early, 16 * 2);
    got = reported(&r[1]);
    stop(&r[0]);
    stop(&r[1]);
    real->close(&link);
}

/* Threads of this process, which a leak checker sees. */
static void *run_thread(void *argument)
{
    const errand *e = argument;
    weft_meeting m = {.peers = e->peers, .rank = e->rank};
    weft_entry self = {.rank = e->rank};
    weft_roster roster = {0};
    weft_link *link = open_link();
    cr_assert_not_null(link);
    snprintf(m.meet, sizeof(m.meet), "%s", e->meet);
    snprintf(m.job, sizeof(m.job), "%s", e->job);
    m.deadline_ns = weft_deadline(weft_now(), e->timeout_ms);
    cr_assert_eq(weft_random_bytes(self.uuid, sizeof(self.uuid)), WEFT_OK);
    cr_assert_eq(weft_host_id(self.host), WEFT_OK);
    snprintf(self.endpoint[0], WEFT_ENDPOINT_TEXT, "%s", real->endpoint(link, 0));
    int status = weft_roster_meet(&roster, &m, &self, link);
    cr_expect_eq(status, e->timeout_ms < LONG_MS ? WEFT_ETIMEDOUT : WEFT_OK, "%s",
                 weft_last_error()->message);
    weft_roster_free(&roster);
    real->close(&link);
    return NULL;
}

Test(meeting, threads_with_links_of_their_own_meet_and_fail_to)
{
    for (int way = 0; way < 4; way++) {
        pthread_t threads[2];
        errand e[2];
        int port = free_port();
        for (int i = 0; i < 2; i++) {
            e[i] = way % 2 ? by_seed(2 + way / 2, i, port) : by_file(2 + way / 2, i);
            e[i].timeout_ms = way / 2 ? 300 : LONG_MS;
            cr_assert_eq(pthread_create(&threads[i], NULL, run_thread, &e[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
}
