/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused when an optimizer is made, and in which words. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/mem.h"
#include "optim/optim.h"
#include "optim_peers.h"
#include <weft/weft.h>

typedef struct attempt {
    const char *spec;
    weft_optim_opts opts;
    size_t count;
    int code;
    int untouched; /* the out-parameter after a failure */
    double lr;
    char text[512]; /* the error's words, or the full SPEC */
} attempt;

typedef struct attempts {
    attempt *list;
    size_t count;
} attempts;

static void try_all(weft_group *group, int rank, void *user)
{
    const attempts *all = user;

    (void)rank;
    for (size_t i = 0; i < all->count; i++) {
        attempt *a = &all->list[i];
        weft_optim *const nobody = (weft_optim *)(void *)&all;
        weft_optim *o = nobody;

        a->code = weft_optim_open(&o, group, a->spec, a->count, &a->opts);
        if (a->code == WEFT_OK) {
            a->lr = weft_optim_lr(o);
            snprintf(a->text, sizeof(a->text), "%s", weft_optim_spec(o));
            weft_optim_close(&o);
        } else {
            a->untouched = o == nobody;
            snprintf(a->text, sizeof(a->text), "%s", weft_last_error()->message);
        }
    }
}

static attempt attempt_of(const char *spec, const char *lr, const char *codec)
{
    return (attempt){
        .spec = spec,
        .count = 112,
        .opts = {.size = sizeof(weft_optim_opts),
                 .lr = lr,
                 .codec = codec,
                 .smoothness = {.L = 2.0, .Lmax = 5.0, .Lrow = 8.0, .mu = 0.5}},
    };
}

static void refused(attempt a, int code, const char *word1, const char *word2)
{
    attempts all = {&a, 1};

    peers_run(1, try_all, &all);
    cr_expect_eq(a.code, code, "%s: %s, \"%s\"", a.spec, weft_status_name(a.code), a.text);
    cr_expect(a.untouched, "%s: the out-parameter was touched", a.spec);
    cr_expect_not_null(strstr(a.text, word1), "\"%s\" does not say \"%s\"", a.text, word1);
    cr_expect_not_null(strstr(a.text, word2), "\"%s\" does not say \"%s\"", a.text, word2);
}

static attempt accepted(attempt a)
{
    attempts all = {&a, 1};

    peers_run(1, try_all, &all);
    cr_assert_eq(a.code, WEFT_OK, "%s: %s", a.spec, a.text);
    return a;
}

Test(optim_open, an_unknown_method_gets_the_names)
{
    refused(attempt_of("dianna", NULL, NULL), WEFT_EINVAL, "did you mean diana",
            "sgd, gd, qsgd, terngrad, dqgd, diana");
    refused(attempt_of("adam", NULL, NULL), WEFT_EINVAL, "\"adam\"",
            "sgd, gd, qsgd, terngrad, dqgd, diana");
    refused(attempt_of("", NULL, NULL), WEFT_EINVAL, "optimizer", "");
}

Test(optim_open, unknown_keys_and_values_out_of_range_get_the_choices)
{
    refused(attempt_of("diana:alpa=1", NULL, NULL), WEFT_EINVAL, "alpa", "momentum");
    refused(attempt_of("sgd:alpha=1", NULL, NULL), WEFT_EINVAL, "alpha", "momentum");
    refused(attempt_of("diana:alpha=1.5", NULL, NULL), WEFT_EINVAL, "alpha", "1");
    refused(attempt_of("diana:alpha=-0.1", NULL, NULL), WEFT_EINVAL, "alpha", "0");
    refused(attempt_of("diana:alpha=nan", NULL, NULL), WEFT_EINVAL, "alpha", "nan");
    refused(attempt_of("gd:momentum=1", NULL, NULL), WEFT_EINVAL, "momentum", "below 1");
    refused(attempt_of("gd:momentum=0.99999999999", NULL, NULL), WEFT_EINVAL, "momentum",
            "below 1");
    refused(attempt_of("sgd:momentum=-1", NULL, NULL), WEFT_EINVAL, "momentum", "-1");
    refused(attempt_of("diana:state=f16", NULL, NULL), WEFT_EINVAL, "f16", "f32|f64");
    refused(attempt_of("diana:prox_l1=-1", NULL, NULL), WEFT_EINVAL, "prox_l1", "-1");
}

