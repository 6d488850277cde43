/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

/* Asked by a signal, all of the crew is gone within a second. */
static const double signal_patience = 0.7, end_patience = 1.0;

int weft_crew_open(weft_crew *crew, int count, const weft_crew_hooks *hooks)
{
    static const int taken[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t mask;
    *crew = (weft_crew){.count = count, .hooks = *hooks, .signal_fd = -1};
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        (void)sigaddset(&mask, taken[i]);
    }
    crew->children = calloc((size_t)count, sizeof(*crew->children));
    crew->pipes = calloc((size_t)count, sizeof(*crew->pipes));
    if (crew->children == NULL || crew->pipes == NULL) {
        free(crew->children);
        free(crew->pipes);
        return ENOMEM;
    }
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < WEFT_CREW_PIPES; k++) {
            crew->pipes[i][k] = -1;
        }
    }
    (void)sigprocmask(SIG_BLOCK, &mask, &crew->old_mask);
    crew->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (crew->signal_fd < 0) {
        const int error = errno;
        weft_crew_close(crew);
        return error;
    }
    return 0;
}

/* In the child, between fork and exec. Never returns. */
static void become(const weft_crew *crew, const weft_child *child, const char *path,
                   char *const *argv, char *const *envp, const int wires[WEFT_CREW_PIPES],
                   const int ends[WEFT_CREW_PIPES], int tell, pid_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127); /* it died before the line above */
    }
    bool ok = true;
    if (child != crew->children || isatty(STDIN_FILENO)) {
        /* Standard input goes to rank 0; a terminal would stop a process of another group. */
        const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ok = nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0;
    }
    for (int k = 0; k < WEFT_CREW_PIPES; k++) {
        if (wires[k] >= 0) {
            ok = ok && dup2(ends[k], wires[k]) >= 0; /* the copy stays open over exec */
        }
    }
    (void)sigprocmask(SIG_SETMASK, &crew->old_mask, NULL);
    if (ok) {
        (void)execvpe(path, argv, envp);
    }
    const int error = errno;
    const ssize_t written = write(tell, &error, sizeof(error));
    _exit(written == (ssize_t)sizeof(error) ? 127 : 126);
}

/* Make a pipe whose ends are above the descriptors that children are wired to. */
static int pipe_high(int ret[2])
{
    int low[2];
    if (pipe2(low, O_CLOEXEC) != 0) {
        return errno;
    }
    int error = 0;
    for (int i = 0; i < 2; i++) {
        ret[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 10);
        if (ret[i] < 0 && error == 0) {
            error = errno;
        }
        (void)close(low[i]);
    }
    if (error != 0) {
        for (int i = 0; i < 2; i++) {
            if (ret[i] >= 0) {
                (void)close(ret[i]);
            }
        }
    }
    return error;
}

/* Fork, and learn whether exec worked. */
static int start(weft_crew *crew, weft_child *child, const char *path, char *const *argv,
                 char *const *envp, const int wires[WEFT_CREW_PIPES],
                 const int ends[WEFT_CREW_PIPES])
{
    int tell[2] = {-1, -1};
    int error = pipe_high(tell);
    if (error != 0) {
        return error;
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        become(crew, child, path, argv, envp, wires, ends, tell[1], parent);
    }
    error = pid < 0 ? errno : 0;
    (void)close(tell[1]);
    if (pid > 0) {
        (void)setpgid(pid, pid); /* both sides: whoever comes first */
        int why = 0;
        ssize_t got;
        do {
            got = read(tell[0], &why, sizeof(why));
        } while (got < 0 && errno == EINTR);
        if (got == (ssize_t)sizeof(why)) {
            error = why;
            (void)waitpid(pid, NULL, 0);
        } else {
            child->pid = pid;
            child->started = true;
        }
    }
    (void)close(tell[0]);
    return error;
}

int weft_crew_start(weft_crew *crew, int rank, const char *path, char *const *argv,
                    char *const *envp, const int wires[WEFT_CREW_PIPES])
{
    int ends[WEFT_CREW_PIPES], error = 0;
    for (int k = 0; k < WEFT_CREW_PIPES; k++) {
        ends[k] = -1;
        if (wires[k] >= 0 && error == 0) {
            int pair[2] = {-1, -1};
            error = pipe_high(pair);
            if (error == 0) {
                crew->pipes[rank][k] = pair[0];
                ends[k] = pair[1];
            }
        }
    }
    if (error == 0) {
        error = start(crew, &crew->children[rank], path, argv, envp, wires, ends);
    }
    for (int k = 0; k < WEFT_CREW_PIPES; k++) {
        if (ends[k] >= 0) {
            (void)close(ends[k]);
        }
    }
    return error;
}

static void signal_all(weft_crew *crew, int number, bool ends_them)
{
    for (int i = 0; i < crew->count; i++) {
        weft_child *child = &crew->children[i];
        if (child->started && !child->ended) {
            (void)kill(-child->pid, number);
            child->stopped_by_us |= ends_them;
        }
    }
}

void weft_crew_end(weft_crew *crew, double seconds)
{
    const double at = weft_seconds() + seconds;
    if (crew->kill_at == 0.0 || at + end_patience < crew->kill_at) {
        crew->term_at = at;
        crew->kill_at = at + end_patience;
    }
}

void weft_crew_remind(weft_crew *crew, double seconds)
{
    crew->remind_at = weft_seconds() + seconds;
}

