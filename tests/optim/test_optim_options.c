/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors and combinations that are refused, bounds that are told, and running out of memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/mem.h"
#include "optim_peers.h"
#include <weft/weft.h>

#define FOUR_BITS "qsgd:levels=7,bucket=8,norm=max"

enum { COUNT = 112 };

typedef struct attempt {
    const char *spec;
    weft_optim_opts opts;
    int code;
    double bound;
    char text[512];
} attempt;

static void try_it(weft_group *group, int rank, void *user)
{
    attempt *a = user;
    weft_optim *o = NULL;
    const int code = weft_optim_open(&o, group, a->spec, COUNT, &a->opts);

    if (rank == 0) {
        a->code = code;
        a->bound = code == WEFT_OK ? weft_optim_bound(o) : 0.0;
        snprintf(a->text, sizeof(a->text), "%s", weft_last_error()->message);
    }
    weft_optim_close(&o);
}

static attempt of(const char *spec, const char *lr, const char *codec)
{
    return (attempt){
        .spec = spec,
        .opts = {.size = sizeof(weft_optim_opts),
                 .lr = lr,
                 .codec = codec,
                 .smoothness = {.L = 2.0, .Lmax = 5.0, .Lrow = 8.0, .mu = 0.5}},
    };
}

static void refused(attempt a, int code, const char *word)
{
    peers_run(1, try_it, &a);
    cr_expect_eq(a.code, code, "%s: %s, \"%s\"", a.spec, weft_status_name(a.code), a.text);
    cr_expect_not_null(strstr(a.text, word), "\"%s\" does not say \"%s\"", a.text, word);
    cr_expect_not_null(strstr(a.text, a.spec), "\"%s\" does not name %s", a.text, a.spec);
}

static double bound(attempt a, int peers)
{
    peers_run(peers, try_it, &a);
    cr_expect_eq(a.code, WEFT_OK, "%s: %s", a.spec, a.text);
    return a.bound;
}

/* --- tensors ------------------------------------------------------------------------------- */

static attempt with(const weft_tensor *tensors, size_t count, const char *raw)
{
    attempt a = of("qsgd", "0.1", NULL);

    a.opts.tensors = tensors;
    a.opts.tensor_count = count;
    a.opts.raw = raw;
    return a;
}

Test(optim_options, tensors_that_are_no_model_are_refused)
{
    static const char long_name[] =
        "a234567890123456789012345678901234567890123456789012345678901234";
    const weft_tensor twice[] = {{"w", 50}, {"b", 12}, {"w", 50}}, fewer[] = {{"w", 50}, {"b", 12}},
                      more[] = {{"w", 100}, {"b", 13}}, huge[] = {{"w", SIZE_MAX}, {"b", 113}},
                      none[] = {{"w", 112}, {"b", 0}}, nameless[] = {{"w", 100}, {NULL, 12}},
                      empty[] = {{"w", 100}, {"", 12}}, spaced[] = {{"w", 100}, {"b c", 12}},
                      comma[] = {{"w", 100}, {"b,c", 12}},
                      longest[] = {{"w", 100}, {long_name + 1, 12}},
                      longer[] = {{"w", 100}, {long_name, 12}}, good[] = {{"w", 100}, {"b", 12}};

    refused(with(twice, 3, NULL), WEFT_EINVAL, "tensors 0 and 2 are both named w");
    refused(with(fewer, 2, NULL), WEFT_EINVAL, "fewer elements than the 112");
    refused(with(more, 2, NULL), WEFT_EINVAL, "more elements than the 112");
    refused(with(huge, 2, NULL), WEFT_EINVAL, "more elements than the 112");
    refused(with(none, 2, NULL), WEFT_EINVAL, "tensor b has no elements");
    refused(with(nameless, 2, NULL), WEFT_EINVAL, "tensor 1");
    refused(with(empty, 2, NULL), WEFT_EINVAL, "tensor 1");
    refused(with(spaced, 2, NULL), WEFT_EINVAL, "\"b c\"");
    refused(with(comma, 2, NULL), WEFT_EINVAL, "\"b,c\"");
    refused(with(longer, 2, NULL), WEFT_EINVAL, "1 to 63 characters");
    bound(with(longest, 2, long_name + 1), 1);
    refused(with(good, 0, NULL), WEFT_EINVAL, "0 tensors");
    refused(with(good, 65537, NULL), WEFT_EINVAL, "65537 tensors");
    refused(with(NULL, 2, NULL), WEFT_EINVAL, "without tensors");
}

