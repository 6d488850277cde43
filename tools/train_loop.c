/* SPDX-License-Identifier: Apache-2.0 */
#include "train_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>
#include <weft/optim.h>

#include "report.h"
#include "train_check.h"
#include "train_checksum.h"
#include "train_dump.h"
#include "train_random.h"

#define WHERE_TEXT 160

/* One run under way on this peer. */
typedef struct loop {
    weft_peer *peer;
    const weft_train_spec *run;
    const weft_train_problem *problem;
    weft_optim *optim;
    weft_dump *dump; /* NULL: not wanted */
    float *x, *gradient;
    size_t *batch;   /* row numbers of a minibatch */
    double *wide;    /* x in double */
    double *sums;    /* dim + 1: this peer's gradient and loss, summed over its rows */
    double *totals;  /* the same over all peers */
    uint64_t *costs; /* three numbers of every peer */
    uint64_t encoded_bytes, body_bytes, wire_bytes;
    double seconds;
    char where[WHERE_TEXT]; /* "run 'name'" */
} loop;

static bool reserve(loop *l, weft_train_result *result)
{
    const size_t d = l->problem->logistic->data->dim;

    l->x = calloc(d, sizeof(*l->x));
    l->gradient = calloc(d, sizeof(*l->gradient));
    l->wide = calloc(d, sizeof(*l->wide));
    l->sums = calloc(d + 1, sizeof(*l->sums));
    l->totals = calloc(d + 1, sizeof(*l->totals));
    l->costs = calloc(3 * (size_t)l->peer->size, sizeof(*l->costs));
    l->batch = l->run->batch > 0 ? calloc(l->run->batch, sizeof(*l->batch)) : NULL;
    result->crc32c = calloc((size_t)l->peer->size, sizeof(*result->crc32c));
    return l->x != NULL && l->gradient != NULL && l->wide != NULL && l->sums != NULL &&
           l->totals != NULL && l->costs != NULL && result->crc32c != NULL &&
           (l->run->batch == 0 || l->batch != NULL);
}

static void release(loop *l)
{
    weft_optim_close(&l->optim);
    free(l->x);
    free(l->gradient);
    free(l->wide);
    free(l->sums);
    free(l->totals);
    free(l->costs);
    free(l->batch);
}

static int open_optimizer(loop *l)
{
    const weft_train_problem *p = l->problem;
    const double l1 = p->logistic->l1;
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = l->run->lr,
                                  .codec = l->run->codec,
                                  .algo = l->run->algo,
                                  .l1 = l1,
                                  .smoothness = {
                                      .L = p->L,
                                      .Lmax = p->Lmax,
                                      .Lrow = p->Lrow,
                                      .mu = p->mu,
                                      .minibatch = l->run->batch > 0,
                                  }};

    if (weft_optim_open(&l->optim, l->peer->group, l->run->optimizer, p->logistic->data->dim,
                        &opts) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    if (!weft_train_penalties_fit(weft_optim_spec(l->optim), l1))
        return weft_peer_fail(l->peer, WEFT_EXIT_USAGE, "%s: %s", l->where,
                              weft_train_penalties_text);
    return 0;
}

