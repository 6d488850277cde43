/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: the verbs of its plan, one heavy one (encode, combine, decode) a call.
 *
 * A message that arrived is combined in place, gets a new header and travels on; nothing is copied
 * but what a second destination or a fragment needs, and what another thread still reads (mem).
 */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"
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

static weft_stretch stretch_of(const weft_plan *plan, const weft_span *s)
{
    return (weft_stretch){.lane_count = plan->count, .off = s->off, .count = s->count};
}

static const weft_codec *codec_of(const weft_operation *op, const weft_step *step)
{
    return step->raw ? op->request->raw : op->request->codec;
}

size_t weft_lane_bound(const weft_operation *op, uint64_t index, const weft_step *step, bool *exact)
{
    const weft_codec *c = codec_of(op, step);
    const weft_plan *plan = weft_lane_plan(op, index);
    const weft_span span = span_of(op->request, index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
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

/* The first element of the lane in the span's block of the input; floats after error feedback. Of
 * nothing it is the buffer: a block may end before the lane begins. */
static const char *lane_in(const weft_operation *op, const weft_lane *lane, const weft_span *s)
{
    const weft_request *r = op->request;
    const uint64_t first =
        r->in_offsets != NULL ? r->in_offsets[s->block] : s->block * r->in_stride;
    const uint64_t at = s->count == 0 ? 0 : first + lane->index * r->lane_length;
    return advance(op->acc != NULL ? op->acc : r->in, at, r->dtype);
}

static char *span_out(const weft_operation *op, const weft_lane *lane, const weft_span *s)
{
    const weft_request *r = op->request;
    if (s->count == 0) {
        return r->out;
    }
    const uint64_t first =
        r->out_offsets != NULL ? r->out_offsets[s->block] : s->block * r->out_stride;
    const uint64_t at = first + lane->index * r->lane_length + s->off;
    return (char *)r->out + at * weft_dtype_bytes(r->dtype);
}

static uint8_t *body(weft_message *m)
{
    return m->data + WEFT_FRAME_HEADER;
}

static bool refill(weft_slot *slot, weft_message *m)
{
    weft_message_unref(slot->message);
    *slot = (weft_slot){.message = m, .from = -1};
    return m != NULL;
}

static int out_of_memory(void)
{
    return weft_fail(WEFT_ENOMEM, "out of memory for a message");
}

/* A message of our own with the slot's bytes. */
static weft_message *copy_of(weft_engine *e, const weft_message *m)
{
    weft_message *copy = weft_message_new(e->pool, m->len - WEFT_FRAME_HEADER);
    if (copy != NULL && m->len > WEFT_FRAME_HEADER) {
        memcpy(copy->data + WEFT_FRAME_HEADER, m->data + WEFT_FRAME_HEADER,
               m->len - WEFT_FRAME_HEADER);
    }
    return copy;
}

static int make_writable(weft_engine *e, weft_slot *slot)
{
    weft_message *m = weft_message_writable(e->pool, slot->message);
    if (m == NULL) {
        return out_of_memory();
    }
    slot->message = m;
    return WEFT_OK;
}

static bool lossless(const weft_request *r)
{
    return (r->codec->type->traits & WEFT_CODEC_LOSSLESS) != 0;
}

/* What the others will decode, for DIANA's message and for error feedback. */
static int decode_own(const weft_operation *op, const weft_lane *lane, const weft_stretch *s,
                      const weft_message *m)
{
    const weft_codec *c = op->request->codec;
    if (op->own == NULL || lossless(op->request)) {
        return WEFT_OK;
    }
    float *to = op->own + lane->index * op->request->lane_length + s->off;
    return c->type->decode(c, s, m->data + WEFT_FRAME_HEADER, m->len - WEFT_FRAME_HEADER, to,
                           false);
}

static int pack(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan,
                const weft_step *step)
{
    weft_request *r = op->request;
    const weft_codec *c = r->codec;
    const weft_span span = span_of(r, lane->index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
    weft_message *m = weft_message_new(e->pool, c->type->bound(c, &s));
    if (!refill(&lane->slots[step->slot], m)) {
        return out_of_memory();
    }
    const weft_draw draw = {.seed = e->seed,
                            .member = (uint32_t)e->rank,
                            .tensor = r->tensor,
                            .draw = r->draw != 0 ? r->draw : op->number,
                            .first = lane->index * r->lane_length};
    size_t len = 0;
    const int rc = c->type->encode(c, &draw, lane_in(op, lane, &span), &s, body(m),
                                   m->len - WEFT_FRAME_HEADER, &len);
    if (rc != WEFT_OK) {
        return rc;
    }
    m->len = WEFT_FRAME_HEADER + len;
    r->result.encoded_bytes += len;
    return decode_own(op, lane, &s, m);
}

static int reply(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan,
                 const weft_step *step)
{
    const weft_request *r = op->request;
    const weft_codec *c = r->raw;
    const weft_span span = span_of(r, lane->index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
    char *from = span_out(op, lane, &span);
    if (r->op == WEFT_MEAN) {
        weft_kernel_divide(r->dtype, from, span.count, (double)op->context->size);
    }
    weft_message *m = weft_message_new(e->pool, c->type->bound(c, &s));
    if (!refill(&lane->slots[step->slot], m)) {
        return out_of_memory();
    }
    const size_t len = span.count * weft_dtype_bytes(r->dtype);
    if (len > 0) {
        memcpy(body(m), from, len);
    }
    m->len = WEFT_FRAME_HEADER + len;
    return WEFT_OK;
}

static int fold(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan,
                const weft_step *step)
{
    weft_request *r = op->request;
    weft_slot *slot = &lane->slots[step->slot];
    const weft_span span = span_of(r, lane->index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
    const int rc = make_writable(e, slot);
    if (rc == WEFT_OK) {
        const size_t bytes = span.count * weft_dtype_bytes(r->dtype);
        const char *in = advance(lane_in(op, lane, &span), s.count == 0 ? 0 : s.off, r->dtype);
        r->codec->type->fold(r->codec, &s, body(slot->message), in);
        r->result.encoded_bytes += bytes;
    }
    return rc;
}

static int merge(weft_engine *e, const weft_operation *op, weft_lane *lane, const weft_plan *plan,
                 const weft_step *step)
{
    const weft_codec *c = op->request->codec;
    weft_slot *slot = &lane->slots[step->slot];
    weft_slot *other = &lane->slots[step->other];
    const weft_span span = span_of(op->request, lane->index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
    const int rc = make_writable(e, slot);
    if (rc == WEFT_OK) {
        const uint8_t *mine = body(slot->message);
        const uint8_t *theirs = body(other->message);
        c->type->merge(c, &s, body(slot->message), step->other_first ? theirs : mine,
                       step->other_first ? mine : theirs);
        if (step->last) {
            refill(other, NULL);
        }
    }
    return rc;
}

static int scale(weft_engine *e, const weft_operation *op, weft_lane *lane, const weft_plan *plan,
                 const weft_step *step)
{
    weft_slot *slot = &lane->slots[step->slot];
    const weft_span span = span_of(op->request, lane->index, plan, step);
    const int rc = make_writable(e, slot);
    if (rc == WEFT_OK) {
        weft_kernel_scale(op->request->dtype, body(slot->message), span.count, step->weight);
    }
    return rc;
}

static int unpack(const weft_operation *op, weft_lane *lane, const weft_plan *plan,
                  const weft_step *step)
{
    const weft_codec *c = codec_of(op, step);
    weft_slot *slot = &lane->slots[step->slot];
    const weft_span span = span_of(op->request, lane->index, plan, step);
    const weft_stretch s = stretch_of(plan, &span);
    const int rc =
        c->type->decode(c, &s, body(slot->message), slot->message->len - WEFT_FRAME_HEADER,
                        span_out(op, lane, &span), step->verb == WEFT_VERB_ADD);
    if (rc != WEFT_OK) {
        char who[64];
        return slot->from < 0
                   ? rc
                   : weft_fail_context(
                         "from %s", weft_context_rank(op->context, slot->from, who, sizeof(who)));
    }
    if (step->last) {
        refill(slot, NULL);
    }
    return WEFT_OK;
}

static int send_fragments(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
                          weft_flow *flow, weft_frame *f, const weft_message *m)
{
    const size_t total = m->len - WEFT_FRAME_HEADER;
    for (size_t at = 0; at < total; at += WEFT_FRAME_BODY_MAX) {
        const size_t part = total - at < WEFT_FRAME_BODY_MAX ? total - at : WEFT_FRAME_BODY_MAX;
        weft_message *piece = weft_message_new(e->pool, part);
        if (piece == NULL) {
            return out_of_memory();
        }
        memcpy(body(piece), m->data + WEFT_FRAME_HEADER + at, part);
        f->flags = at + part == total ? WEFT_FLAG_LAST : 0;
        lane->pending++;
        weft_flow_data(e, now, op, flow, f, piece);
        f->fragment++;
    }
    return WEFT_OK;
}

/* Several slots in one message. */
static int send_joined(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
                       weft_flow *flow, weft_frame *f, const weft_step *steps, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += lane->slots[steps[i].slot].message->len - WEFT_FRAME_HEADER;
    }
    weft_message *m = weft_message_new(e->pool, len);
    if (m == NULL) {
        return out_of_memory();
    }
    uint8_t *to = body(m);
    for (size_t i = 0; i < count; i++) {
        weft_slot *slot = &lane->slots[steps[i].slot];
        const size_t part = slot->message->len - WEFT_FRAME_HEADER;
        if (part > 0) {
            memcpy(to, body(slot->message), part);
        }
        to += part;
        if (steps[i].last) {
            refill(slot, NULL);
        }
    }
    if (len > WEFT_FRAME_BODY_MAX) {
        const int rc = send_fragments(e, now, op, lane, flow, f, m);
        weft_message_unref(m);
        return rc;
    }
    lane->pending++;
    weft_flow_data(e, now, op, flow, f, m);
    return WEFT_OK;
}

static int send(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
                const weft_step *step)
{
    weft_slot *slot = &lane->slots[step->slot];
    weft_flow *flow = weft_flow_of(op, step->peer);
    weft_frame f = {.kind = WEFT_FRAME_DATA,
                    .flags = WEFT_FLAG_LAST,
                    .group = op->context->tag,
                    .operation = op->number,
                    .descriptor = op->request->descriptor,
                    .lane = (uint32_t)lane->index,
                    .message = (uint16_t)step->message};
    int rc = WEFT_OK;
    if (step->joined) {
        size_t count = 1;
        while (step[count - 1].joined) {
            count++;
        }
        lane->pc += count - 1;
        return send_joined(e, now, op, lane, flow, &f, step, count);
    }
    if (slot->message->len > WEFT_FRAME_HEADER + (size_t)WEFT_FRAME_BODY_MAX) {
        rc = send_fragments(e, now, op, lane, flow, &f, slot->message);
    } else {
        /* Somebody else may read it, header and all: another destination, the sender (mem). */
        weft_message *m = weft_message_exclusive(slot->message) ? weft_message_ref(slot->message)
                                                                : copy_of(e, slot->message);
        if (m == NULL) {
            return out_of_memory();
        }
        lane->pending++;
        weft_flow_data(e, now, op, flow, &f, m);
    }
    if (step->last) {
        refill(slot, NULL);
    }
    return rc;
}

static void receive(weft_lane *lane, const weft_plan *plan, const weft_step *step)
{
    const weft_plan_peer *from = weft_lane_peer(plan, step->peer);
    weft_arrival *arrival = &lane->arrivals[from->first_recv + step->message];
    if (arrival->whole) {
        refill(&lane->slots[step->slot], arrival->message);
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
    const float *in = r->in;
    if (op->acc != NULL) {
        weft_kernel_add(op->acc + at, in + at, r->residual + at, plan->count);
        in = op->acc;
    }
    if (op->own != NULL && lossless(r)) {
        memcpy(op->own + at, in + at, plan->count * sizeof(float));
    }
    return true;
}

/* The lane's end: what is left to do on the output, and what the encoding lost. */
static void finish(const weft_operation *op, const weft_lane *lane, const weft_plan *plan)
{
    const weft_request *r = op->request;
    if (r->op == WEFT_MEAN && !plan->replies && r->has_out) {
        const weft_step all = {.verb = WEFT_VERB_UNPACK, .span = {.count = plan->count}};
        const weft_span whole = span_of(r, lane->index, plan, &all);
        weft_kernel_divide(r->dtype, span_out(op, lane, &whole), whole.count,
                           (double)op->context->size);
    }
    if (op->acc != NULL) {
        float *acc = op->acc + lane->index * r->lane_length;
        weft_kernel_sub(acc, acc, op->own + lane->index * r->lane_length, plan->count);
    }
}

static int run_heavy(weft_engine *e, weft_operation *op, weft_lane *lane, const weft_plan *plan,
                     const weft_step *step)
{
    switch (step->verb) {
    case WEFT_VERB_PACK:
        return pack(e, op, lane, plan, step);
    case WEFT_VERB_FOLD:
        return fold(e, op, lane, plan, step);
    case WEFT_VERB_MERGE:
        return merge(e, op, lane, plan, step);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        return unpack(op, lane, plan, step);
    case WEFT_VERB_REPLY:
        return reply(e, op, lane, plan, step);
    case WEFT_VERB_SCALE:
        return scale(e, op, lane, plan, step);
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
            lane->pc++;
            rc = send(e, now, op, lane, step);
        } else {
            lane->pc++;
            rc = run_heavy(e, op, lane, plan, step);
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
        why->rank = weft_context_named(c, c->position);
        return WEFT_RAN_FAILED;
    }
    if (lane->pending > 0) {
        return WEFT_RAN_BLOCKED;
    }
    finish(op, lane, plan);
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
    lane->pc = 0;
    lane->waiting = 0;
    lane->pending = 0;
}
