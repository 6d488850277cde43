/* SPDX-License-Identifier: Apache-2.0 */
/* What must have come of a call: results without plans or messages, and memory left alone. */
#include "support/simjob.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "support/halves.h"

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

/* Element i of a block of a rank's output where elements are exact. */
static double exact(const simjob *job, const simjob_call *c, int index, int rank, uint32_t block,
                    uint64_t i)
{
    switch (c->coll) {
    case WEFT_COLL_BROADCAST:
        return simjob_input(job, c, index, c->root, 0, i);
    case WEFT_COLL_ALLGATHER:
    case WEFT_COLL_GATHER:
        return simjob_input(job, c, index, (int)block, 0, i);
    case WEFT_COLL_SCATTER:
        return simjob_input(job, c, index, c->root, (uint32_t)rank, i);
    case WEFT_COLL_ALLTOALL:
        return simjob_input(job, c, index, (int)block, (uint32_t)rank, i);
    default:
        break;
    }
    const uint32_t of = c->coll == WEFT_COLL_REDUCE_SCATTER ? (uint32_t)rank : 0;
    double sum = simjob_input(job, c, index, 0, of, i);
    for (int r = 1; r < job->size; r++) {
        sum = reduce(c->op, sum, simjob_input(job, c, index, r, of, i));
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

static char *block_at(const simjob_part *p, int block)
{
    return p->out + p->out_offsets[block] * weft_dtype_bytes(p->call.dtype);
}

static const char *check_exact(simjob *job, const simjob_part *p, int index, int rank)
{
    const simjob_call *c = &p->call;
    const bool divides = c->op == WEFT_MEAN && weft_coll_reduces(c->coll);
    for (int b = 0; b < simjob_out_blocks(job, p); b++) {
        for (uint64_t i = 0; i < p->out_counts[b]; i++) {
            double want = exact(job, c, index, rank, (uint32_t)b, i);
            if (divides) {
                want = mean_of(c->dtype, want, job->size);
            }
            const double got = simjob_get(c->dtype, block_at(p, b), i);
            const bool rounds = c->real && (c->op == WEFT_SUM || c->op == WEFT_MEAN);
            if (rounds ? fabs(got - want) > 1e-6 * job->size : got != want) {
                return wrong(job, "rank %d call %d block %d element %llu is %.9g, not %.9g", rank,
                             index, b, (unsigned long long)i, got, want);
            }
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
    float *sum = simjob_memory(bytes), *value = simjob_memory(bytes), *one = simjob_memory(bytes);
    const char *verdict = "";
    for (int r = 0; r < job->size; r++) {
        for (uint64_t i = 0; i < c->count; i++) {
            value[i] = (float)simjob_input(job, c, index, r, 0, i);
            if (c->residual) {
                value[i] += (float)simjob_input(job, c, index + 77, r, 0, i) / 16.0f;
            }
        }
        for (uint64_t at = 0; at < c->count; at += q->lane_length) {
            const size_t n =
                (size_t)(c->count - at < q->lane_length ? c->count - at : q->lane_length);
            const weft_stretch s = {.lane_count = n, .count = n};
            const weft_draw draw = {.seed = job->keys,
                                    .member = (uint32_t)job->ranks[r],
                                    .draw = p->number,
                                    .first = at};
            const size_t cap = q->codec->type->bound(q->codec, &s);
            void *bytes_of = simjob_memory(cap);
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

/* Nothing but the output was written: no input, no gap, nothing beside. */
static const char *check_rest(simjob *job, const simjob_part *p, int rank, int index)
{
    const size_t width = weft_dtype_bytes(p->call.dtype);
    for (int b = 0; b < simjob_out_blocks(job, p); b++) {
        if (p->out_counts[b] > 0) {
            memcpy(p->image + (block_at(p, b) - p->memory), block_at(p, b),
                   p->out_counts[b] * width);
        }
    }
    return memcmp(p->memory, p->image, p->bytes) == 0
               ? ""
               : wrong(job, "rank %d call %d: written beside its output", rank, index);
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
        verdict = check_rest(job, p, rank, index);
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
    return check_rest(job, p, rank, index);
}

uint64_t simjob_bits(const simjob *job, int rank, int index)
{
    const simjob_part *p = &job->parts[index][rank];
    const size_t width = weft_dtype_bytes(p->call.dtype);
    uint64_t bits = 0;
    for (int b = 0; b < simjob_out_blocks(job, p); b++) {
        if (p->out_counts[b] > 0) {
            bits = bits * 31 + weft_hash64(block_at(p, b), p->out_counts[b] * width);
        }
    }
    return bits;
}
