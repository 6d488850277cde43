/* SPDX-License-Identifier: Apache-2.0 */
/* One training run, seen from one peer. */
#ifndef WEFT_TOOLS_TRAIN_LOOP_H
#define WEFT_TOOLS_TRAIN_LOOP_H

#include "peers.h"
#include "problem.h"
#include "trace.h"
#include "train_settings.h"

/* What a run left behind. The trace and the model are the same on every peer. */
typedef struct weft_train_result {
    char *optimizer; /* SPEC with every value in force */
    char *codec;     /* the same */
    double bound;    /* theory's largest step size; 0: not known */
    char algo[64];   /* the algorithm that ran */
    double lr;
    weft_trace trace;
    float *model;      /* dim floats */
    uint32_t *crc32c;  /* of the model, per rank */
    uint64_t diverged; /* the step after which f was not finite; 0: it was */
    bool equal;        /* every peer has the same model */
} weft_train_result;

/* Run. An exit status; on failure it has been told, and the result holds what there was. */
int weft_train_loop(weft_peer *peer, const weft_train_settings *settings,
                    const weft_train_spec *run, size_t index, weft_problem *problem,
                    weft_train_result *ret);
void weft_train_result_free(weft_train_result *result);

#endif
