/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: the verbs of its plan, one heavy one (encode, combine, decode) a call.
 *
 * A message that arrived is combined in place, gets a new header and travels on; nothing is copied
 * but what a second destination or a fragment needs, and what another thread still reads (mem).
 */
#include <string.h>

#include "base/mem.h"
#include "engine/exec.h"
#include "kernel/kernel.h"

const weft_plan *weft_lane_plan(const weft_operation *op, uint64_t index)
{
    const weft_request *r = op->request;
    return index + 1 == r->lane_count ? &r->tail->plan : &r->plan->plan;
}

const weft_plan_peer *weft_lane_peer(const weft_plan *plan, int position)
{
    for (size_t i = 0; i < plan->peer_count; i++) {
        if (plan->peers[i].rank == position) {
            return &plan->peers[i];
        }
    }
    return NULL;
}

/* Elements of a block of what travels; plan.h says how those count. */
static uint64_t block_length(const weft_request *r, const weft_plan *plan, uint32_t block)
{
    if (r->in_lengths == NULL && r->out_lengths == NULL) {
        return r->count;
    }
    if (r->in_lengths != NULL && r->out_lengths != NULL && weft_plan_crosses(plan)) {
        const uint32_t from = block / (uint32_t)plan->size;
        return from == (uint32_t)plan->rank ? r->in_lengths[block % (uint32_t)plan->size]
                                            : r->out_lengths[from];
    }
    return r->in_lengths != NULL ? r->in_lengths[block] : r->out_lengths[block];
}

/* The part of a step's span that there is: blocks may be shorter than the plan's. */
static weft_span span_of(const weft_request *r, uint64_t index, const weft_plan *plan,
                         const weft_step *step)
{
    weft_span span = step->span;
    if (r->in_lengths != NULL || r->out_lengths != NULL) {
        const bool in = step->verb == WEFT_VERB_PACK || step->verb == WEFT_VERB_FOLD;
        const bool out = step->verb == WEFT_VERB_UNPACK || step->verb == WEFT_VERB_ADD ||
                         step->verb == WEFT_VERB_REPLY;
        const weft_span travels = in    ? weft_plan_in(plan, span)
                                  : out ? weft_plan_out(plan, span)
                                        : span;
        const uint64_t length = block_length(r, plan, travels.block);
        const uint64_t from = index * r->lane_length + span.off;
        const uint64_t left = length > from ? length - from : 0;
        span.count = span.count < left ? span.count : (size_t)left;
    }
    return span;
}

/* Contributions count their codec's blocks from the lane's first element; replies and what is
 * encoded anew on the way, from the span's. */
static weft_stretch stretch_of(const weft_request *r, uint64_t index, const weft_plan *plan,
                               const weft_step *step, const weft_span *s)
{
    const uint64_t lane = index * r->lane_length;
    if (step->raw || r->requantizes) {
        return (weft_stretch){
            .lane_count = s->count, .off = 0, .count = s->count, .first = lane + s->off};
    }
    return (weft_stretch){
        .lane_count = plan->count, .off = s->off, .count = s->count, .first = lane};
}

const weft_codec *weft_exec_codec(const weft_operation *op, const weft_step *step)
{
    return step->raw ? op->request->reply : op->request->codec;
}

size_t weft_lane_bound(const weft_operation *op, uint64_t index, const weft_step *step, bool *exact)
{
    const weft_codec *c = weft_exec_codec(op, step);
    const weft_plan *plan = weft_lane_plan(op, index);
    const weft_span span = span_of(op->request, index, plan, step);
    const weft_stretch s = stretch_of(op->request, index, plan, step, &span);
    *exact = (c->type->traits & WEFT_CODEC_MERGES) != 0;
    return c->type->bound(c, &s);
}

/* The element at a position of a buffer. An operation of no elements may have no buffer, and C
 * allows no arithmetic on NULL. */
static char *advance(const void *base, uint64_t elements, weft_dtype dtype)
{
    const size_t bytes = (size_t)elements * weft_dtype_bytes(dtype);
    return bytes == 0 ? (char *)(uintptr_t)base : (char *)(uintptr_t)base + bytes;
}

static const void *input_of(const weft_operation *op)
{
    return op->acc != NULL              ? op->acc
           : op->request->zeros != NULL ? op->request->zeros
                                        : op->request->in;
}

/* The first element of the lane in the span's block of the input; floats after error feedback. Of
 * nothing it is the buffer: a block may end before the lane begins. */
const char *weft_exec_lane(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    const weft_span *s = &x->span;
    const uint64_t first =
        r->in_offsets != NULL ? r->in_offsets[s->block] : s->block * r->in_stride;
    const uint64_t at = s->count == 0 ? 0 : first + x->lane->index * r->lane_length;
    return advance(input_of(x->op), at, r->dtype);
}

