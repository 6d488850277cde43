/* SPDX-License-Identifier: Apache-2.0 */
#include "group/call.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"
#include "codec/codec_region.h"
#include "codec/codec_shared.h"
#include "coding/coding.h"
#include "collectives/rules.h"
#include "kernel/kernel.h"
#include "wire/frame.h"

/* Fragments of a message are numbered with 16 bits. */
#define MESSAGE_MOST (UINT64_C(65536) * WEFT_FRAME_BODY_MAX)

static int open_coding(const weft_call *c, const weft_coll_opts *o, const char *algo,
                       weft_coding *ret)
{
    const weft_coding_ask ask = {.coll = c->coll,
                                 .algo = algo,
                                 .codec = o->codec,
                                 .reply = o->reply_codec,
                                 .fidelity = o->fidelity,
                                 .dtype = c->dtype,
                                 .op = weft_coll_reduces(c->coll) ? c->op : WEFT_SUM,
                                 .user_op = o->user_op,
                                 .residual = o->residual != NULL,
                                 .own = o->own != NULL,
                                 .owned = o->owned != NULL};
    const int rc = weft_coding_open(ret, &ask);
    return rc == WEFT_OK ? rc : weft_fail_context("%s", weft_call_name(c));
}

static int check_regions(const weft_call *c, const weft_coll_opts *o, const weft_pick *pick)
{
    if (o->regions == NULL || (pick->algo->traits & WEFT_ALGO_SPLITS) != 0) {
        return WEFT_OK;
    }
    return weft_fail(WEFT_EINVAL, "%s: regions: algorithm %s cuts no selection", weft_call_name(c),
                     pick->text);
}

/* What the algorithm does with the input besides the sum must fit what else is asked for. */
static int check_extras(const weft_call *c, const weft_coll_opts *o, const weft_coding *k,
                        const weft_pick *pick, bool signs)
{
    const bool votes = (pick->algo->needs & WEFT_NEEDS_SIGNS) != 0;
    const bool requantizes = (pick->algo->needs & WEFT_NEEDS_LOSSY) != 0;
    if ((o->reply_memory != NULL || o->reply_carry != NULL) && !k->reply_asked) {
        return weft_fail(WEFT_EINVAL,
                         "%s: reply_memory and reply_carry go with a lossy reply_codec, not %s",
                         weft_call_name(c), o->reply_codec);
    }
    if (o->owned != NULL && !weft_algo_owns(pick->algo)) {
        return weft_fail(WEFT_EINVAL, "%s: owned: under algorithm %s nobody owns a span",
                         weft_call_name(c), pick->text);
    }
    if (o->own != NULL && requantizes) {
        return weft_fail(WEFT_EINVAL,
                         "%s: own: under algorithm %s no contribution is decoded by itself",
                         weft_call_name(c), pick->text);
    }
    if (o->nonfinite == WEFT_NONFINITE_SKIP && signs && !votes) {
        return weft_fail(WEFT_ENOTSUP,
                         "%s: nonfinite skip: codec %s has no zero that could be contributed",
                         weft_call_name(c), weft_codec_spec(k->codec));
    }
    if (o->residual == NULL && requantizes && !weft_codec_is_unbiased(k->codec)) {
        return weft_fail(WEFT_ENOTSUP,
                         "%s: algorithm %s with codec %s, which is biased, needs a residual: else "
                         "what each hop rounds away is lost for good",
                         weft_call_name(c), pick->text, weft_codec_spec(k->codec));
    }
    return WEFT_OK;
}

static int too_long(const weft_call *c, uint64_t count, const weft_codec *codec)
{
    return weft_fail(WEFT_ENOTSUP, "%s: a vector of %llu elements is too long for codec %s",
                     weft_call_name(c), (unsigned long long)count, weft_codec_spec(codec));
}

