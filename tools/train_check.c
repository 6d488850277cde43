/* SPDX-License-Identifier: Apache-2.0 */
#include "train_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/optim.h>
#include <weft/status.h>

#include "rehearse.h"

const char weft_train_penalties_text[] =
    "the penalties belong to the problem: give --l1 and --l2, not prox_l1 and prox_l2; with "
    "prox_group, prox_low, prox_high and decay the minimum is another than the one that gaps are "
    "of";

int weft_train_check_rows(const weft_train_settings *s, int peers, char *why, size_t cap)
{
    const size_t shard = s->data->rows / (size_t)peers;

    if (shard == 0) {
        snprintf(why, cap, "%s: the data has %zu rows, too few for %d peers", s->data_path,
                 s->data->rows, peers);
        return -1;
    }
    for (size_t i = 0; i < s->run_count; i++) {
        if (s->runs[i].batch > shard) {
            snprintf(why, cap, "run '%s': batch %zu is above the %zu rows of a peer",
                     s->runs[i].name, s->runs[i].batch, shard);
            return -1;
        }
    }
    return 0;
}

double weft_train_number(const char *spec, const char *key, double otherwise)
{
    const size_t len = strlen(key);

    for (const char *p = strpbrk(spec, ":,"); p != NULL; p = strpbrk(p + 1, ",")) {
        if (strncmp(p + 1, key, len) == 0 && p[1 + len] == '=') {
            char *end = NULL;
            const double value = strtod(p + 2 + len, &end);
            return end == p + 2 + len ? otherwise : value; /* auto */
        }
    }
    return otherwise;
}

bool weft_train_penalties_fit(const char *spec, double l1, bool convex)
{
    if (convex && (weft_train_number(spec, "prox_group", 0) > 0 ||
                   !isnan(weft_train_number(spec, "prox_low", (double)NAN)) ||
                   !isnan(weft_train_number(spec, "prox_high", (double)NAN)) ||
                   weft_train_number(spec, "decay", 0) > 0))
        return false;
    /* The SPEC is text: its numbers have fewer digits. */
    return fabs(weft_train_number(spec, "prox_l1", 0) - l1) <= 1e-4 * l1 &&
           weft_train_number(spec, "prox_l2", 0) == 0;
}

const char *weft_train_reply(const weft_train_spec *run)
{
    return run->reply != NULL ? run->reply : run->requantized ? run->codec : NULL;
}

static int flat(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret_gradient)
{
    (void)user;
    (void)rows;
    (void)draw;
    (void)x;
    *ret_gradient = 0;
    return 0;
}

/* One run on zeros of one coordinate. The constants are any that theory's step sizes take: which of
 * them the real ones are is not known yet. */
static int rehearse(const weft_cli *cli, const weft_alone *alone, const weft_train_settings *s,
                    const weft_train_spec *run, const char *where)
{
    const double any = s->kind->convex; /* else no constant is known */
    const weft_optim_opts opts = {
        .size = sizeof(opts),
        .lr = run->lr,
        .codec = run->codec,
        .algo = run->algo != NULL ? weft_rehearsed_algo(run->algo) : NULL,
        .reply_codec = weft_train_reply(run),
        .schedule = run->schedule,
        .l1 = s->l1,
        .smoothness = {
            .L = any, .Lmax = any, .Lrow = any, .mu = any / 100, .minibatch = run->batch > 0}};
    weft_optim *optim = NULL;
    float x = 0;
    int status = 0;

    if (!s->kind->convex && strncmp(run->lr, "theory", strlen("theory")) == 0)
        return weft_cli_refuse(cli,
                               "%slr %s: the smoothness of %s is not known, lr must be a number",
                               where, run->lr, s->problem);
    if (weft_optim_open(&optim, alone->group, run->optimizer, 1, &opts) != WEFT_OK ||
        (weft_train_penalties_fit(weft_optim_spec(optim), s->l1, s->kind->convex) &&
         weft_optim_advance(optim, &x, flat, NULL) != WEFT_OK))
        status = weft_cli_refuse(cli, "%s%s", where, weft_last_error()->message);
    else if (!weft_train_penalties_fit(weft_optim_spec(optim), s->l1, s->kind->convex))
        status = weft_cli_refuse(cli, "%s%s", where, weft_train_penalties_text);
    weft_optim_close(&optim);
    return status;
}

int weft_train_rehearse(const weft_cli *cli, const weft_train_settings *s)
{
    weft_alone alone;
    int status = weft_alone_open(cli, &alone);

    for (size_t i = 0; i < s->run_count && status == 0; i++) {
        const weft_train_spec *run = &s->runs[i];
        char where[160] = "";

        /* Without --run the options are meant: their values tell which. */
        if (weft_cli_list_count(cli, "run") > 0)
            snprintf(where, sizeof(where), "run '%.120s': ", run->name);
        status = rehearse(cli, &alone, s, run, where);
    }
    weft_alone_close(&alone);
    return status;
}
