/* SPDX-License-Identifier: Apache-2.0 */
/* The process around the library keeps what is its own: signals, random numbers, output, threads
 * and files; and a forked child is told that the group is not its own. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/fixtures.h"

enum { COUNT = 70000 };

static void works(member *me)
{
    float *in = malloc(COUNT * sizeof(float)), *want = malloc(COUNT * sizeof(float));
    fixture_fill(WEFT_F32, WEFT_SUM, 1, me->rank, 0, in, COUNT);
    fixture_reduce(WEFT_F32, WEFT_SUM, 1, me->size, 0, want, COUNT);
    MUST_OK(me, weft_allreduce(me->group, in, in, COUNT, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, memcmp(in, want, COUNT * sizeof(float)) == 0, "wrong bits");
    free(in);
    free(want);
}

static void whole_life(member *me)
{
    weft_group_opts o;
    member_options(me, &o);
    MUST_OK(me, weft_group_open(&me->group, &o));
    works(me);
    MUST_OK(me, weft_barrier(me->group, NULL));
}

static void alone(cluster_link link, int size, cluster_body *body)
{
    cluster_join(
        cluster_start(&(cluster_plan){.link = link, .size = size, .body = body, .unopened = true}));
}

static void processes(cluster_body *body)
{
    alone(CLUSTER_TCP, 3, body);
    alone(CLUSTER_IPC, 2, body);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    signals++;
}

static void signals_body(member *me)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD};
    struct sigaction mine = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, now;
    sigset_t before, after;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        sigaction(all[i], &mine, NULL);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    whole_life(me);
    for (int when = 0; when < 2; when++) {
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
            sigaction(all[i], NULL, &now);
            MUST(me, now.sa_handler == on_signal && (now.sa_flags & SA_RESTART) != 0, "signal %d",
                 all[i]);
            const int had = signals;
            raise(all[i]);
            MUST(me, signals == had + 1, "signal %d does not arrive", all[i]);
            sigaction(SIGPIPE, NULL, &now);
            MUST(me, now.sa_handler == SIG_DFL, "SIGPIPE was taken");
        }
        weft_group_close(&me->group);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < 32; sig++) {
        MUST(me, sigismember(&before, sig) == sigismember(&after, sig), "the mask of signal %d",
             sig);
    }
}

Test(host, signal_handlers_are_left_alone)
{
    processes(signals_body);
}

/* Signals that come while a call waits do not end it. */
static void interrupted_body(member *me)
{
    struct sigaction mine = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &mine, NULL);
    whole_life(me);
    const pid_t self = getpid();
    const pid_t pest = fork();
    if (pest == 0) {
        for (int i = 0; i < 300 && getppid() == self; i++) {
            kill(self, SIGUSR1);
            usleep(500);
        }
        _exit(0);
    }
    for (int i = 0; i < 60; i++) {
        works(me);
    }
    int status;
    while (waitpid(pest, &status, 0) < 0) {
    }
    MUST(me, signals > 0, "no signal came");
}

Test(host, a_call_outlasts_signals)
{
    processes(interrupted_body);
}

/* Up to the end of the first connection: ZeroMQ draws from rand() in its own thread when one that
 * was dialled ends, and nothing can be done about that. */
static void random_body(member *me)
{
    long want[8];
    srandom(123);
    for (int i = 0; i < 8; i++) {
        want[i] = random();
    }
    srandom(123);
    whole_life(me);
    for (int i = 0; i < 8; i++) {
        MUST(me, random() == want[i], "random() gives another sequence");
    }
    MUST_OK(me, weft_barrier(me->group, NULL)); /* nobody closes before all have looked */
}

Test(host, the_random_sequence_is_left_alone)
{
    processes(random_body);
}

static void silent_body(member *me)
{
    int fd[2];
    char text[256] = "";
    MUST(me, pipe2(fd, O_NONBLOCK) == 0, "pipe");
    fflush(NULL);
    const int out = dup(1), err = dup(2);
    dup2(fd[1], 1);
    dup2(fd[1], 2);
    whole_life(me);
    const weft_coll_opts bad = {.size = sizeof(bad), .algo = "none"};
    const int code = weft_barrier(me->group, &bad);
    weft_group_close(&me->group);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    const ssize_t n = read(fd[0], text, sizeof(text) - 1);
    MUST(me, n < 0, "printed: %s", text);
    MUST(me, code == WEFT_EINVAL, "%s", weft_status_name(code));
}

Test(host, nothing_is_printed)
{
    processes(silent_body);
}

static int entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

static void tidy_body(member *me)
{
    whole_life(me);
    weft_group_close(&me->group);
    const int files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    for (int i = 0; i < 5; i++) {
        whole_life(me);
        MUST(me, entries("/proc/self/task") > threads, "no thread while it is open");
        weft_group_close(&me->group);
    }
    MUST(me, entries("/proc/self/fd") == files, "%d files open, %d before",
         entries("/proc/self/fd"), files);
    MUST(me, entries("/proc/self/task") == threads, "%d threads, %d before",
         entries("/proc/self/task"), threads);
}

Test(host, close_leaves_no_thread_and_no_open_file)
{
    processes(tidy_body);
}

/* The child of a fork, alone with a copy of the parent's group: every call returns at once. */
static int child_calls(weft_group *group, weft_request *running)
{
    float v[2] = {0};
    weft_request *r = NULL;
    int wrong = 0;
    wrong |= weft_allreduce(group, v, v, 2, WEFT_F32, WEFT_SUM, NULL) != WEFT_EFORKED;
    wrong |= (weft_last_error()->code != WEFT_EFORKED) << 1;
    wrong |= (weft_allreduce_start(group, v, v, 2, WEFT_F32, WEFT_SUM, NULL, &r) != WEFT_EFORKED ||
              r != NULL)
             << 2;
    wrong |= (weft_barrier(group, NULL) != WEFT_EFORKED) << 3;
    wrong |= (weft_wait(running, WEFT_FOREVER) != WEFT_EFORKED) << 4;
    wrong |= (weft_test(running) != WEFT_EFORKED) << 5;
    weft_cancel(running);
    wrong |= (weft_group_rank(group) < 0) << 6;
    weft_group_close(&group);
    wrong |= (group != NULL) << 7;
    return wrong;
}

typedef struct forks {
    gate started, forked;
} forks;

static void fork_body(member *me)
{
    const forks *f = me->user;
    works(me);
    float v[2] = {1.0f, 2.0f};
    weft_request *running = NULL;
    if (me->rank != 0) {
        MUST(me, gate_pass(&f->forked), "no fork");
    }
    MUST_OK(me, weft_allreduce_start(me->group, v, v, 2, WEFT_F32, WEFT_SUM, NULL, &running));
    if (me->rank == 0) {
        for (int i = 0; i < 5; i++) {
            MUST_END(me, WEFT_PENDING, weft_wait(running, 3));
            const pid_t child = fork();
            if (child == 0) {
                alarm(10);
                _exit(child_calls(me->group, running));
            }
            int status = 0;
            waitpid(child, &status, 0);
            MUST(me, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: status 0x%x",
                 (unsigned)status);
        }
        gate_open(&f->forked, me->size - 1);
    }
    MUST_OK(me, weft_wait(running, WEFT_FOREVER));
    MUST(me, v[0] == (float)me->size && v[1] == 2.0f * (float)me->size, "wrong bits");
    weft_request_free(&running);
    works(me);
}

Test(host, a_forked_child_is_told_and_the_parent_works_on)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        forks f = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 3, fork_body, &f);
    }
}
