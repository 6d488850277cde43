/* SPDX-License-Identifier: Apache-2.0 */
#include "group/call.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "wire/frame.h"

#define COUNT_MOST (UINT64_C(1) << 40)
/* Fragments of a message are numbered with 16 bits. */
#define MESSAGE_MOST (UINT64_C(65536) * WEFT_FRAME_BODY_MAX)
#define DRAW_MOST ((UINT64_C(1) << 48) - 1)

typedef struct region {
    const char *from;
    uint64_t bytes;
} region;

static bool overlap(region a, region b)
{
    return a.from != NULL && b.from != NULL && a.bytes > 0 && b.bytes > 0 &&
           (uintptr_t)a.from < (uintptr_t)b.from + b.bytes &&
           (uintptr_t)b.from < (uintptr_t)a.from + a.bytes;
}

static int invalid(const weft_call *c, const char *what)
{
    return weft_fail(WEFT_EINVAL, "%s: %s", weft_coll_name(c->coll), what);
}

/* Blocks of count elements in the input and in the output. */
static uint64_t in_blocks(const weft_group *g, const weft_call *c)
{
    return c->coll == WEFT_COLL_REDUCE_SCATTER ? (uint64_t)g->size : 1;
}

static uint64_t out_blocks(const weft_group *g, const weft_call *c)
{
    return c->coll == WEFT_COLL_ALLGATHER ? (uint64_t)g->size : 1;
}

static bool reduces(const weft_call *c)
{
    return c->coll == WEFT_COLL_ALLREDUCE || c->coll == WEFT_COLL_REDUCE_SCATTER;
}

static int check_buffers(const weft_group *g, const weft_call *c, const weft_coll_opts *o)
{
    const uint64_t width = weft_dtype_bytes(c->dtype);
    const region in = {c->in, in_blocks(g, c) * c->count * width};
    const region out = {c->out, out_blocks(g, c) * c->count * width};
    const region own = {(const char *)o->own, c->count * width};
    const region residual = {(const char *)o->residual, c->count * width};
    if (c->count > 0 && (c->in == NULL || c->out == NULL)) {
        return invalid(c, "a buffer is missing (NULL)");
    }
    /* In place: the own block of the larger side is the smaller side. */
    const uint64_t mine = (uint64_t)g->rank * c->count * width;
    const bool in_place = (c->coll == WEFT_COLL_ALLGATHER && in.from == out.from + mine) ||
                          (c->coll == WEFT_COLL_REDUCE_SCATTER && out.from == in.from + mine) ||
                          (c->coll != WEFT_COLL_ALLGATHER && c->coll != WEFT_COLL_REDUCE_SCATTER &&
                           in.from == out.from);
    if (overlap(in, out) && !in_place) {
        return invalid(c, "input and output overlap without being in place");
    }
    if (overlap(own, in) || overlap(own, out) || overlap(own, residual) || overlap(residual, in) ||
        overlap(residual, out)) {
        return invalid(c, "own or residual overlaps another buffer");
    }
    return WEFT_OK;
}

static int check_user_op(const weft_call *c, const weft_coll_opts *o)
{
    const weft_user_op *u = o->user_op;
    if (!reduces(c) || c->op != WEFT_USER) {
        return u == NULL ? WEFT_OK : invalid(c, "user_op goes with the operation WEFT_USER only");
    }
    if (u == NULL || u->size < sizeof(*u) || u->size > 4096) {
        return invalid(c, u == NULL ? "WEFT_USER needs opts->user_op"
                                    : "user_op->size is not set to sizeof(weft_user_op)");
    }
    return u->reduce != NULL ? WEFT_OK : invalid(c, "user_op->reduce is NULL");
}