const char *weft_exec_in(const weft_exec *x)
{
    return advance(weft_exec_lane(x), x->span.count == 0 ? 0 : x->span.off, x->op->request->dtype);
}

char *weft_exec_out(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    const weft_span *s = &x->span;
    if (s->count == 0) {
        return r->out;
    }
    const uint64_t first =
        r->out_offsets != NULL ? r->out_offsets[s->block] : s->block * r->out_stride;
    const uint64_t at = first + x->lane->index * r->lane_length + s->off;
    return (char *)r->out + at * weft_dtype_bytes(r->dtype);
}

size_t weft_exec_at(const weft_exec *x)
{
    return (size_t)(x->lane->index * x->op->request->lane_length) + x->span.off;
}

weft_draw weft_exec_draw(const weft_exec *x, uint32_t member)
{
    const weft_request *r = x->op->request;
    return (weft_draw){.seed = x->engine->seed,
                       .member = member,
                       .tensor = r->tensor,
                       .draw = r->draw != 0 ? r->draw : x->op->number,
                       .first = x->stretch.first};
}

int weft_exec_malformed(const weft_exec *x, const weft_slot *slot, int code)
{
    char who[64];
    if (code != WEFT_ECODEC || slot->from < 0) {
        return code;
    }
    weft_fail_context("from %s", weft_context_rank(x->op->context, slot->from, who, sizeof(who)));
    return weft_fail_rank(code, weft_context_named(x->op->context, slot->from), "%s",
                          weft_last_error()->message);
}

bool weft_exec_refill(weft_slot *slot, weft_message *m)
{
    weft_message_unref(slot->message);
    *slot = (weft_slot){.message = m, .from = -1};
    return m != NULL;
}

int weft_exec_no_memory(void)
{
    return weft_fail(WEFT_ENOMEM, "out of memory for a message");
}

/* What the encoding of the span has changed. */
void weft_exec_measure(const weft_exec *x, const float *decoded)
{
    weft_receipt *told = &x->op->request->result;
    const float *in = (const float *)(const void *)weft_exec_in(x);
    for (size_t i = 0; i < x->span.count; i++) {
        const double v = (double)in[i], lost = v - (double)decoded[i];
        told->input_norm += v * v;
        told->error_norm += lost * lost;
    }
}

/* What the others will decode, for DIANA's message and for error feedback. */
static int decode_own(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    const weft_codec *c = r->codec;
    const size_t at = weft_exec_at(x), count = x->span.count;
    float *to = x->op->own != NULL ? x->op->own + at : NULL;
    weft_message *scratch = NULL;
    if (!weft_codec_lossy(c) || (to == NULL && !(r->requantizes && x->op->acc != NULL))) {
        return WEFT_OK;
    }
    if (to == NULL) {
        scratch = weft_message_new(x->engine->pool, count * sizeof(float));
        if (scratch == NULL) {
            return weft_exec_no_memory();
        }
        to = (float *)(void *)weft_exec_body(scratch);
    }
    const int rc = c->type->decode(c, &x->stretch, weft_exec_body(x->slot->message),
                                   weft_exec_length(x->slot->message), to, false);
    if (rc == WEFT_OK && r->measures && !r->requantizes) {
        weft_exec_measure(x, to);
    }
    if (rc == WEFT_OK && scratch != NULL) { /* each hop keeps its own loss: exec_combine.c */
        weft_kernel_sub(x->op->acc + at, x->op->acc + at, to, count);
    }
    weft_message_unref(scratch);
    return rc;
}

static int pack(weft_exec *x)
{
    weft_request *r = x->op->request;
    const weft_codec *c = r->codec;
    weft_message *m = weft_message_new(x->engine->pool, c->type->bound(c, &x->stretch));
    if (!weft_exec_refill(x->slot, m)) {
        return weft_exec_no_memory();
    }
    const weft_draw draw = weft_exec_draw(x, (uint32_t)x->engine->rank);
    size_t len = 0;
    const char *from = r->requantizes ? weft_exec_in(x) : weft_exec_lane(x);
    int rc = WEFT_OK;
    if (r->zeros != NULL && c->type->abstain != NULL) { /* nothing of it is contributed, or lost */
        c->type->abstain(weft_exec_body(m), &len);
        m->len = WEFT_FRAME_HEADER + len;
        r->result.encoded_bytes += len;
        if (x->op->own != NULL && x->span.count > 0) {
            memset(x->op->own + weft_exec_at(x), 0, x->span.count * sizeof(float));
        }
        return weft_exec_sent(x);
    }
    if (x->op->warm != NULL) {
        rc = c->type->encode_warm(c, &draw, from, &x->stretch, r->warm, x->op->warm,
                                  weft_exec_body(m), weft_exec_length(m), &len);
    } else {
        rc = c->type->encode(c, &draw, from, &x->stretch, weft_exec_body(m), weft_exec_length(m),
                             &len);
    }
    if (rc == WEFT_OK) {
        m->len = WEFT_FRAME_HEADER + len;
        r->result.encoded_bytes += len;
        rc = decode_own(x);
    }
    return rc == WEFT_OK ? weft_exec_sent(x) : rc;
}

