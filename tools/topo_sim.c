/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo sim: an operation in virtual time over a network that is described. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outfile.h"
#include "report.h"
#include "topo.h"
#include "topo_net.h"

enum { SIZES_MOST = 64 };

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "collective", .letter = 'c', .kind = WEFT_CLI_TEXT, .metavar = "C",
     .value = "allreduce", .help = "what the algorithms are of"},
    WEFT_TOPO_PEERS_OPTION("8"),
    {.name = "bytes", .letter = 'b', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "1M",
     .min = 0, .max = 0x1p40, .help = "size as weft bench counts it: of all blocks together"},
    {.name = "sweep", .kind = WEFT_CLI_TEXT, .metavar = "FROM:TO",
     .help = "all sizes between, instead of --bytes"},
    {.name = "factor", .letter = 'f', .kind = WEFT_CLI_REAL, .metavar = "X", .value = "4",
     .min = 1.001, .max = 1e6, .help = "of a sweep: each size is so many times the one before"},
    WEFT_TOPO_NET_OPTIONS,
    WEFT_TOPO_QUERY_OPTIONS,
    {.name = "csv", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "write the figures as CSV (- = stdout, the text then goes to stderr)"},
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

/* One simulation. */
typedef struct sim_row {
    const char *asked;
    size_t bytes;
    uint64_t count;
    weft_simulated s;
    double algbw, busbw, share; /* bytes per second; of the bound */
    double *finish;             /* per peer, seconds */
} sim_row;

typedef struct sim_job {
    const weft_cli *cli;
    weft_query q;
    const weft_topo_net *net;
    size_t sizes[SIZES_MOST];
    int size_count;
    sim_row *rows;
    int row_count;
} sim_job;

/* "1K:64M" */
static bool read_sweep(const weft_cli *cli, sim_job *job)
{
    const char *text = weft_cli_text(cli, "sweep");
    const double factor = weft_cli_real(cli, "factor");
    char from_text[32];
    size_t from = 0, to = 0;
    if (text == NULL) {
        job->sizes[job->size_count++] = weft_cli_size(cli, "bytes");
        return true;
    }
    if (weft_cli_given(cli, "bytes")) {
        (void)weft_cli_refuse(cli, "--sweep and %s do not go together",
                              weft_cli_name(cli, "bytes"));
        return false;
    }
    const size_t len = strcspn(text, ":");
    (void)snprintf(from_text, sizeof(from_text), "%.*s", (int)len, text);
    if (text[len] != ':' || !weft_cli_read_size(from_text, 1, 0x1p40, &from) ||
        !weft_cli_read_size(text + len + 1, (double)from, 0x1p40, &to)) {
        (void)weft_cli_refuse(cli, "--sweep '%s': not FROM:TO, like 1K:64M", text);
        return false;
    }
    double bytes = (double)from;
    while (bytes <= (double)to) {
        if (job->size_count == SIZES_MOST) {
            (void)weft_cli_refuse(cli, "--sweep %s with --factor %g is more than %d sizes", text,
                                  factor, SIZES_MOST);
            return false;
        }
        job->sizes[job->size_count++] = (size_t)bytes;
        bytes *= factor;
    }
    return true;
}

/* 0, or the exit status after telling. */
static int simulate(const sim_job *job, sim_row *row)
{
    weft_query q = job->q;
    q.algo = row->asked;
    q.count = row->count;
    row->s.size = sizeof(row->s);
    row->finish = calloc((size_t)q.peers, sizeof(*row->finish));
    if (row->finish == NULL) {
        return weft_cli_refuse(job->cli, "no memory for %d peers", q.peers);
    }
    weft_progress("%s, %zu bytes …", row->asked, row->bytes);
    const int rc = weft_simulate(&q, &job->net->n, NULL, NULL, row->finish, &row->s);
    weft_progress_end();
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(job->cli, "%s", weft_last_error()->message);
        return weft_exit_of(rc);
    }
    if (row->s.seconds > 0.0) {
        row->algbw = (double)row->bytes / row->s.seconds;
        row->busbw = row->algbw * weft_topo_bus_factor(q.collective, q.peers);
        row->share = job->net->n.rate > 0.0 ? row->busbw / job->net->n.rate : 0.0;
    }
    return 0;
}

