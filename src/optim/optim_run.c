/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step. Operations of the parts begin from the last to the first as gradients become ready; when
 * all have succeeded here, a barrier tells that they did so everywhere, and the step is committed.
 *
 * After a failure peers may be a step apart for a moment: one is in that barrier, the other tries
 * again. So a step after a failure begins with a small operation of its own, on which neither can
 * mistake the other's, and in which all tell which step they are at.
 *
 * The barrier may let some go and fail on others. Who passed it knows that everybody has all that
 * the step needs, and who failed in it holds that: where the next meeting shows that others have
 * taken the step, it is committed here as it is held.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"
#include <weft/group.h>

enum { MEETINGS = 4 }; /* and one for each operation that another's step may have begun */

static int failed(weft_optim *o, int code)
{
    o->torn = true;
    o->begun = false;
    weft_fail_context("optimizer %s, step %llu", o->name->info.name,
                      (unsigned long long)o->steps + 1);
    return code;
}

/* Where are the others? */
static int meet(weft_optim *o)
{
    /* Done here, and to be had here, the second and third so that the largest is of the least. */
    const uint64_t mine[3] = {o->steps, ~o->steps, ~(o->steps + o->held)};
    uint64_t told[3] = {0};
    int code = WEFT_EMISMATCH;

    for (size_t i = 0; i < MEETINGS + o->part_count && code == WEFT_EMISMATCH; i++) {
        code = weft_optim_tell(o, mine, told, 3, WEFT_U64, WEFT_MAX);
    }
    if (code == WEFT_OK && ~told[2] < told[0]) {
        return weft_fail(WEFT_EMISMATCH,
                         "peers are at different steps, %llu to %llu are done: load a checkpoint",
                         (unsigned long long)~told[1], (unsigned long long)told[0]);
    }
    o->torn = code != WEFT_OK;
    o->taken = code == WEFT_OK && o->steps < told[0];
    return code;
}

static int begin(weft_optim *o)
{
    const int code = o->torn ? meet(o) : WEFT_OK;
    if (code != WEFT_OK) {
        return code;
    }
    o->begun = true;
    for (size_t i = 0; i < o->piece_count; i++) {
        o->pieces[i].ready = false;
    }
    if (o->taken) {
        return WEFT_OK;
    }
    o->held = false;
    o->started = 0;
    o->spending = (weft_step_cost){0};
    if (o->type->begin != NULL) {
        o->type->begin(o);
    }
    for (size_t i = 0; i < o->part_count; i++) {
        o->parts[i].waits = o->parts[i].tensors;
    }
    return WEFT_OK;
}

/* The part begins, and those before it that were ready earlier. While a gradient function runs one
 * is held back: should the function fail, that one is canceled, and the step fails for all. */
static int start_ready(weft_optim *o)
{
    const size_t held = o->asking ? 1 : 0;
    int code = WEFT_OK;

    while (code == WEFT_OK && o->started + held < o->part_count) {
        weft_part *p = &o->parts[o->part_count - 1 - o->started];
        if (p->waits > 0) {
            break;
        }
        p->began = weft_now();
        code = weft_part_start(o, p, p->message, false);
        o->started += code == WEFT_OK;
    }
    return code;
}

/* All end what was begun of this step, and know that it failed. */
static int give_up(weft_optim *o)
{
    weft_problem why = {0};

    weft_problem_from_last(&why);
    weft_parts_abandon(o);
    return failed(o, weft_fail_problem(&why));
}

int weft_optim_check_finite(weft_optim *o, const float *mean, const float *own, size_t count,
                            const char *what)
{
    const int size = weft_group_size(o->group);

    if (weft_kernel_finite(mean, count)) {
        return WEFT_OK;
    }
    const int32_t mine = weft_kernel_finite(own, count) ? size : weft_group_rank(o->group);
    int32_t rank = size;
    const int code = weft_optim_tell(o, &mine, &rank, 1, WEFT_I32, WEFT_MIN);
    if (code != WEFT_OK) {
        return code;
    }
    return rank < size ? weft_fail_rank(WEFT_ENONFINITE, rank,
                                        "%s of rank %d holds NaN or infinity", what, rank)
                       : weft_fail(WEFT_ENONFINITE, "the sum of %s over the peers overflows", what);
}

/* What goes as it is may bring NaN to all, in a result that is the same everywhere. */
static int check_result(weft_optim *o)
{
    int code = WEFT_OK;

    for (size_t i = 0; code == WEFT_OK && i < o->part_count; i++) {
        const weft_part *p = &o->parts[i];
        char what[WEFT_TENSOR_NAME + 32];
        if (weft_kernel_finite(o->mean + p->first, p->count)) {
            continue;
        }
        snprintf(what, sizeof(what), "the gradient (tensor %s%s)", o->pieces[p->tensor].name,
                 p->tensors > 1 ? " and on" : "");
        code = weft_optim_check_finite(o, o->mean + p->first, p->message, p->count, what);
    }
    return code;
}

