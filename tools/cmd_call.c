/* SPDX-License-Identifier: Apache-2.0 */
/* weft call: one collective on files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_data.h"
#include "cli.h"
#include "coding_words.h"
#include "rankfile.h"
#include "rehearse.h"
#include "report.h"
#include "type_words.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "in", .kind = WEFT_CLI_TEXT, .metavar = "PATTERN",
     .help = "input files, %d is the rank: raw little-endian elements"},
    {.name = "out", .kind = WEFT_CLI_TEXT, .metavar = "PATTERN", .help = "result files"},
    {.name = "dtype", .kind = WEFT_CLI_TEXT, .metavar = "T", .value = "float32",
     .choices = WEFT_DTYPE_CHOICES, .help = "element type"},
    {.name = "op", .kind = WEFT_CLI_TEXT, .metavar = "O", .value = "sum",
     .choices = WEFT_OP_CHOICES, .help = "reduction"},
    {.name = "root", .kind = WEFT_CLI_WHOLE, .metavar = "RANK", .value = "0", .min = 0,
     .max = 65534, .help = "root, of collectives that have one"},
    {.name = "counts", .kind = WEFT_CLI_TEXT, .metavar = "N,N,…",
     .help = "elements of each rank's block, of scatterv, reduce_scatterv and alltoallv"},
    WEFT_CODING_OPTIONS,
    {.name = "residual-in", .kind = WEFT_CLI_TEXT, .metavar = "PATTERN",
     .help = "error feedback: added to the input"},
    {.name = "residual-out", .kind = WEFT_CLI_TEXT, .metavar = "PATTERN",
     .help = "error feedback: what encoding lost"},
    {.name = "own-out", .kind = WEFT_CLI_TEXT, .metavar = "PATTERN",
     .help = "decoded value of each rank's own contribution"},
    {.name = "sent", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "bytes sent and received by each rank, as JSON (- = stdout)"},
    {.name = "draw", .kind = WEFT_CLI_WHOLE, .metavar = "STEP", .value = "0", .min = 0,
     .max = 281474976710655.0, .help = "keys random numbers; 0: the operation's number"},
    {.name = "tensor", .kind = WEFT_CLI_WHOLE, .metavar = "T", .value = "0", .min = 0,
     .max = 65535, .help = "keys random numbers too"},
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

static int operate(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    weft_group_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    weft_coll_opts opts = {.size = sizeof(opts),
                           .own = d->own,
                           .residual = d->residual,
                           .draw = (uint64_t)weft_cli_whole(s->cli, "draw"),
                           .tensor = (uint32_t)weft_cli_whole(s->cli, "tensor"),
                           .receipt = &d->receipt};
    weft_coding_words(s->cli, &opts);
    const weft_kind_args args = {.in = d->in,
                                 .out = d->out,
                                 .count = d->count,
                                 .in_counts = d->in_counts,
                                 .out_counts = d->out_counts,
                                 .dtype = s->dtype,
                                 .op = s->op,
                                 .root = s->root,
                                 .opts = &opts};
    d->receipt = (weft_receipt){.size = sizeof(d->receipt)};
    (void)weft_group_get_stats(peer->group, &before);
    const int code = s->kind->call(peer->group, &args, NULL);
    if (code != WEFT_OK) {
        const int status = weft_peer_error(peer, s->kind->name);
        /* Peers that disagree all learn of it, and the next operation works: nobody leaves before
         * the slowest has heard. */
        if (code == WEFT_EMISMATCH) {
            (void)weft_barrier(peer->group, NULL);
        }
        return status;
    }
    (void)weft_group_get_stats(peer->group, &after);
    d->wire_received = after.wire_bytes_received - before.wire_bytes_received;
    return 0;
}

