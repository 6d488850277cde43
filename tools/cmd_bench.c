/* SPDX-License-Identifier: Apache-2.0 */
/* weft bench: the table of nccl-tests for weft's collectives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/codec.h>
#include <weft/info.h>

#include "bench_case.h"
#include "cli.h"
#include "peers.h"
#include "rehearse.h"
#include "report.h"
#include "type_words.h"

static const char *const kind_names[] = {"allreduce", "allgather", "reduce_scatter",
                                         "broadcast", "barrier",   NULL};

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "begin", .letter = 'b', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "1K",
     .min = 0, .max = 0x1p40, .help = "smallest size"},
    {.name = "end", .letter = 'e', .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "4M",
     .min = 0, .max = 0x1p40, .help = "largest size; the smallest if only that is given"},
    {.name = "factor", .letter = 'f', .kind = WEFT_CLI_REAL, .metavar = "X", .value = "4",
     .min = 1.001, .max = 1e6, .help = "each size is so many times the one before"},
    {.name = "iters", .letter = 'i', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "0",
     .min = 0, .max = 1e6, .help = "timed iterations; 0: at least 5, until 0.3 s are measured"},
    {.name = "warmup", .letter = 'w', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "2",
     .min = 0, .max = 1e6, .help = "iterations before them"},
    {.name = "codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC", .value = "raw",
     .help = "how contributions are encoded"},
    {.name = "algo", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "algorithm; else WEFT_ALGO, else auto"},
    {.name = "fidelity", .kind = WEFT_CLI_TEXT, .metavar = "F", .value = "exact",
     .choices = "exact", .help = "every contribution is encoded once"},
    {.name = "dtype", .letter = 'd', .kind = WEFT_CLI_TEXT, .metavar = "T", .value = "float32",
     .choices = WEFT_DTYPE_CHOICES, .help = "element type"},
    {.name = "op", .letter = 'o', .kind = WEFT_CLI_TEXT, .metavar = "O", .value = "sum",
     .choices = WEFT_OP_CHOICES, .help = "reduction"},
    {.name = "root", .letter = 'r', .kind = WEFT_CLI_WHOLE, .metavar = "RANK", .value = "0",
     .min = 0, .max = 65534, .help = "root of broadcast"},
    {.name = "inplace", .kind = WEFT_CLI_FLAG, .help = "measure in place too"},
    {.name = "rss", .kind = WEFT_CLI_FLAG,
     .help = "tell how far memory grew past the group and the buffers"},
    WEFT_REPORT_OPTIONS,
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

/* The running output of rank 0. */
typedef struct bench_output {
    FILE *text;
    json_t *rows;
    double busbw_sum;
    int busbw_count;
    uint64_t wrong;
} bench_output;

static bool has_vector(const weft_bench_settings *s)
{
    return s->kind != WEFT_BENCH_BARRIER;
}

static bool reduces(const weft_bench_settings *s)
{
    return s->kind == WEFT_BENCH_ALLREDUCE || s->kind == WEFT_BENCH_REDUCE_SCATTER;
}

static void print_head(const weft_bench_settings *s, const weft_peer *peer, FILE *to)
{
    (void)fprintf(to, "# weft %s: %s, %d peer%s, link %s, codec %s, algorithm %s\n", weft_version(),
                  s->kind_name, peer->size, peer->size == 1 ? "" : "s", peer->launch->link,
                  s->codec, s->algo != NULL ? s->algo : "auto");
    (void)fprintf(to, "# time: median over the iterations of the slowest peer's\n");
    if (s->inplace) {
        (void)fprintf(to, "#%46s| %-44s | %s\n", "", "out-of-place", "in-place");
    }
    (void)fprintf(to, "#%11s %11s %8s %6s %5s | %10s %10s %7s %7s %6s", "size", "count", "type",
                  "redop", "root", "time", "p99", "algbw", "busbw", "#wrong");
    if (s->inplace) {
        (void)fprintf(to, " | %10s %10s %7s %7s %6s", "time", "p99", "algbw", "busbw", "#wrong");
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11s %7s", "sent/peer", "ratio");
    }
    if (s->rss) {
        (void)fprintf(to, " | %8s", "memory");
    }
    (void)fprintf(to, " | algorithm\n");
    (void)fprintf(to, "#%11s %11s %8s %6s %5s | %10s %10s %7s %7s %6s", "(B)", "(elements)", "", "",
                  "", "(us)", "(us)", "(GB/s)", "(GB/s)", "");
    if (s->inplace) {
        (void)fprintf(to, " | %10s %10s %7s %7s %6s", "(us)", "(us)", "(GB/s)", "(GB/s)", "");
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11s %7s", "(B)", "(dense)");
    }
    if (s->rss) {
        (void)fprintf(to, " | %8s", "(MiB)");
    }
    (void)fprintf(to, " |\n");
    (void)fflush(to);
}

