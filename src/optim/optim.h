/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Optimizers: a row of optims.def and one file each.
 *
 *   optim.c        the table, what it holds, what is asked of it
 *   optim_open.c   options, and the SPEC
 *   optim_parts.c  the model in parts, an exchange of all of them
 *   optim_run.c    a step, whole or in pieces
 *   optim_save.c, optim_load.c, checkpoint.c
 *   lr_schedule.c, prox.c, theory.c, state64.c
 *
 * A step works on scratch until its last collective has succeeded on all peers, then commits
 * everything: a failed step leaves model and state as they were and draws the same random numbers
 * when it is tried again. Everything that every peer must hold with equal bits goes through
 * weft_kernel_*, or is computed element by element in one order.
 */
#ifndef WEFT_OPTIM_OPTIM_H
#define WEFT_OPTIM_OPTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spec.h"
#include "optim/lr_schedule.h"
#include "optim/prox.h"
#include "optim/state64.h"
#include "optim/theory.h"
#include <weft/collective.h>
#include <weft/info.h>
#include <weft/optim.h>

enum { WEFT_TENSOR_NAME = 64 };

/* What the vector m is of a method. */
typedef enum weft_m { WEFT_M_SCRATCH, WEFT_M_OWN, WEFT_M_SHARED } weft_m;

/* A vector of the state, for checkpoints. */
typedef struct weft_vector {
    const char *name;
    void *data;
    size_t bytes;     /* of an element */
    bool own;         /* each peer has its own; the mean goes with it */
    const void *mean; /* of an own one: this is it; NULL: it has to be computed */
} weft_vector;
enum { WEFT_VECTORS = 13 };

/* A name that a method goes by, and what goes with it. */
typedef struct weft_optim_name {
    weft_info info;
    const char *codec; /* where none is asked for; NULL: raw */
    const char *algo;  /* the same; NULL: by WEFT_ALGO or auto */
    bool full_only;    /* takes gradients of the whole f_i only */
    bool any_codec;    /* biased ones too: what they lose is kept */
    bool signs;        /* its parts are votes: nothing goes as it is */
    bool oracle;       /* asks for gradients itself */
    bool summed;       /* what a peer sends is in the sum, all of it: hbar is the mean of all h */
    weft_m m;
} weft_optim_name;

/* What one operation of an exchange carries: one tensor, or several that go as they are. */
typedef struct weft_part {
    size_t first, count; /* elements of the model */
    size_t tensor, tensors;
    bool raw;
    double share; /* of it that topk sends; 0: another codec */
    size_t waits; /* tensors that are not ready yet */
    const float *message;
    int64_t began; /* when its operation did (weft_now()) */
    weft_request *request;
    weft_receipt receipt;
} weft_part;

typedef struct weft_piece { /* a tensor */
    char name[WEFT_TENSOR_NAME];
    size_t first, count;
    size_t part;
    bool raw; /* goes as it is */
    bool ready;
} weft_piece;

typedef struct weft_optim_type {
    bool wide;                    /* takes state=f64 */
    const weft_optim_name *names; /* ends with info.name NULL */
    /* lr (theory's before its factor), bound and own keys, from rule, setting and SPEC. */
    int (*steps)(weft_optim *o);
    /* Reserve the vectors that the method needs besides mean and v. */
    int (*reserve)(weft_optim *o);
    /* A step begins; NULL: nothing to do. */
    void (*begin)(weft_optim *o);
    /* What this peer gives of a part, or of one of its tensors, from the gradient of just that:
     * in its place in o->work, or the gradient itself. NULL: the gradient. */
    const float *(*message)(weft_optim *o, const float *gradient, const weft_part *p);
    /* Collectives besides the exchange, before anything changes; NULL: none. */
    int (*settle)(weft_optim *o, const float *x);
    /* All is there: state and x become what they are after the step. */
    void (*commit)(weft_optim *o, float *x);
    /* Of methods that ask for gradients: what goes in place of the gradient, into o->estimate. */
    int (*estimate)(weft_optim *o, const float *x, weft_gradient_fn *fn, void *user);
    /* A checkpoint was loaded; NULL: nothing to do. */
    void (*loaded)(weft_optim *o);
} weft_optim_type;

