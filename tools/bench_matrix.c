/* SPDX-License-Identifier: Apache-2.0 */
/* weft bench matrix: latency and rate from every peer to every other, as a table and as the file of
 * links that WEFT_ORDER and weft topo sim read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>
#include <weft/info.h>

#include "bench_parts.h"
#include "outfile.h"
#include "pair_probe.h"
#include "peers.h"
#include "report.h"

enum { PEERS_MOST = 1024 }; /* of a file of links (weft/topology.h) */

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "size", .letter = 's', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "1M",
     .min = WEFT_PROBE_SMALL, .max = 0x1p30, .help = "of the messages whose rate is measured"},
    {.name = "iters", .letter = 'i', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "0",
     .min = 0, .max = 1e6,
     .help = "round trips, and long messages (16 at least); 0: for 0.05 and 0.1 s"},
    {.name = "out", .letter = 'o', .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "write the links for WEFT_ORDER and weft topo sim (- = stdout)"},
    WEFT_REPORT_OPTIONS,
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

typedef struct settings {
    const weft_cli *cli;
    size_t bytes;
    int64_t iters;
    const char *out, *json; /* NULL: not wanted */
} settings;

/* [from * size + to]; 0 on the diagonal and, until they are collected, where others measured. */
typedef struct matrix {
    int size;
    double *latency, *rate; /* seconds; bytes per second */
} matrix;

static double at(const matrix *m, const double *of, int from, int to)
{
    return of[(size_t)from * (size_t)m->size + (size_t)to];
}

static bool is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

/* All pairs, one after the other: who is in none waits in the barrier behind it, however long. */
static int measure(weft_peer *peer, const settings *s, matrix *m)
{
    const weft_coll_opts patient = {.size = sizeof(patient), .timeout_ms = WEFT_FOREVER};
    weft_probe probe = {.peer = peer, .bytes = s->bytes, .iters = s->iters};
    int bad = weft_probe_prepare(&probe);
    for (int i = 0; bad == 0 && i < m->size * m->size; i++) {
        const int from = i / m->size, to = i % m->size;
        if (from == to) {
            continue;
        }
        if (peer->rank == 0) {
            weft_progress("from rank %d to rank %d …", from, to);
        }
        if (weft_barrier(peer->group, &patient) != WEFT_OK) {
            bad = weft_peer_error(peer, "barrier before a pair");
        } else if (peer->rank == from || peer->rank == to) {
            bad = weft_probe_pair(&probe, from, to, &m->latency[i], &m->rate[i]);
        }
    }
    weft_probe_release(&probe);
    return bad;
}

static int collect(weft_peer *peer, matrix *m)
{
    const weft_coll_opts patient = {.size = sizeof(patient), .timeout_ms = WEFT_FOREVER};
    const size_t count = (size_t)m->size * (size_t)m->size;
    if (weft_allreduce(peer->group, m->latency, m->latency, count, WEFT_F64, WEFT_SUM, &patient) !=
            WEFT_OK ||
        weft_allreduce(peer->group, m->rate, m->rate, count, WEFT_F64, WEFT_SUM, NULL) != WEFT_OK) {
        return weft_peer_error(peer, "collecting the figures");
    }
    return 0;
}

/* Times scale, with digits behind the point. */
static void print_values(FILE *to, const matrix *m, const double *of, double scale, int digits)
{
    const char **heads = calloc((size_t)m->size + 2, sizeof(*heads));
    char(*names)[16] = calloc((size_t)m->size, sizeof(*names));
    weft_table *table = NULL;
    if (heads != NULL && names != NULL) {
        heads[0] = "from\\to";
        for (int i = 0; i < m->size; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "%d", i);
            heads[i + 1] = names[i];
        }
        table = weft_table_new(heads);
    }
    for (int from = 0; from < m->size; from++) {
        weft_table_cell(table, "%d", from);
        for (int i = 0; i < m->size; i++) {
            if (i == from) {
                weft_table_cell(table, "-");
            } else {
                weft_table_cell(table, "%.*f", digits, at(m, of, from, i) * scale);
            }
        }
    }
    if (table == NULL) {
        (void)fprintf(stderr, "weft bench matrix: out of memory for the table\n");
    }
    weft_table_print(table, to);
    weft_table_free(table);
    free(heads);
    free(names);
}

static void print(FILE *to, const weft_peer *peer, const settings *s, const matrix *m)
{
    (void)fprintf(to, "# weft %s: links between %d peers, link %s\n", weft_version(), m->size,
                  peer->launch->link);
    (void)fprintf(to, "# one pair after the other, the other peers wait meanwhile\n");
    (void)fprintf(to,
                  "# latency in us, from the row's rank to the column's: half a round trip of "
                  "%d bytes, median\n",
                  (int)WEFT_PROBE_SMALL);
    print_values(to, m, m->latency, 1e6, 1);
    (void)fprintf(to, "# rate in MB/s, the same way: a stream of messages of %zu bytes\n",
                  s->bytes);
    print_values(to, m, m->rate, 1e-6, 1);
}

