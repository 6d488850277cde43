/* SPDX-License-Identifier: Apache-2.0 */
/* weft bench tune: the constants that automatic choice goes by, from allreduces measured here. It
 * prints them; only who passes them as WEFT_COSTS changes what is chosen. */
#include <stdlib.h>
#include <string.h>

#include "bench_parts.h"
#include "rehearse.h"
#include "report.h"
#include "tune_print.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "begin", .letter = 'b', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "256",
     .min = 4, .max = 0x1p30, .help = "smallest size"},
    {.name = "end", .letter = 'e', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "4M",
     .min = 4, .max = 0x1p30, .help = "largest size"},
    {.name = "factor", .letter = 'f', .kind = WEFT_CLI_REAL, .metavar = "X", .value = "4",
     .min = 1.5, .max = 1e6, .help = "each size is so many times the one before"},
    {.name = "iters", .letter = 'i', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "0",
     .min = 0, .max = 1e4, .help = "rounds; 0: at least 7, until 8 s are measured"},
    {.name = "algo", .kind = WEFT_CLI_LIST, .metavar = "SPEC",
     .help = "measure this one; may be given again; else all that can serve"},
    WEFT_REPORT_OPTIONS,
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

static int tell(weft_tune *t)
{
    const char *path = weft_cli_text(t->s->cli, "json");
    char costs[WEFT_FIT_TEXT], why[256];
    weft_fit fit;
    weft_progress_end();
    weft_fit_costs(t->rows, t->cell_count, t->constants, &fit);
    weft_fit_text(&fit, costs);
    const int bad = weft_tune_price(t, costs);
    if (bad != 0) {
        return bad;
    }
    weft_tune_print(t, &fit, costs, weft_report_text(path));
    return weft_report_json(path, path != NULL ? weft_tune_json(t, &fit, costs) : NULL, why) == 0
               ? 0
               : weft_peer_fail(t->peer, WEFT_EXIT_USAGE, "%s", why);
}

static int body(weft_peer *peer, void *user)
{
    if (peer->size < 2) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE,
                              "a peer alone sends nothing: 2 peers at least");
    }
    weft_tune *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    }
    t->peer = peer;
    t->s = user;
    int bad = weft_tune_prepare(t);
    bad = bad != 0 ? bad : weft_tune_measure(t);
    if (bad == 0 && peer->rank == 0) {
        bad = tell(t);
    }
    weft_tune_release(t);
    free(t);
    return bad;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* What can be known of the algorithms without peers. */
static int check_algos(const weft_cli *cli, const weft_launch *launch, const weft_tune_settings *s)
{
    const int named = weft_cli_list_count(cli, "algo");
    if (named > WEFT_TUNE_ALGOS) {
        return weft_cli_refuse(cli, "%d algorithms: at most %d can be measured", named,
                               (int)WEFT_TUNE_ALGOS);
    }
    for (int i = 0; i < named; i++) {
        const char *algo = weft_cli_list_get(cli, "algo", i);
        weft_candidate c = {.size = sizeof(c)};
        const weft_query q = {.size = sizeof(q),
                              .collective = "allreduce",
                              .algo = algo,
                              .peers = launch->peers,
                              .dtype = WEFT_F32,
                              .count = s->end / sizeof(float)};
        const int bad = weft_check_algo(cli, "--algo", "allreduce", algo);
        if (bad != 0) {
            return bad;
        }
        if (strlen(algo) >= WEFT_EXPLAIN_ALGO || strcmp(algo, "auto") == 0) {
            return weft_cli_refuse(cli, "--algo %.40s: expected the SPEC of one algorithm", algo);
        }
        if (launch->peers == 0 && strcspn(algo, ":") == strlen("hierarchical") &&
            strncmp(algo, "hierarchical", strlen("hierarchical")) == 0) {
            return weft_cli_refuse(cli,
                                   "--algo %s: its price depends on which peers share a host, "
                                   "which is known only with -n",
                                   algo);
        }
        const int code = launch->peers > 0 && s->topology == NULL ? weft_tune_ask(&q, &c) : WEFT_OK;
        if (code == WEFT_ENOTSUP) {
            return weft_cli_refuse(cli, "--algo %s: it %s", algo, c.why_not);
        }
        if (code != WEFT_OK) {
            return weft_cli_refuse(cli, "--algo: %s", weft_last_error()->message);
        }
    }
    return 0;
}

static int settle(const weft_cli *cli, const weft_launch *launch, weft_tune_settings *s)
{
    char why[256];
    *s = (weft_tune_settings){.cli = cli,
                              .begin = weft_cli_size(cli, "begin"),
                              .end = weft_cli_size(cli, "end"),
                              .factor = weft_cli_real(cli, "factor"),
                              .iters = weft_cli_whole(cli, "iters"),
                              .before = variable("WEFT_COSTS"),
                              .topology = variable("WEFT_TOPOLOGY")};
    if (s->begin > s->end) {
        return weft_cli_refuse(cli, "%s %zu is above %s %zu", weft_cli_name(cli, "begin"), s->begin,
                               weft_cli_name(cli, "end"), s->end);
    }
    if (launch->peers == 1) {
        return weft_cli_refuse(cli, "%s 1: a peer alone sends nothing: 2 peers at least",
                               weft_cli_name(cli, "peers"));
    }
    if (weft_report_check(weft_cli_text(cli, "json"), why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    return check_algos(cli, launch, s);
}

static int run(const weft_cli *cli)
{
    weft_launch launch;
    weft_tune_settings settings;
    int bad = weft_launch_from(cli, &launch);
    bad = bad != 0 ? bad : settle(cli, &launch, &settings);
    return bad != 0 ? bad : weft_launch_run(&launch, body, &settings);
}

const weft_command weft_bench_tune = {
    .name = "bench tune",
    .summary = "the constants that algorithms are chosen by, from what is measured here",
    .usage = "[-n N] [OPTIONS]",
    .about =
        "Allreduces of float32 by several algorithms and sizes, all of them once in every round;\n"
        "then the constants of the cost table whose prices are least off, by least squares of\n"
        "relative errors. Prints prices beside times, what auto would choose by the old constants\n"
        "(WEFT_COSTS, else built in) and by the new ones, and on the last line what to pass as\n"
        "WEFT_COSTS. Nothing changes by itself: the constants hold where every peer is given "
        "them.\n",
    .example = "weft bench tune -n 4 --link ipc",
    .options = options,
    .computes = true,
    .run = run};