static int check(const weft_group *g, const weft_call *c, const weft_coll_opts *o)
{
    if (g == NULL) {
        return invalid(c, "no group");
    }
    if (weft_dtype_bytes(c->dtype) == 0) {
        return weft_fail(WEFT_EINVAL, "%s: there is no element type %d", weft_coll_name(c->coll),
                         (int)c->dtype);
    }
    if (c->count > COUNT_MOST) {
        return weft_fail(WEFT_EINVAL, "%s: count %llu is above 2^40", weft_coll_name(c->coll),
                         (unsigned long long)c->count);
    }
    if (reduces(c) && ((unsigned)c->op >= WEFT_OP_COUNT)) {
        return weft_fail(WEFT_EINVAL, "%s: there is no operation %d", weft_coll_name(c->coll),
                         (int)c->op);
    }
    const int rc = check_user_op(c, o);
    if (rc != WEFT_OK) {
        return rc;
    }
    if (reduces(c) && c->op != WEFT_USER && weft_kernel_reduce(c->dtype, c->op) == NULL) {
        return weft_fail(WEFT_ENOTSUP, "%s: there is no operation %s of %s",
                         weft_coll_name(c->coll), weft_op_name(c->op), weft_dtype_name(c->dtype));
    }
    if (c->root < 0 || c->root >= g->size) {
        return weft_fail(WEFT_EINVAL, "%s: root %d of %d peers", weft_coll_name(c->coll), c->root,
                         g->size);
    }
    if (o->draw > DRAW_MOST || o->tensor > 65535) {
        return invalid(c, "draw is above 2^48-1 or tensor above 65535");
    }
    if (o->timeout_ms < WEFT_FOREVER || o->timeout_ms > WEFT_LONGEST_MS) {
        return invalid(c, "timeout_ms is negative, or above a year");
    }
    if ((o->own != NULL || o->residual != NULL) &&
        (c->coll != WEFT_COLL_ALLREDUCE || c->dtype != WEFT_F32)) {
        return invalid(c, "own and residual go with an allreduce of float32");
    }
    if (o->receipt != NULL && o->receipt->size < sizeof(o->receipt->size)) {
        return invalid(c, "receipt->size is not set");
    }
    return check_buffers(g, c, o);
}

static int make_codecs(const weft_call *c, const weft_coll_opts *o, weft_request *r)
{
    const weft_op op = reduces(c) ? c->op : WEFT_SUM;
    const char *spec = o->codec != NULL ? o->codec : "raw";
    int rc = weft_codec_make(&r->codec, spec, c->dtype, op, o->user_op);
    if (rc == WEFT_OK && c->coll != WEFT_COLL_ALLREDUCE &&
        (r->codec->type->traits & WEFT_CODEC_LOSSLESS) == 0) {
        rc = weft_fail(WEFT_ENOTSUP, "codec %s serves allreduce only", r->codec->type->name);
    }
    if (rc == WEFT_OK) {
        rc = weft_codec_make(&r->raw, "raw", c->dtype, op, o->user_op);
    }
    return rc == WEFT_OK ? rc : weft_fail_context("%s", weft_coll_name(c->coll));
}

/* Operands must keep the order of ranks. */
static bool ordered(const weft_codec *codec)
{
    return codec->op == WEFT_USER && codec->user_op.commutative == 0;
}

static int make_plans(weft_group *g, const weft_call *c, const weft_coll_opts *o, weft_request *r)
{
    const size_t width = weft_dtype_bytes(c->dtype);
    const weft_choice choice = {
        .coll = c->coll,
        .size = g->size,
        .count = c->count,
        .element_bytes = width,
        .encoded_bytes =
            c->count == 0 ? (double)width
                          : (double)weft_codec_bound(r->codec, (size_t)c->count) / (double)c->count,
        .traits = r->codec->type->traits,
        .ordered = ordered(r->codec),
    };
    /* The codec's block; codecs without scales have edges anywhere. */
    const size_t block = r->codec->type->block(r->codec);
    const weft_algo *algo = NULL;
    /* WEFT_ALGO speaks of allreduce; the other collectives have an algorithm each. */
    const char *name = o->algo != NULL ? o->algo : c->coll == WEFT_COLL_ALLREDUCE ? g->algo : NULL;
    int rc = weft_algo_select(name, &choice, &algo);
    if (rc != WEFT_OK) {
        return rc;
    }
    r->algo = algo->name;
    r->lane_length = weft_lane_length(algo, &choice, block);
    r->lane_count = c->count == 0 ? 1 : (c->count + r->lane_length - 1) / r->lane_length;
    if (r->lane_count > UINT32_MAX ||
        weft_codec_bound(r->codec, (size_t)r->lane_length) > MESSAGE_MOST) {
        return weft_fail(WEFT_ENOTSUP, "%s: a vector of %llu elements is too long for codec %s",
                         weft_coll_name(c->coll), (unsigned long long)c->count,
                         weft_codec_spec(r->codec));
    }
    weft_shape shape = {.coll = c->coll,
                        .rank = g->rank,
                        .size = g->size,
                        .count = (size_t)(c->count < r->lane_length ? c->count : r->lane_length),
                        .block = block,
                        .root = c->root};
    rc = weft_plancache_get(g->plans, algo, &shape, &r->plan);
    if (rc == WEFT_OK) {
        shape.count = (size_t)(c->count - (r->lane_count - 1) * r->lane_length);
        rc = weft_plancache_get(g->plans, algo, &shape, &r->tail);
    }
    return rc;
}