Test(optim_open, a_bad_step_size_gets_the_choices)
{
    refused(attempt_of("diana", "fast", NULL), WEFT_EINVAL, "\"fast\"", "theory2019");
    refused(attempt_of("diana", "0", NULL), WEFT_EINVAL, "\"0\"", "theory2019");
}

Test(optim_open, theory_2019_goes_with_one_level_only)
{
    refused(attempt_of("diana", "theory2019", "qsgd:levels=7"), WEFT_ENOTSUP, "qsgd:levels=1",
            "lr=theory");
    refused(attempt_of("diana", "theory2019", "raw"), WEFT_ENOTSUP, "qsgd:levels=1", "lr=theory");
    refused(attempt_of("sgd", "theory2019", "qsgd:levels=1"), WEFT_ENOTSUP, "diana", "lr=theory");
    refused(attempt_of("diana:alpha=0.1", "theory2019", "qsgd:levels=1"), WEFT_EINVAL, "alpha=auto",
            "theory");

    const attempt a =
        accepted(attempt_of("diana", "theory2019*2", "qsgd:levels=1,bucket=16,norm=max"));
    cr_expect_float_eq(a.lr, 2.0 * fmin(0.2 / 0.5, 2.0 / (5.5 * (1.0 + 3.0))), 1e-12);
    cr_expect_not_null(strstr(a.text, "alpha=0.2"), "%s", a.text);
}

Test(optim_open, theory_without_its_values_names_them)
{
    attempt a = attempt_of("diana", NULL, "qsgd:levels=1");

    a.opts.smoothness.Lmax = 0.0;
    refused(a, WEFT_EINVAL, "smoothness.Lmax", "number");
    a.opts.smoothness = (weft_smoothness){0};
    refused(a, WEFT_EINVAL, "smoothness.L:", "number");
    a.opts.lr = "0.25";
    cr_expect_eq(accepted(a).lr, 0.25);
}

Test(optim_open, options_that_are_no_sensible_numbers_are_named)
{
    attempt a = attempt_of("diana", NULL, NULL);

    a.opts.l1 = -1.0;
    refused(a, WEFT_EINVAL, "l1", "-1");
    a.opts.l1 = (double)NAN;
    refused(a, WEFT_EINVAL, "l1", "nan");
    a = attempt_of("diana", NULL, NULL);
    a.opts.smoothness.L = (double)INFINITY;
    refused(a, WEFT_EINVAL, "smoothness.L", "inf");
    a = attempt_of("diana", NULL, NULL);
    a.opts.smoothness.mu = 3.0;
    refused(a, WEFT_EINVAL, "smoothness.mu 3", "smoothness.L 2");
    a = attempt_of("diana", NULL, NULL);
    a.opts.size = 0;
    refused(a, WEFT_EINVAL, "opts->size", "0");
    a = attempt_of("diana", NULL, NULL);
    a.count = 0;
    refused(a, WEFT_EINVAL, "count 0", "2^40");
    a = attempt_of("diana:prox_l1=0.1", NULL, NULL);
    a.opts.l1 = 0.2;
    refused(a, WEFT_EINVAL, "prox_l1", "both");
}

Test(optim_open, gd_refuses_minibatches_and_sgd_takes_them)
{
    attempt a = attempt_of("gd", NULL, NULL);

    a.opts.smoothness.minibatch = 1;
    refused(a, WEFT_ENOTSUP, "gd", "sgd");
    a.spec = "sgd";
    cr_expect_float_eq(accepted(a).lr, 1.0 / 16.0, 1e-15);
}