/* Gather what every rank sent; rank 0 writes it down. */
static int tell_sent(weft_peer *peer, const weft_call_settings *s, const weft_call_data *d)
{
    static const char *const names[] = {"encoded_bytes",
                                        "body_bytes_sent",
                                        "body_bytes_received",
                                        "wire_bytes_sent",
                                        "wire_bytes_received",
                                        "lanes",
                                        "total_ns",
                                        "encode_ns",
                                        "combine_ns",
                                        "decode_ns",
                                        "send_ns",
                                        "wait_ns"};
    enum { FIGURES = sizeof(names) / sizeof(names[0]) };
    const char *path = weft_cli_text(s->cli, "sent");
    const weft_receipt *r = &d->receipt;
    const uint64_t mine[FIGURES] = {r->encoded_bytes,   r->body_bytes_sent, r->body_bytes_received,
                                    r->wire_bytes_sent, d->wire_received,   r->lanes,
                                    r->total_ns,        r->encode_ns,       r->combine_ns,
                                    r->decode_ns,       r->send_ns,         r->wait_ns};
    if (path == NULL) {
        return 0;
    }
    uint64_t *all = calloc((size_t)peer->size, sizeof(mine));
    int status = WEFT_EXIT_WRONG;
    if (all == NULL) {
        return weft_peer_fail(peer, status, "out of memory");
    }
    if (weft_allgather(peer->group, mine, all, FIGURES, WEFT_U64, NULL) != WEFT_OK) {
        status = weft_peer_error(peer, "collecting the byte counts");
        goto out;
    }
    status = 0;
    if (peer->rank == 0) {
        char why[256];
        json_t *ranks = json_array();
        for (int i = 0; i < peer->size; i++) {
            const uint64_t *f = all + (size_t)i * FIGURES;
            json_t *one = json_pack("{s:i}", "rank", i);
            for (size_t k = 0; k < FIGURES; k++) {
                (void)json_object_set_new(one, names[k], json_integer((json_int_t)f[k]));
            }
            (void)json_array_append_new(ranks, one);
        }
        json_t *root = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "weft",
                                 weft_version(), "collective", s->kind->name, "peers", peer->size,
                                 "count", (json_int_t)d->count, "dtype", weft_dtype_name(s->dtype),
                                 "op", weft_op_name(s->op), "codec", weft_coding_codec(s->cli),
                                 "algo", r->algo, "fidelity", r->fidelity, "ranks", ranks);
        if (weft_report_json(path, root, why) != 0) {
            status = weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
        }
    }
out:
    free(all);
    return status;
}

static int body(weft_peer *peer, void *user)
{
    const weft_call_settings *s = user;
    weft_call_data d = {0};
    int status = 0;
    if (s->root >= peer->size) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "root %d is not among %d peers", s->root,
                              peer->size);
    }
    status = weft_call_load(peer, s, &d);
    status = status != 0 ? status : operate(peer, s, &d);
    status = status != 0 ? status : tell_sent(peer, s, &d);
    status = status != 0 ? status : weft_call_save(peer, s, &d);
    weft_call_release(&d);
    return status;
}

/* A pattern of files: how it is written. */
static int check_pattern(const weft_cli *cli, const char *option, bool for_each, int peers)
{
    const char *pattern = weft_cli_text(cli, option);
    if (pattern == NULL) {
        return 0;
    }
    if (!weft_pattern_valid(pattern)) {
        return weft_cli_refuse(cli, "--%s '%s': at most one %%d, and %%%% for a percent sign",
                               option, pattern);
    }
    if (for_each && peers != 1 && !weft_pattern_has_rank(pattern)) {
        return weft_cli_refuse(cli, "--%s '%s' names one file for all ranks; put %%d into it",
                               option, pattern);
    }
    return 0;
}

/* A file that a rank here will read. */
static int check_file(const weft_cli *cli, const char *option, int rank, size_t element,
                      size_t *ret_count)
{
    const char *pattern = weft_cli_text(cli, option);
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    if (!weft_pattern_name(pattern, rank, path)) {
        return weft_cli_refuse(cli, "--%s '%s' is too long", option, pattern);
    }
    if (weft_rankfile_count(path, element, ret_count, why) != 0) {
        return weft_cli_refuse(cli, "--%s, rank %d: %s", option, rank, why);
    }
    return 0;
}

