/* SPDX-License-Identifier: Apache-2.0 */
/* weft bench: the table of nccl-tests for weft's collectives. */
#include <string.h>

#include <weft/codec.h>

#include "bench_parts.h"
#include "bench_print.h"
#include "cli.h"
#include "coding_words.h"
#include "peers.h"
#include "rehearse.h"
#include "report.h"
#include "type_words.h"

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
    WEFT_CODING_OPTIONS,
    {.name = "dtype", .letter = 'd', .kind = WEFT_CLI_TEXT, .metavar = "T", .value = "float32",
     .choices = WEFT_DTYPE_CHOICES, .help = "element type"},
    {.name = "op", .letter = 'o', .kind = WEFT_CLI_TEXT, .metavar = "O", .value = "sum",
     .choices = WEFT_OP_CHOICES, .help = "reduction"},
    {.name = "root", .letter = 'r', .kind = WEFT_CLI_WHOLE, .metavar = "RANK", .value = "0",
     .min = 0, .max = 65534, .help = "root, of collectives that have one"},
    {.name = "at-once", .kind = WEFT_CLI_WHOLE, .metavar = "K", .value = "1", .min = 1, .max = 1024,
     .help = "operations started together on buffers of their own; the last is waited for first"},
    {.name = "regions", .kind = WEFT_CLI_FLAG,
     .help = "algorithm oktopk: keep its regions from one iteration to the next"},
    {.name = "inplace", .kind = WEFT_CLI_FLAG, .help = "measure in place too"},
    {.name = "rss", .kind = WEFT_CLI_FLAG,
     .help = "tell how far memory grew past the group and the buffers"},
    WEFT_REPORT_OPTIONS,
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

static const weft_command *const parts[] = {&weft_bench_matrix, &weft_bench_tune, NULL};

static int body(weft_peer *peer, void *user)
{
    const weft_bench_settings *s = user;
    weft_bench_peer b = {.peer = peer, .s = s};
    weft_bench_output out = {.text = weft_report_text(weft_cli_text(s->cli, "json"))};
    const bool first = peer->rank == 0;
    if (s->root >= peer->size) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "root %d is not among %d peers", s->root,
                              peer->size);
    }
    int status = weft_bench_prepare(&b);
    if (first) {
        out.rows = json_array();
        weft_bench_print_head(s, peer, out.text);
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
                    weft_bench_print_row(s, &row, peer->size, &out);
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
        status = status != 0 ? status : weft_bench_print_end(peer, s, &out);
        json_decref(out.rows);
    }
    weft_bench_release(&b);
    return status != 0 ? status : out.wrong != 0 ? WEFT_EXIT_WRONG : WEFT_EXIT_DONE;
}

/* Look at the codec: is it lossy, does it have a variance bound? Algorithms that bring one of their
 * own have a lossy one. */
