/* SPDX-License-Identifier: Apache-2.0 */
/* Methods in one way each, for tests that hold for all, and a model in tensors. */
#ifndef WEFT_TESTS_OPTIM_KINDS_H
#define WEFT_TESTS_OPTIM_KINDS_H

#include <weft/optim.h>

#define FOUR_BITS "qsgd:levels=7,bucket=8,norm=max"

enum { COUNT = 67, TENSORS = 4 };

static const weft_tensor tensors[] = {{"a", 3}, {"b", 40}, {"c", 1}, {"d", 23}};
static const size_t firsts[] = {0, 3, 43, 44};

typedef struct kind {
    const char *spec, *lr, *codec, *algo, *reply;
} kind;

static const kind kinds[] = {
    {"gd", "0.1", "raw", NULL, NULL},
    {"sgd:momentum=0.5", "0.1", FOUR_BITS, NULL, NULL},
    {"terngrad", "0.05", NULL, NULL, NULL},
    {"diana:momentum=0.5", "0.1", FOUR_BITS, NULL, NULL},
    {"diana:state=f64", "0.1", FOUR_BITS, NULL, NULL},
    {"diana", "0.1", FOUR_BITS, "scatter", FOUR_BITS},
    {"ef", "0.05", "topk:k=8", NULL, NULL},
    {"ef", "0.05", "sign", NULL, NULL},
    {"gtopk:momentum=0.5,correction=yes", "0.05", "topk:k=8", NULL, NULL},
    {"ef21", "0.05", "topk:k=8", NULL, NULL},
    {"signsgd", "0.01", NULL, NULL, NULL},
    {"signum", "0.01", NULL, NULL, NULL},
    {"onebit_adam:warmup=3", "0.01", NULL, NULL, NULL},
    {"vr_diana:period=2", "0.05", FOUR_BITS, NULL, NULL},
    {"qsvrg:inner=5", "0.05", NULL, NULL, NULL},
    {"local:local=3,inner_lr=0.05", "0.7", "topk:k=8", NULL, NULL},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

#endif
