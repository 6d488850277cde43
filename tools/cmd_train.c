/* SPDX-License-Identifier: Apache-2.0 */
/* weft train: a problem on a data set, by any optimizer, codec and algorithm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>

#include "cli.h"
#include "dataset.h"
#include "peers.h"
#include "plot.h"
#include "rehearse.h"
#include "report.h"
#include "train_agree.h"
#include "train_check.h"
#include "train_dump.h"
#include "train_loop.h"
#include "train_report.h"
#include "train_settings.h"

#define WHY 1024

/* What rank 0 computes for all. */
enum shared { OK, L2, ALL, SHARD, ROW, F0, FSTAR, SHARED };

/* clang-format off */
static const weft_cli_option options[] = {
    {.name = "data", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "LIBSVM text or IDX images (MNIST format), .gz and .xz too"},
    {.name = "labels", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "IDX labels of --data (default: its name with labels for images, idx1 for idx3)"},
    {.name = "test", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "test data of the same kind: loss and accuracy on it are traced"},
    {.name = "test-labels", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "IDX labels of --test"},
    {.name = "rows", .kind = WEFT_CLI_WHOLE, .metavar = "N", .min = 1, .max = 9007199254740992.0,
     .help = "use the first N rows of --data"},
    {.name = "problem", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "what is minimized, see below (default: logistic; of IDX files mlp)"},
    {.name = "optimizer", .kind = WEFT_CLI_TEXT, .metavar = "SPEC", .value = "gd",
     .help = "method (weft info lists them)"},
    {.name = "codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "how gradients are compressed (default: what goes with the optimizer, else raw)"},
    {.name = "reply-codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "how sums are, on their way back (algorithm scatter); diana keeps a memory of them"},
    {.name = "algo", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",
     .help = "allreduce algorithm (default: what goes with the optimizer, else auto)"},
    {.name = "fidelity", .kind = WEFT_CLI_TEXT, .metavar = "F", .value = "exact",
     .choices = "exact|requantized",
     .help = "requantized: without --reply-codec sums are encoded like gradients"},
    {.name = "lr", .kind = WEFT_CLI_TEXT, .metavar = "X", .value = "theory",
     .help = "step size: a number, theory, theory*FACTOR, theory2019, theory_nonconvex"},
    {.name = "schedule", .kind = WEFT_CLI_TEXT, .metavar = "SPEC", .value = "constant",
     .help = "what it is multiplied by: constant, step:every=K,factor=F, cosine:steps=K, inverse, "
             "sqrt; each with warmup=K"},
    {.name = "small", .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "10000", .min = 1,
     .max = 9007199254740992.0,
     .help = "tensors of fewer floats go as they are, of models of several"},
    {.name = "batch", .kind = WEFT_CLI_TEXT, .metavar = "ROWS", .value = "full",
     .help = "rows of a minibatch on each peer, or full"},
    {.name = "run", .kind = WEFT_CLI_LIST, .metavar = "'KEY=VALUE ...'",
     .help = "one run with these over the options above; repeatable; also name=, steps=, epochs="},
    {.name = "l2", .kind = WEFT_CLI_TEXT, .metavar = "X", .value = "0",
     .help = "penalty (X/2)|x|^2 in f; auto: condition number 100"},
    {.name = "l1", .kind = WEFT_CLI_REAL, .metavar = "X", .value = "0", .min = 0, .max = 1e300,
     .help = "penalty X|x|_1, by proximal step"},
    {.name = "steps", .kind = WEFT_CLI_WHOLE, .metavar = "K", .value = "1000", .min = 1,
     .max = 9007199254740992.0, .help = "updates"},
    {.name = "epochs", .kind = WEFT_CLI_WHOLE, .metavar = "E", .min = 1, .max = 1e9,
     .help = "instead of --steps: passes over the shard, each in an order of its own"},
    {.name = "shards", .kind = WEFT_CLI_TEXT, .metavar = "ORDER", .value = "file",
     .choices = "file|shuffle|label", .help = "row order before the cut into one shard a peer"},
    {.name = "every", .kind = WEFT_CLI_WHOLE, .metavar = "E", .min = 1,
     .max = 9007199254740992.0, .help = "trace each E steps (default: steps/100, or an epoch)"},
    {.name = "target", .kind = WEFT_CLI_REAL, .metavar = "GAP", .min = 0, .max = 1e300,
     .help = "stop a run when a traced gap f - f* is at most this"},
    {.name = "plot", .kind = WEFT_CLI_TEXT, .metavar = "FILE.svg",
     .help = "draw gap (or f) and test accuracy against steps, bits sent and seconds (needs gnuplot)"},
    {.name = "save", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "write model and optimizer to FILE.RANK of each peer at the end"},
    {.name = "save-every", .kind = WEFT_CLI_WHOLE, .metavar = "K", .min = 1,
     .max = 9007199254740992.0, .help = "and each K steps"},
    {.name = "load", .kind = WEFT_CLI_TEXT, .metavar = "FILE",
     .help = "go on from FILE.RANK, or FILE.0 where that is not there (another number of peers)"},
    {.name = "dump", .kind = WEFT_CLI_TEXT, .metavar = "DIR",
     .help = "write x, g, h, q, hbar, v, xs of every step as float32, and shapes.json"},
    WEFT_REPORT_OPTIONS,
    WEFT_LAUNCH_OPTIONS,
    {0}};
/* clang-format on */

/* Rank 0's part: constants, l2 and f*. 0, or -1 with the reason in why. */
static int compute(const weft_train_settings *s, weft_problem *p, double shared[SHARED], char *why)
{
    float *start = calloc(p->dim, sizeof(*start));
    weft_constants constants = {0};
    int status = -1;

    if (start == NULL) {
        snprintf(why, WHY, "out of memory");
        return -1;
    }
    if (p->kind->convex && p->kind->constants(p, &constants, why, WHY) != 0)
        goto out;
    p->l2 = s->l2_auto ? constants.all / 99 : s->l2;
    weft_progress("computing f*");
    shared[FSTAR] = (double)NAN;
    if (p->kind->minimum != NULL && p->kind->minimum(p, &shared[FSTAR], why, WHY) != 0)
        goto out;
    shared[OK] = 1;
    shared[L2] = p->l2;
    shared[ALL] = constants.all;
    shared[SHARD] = constants.shard;
    shared[ROW] = constants.row;
    weft_problem_start(p, start);
    shared[F0] = weft_problem_value(
        p, p->kind->loss(p, 0, p->cut.used, start, NULL) / (double)p->cut.used, start);
    status = 0;
out:
    free(start);
    return status;
}

static int set_up(weft_peer *peer, const weft_train_settings *s, weft_problem *p)
{
    const weft_coll_opts patient = {.size = sizeof(patient), .timeout_ms = WEFT_FOREVER};
    double shared[SHARED] = {0};
    char why[WHY] = "";
    int status;

    status = weft_train_agree(peer, s);
    if (status != 0)
        return status;
    if (weft_train_check_rows(s, peer->size, why, sizeof(why)) != 0)
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    if (weft_problem_open(p, s->problem, s->data, s->test, peer->size, s->shards, s->seed, why,
                          sizeof(why)) != 0)
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s: %s", s->data_path, why);
    p->l1 = s->l1;
    if (peer->rank == 0 && compute(s, p, shared, why) != 0)
        status = weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s: %s", s->data_path, why);
    if (weft_broadcast(peer->group, shared, SHARED, WEFT_F64, 0, &patient) != WEFT_OK)
        return weft_peer_error(peer, "sharing the constants");
    if (shared[OK] == 0)
        return status != 0 ? status : WEFT_EXIT_USAGE; /* rank 0 tells why */
    p->l2 = shared[L2];
    p->f0 = shared[F0];
    p->fstar = shared[FSTAR];
    if (p->kind->convex) {
        p->L = shared[ALL] + p->l2;
        p->Lmax = shared[SHARD] + p->l2;
        p->Lrow = shared[ROW] + p->l2;
        p->mu = p->l2;
    }
    if (s->target >= 0 && isnan(p->fstar))
        return weft_peer_fail(peer, WEFT_EXIT_USAGE,
                              "--target: the minimum of %s is not known with these data and "
                              "penalties",
                              s->problem);
    return 0;
}

/* Table, JSON and plot of the runs that are done, at rank 0. */
static int tell(weft_peer *peer, const weft_train_settings *settings, size_t done,
                const weft_problem *problem, const weft_train_result *results)
{
    weft_train_settings shown = *settings, *s = &shown;
    FILE *text = weft_report_text(s->json);
    char why[WHY] = "";
    int status = 0;

    shown.run_count = done;
    weft_progress_end();
    weft_train_print(text, s, problem, results, peer->size);
    if (weft_report_json(s->json, weft_train_json(s, problem, results, peer->size), why) != 0)
        status = weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    if (s->plot != NULL) {
        weft_plot_line *lines = calloc(s->run_count, sizeof(*lines));
        const char *slash = strrchr(s->data_path, '/');
        char title[256];

        if (lines == NULL)
            return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
        for (size_t i = 0; i < s->run_count; i++)
            lines[i] = (weft_plot_line){s->runs[i].name, &results[i].trace};
        snprintf(title, sizeof(title), "%s: %zu rows × %zu, %d peers",
                 slash != NULL ? slash + 1 : s->data_path, s->data->rows, s->data->dim, peer->size);
        if (weft_plot_draw(s->plot, title, lines, s->run_count, why, sizeof(why)) != 0)
            status = weft_peer_fail(peer, WEFT_EXIT_WRONG, "%s", why);
        else
            fprintf(text, "\nplot     %s\n", s->plot);
        free(lines);
    }
    return status;
}

static int body(weft_peer *peer, void *user)
{
    const weft_train_settings *s = user;
    weft_train_result *results = calloc(s->run_count, sizeof(*results));
    weft_problem problem = {0};
    bool wrong = false;
    size_t done = 0;
    int status, told = 0;

    if (results == NULL)
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    status = set_up(peer, s, &problem);
    for (size_t i = 0; i < s->run_count && status == 0; i++) {
        status = weft_train_loop(peer, s, &s->runs[i], i, &problem, &results[i]);
        if (status == WEFT_EXIT_WRONG && !results[i].equal && results[i].model != NULL &&
            results[i].crc32c != NULL && results[i].optimizer != NULL) {
            wrong = true;
            status = 0; /* told; the other runs are worth having */
        }
        wrong = wrong || results[i].diverged != 0;
        done += status == 0;
    }
    weft_progress_end();
    /* A run that failed takes nothing from those before it. */
    if (done > 0 && peer->rank == 0)
        told = tell(peer, s, done, &problem, results);
    status = status != 0 ? status : told;
    for (size_t i = 0; i < s->run_count; i++)
        weft_train_result_free(&results[i]);
    free(results);
    weft_problem_close(&problem);
    return status == 0 && wrong ? WEFT_EXIT_WRONG : status;
}

/* What can be told before any peer starts. */
static int check(const weft_cli *cli, const weft_launch *launch, const weft_train_settings *s)
{
    char why[WHY] = "";
    int bad;

    for (size_t i = 0; i < s->run_count; i++) {
        char origin[160];

        snprintf(origin, sizeof(origin), "run '%.120s': algo", s->runs[i].name);
        if (s->runs[i].algo == NULL)
            continue;
        bad = weft_check_algo(cli, weft_cli_list_count(cli, "run") > 0 ? origin : "--algo",
                              "allreduce", s->runs[i].algo);
        if (bad != 0)
            return bad;
    }
    if (launch->peers > 0 && weft_train_check_rows(s, launch->peers, why, sizeof(why)) != 0)
        return weft_cli_refuse(cli, "%s", why);
    bad = weft_train_rehearse(cli, s);
    if (bad != 0)
        return bad;
    if (s->plot != NULL && weft_plot_check(s->plot, why, sizeof(why)) != 0)
        return weft_cli_refuse(cli, "%s", why);
    if (weft_report_check(s->json, why) != 0)
        return weft_cli_refuse(cli, "%s", why);
    if (s->dump != NULL && weft_dump_prepare(s->dump, why, sizeof(why)) != 0)
        return weft_cli_refuse(cli, "%s", why);
    return 0;
}

static int run(const weft_cli *cli)
{
    weft_train_settings settings = {0};
    weft_dataset *data = NULL, *test = NULL;
    weft_launch launch;
    char why[WHY] = "";
    int status = weft_launch_from(cli, &launch);

    if (status == 0)
        status = weft_train_settings_from(cli, &settings);
    if (status != 0)
        return status;
    if (weft_dataset_read(&data, settings.data_path, settings.labels_path, settings.kind->labels,
                          settings.rows, NULL, why, sizeof(why)) != 0 ||
        (settings.test_path != NULL &&
         weft_dataset_read(&test, settings.test_path, settings.test_labels_path,
                           settings.kind->labels, 0, data, why, sizeof(why)) != 0)) {
        status = weft_cli_refuse(cli, "%s", why);
        goto out;
    }
    settings.data = data;
    settings.test = test;
    status = check(cli, &launch, &settings);
    if (status == 0)
        status = weft_launch_run(&launch, body, &settings);
out:
    weft_dataset_free(&data);
    weft_dataset_free(&test);
    weft_train_settings_free(&settings);
    return status;
}

const weft_command weft_cmd_train = {
    .name = "train",
    .summary = "train a model on a data set with the optimizers",
    .usage = "--data FILE [-n N] [OPTIONS]",
    .about =
        "Minimizes f(x) = mean loss over the rows + (l2/2)|x|^2 + l1 |x|_1. The problems and\n"
        "their losses of a row a:\n"
        "  logistic       log(1 + exp(-y a.x)), y = 1 for the larger of two labels, else -1\n"
        "  least_squares  (a.x - y)^2 / 2, y = the label, any number\n"
        "  softmax        log(sum_c exp(a.w_c)) - a.w_y over the classes c\n"
        "  mlp:hidden=H   the same on the outputs of a network with ReLU layers of H units\n"
        "                 (default 128; several: 512x256)\n"
        "The first three are convex, start at 0, and add no bias; f* is computed to 1e-13\n"
        "beforehand (of softmax with --l2 and on small data only), constants as lr=theory needs\n"
        "them. The mlp starts from random numbers of --seed and wants a number as --lr. Nothing\n"
        "is scaled but pixels, to 0 ... 1. Each peer holds floor(rows/N) rows. Every --run makes\n"
        "one run on the same data and seed. After each run the models of all peers must have\n"
        "equal checksums.\n"
        "\n"
        "With --epochs a peer goes over its shard in minibatches of --batch rows, each row at\n"
        "most once an epoch, be it in many steps or few (local takes several in a step); with\n"
        "--steps minibatches are drawn with replacement.\n"
        "\n"
        "--dump writes, for K steps, N peers and D coordinates: x [K+1,D] model, xs [N,K+1,D]\n"
        "of every peer, g [K,N,D] gradients, v [K,D] directions, and where the optimizer holds\n"
        "them q [K,N,D] decoded messages (the gradients where nothing is lost), and memories\n"
        "(diana) h [K+1,N,D] and hbar [K+1,D]: NAME.f32\n"
        "in DIR, with several runs in DIR/1, DIR/2, ...; shapes.json tells shapes and the run.\n",
    .example = "weft train --data mushrooms -n 4 --l2 auto --plot gap.svg --run 'name=GD' "
               "--run 'name=DIANA optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max'",
    .options = options,
    .computes = true,
    .run = run,
};