Test(optim_options, raw_names_are_those_of_tensors)
{
    const weft_tensor good[] = {{"w", 100}, {"b", 12}};
    attempt votes = with(good, 2, "w");

    bound(with(good, 2, "b,w"), 1);
    bound(with(good, 2, ""), 1);
    refused(with(good, 2, "w,bias"), WEFT_EINVAL, "named \"bias\"");
    refused(with(good, 2, "w,,b"), WEFT_EINVAL, "named \"\"");
    refused(with(good, 2, "W"), WEFT_EINVAL, "named \"W\"");
    refused(with(good, 2, "w b"), WEFT_EINVAL, "named \"w b\"");
    refused(with(NULL, 0, "x"), WEFT_EINVAL, "without tensors");
    votes.spec = "signsgd";
    refused(votes, WEFT_ENOTSUP, "raw");
}

typedef struct crowd {
    size_t tensors, small;
    int code[2], right[2];
    char text[256];
} crowd;

/* As many tensors as there may be, in reverse order of their names. */
static void step_crowd(weft_group *group, int rank, void *user)
{
    crowd *c = user;
    const size_t n = c->tensors;
    weft_tensor *tensors = calloc(n, sizeof(*tensors));
    char(*names)[24] = calloc(n, sizeof(*names));
    float *x = calloc(3 * n, sizeof(*x)), *g = calloc(3 * n, sizeof(*g));
    weft_optim *o = NULL;

    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "t%zu", n - i);
        tensors[i] = (weft_tensor){names[i], 3};
        for (size_t j = 0; j < 3; j++) {
            g[3 * i + j] = rank == 0 ? 1.0f : (float)(i % 64) + (float)j;
        }
    }
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "0.5",
                                  .codec = "sign",
                                  .tensors = tensors,
                                  .tensor_count = n,
                                  .small = c->small};
    c->code[rank] = weft_optim_open(&o, group, "ef", 3 * n, &opts);
    if (c->code[rank] == WEFT_OK) {
        c->code[rank] = weft_optim_step(o, x, g);
    }
    if (c->code[rank] != WEFT_OK) {
        snprintf(c->text, sizeof(c->text), "%s", weft_last_error()->message);
    }
    c->right[rank] = 1;
    for (size_t i = 0; i < n; i++) {
        const float a = (float)(i % 64);
        for (size_t j = 0; j < 3; j++) {
            /* As it is, or the mean magnitude of its own tensor. */
            const float theirs =
                c->small > 3 ? a + (float)j : (float)(((double)a * 3.0 + 3.0) / 3.0);
            c->right[rank] &=
                fabsf(x[3 * i + j] + (0.5f + 0.5f * theirs) / 2.0f) <= 1e-5f * (1.0f + theirs);
        }
    }
    weft_optim_close(&o);
    free(tensors);
    free(names);
    free(x);
    free(g);
}

Test(optim_options, as_many_tensors_as_there_may_be_take_a_step)
{
    crowd all[] = {{.tensors = 65536, .small = 10}, {.tensors = 300, .small = 1}};

    for (int i = 0; i < 2; i++) {
        peers_run(2, step_crowd, &all[i]);
        for (int r = 0; r < 2; r++) {
            cr_expect_eq(all[i].code[r], WEFT_OK, "%s", all[i].text);
            cr_expect(all[i].right[r], "%zu tensors, rank %d: another model", all[i].tensors, r);
        }
    }
}