static void print_rows(const sim_job *job, FILE *to)
{
    static const char *const heads[] = {
        "<algorithm", "size",      "lanes",   "time",     "algbw", "busbw", "of bound",
        "messages",   "sent/peer", "on wire", "<busiest", "used",  NULL};
    weft_table *table = weft_table_new(heads);
    for (int i = 0; i < job->row_count; i++) {
        const sim_row *r = &job->rows[i];
        char text[32];
        weft_table_cell(table, "%s", r->s.algo);
        weft_topo_bytes_text((double)r->bytes, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%llu", (unsigned long long)r->s.lanes);
        weft_topo_seconds_text(r->s.seconds, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%.4g", r->algbw * 1e-9);
        weft_table_cell(table, "%.4g", r->busbw * 1e-9);
        if (job->net->n.rate > 0.0) {
            weft_table_cell(table, "%.1f%%", r->share * 100.0);
        } else {
            weft_table_cell(table, "-");
        }
        weft_table_cell(table, "%llu", (unsigned long long)r->s.messages);
        weft_topo_bytes_text((double)r->s.body_most, text);
        weft_table_cell(table, "%s", text);
        weft_topo_bytes_text(r->s.wire_bytes, text);
        weft_table_cell(table, "%s", text);
        weft_table_cell(table, "%s", r->s.busiest[0] != '\0' ? r->s.busiest : "none");
        weft_table_cell(table, "%.1f%%", r->s.busiest_share * 100.0);
    }
    weft_table_print(table, to);
    weft_table_free(table);
    (void)fprintf(
        to,
        "# algbw, busbw in GB/s; bound: %.4g times the size over a peer's link; sent/peer "
        "is the most of any\n",
        weft_topo_bus_factor(job->q.collective, job->q.peers));
}

static json_t *row_json(const sim_job *job, const sim_row *r)
{
    json_t *finish = json_array();
    for (int i = 0; i < job->q.peers; i++) {
        (void)json_array_append_new(finish, json_real(r->finish[i]));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:f, s:s, "
                     "s:f, s:I, s:o}",
                     "asked", r->asked, "algo", r->s.algo, "bytes", (json_int_t)r->bytes, "count",
                     (json_int_t)r->count, "lanes", (json_int_t)r->s.lanes, "seconds", r->s.seconds,
                     "first_s", r->s.first_s, "algbw_gbs", r->algbw * 1e-9, "busbw_gbs",
                     r->busbw * 1e-9, "bound_share", r->share, "messages",
                     (json_int_t)r->s.messages, "body_bytes", (json_int_t)r->s.body_bytes,
                     "body_bytes_sent_max", (json_int_t)r->s.body_most, "wire_bytes",
                     r->s.wire_bytes, "busiest", r->s.busiest, "busiest_share", r->s.busiest_share,
                     "events", (json_int_t)r->s.events, "finish_s", finish);
}

static json_t *job_json(const sim_job *job)
{
    json_t *rows = json_array();
    for (int i = 0; i < job->row_count; i++) {
        (void)json_array_append_new(rows, row_json(job, &job->rows[i]));
    }
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s?, s:o, s:o}", "weft", weft_version(),
                     "collective", job->q.collective, "peers", job->q.peers, "dtype",
                     weft_dtype_name(job->q.dtype), "codec", weft_topo_codec(&job->q), "topology",
                     job->q.topology != NULL ? weft_topology_spec(job->q.topology) : NULL,
                     "network", weft_topo_net_json(job->net), "rows", rows);
}

/* SPECs hold commas. */
static void put_csv(const sim_job *job, FILE *to)
{
    (void)fprintf(to, "collective,algo,peers,bytes,count,lanes,seconds,first_s,algbw_gbs,busbw_gbs,"
                      "bound_share,messages,body_bytes,body_bytes_sent_max,wire_bytes,busiest,"
                      "busiest_share\n");
    for (int i = 0; i < job->row_count; i++) {
        const sim_row *r = &job->rows[i];
        (void)fprintf(to,
                      "%s,\"%s\",%d,%zu,%llu,%llu,%.17g,%.17g,%.17g,%.17g,%.17g,%llu,%llu,%llu,"
                      "%.17g,%s,%.17g\n",
                      job->q.collective, r->s.algo, job->q.peers, r->bytes,
                      (unsigned long long)r->count, (unsigned long long)r->s.lanes, r->s.seconds,
                      r->s.first_s, r->algbw * 1e-9, r->busbw * 1e-9, r->share,
                      (unsigned long long)r->s.messages, (unsigned long long)r->s.body_bytes,
                      (unsigned long long)r->s.body_most, r->s.wire_bytes, r->s.busiest,
                      r->s.busiest_share);
    }
}

