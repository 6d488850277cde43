/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simjob.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "support/halves.h"

enum { CANARY = 64, CANARY_BYTE = 0xa5 };

static void *memory_of(size_t bytes)
{
    void *p = calloc(1, bytes + 1);
    if (p == NULL) {
        abort();
    }
    return p;
}

static uint64_t in_blocks(const simjob *job, const simjob_call *c)
{
    return c->coll == WEFT_COLL_REDUCE_SCATTER ? (uint64_t)job->size : 1;
}

static uint64_t out_blocks(const simjob *job, const simjob_call *c)
{
    return c->coll == WEFT_COLL_ALLGATHER ? (uint64_t)job->size : 1;
}

uint64_t simjob_outs(const simjob *job, const simjob_call *c)
{
    return out_blocks(job, c) * c->count;
}

const weft_algo *simjob_algo(weft_coll coll, int i)
{
    for (int at = 0; weft_algo_at(at) != NULL; at++) {
        if (weft_algo_at(at)->coll == coll && i-- == 0) {
            return weft_algo_at(at);
        }
    }
    return NULL;
}

static double get(weft_dtype dtype, const void *v, uint64_t i)
{
    if (halves_are(dtype)) {
        return halves_value(dtype, ((const uint16_t *)v)[i]);
    }
#define GET(name, type, words)                                                                     \
    case WEFT_##name:                                                                              \
        return (double)((const type *)v)[i];
    switch (dtype) {
        WEFT_DTYPE_MAP(GET)
    default:
        abort();
    }
#undef GET
}

static void set(weft_dtype dtype, void *v, uint64_t i, double to)
{
    if (halves_are(dtype)) {
        ((uint16_t *)v)[i] = halves_nearest(dtype, to);
        return;
    }
#define SET(name, type, words)                                                                     \
    case WEFT_##name:                                                                              \
        ((type *)v)[i] = (type)to;                                                                 \
        return;
    switch (dtype) {
        WEFT_DTYPE_MAP(SET)
    default:
        abort();
    }
#undef SET
}

static double input(const simjob *job, const simjob_call *c, int index, int rank, uint64_t i)
{
    weft_rng rng = {.state = job->seed * 31 + (uint64_t)index * 1000003 +
                             (uint64_t)rank * UINT64_C(1000000007) + i * 7919};
    const bool is_signed =
        c->dtype != WEFT_U8 && c->dtype != WEFT_U16 && c->dtype != WEFT_U32 && c->dtype != WEFT_U64;
    if (c->real) {
        return (double)(float)(weft_rng_unit(&rng) - 0.5);
    }
    if (c->op == WEFT_PROD) {
        return weft_rng_below(&rng, 2) == 0 ? 1.0 : is_signed ? -2.0 : 2.0;
    }
    return (double)weft_rng_below(&rng, 9) - (is_signed ? 4.0 : 0.0);
}

static double reduce(weft_op op, double a, double b)
{
    switch (op) {
    case WEFT_PROD:
        return a * b;
    case WEFT_MIN:
        return a < b ? a : b;
    case WEFT_MAX:
        return a > b ? a : b;
    case WEFT_BAND:
        return (double)((int64_t)a & (int64_t)b);
    case WEFT_BOR:
        return (double)((int64_t)a | (int64_t)b);
    case WEFT_BXOR:
        return (double)((int64_t)a ^ (int64_t)b);
    default:
        return a + b;
    }
}

simjob *simjob_open(int size, uint64_t seed)
{
    simjob *job = memory_of(sizeof(*job));
    job->size = size;
    job->seed = seed;
    for (int r = 0; r < size; r++) {
        job->groups[r] = (weft_group){
            .rank = r, .size = size, .seed = seed, .timeout_ms = 1000, .costs = weft_costs_default};
        if (weft_plancache_open(&job->groups[r].plans) != WEFT_OK) {
            simjob_close(&job);
            return NULL;
        }
    }
    return job;
}

void simjob_close(simjob **ret)
{
    simjob *job = *ret;
    if (job == NULL) {
        return;
    }
    for (int i = 0; i < SIMJOB_CALLS; i++) {
        for (int r = 0; r < job->size; r++) {
            simjob_part *p = &job->parts[i][r];
            weft_request_discard(p->request);
            free(p->memory);
            free(p->before);
            free(p->own);
            free(p->residual);
            free(p->residual_before);
        }
    }
    for (int r = 0; r < job->size; r++) {
        weft_plancache_close(&job->groups[r].plans);
    }
    free(job);
    *ret = NULL;
}

