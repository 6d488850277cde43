/* SPDX-License-Identifier: Apache-2.0 */
/* weft run: N local processes of any program, with the environment of a launcher. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "crew.h"
#include "report.h"

enum { PIPE_OUT, PIPE_ERR, LINE_CAP = 65536, WORD_TEXT = 64 };

/* A line of output that is not complete yet. */
typedef struct line {
    char *bytes;
    size_t len;
} line;

typedef struct run_state {
    const weft_cli *cli;
    line (*lines)[WEFT_CREW_PIPES]; /* of every rank */
    int peers;
    bool plain; /* no prefix */
    double grace;
    int first; /* the first status that was not 0 */
    int early; /* the first rank that ended with 0, -1: none yet */
} run_state;

/* Seconds that ranks may end one after the other without a word. */
static const double early_patience = 3.0;

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "peers", .letter = 'n', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "4",
     .min = 1, .max = 1024, .help = "processes to start"},
    {.name = "link", .kind = WEFT_CLI_TEXT, .metavar = "L", .value = "tcp",
     .choices = "tcp|ipc|auto", .help = "link that groups use where the program names none"},
    {.name = "meet", .kind = WEFT_CLI_TEXT, .metavar = "PLACE",
     .help = "meeting place (file:///FOLDER or tcp://HOST:PORT); else a private folder"},
    {.name = "grace", .kind = WEFT_CLI_REAL, .metavar = "SECONDS", .value = "5", .min = 0,
     .max = 1e6, .help = "time for the others to end by themselves once one has failed"},
    {.name = "plain", .kind = WEFT_CLI_FLAG, .help = "no [rank] before the lines"},
    {0}};
/* clang-format on */

static void put_line(const run_state *run, int rank, int pipe, const char *bytes, size_t len,
                     bool whole)
{
    FILE *to = pipe == PIPE_OUT ? stdout : stderr;
    if (!run->plain) {
        (void)fprintf(to, "[%d] ", rank);
    }
    (void)fwrite(bytes, 1, len, to);
    if (!whole) {
        (void)fputc('\n', to);
    }
}

/* Pass whole lines on; keep the rest until its end comes. */
static void take_output(void *user, int rank, int pipe, const char *bytes, size_t len)
{
    run_state *run = user;
    line *kept = &run->lines[rank][pipe];
    if (len == 0 && kept->len > 0) {
        put_line(run, rank, pipe, kept->bytes, kept->len, false);
        kept->len = 0;
    }
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        const size_t part = end != NULL ? (size_t)(end - bytes) + 1 : len;
        if (end != NULL && kept->len == 0) {
            put_line(run, rank, pipe, bytes, part, true);
        } else {
            if (kept->bytes == NULL) {
                kept->bytes = malloc(LINE_CAP);
            }
            const size_t room = kept->bytes == NULL ? 0 : LINE_CAP - kept->len;
            if (kept->bytes == NULL || part > room) { /* a line without end: in pieces */
                if (kept->len > 0) {
                    put_line(run, rank, pipe, kept->bytes, kept->len, false);
                }
                put_line(run, rank, pipe, bytes, part, end != NULL);
                kept->len = 0;
            } else {
                (void)memcpy(kept->bytes + kept->len, bytes, part);
                kept->len += part;
                if (end != NULL) {
                    put_line(run, rank, pipe, kept->bytes, kept->len, true);
                    kept->len = 0;
                }
            }
        }
        bytes += part;
        len -= part;
    }
    (void)fflush(pipe == PIPE_OUT ? stdout : stderr);
}

/* The status a shell would show. */
static int shell_status(const weft_child *child)
{
    return WIFSIGNALED(child->status) ? 128 + WTERMSIG(child->status) : WEXITSTATUS(child->status);
}

static void child_ended(void *user, weft_crew *crew, int rank)
{
    run_state *run = user;
    const weft_child *child = &crew->children[rank];
    const int status = shell_status(child);
    if (status == 0) {
        /* Peers that wait for this one wait for long: a program that ends early, or took another
         * place than the others, is the usual mistake. */
        if (run->early < 0) {
            run->early = rank;
            weft_crew_remind(crew, early_patience);
        }
        return;
    }
    char text[96];
    weft_crew_describe(child, text, sizeof(text));
    (void)fprintf(stderr, "weft run: rank %d %s%s\n", rank, text,
                  child->stopped_by_us ? " (ended with the others)" : "");
    if (run->first == 0 && !child->stopped_by_us) {
        run->first = status;
    }
    weft_crew_end(crew, run->grace);
}

static void tell_early(void *user, weft_crew *crew)
{
    const run_state *run = user;
    if (run->first == 0 && crew->signal == 0) {
        (void)fprintf(stderr, "weft run: rank %d ended with status 0 while others run\n",
                      run->early);
    }
}