static int write_csv(const sim_job *job, const char *path)
{
    weft_outfile *out = NULL;
    int error = 0;
    if (path == NULL) {
        return 0;
    }
    if (strcmp(path, "-") == 0) {
        put_csv(job, stdout);
        return 0;
    }
    error = weft_outfile_open(&out, path);
    if (error == 0) {
        put_csv(job, weft_outfile_stream(out));
        error = ferror(weft_outfile_stream(out)) != 0 ? EIO : weft_outfile_commit(&out);
    }
    weft_outfile_drop(&out);
    return error == 0 ? 0 : weft_cli_refuse(job->cli, "--csv %s: %s", path, strerror(error));
}

static int report(const sim_job *job)
{
    const char *json = weft_cli_text(job->cli, "json"), *csv = weft_cli_text(job->cli, "csv");
    FILE *to = json != NULL && strcmp(json, "-") == 0 ? stderr : weft_report_text(csv);
    const bool hosts = job->q.hosts != NULL;
    char why[256];
    (void)fprintf(to, "# weft %s, simulated: %s of %s, %d peers, codec %s\n", weft_version(),
                  job->q.collective, weft_dtype_name(job->q.dtype), job->q.peers,
                  weft_topo_codec(&job->q));
    weft_topo_net_print(job->net, hosts, to);
    print_rows(job, to);
    if (weft_report_json(json, job_json(job), why) != 0) {
        return weft_cli_refuse(job->cli, "%s", why);
    }
    return write_csv(job, csv);
}

static int simulate_all(sim_job *job)
{
    char *const *algos = weft_cli_args(job->cli);
    const int count = weft_cli_arg_count(job->cli);
    int status = 0;
    job->rows = calloc((size_t)count * (size_t)job->size_count + 1, sizeof(*job->rows));
    if (job->rows == NULL) {
        return weft_cli_refuse(job->cli, "no memory for %d simulations", count * job->size_count);
    }
    for (int s = 0; s < job->size_count; s++) {
        for (int a = 0; a < count && status == 0; a++) {
            sim_row *row = &job->rows[job->row_count++];
            row->asked = algos[a];
            row->count = weft_topo_count(&job->q, job->sizes[s], &row->bytes);
            status = simulate(job, row);
        }
    }
    return status != 0 ? status : report(job);
}

static int run(const weft_cli *cli)
{
    const char *collective = weft_cli_text(cli, "collective");
    const char *json = weft_cli_text(cli, "json"), *csv = weft_cli_text(cli, "csv");
    weft_topo_query t;
    weft_topo_net net;
    sim_job job = {.cli = cli};
    char why[256];
    if (json != NULL && csv != NULL && strcmp(json, "-") == 0 && strcmp(csv, "-") == 0) {
        return weft_cli_refuse(cli, "--json - and --csv - do not go together");
    }
    if (weft_report_check(json, why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    const int error = csv != NULL && strcmp(csv, "-") != 0 ? weft_outfile_check(csv) : 0;
    if (error != 0) {
        return weft_cli_refuse(cli, "--csv %s: %s", csv, strerror(error));
    }
    if (!weft_topo_collective(cli, collective) || !read_sweep(cli, &job) ||
        !weft_topo_query_read(cli, collective, &t)) {
        return WEFT_EXIT_USAGE;
    }
    if (!weft_topo_net_read(cli, &t, &net)) {
        weft_topo_query_free(&t);
        return WEFT_EXIT_USAGE;
    }
    job.q = t.q;
    job.net = &net;
    const int status = simulate_all(&job);
    for (int i = 0; i < job.row_count; i++) {
        free(job.rows[i].finish);
    }
    free(job.rows);
    weft_topo_net_free(&net);
    weft_topo_query_free(&t);
    return status;
}

const weft_command weft_topo_sim = {
    .name = "topo sim",
    .summary = "time, bytes and the busiest link over a network that you describe",
    .usage = "ALGO… [OPTIONS]",
    .about = "ALGO is an algorithm's SPEC, or auto; several are set side by side. Nothing is sent: "
             "one operation runs in\nvirtual time, with lanes, flow control and work as peers have "
             "them. docs/topologies.md tells the model.\n",
    .example = "weft topo sim ring doubling -n 8 --bytes 16M --link 1gbit,50us --slow 3:100mbit",
    .options = options,
    .args_min = 1,
    .args_max = -1,
    .run = run};