static void reap(weft_crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        weft_child *child = &crew->children[i];
        siginfo_t info = {0};
        if (!child->started || child->ended ||
            waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid != child->pid) {
            continue;
        }
        /* What the child left behind in its group goes too. As long as the child is not reaped its
         * number cannot become somebody else's. */
        (void)kill(-child->pid, SIGKILL);
        (void)waitpid(child->pid, &child->status, 0);
        child->ended = true;
        if (crew->hooks.ended != NULL) {
            crew->hooks.ended(crew->hooks.user, crew, i);
        }
    }
}

static void take_signals(weft_crew *crew)
{
    struct signalfd_siginfo info;
    while (read(crew->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const int number = (int)info.ssi_signo;
        if (number == SIGCHLD) {
            continue; /* reap() looks at all of them anyway */
        }
        const bool ends = number != SIGUSR1 && number != SIGUSR2;
        signal_all(crew, number, ends);
        if (ends) {
            crew->signal = number;
            const double at = weft_seconds() + signal_patience;
            if (crew->kill_at == 0.0 || at < crew->kill_at) {
                crew->term_at = 0.0;
                crew->kill_at = at;
            }
        }
    }
}

static void take_output(weft_crew *crew, int rank, int pipe)
{
    char bytes[16384];
    const ssize_t got = read(crew->pipes[rank][pipe], bytes, sizeof(bytes));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    const size_t len = got > 0 ? (size_t)got : 0;
    if (len == 0) {
        (void)close(crew->pipes[rank][pipe]);
        crew->pipes[rank][pipe] = -1;
    }
    if (crew->hooks.output != NULL) {
        crew->hooks.output(crew->hooks.user, rank, pipe, bytes, len);
    }
}

static int milliseconds_left(const weft_crew *crew)
{
    double next = crew->term_at != 0.0 ? crew->term_at : crew->kill_at;
    if (crew->remind_at != 0.0 && (next == 0.0 || crew->remind_at < next)) {
        next = crew->remind_at;
    }
    if (next == 0.0) {
        return -1;
    }
    const double left = next - weft_seconds();
    return left <= 0.0 ? 0 : left > 1e6 ? -1 : (int)(left * 1e3) + 1;
}

static void take_time(weft_crew *crew, int living)
{
    const double now = weft_seconds();
    if (crew->remind_at != 0.0 && now >= crew->remind_at) {
        crew->remind_at = 0.0;
        if (living > 0 && crew->hooks.reminded != NULL) {
            crew->hooks.reminded(crew->hooks.user, crew);
        }
    }
    if (crew->term_at != 0.0 && now >= crew->term_at) {
        crew->term_at = 0.0;
        signal_all(crew, SIGTERM, true);
    }
    if (crew->kill_at != 0.0 && now >= crew->kill_at) {
        crew->kill_at = now + end_patience;
        signal_all(crew, SIGKILL, true);
    }
}

/* Fill polls; returns how many children live and, in *ret_polls, how many are filled. */
static int look(const weft_crew *crew, struct pollfd *polls, nfds_t *ret_polls)
{
    int living = 0;
    nfds_t n = 0;
    polls[n++] = (struct pollfd){.fd = crew->signal_fd, .events = POLLIN};
    for (int i = 0; i < crew->count; i++) {
        living += crew->children[i].started && !crew->children[i].ended;
        for (int k = 0; k < WEFT_CREW_PIPES; k++) {
            if (crew->pipes[i][k] >= 0) {
                polls[n++] = (struct pollfd){.fd = crew->pipes[i][k], .events = POLLIN};
            }
        }
    }
    *ret_polls = n;
    return living;
}

void weft_crew_wait(weft_crew *crew)
{
    struct pollfd *polls = calloc((size_t)crew->count * WEFT_CREW_PIPES + 1, sizeof(*polls));
    if (polls == NULL) {
        (void)fprintf(stderr, "weft: out of memory\n");
        return; /* weft_crew_close() ends the children */
    }
    for (;;) {
        nfds_t n = 0;
        const int living = look(crew, polls, &n);
        if (living == 0 && n == 1) {
            break;
        }
        /* Once all children are gone only what is in the pipes is read: a process that moved to
         * another group may hold them open for ever. */
        const int ready = poll(polls, n, living > 0 ? milliseconds_left(crew) : 0);
        if (ready == 0 && living == 0) {
            break;
        }
        nfds_t at = 1;
        for (int i = 0; ready > 0 && i < crew->count; i++) {
            for (int k = 0; k < WEFT_CREW_PIPES; k++) {
                if (at < n && crew->pipes[i][k] == polls[at].fd && polls[at++].revents != 0) {
                    take_output(crew, i, k);
                }
            }
        }
        take_signals(crew);
        reap(crew);
        take_time(crew, living);
    }
    free(polls);
}

void weft_crew_close(weft_crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        weft_child *child = &crew->children[i];
        if (child->started && !child->ended) {
            (void)kill(-child->pid, SIGKILL);
            (void)waitpid(child->pid, &child->status, 0);
            child->ended = true;
        }
        for (int k = 0; k < WEFT_CREW_PIPES; k++) {
            if (crew->pipes[i][k] >= 0) {
                (void)close(crew->pipes[i][k]);
            }
        }
    }
    if (crew->signal_fd >= 0) {
        (void)close(crew->signal_fd);
    }
    (void)sigprocmask(SIG_SETMASK, &crew->old_mask, NULL);
    free(crew->children);
    free(crew->pipes);
    *crew = (weft_crew){.signal_fd = -1};
}

void weft_crew_describe(const weft_child *child, char *ret, size_t cap)
{
    if (WIFSIGNALED(child->status)) {
        const int number = WTERMSIG(child->status);
        (void)snprintf(ret, cap, "was killed by signal %d (%s)", number, strsignal(number));
    } else {
        (void)snprintf(ret, cap, "exited with status %d", WEXITSTATUS(child->status));
    }
}
