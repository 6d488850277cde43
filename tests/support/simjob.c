/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simjob.h"
#include "support/rows.h"

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

void *simjob_memory(size_t bytes)
{
    void *p = calloc(1, bytes + 1);
    if (p == NULL) {
        abort();
    }
    return p;
}

const weft_algo *simjob_algo(weft_coll coll, int i)
{
    for (int at = 0; weft_algo_at(at) != NULL; at++) {
        if ((weft_algo_at(at)->traits & WEFT_ALGO_GRAPH) == 0 && weft_algo_at(at)->coll == coll &&
            rows_any_codec(weft_algo_at(at)) && i-- == 0) {
            return weft_algo_at(at);
        }
    }
    return NULL;
}

weft_coll simjob_coll(int i)
{
    return (weft_coll)(i < (int)WEFT_COLL_NEIGHBOR_AVERAGE ? i : i + 1);
}

bool simjob_knows(weft_coll coll)
{
    int i = 0;
    while (i < SIMJOB_COLLS && simjob_coll(i) != coll) {
        i++;
    }
    return i < SIMJOB_COLLS;
}

bool simjob_alike(weft_coll coll)
{
    return coll == WEFT_COLL_ALLREDUCE || coll == WEFT_COLL_BROADCAST ||
           coll == WEFT_COLL_ALLGATHER || coll == WEFT_COLL_BARRIER;
}

double simjob_get(weft_dtype dtype, const void *v, uint64_t i)
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