/* --- what does not go together ------------------------------------------------------------- */

static attempt replies(attempt a, const char *reply)
{
    a.opts.reply_codec = reply;
    a.opts.algo = "scatter";
    return a;
}

static attempt by(attempt a, const char *algo)
{
    a.opts.algo = algo;
    return a;
}

Test(optim_options, combinations_without_a_meaning_are_refused)
{
    attempt parted = of("diana:state=f64", "0.1", FOUR_BITS);
    const weft_tensor two[] = {{"w", 100}, {"b", 12}};

    parted.opts.tensors = two;
    parted.opts.tensor_count = 2;
    refused(parted, WEFT_ENOTSUP, "state=f64");
    refused(replies(of("diana:state=f64", "0.1", FOUR_BITS), FOUR_BITS), WEFT_ENOTSUP, "state=f64");
    refused(of("sgd:state=f64,clip=1", "0.1", "raw"), WEFT_ENOTSUP, "clip");
    refused(of("ef:state=f64", "0.1", "sign"), WEFT_ENOTSUP, "state=f64");
    refused(of("ef21:state=f64", "0.1", NULL), WEFT_ENOTSUP, "state=f64");
    refused(of("qsvrg:state=f64", "0.1", NULL), WEFT_ENOTSUP, "state=f64");
    refused(of("local:state=f64", "0.1", NULL), WEFT_ENOTSUP, "state=f64");
    refused(of("signum:momentum=0.5", "0.1", NULL), WEFT_ENOTSUP, "beta");
    refused(of("signsgd:clip=1", "0.1", NULL), WEFT_ENOTSUP, "clip");
    refused(of("onebit_adam:momentum=0.5", "0.1", NULL), WEFT_ENOTSUP, "beta1");
    refused(of("onebit_adam:beta2=1", "0.1", NULL), WEFT_EINVAL, "beta2 1");
    refused(of("signum:beta=1", "0.1", NULL), WEFT_EINVAL, "beta 1");
    refused(of("local:inner_momentum=1", "0.1", NULL), WEFT_EINVAL, "inner_momentum 1");
    refused(of("gtopk:correction=yes", "0.1", NULL), WEFT_EINVAL, "momentum");
    refused(of("ef:momentum=0.9,correction=yes", "0.1", "sign"), WEFT_ENOTSUP, "nearly everywhere");
    refused(of("onebit_adam:beta2=0.999999999", "0.1", NULL), WEFT_EINVAL, "below 1");
    refused(by(of("ef21", "0.1", NULL), "gtopk_tree"), WEFT_ENOTSUP, "merged");
    refused(by(of("onebit_adam", "0.1", NULL), "gather"), WEFT_ENOTSUP, "replies");
    refused(of("onebit_adam", "0.1", "topk:k=8"), WEFT_ENOTSUP, "as a whole");
    refused(replies(of("sgd", "0.1", "randk"), "randk"), WEFT_ENOTSUP, "draws alike");
    refused(of("ef21", "theory", "topk:values=qsgd4"), WEFT_ENOTSUP, "theory");
    attempt summed = of("signsgd", "0.1", NULL);
    summed.opts.algo = "scatter";
    refused(summed, WEFT_ENOTSUP, "algorithm vote");
    refused(of("gd:prox_group=1,prox_low=0", "0.1", NULL), WEFT_ENOTSUP, "prox_group");
    refused(of("gd:prox_low=1,prox_high=0", "0.1", NULL), WEFT_EINVAL, "prox_low 1");
    refused(of("gd:decay=10", "0.1", NULL), WEFT_EINVAL, "decay");
    refused(replies(of("ef21", "0.1", NULL), FOUR_BITS), WEFT_ENOTSUP, "reply");
    refused(replies(of("signum", "0.1", NULL), FOUR_BITS), WEFT_ENOTSUP, "reply");
    refused(replies(of("diana", "0.1", FOUR_BITS), "sign"), WEFT_ENOTSUP, "unbiased reply");
    refused(replies(of("sgd", "0.1", FOUR_BITS), "topk:k=3"), WEFT_ENOTSUP, "unbiased reply");
}