static int check_files(const weft_cli *cli, const weft_launch *launch, const weft_call_settings *s)
{
    const int peers = launch->peers;
    const weft_kind *k = s->kind;
    size_t count = 0;
    int bad = check_pattern(cli, "in", false, peers);
    bad = bad != 0 ? bad : check_pattern(cli, "residual-in", false, peers);
    bad = bad != 0 ? bad : check_pattern(cli, "out", !k->out_of_root, peers);
    bad = bad != 0 ? bad : check_pattern(cli, "residual-out", true, peers);
    bad = bad != 0 ? bad : check_pattern(cli, "own-out", true, peers);
    for (int rank = 0; rank < peers && bad == 0; rank++) {
        if (s->in != NULL && weft_kind_has_in(k, rank, s->root)) {
            bad = check_file(cli, "in", rank, s->element, &count);
            if (bad == 0 && s->counts != NULL && weft_call_given(s, peers, rank) != count) {
                bad = weft_cli_refuse(cli,
                                      "--counts of rank %d's blocks sum up to %zu, its file "
                                      "has %zu elements",
                                      rank, weft_call_given(s, peers, rank), count);
            }
        }
        if (bad == 0 && s->residual_in != NULL) {
            bad = check_file(cli, "residual-in", rank, sizeof(float), &count);
        }
    }
    return bad;
}

/* --counts: numbers with commas between them. */
static int read_counts(const weft_cli *cli, const weft_launch *launch, weft_call_settings *s)
{
    const char *text = weft_cli_text(cli, "counts");
    const bool wanted = s->kind->lengths && s->kind->in_blocks;
    if (text == NULL || !wanted) {
        return text == NULL && wanted
                   ? weft_cli_refuse(cli, "%s needs --counts N,N,…", s->kind->name)
               : text != NULL
                   ? weft_cli_refuse(cli, "--counts: %s has no use for it", s->kind->name)
                   : 0;
    }
    s->counts = calloc(strlen(text) / 2 + 1, sizeof(*s->counts));
    if (s->counts == NULL) {
        return weft_cli_refuse(cli, "out of memory");
    }
    for (const char *at = text;; at++) {
        const size_t len = strcspn(at, ",");
        char word[24];
        int64_t number = 0;
        (void)snprintf(word, sizeof(word), "%.*s", (int)(len < 23 ? len : 23), at);
        if (!weft_cli_read_whole(word, 0, 0x1p40, &number)) {
            return weft_cli_refuse(cli, "--counts '%s': '%s' is not a whole number in 0 … 2^40",
                                   text, word);
        }
        s->counts[s->given++] = (size_t)number;
        at += len;
        if (*at == '\0') {
            break;
        }
    }
    const size_t peers = (size_t)launch->peers;
    if (peers > 0 && s->given != peers && (!s->kind->out_blocks || s->given != peers * peers)) {
        return weft_cli_refuse(cli, "--counts has %zu numbers for %zu peers%s", s->given, peers,
                               s->kind->out_blocks ? "; a row of them for each peer will do" : "");
    }
    return 0;
}

