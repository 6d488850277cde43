/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of `weft train` ask for: one problem, one or more runs on it. */
#ifndef WEFT_TOOLS_TRAIN_SETTINGS_H
#define WEFT_TOOLS_TRAIN_SETTINGS_H

#include "cli.h"
#include "problem.h"

/* One run: the options, overridden by the words of one --run string. */
typedef struct weft_train_spec {
    char *name;       /* given, else the run's text, else the optimizer's */
    char *optimizer;  /* SPEC */
    char *codec;      /* SPEC, every key spelled out; NULL: what goes with the optimizer */
    char *reply;      /* the same of replies; NULL: none */
    char *schedule;   /* SPEC */
    bool requantized; /* replies are encoded like contributions where no codec is given for them */
    char *algo;       /* SPEC */
    char *lr;         /* "0.1", "theory*4" */
    size_t batch;     /* rows of a minibatch; 0: all of the shard */
    uint64_t steps;   /* updates; 0: epochs tell */
    uint64_t epochs;  /* passes over the shard; 0: steps tell */
    uint64_t every;   /* trace each so many steps; 0: steps / 100, or an epoch */
} weft_train_spec;

typedef struct weft_train_settings {
    const weft_dataset *data, *test;                                    /* test: NULL, none */
    const char *data_path, *labels_path, *test_path, *test_labels_path; /* NULL: not given */
    const char *problem;                                                /* SPEC */
    const weft_problem_kind *kind;                                      /* what it names */
    size_t rows; /* of the data that are used; 0: all */
    weft_shards shards;
    double l1, l2;
    bool l2_auto;  /* l2 = L of the data / 99: condition number 100 */
    double target; /* stop at this gap; negative: never */
    uint64_t seed;
    const char *plot, *dump, *json; /* NULL: not wanted */
    const char *save, *load;        /* checkpoints of the only run; NULL: not wanted */
    uint64_t save_every;            /* steps between two of them; 0: at the end alone */
    size_t small;                   /* tensors of fewer floats go as they are */
    weft_train_spec *runs;
    size_t run_count;
} weft_train_settings;

/* Read them (all but the data). 0, or the exit status after telling what is wrong. */
int weft_train_settings_from(const weft_cli *cli, weft_train_settings *ret);
/* Updates and trace interval of a run on shards of so many rows, an update taking `each`
 * minibatches. */
uint64_t weft_train_steps(const weft_train_spec *run, size_t shard_rows, uint64_t each);
uint64_t weft_train_every(const weft_train_spec *run, size_t shard_rows, uint64_t each);
/* Minibatches of an epoch: what is left of the shard after the last is another on each. */
uint64_t weft_train_minibatches(const weft_train_spec *run, size_t shard_rows);
void weft_train_settings_free(weft_train_settings *settings);

#endif