Test(optim_options, codecs_that_a_method_cannot_stand_are_refused)
{
    static const char *const unbiased[] = {"sgd",   "gd",       "qsgd", "dqgd",
                                           "diana", "vr_diana", "qsvrg"};
    static const char *const biased[] = {"topk:k=3", "sign", "onebit", "tern:clip=2.5"};

    for (size_t i = 0; i < sizeof(unbiased) / sizeof(unbiased[0]); i++) {
        for (size_t j = 0; j < sizeof(biased) / sizeof(biased[0]); j++) {
            refused(of(unbiased[i], "0.1", biased[j]), WEFT_ENOTSUP, "ef21");
        }
    }
    refused(of("gtopk", "0.1", "sign"), WEFT_ENOTSUP, "codec topk");
    refused(of("signum", "0.1", "topk:k=3"), WEFT_ENOTSUP, "sign:scaled=no");
    refused(of("signsgd", "0.1", "sign:scaled=yes"), WEFT_ENOTSUP, "sign:scaled=no");
    refused(of("terngrad", "0.1", FOUR_BITS), WEFT_ENOTSUP, "codec tern");
    refused(of("ef21", "0.1", FOUR_BITS), WEFT_ENOTSUP, "take diana");
}

Test(optim_options, theorys_step_is_refused_where_there_is_none)
{
    static const char *const none[] = {"signsgd", "signum", "onebit_adam", "qsvrg", "local"};
    attempt rows = of("ef21", "theory", "topk:k=3");

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        refused(of(none[i], "theory", NULL), WEFT_ENOTSUP, "number");
        refused(of(none[i], NULL, NULL), WEFT_ENOTSUP, "number");
    }
    refused(of("ef21", "theory", "sign"), WEFT_ENOTSUP, "topk");
    refused(of("terngrad", "theory", "tern:clip=2.5"), WEFT_ENOTSUP, "clipping");
    rows.opts.smoothness.minibatch = 1;
    refused(rows, WEFT_ENOTSUP, "full gradients");
    refused(of("ef", "theory2019", NULL), WEFT_ENOTSUP, "diana's");
    refused(of("sgd", "theory_nonconvex", FOUR_BITS), WEFT_ENOTSUP, "diana's");
    refused(of("diana:alpha=0.1", "theory_nonconvex", FOUR_BITS), WEFT_EINVAL, "alpha=auto");
    refused(of("diana:prox_l1=0.1", "theory_nonconvex", FOUR_BITS), WEFT_ENOTSUP, "prox");
    refused(of("ef", "theory", "qsgd:levels=1,bucket=0,norm=2"), WEFT_ENOTSUP, "omega is");
}

/* What it loses is (length of a group - 1) times what it is given: feedback would grow by that. */
Test(optim_options, feedback_refuses_a_codec_that_loses_more_than_it_is_given)
{
    static const char *const keepers[] = {"ef", "ef21", "onebit_adam", "local"};

    for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
        refused(of(keepers[i], "0.1", "randk:density=0.1"), WEFT_ENOTSUP, "topk");
    }
}

static void is(double got, double want, const char *what)
{
    cr_expect(fabs(got - want) <= 1e-12 * want, "%s: %.17g, not %.17g", what, got, want);
}

