/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of `weft train` ask for: one problem, one or more runs on it. */
#ifndef WEFT_TOOLS_TRAIN_SETTINGS_H
#define WEFT_TOOLS_TRAIN_SETTINGS_H

#include "cli.h"
#include "problem_logistic.h"

/* One run: the options, overridden by the words of one --run string. */
typedef struct weft_train_spec {
    char *name;      /* given, else the run's text, else the optimizer's */
    char *optimizer; /* SPEC */
    char *codec;     /* SPEC, every key spelled out */
    char *algo;      /* SPEC */
    char *lr;        /* "0.1", "theory*4" */
    size_t batch;    /* rows of a minibatch; 0: all of the shard */
    uint64_t steps;  /* updates */
    uint64_t every;  /* trace each so many steps */
} weft_train_spec;

typedef struct weft_train_settings {
    const weft_libsvm *data;
    const char *data_path;
    weft_shards shards;
    double l1, l2;
    bool l2_auto;  /* l2 = lambda_max / (4 N) / 99: condition number 100 */
    double target; /* stop at this gap; negative: never */
    uint64_t seed;
    const char *plot, *dump, *json; /* NULL: not wanted */
    weft_train_spec *runs;
    size_t run_count;
} weft_train_settings;

/* Read them (all but the data). 0, or the exit status after telling what is wrong. */
int weft_train_settings_from(const weft_cli *cli, weft_train_settings *ret);
void weft_train_settings_free(weft_train_settings *settings);

#endif