static void describe(const weft_call *c, weft_request *r)
{
    const char *name = weft_coll_name(c->coll);
    char root[32] = "";
    if (c->coll == WEFT_COLL_BROADCAST) {
        snprintf(root, sizeof(root), " root=%d", c->root);
    }
    if (c->coll == WEFT_COLL_BARRIER) {
        snprintf(r->words, sizeof(r->words), "%s algo=%s", name, r->algo);
    } else {
        snprintf(r->words, sizeof(r->words), "%s %s%s%s%s count=%llu%s codec=%s algo=%s lane=%llu",
                 name, weft_dtype_name(c->dtype), reduces(c) ? " " : "",
                 reduces(c) ? weft_op_name(c->op) : "", ordered(r->codec) ? " ordered" : "",
                 (unsigned long long)c->count, root, weft_codec_spec(r->codec), r->algo,
                 (unsigned long long)r->lane_length);
    }
    r->descriptor = weft_hash64(r->words, strlen(r->words));
    r->descriptor += r->descriptor == 0; /* 0 is no hash: frames without an operation have it */
}

static void fill(const weft_group *g, const weft_call *c, const weft_coll_opts *o, weft_request *r)
{
    const int64_t timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : g->timeout_ms;
    r->coll = weft_coll_name(c->coll);
    r->in = c->in;
    r->out = c->out;
    r->count = c->count;
    r->in_stride = in_blocks(g, c) > 1 ? c->count : 0;
    r->out_stride = out_blocks(g, c) > 1 ? c->count : 0;
    r->dtype = c->dtype;
    r->op = reduces(c) ? c->op : WEFT_SUM;
    r->own = o->own;
    r->residual = o->residual;
    r->draw = o->draw;
    r->tensor = o->tensor;
    r->timeout_ns = timeout_ms < 0 ? WEFT_NEVER : timeout_ms * WEFT_MS;
    r->receipt = o->receipt;
}

int weft_call_make(weft_group *g, const weft_call *c, weft_request **ret)
{
    weft_coll_opts o = {.size = sizeof(o)};
    if (c->opts != NULL) {
        if (c->opts->size < sizeof(c->opts->size) || c->opts->size > 4096) {
            return invalid(c, "opts->size is not set to sizeof(weft_coll_opts)");
        }
        memcpy(&o, c->opts, c->opts->size < sizeof(o) ? c->opts->size : sizeof(o));
    }
    int rc = check(g, c, &o);
    if (rc != WEFT_OK) {
        return rc;
    }
    weft_request *r = weft_request_new();
    if (r == NULL) {
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", weft_coll_name(c->coll));
    }
    fill(g, c, &o, r);
    rc = make_codecs(c, &o, r);
    if (rc == WEFT_OK) {
        rc = make_plans(g, c, &o, r);
    }
    if (rc != WEFT_OK) {
        weft_request_discard(r);
        return rc;
    }
    describe(c, r);
    *ret = r;
    return WEFT_OK;
}