double simjob_input(const simjob *job, const simjob_call *c, int index, int rank, uint32_t block,
                    uint64_t i)
{
    i += block * c->count;
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

simjob *simjob_open(int size, uint64_t seed)
{
    return simjob_open_in(size, NULL, seed, seed);
}

simjob *simjob_open_in(int size, const int *ranks, uint64_t seed, uint64_t keys)
{
    simjob *job = simjob_memory(sizeof(*job));
    job->size = size;
    job->seed = seed;
    job->keys = keys;
    for (int r = 0; r < size; r++) {
        job->ranks[r] = ranks != NULL ? ranks[r] : r;
        job->groups[r] = (weft_group){
            .rank = r, .size = size, .seed = seed, .timeout_ms = 1000, .costs = weft_costs_host};
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
            free(p->image);
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
    int mine = 0;
    while (mine < job->size && job->ranks[mine] != rank) {
        mine++;
    }
    for (int i = 0; i < SIMJOB_CALLS && mine < job->size; i++) {
        simjob_part *p = &job->parts[i][mine];
        if (p->request == r) {
            p->ended = true;
            p->times++;
            weft_request *next = i + 1 < SIMJOB_CALLS ? job->parts[i + 1][mine].request : NULL;
            if (job->chain != NULL && next != NULL) {
                simnet_call(job->chain, simnet_now(job->chain), rank, next);
            }
            return;
        }
    }
}

static bool has_in(const simjob_call *c, int rank)
{
    const bool of_root = c->coll == WEFT_COLL_BROADCAST || c->coll == WEFT_COLL_SCATTER;
    return !of_root || rank == c->root;
}

static bool has_out(const simjob_call *c, int rank)
{
    const bool of_root = c->coll == WEFT_COLL_REDUCE || c->coll == WEFT_COLL_GATHER;
    return !of_root || rank == c->root;
}

int simjob_out_blocks(const simjob *job, const simjob_part *p)
{
    const int rank = (int)((p - &job->parts[0][0]) % SIMNET_RANKS);
    return has_out(&p->call, rank) ? weft_coll_out_blocks(p->call.coll, job->size) : 0;
}

/* Elements of a block: of the rank with it, of alltoall that of a rank to another. */
static uint64_t length_of(const simjob_call *c, int from, int to)
{
    const bool crosses = c->coll == WEFT_COLL_ALLTOALL;
    weft_rng rng = {.state = (uint64_t)from * 131 + (crosses ? (uint64_t)to * 17 : 0) + c->count};
    switch (c->lengths) {
    case SIMJOB_MIXED:
        return weft_rng_below(&rng, 4) == 0 ? 0 : weft_rng_below(&rng, c->count + 1);
    case SIMJOB_ONE:
        return from == c->root && (!crosses || to == 0) ? c->count : 0;
    default:
        return c->count;
    }
}

/* The blocks of one side. Elements from the buffer's beginning to the last one's end. */
static size_t place_blocks(const simjob_call *c, int rank, int blocks, bool input, size_t *counts,
                           size_t *offsets)
{
    const bool crosses = c->coll == WEFT_COLL_ALLTOALL;
    const size_t gap = c->gaps && c->lengths != SIMJOB_ALIKE ? 3 : 0;
    size_t at = blocks > 1 ? gap : 0;
    for (int b = 0; b < blocks; b++) {
        const int owner = blocks > 1 ? b : rank;
        counts[b] = (size_t)(crosses && input ? length_of(c, rank, b) : length_of(c, owner, rank));
        if (crosses && b == c->more_of && c->more != 0 && input == (c->more > 0)) {
            counts[b] += (size_t)abs(c->more);
        }
        offsets[b] = at;
        at += counts[b] + (b + 1 < blocks ? gap : 0);
    }
    return at;
}

/* Input and output as the call says, surrounded by canaries. */
static void place_buffers(const simjob *job, simjob_part *p, int rank)
{
    const simjob_call *c = &p->call;
    const size_t width = weft_dtype_bytes(c->dtype);
    const int in_blocks = weft_coll_in_blocks(c->coll, 2),
              out_blocks = weft_coll_out_blocks(c->coll, 2);
    const bool in = has_in(c, rank), out = has_out(c, rank);
    const bool own_in = in_blocks < out_blocks, own_out = out_blocks < in_blocks;
    const size_t all_ins =
        place_blocks(c, rank, in_blocks > 1 ? job->size : 1, true, p->in_counts, p->in_offsets);
    const size_t all_outs =
        place_blocks(c, rank, out_blocks > 1 ? job->size : 1, false, p->out_counts, p->out_offsets);
    const size_t ins = in ? all_ins : 0, outs = out ? all_outs : 0;
    const bool crossed = c->coll == WEFT_COLL_ALLTOALL && c->lengths != SIMJOB_ALIKE;
    const bool in_place = c->in_place && in && out && !crossed;
    const size_t most = ins > outs ? ins : outs;
    p->bytes = (in_place ? most : ins + outs) * width + 2 * CANARY;
    p->memory = simjob_memory(p->bytes);
    memset(p->memory, CANARY_BYTE, p->bytes);
    char *first = p->memory + CANARY;
    if (in_place) {
        p->in = first + (own_in ? (p->out_offsets[rank] - p->in_offsets[0]) * width : 0);
        p->out = first + (own_out ? (p->in_offsets[rank] - p->out_offsets[0]) * width : 0);
    } else {
        p->in = ins > 0 ? first : NULL;
        p->out = outs > 0 ? first + ins * width : NULL;
    }
}

static void lay_out(simjob *job, simjob_part *p, int rank, int index)
{
    const simjob_call *c = &p->call;
    const size_t width = weft_dtype_bytes(c->dtype);
    const int blocks = has_in(c, rank) ? weft_coll_in_blocks(c->coll, job->size) : 0;
    place_buffers(job, p, rank);
    for (int b = 0; b < blocks; b++) {
        for (size_t i = 0; i < p->in_counts[b]; i++) {
            set(c->dtype, p->in + p->in_offsets[b] * width, i,
                simjob_input(job, c, index, rank, (uint32_t)b, i));
        }
    }
    p->image = simjob_memory(p->bytes);
    memcpy(p->image, p->memory, p->bytes);
    if (c->own || c->residual) {
        p->own = c->own ? simjob_memory((size_t)c->count * sizeof(float)) : NULL;
        p->residual = c->residual ? simjob_memory((size_t)c->count * sizeof(float)) : NULL;
        p->residual_before = simjob_memory((size_t)c->count * sizeof(float));
        for (uint64_t i = 0; c->residual && i < c->count; i++) {
            p->residual[i] = (float)simjob_input(job, c, index + 77, rank, 0, i) / 16.0f;
            p->residual_before[i] = p->residual[i];
        }
    }
}

static int cut_lanes(simjob *job, int rank, const simjob_call *c, weft_request *r)
{
    const weft_choice choice = {.coll = c->coll,
                                .size = job->size,
                                .count = r->count,
                                .element_bytes = 1,
                                .encoded_bytes = 1,
                                .traits = r->codec->type->traits,
                                .ragged = c->lengths != SIMJOB_ALIKE,
                                .root = c->root};
    weft_pick pick;
    int rc = weft_algo_select(r->algo, &choice, &pick);
    weft_shared_plan *plan = NULL, *tail = NULL;
    weft_shape shape = {.coll = c->coll,
                        .rank = rank,
                        .size = job->size,
                        .block = r->codec->type->block(r->codec),
                        .root = c->root,
                        .ragged = choice.ragged,
                        .spec = &pick.spec};
    const uint64_t lane = c->lane < r->count ? c->lane : r->count;
    shape.count = (size_t)lane;
    if (rc == WEFT_OK) {
        rc = weft_plancache_get(job->groups[rank].plans, pick.algo, &shape, &plan);
    }
    const uint64_t lanes = (r->count + lane - 1) / lane;
    if (!choice.ragged) { /* else each rank cuts what there is not */
        shape.count = (size_t)(r->count - (lanes - 1) * lane);
    }
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

static weft_call call_of(const simjob_part *p, const weft_coll_opts *opts)
{
    const simjob_call *c = &p->call;
    const bool lengths = c->lengths != SIMJOB_ALIKE;
    const bool ins = lengths && weft_coll_in_blocks(c->coll, 2) > 1;
    const bool outs = lengths && weft_coll_out_blocks(c->coll, 2) > 1;
    return (weft_call){.coll = c->coll,
                       .in = p->in,
                       .out = p->out,
                       .count = c->count,
                       .dtype = c->dtype,
                       .op = c->op,
                       .root = c->root,
                       .lengths = lengths,
                       .in_counts = ins ? p->in_counts : NULL,
                       .in_offsets = ins && c->gaps ? p->in_offsets : NULL,
                       .out_counts = outs ? p->out_counts : NULL,
                       .out_offsets = outs && c->gaps ? p->out_offsets : NULL,
                       .opts = opts};
}

/* Only sender and receiver know the lengths: in one lane. */
static bool one_lane(const simjob_call *c)
{
    return c->lengths != SIMJOB_ALIKE && c->coll == WEFT_COLL_ALLTOALL;
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
    const weft_call c = call_of(p, &opts);
    int rc = weft_call_make(&job->groups[rank], &c, &p->request);
    if (rc == WEFT_OK && call->lane > 0 && p->request->count > 0 && !one_lane(call)) {
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