Test(optim_open, a_bad_codec_is_refused_in_the_codecs_words)
{
    refused(attempt_of("sgd", NULL, "qsgd:levls=7"), WEFT_EINVAL, "levls", "levels");
    refused(attempt_of("sgd", NULL, "zip"), WEFT_EINVAL, "zip", "qsgd");
}

static void starve(weft_group *group, int rank, void *user)
{
    int *tries = user;
    const weft_optim_opts opts =
        attempt_of("diana", "theory", "qsgd:levels=1,bucket=16,norm=max").opts;
    int code = WEFT_ENOMEM;

    (void)rank;
    for (long n = 1; code == WEFT_ENOMEM && n < 1000; n++) {
        weft_optim *o = NULL;

        weft_mem_fail_at(n);
        code = weft_optim_open(&o, group, "diana:state=f64", 112, &opts);
        weft_mem_fail_at(0);
        *tries += code == WEFT_ENOMEM && o == NULL;
        weft_optim_close(&o);
    }
    *tries = code == WEFT_OK ? *tries : -1;
}

Test(optim_open, running_out_of_memory_is_reported_at_every_place)
{
    int tries = 0;

    peers_run(1, starve, &tries);
    cr_expect_geq(tries, 8, "%d places; -1: another error than ENOMEM", tries);
}

Test(optim_open, null_arguments_are_refused)
{
    weft_optim *o = NULL;

    cr_expect_eq(weft_optim_open(NULL, NULL, "gd", 1, NULL), WEFT_EINVAL);
    cr_expect_eq(weft_optim_open(&o, NULL, "gd", 1, NULL), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, "group"));
    cr_expect_eq(weft_optim_step(NULL, NULL, NULL), WEFT_EINVAL);
    weft_optim_close(&o);
    weft_optim_close(NULL);
}

Test(optim_open, full_spec_has_every_key_with_its_value_in_force)
{
    attempt a =
        accepted(attempt_of("diana:momentum=0.5", NULL, "qsgd:levels=1,bucket=16,norm=max"));

    cr_expect_str_eq(a.text, "diana:alpha=0.4,momentum=0.5,clip=0,decay=0,prox_l1=0,prox_l2=0,prox_"
                             "group=0,prox_block=8,prox_low=auto,prox_high=auto,state=f32");
    cr_expect_float_eq(a.lr, 0.5 / (2.0 + 6.0 * 1.5 * 5.0), 1e-15);
    a = accepted(attempt_of("diana", NULL, NULL));
    cr_expect_str_eq(a.text, "diana:alpha=0,momentum=0,clip=0,decay=0,prox_l1=0,prox_l2=0,prox_"
                             "group=0,prox_block=8,prox_low=auto,prox_high=auto,state=f32");
    cr_expect_eq(a.lr, 0.5);
    a = attempt_of("gd", NULL, NULL);
    a.opts.l1 = 0.25;
    a = accepted(a);
    cr_expect_str_eq(a.text, "gd:momentum=0,clip=0,decay=0,prox_l1=0.25,prox_l2=0,prox_group=0,"
                             "prox_block=8,prox_low=auto,prox_high=auto,state=f32");
    cr_expect_eq(a.lr, 0.5, "1/L where there is l1");
}

Test(optim_open, every_name_is_listed_with_its_parameters)
{
    int seen = 0;

    for (int i = 0; weft_optim_info_at(i) != NULL; i++) {
        const weft_info *info = weft_optim_info_at(i);

        cr_assert_not_null(info->params, "%s", info->name);
        cr_expect_not_null(info->scope);
        cr_expect(strlen(info->summary) > 0 && strlen(info->cost) > 0 && strlen(info->source) > 0);
        seen += strcmp(info->name, "sgd") == 0 || strcmp(info->name, "gd") == 0 ||
                strcmp(info->name, "diana") == 0;
    }
    cr_expect_eq(seen, 3);
    cr_expect_null(weft_optim_info_at(-1));
}