static int start_rank(weft_crew *crew, const run_state *run, int rank, const char *meet)
{
    static const int wires[WEFT_CREW_PIPES] = {STDOUT_FILENO, STDERR_FILENO};
    char place[1024], link[WORD_TEXT], job[WORD_TEXT], numbers[7][WORD_TEXT];
    char *words[12] = {NULL};
    int n = 0;
    const int len = snprintf(place, sizeof(place), "WEFT_MEET=%s", meet);
    if (len < 0 || (size_t)len >= sizeof(place)) {
        return ENAMETOOLONG;
    }
    words[n++] = place;
    const struct {
        const char *name;
        int value;
    } places[] = {{"WEFT_RANK", rank},  {"WEFT_SIZE", run->peers},
                  {"RANK", rank},       {"WORLD_SIZE", run->peers},
                  {"LOCAL_RANK", rank}, {"LOCAL_WORLD_SIZE", run->peers}};
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        (void)snprintf(numbers[i], WORD_TEXT, "%s=%d", places[i].name, places[i].value);
        words[n++] = numbers[i];
    }
    (void)snprintf(link, sizeof(link), "WEFT_LINK=%s", weft_cli_text(run->cli, "link"));
    words[n++] = link;
    if (!weft_cli_given(run->cli,
                        "meet")) { /* the peers are all here: nothing to be shown outside */
        (void)snprintf(job, sizeof(job), "WEFT_JOB=%ld", (long)getpid());
        words[n++] = job;
        (void)snprintf(numbers[6], WORD_TEXT, "WEFT_LISTEN=tcp://127.0.0.1:*");
        words[n++] = numbers[6];
    }
    char **environment = weft_environment_with(words);
    char *const *argv = weft_cli_args(run->cli);
    const int error = environment == NULL
                          ? ENOMEM
                          : weft_crew_start(crew, rank, argv[0], argv, environment, wires);
    weft_environment_free(environment);
    return error;
}

static int run_crew(run_state *run, const char *meet)
{
    const weft_crew_hooks hooks = {
        .output = take_output, .ended = child_ended, .reminded = tell_early, .user = run};
    weft_crew crew;
    int error = weft_crew_open(&crew, run->peers, &hooks);
    if (error != 0) {
        (void)weft_cli_refuse(run->cli, "cannot start processes: %s", strerror(error));
        return WEFT_EXIT_WRONG;
    }
    for (int rank = 0; rank < run->peers && error == 0; rank++) {
        error = start_rank(&crew, run, rank, meet);
    }
    if (error != 0) {
        (void)weft_cli_refuse(run->cli, "cannot start '%s': %s", weft_cli_args(run->cli)[0],
                              strerror(error));
        weft_crew_end(&crew, 0.0);
    }
    weft_crew_wait(&crew);
    const int signal = crew.signal;
    weft_crew_close(&crew);
    if (error != 0) {
        return WEFT_EXIT_USAGE;
    }
    return signal != 0 ? 128 + signal : run->first;
}

/* A place as WEFT_MEET takes it: file:// and an absolute path, or tcp://HOST:PORT,... */
static bool is_place(const char *meet)
{
    for (const char *c = meet; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ') {
            return false;
        }
    }
    if (strncmp(meet, "file:///", 8) == 0) {
        return true;
    }
    for (const char *at = meet;; at++) {
        const size_t len = strcspn(at, ",");
        const char *colon = memrchr(at, ':', len);
        char *end = NULL;
        if (strncmp(at, "tcp://", 6) != 0 || len <= 6 || colon <= at + 6 || colon[1] < '0' ||
            colon[1] > '9') {
            return false;
        }
        const long port = strtol(colon + 1, &end, 10);
        if (end != at + len || port < 1 || port > 65535) {
            return false;
        }
        at += len;
        if (*at == '\0') {
            return true;
        }
    }
}

static int run_command(const weft_cli *cli)
{
    run_state run = {.cli = cli,
                     .peers = (int)weft_cli_whole(cli, "peers"),
                     .plain = weft_cli_flag(cli, "plain"),
                     .grace = weft_cli_real(cli, "grace"),
                     .early = -1};
    weft_folder folder;
    char place[WEFT_FOLDER_TEXT + 8];
    const char *meet = weft_cli_text(cli, "meet");
    if (meet != NULL && !is_place(meet)) {
        return weft_cli_refuse(cli,
                               "--meet '%s': expected file:///FOLDER or tcp://HOST:PORT, several "
                               "with commas between",
                               meet);
    }
    if (meet == NULL) {
        const int error = weft_folder_make(&folder);
        if (error != 0) {
            (void)weft_cli_refuse(cli, "cannot make a meeting folder: %s", strerror(error));
            return WEFT_EXIT_WRONG;
        }
        (void)snprintf(place, sizeof(place), "file://%s", folder.path);
    }
    int status = WEFT_EXIT_WRONG;
    run.lines = calloc((size_t)run.peers, sizeof(*run.lines));
    if (run.lines != NULL) {
        status = run_crew(&run, meet != NULL ? meet : place);
        for (int i = 0; i < run.peers; i++) {
            for (int k = 0; k < WEFT_CREW_PIPES; k++) {
                free(run.lines[i][k].bytes);
            }
        }
        free(run.lines);
    }
    if (meet == NULL) {
        weft_folder_drop(&folder);
    }
    return status;
}

const weft_command weft_cmd_run = {
    .name = "run",
    .summary = "start N peers of any program on this machine",
    .usage = "[-n N] [OPTIONS] -- PROGRAM [ARGUMENTS...]",
    .about = "Each process gets WEFT_RANK, WEFT_SIZE, WEFT_MEET, WEFT_JOB, WEFT_LINK and RANK,\n"
             "WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE. Lines of its output begin with [rank].\n"
             "Standard input goes to rank 0. Returns the first exit status that is not 0; 128 +\n"
             "the signal's number for a process that a signal ended.\n",
    .example = "weft run -n 4 -- ./my_program --steps 100",
    .options = options,
    .args_min = 1,
    .args_max = -1,
    .rest = true,
    .run = run_command};