static int cut_lanes(const weft_call *c, const weft_pick *pick, const weft_choice *choice,
                     weft_request *r)
{
    const weft_codec_type *type = r->codec->type;
    /* The codec's block; codecs without scales have edges anywhere. */
    r->lane_length = weft_call_lone_lane(c) ? WEFT_COUNT_MOST
                                            : weft_lane_length(pick, choice, type->block(r->codec));
    r->lane_count = r->count == 0 ? 1 : (r->count + r->lane_length - 1) / r->lane_length;
    const uint64_t longest = r->count < r->lane_length ? r->count : r->lane_length;
    if (r->lane_count > UINT32_MAX || weft_codec_bound(r->codec, (size_t)longest) > MESSAGE_MOST) {
        return too_long(c, r->count, r->codec);
    }
    /* A reply is of one rank's part, which ends on an edge of a block. */
    const uint64_t part = longest / (uint64_t)choice->size + type->block(r->codec) + 1;
    const bool replies = (pick->algo->traits & WEFT_ALGO_REPLIES) != 0;
    return replies && weft_codec_bound(r->reply, (size_t)(part < longest ? part : longest)) >
                          MESSAGE_MOST
               ? too_long(c, r->count, r->reply)
               : WEFT_OK;
}

/* Ranks as they sit in the algorithm: as they are where operands must keep the order of ranks. */
static const int *order_for(const weft_group *g, const weft_pick *pick, bool ordered)
{
    return ordered                               ? NULL
           : pick->algo->traits & WEFT_ALGO_RING ? g->orders.ring
           : pick->algo->traits & WEFT_ALGO_TREE ? g->orders.tree
                                                 : NULL;
}

/* Lanes, plans and words of an algorithm that was picked. */
static int follow(weft_group *g, const weft_call *c, const weft_choice *choice,
                  const weft_pick *pick, const weft_regions *regions, weft_request *r)
{
    int rc = cut_lanes(c, pick, choice, r);
    if (rc != WEFT_OK) {
        return rc;
    }
    memcpy(r->algo, pick->text, strlen(pick->text) + 1);
    weft_shape shape = {.coll = c->coll,
                        .rank = g->rank,
                        .size = g->size,
                        .count = (size_t)(r->count < r->lane_length ? r->count : r->lane_length),
                        .block = r->codec->type->block(r->codec),
                        .whole_blocks = (r->codec->type->traits & WEFT_CODEC_BLOCKS) != 0,
                        .root = c->root,
                        .ragged = c->lengths,
                        .spec = &pick->spec,
                        .host = g->host,
                        .order = order_for(g, pick, choice->ordered),
                        .cuts = regions != NULL ? regions->cut : NULL,
                        .graph = choice->graph,
                        .file = pick->file};
    if (weft_call_lone_lane(c)) {
        shape.count = (size_t)WEFT_COUNT_MOST; /* alike for all: each cuts it to what it has */
    }
    r->seated = shape.order != NULL;
    rc = weft_plancache_get(g->plans, pick->algo, &shape, &r->plan);
    if (rc == WEFT_OK && !c->lengths) {
        shape.count = (size_t)(r->count - (r->lane_count - 1) * r->lane_length);
    }
    return rc == WEFT_OK ? weft_plancache_get(g->plans, pick->algo, &shape, &r->tail) : rc;
}

/* The codecs are the request's from now on. */
static void hand_over(weft_coding *k, weft_request *r)
{
    r->codec = k->codec;
    r->reply = k->reply;
    r->scales = k->scales;
    r->requantizes = k->requantizes;
    r->returns = k->returns;
    r->settles = k->selects && r->residual != NULL;
    r->rule = k->rule;
    k->codec = k->reply = NULL;
    k->scales = NULL;
}

/* Before the operation peers agree by a small one, an allreduce: of the same number, since the
 * caller makes one call. */