/* Options that do not go with the collective. */
static int check_options(const weft_cli *cli, const weft_launch *launch,
                         const weft_call_settings *s)
{
    const weft_kind *k = s->kind;
    if (!k->empty && s->in == NULL) {
        return weft_cli_refuse(cli, "%s needs --in PATTERN", k->name);
    }
    if (!k->empty && s->out == NULL && weft_cli_text(cli, "sent") == NULL) {
        return weft_cli_refuse(cli, "%s needs --out PATTERN (or --sent FILE, for its bytes alone)",
                               k->name);
    }
    if (k->empty && (s->in != NULL || s->out != NULL)) {
        return weft_cli_refuse(cli, "barrier takes no files");
    }
    if (strcmp(k->name, "allreduce") != 0 &&
        (s->residual_in != NULL || s->residual_out != NULL || s->own_out != NULL)) {
        return weft_cli_refuse(cli,
                               "--residual-in, --residual-out and --own-out go with allreduce");
    }
    if (launch->peers > 0 && s->root >= launch->peers) {
        return weft_cli_refuse(cli, "--root %d is not among %d peers", s->root, launch->peers);
    }
    if (weft_cli_given(cli, "op") && !k->reduces) {
        return weft_cli_refuse(cli, "--op: %s reduces nothing", k->name);
    }
    if (weft_cli_given(cli, "root") && !weft_kind_rooted(k)) {
        return weft_cli_refuse(cli, "--root: %s has no root", k->name);
    }
    return 0;
}

static int settle(const weft_cli *cli, const weft_launch *launch, weft_call_settings *s)
{
    const char *word = weft_cli_args(cli)[0];
    const weft_kind *kind = weft_kind_find(word);
    if (kind == NULL) {
        return weft_kind_refuse(cli, word);
    }
    *s = (weft_call_settings){.cli = cli,
                              .kind = kind,
                              .root = (int)weft_cli_whole(cli, "root"),
                              .in = weft_cli_text(cli, "in"),
                              .out = weft_cli_text(cli, "out"),
                              .residual_in = weft_cli_text(cli, "residual-in"),
                              .residual_out = weft_cli_text(cli, "residual-out"),
                              .own_out = weft_cli_text(cli, "own-out")};
    if (weft_dtype_parse(weft_cli_text(cli, "dtype"), &s->dtype) != WEFT_OK ||
        weft_op_parse(weft_cli_text(cli, "op"), &s->op) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    s->element = weft_dtype_bytes(s->dtype);
    weft_coll_opts coding = {.size = sizeof(coding)};
    weft_coding_words(cli, &coding);
    int bad = check_options(cli, launch, s);
    bad = bad != 0 ? bad : weft_check_algo(cli, "--algo", kind->family, coding.algo);
    bad = bad != 0 ? bad : weft_rehearse_call(cli, kind, s->dtype, s->op, &coding);
    bad = bad != 0 ? bad : read_counts(cli, launch, s);
    return bad != 0 ? bad : check_files(cli, launch, s);
}

static int run(const weft_cli *cli)
{
    weft_launch launch;
    weft_call_settings settings = {0};
    int bad = weft_launch_from(cli, &launch);
    bad = bad != 0 ? bad : settle(cli, &launch, &settings);
    bad = bad != 0 ? bad : weft_launch_run(&launch, body, &settings);
    free(settings.counts);
    return bad;
}

const weft_command weft_cmd_call = {
    .name = "call",
    .summary = "run one collective on files",
    .usage = "COLLECTIVE [-n N] --in PATTERN --out PATTERN [OPTIONS]",
    .about =
        "COLLECTIVE is allreduce, reduce, broadcast, allgather, gather, scatter, reduce_scatter,\n"
        "alltoall, barrier or sendrecv (each rank's file goes to the next rank, the last's to rank "
        "0);\n"
        "with blocks of different lengths allgatherv and gatherv (as the input files are),\n"
        "scatterv, reduce_scatterv and alltoallv (--counts: the elements for each rank; of\n"
        "alltoallv from every rank, or a row of them for each rank). Files hold raw little-endian\n"
        "elements; %d in a pattern is the rank; of a side that only the root has there is only "
        "its\n"
        "file. Input files that do not go together are a mismatch, which every rank is told (exit\n"
        "2).\n",
    .example = "weft call allreduce -n 3 --in 'in%d.f32' --out 'out%d.f32' --codec qsgd:levels=7",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .computes = true,
    .run = run};
