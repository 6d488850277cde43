/* SPDX-License-Identifier: Apache-2.0 */
#include "train_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/collective.h>
#include <weft/optim.h>

#include "report.h"
#include "train_check.h"
#include "train_checksum.h"
#include "train_dump.h"
#include "train_random.h"

#define WHERE_TEXT 160

/* What a run has cost a peer so far: bytes, and nanoseconds. */
enum { ENCODED, BODIES, WIRE, GRADIENTS, OPERATIONS, WAITED, COSTS };

/* One run under way on this peer. */
typedef struct loop {
    weft_peer *peer;
    const weft_train_spec *run;
    weft_problem *problem;
    weft_optim *optim;
    weft_dump *dump; /* NULL: not wanted */
    float *x, *gradient;
    uint64_t steps, every;
    uint64_t minibatches; /* of an epoch */
    size_t small;
    uint64_t drawn;  /* number of the minibatch in use, from 1; 0: none yet */
    uint64_t held;   /* number of the one that batch or order holds */
    size_t *batch;   /* row numbers of a minibatch, drawn with replacement */
    size_t *order;   /* of the shard in this epoch, where the run is by epochs */
    uint64_t epoch;  /* the one of order, from 0 */
    double *sums;    /* dim + 1: this peer's gradient and loss, summed over its rows */
    double *totals;  /* the same over all peers */
    uint64_t *costs; /* COSTS numbers of every peer */
    uint64_t own[COSTS];
    double seconds, telling; /* telling: of the gradients' seconds, in weft_optim_ready() */
    char where[WHERE_TEXT];  /* "run 'name'" */
} loop;

/* Minibatches without replacement? */
static bool by_epochs(const loop *l)
{
    return l->run->epochs > 0 && l->run->batch > 0;
}

static bool reserve(loop *l, weft_train_result *result)
{
    const size_t d = l->problem->dim;

    l->x = calloc(d, sizeof(*l->x));
    l->gradient = calloc(d, sizeof(*l->gradient));
    l->sums = calloc(d + 1, sizeof(*l->sums));
    l->totals = calloc(d + 1, sizeof(*l->totals));
    l->costs = calloc(COSTS * (size_t)l->peer->size, sizeof(*l->costs));
    l->batch = l->run->batch > 0 ? calloc(l->run->batch, sizeof(*l->batch)) : NULL;
    l->order = by_epochs(l) ? calloc(l->problem->cut.shard_rows, sizeof(*l->order)) : NULL;
    result->crc32c = calloc((size_t)l->peer->size, sizeof(*result->crc32c));
    return l->x != NULL && l->gradient != NULL && l->sums != NULL && l->totals != NULL &&
           l->costs != NULL && result->crc32c != NULL && (l->run->batch == 0 || l->batch != NULL) &&
           (!by_epochs(l) || l->order != NULL);
}

static void release(loop *l)
{
    weft_optim_close(&l->optim);
    free(l->x);
    free(l->gradient);
    free(l->sums);
    free(l->totals);
    free(l->costs);
    free(l->batch);
    free(l->order);
}

/* Theory promises nothing from here on; often it goes well. */
static void warn(const loop *l)
{
    const double lr = weft_optim_base_lr(l->optim), bound = weft_optim_bound(l->optim);

    if (l->peer->rank != 0 || !(bound > 0) || lr <= bound * (1 + 1e-6))
        return;
    weft_progress_end();
    fprintf(stderr, "weft train: %s: lr %.4g is %.3g times theory's bound %.4g\n", l->where, lr,
            lr / bound, bound);
}

/* A step of local takes many minibatches: as many passes are fewer steps. */
static void count_steps(loop *l)
{
    const char *spec = weft_optim_spec(l->optim);
    const size_t rows = l->problem->cut.shard_rows;
    const uint64_t each = strncmp(spec, "local:", strlen("local:")) == 0
                              ? (uint64_t)weft_train_number(spec, "local", 1)
                              : 1;

    l->steps = weft_train_steps(l->run, rows, each);
    l->every = weft_train_every(l->run, rows, each);
}

