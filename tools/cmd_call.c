/* SPDX-License-Identifier: Apache-2.0 */
/* weft call: one collective on files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>

#include "cli.h"
#include "peers.h"
#include "rankfile.h"
#include "rehearse.h"
#include "report.h"
#include "type_words.h"

typedef enum call_kind { ALLREDUCE, ALLGATHER, REDUCE_SCATTER, BROADCAST, BARRIER } call_kind;
static const char *const kind_names[] = {"allreduce", "allgather", "reduce_scatter",
                                         "broadcast", "barrier",   NULL};

typedef struct call_settings {
    const weft_cli *cli;
    call_kind kind;
    weft_dtype dtype;
    weft_op op;
    int root;
    size_t element;
    const char *in, *out, *residual_in, *residual_out, *own_out; /* patterns or NULL */
} call_settings;

/* Everything one peer holds. */
typedef struct call_data {
    void *in, *out;
    float *residual, *own;
    size_t in_count, out_count, count; /* elements of in and out, and the call's count */
    weft_receipt receipt;
    uint64_t wire_received;
} call_data;

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
     .max = 65534, .help = "root of broadcast"},
    {.name = "codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC", .value = "raw",
     .help = "how contributions are encoded"},
    {.name = "algo", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "algorithm; else WEFT_ALGO, else auto"},
    {.name = "fidelity", .kind = WEFT_CLI_TEXT, .metavar = "F", .value = "exact",
     .choices = "exact", .help = "every contribution is encoded once"},
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

/* Read one rank's file for a purpose. 0, or the exit status. */
static int read_file(weft_peer *peer, const char *pattern, size_t element, void **ret,
                     size_t *ret_count)
{
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    if (!weft_pattern_name(pattern, peer->rank, path)) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "'%s' is too long", pattern);
    }
    if (weft_rankfile_read(path, element, ret, ret_count, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}

static int write_file(weft_peer *peer, const char *pattern, const void *bytes, size_t len)
{
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    if (pattern == NULL) {
        return 0;
    }
    if (!weft_pattern_name(pattern, peer->rank, path)) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "'%s' is too long", pattern);
    }
    if (weft_rankfile_write(path, bytes, len, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}

/* Only root has the vector of a broadcast: the others learn its length first. */
static int learn_count(weft_peer *peer, const call_settings *s, call_data *d)
{
    uint64_t count = d->in_count;
    if (weft_broadcast(peer->group, &count, 1, WEFT_U64, s->root, NULL) != WEFT_OK) {
        return weft_peer_error(peer, "broadcast of the length");
    }
    if (peer->rank != s->root) {
        d->in = count < SIZE_MAX / s->element ? malloc((size_t)count * s->element + 1) : NULL;
        if (d->in == NULL) {
            return weft_peer_fail(peer, WEFT_EXIT_WRONG, "no memory for %llu elements",
                                  (unsigned long long)count);
        }
    }
    d->in_count = (size_t)count;
    return 0;
}

static int load_residual(weft_peer *peer, const call_settings *s, call_data *d)
{
    size_t count = d->in_count;
    if (s->residual_in != NULL) {
        void *bytes = NULL;
        const int bad = read_file(peer, s->residual_in, sizeof(float), &bytes, &count);
        if (bad != 0) {
            return bad;
        }
        d->residual = bytes;
    } else if (s->residual_out != NULL) {
        d->residual = calloc(count + 1, sizeof(float));
        if (d->residual == NULL) {
            return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
        }
    }
    if (count != d->in_count) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "the residual has %zu elements, the input %zu",
                              count, d->in_count);
    }
    return 0;
}

static int load(weft_peer *peer, const call_settings *s, call_data *d)
{
    int bad = 0;
    if (s->kind == BARRIER) {
        return 0;
    }
    if (s->kind != BROADCAST || peer->rank == s->root) {
        bad = read_file(peer, s->in, s->element, &d->in, &d->in_count);
    }
    if (bad == 0 && s->kind == BROADCAST) {
        bad = learn_count(peer, s, d);
    }
    if (bad == 0) {
        bad = load_residual(peer, s, d);
    }
    if (bad != 0) {
        return bad;
    }
    const size_t size = (size_t)peer->size;
    d->count = d->out_count = d->in_count;
    if (s->kind == ALLGATHER) {
        if (d->count > SIZE_MAX / s->element / size) {
            return weft_peer_fail(peer, WEFT_EXIT_USAGE, "the result is too long");
        }
        d->out_count = d->count * size;
    } else if (s->kind == REDUCE_SCATTER) {
        if (d->count % size != 0) {
            return weft_peer_fail(peer, WEFT_EXIT_USAGE,
                                  "reduce_scatter over %zu peers needs a multiple of %zu elements; "
                                  "the input has %zu",
                                  size, size, d->count);
        }
        d->count /= size;
        d->out_count = d->count;
    }
    d->out = malloc(d->out_count * s->element + 1);
    d->own = s->own_out != NULL ? calloc(d->in_count + 1, sizeof(float)) : NULL;
    if (d->out == NULL || (s->own_out != NULL && d->own == NULL)) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    }
    return 0;
}

