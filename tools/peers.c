/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/status.h>

#include "crew.h"
#include "failures.h"
#include "outfile.h"

/* A process that this program started as a peer finds the descriptor of its error pipe here. */
static const char pipe_variable[] = "WEFT_TOOL_PIPE";
enum { PIPE_IN_CHILD = 3, PATH_TEXT = 4096, NAME_TEXT = 64 };
/* Time for the other peers to end by themselves once one is lost or refused its input: what weft
 * tells them says more than their death would. */
static const double grace = 5.0;

typedef struct local_run {
    const weft_launch *launch;
    weft_peer_body *body;
    void *user;
    weft_hub *hub; /* mem: NULL otherwise */
    weft_failures *failures;
} local_run;

typedef struct local_peer {
    local_run *run;
    int rank;
    int status;
} local_peer;

/* Does the environment tell this process its place? Slurm's variables are in every process of a
 * job, those of a step only below srun. */
static bool under_launcher(void)
{
    static const char *const names[] = {"WEFT_RANK", "WEFT_SIZE", "RANK",
                                        "PMI_RANK",  "PMIX_RANK", "OMPI_COMM_WORLD_RANK"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return true;
        }
    }
    return getenv("SLURM_PROCID") != NULL &&
           (getenv("SLURM_STEP_ID") != NULL || getenv("SLURM_STEPID") != NULL);
}

int weft_launch_from(const weft_cli *cli, weft_launch *ret)
{
    *ret = (weft_launch){.cli = cli,
                         .peers = (int)weft_cli_whole(cli, "peers"),
                         .link = weft_cli_text(cli, "link"),
                         .seed = (uint64_t)weft_cli_whole(cli, "seed"),
                         .timeout_ms = weft_cli_given(cli, "timeout")
                                           ? (int64_t)(weft_cli_real(cli, "timeout") * 1e3)
                                           : 0,
                         .verbose = weft_cli_flag(cli, "verbose")};
    if (weft_cli_given(cli, "peers") && getenv(pipe_variable) == NULL && under_launcher()) {
        (void)fprintf(stderr,
                      "weft %s: warning: started by a launcher, but -n is given: this process "
                      "starts %d peers of its own (leave -n out to be one of the launcher's)\n",
                      weft_cli_command(cli), ret->peers);
    }
    if (!weft_cli_given(cli, "peers") && under_launcher()) {
        ret->peers = 0;
        if (!weft_cli_given(cli, "link")) {
            const char *link = getenv("WEFT_LINK");
            ret->link = link != NULL && link[0] != '\0' ? link : "auto";
        }
        if (strcmp(ret->link, "mem") == 0) {
            return weft_cli_refuse(cli,
                                   "--link mem is for the threads of one process: it needs -n");
        }
    }
    return 0;
}

int weft_peer_fail(weft_peer *peer, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weft_failures_tell(peer->failure, peer->rank, status, format, args);
    va_end(args);
    return status;
}

int weft_peer_error(weft_peer *peer, const char *what)
{
    const weft_error *error = weft_last_error();
    const size_t len = strlen(what);
    /* The library names the operation itself: once is enough. */
    const bool said = strncmp(error->message, what, len) == 0 && error->message[len] == ':';
    return weft_peer_fail(peer, weft_exit_of(error->code), "%s%s%s", said ? "" : what,
                          said ? "" : ": ", error->message);
}

/* Whose log it is; lines may come from the library's threads. */
typedef struct log_source {
    const char *command;
    _Atomic int rank; /* -1: not known yet */
} log_source;

/* The rank that the environment wishes for this process, -1: none. */
static int wished_rank(void)
{
    const char *text = getenv("WEFT_RANK");
    int64_t rank = -1;
    return text != NULL && weft_cli_read_whole(text, 0, 65534, &rank) ? (int)rank : -1;
}

static void print_log(void *user, int level, const char *line)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    const log_source *source = user;
    const int rank = atomic_load(&source->rank);
    char who[24] = "";
    if (rank >= 0) {
        (void)snprintf(who, sizeof(who), "[%d] ", rank);
    }
    (void)fprintf(stderr, "weft %s: %s%s: %s\n", source->command, who,
                  levels[level < 0 || level > 3 ? 3 : level], line);
}