Test(optim_options, bounds_are_theorys_whatever_lr_is)
{
    const double omega = (sqrt(1.0 + 7.0 / 49.0) - 1.0) / 2.0, delta = 28.0 / COUNT;
    const double t = 1.0 - sqrt(1.0 - delta), b = (1.0 - delta) / t;
    attempt rows = of("sgd", "0.1", FOUR_BITS);

    rows.opts.smoothness.minibatch = 1;
    is(bound(of("gd", "0.1", "raw"), 4), 2.0 / 2.5, "gd");
    is(bound(of("gd:prox_l1=0.1", "77", "raw"), 4), 1.0 / 2.0, "gd with l1");
    is(bound(of("gd:momentum=0.75", "0.1", "raw"), 4), 0.25 * 2.0 / 2.5, "gd with momentum");
    is(bound(of("sgd", "0.1", FOUR_BITS), 4), 1.0 / (2.0 + 2.0 * omega * 5.0 / 4.0), "sgd");
    is(bound(rows, 4), 1.0 / (16.0 * (1.0 + 6.0 * omega / 4.0)), "sgd by rows");
    is(bound(of("diana", "theory*8", FOUR_BITS), 4), 1.0 / (2.0 + 6.0 * omega * 5.0 / 4.0),
       "diana");
    is(bound(replies(of("diana", "0.1", FOUR_BITS), FOUR_BITS), 4),
       1.0 / (2.0 + 6.0 * omega * 5.0 / 4.0) / (1.0 + omega), "diana with replies");
    is(bound(of("vr_diana", "0.1", FOUR_BITS), 4), 1.0 / (8.0 * (1.0 + 36.0 * (1.0 + omega) / 4.0)),
       "vr_diana");
    is(bound(of("ef21", "0.1", "topk:k=28"), 4), 1.0 / (2.0 + 5.0 * sqrt(b / t)), "ef21");
    is(bound(of("ef", "0.1", "sign"), 4), 1.0 / 2.0, "ef");
    /* All peers draw alike, and their errors do not average out: as if there were one. */
    is(bound(of("sgd", "0.1", "randk:density=0.25"), 4), 1.0 / (2.0 + 2.0 * 3.0 * 5.0),
       "sgd through randk");
    is(bound(of("diana", "0.1", "randk:density=0.25"), 4), 1.0 / (2.0 + 6.0 * 3.0 * 5.0),
       "diana through randk");
    is(bound(of("diana", "theory_nonconvex", FOUR_BITS), 4),
       2.0 / (5.0 * (1.0 + 4.0 * omega / 4.0)), "diana without convexity");
    cr_expect_eq(bound(of("ef", "0.1", "qsgd:levels=1,bucket=0,norm=2"), 2), 0.0, "omega above 1");
    cr_expect_eq(bound(of("signum", "0.1", NULL), 2), 0.0);
    cr_expect_eq(bound(of("ef21", "0.1", "sign"), 2), 0.0);
    /* Of signs only where replies are to be: raw ones go by any algorithm. */
    cr_expect_eq(bound(by(replies(of("onebit_adam", "0.1", NULL), "raw"), "gather"), 2), 0.0);
    cr_expect_eq(bound(of("terngrad", "0.1", "tern:clip=2.5"), 2), 0.0);
    cr_expect_eq(bound(of("diana:alpha=1", "0.1", FOUR_BITS), 2), 0.0, "alpha above 1/(1+omega)");
    rows = of("gd", "0.1", NULL);
    rows.opts.smoothness = (weft_smoothness){0};
    cr_expect_eq(bound(rows, 2), 0.0, "nothing is known");
}

/* --- no memory ----------------------------------------------------------------------------- */

static const char *const tried[] = {"diana:state=f64", "diana",      "ef", "gtopk:epoch=3", "ef21",
                                    "signum",          "onebit_adam"};
enum { TRIED = sizeof(tried) / sizeof(tried[0]) };

typedef struct hunger {
    const char *spec;
    long at; /* the place in a step */
    int open_tries, wrong, moved, code;
    char text[256];
} hunger;

static int hungry_open(const hunger *h, weft_group *group, weft_optim **ret)
{
    const weft_tensor tensors[] = {{"w", 100}, {"b", 12}};
    const int parts = strstr(h->spec, "f64") == NULL;
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "0.1",
                                  .tensors = parts ? tensors : NULL,
                                  .tensor_count = parts ? 2 : 0,
                                  .small = 20,
                                  .codec = strncmp(h->spec, "diana", 5) == 0 ? FOUR_BITS : NULL};

    return weft_optim_open(ret, group, h->spec, COUNT, &opts);
}