/* GB/s of the size; 0 when there is no size or no time. */
static double algbw(const weft_bench_row *row, const weft_bench_timing *t)
{
    return t->median > 0.0 ? (double)row->bytes / t->median * 1e-9 : 0.0;
}

static void print_timing(FILE *to, const weft_bench_settings *s, const weft_bench_row *row,
                         const weft_bench_timing *t, int peers)
{
    const double alg = algbw(row, t);
    (void)fprintf(to, " | %10.2f %10.2f %7.3f %7.3f %6llu", t->median * 1e6, t->p99 * 1e6, alg,
                  alg * weft_bench_bus_factor(s->kind, peers), (unsigned long long)t->wrong);
}

/* Payload of a dense ring over what a peer sent; 0 when nothing was sent. */
static double dense_ratio(const weft_bench_settings *s, const weft_bench_row *row, int peers)
{
    return row->body_mean > 0.0
               ? weft_bench_bus_factor(s->kind, peers) * (double)row->bytes / row->body_mean
               : 0.0;
}

static void print_row(const weft_bench_settings *s, const weft_bench_row *row, int peers, FILE *to)
{
    char root[16] = "-1"; /* as nccl-tests says: none */
    if (s->kind == WEFT_BENCH_BROADCAST) {
        (void)snprintf(root, sizeof(root), "%d", s->root);
    }
    weft_progress_end();
    (void)fprintf(to, "%12zu %11zu %8s %6s %5s", row->bytes, row->count,
                  has_vector(s) ? weft_dtype_name(s->dtype) : "none",
                  reduces(s) ? weft_op_name(s->op) : "none", root);
    print_timing(to, s, row, &row->out_of_place, peers);
    if (s->inplace) {
        print_timing(to, s, row, &row->in_place, peers);
    }
    if (s->lossy) {
        (void)fprintf(to, " | %11.0f %7.2f", row->body_mean, dense_ratio(s, row, peers));
    }
    if (s->rss) {
        (void)fprintf(to, " | %8.1f", (double)row->rss_growth * 0x1p-20);
    }
    (void)fprintf(to, " | %s\n", row->receipt.algo);
    (void)fflush(to);
}

static json_t *timing_json(const weft_bench_settings *s, const weft_bench_row *row,
                           const weft_bench_timing *t, int peers)
{
    const double alg = algbw(row, t);
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "iters", (json_int_t)t->iters,
                     "p50_us", t->median * 1e6, "p99_us", t->p99 * 1e6, "min_us", t->least * 1e6,
                     "mean_us", t->mean * 1e6, "algbw_gbs", alg, "busbw_gbs",
                     alg * weft_bench_bus_factor(s->kind, peers), "wrong", (json_int_t)t->wrong);
}

static json_t *row_json(const weft_bench_settings *s, const weft_bench_row *row, int peers)
{
    json_t *ret = json_pack(
        "{s:I, s:I, s:s, s:I, s:f, s:f, s:I, s:f, s:o}", "size", (json_int_t)row->bytes, "count",
        (json_int_t)row->count, "algo", row->receipt.algo, "lanes", (json_int_t)row->receipt.lanes,
        "encoded_bytes", row->encoded_mean, "body_bytes_sent", row->body_mean,
        "body_bytes_sent_max", (json_int_t)row->body_max, "wire_bytes_sent", row->wire_mean,
        "out_of_place", timing_json(s, row, &row->out_of_place, peers));
    if (has_vector(s)) {
        (void)json_object_set_new(ret, "dense_ratio", json_real(dense_ratio(s, row, peers)));
    }
    if (s->inplace) {
        (void)json_object_set_new(ret, "in_place", timing_json(s, row, &row->in_place, peers));
    }
    if (s->rss) {
        (void)json_object_set_new(ret, "peak_rss_growth_bytes",
                                  json_integer((json_int_t)row->rss_growth));
    }
    return ret;
}

static void take_row(const weft_bench_settings *s, const weft_bench_row *row, int peers,
                     bench_output *out)
{
    const double factor = weft_bench_bus_factor(s->kind, peers);
    print_row(s, row, peers, out->text);
    (void)json_array_append_new(out->rows, row_json(s, row, peers));
    out->busbw_sum += algbw(row, &row->out_of_place) * factor;
    out->busbw_count++;
    if (s->inplace) {
        out->busbw_sum += algbw(row, &row->in_place) * factor;
        out->busbw_count++;
    }
}