/* Open the group as one peer, run the body, leave. rank -1: as the environment says. */
static int be_peer(const local_run *run, int rank)
{
    const weft_launch *launch = run->launch;
    weft_group_opts opts;
    weft_peer peer = {.rank = rank, .launch = launch, .failure = run->failures};
    log_source source = {.command = weft_cli_command(launch->cli),
                         .rank = rank >= 0 ? rank : wished_rank()};
    weft_group_opts_init(&opts);
    opts.link = launch->link;
    opts.seed = launch->seed;
    opts.timeout_ms = launch->timeout_ms;
    opts.open_timeout_ms = launch->timeout_ms;
    if (launch->verbose) {
        opts.log = print_log;
        opts.log_user = &source;
    }
    if (run->hub != NULL) {
        opts.hub = run->hub;
        opts.peers = launch->peers;
        opts.rank = rank;
    }
    if (weft_group_open(&peer.group, &opts) != WEFT_OK) {
        return weft_peer_error(&peer, "cannot open the group");
    }
    peer.rank = weft_group_rank(peer.group);
    peer.size = weft_group_size(peer.group);
    atomic_store(&source.rank, peer.rank);
    const int status = run->body(&peer, run->user);
    weft_group_close(&peer.group);
    return status;
}

static void *peer_thread(void *argument)
{
    local_peer *self = argument;
    self->status = be_peer(self->run, self->rank);
    return NULL;
}

static int run_threads(local_run *run)
{
    const int n = run->launch->peers;
    int worst = WEFT_EXIT_DONE, started = 0;
    local_peer *peers = calloc((size_t)n, sizeof(*peers));
    pthread_t *threads = calloc((size_t)n, sizeof(*threads));
    if (peers == NULL || threads == NULL || weft_hub_open(&run->hub, n) != WEFT_OK) {
        (void)weft_cli_refuse(run->launch->cli, "cannot make a hub for %d threads", n);
        worst = WEFT_EXIT_WRONG;
        goto out;
    }
    for (; started < n; started++) {
        peers[started] = (local_peer){.run = run, .rank = started};
        const int error = pthread_create(&threads[started], NULL, peer_thread, &peers[started]);
        if (error != 0) {
            /* Those that run wait for the missing ones until the timeout and then say so. */
            (void)weft_cli_refuse(run->launch->cli, "cannot start thread %d: %s", started,
                                  strerror(error));
            worst = WEFT_EXIT_WRONG;
            break;
        }
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
        worst = weft_exit_worse(worst, peers[i].status);
    }
    weft_failures_print(run->failures, n);
out:
    weft_hub_close(&run->hub);
    free(peers);
    free(threads);
    return worst;
}

static void take_record(void *user, int rank, int pipe, const char *bytes, size_t len)
{
    const local_run *run = user;
    (void)pipe;
    weft_failures_take(run->failures, rank, bytes, len);
}

static void child_ended(void *user, weft_crew *crew, int rank)
{
    const local_run *run = user;
    const weft_child *child = &crew->children[rank];
    const bool quiet = WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGPIPE;
    if (child->stopped_by_us && WIFSIGNALED(child->status)) {
        if (crew->signal == 0) {
            weft_failures_note(run->failures, rank, WEFT_EXIT_LOST,
                               "did not end by itself and was ended");
        }
        return;
    }
    if (WIFSIGNALED(child->status)) {
        char text[96];
        weft_crew_describe(child, text, sizeof(text));
        if (!quiet) {
            weft_failures_note(run->failures, rank, WEFT_EXIT_LOST, text);
        }
        weft_crew_end(crew, quiet ? 0.0 : grace);
    } else if (WEXITSTATUS(child->status) > WEFT_EXIT_WRONG ||
               weft_failures_has(run->failures, rank)) {
        weft_crew_end(crew,
                      grace); /* not when it only found a wrong result: all go on to the end */
    }
}