static void swap(float **a, float **b)
{
    float *old = *a;

    if (*b != NULL) {
        *a = *b;
        *b = old;
    }
}

void weft_optim_commit(weft_optim *o, float *x)
{
    o->type->commit(o, x);
    swap(&o->residual, &o->residual_next);
    swap(&o->memory, &o->memory_next);
    swap(&o->m, &o->m_next);
    o->steps++;
    o->begun = o->held = o->taken = false;
    o->cost = o->spending;
    memcpy(o->used, o->using, sizeof(o->used));
}

static int commit(weft_optim *o, float *x)
{
    int code = weft_parts_finish(o);

    if (code == WEFT_OK) {
        code = check_result(o);
    }
    if (code == WEFT_OK && o->type->settle != NULL) {
        code = o->type->settle(o, x);
    }
    o->held = code == WEFT_OK;
    if (code == WEFT_OK && weft_group_size(o->group) > 1) {
        code = weft_barrier(o->group, NULL);
    }
    if (code == WEFT_OK) {
        weft_optim_commit(o, x);
    }
    return code;
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    return o->type->message != NULL ? o->type->message(o, gradient, p) : gradient;
}

/* With the gradient of the whole model. */
static int run(weft_optim *o, float *x, const float *gradient)
{
    for (size_t i = 0; i < o->part_count; i++) {
        weft_part *p = &o->parts[i];
        p->message = message(o, gradient + p->first, p);
        p->waits = 0;
    }
    if (start_ready(o) != WEFT_OK) {
        return give_up(o);
    }
    const int code = commit(o, x);
    return code == WEFT_OK ? code : failed(o, code);
}

int weft_optim_step(weft_optim *o, float *x, const float *gradient)
{
    if (o == NULL || x == NULL || gradient == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer step: %s is NULL",
                         o == NULL   ? "optim"
                         : x == NULL ? "x"
                                     : "gradient");
    }
    if (o->name->oracle) {
        return weft_fail(WEFT_ENOTSUP,
                         "optimizer %s asks for gradients itself: call weft_optim_advance()",
                         o->name->info.name);
    }
    if (o->begun) {
        return weft_fail(WEFT_EINVAL, "optimizer step: one is begun and not finished");
    }
    const fenv_t callers = weft_fp_enter();
    int code = begin(o);
    if (code != WEFT_OK) {
        code = failed(o, code);
    } else if (o->taken) {
        weft_optim_commit(o, x);
    } else {
        o->known = weft_now();
        code = run(o, x, gradient);
    }
    weft_fp_leave(&callers);
    return code;
}

/* A tensor's gradient is known. */
static int tell(weft_optim *o, weft_piece *t, const float *gradient)
{
    weft_part *p = &o->parts[t->part];
    const weft_part alone = {.first = t->first, .count = t->count, .raw = p->raw};
    const float *m = message(o, gradient, &alone);

    if (p->tensors == 1) {
        p->message = m;
    } else if (m == gradient) { /* what travels together lies together */
        float *together = o->given != NULL ? o->given : o->estimate;
        if (together + t->first != m) { /* in advance() it may lie there already */
            memcpy(together + t->first, m, t->count * sizeof(float));
        }
        p->message = together + p->first;
    } else {
        p->message = o->work + p->first;
    }
    t->ready = true;
    p->waits--;
    return start_ready(o);
}

/* With the gradient in o->estimate, of which some tensors may have been told. */
static int rest(weft_optim *o, float *x)
{
    bool told = false;

    o->known = weft_now();
    for (size_t i = 0; i < o->piece_count; i++) {
        told = told || o->pieces[i].ready;
    }
    if (!told) {
        return run(o, x, o->estimate);
    }
    int code = WEFT_OK;
    for (size_t i = o->piece_count; code == WEFT_OK && i-- > 0;) {
        weft_piece *t = &o->pieces[i];
        code = t->ready ? WEFT_OK : tell(o, t, o->estimate + t->first);
    }
    code = code == WEFT_OK ? start_ready(o) : code;
    if (code != WEFT_OK) {
        return give_up(o);
    }
    code = commit(o, x);
    return code == WEFT_OK ? code : failed(o, code);
}