struct weft_optim {
    const weft_optim_type *type;
    const weft_optim_name *name;
    weft_spec spec;
    char text[WEFT_SPEC_TEXT]; /* the full SPEC */
    weft_group *group;
    size_t count;
    char *codec, *algo, *reply;   /* SPECs of every exchange; NULL: none */
    char *codec_now;              /* in place of codec in the step under way; NULL */
    double warm;                  /* where a part's share is below this one */
    bool reply_biased, reply_raw; /* raw: asked for */
    weft_lr_rule rule;
    weft_schedule schedule;
    weft_prox prox;
    weft_setting setting;
    double lr, bound, alpha; /* in force; lr before the schedule */
    double clip, decay;      /* 0: none */
    uint64_t steps;          /* done */
    bool torn;               /* a step failed: find out where the others are */
    bool held;               /* it ended in the barrier: all that it needs is here */
    bool taken;              /* and others have taken it: it is committed as it is held */
    bool begun;
    bool asking; /* the gradient function of this step runs */
    bool exact;  /* the step under way encodes nothing */

    weft_piece *pieces;
    size_t piece_count;
    weft_part *parts;
    size_t part_count, started; /* started: parts from the last on */
    int64_t known;              /* when all gradients of this step were (weft_now()) */

    /* Vectors of count floats; NULL: not held. */
    float *mean;     /* scratch: result of the exchange */
    float *work;     /* scratch: what is exchanged */
    float *given;    /* scratch: gradients of tensors that travel together, of steps in pieces */
    float *estimate; /* scratch: of methods that ask for gradients */
    float *q;        /* own decoded message */
    float *h;        /* own memory */
    float *hbar;     /* mean of all h, the same on all peers */
    float *v;        /* direction of the last step, with momentum its state */
    float *m;        /* a second vector of the method's own */
    float *m_next;   /* what m becomes when the step is committed; NULL: commit() does it */
    float *second;   /* second moments, the same on all peers */
    float *anchor;   /* an earlier model, the same on all peers */
    float *residual, *residual_next;
    float *memory, *memory_next;   /* H of replies */
    float *owned;                  /* scratch: exact mean where this peer owns it */
    weft_state64 *wide;            /* state=f64: what h, hbar and v are roundings of; else NULL */
    bool stale;                    /* what comes from the anchor is to be computed anew */
    weft_step_cost cost, spending; /* of the last step; of the step under way */
    char used[64], using[64];      /* algorithm of the last step; of the step under way */
};

/* Rows that end the tables of all methods. */
// clang-format off
#define WEFT_OPTIM_PARAMS                                                                          \
    {.key = "momentum", .value = "0", .max = 1.0, .help = "beta of v = beta v + g, below 1"},      \
    {.key = "clip", .value = "0", .max = 1e30,                                                     \
     .help = "longest direction, Euclidean norm over all tensors; 0: any"},                        \
    {.key = "decay", .value = "0", .max = 1e30,                                                    \
     .help = "x is multiplied by 1 - lr decay in each step"},                                      \
    WEFT_PROX_PARAMS                                                                               \
    {.key = "state", .value = "f32", .choices = "f32|f64",                                         \
     .help = "precision of model and memories on the peer (sgd and diana)"},                       \
    {.key = NULL}
// clang-format on

/* Value of a number parameter of this optimizer's SPEC; the key must be in its table. */
double weft_optim_number(const weft_optim *o, const char *key);
/* Index of the word of a word parameter. */
int weft_optim_choice(const weft_optim *o, const char *key);
/* true: the SPEC says state=f64. */
bool weft_optim_wide(const weft_optim *o);
/* Put the value in force there. */
void weft_optim_set_number(weft_optim *o, const char *key, double value);

/* Reserve a vector of zeros. 0 or WEFT_ENOMEM. */
int weft_optim_reserve(weft_optim *o, float **vector);
/* The same for the first `count` of a list. */
int weft_optim_reserve_all(weft_optim *o, float **const vectors[], size_t count);
/* Find the method of that name, or say which there are. optim.c */
int weft_optim_find(weft_optim *o, const char *spec);