/* The form is told in weft/topology.h. */
static void write_links(FILE *to, const weft_peer *peer, const settings *s, const matrix *m)
{
    (void)fprintf(to,
                  "# weft %s bench matrix, link %s, messages of %zu bytes\n"
                  "# from to rate latency\npeers %d\n",
                  weft_version(), peer->launch->link, s->bytes, m->size);
    for (int from = 0; from < m->size; from++) {
        for (int i = 0; i < m->size; i++) {
            if (i != from) {
                (void)fprintf(to, "%d %d %.6gmbit %.6gus\n", from, i,
                              at(m, m->rate, from, i) * 8e-6, at(m, m->latency, from, i) * 1e6);
            }
        }
    }
}

static int save_links(weft_peer *peer, const settings *s, const matrix *m)
{
    weft_outfile *file = NULL;
    int error = 0;
    if (is_stdout(s->out)) {
        write_links(stdout, peer, s, m);
        error = fflush(stdout) == 0 ? 0 : EIO;
    } else if (s->out != NULL) {
        error = weft_outfile_open(&file, s->out);
        if (error == 0) {
            write_links(weft_outfile_stream(file), peer, s, m);
            error = weft_outfile_commit(&file);
        }
    }
    return error == 0 ? 0
                      : weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s: %s", s->out, strerror(error));
}

static int save_json(weft_peer *peer, const settings *s, const matrix *m)
{
    json_t *links = json_array();
    char why[256];
    for (int i = 0; i < m->size * m->size; i++) {
        const int from = i / m->size, to = i % m->size;
        if (from != to) {
            (void)json_array_append_new(links,
                                        json_pack("{s:i, s:i, s:f, s:f}", "from", from, "to", to,
                                                  "latency_us", at(m, m->latency, from, to) * 1e6,
                                                  "rate_mbs", at(m, m->rate, from, to) * 1e-6));
        }
    }
    json_t *root =
        json_pack("{s:s, s:s, s:i, s:s, s:i, s:I, s:o}", "weft", weft_version(), "build",
                  weft_build_info(), "peers", m->size, "link", peer->launch->link, "small",
                  (int)WEFT_PROBE_SMALL, "size", (json_int_t)s->bytes, "links", links);
    return weft_report_json(s->json, root, why) == 0
               ? 0
               : weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
}

static int body(weft_peer *peer, void *user)
{
    const settings *s = user;
    matrix m = {.size = peer->size};
    if (m.size < 2 || m.size > PEERS_MOST) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%d peers: links are between 2 … %d", m.size,
                              (int)PEERS_MOST);
    }
    const size_t count = (size_t)m.size * (size_t)m.size;
    m.latency = calloc(count, sizeof(*m.latency));
    m.rate = calloc(count, sizeof(*m.rate));
    if (m.latency == NULL || m.rate == NULL) {
        free(m.latency);
        free(m.rate);
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "no memory for %zu links", count);
    }
    int bad = measure(peer, s, &m);
    bad = bad != 0 ? bad : collect(peer, &m);
    if (peer->rank == 0) {
        weft_progress_end();
        if (bad == 0) {
            print(is_stdout(s->out) ? stderr : weft_report_text(s->json), peer, s, &m);
            bad = save_links(peer, s, &m);
            bad = bad != 0 ? bad : save_json(peer, s, &m);
        }
    }
    free(m.latency);
    free(m.rate);
    return bad;
}

static int run(const weft_cli *cli)
{
    weft_launch launch;
    settings s = {.cli = cli,
                  .bytes = weft_cli_size(cli, "size"),
                  .iters = weft_cli_whole(cli, "iters"),
                  .out = weft_cli_text(cli, "out"),
                  .json = weft_cli_text(cli, "json")};
    char why[256];
    const int bad = weft_launch_from(cli, &launch);
    if (bad != 0) {
        return bad;
    }
    if (launch.peers == 1) {
        return weft_cli_refuse(cli, "%s 1: links are between 2 peers at least",
                               weft_cli_name(cli, "peers"));
    }
    if (is_stdout(s.out) && is_stdout(s.json)) {
        return weft_cli_refuse(cli, "--json - and %s -: only one can have standard output",
                               weft_cli_name(cli, "out"));
    }
    const int error = s.out == NULL || is_stdout(s.out) ? 0 : weft_outfile_check(s.out);
    if (error != 0) {
        return weft_cli_refuse(cli, "%s %s: %s", weft_cli_name(cli, "out"), s.out, strerror(error));
    }
    if (weft_report_check(s.json, why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    return weft_launch_run(&launch, body, &s);
}

const weft_command weft_bench_matrix = {
    .name = "bench matrix",
    .summary = "latency and rate from every peer to every other",
    .usage = "[-n N] [OPTIONS]",
    .about =
        "One pair after the other sends messages with weft_send and weft_recv, the other peers\n"
        "wait: so pairs do not disturb each other, and what links share does not show. Times hold\n"
        "weft's own work at both ends. --out writes what WEFT_ORDER=links:path=FILE and\n"
        "weft topo sim --links FILE read.\n",
    .example = "weft bench matrix -n 4 --out links.txt",
    .options = options,
    .computes = true,
    .run = run};
