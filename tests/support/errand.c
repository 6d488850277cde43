/* SPDX-License-Identifier: Apache-2.0 */
#include "support/errand.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "roster/roster.h"
#include "wire/frame.h"

errand_counters *errand_counts;
char errand_folder[64];
static errand mine; /* in a peer: its errand */
const weft_link_type *errand_real;
static weft_link_type watched;

/* A link type whose bind may be refused, as on a host to which the address does not belong. */
static int watched_bind(weft_link *l, const char *endpoint)
{
    char port[16];
    snprintf(port, sizeof(port), ":%d", mine.refused_port);
    if (mine.refused_port < 0 || (mine.refused_port > 0 && strstr(endpoint, port))) {
        __atomic_add_fetch(&errand_counts->refused_binds, 1, __ATOMIC_SEQ_CST);
        return weft_fail(WEFT_EIO, "listen %s: not ours", endpoint);
    }
    int status = errand_real->bind(l, endpoint);
    if (status == WEFT_OK)
        __atomic_add_fetch(&errand_counts->binds, 1, __ATOMIC_SEQ_CST);
    return status;
}

static int watched_poll(weft_link *l, int64_t until_ns, weft_link_event *ret)
{
    int status = errand_real->poll(l, until_ns, ret);
    if (status == WEFT_OK && ret->what == WEFT_LINK_DOWN)
        __atomic_add_fetch(&errand_counts->downs, 1, __ATOMIC_SEQ_CST);
    if (status == WEFT_OK && ret->what == WEFT_LINK_UP)
        __atomic_add_fetch(&errand_counts->ups, 1, __ATOMIC_SEQ_CST);
    if (status == WEFT_OK && ret->what == WEFT_LINK_FRAME)
        __atomic_add_fetch(&errand_counts->frames, 1, __ATOMIC_SEQ_CST);
    return status;
}

/* Frames of another major version, checksum in order. */
static int watched_send(weft_link *l, uint32_t conn, weft_message *m)
{
    if (mine.tell_version) {
        m->data[4] = (uint8_t)mine.tell_version;
        m->data[5] = 7;
    }
    return errand_real->send(l, conn, m);
}

weft_link *errand_link(void)
{
    weft_link *l = NULL;
    weft_link_opts o = {.listen = {"tcp://127.0.0.1:*"},
                        .frame_max = WEFT_FRAME_HEADER + WEFT_FRAME_BODY_MAX,
                        .connect_timeout_ms = 2000,
                        .linger_ms = 1000,
                        .dead_ms = 10000};
    if (!errand_real || errand_real->open(&l, &o) != WEFT_OK)
        return NULL;
    return l;
}

static void watch(weft_link *l)
{
    watched = *errand_real;
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
    weft_link *link = errand_link();
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
    snprintf(self.endpoint[0], WEFT_ENDPOINT_TEXT, "%s", errand_real->endpoint(link, 0));
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
        errand_real->close(&link);
    _exit(ok ? 0 : 1);
}

runner errand_start(const errand *e)
{
    int up[2], down[2];
    cr_assert_eq(pipe(up), 0);
    cr_assert_eq(pipe(down), 0);
    if (!errand_counts) {
        errand_counts = mmap(NULL, sizeof(*errand_counts), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(errand_counts, MAP_FAILED);
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

report errand_report(const runner *r)
{
    report got;
    cr_assert_eq(read(r->report_from, &got, sizeof(got)), (ssize_t)sizeof(got),
                 "a peer ended without a report");
    return got;
}

void errand_stop(const runner *r)
{
    int status;
    cr_assert_eq(write(r->leave_to, "x", 1) == 1 || errno == EPIPE, 1);
    close(r->leave_to);
    close(r->report_from);
    cr_assert_eq(waitpid(r->pid, &status, 0), r->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a peer ended badly: %d", status);
}

void errand_kill(const runner *r)
{
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    close(r->leave_to);
    close(r->report_from);
}

void errand_await(const int *count, int value)
{
    int64_t deadline = weft_now() + ERRAND_WAIT_MS * WEFT_MS;
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < value) {
        cr_assert_lt(weft_now(), deadline, "never came to %d", value);
        sched_yield();
    }
}

void errand_make_folder(void)
{
    signal(SIGPIPE, SIG_IGN);
    errand_real = weft_link_type_for("tcp");
    strcpy(errand_folder, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(errand_folder));
}

int errand_files(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    cr_assert_not_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strlen(e->d_name) > 5 && strcmp(e->d_name + strlen(e->d_name) - 5, ".peer") == 0;
    closedir(d);
    return n;
}

void errand_await_files(const char *folder, int count)
{
    int64_t deadline = weft_now() + ERRAND_WAIT_MS * WEFT_MS;
    while (errand_files(folder) < count)
        cr_assert_lt(weft_now(), deadline);
}

void errand_put_file(const char *name, const char *text, size_t len)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", errand_folder, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text, 1, len, f), len);
    fclose(f);
}

void errand_remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", errand_folder);
    cr_assert_eq(system(command), 0);
}

errand errand_by_file(int peers, int rank)
{
    errand e = {.peers = peers, .rank = rank, .job = "job", .timeout_ms = ERRAND_WAIT_MS};
    snprintf(e.meet, sizeof(e.meet), "file://%s/meet", errand_folder);
    return e;
}

int errand_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

errand errand_by_seed(int peers, int rank, int port)
{
    errand e = {.peers = peers, .rank = rank, .job = "job", .timeout_ms = ERRAND_WAIT_MS};
    snprintf(e.meet, sizeof(e.meet), "tcp://127.0.0.1:%d", port);
    return e;
}

void errand_check_met(const runner *runners, const errand *errands, int peers)
{
    bool seen[ERRAND_PEERS] = {false};
    uint64_t hash = 0;
    for (int i = 0; i < peers; i++) {
        report r = errand_report(&runners[i]);
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

void errand_meet_all(const errand *errands, int peers)
{
    runner runners[ERRAND_PEERS] = {0};
    for (int i = 0; i < peers; i++)
        runners[i] = errand_start(&errands[i]);
    errand_check_met(runners, errands, peers);
    for (int i = 0; i < peers; i++)
        errand_stop(&runners[i]);
}