static int open_optimizer(loop *l)
{
    const weft_problem *p = l->problem;
    const double l1 = p->l1;
    weft_tensor *tensors = calloc(p->tensor_count, sizeof(*tensors));
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = l->run->lr,
                                  .codec = l->run->codec,
                                  .algo = l->run->algo,
                                  .reply_codec = weft_train_reply(l->run),
                                  .schedule = l->run->schedule,
                                  .tensors = p->tensor_count > 1 ? tensors : NULL,
                                  .tensor_count = p->tensor_count > 1 ? p->tensor_count : 0,
                                  .small = l->small,
                                  .l1 = l1,
                                  .smoothness = {
                                      .L = p->L,
                                      .Lmax = p->Lmax,
                                      .Lrow = p->Lrow,
                                      .mu = p->mu,
                                      .minibatch = l->run->batch > 0,
                                  }};

    int code;

    if (tensors == NULL)
        return weft_peer_fail(l->peer, WEFT_EXIT_WRONG, "%s: out of memory", l->where);
    for (size_t i = 0; i < p->tensor_count; i++)
        tensors[i] = (weft_tensor){p->tensors[i].name, p->tensors[i].count};
    code = weft_optim_open(&l->optim, l->peer->group, l->run->optimizer, p->dim, &opts);
    free(tensors);
    if (code != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    warn(l);
    count_steps(l);
    if (!weft_train_penalties_fit(weft_optim_spec(l->optim), l1, p->kind->convex))
        return weft_peer_fail(l->peer, WEFT_EXIT_USAGE, "%s: %s", l->where,
                              weft_train_penalties_text);
    return 0;
}

