/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/clock.h"

enum { LIMIT_MS = 60000, PASS_MS = 30000, TEXT = 1024 };

/* What a peer tells; in shared memory. */
typedef struct peer_report {
    bool failed;
    char text[TEXT];
} peer_report;

struct cluster {
    cluster_plan plan;
    char folder[128];
    weft_hub *hub;
    peer_report *reports;
    member members[CLUSTER_MAX];
    pid_t pids[CLUSTER_MAX];
    bool killed[CLUSTER_MAX];
    pthread_t threads[CLUSTER_MAX];
    bool waited;
};

/* There in a build with AddressSanitizer. */
void __asan_init(void) __attribute__((weak));

const char *cluster_link_name(cluster_link link)
{
    static const char *const names[] = {"tcp", "ipc", "mem"};
    return names[link];
}

int64_t cluster_patience(int64_t ms)
{
    const char *text = getenv("WEFT_TEST_PATIENCE");
    const long times = text != NULL ? strtol(text, NULL, 10) : 1;
    return (&__asan_init != NULL ? 5 : 1) * (times > 1 ? times : 1) * ms;
}

void *cluster_shared(size_t bytes)
{
    void *p = mmap(NULL, bytes > 0 ? bytes : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                   -1, 0);
    cr_assert_neq(p, MAP_FAILED, "mmap of %zu bytes: %s", bytes, strerror(errno));
    return p;
}

void member_failed(const member *me, const char *file, int line, const char *what,
                   const char *format, ...)
{
    peer_report *report = &me->cluster->reports[me->rank];
    if (report->failed) {
        return;
    }
    const char *slash = strrchr(file, '/');
    const int at =
        snprintf(report->text, TEXT, "%s:%d: %s: ", slash != NULL ? slash + 1 : file, line, what);
    va_list args;
    if (at >= TEXT) {
        report->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(report->text + at, TEXT - (size_t)at, format, args);
    va_end(args);
    report->failed = true;
}

void member_options(const member *me, weft_group_opts *ret)
{
    weft_group_opts_init(ret);
    ret->peers = me->size;
    ret->rank = me->rank;
    ret->link = cluster_link_name(me->link);
    ret->open_timeout_ms = 20000;
    ret->timeout_ms = 20000;
    ret->seed = 42;
    if (me->link == CLUSTER_MEM) {
        ret->hub = me->hub;
    } else {
        ret->meet = me->folder;
        ret->job = "test";
        ret->listen = me->link == CLUSTER_TCP ? "tcp://127.0.0.1:*" : NULL;
    }
    /* Sanitizers and busy machines make peers slow, not dead. */
    ret->dead_ms = 5000;
}

static void take_part(member *me)
{
    const cluster_plan *plan = &me->cluster->plan;
    if (!plan->unopened) {
        weft_group_opts o;
        member_options(me, &o);
        if (plan->options != NULL) {
            plan->options(&o, me);
        }
        MUST_OK(me, weft_group_open(&me->group, &o));
    }
    plan->body(me);
    weft_group_close(&me->group);
}

static void *thread_body(void *arg)
{
    take_part(arg);
    return NULL;
}

static void process_body(member *me, pid_t test)
{
    const int64_t limit = me->cluster->plan.limit_ms;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != test) {
        _exit(1);
    }
    alarm((unsigned)((cluster_patience(limit > 0 ? limit : LIMIT_MS) + 999) / 1000));
    take_part(me);
    _exit(me->cluster->reports[me->rank].failed ? 1 : 0);
}

static void start_peer(cluster *c, int rank)
{
    member *me = &c->members[rank];
    *me = (member){.rank = rank,
                   .size = c->plan.size,
                   .link = c->plan.link,
                   .user = c->plan.user,
                   .folder = c->folder,
                   .hub = c->hub,
                   .cluster = c};
    if (c->plan.link == CLUSTER_MEM) {
        cr_assert_eq(pthread_create(&c->threads[rank], NULL, thread_body, me), 0);
        return;
    }
    const pid_t test = getpid();
    c->pids[rank] = fork();
    cr_assert_geq(c->pids[rank], 0, "fork: %s", strerror(errno));
    if (c->pids[rank] == 0) {
        process_body(me, test);
    }
}