void simjob_ended(void *user, int rank, weft_request *r)
{
    simjob *job = user;
    for (int i = 0; i < SIMJOB_CALLS; i++) {
        simjob_part *p = &job->parts[i][rank];
        if (p->request == r) {
            p->ended = true;
            p->times++;
            weft_request *next = i + 1 < SIMJOB_CALLS ? job->parts[i + 1][rank].request : NULL;
            if (job->chain != NULL && next != NULL) {
                simnet_call(job->chain, simnet_now(job->chain), rank, next);
            }
            return;
        }
    }
}

/* Input and output as the call says, surrounded by canaries. */
static void lay_out(const simjob *job, simjob_part *p, int rank, int index)
{
    const simjob_call *c = &p->call;
    const size_t width = weft_dtype_bytes(c->dtype);
    const uint64_t ins = in_blocks(job, c) * c->count, outs = simjob_outs(job, c);
    const uint64_t most = ins > outs ? ins : outs;
    const uint64_t own = ins != outs ? (uint64_t)rank * c->count : 0;
    const size_t bytes = (size_t)(most + (c->in_place ? 0 : ins)) * width + 2 * CANARY;
    p->memory = memory_of(bytes);
    memset(p->memory, CANARY_BYTE, bytes);
    char *first = p->memory + CANARY;
    p->in = !c->in_place ? first + most * width : ins < outs ? first + own * width : first;
    p->out = c->in_place && ins > outs ? first + own * width : first;
    p->before = memory_of((size_t)ins * width);
    for (uint64_t i = 0; i < ins; i++) {
        set(c->dtype, p->before, i, input(job, c, index, rank, i));
    }
    memcpy(p->in, p->before, (size_t)ins * width);
    if (c->own || c->residual) {
        p->own = c->own ? memory_of((size_t)c->count * sizeof(float)) : NULL;
        p->residual = c->residual ? memory_of((size_t)c->count * sizeof(float)) : NULL;
        p->residual_before = memory_of((size_t)c->count * sizeof(float));
        for (uint64_t i = 0; c->residual && i < c->count; i++) {
            p->residual[i] = (float)input(job, c, index + 77, rank, i) / 16.0f;
            p->residual_before[i] = p->residual[i];
        }
    }
}

static int cut_lanes(simjob *job, int rank, const simjob_call *c, weft_request *r)
{
    const weft_choice choice = {.coll = c->coll,
                                .size = job->size,
                                .count = c->count,
                                .element_bytes = 1,
                                .encoded_bytes = 1,
                                .traits = r->codec->type->traits,
                                .root = c->root};
    weft_pick pick;
    int rc = weft_algo_select(r->algo, &choice, &pick);
    weft_shared_plan *plan = NULL, *tail = NULL;
    weft_shape shape = {.coll = c->coll,
                        .rank = rank,
                        .size = job->size,
                        .block = r->codec->type->block(r->codec),
                        .root = c->root,
                        .spec = &pick.spec};
    const uint64_t lane = c->lane < c->count ? c->lane : c->count;
    shape.count = (size_t)lane;
    if (rc == WEFT_OK) {
        rc = weft_plancache_get(job->groups[rank].plans, pick.algo, &shape, &plan);
    }
    const uint64_t lanes = (c->count + lane - 1) / lane;
    shape.count = (size_t)(c->count - (lanes - 1) * lane);
    if (rc == WEFT_OK) {
        rc = weft_plancache_get(job->groups[rank].plans, pick.algo, &shape, &tail);
    }
    if (rc != WEFT_OK) {
        weft_shared_plan_unref(plan);
        return rc;
    }
    weft_shared_plan_unref(r->plan);
    weft_shared_plan_unref(r->tail);
    r->plan = plan;
    r->tail = tail;
    r->lane_length = lane;
    r->lane_count = lanes;
    return WEFT_OK;
}

weft_request *simjob_make(simjob *job, int rank, int index, const simjob_call *call)
{
    simjob_part *p = &job->parts[index][rank];
    p->call = *call;
    p->number = (uint32_t)index + 1;
    p->receipt = (weft_receipt){.size = sizeof(p->receipt)};
    lay_out(job, p, rank, index);
    const weft_coll_opts opts = {.size = sizeof(opts),
                                 .algo = call->algo,
                                 .codec = call->codec,
                                 .own = p->own,
                                 .residual = p->residual,
                                 .timeout_ms = call->timeout_ms,
                                 .receipt = &p->receipt};
    const weft_call c = {.coll = call->coll,
                         .in = p->in,
                         .out = p->out,
                         .count = call->count,
                         .dtype = call->dtype,
                         .op = call->op,
                         .root = call->root,
                         .opts = &opts};
    int rc = weft_call_make(&job->groups[rank], &c, &p->request);
    if (rc == WEFT_OK && call->lane > 0 && call->count > 0) {
        rc = cut_lanes(job, rank, call, p->request);
        if (rc != WEFT_OK) {
            weft_request_discard(p->request);
            p->request = NULL;
        }
    }
    if (rc != WEFT_OK && rc != WEFT_ENOMEM) {
        fprintf(stderr, "simjob: %s\n", weft_last_error()->message);
        abort();
    }
    return rc == WEFT_OK ? p->request : NULL;
}