static int unpack(weft_exec *x)
{
    const weft_codec *c = x->op->request->codec;
    if (x->step->raw) {
        return weft_exec_unpack_reply(x);
    }
    int rc = weft_exec_malformed(x, x->slot,
                                 c->type->decode(c, &x->stretch, weft_exec_body(x->slot->message),
                                                 weft_exec_length(x->slot->message),
                                                 weft_exec_out(x), x->step->verb == WEFT_VERB_ADD));
    if (rc == WEFT_OK) {
        rc = weft_exec_won(x);
    }
    if (rc == WEFT_OK && x->step->last) {
        (void)weft_exec_refill(x->slot, NULL);
    }
    return rc;
}

static void receive(weft_lane *lane, const weft_plan *plan, const weft_step *step)
{
    const weft_plan_peer *from = weft_lane_peer(plan, step->peer);
    weft_arrival *arrival = &lane->arrivals[from->first_recv + step->message];
    if (arrival->whole) {
        (void)weft_exec_refill(&lane->slots[step->slot], arrival->message);
        lane->slots[step->slot].from = step->peer;
        arrival->message = NULL;
    } else {
        lane->waiting++;
    }
}

void weft_lane_arrived(weft_engine *e, weft_lane *lane, const weft_plan *plan, size_t ordinal)
{
    const size_t index = plan->recvs[ordinal];
    weft_arrival *a = &lane->arrivals[ordinal];
    if (lane->pc > index) {
        weft_slot *slot = &lane->slots[plan->steps[index].slot];
        weft_message_unref(slot->message);
        *slot = (weft_slot){.message = a->message, .from = plan->steps[index].peer};
        a->message = NULL;
        if (--lane->waiting == 0) {
            weft_lane_ready(e, lane);
        }
    }
}

static weft_exec at_step(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan,
                         const weft_step *step)
{
    weft_exec x = {.engine = e,
                   .op = op,
                   .lane = lane,
                   .plan = plan,
                   .step = step,
                   .slot = &lane->slots[step->slot],
                   .span = span_of(op->request, lane->index, plan, step)};
    x.stretch = stretch_of(op->request, lane->index, plan, step, &x.span);
    if (!step->raw && !op->request->requantizes) {
        x.stretch.measured = &lane->measured;
    }
    return x;
}

/* Before a lane's first verb: what is encoded, and, where nothing is lost, the own contribution. */
static bool feed(const weft_operation *op, weft_lane *lane, const weft_plan *plan)
{
    const weft_request *r = op->request;
    const size_t at = (size_t)(lane->index * r->lane_length);
    if (lane->fed || (op->acc == NULL && op->own == NULL)) {
        return false;
    }
    lane->fed = true;
    if (plan->count == 0) {
        return true; /* there may be no input */
    }
    const float *in = r->zeros != NULL ? r->zeros : r->in;
    if (op->acc != NULL) {
        weft_kernel_add(op->acc + at, in + at, r->residual + at, plan->count);
        in = op->acc;
    }
    if (op->own != NULL && !weft_codec_lossy(r->codec)) {
        memcpy(op->own + at, in + at, plan->count * sizeof(float));
    }
    return true;
}

/* The lane's end: what is left to do on the output, and what the encoding lost. */
static void finish(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan)
{
    const weft_request *r = op->request;
    if (r->op == WEFT_MEAN && !plan->replies && r->has_out) {
        const weft_step all = {.verb = WEFT_VERB_UNPACK, .span = {.count = plan->count}};
        const weft_exec x = at_step(e, op, lane, plan, &all);
        weft_kernel_divide(r->dtype, weft_exec_out(&x), x.span.count, (double)op->context->size);
    }
    if (r->settles) {
        weft_sparse_settle(r->rule, op->acc, (size_t)r->count, &op->sent, &op->won, op->dropped);
    } else if (op->acc != NULL && r->returns) {
        for (size_t i = 0; i < plan->count; i++) { /* one lane */
            op->acc[i] = ((const float *)r->out)[i] != 0.0f ? op->acc[i] - op->own[i] : op->acc[i];
        }
    } else if (op->acc != NULL && !r->requantizes) {
        float *acc = op->acc + lane->index * r->lane_length;
        weft_kernel_sub(acc, acc, op->own + lane->index * r->lane_length, plan->count);
    }
}