/* NAME=VALUE words of one child. */
static int start_child(weft_crew *crew, const weft_launch *launch, int rank, const char *self,
                       const char *folder)
{
    static const int wires[WEFT_CREW_PIPES] = {PIPE_IN_CHILD, -1};
    char meet[WEFT_FOLDER_TEXT + 32], number[5][NAME_TEXT];
    (void)snprintf(meet, sizeof(meet), "WEFT_MEET=file://%s", folder);
    (void)snprintf(number[0], NAME_TEXT, "WEFT_RANK=%d", rank);
    (void)snprintf(number[1], NAME_TEXT, "WEFT_SIZE=%d", launch->peers);
    (void)snprintf(number[2], NAME_TEXT, "WEFT_JOB=%ld", (long)getpid());
    (void)snprintf(number[3], NAME_TEXT, "%s=%d", pipe_variable, PIPE_IN_CHILD);
    (void)snprintf(number[4], NAME_TEXT, "OPENBLAS_NUM_THREADS=%s",
                   getenv("OPENBLAS_NUM_THREADS") ? getenv("OPENBLAS_NUM_THREADS") : "1");
    char listen[] = "WEFT_LISTEN=tcp://127.0.0.1:*", advertise[] = "WEFT_ADVERTISE";
    char *words[] = {meet,      number[0], number[1], number[2], number[3],
                     number[4], listen,    advertise, NULL};
    char **environment = weft_environment_with(words);
    const int error =
        environment == NULL
            ? ENOMEM
            : weft_crew_start(crew, rank, self, weft_cli_argv(launch->cli), environment, wires);
    weft_environment_free(environment);
    return error;
}

/* What the crew's end means for the program's exit status. */
static int crew_status(const weft_crew *crew)
{
    int worst = WEFT_EXIT_DONE;
    for (int i = 0; i < crew->count; i++) {
        const weft_child *child = &crew->children[i];
        if (!child->started) {
            continue;
        }
        if (WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGPIPE) {
            return 128 + SIGPIPE; /* the reader of stdout has gone: nothing to say */
        }
        worst = weft_exit_worse(worst, WIFEXITED(child->status) ? WEXITSTATUS(child->status)
                                                                : WEFT_EXIT_LOST);
    }
    return crew->signal != 0 ? 128 + crew->signal : worst;
}

static int run_processes(local_run *run)
{
    const weft_launch *launch = run->launch;
    weft_folder folder;
    char self[PATH_TEXT];
    weft_crew crew;
    int status = WEFT_EXIT_WRONG, started = 0;
    /* Not the link itself: under valgrind that would be valgrind. */
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len < 0) {
        (void)weft_cli_refuse(launch->cli, "cannot read /proc/self/exe: %s", strerror(errno));
        return WEFT_EXIT_WRONG;
    }
    self[len] = '\0';
    const weft_crew_hooks hooks = {.output = take_record, .ended = child_ended, .user = run};
    int error = weft_crew_open(&crew, launch->peers, &hooks);
    if (error != 0) {
        (void)weft_cli_refuse(launch->cli, "cannot start peers: %s", strerror(error));
        return WEFT_EXIT_WRONG;
    }
    error = weft_folder_make(&folder);
    if (error != 0) {
        (void)weft_cli_refuse(launch->cli, "cannot make a meeting folder: %s", strerror(error));
        goto out;
    }
    for (; started < launch->peers && error == 0; started++) {
        error = start_child(&crew, launch, started, self, folder.path);
    }
    if (error != 0) {
        (void)weft_cli_refuse(launch->cli, "cannot start rank %d: %s", started - 1,
                              strerror(error));
        weft_crew_end(&crew, 0.0);
    }
    weft_crew_wait(&crew);
    weft_failures_print(run->failures, launch->peers);
    status = crew_status(&crew);
    status = error != 0 ? WEFT_EXIT_WRONG : status;
    weft_folder_drop(&folder);
out:
    weft_crew_close(&crew);
    return status;
}

int weft_launch_run(const weft_launch *launch, weft_peer_body *body, void *user)
{
    local_run run = {.launch = launch, .body = body, .user = user};
    const char *pipe = getenv(pipe_variable);
    int64_t wire = -1;
    int status = WEFT_EXIT_WRONG;
    if (pipe != NULL && !weft_cli_read_whole(pipe, 0, 1 << 20, &wire)) {
        return weft_cli_refuse(launch->cli, "%s='%s' is no descriptor", pipe_variable, pipe);
    }
    run.failures =
        weft_failures_new(weft_cli_command(launch->cli), (int)wire, wire < 0 ? launch->peers : 0);
    if (run.failures == NULL) {
        (void)weft_cli_refuse(launch->cli, "out of memory");
        return WEFT_EXIT_WRONG;
    }
    if (wire >= 0 || launch->peers == 0) {
        weft_outfile_guard();
        status = be_peer(&run, -1);
        weft_failures_print(run.failures, 0);
    } else if (strcmp(launch->link, "mem") == 0) {
        weft_outfile_guard();
        status = run_threads(&run);
    } else {
        status = run_processes(&run);
    }
    weft_failures_free(run.failures);
    return status;
}