/* --- for methods --------------------------------------------------------------------------- */

/* lr where theory has none: a number, or WEFT_ENOTSUP. */
int weft_optim_lr_number(weft_optim *o);
/* lr by a rule of theory, which is the bound too; not theory2019. */
int weft_optim_lr_theory(weft_optim *o, int (*theory)(const weft_setting *s, double *ret_lr));
/* The step size of the step under way. */
float weft_optim_lr_now(const weft_optim *o);
/* v = momentum v + direction, which is clipped in place; x = prox(x - lr v), with decay. direction
 * is scratch; it may be o->v without momentum. */
void weft_optim_descend(weft_optim *o, float *x, float *direction, float lr);
/* direction, of which lr is taken off x, is clipped: all directions of the size of gradients. */
void weft_optim_clip(const weft_optim *o, float *direction, float lr);
/* hbar drifts from mean_i h_i by at most 2^-24 max|alpha D| a step: each so many steps it is
 * computed anew by an exact allreduce of the memories. true: in the step under way. */
bool weft_optim_refreshes(const weft_optim *o);
/* x is decayed. */
void weft_optim_shrink(const weft_optim *o, float *x);
/* A small allreduce of the optimizer's own, whichever algorithm parts are to go by. */
int weft_optim_tell(const weft_optim *o, const void *mine, void *all, size_t count,
                    weft_dtype dtype, weft_op op);
/* out = mean over the peers of v, exact. */
int weft_optim_exact_mean(weft_optim *o, const float *v, float *out);
/* In its place, of a peer that has no v: it fails on all. */
void weft_optim_decline_mean(weft_optim *o);
int weft_optim_exact_mean64(weft_optim *o, const double *v, double *out);
/* A mean over the peers is finite, or WEFT_ENONFINITE names the lowest rank whose own share of it
 * is not. A collective when it is not: mean is to have the same bits everywhere. optim_run.c */
int weft_optim_check_finite(weft_optim *o, const float *mean, const float *own, size_t count,
                            const char *what);
/* The draw of a random decision that all peers take alike in the step under way: [0, 1). */
double weft_optim_coin(const weft_optim *o);
/* Of the codec, where it is topk: the least share of a tensor that it sends; 0: another codec.
 * Each part is told its own. */
double weft_optim_share(weft_optim *o);
/* The codec is qsgd with one level. */
bool weft_optim_one_level(const weft_optim *o);

/* --- optim_parts.c ------------------------------------------------------------------------- */

int weft_parts_make(weft_optim *o, const weft_optim_opts *opts);
void weft_parts_free(weft_optim *o);
/* Would all operations be taken, of the first step and where they change of later ones? Once all
 * vectors are there. 0, or what weft_allreduce_start() says. */
int weft_parts_try(weft_optim *o);
/* Would peers share scales in any of them, with that codec? */
bool weft_parts_share_scales(weft_optim *o, const char *codec);
/* Begin the operation of one part. */
int weft_part_start(weft_optim *o, weft_part *p, const float *message, bool decline);
/* Wait for all that was started, whatever becomes of it. 0, or the first failure. */
int weft_parts_finish(weft_optim *o);
/* fn's gradient. 0, or WEFT_ECANCELED. optim_run.c */
int weft_optim_ask(weft_rows rows, uint64_t draw, const float *x, weft_gradient_fn *fn, void *user,
                   float *ret);
/* All operations of a step, ended at once on all peers: this one cannot take part. */
void weft_parts_abandon(weft_optim *o);

/* optim_run.c: all is here, state and x become what they are after the step. */
void weft_optim_commit(weft_optim *o, float *x);

/* optim_save.c: what x and state consist of. */
size_t weft_optim_vectors(const weft_optim *o, float *x, weft_vector out[WEFT_VECTORS]);

/* All names of all methods, in the order of the table; NULL behind the last. */
const weft_info *weft_optim_info_at(int index);

#endif
