/* SPDX-License-Identifier: Apache-2.0 */
/* weft codec: one codec on one vector, without peers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/codec.h>

#include "cli.h"
#include "codec_report.h"
#include "outfile.h"
#include "rankfile.h"
#include "report.h"
#include "train_random.h"

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "in", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "raw little-endian float32; with --decode an encoding"},
    {.name = "random", .kind = WEFT_CLI_SIZE, .metavar = "N", .value = "1M", .min = 1,
     .max = 0x1p32, .help = "report on N Gaussian numbers from the seed (1M = 2^20)"},
    {.name = "encode", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "write the encoding of --in there"},
    {.name = "decode", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "write the floats that the encoding --in holds there"},
    {.name = "count", .kind = WEFT_CLI_WHOLE, .metavar = "N", .min = 0, .max = 0x1p40,
     .help = "elements that --decode expects"},
    {.name = "samples", .kind = WEFT_CLI_WHOLE, .metavar = "T", .min = 1, .max = 281474976710655.0,
     .help = "write T independent round trips of --in to --out, draws 1 … T"},
    {.name = "out", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "of --samples: T vectors, one behind another"},
    {.name = "draw", .kind = WEFT_CLI_WHOLE, .metavar = "D", .value = "1", .min = 0,
     .max = 281474976710655.0, .help = "keys random numbers of --encode: the step"},
    {.name = "member", .kind = WEFT_CLI_WHOLE, .metavar = "M", .value = "0", .min = 0,
     .max = 4294967295.0, .help = "keys them too: the peer"},
    {.name = "tensor", .kind = WEFT_CLI_WHOLE, .metavar = "T", .value = "0", .min = 0,
     .max = 65535, .help = "keys them too: which of a model's tensors"},
    {.name = "seed", .kind = WEFT_CLI_WHOLE, .metavar = "S", .value = "1", .min = 0,
     .max = 0x1p62, .help = "keys them too, and makes --random"},
    {.name = "trials", .kind = WEFT_CLI_WHOLE, .metavar = "T", .value = "100", .min = 1,
     .max = 1e9, .help = "round trips behind the report's bias and variance, draws 1 … T"},
    {.name = "repeats", .kind = WEFT_CLI_WHOLE, .metavar = "R", .value = "11", .min = 1,
     .max = 1e6, .help = "of each timing, the median is reported"},
    WEFT_REPORT_OPTIONS,
    {0}};
/* clang-format on */

typedef enum mode { REPORT, ENCODE, DECODE, SAMPLES } mode;

/* What a command line asks for. */
typedef struct codec_job {
    const weft_cli *cli;
    mode mode;
    const char *in; /* NULL: random */
    weft_codec *codec;
    weft_draw draw;
    void *read;   /* the file */
    size_t count; /* its elements, or bytes with --decode */
    weft_codec_bench bench;
} codec_job;

/* Options that a mode has no use for. */
static int check_options(const weft_cli *cli, mode m)
{
    static const struct {
        const char *option;
        bool used[4]; /* by mode */
    } uses[] = {{"random", {true, false, false, false}}, {"encode", {false, true, false, false}},
                {"decode", {false, false, true, false}}, {"samples", {false, false, false, true}},
                {"count", {false, false, true, false}},  {"out", {false, false, false, true}},
                {"draw", {false, true, false, false}},   {"member", {true, true, false, true}},
                {"tensor", {true, true, false, true}},   {"seed", {true, true, false, true}},
                {"trials", {true, false, false, false}}, {"repeats", {true, false, false, false}},
                {"json", {true, false, false, false}}};
    static const char *const names[] = {"a report", "--encode", "--decode", "--samples"};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
        if (weft_cli_given(cli, uses[i].option) && !uses[i].used[m]) {
            return weft_cli_refuse(cli, "--%s does not go with %s", uses[i].option, names[m]);
        }
    }
    if (m != REPORT && !weft_cli_given(cli, "in")) {
        return weft_cli_refuse(cli, "%s needs --in FILE", names[m]);
    }
    if (m == REPORT && weft_cli_given(cli, "in") && weft_cli_given(cli, "random")) {
        return weft_cli_refuse(cli, "--in and --random do not go together");
    }
    if (m == DECODE && !weft_cli_given(cli, "count")) {
        return weft_cli_refuse(cli, "--decode needs --count N");
    }
    if (m == SAMPLES && !weft_cli_given(cli, "out")) {
        return weft_cli_refuse(cli, "--samples needs --out FILE");
    }
    return 0;
}