/* The closing lines and the JSON, on rank 0. */
static int finish(weft_peer *peer, const weft_bench_settings *s, bench_output *out)
{
    const double busbw = out->busbw_count > 0 ? out->busbw_sum / out->busbw_count : 0.0;
    char why[256];
    (void)fprintf(out->text, "# wrong elements       : %llu %s\n", (unsigned long long)out->wrong,
                  out->wrong == 0 ? "OK" : "FAILED");
    if (has_vector(s)) {
        (void)fprintf(out->text, "# average bus bandwidth: %.3f GB/s\n", busbw);
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:s, s:s, s:o, s:I, s:f}", "weft", weft_version(),
        "build", weft_build_info(), "collective", s->kind_name, "peers", peer->size, "link",
        peer->launch->link, "dtype", weft_dtype_name(s->dtype), "op", weft_op_name(s->op), "root",
        s->root, "codec", s->codec, "algo", s->algo != NULL ? s->algo : "auto", "rows",
        json_incref(out->rows), "wrong", (json_int_t)out->wrong, "busbw_mean_gbs", busbw);
    if (weft_report_json(weft_cli_text(s->cli, "json"), root, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}

static int body(weft_peer *peer, void *user)
{
    const weft_bench_settings *s = user;
    weft_bench_peer b = {.peer = peer, .s = s};
    bench_output out = {.text = weft_report_text(weft_cli_text(s->cli, "json"))};
    const bool first = peer->rank == 0;
    if (s->root >= peer->size) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "root %d is not among %d peers", s->root,
                              peer->size);
    }
    int status = weft_bench_prepare(&b);
    if (first) {
        out.rows = json_array();
        print_head(s, peer, out.text);
    }
    size_t last_count = SIZE_MAX;
    for (double bytes = (double)s->begin; status == 0 && bytes <= (double)s->end;
         bytes *= s->factor) {
        weft_bench_row row = {0};
        weft_bench_shape(s, peer->size, (size_t)bytes, &row);
        if (row.count != last_count) { /* sizes that are the same number of elements are one */
            status = weft_bench_measure(&b, &row);
            if (status == 0) {
                out.wrong += row.out_of_place.wrong + row.in_place.wrong;
                if (first) {
                    take_row(s, &row, peer->size, &out);
                }
            }
        }
        last_count = row.count;
        if (row.bytes == 0) {
            break; /* a barrier */
        }
        bytes = bytes < (double)row.bytes ? (double)row.bytes : bytes;
    }
    if (first) {
        weft_progress_end();
        status = status != 0 ? status : finish(peer, s, &out);
        json_decref(out.rows);
    }
    weft_bench_release(&b);
    return status != 0 ? status : out.wrong != 0 ? WEFT_EXIT_WRONG : WEFT_EXIT_DONE;
}