cluster *cluster_start(const cluster_plan *plan)
{
    cluster *c = calloc(1, sizeof(*c));
    const char *tmp = getenv("TMPDIR");
    cr_assert(c != NULL && plan->size <= CLUSTER_MAX);
    c->plan = *plan;
    c->reports = cluster_shared(CLUSTER_MAX * sizeof(*c->reports));
    char folder[100];
    snprintf(folder, sizeof(folder), "%s/weft-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(folder), "%s: %s", folder, strerror(errno));
    snprintf(c->folder, sizeof(c->folder), "file://%s", folder);
    if (plan->link == CLUSTER_MEM) {
        cr_assert_eq(weft_hub_open(&c->hub, plan->size), WEFT_OK);
    }
    for (int r = 0; r < plan->size; r++) {
        start_peer(c, r);
    }
    return c;
}

void cluster_signal(cluster *c, int rank, int sig)
{
    cr_assert_neq(c->plan.link, CLUSTER_MEM, "threads take no signals");
    c->killed[rank] = c->killed[rank] || sig == SIGKILL;
    cr_assert_eq(kill(c->pids[rank], sig), 0, "kill: %s", strerror(errno));
}

const char *cluster_folder(const cluster *c)
{
    return c->folder + strlen("file://");
}

static int sweep(const cluster *c, bool remove_them)
{
    int found = 0;
    DIR *dir = opendir(cluster_folder(c));
    cr_assert_not_null(dir, "%s: %s", c->folder, strerror(errno));
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        found++;
        if (remove_them) {
            (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    closedir(dir);
    return found;
}

int cluster_leftovers(const cluster *c)
{
    return sweep(c, false);
}

static void reap(cluster *c, int rank)
{
    int status = 0;
    pid_t done;
    do {
        done = waitpid(c->pids[rank], &status, 0);
    } while (done < 0 && errno == EINTR);
    peer_report *report = &c->reports[rank];
    if (WIFSIGNALED(status) && !(c->killed[rank] && WTERMSIG(status) == SIGKILL)) {
        if (!report->failed) {
            snprintf(report->text, TEXT, "it died of signal %d (%s)", WTERMSIG(status),
                     WTERMSIG(status) == SIGALRM ? "it ran too long" : strsignal(WTERMSIG(status)));
        }
        report->failed = true;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && !report->failed) {
        snprintf(report->text, TEXT, "it ended with status %d", WEXITSTATUS(status));
        report->failed = true;
    }
}

void cluster_wait(cluster *c)
{
    for (int r = 0; r < c->plan.size && !c->waited; r++) {
        if (c->plan.link == CLUSTER_MEM) {
            pthread_join(c->threads[r], NULL);
        } else {
            reap(c, r);
        }
    }
    c->waited = true;
}

void cluster_join(cluster *c)
{
    char failures[CLUSTER_MAX * (TEXT + 32)] = "";
    cluster_wait(c);
    for (int r = 0; r < c->plan.size; r++) {
        if (c->reports[r].failed) {
            const size_t at = strlen(failures);
            snprintf(failures + at, sizeof(failures) - at, "\n  rank %d: %s", r,
                     c->reports[r].text);
        }
    }
    weft_hub_close(&c->hub);
    (void)sweep(c, true);
    (void)rmdir(cluster_folder(c));
    const cluster_plan plan = c->plan;
    munmap(c->reports, CLUSTER_MAX * sizeof(*c->reports));
    free(c);
    cr_assert_str_empty(failures, "%d peers over %s:%s", plan.size, cluster_link_name(plan.link),
                        failures);
}

void cluster_run(cluster_link link, int size, cluster_body *body, void *user)
{
    cluster_join(
        cluster_start(&(cluster_plan){.link = link, .size = size, .body = body, .user = user}));
}

gate gate_new(void)
{
    gate g;
    cr_assert_eq(pipe(g.fd), 0, "pipe: %s", strerror(errno));
    return g;
}

void gate_open(const gate *g, int tickets)
{
    static const char none[64] = {0};
    ssize_t put = write(g->fd[1], none, (size_t)tickets);
    (void)put; /* a pipe takes 64 bytes; who waits in vain says so */
}

bool gate_pass_within(const gate *g, int64_t ms)
{
    const int64_t until = weft_deadline(weft_now(), ms);
    char ticket;
    for (;;) {
        struct pollfd p = {.fd = g->fd[0], .events = POLLIN};
        const int ready = poll(&p, 1, weft_poll_ms(weft_now(), until));
        if (ready > 0) {
            /* Of several that wait each takes one ticket, and there are enough for them. */
            return read(g->fd[0], &ticket, 1) == 1;
        }
        if (ready == 0) {
            return false;
        }
    }
}

bool gate_pass(const gate *g)
{
    return gate_pass_within(g, cluster_patience(PASS_MS));
}