static const char *wrong(simjob *job, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *wrong(simjob *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(job->wrong, sizeof(job->wrong), format, args);
    va_end(args);
    return job->wrong;
}

/* Element i of a rank's output where elements are exact. */
static double exact(const simjob *job, const simjob_call *c, int index, int rank, uint64_t i)
{
    if (c->coll == WEFT_COLL_BROADCAST) {
        return input(job, c, index, c->root, i);
    }
    if (c->coll == WEFT_COLL_ALLGATHER) {
        return input(job, c, index, (int)(i / c->count), i % c->count);
    }
    const uint64_t at = c->coll == WEFT_COLL_REDUCE_SCATTER ? (uint64_t)rank * c->count + i : i;
    double sum = input(job, c, index, 0, at);
    for (int r = 1; r < job->size; r++) {
        sum = reduce(c->op, sum, input(job, c, index, r, at));
    }
    return sum;
}

/* The mean of what sums up to a whole number, as the type holds it. */
static double mean_of(weft_dtype dtype, double sum, int peers)
{
    const float narrow = (float)sum / (float)peers;
    return dtype == WEFT_F64   ? sum / (double)peers
           : halves_are(dtype) ? halves_value(dtype, halves_nearest(dtype, (double)narrow))
                               : (double)narrow;
}

static const char *check_exact(simjob *job, const simjob_part *p, int index, int rank)
{
    const simjob_call *c = &p->call;
    for (uint64_t i = 0; i < simjob_outs(job, c); i++) {
        double want = exact(job, c, index, rank, i);
        if (c->op == WEFT_MEAN && c->coll != WEFT_COLL_BROADCAST &&
            c->coll != WEFT_COLL_ALLGATHER) {
            want = mean_of(c->dtype, want, job->size);
        }
        const double got = get(c->dtype, p->out, i);
        const bool rounds = c->real && (c->op == WEFT_SUM || c->op == WEFT_MEAN);
        if (rounds ? fabs(got - want) > 1e-6 * job->size : got != want) {
            return wrong(job, "rank %d call %d element %llu is %.9g, not %.9g", rank, index,
                         (unsigned long long)i, got, want);
        }
    }
    return "";
}

/* The lossy codecs' rule: decoded contributions added in rank order. */
static const char *check_lossy(simjob *job, const simjob_part *p, int index, int rank)
{
    const simjob_call *c = &p->call;
    const weft_request *q = p->request;
    const size_t bytes = (size_t)c->count * sizeof(float);
    float *sum = memory_of(bytes), *value = memory_of(bytes), *one = memory_of(bytes);
    const char *verdict = "";
    for (int r = 0; r < job->size; r++) {
        for (uint64_t i = 0; i < c->count; i++) {
            value[i] = (float)input(job, c, index, r, i);
            if (c->residual) {
                value[i] += (float)input(job, c, index + 77, r, i) / 16.0f;
            }
        }
        for (uint64_t at = 0; at < c->count; at += q->lane_length) {
            const size_t n =
                (size_t)(c->count - at < q->lane_length ? c->count - at : q->lane_length);
            const weft_stretch s = {.lane_count = n, .count = n};
            const weft_draw draw = {
                .seed = job->seed, .member = (uint32_t)r, .draw = p->number, .first = at};
            const size_t cap = q->codec->type->bound(q->codec, &s);
            void *bytes_of = memory_of(cap);
            size_t len = 0;
            if (q->codec->type->encode(q->codec, &draw, value + at, &s, bytes_of, cap, &len) != 0 ||
                q->codec->type->decode(q->codec, &s, bytes_of, len, one + at, false) != 0) {
                abort();
            }
            free(bytes_of);
        }
        for (uint64_t i = 0; i < c->count; i++) {
            sum[i] = r == 0 ? one[i] : sum[i] + one[i];
            if (r != rank) {
                continue;
            }
            if (p->own != NULL && p->own[i] != one[i]) {
                verdict =
                    wrong(job, "rank %d call %d: own is not what the others decoded", rank, index);
            }
            if (p->residual != NULL && p->residual[i] != value[i] - one[i]) {
                verdict =
                    wrong(job, "rank %d call %d: the residual is not what was lost", rank, index);
            }
        }
    }
    for (uint64_t i = 0; i < c->count && verdict[0] == '\0'; i++) {
        const float want = c->op == WEFT_MEAN ? sum[i] / (float)job->size : sum[i];
        if (((const float *)(const void *)p->out)[i] != want) {
            verdict = wrong(job, "rank %d call %d element %llu is %.9g, not %.9g", rank, index,
                            (unsigned long long)i, (double)((const float *)(const void *)p->out)[i],
                            (double)want);
        }
    }
    free(sum);
    free(value);
    free(one);
    return verdict;
}

static const char *check_canaries(simjob *job, const simjob_part *p, int rank, int index)
{
    const simjob_call *c = &p->call;
    const size_t width = weft_dtype_bytes(c->dtype);
    const uint64_t ins = in_blocks(job, c) * c->count, outs = simjob_outs(job, c);
    const uint64_t most = ins > outs ? ins : outs;
    const size_t bytes = (size_t)(most + (c->in_place ? 0 : ins)) * width;
    for (size_t i = 0; i < CANARY; i++) {
        if ((uint8_t)p->memory[i] != CANARY_BYTE ||
            (uint8_t)p->memory[CANARY + bytes + i] != CANARY_BYTE) {
            return wrong(job, "rank %d call %d: written beside its buffers", rank, index);
        }
    }
    return "";
}

static const char *check_input(simjob *job, const simjob_part *p, int rank, int index)
{
    const simjob_call *c = &p->call;
    const size_t bytes = (size_t)(in_blocks(job, c) * c->count) * weft_dtype_bytes(c->dtype);
    if (!c->in_place && memcmp(p->in, p->before, bytes) != 0) {
        return wrong(job, "rank %d call %d: the input was written", rank, index);
    }
    return check_canaries(job, p, rank, index);
}

static const char *check_receipt(simjob *job, const simjob_part *p, int rank, int index)
{
    const weft_receipt *got = &p->receipt;
    uint64_t sends = 0;
    for (uint64_t l = 0; l < p->request->lane_count; l++) {
        const weft_plan *plan =
            l + 1 == p->request->lane_count ? &p->request->tail->plan : &p->request->plan->plan;
        for (size_t i = 0; i < plan->step_count; i++) {
            sends += plan->steps[i].verb == WEFT_VERB_SEND && !plan->steps[i].joined;
        }
    }
    /* A frame is a header and a body; a message is one frame or more. */
    const uint64_t headers = got->wire_bytes_sent - got->body_bytes_sent;
    if (strcmp(got->algo, p->request->algo) != 0 || got->lanes != p->request->lane_count ||
        headers % 64 != 0 || headers < 64 * sends) {
        return wrong(job, "rank %d call %d: receipt %s, %llu lanes, %llu body and %llu wire bytes",
                     rank, index, got->algo, (unsigned long long)got->lanes,
                     (unsigned long long)got->body_bytes_sent,
                     (unsigned long long)got->wire_bytes_sent);
    }
    return "";
}

const char *simjob_result(simjob *job, int rank, int index)
{
    const simjob_part *p = &job->parts[index][rank];
    const bool lossless = (p->request->codec->type->traits & WEFT_CODEC_LOSSLESS) != 0;
    const char *verdict =
        lossless ? check_exact(job, p, index, rank) : check_lossy(job, p, index, rank);
    if (verdict[0] == '\0') {
        verdict = check_input(job, p, rank, index);
    }
    return verdict[0] == '\0' ? check_receipt(job, p, rank, index) : verdict;
}

const char *simjob_untouched(simjob *job, int rank, int index)
{
    const simjob_part *p = &job->parts[index][rank];
    if (p->residual != NULL &&
        memcmp(p->residual, p->residual_before, (size_t)p->call.count * sizeof(float)) != 0) {
        return wrong(job, "rank %d call %d: a failure wrote the residual", rank, index);
    }
    return check_input(job, p, rank, index);
}

uint64_t simjob_bits(const simjob *job, int rank, int index)
{
    const simjob_part *p = &job->parts[index][rank];
    return weft_hash64(p->out,
                       (size_t)simjob_outs(job, &p->call) * weft_dtype_bytes(p->call.dtype));
}