static void starve_open(weft_group *group, int rank, void *user)
{
    hunger *h = user;
    int code = WEFT_ENOMEM;

    (void)rank;
    for (long n = 1; code == WEFT_ENOMEM && n < 1000; n++) {
        weft_optim *o = NULL;
        weft_mem_fail_at(n);
        code = hungry_open(h, group, &o);
        weft_mem_fail_at(0);
        h->open_tries += code == WEFT_ENOMEM && o == NULL;
        weft_optim_close(&o);
    }
    h->wrong += code != WEFT_OK;
}

/* A group of one: others would miss this peer. What the engine cannot go on without breaks the
 * group, so every place gets a group of its own. */
static void starve_step(weft_group *group, int rank, void *user)
{
    hunger *h = user;
    float x[COUNT] = {0}, g[COUNT];
    weft_optim *o = NULL;

    (void)rank;
    for (int j = 0; j < COUNT; j++) {
        g[j] = (float)(j - 50) + 0.5f;
    }
    h->code = hungry_open(h, group, &o);
    weft_mem_fail_at(h->at);
    h->code = h->code == WEFT_OK ? weft_optim_step(o, x, g) : WEFT_EINTERNAL;
    weft_mem_fail_at(0);
    snprintf(h->text, sizeof(h->text), "%s", weft_last_error()->message);
    for (int j = 0; h->code != WEFT_OK && j < COUNT; j++) {
        h->moved += x[j] != 0.0f;
    }
    if (h->code == WEFT_ENOMEM) { /* then it goes on, or the group is broken */
        const int again = weft_optim_step(o, x, g);
        h->wrong += again != WEFT_OK && again != WEFT_EBROKEN && again != WEFT_ENOMEM;
    }
    weft_optim_close(&o);
}

Test(optim_options, a_codec_is_the_same_with_its_defaults_spelled_out)
{
    cr_expect_eq(bound(of("ef21", "0.1", "topk"), 2),
                 bound(of("ef21", "0.1", "topk:density=0.01"), 2));
    cr_expect_lt(bound(of("ef21", "0.1", "topk"), 2), bound(of("ef21", "0.1", "raw"), 2));
}

/* The group's rule is WEFT_ALGO where no option gives one. */
Test(optim_options, scales_that_a_rule_makes_shared_are_in_the_bound)
{
    const double alone = bound(of("diana", "0.1", FOUR_BITS), 2);
    const double shared = bound(by(of("diana", "0.1", FOUR_BITS), "shared"), 2);

    cr_expect_lt(shared, alone);
    cr_assert_eq(setenv("WEFT_ALGO", "shared", 1), 0);
    cr_expect_eq(bound(of("diana", "0.1", FOUR_BITS), 2), shared);
    refused(of("ef21", "0.1", NULL), WEFT_ENOTSUP, "shared");
    unsetenv("WEFT_ALGO");
}

Test(optim_options, running_out_of_memory_is_reported_wherever_it_happens)
{
    for (size_t i = 0; i < TRIED; i++) {
        hunger h = {.spec = tried[i], .code = WEFT_ENOMEM};

        peers_run(1, starve_open, &h);
        cr_expect_geq(h.open_tries, 8, "%s: %d places", h.spec, h.open_tries);
        for (h.at = 1; h.code != WEFT_OK && h.at < 300; h.at++) {
            peers_run(1, starve_step, &h);
            cr_expect(h.code == WEFT_OK || h.code == WEFT_ENOMEM || h.code == WEFT_EBROKEN,
                      "%s, place %ld: %s", h.spec, h.at, h.text);
        }
        cr_expect_gt(h.at, 2, "%s: a step that needs no memory", h.spec);
        cr_expect_eq(h.code, WEFT_OK, "%s: %s", h.spec, h.text);
        cr_expect_eq(h.wrong, 0, "%s: %s", h.spec, h.text);
        cr_expect_eq(h.moved, 0, "%s: a failed step moved the model", h.spec);
    }
}