/* Costs of all peers so far. */
static int collect_costs(loop *l, weft_trace_point *point)
{
    const double n = l->peer->size;
    double sum[COSTS] = {0};
    uint64_t most = 0;

    if (weft_allgather(l->peer->group, l->own, l->costs, COSTS, WEFT_U64, NULL) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    for (int r = 0; r < l->peer->size; r++) {
        for (int i = 0; i < COSTS; i++)
            sum[i] += (double)l->costs[COSTS * r + i];
        if (l->costs[COSTS * r + BODIES] > most)
            most = l->costs[COSTS * r + BODIES];
    }
    point->up_bits = 8 * sum[ENCODED] / n;
    point->sent_bits = 8 * sum[BODIES] / n;
    point->sent_bits_max = 8 * (double)most;
    point->wire_bytes = sum[WIRE] / n;
    point->gradient_seconds = sum[GRADIENTS] / n / 1e9;
    point->operation_seconds = sum[OPERATIONS] / n / 1e9;
    point->wait_seconds = sum[WAITED] / n / 1e9;
    return 0;
}

/* Loss and accuracy on the test data, each peer its part of the rows. */
static int evaluate_test(loop *l, weft_trace_point *point)
{
    weft_problem *p = l->problem;
    const size_t rank = (size_t)l->peer->rank, size = (size_t)l->peer->size;
    const size_t rows = p->test->rows, share = rows / size, rest = rows % size;
    const size_t first = rank * share + (rank < rest ? rank : rest);
    const weft_score score = p->kind->test(p, first, share + (rank < rest), l->x);
    const double own[2] = {score.loss, (double)score.right};
    double all[2] = {0, 0};

    if (weft_allreduce(l->peer->group, own, all, 2, WEFT_F64, WEFT_SUM, NULL) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    point->test_loss = all[0] / (double)rows;
    if (p->test->class_of != NULL)
        point->accuracy = all[1] / (double)rows;
    return 0;
}

/* Evaluate the float32 model in double over all used rows, each peer its own, and trace it. */
static int evaluate(loop *l, uint64_t step, weft_train_result *result)
{
    weft_problem *p = l->problem;
    const size_t d = p->dim, m = p->cut.shard_rows;
    const size_t first = p->kind->slopes ? 0 : d; /* of what is added up over the peers */
    weft_trace_point point = {.step = step,
                              .seconds = l->seconds,
                              .grad_norm = (double)NAN,
                              .test_loss = (double)NAN,
                              .accuracy = (double)NAN};
    int status;

    l->sums[d] =
        p->kind->loss(p, (size_t)l->peer->rank * m, m, l->x, p->kind->slopes ? l->sums : NULL);
    if (weft_allreduce(l->peer->group, l->sums + first, l->totals + first, d + 1 - first, WEFT_F64,
                       WEFT_SUM, NULL) != WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    for (size_t j = first; j <= d; j++)
        l->totals[j] /= (double)p->cut.used;
    point.f = weft_problem_value(p, l->totals[d], l->x);
    point.gap = point.f - p->fstar;
    if (p->kind->slopes)
        point.grad_norm = weft_problem_slope(p, l->totals, l->x);
    status = p->test != NULL ? evaluate_test(l, &point) : 0;
    if (status == 0)
        status = collect_costs(l, &point);
    if (status != 0)
        return status;
    if (!weft_trace_add(&result->trace, &point))
        return weft_peer_fail(l->peer, WEFT_EXIT_WRONG, "%s: out of memory", l->where);
    if (!isfinite(point.f))
        result->diverged = step;
    if (l->peer->rank == 0)
        weft_progress("%s: step %llu of %llu, %s %.2e", l->where, (unsigned long long)step,
                      (unsigned long long)l->steps, isnan(point.gap) ? "f" : "gap",
                      isnan(point.gap) ? point.f : point.gap);
    return 0;
}

/* Rows of minibatch number l->drawn. */
static const size_t *minibatch(loop *l)
{
    const uint64_t seed = weft_group_seed(l->peer->group), at = l->drawn - 1;
    const size_t m = l->problem->cut.shard_rows, batch = l->run->batch;

    if (!by_epochs(l)) {
        if (l->held != l->drawn)
            weft_train_minibatch(seed, l->peer->rank, l->drawn, m, batch, l->batch);
        l->held = l->drawn;
        return l->batch;
    }
    if (l->held == 0 || at / l->minibatches != l->epoch) {
        l->epoch = at / l->minibatches;
        weft_train_epoch(seed, l->peer->rank, l->epoch, l->order, m);
    }
    l->held = l->drawn;
    return l->order + at % l->minibatches * batch;
}

/* A tensor's gradient is known; its operation begins. What keeps it from that fails the step. */
static void ready(void *user, size_t tensor, const float *known)
{
    loop *l = user;
    const double begin = weft_seconds();

    (void)weft_optim_ready(l->optim, tensor, known);
    l->telling += weft_seconds() - begin;
}

/* The gradient of f_rank at x over those rows; user is the loop. */
static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret_gradient)
{
    loop *l = user;
    weft_problem *p = l->problem;

    const double begin = weft_seconds();

    l->telling = 0;
    l->drawn = draw + 1;
    if (rows == WEFT_ROWS_ALL || l->run->batch == 0)
        p->kind->gradient(p, l->peer->rank, NULL, 0, x, ret_gradient);
    else
        p->kind->gradient(p, l->peer->rank, minibatch(l), l->run->batch, x, ret_gradient);
    l->own[GRADIENTS] += (uint64_t)(fmax(weft_seconds() - begin - l->telling, 0) * 1e9);
    memcpy(l->gradient, ret_gradient, p->dim * sizeof(*ret_gradient));
    return 0;
}

/* One step. *ret_diverged: a codec met NaN or infinity. */
static int step_once(loop *l, bool *ret_diverged)
{
    const double begin = weft_seconds();
    const int code = weft_optim_advance(l->optim, l->x, gradient, l);
    weft_step_cost cost;

    l->seconds += weft_seconds() - begin;
    *ret_diverged = code == WEFT_ENONFINITE;
    if (code != WEFT_OK && !*ret_diverged)
        return weft_peer_error(l->peer, l->where);
    cost = weft_optim_cost(l->optim);
    l->own[ENCODED] += cost.encoded_bytes;
    l->own[BODIES] += cost.body_bytes_sent;
    l->own[WIRE] += cost.wire_bytes_sent;
    l->own[OPERATIONS] += cost.operations_ns;
    l->own[WAITED] += cost.wait_ns;
    if (l->dump != NULL && !*ret_diverged)
        return weft_dump_step(l->dump, l->optim, l->x, l->gradient);
    return 0;
}

/* FILE.RANK; or, of files to load that are not there (nor the one before), FILE.0. */
static int checkpoint(loop *l, const char *file, bool save)
{
    char path[4096], before[4096 + 8];
    int n = snprintf(path, sizeof(path), "%s.%d", file, l->peer->rank);

    snprintf(before, sizeof(before), "%s.before", path);
    if (!save && n > 0 && access(path, F_OK) != 0 && access(before, F_OK) != 0)
        n = snprintf(path, sizeof(path), "%s.0", file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return weft_peer_fail(l->peer, WEFT_EXIT_USAGE, "%s: the checkpoint's name is too long",
                              l->where);
    if ((save ? weft_optim_save(l->optim, l->x, path) : weft_optim_load(l->optim, l->x, path)) !=
        WEFT_OK)
        return weft_peer_error(l->peer, l->where);
    return 0;
}

/* Euclidean norm; not finite when a number is not. */
static double norm(const float *v, size_t count)
{
    double square = 0;

    for (size_t j = 0; j < count; j++)
        square += (double)v[j] * (double)v[j];
    return fabs(sqrt(square)); /* a NaN without a sign */
}

static int train(loop *l, const weft_train_settings *s, weft_train_result *result)
{
    const size_t d = l->problem->dim;
    const double target = s->target;
    int status = s->load != NULL ? checkpoint(l, s->load, false) : 0;
    const uint64_t first = weft_optim_steps(l->optim);

    if (status == 0)
        status = evaluate(l, first, result);
    for (uint64_t k = first + 1; k <= l->steps && status == 0 && result->diverged == 0; k++) {
        bool diverged = false;

        if (weft_trace_last(&result->trace)->gap <= target)
            break;
        status = step_once(l, &diverged);
        /* The model is the same on all peers: so is what they find. */
        if (diverged || (status == 0 && !isfinite(norm(l->x, d))))
            result->diverged = k;
        if (status == 0 && !diverged &&
            (k % l->every == 0 || k == l->steps || result->diverged != 0))
            status = evaluate(l, k, result);
        if (status == 0 && s->save_every > 0 && k % s->save_every == 0 && result->diverged == 0)
            status = checkpoint(l, s->save, true);
    }
    if (status == 0 && s->save != NULL && result->diverged == 0)
        status = checkpoint(l, s->save, true);
    if (status == 0 && result->diverged != 0 && l->peer->rank == 0)
        (void)weft_peer_fail(l->peer, WEFT_EXIT_WRONG,
                             "%s diverged: f is not finite after step %llu; |x| is %.3g, rank 0's "
                             "last gradient %.3g; a smaller lr than %.3g, or a warm-up, may help",
                             l->where, (unsigned long long)result->diverged, norm(l->x, d),
                             norm(l->gradient, d), weft_optim_lr(l->optim));
    return status;
}

/* Compare the models of all peers by checksum. */
static int compare_models(loop *l, weft_train_result *result)
{
    const size_t bytes = l->problem->dim * sizeof(*l->x);
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

/* What goes out is the gradient, and nothing of it is lost. */
static bool sends_gradients(const loop *l)
{
    static const char *const names[] = {"gd", "sgd", "diana"};
    const char *spec = weft_optim_spec(l->optim);
    const size_t length = strcspn(spec, ":");
    bool known = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        known = known || (strlen(names[i]) == length && strncmp(spec, names[i], length) == 0);
    return known && strcmp(weft_optim_codec(l->optim), "raw") == 0;
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
    if (weft_dump_open(&l->dump, l->peer, folder, l->problem->dim) != 0)
        return WEFT_EXIT_USAGE;
    weft_dump_knows(l->dump, sends_gradients(l), weft_train_reply(l->run) != NULL);
    return weft_dump_start(l->dump, l->optim, l->x);
}

/* What run a dump is of. */
static json_t *about(const loop *l, const weft_train_settings *s)
{
    const char *spec = weft_optim_spec(l->optim);
    json_t *root = json_object();

    json_object_set_new(root, "name", json_string(l->run->name));
    json_object_set_new(root, "optimizer", json_string(spec));
    json_object_set_new(root, "codec", json_string(weft_optim_codec(l->optim)));
    json_object_set_new(root, "algo", json_string(l->run->algo != NULL ? l->run->algo : "auto"));
    json_object_set_new(root, "lr", weft_report_real(weft_optim_base_lr(l->optim)));
    json_object_set_new(root, "schedule", json_string(l->run->schedule));
    json_object_set_new(root, "alpha",
                        weft_report_real(weft_train_number(spec, "alpha", (double)NAN)));
    json_object_set_new(root, "momentum",
                        weft_report_real(weft_train_number(spec, "momentum", (double)NAN)));
    json_object_set_new(root, "l1", weft_report_real(l->problem->l1));
    json_object_set_new(root, "l2", weft_report_real(l->problem->l2));
    json_object_set_new(root, "n", json_integer(l->peer->size));
    json_object_set_new(root, "seed", json_integer((json_int_t)s->seed));
    return root;
}

int weft_train_loop(weft_peer *peer, const weft_train_settings *settings,
                    const weft_train_spec *run, size_t index, weft_problem *problem,
                    weft_train_result *ret)
{
    loop l = {.peer = peer,
              .run = run,
              .small = settings->small,
              .problem = problem,
              .minibatches = weft_train_minibatches(run, problem->cut.shard_rows)};
    int status, closed;

    snprintf(l.where, sizeof(l.where), "run '%.120s'", run->name);
    if (!reserve(&l, ret)) {
        status = weft_peer_fail(peer, WEFT_EXIT_WRONG, "%s: out of memory", l.where);
        goto out;
    }
    weft_problem_start(problem, l.x);
    status = open_optimizer(&l);
    problem->listener = (weft_problem_listener){problem->tensor_count > 1 ? ready : NULL, &l};
    if (status == 0)
        status = open_dump(&l, settings, index);
    if (status == 0)
        status = train(&l, settings, ret);
    closed = weft_dump_close(&l.dump, l.dump != NULL ? about(&l, settings) : NULL);
    status = status != 0 ? status : closed;
    if (status == 0)
        status = compare_models(&l, ret);
    if (l.optim != NULL) {
        ret->lr = weft_optim_base_lr(l.optim);
        ret->optimizer = strdup(weft_optim_spec(l.optim));
        ret->codec = strdup(weft_optim_codec(l.optim));
        ret->bound = weft_optim_bound(l.optim);
        snprintf(ret->algo, sizeof(ret->algo), "%s", weft_optim_algo(l.optim));
    }
    ret->model = l.x;
    l.x = NULL;
out:
    problem->listener = (weft_problem_listener){0};
    release(&l);
    return status;
}

void weft_train_result_free(weft_train_result *result)
{
    free(result->optimizer);
    free(result->codec);
    weft_trace_free(&result->trace);
    free(result->model);
    free(result->crc32c);
    *result = (weft_train_result){0};
}
