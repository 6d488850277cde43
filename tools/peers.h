/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers of one subcommand on this machine.
 *
 * -n N --link tcp|ipc: N processes, each this program again with the same command line, that meet
 * in a private folder which is removed at the end. --link mem: N threads over a hub. Without -n, in
 * the environment of a launcher (WEFT_*, torchrun, mpirun, srun): this process is one peer of many.
 *
 *     static int body(weft_peer *peer, void *user)
 *     {
 *         if (weft_allreduce(peer->group, …) != WEFT_OK)
 *             return weft_peer_error(peer, "allreduce");
 *         if (peer->rank == 0)
 *             printf(…);
 *         return WEFT_EXIT_DONE;
 *     }
 *     …
 *     weft_launch launch;
 *     int bad = weft_launch_from(cli, &launch);
 *     return bad ? bad : weft_launch_run(&launch, body, &settings);
 *
 * What stands before weft_launch_run() runs in the parent too: check everything there is to check,
 * so that bad input is told once. It must not print to stdout. Rank 0 prints and writes JSON; the
 * other ranks say nothing but errors, which the parent collects and tells once.
 */
#ifndef WEFT_TOOLS_PEERS_H
#define WEFT_TOOLS_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/group.h>

#include "cli.h"

/* The rows of a command's option table that weft_launch_from() reads. */
/* clang-format off */
#define WEFT_LAUNCH_OPTIONS                                                                        \
    {.name = "peers", .letter = 'n', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "4",         \
     .min = 1, .max = 1024, .help = "local peers to start; left out under a launcher"},            \
    {.name = "link", .kind = WEFT_CLI_TEXT, .metavar = "L", .value = "tcp",                        \
     .choices = "tcp|ipc|mem|auto", .help = "tcp or ipc: a process a peer; mem: threads"},         \
    {.name = "seed", .kind = WEFT_CLI_WHOLE, .metavar = "S", .value = "1",                         \
     .min = 1, .max = 9007199254740992.0, .help = "key of all random numbers"},                    \
    {.name = "timeout", .kind = WEFT_CLI_REAL, .metavar = "SECONDS", .value = "60",                \
     .min = 0.001, .max = 1e6, .help = "longest time without progress"},                           \
    {.name = "verbose", .letter = 'v', .kind = WEFT_CLI_FLAG,                                      \
     .help = "log what the library does on stderr"}
/* clang-format on */

typedef struct weft_launch {
    const weft_cli *cli;
    int peers;        /* local peers; 0: one peer, its place from the environment */
    const char *link; /* "tcp", "ipc", "mem", "auto" */
    uint64_t seed;
    int64_t timeout_ms; /* 0: the environment's, else the library's */
    bool verbose;
} weft_launch;

/* One peer inside a body. In mem mode several live in one process: no statics in bodies. */
typedef struct weft_peer {
    weft_group *group; /* open; closed by the launcher */
    int rank, size;
    const weft_launch *launch;
    void *failure; /* the launcher's */
} weft_peer;

/* Runs on every peer. Returns an exit status. */
typedef int weft_peer_body(weft_peer *peer, void *user);

/* Read the options above. 0, or the exit status after telling what is wrong. */
int weft_launch_from(const weft_cli *cli, weft_launch *ret);

/* Start the peers, run the body on each, collect. Returns the exit status of the whole: usage beats
 * lost beats wrong beats done. A rank that a signal ended counts as lost and is named. */
int weft_launch_run(const weft_launch *launch, weft_peer_body *body, void *user);

/* Tell an error of this peer (the parent prints it, once for all ranks that say the same) and
 * return status, for `return weft_peer_fail(…)`. */
int weft_peer_fail(weft_peer *peer, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a weft call that just failed on this thread: "what: text of the last error". */
int weft_peer_error(weft_peer *peer, const char *what);

#endif