int weft_optim_advance(weft_optim *o, float *x, weft_gradient_fn *fn, void *user)
{
    if (o == NULL || x == NULL || fn == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer advance: %s is NULL",
                         o == NULL   ? "optim"
                         : x == NULL ? "x"
                                     : "fn");
    }
    if (o->begun) {
        return weft_fail(WEFT_EINVAL, "optimizer advance: a step is begun and not finished");
    }
    fenv_t callers = weft_fp_enter();
    int code = begin(o);
    if (code == WEFT_OK && o->taken) {
        weft_optim_commit(o, x);
        weft_fp_leave(&callers);
        return WEFT_OK;
    }
    weft_fp_leave(&callers); /* fn is the caller's */
    if (code != WEFT_OK) {
        return failed(o, code);
    }
    if (o->estimate == NULL && weft_optim_reserve(o, &o->estimate) != WEFT_OK) {
        return give_up(o); /* the others are in the step */
    }
    o->asking = true;
    code = o->name->oracle ? o->type->estimate(o, x, fn, user)
                           : weft_optim_ask(WEFT_ROWS_BATCH, o->steps, x, fn, user, o->estimate);
    o->asking = false;
    callers = weft_fp_enter();
    code = code == WEFT_OK ? rest(o, x) : give_up(o);
    weft_fp_leave(&callers);
    return code;
}

int weft_optim_ask(weft_rows rows, uint64_t draw, const float *x, weft_gradient_fn *fn, void *user,
                   float *ret)
{
    return fn(user, rows, draw, x, ret) == 0
               ? WEFT_OK
               : weft_fail(WEFT_ECANCELED, "the gradient could not be computed");
}

/* --- in pieces ----------------------------------------------------------------------------- */

int weft_optim_begin(weft_optim *o, const float *x)
{
    if (o == NULL || x == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer begin: %s is NULL", o == NULL ? "optim" : "x");
    }
    if (o->begun || o->name->oracle) {
        return weft_fail(o->begun ? WEFT_EINVAL : WEFT_ENOTSUP, "optimizer begin: %s",
                         o->begun ? "the step before is not finished"
                                  : "this method asks for gradients itself");
    }
    const int code = begin(o);
    if (code == WEFT_OK && !o->taken && o->given == NULL &&
        weft_optim_reserve(o, &o->given) != WEFT_OK) {
        return give_up(o); /* the others are in the step */
    }
    return code == WEFT_OK ? code : failed(o, code);
}

/* Operations that could not begin end the step, but only in finish(): the others are in it. */
int weft_optim_ready(weft_optim *o, size_t tensor, const float *gradient)
{
    if (o == NULL || gradient == NULL) {
        return weft_fail(WEFT_EINVAL, "optimizer ready: %s is NULL",
                         o == NULL ? "optim" : "gradient");
    }
    if (!o->begun || tensor >= o->piece_count || o->pieces[tensor].ready) {
        return weft_fail(WEFT_EINVAL, "optimizer ready: tensor %zu %s", tensor,
                         !o->begun                  ? "comes outside of a step"
                         : tensor >= o->piece_count ? "is none"
                                                    : "is ready already");
    }
    if (o->asking && o->name->oracle) {
        return WEFT_OK; /* the message is not made of this gradient alone */
    }
    if (o->asking && gradient != o->estimate + o->pieces[tensor].first) {
        return weft_fail(WEFT_EINVAL,
                         "optimizer ready: the gradient of tensor %s is not in its place in "
                         "ret_gradient",
                         o->pieces[tensor].name);
    }
    if (o->taken) {
        o->pieces[tensor].ready = true;
        return WEFT_OK;
    }
    const fenv_t callers = weft_fp_enter();
    const int code = tell(o, &o->pieces[tensor], gradient);
    weft_fp_leave(&callers);
    return code;
}

int weft_optim_finish(weft_optim *o, float *x)
{
    if (o == NULL || x == NULL || !o->begun || o->asking) {
        return weft_fail(WEFT_EINVAL, "optimizer finish: %s",
                         o == NULL    ? "optim is NULL"
                         : x == NULL  ? "x is NULL"
                         : !o->asking ? "no step is begun"
                                      : "the step is one of weft_optim_advance()");
    }
    const fenv_t callers = weft_fp_enter();
    if (o->taken) {
        weft_optim_commit(o, x);
        weft_fp_leave(&callers);
        return WEFT_OK;
    }
    o->known = weft_now();
    int code = start_ready(o);
    for (size_t i = 0; code == WEFT_OK && i < o->piece_count; i++) {
        if (!o->pieces[i].ready) {
            code = weft_fail(WEFT_EINVAL, "tensor %s was never ready", o->pieces[i].name);
        }
    }
    if (code != WEFT_OK) {
        code = give_up(o);
    } else {
        code = commit(o, x);
        code = code == WEFT_OK ? code : failed(o, code);
    }
    weft_fp_leave(&callers);
    return code;
}