static int check_codec(const weft_cli *cli, weft_bench_settings *s)
{
    weft_codec *codec = NULL;
    double omega = 0.0;
    if (s->codec == NULL) {
        static const char *const own[] = {"vote", "gtopk_", "topk_", "oktopk"};
        const char *algo = s->coding.algo;
        for (size_t i = 0; algo != NULL && i < sizeof(own) / sizeof(own[0]); i++) {
            s->lossy = s->lossy || strncmp(algo, own[i], strlen(own[i])) == 0;
        }
        s->codec = "raw";
        return 0;
    }
    if (weft_codec_open(&codec, s->codec) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    s->unbiased = weft_codec_is_unbiased(codec) != 0;
    s->lossy = weft_codec_omega(codec, 1 << 20, &omega) != WEFT_OK || omega > 0.0;
    weft_codec_close(&codec);
    if (s->lossy && strcmp(s->kind->name, "allreduce") != 0) {
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
    const weft_kind *kind = weft_kind_find(word);
    char why[256];
    if (kind == NULL && weft_cli_part(&weft_cmd_bench, word) != NULL) {
        return weft_cli_refuse(cli, "%s stands before all options: weft bench %s [OPTIONS]", word,
                               word);
    }
    if (kind == NULL) {
        return weft_kind_refuse(cli, word);
    }
    *s = (weft_bench_settings){.cli = cli,
                               .kind = kind,
                               .root = (int)weft_cli_whole(cli, "root"),
                               .codec = weft_cli_text(cli, "codec"),
                               .begin = weft_cli_size(cli, "begin"),
                               .end = weft_cli_size(cli, "end"),
                               .factor = weft_cli_real(cli, "factor"),
                               .iters = weft_cli_whole(cli, "iters"),
                               .warmup = weft_cli_whole(cli, "warmup"),
                               .at_once = (size_t)weft_cli_whole(cli, "at-once"),
                               .inplace = weft_cli_flag(cli, "inplace"),
                               .rss = weft_cli_flag(cli, "rss"),
                               .regions = weft_cli_flag(cli, "regions")};
    s->coding.size = sizeof(s->coding);
    weft_coding_words(cli, &s->coding);
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
    if (kind->empty) {
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
    if (s->regions && (s->coding.algo == NULL || strncmp(s->coding.algo, "oktopk", 6) != 0)) {
        return weft_cli_refuse(cli, "--regions goes with %s oktopk", weft_cli_name(cli, "algo"));
    }
    if (s->inplace && (kind->one_buffer || kind->empty)) {
        return weft_cli_refuse(cli, "--inplace: %s has no other way", word);
    }
    if (s->inplace && kind->to_next) {
        return weft_cli_refuse(cli, "--inplace: %s sends and receives at a time", word);
    }
    if (s->inplace && kind->in_blocks && kind->out_blocks && kind->lengths) {
        return weft_cli_refuse(cli, "--inplace: %s does not go in place", word);
    }
    if (s->rss && strcmp(launch->link, "mem") == 0) {
        return weft_cli_refuse(cli, "--rss needs a process a peer: --link tcp or ipc");
    }
    if (launch->peers > 0 && s->root >= launch->peers) {
        return weft_cli_refuse(cli, "%s %d is not among %d peers", weft_cli_name(cli, "root"),
                               s->root, launch->peers);
    }
    if (weft_cli_given(cli, "op") && !kind->reduces) {
        return weft_cli_refuse(cli, "%s: %s reduces nothing", weft_cli_name(cli, "op"), word);
    }
    if (weft_cli_given(cli, "root") && !weft_kind_rooted(kind)) {
        return weft_cli_refuse(cli, "%s: %s has no root", weft_cli_name(cli, "root"), word);
    }
    if (weft_report_check(weft_cli_text(cli, "json"), why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    int bad = check_codec(cli, s);
    bad = bad != 0 ? bad : weft_check_algo(cli, "--algo", kind->family, s->coding.algo);
    return bad != 0 ? bad : weft_rehearse_call(cli, kind, s->dtype, s->op, &s->coding);
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
    .parts = parts,
    .about =
        "COLLECTIVE is allreduce, reduce, broadcast, allgather, gather, scatter, reduce_scatter,\n"
        "alltoall, barrier or sendrecv (each rank sends to the next, and receives from the one\n"
        "before); or allgatherv, gatherv, scatterv, reduce_scatterv or alltoallv, whose blocks\n"
        "have 1, 2, 3 and no shares of the size in turn (rank r's: (r + 1) mod 4 shares; of\n"
        "alltoallv from rank o to rank d: (o + d + 1) mod 4). The size is that of all blocks\n"
        "together, count the elements of the longest. algbw is size / time, busbw what a link\n"
        "carries for it: algbw times 2(n-1)/n for allreduce, (n-1)/n where there are blocks, else\n"
        "1. With --at-once K size and count are one operation's; time, bandwidth and bytes sent\n"
        "are of all K. Every result is checked; with a lossy codec: equal on all peers, the sum\n"
        "of the decoded contributions, and within the codec's bound. ratio: payload of a dense\n"
        "ring / payload sent.\n\n"
        "weft bench matrix measures latency and rate between every two peers, weft bench tune the\n"
        "constants that algorithms are chosen by; each has --help.\n",
    .example = "weft bench allreduce -n 4 -b 4K -e 64M -f 4 --codec qsgd:levels=7,bucket=512",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .computes = true,
    .run = run};