static int agree(weft_group *g, const weft_coll_opts *o, weft_call what, weft_request *r)
{
    const weft_coll_opts plain = {
        .size = sizeof(plain), .algo = "auto", .timeout_ms = o->timeout_ms};
    what.coll = WEFT_COLL_ALLREDUCE;
    what.in = what.out;
    what.opts = &plain;
    const int rc = weft_call_make(g, &what, &r->before);
    if (rc == WEFT_OK) {
        r->before->after = r;
        r->before->timed = r->timed;
    }
    return rc;
}

/* Peers add up where each would cut, though only later operations cut there. */
static int agree_on_regions(weft_group *g, const weft_coll_opts *o, weft_request *r)
{
    const weft_call sum = {.serves = "regions",
                           .out = r->bounds,
                           .count = (size_t)g->size - 1,
                           .dtype = WEFT_F64,
                           .op = WEFT_SUM};
    return agree(g, o, sum, r);
}

/* Peers agree on the largest magnitude of each block before they encode. */
static int agree_on_scales(weft_group *g, const weft_call *c, const weft_coll_opts *o,
                           const weft_coding *k, weft_request *r)
{
    const weft_call max = {.serves = "scales",
                           .out = r->scales,
                           .count = k->scale_count,
                           .dtype = WEFT_F32,
                           .op = WEFT_MAX};
    const float *in = r->zeros != NULL ? r->zeros : r->in;
    const fenv_t callers = weft_fp_enter(); /* as where it is encoded */
    const int measured = weft_codec_measure(k->base, in, o->residual, r->count, r->scales);
    weft_fp_leave(&callers);
    weft_problem why = {0};
    if (measured != WEFT_OK) { /* the others wait for it: they are to hear why */
        weft_fail_context("%s on rank %d", weft_call_name(c), g->rank);
        weft_problem_from_last(&why);
        why.rank = g->rank;
    }
    const int rc = agree(g, o, max, r);
    if (rc == WEFT_OK) {
        r->before->problem = why;
    }
    return rc;
}

/* What the caller is told before anything of the call is made. */
static int check_all(const weft_group *g, const weft_call *c, const weft_coll_opts *o,
                     const weft_coding *k, const weft_pick *pick, const weft_choice *choice)
{
    const size_t state = o->warm != NULL ? weft_codec_state_count(k->codec, (size_t)c->count) : 0;
    int rc = check_regions(c, o, pick);
    if (rc == WEFT_OK) {
        rc = check_extras(c, o, k, pick, choice->signs);
    }
    if (rc == WEFT_OK) {
        rc = weft_call_check_warm(g, c, o, state);
    }
    if (rc == WEFT_OK && strlen(pick->text) >= WEFT_ALGO_TEXT) {
        rc = weft_fail(WEFT_EINVAL, "%s: the algorithm's SPEC is too long: %s", weft_call_name(c),
                       pick->text);
    }
    if (rc == WEFT_OK && o->regions != NULL && /* in one lane */
        weft_codec_bound(k->codec, (size_t)c->count) > MESSAGE_MOST) {
        rc = too_long(c, c->count, k->codec);
    }
    return rc;
}

static int follow_all(weft_group *g, const weft_call *c, const weft_coll_opts *o,
                      const weft_choice *choice, const weft_pick *pick, weft_coding *k,
                      weft_request *r)
{
    int rc = check_all(g, c, o, k, pick, choice);
    if (rc == WEFT_OK && o->regions != NULL) { /* last: it forgets what was of another count */
        rc = weft_regions_fit(o->regions, r->count, g->size);
    }
    if (rc == WEFT_OK) {
        rc = weft_coding_follow(k, pick, g->size, r->count, o->regions);
    }
    if (rc != WEFT_OK) {
        return rc;
    }
    hand_over(k, r);
    snprintf(r->result.fidelity, sizeof(r->result.fidelity), "%s",
             weft_algo_fidelity(pick->algo, weft_codec_lossy(r->reply)));
    if (o->nonfinite == WEFT_NONFINITE_SKIP && weft_codec_lossy(r->codec) &&
        !weft_kernel_finite(r->in, (size_t)r->count)) {
        r->result.skipped = 1;
        r->zeros = weft_calloc((size_t)r->count, sizeof(*r->zeros));
        if (r->zeros == NULL) {
            return weft_fail(WEFT_ENOMEM, "%s: out of memory for zeros", weft_call_name(c));
        }
    }
    if (o->regions != NULL) {
        r->regions = weft_regions_digest(o->regions);
    }
    rc = follow(g, c, choice, pick, o->regions, r);
    if (rc == WEFT_OK && r->scales != NULL) {
        rc = agree_on_scales(g, c, o, k, r);
    }
    if (rc == WEFT_OK && o->regions != NULL) {
        rc = weft_codec_region_bounds(r->codec, &r->bounds);
    }
    return rc == WEFT_OK && r->bounds != NULL ? agree_on_regions(g, o, r) : rc;
}