static int settle(const weft_cli *cli, codec_job *j)
{
    char why[256];
    *j = (codec_job){.cli = cli,
                     .mode = weft_cli_given(cli, "encode")    ? ENCODE
                             : weft_cli_given(cli, "decode")  ? DECODE
                             : weft_cli_given(cli, "samples") ? SAMPLES
                                                              : REPORT,
                     .in = weft_cli_text(cli, "in"),
                     .draw = {.seed = (uint64_t)weft_cli_whole(cli, "seed"),
                              .member = (uint32_t)weft_cli_whole(cli, "member"),
                              .tensor = (uint32_t)weft_cli_whole(cli, "tensor"),
                              .draw = (uint64_t)weft_cli_whole(cli, "draw")}};
    const int bad = check_options(cli, j->mode);
    if (bad != 0) {
        return bad;
    }
    if (weft_report_check(weft_cli_text(cli, "json"), why) != 0) {
        return weft_cli_refuse(cli, "%s", why);
    }
    if (weft_codec_open(&j->codec, weft_cli_args(cli)[0]) != WEFT_OK) {
        return weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    return 0;
}

/* Tell the last error of the library: of the file, when it is the input that is wrong. */
static int refuse_input(const codec_job *j, int code)
{
    if (code == WEFT_ENOMEM) {
        (void)weft_cli_refuse(j->cli, "out of memory for %zu elements", j->bench.count);
        return WEFT_EXIT_WRONG;
    }
    const char *message = weft_last_error()->message;
    if (j->in == NULL) {
        (void)weft_cli_refuse(j->cli, "%s", message);
        return weft_exit_of(code);
    }
    return weft_cli_refuse(j->cli, "--in %s: %s", j->in, message);
}

static int read_input(codec_job *j)
{
    char why[WEFT_WHY_TEXT];
    const size_t element = j->mode == DECODE ? 1 : sizeof(float);
    if (weft_rankfile_read(j->in, element, &j->read, &j->count, why) != 0) {
        return weft_cli_refuse(j->cli, "--in %s", why);
    }
    return 0;
}

/* Gaussian numbers (Box, Muller 1958), two of each 64 random bits: of (seed, member), so that peers
 * differ, at step 0, which no minibatch has. */
static int make_random(codec_job *j)
{
    const size_t count = weft_cli_size(j->cli, "random");
    float *v = calloc(count + 1, sizeof(*v));
    if (v == NULL) {
        (void)weft_cli_refuse(j->cli, "--random %zu: out of memory", count);
        return WEFT_EXIT_WRONG;
    }
    for (size_t i = 0; i < count; i += 2) {
        const uint64_t bits = weft_train_u64(j->draw.seed, j->draw.member, 0, (uint32_t)(i / 2));
        const double radius = sqrt(-2.0 * log(((double)(uint32_t)bits + 1.0) * 0x1p-32));
        const double angle = 6.283185307179586 * 0x1p-32 * (double)(uint32_t)(bits >> 32);
        v[i] = (float)(radius * cos(angle));
        v[i + 1] = (float)(radius * sin(angle)); /* of an odd count: room is there */
    }
    j->read = v;
    j->count = count;
    return 0;
}

/* Room for a round trip of the input, or for what is to be decoded. */
static int make_bench(codec_job *j)
{
    const size_t count = j->mode == DECODE ? (size_t)weft_cli_whole(j->cli, "count") : j->count;
    const size_t cap = j->mode == DECODE ? 0 : weft_codec_bound(j->codec, count);
    j->bench = (weft_codec_bench){.codec = j->codec,
                                  .source = j->in != NULL ? j->in : "random",
                                  .in = j->read,
                                  .count = count,
                                  .draw = j->draw,
                                  .trials = (size_t)weft_cli_whole(j->cli, "trials"),
                                  .repeats = (size_t)weft_cli_whole(j->cli, "repeats"),
                                  .cap = cap,
                                  .bytes = cap < SIZE_MAX ? malloc(cap + 1) : NULL,
                                  .out = calloc(count + 1, sizeof(float))};
    if (j->bench.bytes == NULL || j->bench.out == NULL) {
        return refuse_input(j, WEFT_ENOMEM);
    }
    return 0;
}

/* errno of writing that failed, or 0: what the file says, else EIO. */
static int write_all(FILE *stream, const void *bytes, size_t len)
{
    errno = 0;
    return fwrite(bytes, 1, len, stream) == len ? 0 : errno != 0 ? errno : EIO;
}

static int refuse_file(const codec_job *j, const char *option, int error)
{
    return weft_cli_refuse(j->cli, "--%s %s: %s", option, weft_cli_text(j->cli, option),
                           strerror(error));
}

static int write_file(const codec_job *j, const char *option, const void *bytes, size_t len)
{
    weft_outfile *file = NULL;
    int error = weft_outfile_open(&file, weft_cli_text(j->cli, option));
    if (error == 0) {
        error = write_all(weft_outfile_stream(file), bytes, len);
        if (error == 0) {
            error = weft_outfile_commit(&file);
        } else {
            weft_outfile_drop(&file);
        }
    }
    return error == 0 ? 0 : refuse_file(j, option, error);
}

static int encode(const codec_job *j)
{
    const weft_codec_bench *b = &j->bench;
    size_t len = 0;
    const int code = weft_codec_encode(b->codec, &b->draw, b->in, b->count, b->bytes, b->cap, &len);
    return code != WEFT_OK ? refuse_input(j, code) : write_file(j, "encode", b->bytes, len);
}

static int decode(const codec_job *j)
{
    const weft_codec_bench *b = &j->bench;
    const int code = weft_codec_decode(b->codec, j->read, j->count, b->out, b->count);
    return code != WEFT_OK ? refuse_input(j, code)
                           : write_file(j, "decode", b->out, b->count * sizeof(float));
}

static int sample(const codec_job *j)
{
    const weft_codec_bench *b = &j->bench;
    const int64_t samples = weft_cli_whole(j->cli, "samples");
    weft_outfile *file = NULL;
    int error = weft_outfile_open(&file, weft_cli_text(j->cli, "out")), code = WEFT_OK;
    for (int64_t t = 1; t <= samples && error == 0 && code == WEFT_OK; t++) {
        weft_draw draw = b->draw;
        size_t len = 0;
        draw.draw = (uint64_t)t;
        code = weft_codec_trip(b, &draw, &len);
        if (code == WEFT_OK) {
            error = write_all(weft_outfile_stream(file), b->out, b->count * sizeof(float));
        }
        weft_progress("round trip %lld of %lld", (long long)t, (long long)samples);
    }
    weft_progress_end();
    if (error == 0 && code == WEFT_OK) {
        error = weft_outfile_commit(&file);
    } else {
        weft_outfile_drop(&file);
    }
    return error != 0 ? refuse_file(j, "out", error) : code != WEFT_OK ? refuse_input(j, code) : 0;
}

static int report(const codec_job *j)
{
    enum { ENOUGH = 30 };
    const char *path = weft_cli_text(j->cli, "json");
    weft_codec_errors errors;
    weft_codec_speed speed;
    char why[256];
    if (j->count == 0) {
        return weft_cli_refuse(j->cli, "--in %s: no elements to report on", j->in);
    }
    int code = weft_codec_measure_errors(&j->bench, &errors);
    code = code != WEFT_OK ? code : weft_codec_measure_speed(&j->bench, &speed);
    if (code != WEFT_OK) {
        return refuse_input(j, code);
    }
    weft_codec_print(&j->bench, &errors, &speed, weft_report_text(path));
    if (weft_report_json(path, path != NULL ? weft_codec_json(&j->bench, &errors, &speed) : NULL,
                         why) != 0) {
        return weft_cli_refuse(j->cli, "%s", why);
    }
    /* Fewer may all have fallen alike, and show no deviation. */
    if (j->bench.trials >= ENOUGH &&
        errors.error - 5.0 * errors.error_sigma > errors.omega * (1.0 + 1e-6) + 1e-12) {
        (void)weft_cli_refuse(j->cli, "the error is above the stated bound");
        return WEFT_EXIT_WRONG;
    }
    return 0;
}

static int run(const weft_cli *cli)
{
    static int (*const modes[])(const codec_job *) = {report, encode, decode, sample};
    codec_job j;
    int bad = settle(cli, &j);
    weft_outfile_guard();
    bad = bad != 0 ? bad : j.in != NULL ? read_input(&j) : make_random(&j);
    bad = bad != 0 ? bad : make_bench(&j);
    bad = bad != 0 ? bad : modes[j.mode](&j);
    free(j.bench.bytes);
    free(j.bench.out);
    free(j.read);
    weft_codec_close(&j.codec);
    return bad;
}

const weft_command weft_cmd_codec = {
    .name = "codec",
    .summary = "try one codec: encode and decode files, measure size, error and speed",
    .usage = "SPEC [--in FILE [--encode FILE | --decode FILE --count N | --samples T --out FILE]] "
             "[OPTIONS]",
    .about =
        "Without --encode, --decode or --samples a report on --in or --random: bits an element; "
        "error\n"
        "against the bound that the codec states; speed of encoding and decoding in bytes of "
        "float32\n"
        "input, beside memcpy of as many floats in the same run; and the speed of the link below "
        "which\n"
        "the codec pays, R = 8 (raw - encoded bytes) / (encode + decode seconds): there encoding,\n"
        "sending the encoding and decoding it take less time than sending the floats.\n"
        "Exit status 1: over 30 round trips or more the error is above the stated bound by more "
        "than 5\n"
        "standard errors.\n",
    .example = "weft codec qsgd:levels=7,bucket=512 --random 16M --json report.json",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .computes = true,
    .run = run};
