/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo export: an algorithm's plan as a file to be edited. */
#include <stdio.h>
#include <string.h>

#include <weft/plan.h>

#include "topo.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "collective", .letter = 'c', .kind = WEFT_CLI_TEXT, .metavar = "C",
     .value = "allreduce", .help = "what the algorithm is of"},
    WEFT_TOPO_PEERS_OPTION("8"),
    {.name = "out", .letter = 'o', .kind = WEFT_CLI_TEXT, .metavar = "FILE.json",
     .help = "where the plan goes; replaced if it is there"},
    WEFT_TOPO_QUERY_OPTIONS,
    {0}};
/* clang-format on */

/* What was written, as whoever runs it will see it. 0, or the exit status after telling. */
static int tell(const weft_cli *cli, const char *out)
{
    weft_plan_facts f = {.size = sizeof(f)};
    const int rc = weft_plan_inspect(out, &f);
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
        return weft_exit_of(rc);
    }
    (void)printf("%s: %s of %d peers, %d part%s, %llu steps, %s\n", out, f.collective, f.peers,
                 f.parts, f.parts == 1 ? "" : "s", (unsigned long long)f.steps, f.name);
    return WEFT_EXIT_DONE;
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *out = weft_cli_text(cli, "out");
    weft_topo_query t;
    if (out == NULL) {
        return weft_cli_refuse(cli, "-o FILE is missing: where the plan goes");
    }
    if (!weft_topo_collective(cli, collective) || !weft_topo_query_read(cli, collective, &t)) {
        return WEFT_EXIT_USAGE;
    }
    t.q.algo = weft_cli_args(cli)[0];
    const int rc = weft_plan_export(&t.q, out);
    weft_topo_query_free(&t);
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
        return weft_exit_of(rc);
    }
    return tell(cli, out);
}

const weft_command weft_topo_export = {
    .name = "topo export",
    .summary = "an algorithm's plan as a file, to make another one of",
    .usage = "ALGO -o FILE [OPTIONS]",
    .about = "The file says of every peer what it does; docs/plan_file.md tells how. An edited one "
             "is the algorithm\nplan:path=FILE, for bench, call, train and the other words of "
             "topo, and in programs.\n",
    .example = "weft topo export ring -n 4 -o mine.json",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run};