/* Look at the codec: is it lossy, does it have a variance bound? */
static int check_codec(const weft_cli *cli, weft_bench_settings *s)
{
    weft_codec *codec = NULL;
    double omega = 0.0;
    if (weft_codec_open(&codec, s->codec) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    s->unbiased = weft_codec_is_unbiased(codec) != 0;
    s->lossy = weft_codec_omega(codec, 1 << 20, &omega) != WEFT_OK || omega > 0.0;
    weft_codec_close(&codec);
    if (s->lossy && s->kind != WEFT_BENCH_ALLREDUCE) {
        return weft_cli_refuse(cli, "--codec %s goes with allreduce only", s->codec);
    }
    if (s->lossy && s->dtype != WEFT_F32) {
        return weft_cli_refuse(cli, "--codec %s encodes float32, not %s %s", s->codec,
                               weft_cli_name(cli, "dtype"), weft_dtype_name(s->dtype));
    }
    if (s->lossy && s->op != WEFT_SUM && s->op != WEFT_MEAN) {
        return weft_cli_refuse(cli, "--codec %s goes with %s sum and mean, not %s", s->codec,
                               weft_cli_name(cli, "op"), weft_op_name(s->op));
    }
    return 0;
}

static int settle(const weft_cli *cli, const weft_launch *launch, weft_bench_settings *s)
{
    const char *word = weft_cli_args(cli)[0];
    char why[256];
    int kind = 0;
    while (kind_names[kind] != NULL && strcmp(kind_names[kind], word) != 0) {
        kind++;
    }
    if (kind_names[kind] == NULL) {
        return weft_cli_refuse(cli, "unknown collective '%s'; nearest: %s", word,
                               weft_cli_nearest(word, kind_names));
    }
    *s = (weft_bench_settings){.cli = cli,
                               .kind = (weft_bench_kind)kind,
                               .kind_name = kind_names[kind],
                               .root = (int)weft_cli_whole(cli, "root"),
                               .codec = weft_cli_text(cli, "codec"),
                               .algo = weft_cli_text(cli, "algo"),
                               .begin = weft_cli_size(cli, "begin"),
                               .end = weft_cli_size(cli, "end"),
                               .factor = weft_cli_real(cli, "factor"),
                               .iters = weft_cli_whole(cli, "iters"),
                               .warmup = weft_cli_whole(cli, "warmup"),
                               .inplace = weft_cli_flag(cli, "inplace"),
                               .rss = weft_cli_flag(cli, "rss")};
    if (weft_dtype_parse(weft_cli_text(cli, "dtype"), &s->dtype) != WEFT_OK ||
        weft_op_parse(weft_cli_text(cli, "op"), &s->op) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    if (weft_cli_given(cli, "begin") && !weft_cli_given(cli, "end")) {
        s->end = s->begin;
    }
    if (s->begin > s->end && !weft_cli_given(cli, "begin")) {
        s->begin = s->end;
    }
    if (!has_vector(s)) {
        if (weft_cli_given(cli, "begin") || weft_cli_given(cli, "end")) {
            return weft_cli_refuse(
                cli, "a barrier has no size: %s does not go with it",
                weft_cli_name(cli, weft_cli_given(cli, "begin") ? "begin" : "end"));
        }
        s->begin = s->end = 0;
    }
    if (s->begin > s->end) {
        return weft_cli_refuse(cli, "%s %zu is above %s %zu", weft_cli_name(cli, "begin"), s->begin,
                               weft_cli_name(cli, "end"), s->end);
    }
    if (s->inplace && (s->kind == WEFT_BENCH_BROADCAST || !has_vector(s))) {
        return weft_cli_refuse(cli, "--inplace: %s has no other way", word);
    }
    if (s->rss && strcmp(launch->link, "mem") == 0) {
        return weft_cli_refuse(cli, "--rss needs a process a peer: --link tcp or ipc");
    }
    if (launch->peers > 0 && s->root >= launch->peers) {
        return weft_cli_refuse(cli, "%s %d is not among %d peers", weft_cli_name(cli, "root"),
                               s->root, launch->peers);
    }
    if (weft_cli_given(cli, "op") && !reduces(s)) {
        return weft_cli_refuse(cli, "%s: %s reduces nothing", weft_cli_name(cli, "op"), word);
    }
    if (weft_cli_given(cli, "root") && s->kind != WEFT_BENCH_BROADCAST) {
        return weft_cli_refuse(cli, "%s: %s has no root", weft_cli_name(cli, "root"), word);
    }
    if (weft_report_check(weft_cli_text(cli, "json"), why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    int bad = check_codec(cli, s);
    bad = bad != 0 ? bad : weft_check_algo(cli, "--algo", word, s->algo);
    return bad != 0 ? bad : weft_rehearse_call(cli, word, s->dtype, s->op, s->codec, s->algo);
}

static int run(const weft_cli *cli)
{
    weft_launch launch;
    weft_bench_settings settings;
    int bad = weft_launch_from(cli, &launch);
    bad = bad != 0 ? bad : settle(cli, &launch, &settings);
    return bad != 0 ? bad : weft_launch_run(&launch, body, &settings);
}

const weft_command weft_cmd_bench = {
    .name = "bench",
    .summary = "time and check a collective over a range of sizes",
    .usage = "COLLECTIVE [-n N] [OPTIONS]",
    .about = "COLLECTIVE is allreduce, allgather, reduce_scatter, broadcast or barrier. algbw is\n"
             "size / time, busbw what a link carries for it: algbw times 2(n-1)/n for allreduce,\n"
             "(n-1)/n for allgather and reduce_scatter, 1 for broadcast. Every result is checked;\n"
             "with a lossy codec: equal on all peers, the sum of the decoded contributions, and\n"
             "within the codec's bound. ratio: payload of a dense ring / payload sent.\n",
    .example = "weft bench allreduce -n 4 -b 4K -e 64M -f 4 --codec qsgd:levels=7,bucket=512",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .computes = true,
    .run = run};