static int operate(weft_peer *peer, const call_settings *s, call_data *d)
{
    weft_group_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    weft_coll_opts opts = {.size = sizeof(opts),
                           .algo = weft_cli_text(s->cli, "algo"),
                           .codec = weft_cli_text(s->cli, "codec"),
                           .own = d->own,
                           .residual = d->residual,
                           .draw = (uint64_t)weft_cli_whole(s->cli, "draw"),
                           .tensor = (uint32_t)weft_cli_whole(s->cli, "tensor"),
                           .receipt = &d->receipt};
    int code = WEFT_EINTERNAL;
    d->receipt = (weft_receipt){.size = sizeof(d->receipt)};
    (void)weft_group_get_stats(peer->group, &before);
    switch (s->kind) {
    case ALLREDUCE:
        code = weft_allreduce(peer->group, d->in, d->out, d->count, s->dtype, s->op, &opts);
        break;
    case ALLGATHER:
        code = weft_allgather(peer->group, d->in, d->out, d->count, s->dtype, &opts);
        break;
    case REDUCE_SCATTER:
        code = weft_reduce_scatter(peer->group, d->in, d->out, d->count, s->dtype, s->op, &opts);
        break;
    case BROADCAST:
        code = weft_broadcast(peer->group, d->in, d->count, s->dtype, s->root, &opts);
        break;
    case BARRIER:
        code = weft_barrier(peer->group, &opts);
        break;
    }
    if (code != WEFT_OK) {
        const int status = weft_peer_error(peer, kind_names[s->kind]);
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
static int tell_sent(weft_peer *peer, const call_settings *s, const call_data *d)
{
    enum { FIGURES = 6 };
    const char *path = weft_cli_text(s->cli, "sent");
    const weft_receipt *r = &d->receipt;
    const uint64_t mine[FIGURES] = {r->encoded_bytes,   r->body_bytes_sent, r->body_bytes_received,
                                    r->wire_bytes_sent, d->wire_received,   r->lanes};
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
            (void)json_array_append_new(
                ranks, json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "rank", i, "encoded_bytes",
                                 (json_int_t)f[0], "body_bytes_sent", (json_int_t)f[1],
                                 "body_bytes_received", (json_int_t)f[2], "wire_bytes_sent",
                                 (json_int_t)f[3], "wire_bytes_received", (json_int_t)f[4], "lanes",
                                 (json_int_t)f[5]));
        }
        json_t *root = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:o}", "weft",
                                 weft_version(), "collective", kind_names[s->kind], "peers",
                                 peer->size, "count", (json_int_t)d->count, "dtype",
                                 weft_dtype_name(s->dtype), "op", weft_op_name(s->op), "codec",
                                 weft_cli_text(s->cli, "codec"), "algo", r->algo, "ranks", ranks);
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
    const call_settings *s = user;
    call_data d = {0};
    int status = 0;
    if (s->root >= peer->size) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "root %d is not among %d peers", s->root,
                              peer->size);
    }
    status = load(peer, s, &d);
    status = status != 0 ? status : operate(peer, s, &d);
    status = status != 0 ? status : tell_sent(peer, s, &d);
    if (status == 0 && s->kind != BARRIER) {
        status =
            write_file(peer, s->out, s->kind == BROADCAST ? d.in : d.out, d.out_count * s->element);
    }
    if (status == 0) {
        status = write_file(peer, s->residual_out, d.residual, d.in_count * sizeof(float));
    }
    if (status == 0) {
        status = write_file(peer, s->own_out, d.own, d.in_count * sizeof(float));
    }
    free(d.in);
    free(d.out);
    free(d.residual);
    free(d.own);
    return status;
}

