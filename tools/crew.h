/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crew: N child processes that work together, their output pipes, and how they end.
 *
 * Every child has its own process group and dies with this process. SIGINT, SIGTERM, SIGHUP and
 * SIGQUIT are passed on to all of them; who is still there most of a second later is killed.
 */
#ifndef WEFT_TOOLS_CREW_H
#define WEFT_TOOLS_CREW_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { WEFT_CREW_PIPES = 2, WEFT_FOLDER_TEXT = 256 };

typedef struct weft_crew weft_crew;

typedef struct weft_child {
    pid_t pid;
    bool started, ended;
    bool stopped_by_us; /* a signal of weft_crew_end() or a forwarded one came before its end */
    int status;         /* as waitpid() gives it, once ended */
} weft_child;

/* What the owner hears. Each may be NULL. */
typedef struct weft_crew_hooks {
    /* len 0: the end of that pipe. */
    void (*output)(void *user, int rank, int pipe, const char *bytes, size_t len);
    void (*ended)(void *user, weft_crew *crew, int rank);
    void (*reminded)(void *user, weft_crew *crew); /* weft_crew_remind() came due */
    void *user;
} weft_crew_hooks;

struct weft_crew {
    int count;
    weft_child *children;
    int (*pipes)[WEFT_CREW_PIPES]; /* read ends, -1: none or at its end */
    weft_crew_hooks hooks;
    int signal_fd;
    sigset_t old_mask;
    int signal;              /* the signal that ended the crew, 0: none */
    double term_at, kill_at; /* seconds of weft_seconds(); 0: not asked */
    double remind_at;        /* the same */
};

/* Take over the signals. 0, or errno. */
int weft_crew_open(weft_crew *crew, int count, const weft_crew_hooks *hooks);

/* Start child `rank`. wires[i] is the descriptor number that pipe i is in the child, -1: none.
 * 0, or errno of what failed (exec included). path with a slash is taken as it is, else searched.
 */
int weft_crew_start(weft_crew *crew, int rank, const char *path, char *const *argv,
                    char *const *envp, const int wires[WEFT_CREW_PIPES]);

/* Run until every child has ended and every pipe is read. */
void weft_crew_wait(weft_crew *crew);

/* From a hook: send SIGTERM to all that live after so many seconds and SIGKILL a second later. An
 * earlier date stands. */
void weft_crew_end(weft_crew *crew, double seconds);

/* From a hook: call the hook `reminded` after so many seconds if children live then. */
void weft_crew_remind(weft_crew *crew, double seconds);

/* Give the signals back and free. Children that live are killed. */
void weft_crew_close(weft_crew *crew);

/* "exited with status 3", "was killed by signal 9 (Killed)". */
void weft_crew_describe(const weft_child *child, char *ret, size_t cap);

/* A folder that only this user can look into, where a crew meets. */
typedef struct weft_folder {
    char path[WEFT_FOLDER_TEXT];
    int lock; /* held as long as this process lives */
} weft_folder;

/* A new one under XDG_RUNTIME_DIR, TMPDIR or /tmp, after removing those there that killed processes
 * of this user left. 0 or errno. */
int weft_folder_make(weft_folder *ret);
/* Remove it and what is in it. */
void weft_folder_drop(weft_folder *folder);

/* The environment with NAME=VALUE words put over it (a word without = removes the name). NULL: no
 * memory. Free with weft_environment_free(). */
char **weft_environment_with(char *const *words);
void weft_environment_free(char **environment);

#endif