static int make_plans(weft_group *g, const weft_call *c, const weft_coll_opts *o, weft_request *r)
{
    const size_t width = weft_dtype_bytes(c->dtype);
    /* Nothing that others do not know may choose. */
    const uint64_t count = weft_call_lone_lane(c) ? 0 : r->count;
    char rule[WEFT_SPEC_TEXT];
    const char *name = o->algo != NULL                                          ? o->algo
                       : weft_rules_find(g->algo, c->coll, count * width, rule) ? rule
                                                                                : NULL;
    weft_coding coding = {0};
    int rc = open_coding(c, o, name, &coding);
    if (rc != WEFT_OK) {
        return rc;
    }
    weft_choice choice = {
        .coll = c->coll,
        .size = g->size,
        .count = count,
        .element_bytes = width,
        .ordered = weft_codec_ordered(coding.codec),
        .ragged = c->lengths,
        .root = c->root,
        .host = g->host,
        .graph = c->topology != NULL ? c->topology : g->topology,
        .costs = &g->costs,
        .files = g->files,
    };
    weft_pick pick;
    weft_coding_choice(&coding, count, &choice);
    /* A topology of the call's own is the caller's, who may put another one in its place. */
    rc = c->topology == NULL ? weft_plancache_pick(g->plans, name, &choice, &pick)
                             : weft_algo_select(name, &choice, &pick);
    if (rc == WEFT_OK) {
        rc = follow_all(g, c, o, &choice, &pick, &coding, r);
        weft_pick_free(&pick); /* its file stays open in the group, like the plans made of it */
    }
    weft_coding_close(&coding);
    return rc;
}

static uint64_t longest(const weft_group *g, const weft_call *c)
{
    uint64_t most = c->lengths ? 0 : c->count;
    for (int i = 0; i < g->size; i++) {
        const uint64_t in = c->in_counts != NULL ? c->in_counts[i] : 0;
        const uint64_t out = c->out_counts != NULL ? c->out_counts[i] : 0;
        most = in > most ? in : most;
        most = out > most ? out : most;
    }
    return most;
}

/* Copies of the lengths of a side's blocks and of where they begin. */
static int keep_blocks(const weft_group *g, const size_t *counts, const size_t *offsets,
                       uint64_t **ret_lengths, uint64_t **ret_offsets)
{
    const size_t size = (size_t)g->size;
    uint64_t behind = 0;
    if (counts == NULL) {
        return WEFT_OK;
    }
    *ret_lengths = weft_calloc(size, sizeof(uint64_t));
    *ret_offsets = weft_calloc(size, sizeof(uint64_t));
    if (*ret_lengths == NULL || *ret_offsets == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for the lengths of %d blocks", g->size);
    }
    for (size_t i = 0; i < size; i++) {
        (*ret_lengths)[i] = counts[i];
        (*ret_offsets)[i] = offsets != NULL ? offsets[i] : behind;
        behind += counts[i];
    }
    return WEFT_OK;
}

