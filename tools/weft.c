/* SPDX-License-Identifier: Apache-2.0 */
/* The program: settings of the process, then one subcommand (cmd_*.c). */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/info.h>

#include "cli.h"

static const weft_command *const commands[] = {&weft_cmd_run,  &weft_cmd_train, &weft_cmd_bench,
                                               &weft_cmd_call, &weft_cmd_codec, &weft_cmd_topo,
                                               &weft_cmd_info};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(*commands) };

/*
 * Received messages are malloc'd by one thread and freed by another. By default glibc maps and
 * unmaps those above 128 KiB, and gives the top of the heap back at every turn: 1.2-2 times the
 * time. 32 MiB is the highest mmap threshold glibc takes.
 */
static void keep_memory(void)
{
    enum { MIB = 1 << 20 };
    (void)mallopt(M_MMAP_THRESHOLD, 32 * MIB);
    (void)mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    (void)mallopt(M_TOP_PAD, 4 * MIB);
}

/*
 * OpenBLAS reads its variables and starts its threads when it is loaded, before main: to have one
 * thread a peer the variable must stand before this program starts. So start again with it.
 */
static void limit_blas(char **argv)
{
    char self[4096];
    if (getenv("OPENBLAS_NUM_THREADS") != NULL || getenv("GOTO_NUM_THREADS") != NULL ||
        getenv("OMP_NUM_THREADS") != NULL) {
        return;
    }
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0 && setenv("OPENBLAS_NUM_THREADS", "1", 0) == 0) {
        self[len] = '\0';
        (void)execv(self, argv);
    }
    /* It could not: the peers compute with more threads than they should, which is only slower. */
}

static void help(FILE *to)
{
    (void)fprintf(to, "usage: weft COMMAND [OPTIONS]\n\n"
                      "Peer-to-peer collective communication with compressed allreduce.\n\n"
                      "commands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(to, "  %-8s%s\n", commands[i]->name, commands[i]->summary);
    }
    (void)fprintf(to, "\nweft COMMAND --help tells the options; weft --version the version.\n"
                      "Exit status: 0 done and right; 1 ran, but the result is wrong or a check "
                      "failed;\n2 usage or bad input; 3 a peer was lost or a deadline passed.\n");
}

static const weft_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int refuse_unknown(const char *word)
{
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
    }
    if (word[0] == '-') {
        (void)fprintf(stderr, "weft: unknown option '%s'; there are --help and --version\n", word);
    } else {
        (void)fprintf(stderr, "weft: unknown command '%s'; nearest: %s (weft --help lists all)\n",
                      word, weft_cli_nearest(word, names));
    }
    return WEFT_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    keep_memory();
    if (argc < 2) {
        help(stderr);
        return WEFT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return fflush(stdout) == 0 ? WEFT_EXIT_DONE : WEFT_EXIT_WRONG;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("weft %s\n", weft_version());
        return fflush(stdout) == 0 ? WEFT_EXIT_DONE : WEFT_EXIT_WRONG;
    }
    const weft_command *command = find_command(argv[1]);
    if (command == NULL) {
        return refuse_unknown(argv[1]);
    }
    const weft_command *part = argc > 2 ? weft_cli_part(command, argv[2]) : NULL;
    const int at = part != NULL ? 2 : 1;
    command = part != NULL ? part : command;
    weft_cli *cli = NULL;
    int status = WEFT_EXIT_WRONG;
    if (weft_cli_parse(command, argc - at, argv + at, &cli, &status) != 0) {
        return status;
    }
    if (command->computes) {
        limit_blas(argv);
    }
    status = command->run(cli);
    weft_cli_free(cli);
    if (fflush(stdout) != 0 && status == WEFT_EXIT_DONE) {
        (void)fprintf(stderr, "weft %s: cannot write the output: %s\n", command->name,
                      strerror(errno));
        status = WEFT_EXIT_WRONG;
    }
    return status;
}