/* Bits and bytes of all peers so far. */
static int collect_costs(loop *l, weft_trace_point *point)
{
    const uint64_t own[3] = {l->encoded_bytes, l->body_bytes, l->wire_bytes};
    const double n = l->peer->size;
    double sum[3] = {0, 0, 0};
    uint64_t most = 0;

    if (weft_allgather(l->peer->group, own, l->costs, 3, WEFT_U64, NULL) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    for (int r = 0; r < l->peer->size; r++) {
        for (int i = 0; i < 3; i++)
            sum[i] += (double)l->costs[3 * r + i];
        if (l->costs[3 * r + 1] > most)
            most = l->costs[3 * r + 1];
    }
    point->up_bits = 8 * sum[0] / n;
    point->sent_bits = 8 * sum[1] / n;
    point->sent_bits_max = 8 * (double)most;
    point->wire_bytes = sum[2] / n;
    return 0;
}

/* Evaluate the float32 model in double over all used rows, each peer its own, and trace it. */
static int evaluate(loop *l, uint64_t step, weft_train_result *result)
{
    weft_logistic *p = l->problem->logistic;
    const size_t d = p->data->dim, m = p->shard_rows;
    weft_trace_point point = {.step = step, .seconds = l->seconds};
    int status;

    for (size_t j = 0; j < d; j++)
        l->wide[j] = (double)l->x[j];
    l->sums[d] = weft_logistic_loss(p, (size_t)l->peer->rank * m, m, l->wide, l->sums);
    if (weft_allreduce(l->peer->group, l->sums, l->totals, d + 1, WEFT_F64, WEFT_SUM, NULL) !=
        WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    for (size_t j = 0; j <= d; j++)
        l->totals[j] /= (double)p->used;
    point.f = weft_logistic_value(p, l->totals[d], l->wide);
    point.gap = point.f - l->problem->fstar;
    point.grad_norm = weft_logistic_slope(p, l->totals, l->wide);
    status = collect_costs(l, &point);
    if (status != 0)
        return status;
    if (!weft_trace_add(&result->trace, &point))
        return weft_peer_fail(l->peer, WEFT_EXIT_WRONG, "%s: out of memory", l->where);
    if (!isfinite(point.f))
        result->diverged = step;
    if (l->peer->rank == 0)
        weft_progress("%s: step %llu of %llu, gap %.2e", l->where, (unsigned long long)step,
                      (unsigned long long)l->run->steps, point.gap);
    return 0;
}

/* Gradient and step number `step` (from 1). *ret_diverged: a codec met NaN or infinity. */
static int step_once(loop *l, uint64_t step, bool *ret_diverged)
{
    weft_logistic *p = l->problem->logistic;
    const double begin = weft_seconds();
    weft_step_cost cost;
    int code;

    if (l->run->batch > 0) {
        weft_train_minibatch(weft_group_seed(l->peer->group), l->peer->rank, step, p->shard_rows,
                             l->run->batch, l->batch);
        weft_logistic_minibatch(p, l->peer->rank, l->batch, l->run->batch, l->x, l->gradient);
    } else {
        weft_logistic_gradient(p, l->peer->rank, l->x, l->gradient);
    }
    code = weft_optim_step(l->optim, l->x, l->gradient);
    l->seconds += weft_seconds() - begin;
    *ret_diverged = code == WEFT_ENONFINITE;
    if (code != WEFT_OK && !*ret_diverged)
        return weft_peer_error(l->peer, l->where);
    cost = weft_optim_cost(l->optim);
    l->encoded_bytes += cost.encoded_bytes;
    l->body_bytes += cost.body_bytes_sent;
    l->wire_bytes += cost.wire_bytes_sent;
    if (l->dump != NULL && !*ret_diverged)
        return weft_dump_step(l->dump, l->optim, l->x, l->gradient);
    return 0;
}

static int train(loop *l, double target, weft_train_result *result)
{
    int status = evaluate(l, 0, result);

    for (uint64_t k = 1; k <= l->run->steps && status == 0 && result->diverged == 0; k++) {
        bool diverged = false;

        if (weft_trace_last(&result->trace)->gap <= target)
            break;
        status = step_once(l, k, &diverged);
        if (diverged)
            result->diverged = k;
        else if (status == 0 && (k % l->run->every == 0 || k == l->run->steps))
            status = evaluate(l, k, result);
    }
    if (status == 0 && result->diverged != 0 && l->peer->rank == 0)
        (void)weft_peer_fail(l->peer, WEFT_EXIT_WRONG,
                             "%s diverged: f is not finite after step %llu", l->where,
                             (unsigned long long)result->diverged);
    return status;
}

/* Compare the models of all peers by checksum. */
static int compare_models(loop *l, weft_train_result *result)
{
    const size_t bytes = l->problem->logistic->data->dim * sizeof(*l->x);
    const uint32_t own = weft_train_crc32c(l->x, bytes);

    if (weft_allgather(l->peer->group, &own, result->crc32c, 1, WEFT_U32, NULL) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    result->equal = true;
    for (int r = 1; r < l->peer->size; r++) {
        if (result->crc32c[r] == result->crc32c[0])
            continue;
        result->equal = false;
        if (l->peer->rank == 0)
            (void)weft_peer_fail(l->peer, WEFT_EXIT_WRONG,
                                 "%s: rank %d ended with another model than rank 0 (CRC32C %08x, "
                                 "%08x)",
                                 l->where, r, result->crc32c[r], result->crc32c[0]);
    }
    return result->equal ? 0 : WEFT_EXIT_WRONG;
}

static int open_dump(loop *l, const weft_train_settings *s, size_t index)
{
    char folder[4096];
    int n;

    if (s->dump == NULL)
        return 0;
    /* Several runs: a folder each, numbered from 1 in their order. */
    n = s->run_count == 1 ? snprintf(folder, sizeof(folder), "%s", s->dump)
                          : snprintf(folder, sizeof(folder), "%s/%zu", s->dump, index + 1);
    if (n < 0 || (size_t)n >= sizeof(folder))
        return weft_peer_fail(l->peer, WEFT_EXIT_USAGE, "--dump: the name is too long");
    if (weft_dump_open(&l->dump, l->peer, folder, l->problem->logistic->data->dim) != 0)
        return WEFT_EXIT_USAGE;
    return weft_dump_start(l->dump, l->optim, l->x);
}

/* What run a dump is of. */
static json_t *about(const loop *l, const weft_train_settings *s)
{
    const char *spec = weft_optim_spec(l->optim);
    json_t *root = json_object();

    json_object_set_new(root, "name", json_string(l->run->name));
    json_object_set_new(root, "optimizer", json_string(spec));
    json_object_set_new(root, "codec", json_string(l->run->codec));
    json_object_set_new(root, "algo", json_string(l->run->algo));
    json_object_set_new(root, "lr", weft_report_real(weft_optim_lr(l->optim)));
    json_object_set_new(root, "alpha",
                        weft_report_real(weft_train_number(spec, "alpha", (double)NAN)));
    json_object_set_new(root, "momentum",
                        weft_report_real(weft_train_number(spec, "momentum", (double)NAN)));
    json_object_set_new(root, "l1", weft_report_real(l->problem->logistic->l1));
    json_object_set_new(root, "l2", weft_report_real(l->problem->logistic->l2));
    json_object_set_new(root, "n", json_integer(l->peer->size));
    json_object_set_new(root, "seed", json_integer((json_int_t)s->seed));
    return root;
}

int weft_train_loop(weft_peer *peer, const weft_train_settings *settings,
                    const weft_train_spec *run, size_t index, const weft_train_problem *problem,
                    weft_train_result *ret)
{
    loop l = {.peer = peer, .run = run, .problem = problem};
    int status, closed;

    snprintf(l.where, sizeof(l.where), "run '%.120s'", run->name);
    if (!reserve(&l, ret)) {
        status = weft_peer_fail(peer, WEFT_EXIT_WRONG, "%s: out of memory", l.where);
        goto out;
    }
    status = open_optimizer(&l);
    if (status == 0)
        status = open_dump(&l, settings, index);
    if (status == 0)
        status = train(&l, settings->target, ret);
    closed = weft_dump_close(&l.dump, l.dump != NULL ? about(&l, settings) : NULL);
    status = status != 0 ? status : closed;
    if (status == 0)
        status = compare_models(&l, ret);
    if (l.optim != NULL) {
        ret->lr = weft_optim_lr(l.optim);
        ret->optimizer = strdup(weft_optim_spec(l.optim));
        snprintf(ret->algo, sizeof(ret->algo), "%s", weft_optim_algo(l.optim));
    }
    ret->model = l.x;
    l.x = NULL;
out:
    release(&l);
    return status;
}

void weft_train_result_free(weft_train_result *result)
{
    free(result->optimizer);
    weft_trace_free(&result->trace);
    free(result->model);
    free(result->crc32c);
    *result = (weft_train_result){0};
}