/* Where a step's time is told; NULL: nowhere. */
static uint64_t *account(weft_receipt *told, weft_verb verb)
{
    switch (verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_REPLY:
        return &told->encode_ns;
    case WEFT_VERB_FOLD:
    case WEFT_VERB_MERGE:
    case WEFT_VERB_SCALE:
        return &told->combine_ns;
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        return &told->decode_ns;
    case WEFT_VERB_SEND:
        return &told->send_ns;
    default:
        return NULL;
    }
}

/* Time, where a receipt asks for it: the clock costs as much as a small step. */
static int64_t tick(const weft_operation *op)
{
    const weft_outlet *o = &op->context->engine->outlet;
    return op->request->timed && o->clock != NULL ? o->clock(o->user) : 0;
}

static void tock(const weft_operation *op, weft_verb verb, int64_t since)
{
    uint64_t *at = account(&op->request->result, verb);
    if (since != 0 && at != NULL) {
        *at += (uint64_t)(tick(op) - since);
    }
}

static int run_heavy(weft_exec *x)
{
    const weft_step *step = x->step;
    switch (step->verb) {
    case WEFT_VERB_PACK:
        return pack(x);
    case WEFT_VERB_FOLD:
        return weft_exec_fold(x);
    case WEFT_VERB_MERGE:
        return weft_exec_merge(x);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        return unpack(x);
    case WEFT_VERB_REPLY:
        return weft_exec_reply(x);
    case WEFT_VERB_SCALE:
        return weft_exec_scale(x);
    default:
        return weft_fail(WEFT_EINTERNAL, "no such verb: %d", (int)step->verb);
    }
}

weft_ran weft_lane_run(weft_engine *e, int64_t now, weft_lane *lane, weft_problem *why)
{
    weft_operation *op = lane->operation;
    const weft_plan *plan = weft_lane_plan(op, lane->index);
    int rc = WEFT_OK;
    if (feed(op, lane, plan)) {
        return WEFT_RAN_STEP;
    }
    while (lane->pc < plan->step_count && rc == WEFT_OK) {
        const weft_step *step = &plan->steps[lane->pc];
        if (step->verb == WEFT_VERB_FENCE) {
            if (lane->waiting > 0) {
                return WEFT_RAN_BLOCKED;
            }
            lane->pc++;
        } else if (step->verb == WEFT_VERB_RECV) {
            receive(lane, plan, step);
            lane->pc++;
        } else if (step->verb == WEFT_VERB_SEND) {
            const int64_t since = tick(op);
            lane->pc++;
            rc = weft_exec_send(e, now, op, lane, step);
            tock(op, WEFT_VERB_SEND, since);
        } else {
            lane->pc++;
            weft_exec x = at_step(e, op, lane, plan, step);
            const int64_t since = tick(op);
            rc = run_heavy(&x);
            tock(op, step->verb, since);
            if (rc == WEFT_OK) {
                if (lane->pc == plan->step_count) {
                    break;
                }
                return WEFT_RAN_STEP;
            }
        }
    }
    if (rc != WEFT_OK) {
        const weft_context *c = op->context;
        char me[64], what[96];
        weft_fail_context("%s on %s", weft_op_words(c, op->request, op->number, what, sizeof(what)),
                          weft_context_rank(c, c->position, me, sizeof(me)));
        weft_problem_from_last(why);
        if (why->rank < 0) { /* else it is of who sent what cannot be read */
            why->rank = weft_context_named(c, c->position);
        }
        return WEFT_RAN_FAILED;
    }
    if (lane->pending > 0) {
        return WEFT_RAN_BLOCKED;
    }
    finish(e, op, lane, plan);
    return WEFT_RAN_DONE;
}

void weft_lane_clear(weft_lane *lane)
{
    const weft_plan *plan = weft_lane_plan(lane->operation, lane->index);
    for (int i = 0; i < plan->slot_count; i++) {
        weft_message_unref(lane->slots[i].message);
        lane->slots[i] = (weft_slot){0};
    }
    for (size_t i = 0; i < plan->recv_count; i++) {
        weft_message_unref(lane->arrivals[i].message);
        lane->arrivals[i] = (weft_arrival){0};
    }
    lane->busy = false;
    lane->fed = false;
    lane->measured = (weft_measured){0};
    lane->pc = 0;
    lane->waiting = 0;
    lane->pending = 0;
}