/* Check one file option: its pattern, and for inputs that each rank's file is there. */
static int check_files(const weft_cli *cli, const char *option, bool reads, int peers,
                       size_t element)
{
    const char *pattern = weft_cli_text(cli, option);
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    size_t count = 0;
    if (pattern == NULL) {
        return 0;
    }
    if (!weft_pattern_valid(pattern)) {
        return weft_cli_refuse(cli, "--%s '%s': at most one %%d, and %%%% for a percent sign",
                               option, pattern);
    }
    if (!reads && peers != 1 && !weft_pattern_has_rank(pattern)) {
        return weft_cli_refuse(cli, "--%s '%s' names one file for all ranks; put %%d into it",
                               option, pattern);
    }
    for (int rank = 0; reads && rank < peers; rank++) {
        if (!weft_pattern_name(pattern, rank, path)) {
            return weft_cli_refuse(cli, "--%s '%s' is too long", option, pattern);
        }
        if (weft_rankfile_count(path, element, &count, why) != 0) {
            return weft_cli_refuse(cli, "--%s, rank %d: %s", option, rank, why);
        }
    }
    return 0;
}

static int settle(const weft_cli *cli, const weft_launch *launch, call_settings *s)
{
    const char *word = weft_cli_args(cli)[0];
    int kind = 0;
    while (kind_names[kind] != NULL && strcmp(kind_names[kind], word) != 0) {
        kind++;
    }
    if (kind_names[kind] == NULL) {
        return weft_cli_refuse(cli, "unknown collective '%s'; nearest: %s", word,
                               weft_cli_nearest(word, kind_names));
    }
    *s = (call_settings){.cli = cli,
                         .kind = (call_kind)kind,
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
    if (s->kind != BARRIER && s->in == NULL) {
        return weft_cli_refuse(cli, "%s needs --in PATTERN", word);
    }
    if (s->kind != BARRIER && s->out == NULL && weft_cli_text(cli, "sent") == NULL) {
        return weft_cli_refuse(cli, "%s needs --out PATTERN (or --sent FILE, for its bytes alone)",
                               word);
    }
    if (s->kind == BARRIER && (s->in != NULL || s->out != NULL)) {
        return weft_cli_refuse(cli, "barrier takes no files");
    }
    if (s->kind != ALLREDUCE &&
        (s->residual_in != NULL || s->residual_out != NULL || s->own_out != NULL)) {
        return weft_cli_refuse(cli,
                               "--residual-in, --residual-out and --own-out go with allreduce");
    }
    if (launch->peers > 0 && s->root >= launch->peers) {
        return weft_cli_refuse(cli, "--root %d is not among %d peers", s->root, launch->peers);
    }
    if (weft_cli_given(cli, "op") && s->kind != ALLREDUCE && s->kind != REDUCE_SCATTER) {
        return weft_cli_refuse(cli, "--op: %s reduces nothing", word);
    }
    if (weft_cli_given(cli, "root") && s->kind != BROADCAST) {
        return weft_cli_refuse(cli, "--root: %s has no root", word);
    }
    int bad = weft_check_algo(cli, "--algo", word, weft_cli_text(cli, "algo"));
    bad = bad != 0 ? bad
                   : weft_rehearse_call(cli, word, s->dtype, s->op, weft_cli_text(cli, "codec"),
                                        weft_cli_text(cli, "algo"));
    bad = bad != 0 ? bad : check_files(cli, "in", s->kind != BROADCAST, launch->peers, s->element);
    bad = bad != 0 ? bad : check_files(cli, "residual-in", true, launch->peers, sizeof(float));
    bad = bad != 0 ? bad : check_files(cli, "out", false, launch->peers, 1);
    bad = bad != 0 ? bad : check_files(cli, "residual-out", false, launch->peers, 1);
    return bad != 0 ? bad : check_files(cli, "own-out", false, launch->peers, 1);
}

static int run(const weft_cli *cli)
{
    weft_launch launch;
    call_settings settings;
    int bad = weft_launch_from(cli, &launch);
    bad = bad != 0 ? bad : settle(cli, &launch, &settings);
    return bad != 0 ? bad : weft_launch_run(&launch, body, &settings);
}

const weft_command weft_cmd_call = {
    .name = "call",
    .summary = "run one collective on files",
    .usage = "COLLECTIVE [-n N] --in PATTERN --out PATTERN [OPTIONS]",
    .about =
        "COLLECTIVE is allreduce, allgather, reduce_scatter, broadcast or barrier. Files hold\n"
        "raw little-endian elements; %d in a pattern is the rank. Input files of different\n"
        "lengths are a mismatch, which every rank is told (exit 2).\n",
    .example = "weft call allreduce -n 3 --in 'in%d.f32' --out 'out%d.f32' --codec qsgd:levels=7",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .computes = true,
    .run = run};