static int fill(const weft_group *g, const weft_call *c, const weft_coll_opts *o, weft_request *r)
{
    const int64_t timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : g->timeout_ms;
    r->context = g->context;
    r->coll = weft_call_name(c);
    r->has_out = weft_call_has_out(g, c);
    r->in = weft_call_has_in(g, c) ? c->in : NULL;
    r->out = r->has_out ? c->out : NULL;
    r->count = longest(g, c);
    r->in_stride = weft_coll_in_blocks(c->coll, g->size) > 1 ? r->count : 0;
    r->out_stride = weft_coll_out_blocks(c->coll, g->size) > 1 ? r->count : 0;
    r->dtype = c->dtype;
    r->op = weft_coll_reduces(c->coll) ? c->op : WEFT_SUM;
    r->own = o->own;
    r->residual = o->residual;
    r->warm = o->warm;
    r->reply_memory = o->reply_memory;
    r->reply_alpha = o->reply_alpha;
    r->reply_carry = o->reply_carry;
    r->owned = o->owned;
    r->draw = o->draw;
    r->tensor = o->tensor;
    r->timeout_ns = timeout_ms < 0 ? WEFT_NEVER : timeout_ms * WEFT_MS;
    r->receipt = o->receipt;
    r->timed = o->receipt != NULL;
    r->measures = o->receipt != NULL && o->measure_error != 0;
    const int rc = keep_blocks(g, c->in_counts, c->in_offsets, &r->in_lengths, &r->in_offsets);
    return rc != WEFT_OK
               ? rc
               : keep_blocks(g, c->out_counts, c->out_offsets, &r->out_lengths, &r->out_offsets);
}

int weft_call_make(weft_group *g, const weft_call *c, weft_request **ret)
{
    weft_coll_opts o = {.size = sizeof(o)};
    if (c->opts != NULL) {
        if (c->opts->size < sizeof(c->opts->size) || c->opts->size > 4096) {
            return weft_fail(WEFT_EINVAL, "%s: opts->size is not set to sizeof(weft_coll_opts)",
                             weft_call_name(c));
        }
        memcpy(&o, c->opts, c->opts->size < sizeof(o) ? c->opts->size : sizeof(o));
    }
    if (c->coll == WEFT_COLL_TRANSFER) { /* the rest is of collectives */
        o = (weft_coll_opts){
            .size = sizeof(o), .codec = o.codec, .timeout_ms = o.timeout_ms, .receipt = o.receipt};
    }
    int rc = weft_call_check(g, c, &o);
    if (rc != WEFT_OK) {
        return rc;
    }
    weft_request *r = weft_request_new();
    if (r == NULL) {
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", weft_call_name(c));
    }
    rc = fill(g, c, &o, r);
    if (rc == WEFT_OK) {
        rc = make_plans(g, c, &o, r);
    }
    if (rc != WEFT_OK) {
        weft_request_discard(r);
        return rc;
    }
    if (o.decline != 0) { /* of a pair its first part fails, and with it the call */
        weft_problem_set(r->before != NULL ? &r->before->problem : &r->problem, WEFT_ECANCELED,
                         g->rank, "rank %d declined %s", g->rank, weft_call_name(c));
    }
    weft_call_describe(g, c, r);
    *ret = r;
    return WEFT_OK;
}

int weft_call_run(weft_loop *l, weft_request *r, uint64_t *ret_call)
{
    int rc = weft_loop_run(l, r);
    if (r->loop == NULL) { /* it was not taken */
        weft_request_discard(r);
        return rc;
    }
    if (rc != WEFT_OK) {
        rc = weft_fail_problem(&r->problem);
    } else if (ret_call != NULL) {
        *ret_call = r->call;
    }
    weft_request_free(&r);
    return rc;
}

int weft_call_start(weft_loop *l, weft_request *r, weft_request **ret)
{
    const int rc = weft_loop_submit(l, r);
    if (rc != WEFT_OK) {
        weft_request_discard(r);
        return rc;
    }
    *ret = r;
    return WEFT_OK;
}
