/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and grants.
 *
 * A peer takes the lanes of an operation below its grant (lowest unfinished lane + WEFT_LANES) from
 * the moment it has called it. Before, it takes lane 0 of the next operation, up to
 * WEFT_EARLY_BYTES, or of the next WEFT_EARLY_OPS where one sends it little; of the second part of
 * a call, while it is in the first, as much as of a next operation. Senders never go beyond, so
 * what is received and kept is bounded; a frame beyond breaks the link.
 */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"

weft_flow *weft_flow_of(const weft_operation *op, int position)
{
    const size_t count = op->request->plan->plan.peer_count;
    size_t low = 0, high = count;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if (op->flows[mid].position < position) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < count && op->flows[low].position == position ? &op->flows[low] : NULL;
}

/* How far the operation is beyond the last that the member called; one that was never heard has
 * called none. One that called the number of a second part may be in the first. */
static int32_t ahead_of(const weft_operation *op, const weft_flow *flow)
{
    const weft_member *m = &op->context->members[flow->position];
    if (!m->met) {
        return op->number < INT32_MAX ? (int32_t)op->number : INT32_MAX;
    }
    return (int32_t)(op->number - m->heard_operation) + (op->request->before != NULL ? 1 : 0);
}

uint32_t weft_flow_grant_of(const weft_operation *op)
{
    const uint64_t grant = op->lowest + WEFT_LANES;
    return (uint32_t)(grant < op->request->lane_count ? grant : op->request->lane_count);
}

static void describe(weft_engine *e, int64_t now, const weft_operation *op, int rank)
{
    weft_peer *p = &e->peers[rank];
    const uint64_t hash = op->request->descriptor;
    uint64_t *known = &p->sent_descriptor[hash % WEFT_DESCRIPTORS];
    if (*known != hash) {
        *known = hash;
        weft_frame f = {.kind = WEFT_FRAME_START,
                        .group = op->context->tag,
                        .operation = op->number,
                        .descriptor = hash};
        weft_send_control(e, now, rank, &f, op->request->words, strlen(op->request->words));
    }
}

/* Ask a member that was not heard of yet where it is. Of the opened group a link that comes up
 * tells. */
static void ask(weft_operation *op, int64_t now, weft_flow *flow)
{
    weft_context *c = op->context;
    weft_member *m = &c->members[flow->position];
    /* What a transfer was told may have come while it was put away. */
    if (c->base != NULL || (c != c->engine->root && !m->met)) {
        flow->asked = true;
        weft_meet_ask(c, now, m);
    }
}

void weft_flow_tell(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow)
{
    const weft_peer *p = &e->peers[flow->rank];
    /* One that is far behind is told when it has come closer: it keeps no frame from so far ahead.
     */
    flow->deferred = ahead_of(op, flow) > WEFT_IN_FLIGHT;
    if (flow->deferred) {
        if (!flow->asked) {
            ask(op, now, flow);
        }
        return;
    }
    const uint64_t hash = op->request->descriptor;
    if (p->sent_descriptor[hash % WEFT_DESCRIPTORS] != hash) {
        describe(e, now, op, flow->rank); /* START brings the grant too */
    } else {
        weft_frame f = {.kind = WEFT_FRAME_GRANT,
                        .group = op->context->tag,
                        .operation = op->number,
                        .descriptor = hash};
        weft_send_control(e, now, flow->rank, &f, NULL, 0);
    }
    flow->contacted = true;
    flow->told = weft_flow_grant_of(op);
}

void weft_flow_greet(weft_engine *e, int64_t now, weft_operation *op)
{
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        weft_flow *flow = &op->flows[i];
        if (!flow->contacted) {
            weft_flow_tell(e, now, op, flow);
        }
    }
}

void weft_flow_grants(weft_engine *e, int64_t now, weft_operation *op)
{
    const uint32_t grant = weft_flow_grant_of(op);
    if (op->request->lane_count == 1) {
        return;
    }
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        weft_flow *flow = &op->flows[i];
        if (flow->feeds && grant > flow->told &&
            (grant >= flow->told + WEFT_LANES / 2 || grant == op->request->lane_count)) {
            weft_flow_tell(e, now, op, flow);
        }
    }
}

/* Whether DATA may go now, and on what ground. */
typedef enum ground { NONE, GRANTED, EARLY, ON_CREDIT } ground;

static ground may_send(weft_engine *e, const weft_operation *op, weft_flow *flow, uint32_t lane,
                       size_t len)
{
    if (lane < flow->granted) {
        return GRANTED;
    }
    if (flow->granted > 0 || lane > 0) {
        return NONE;
    }
    const int32_t ahead = ahead_of(op, flow);
    if (ahead <= 0) {
        return EARLY; /* it was called there */
    }
    if (!(flow->small && ahead <= WEFT_EARLY_OPS) &&
        !(ahead == 1 && flow->ungranted_bytes + len <= WEFT_EARLY_BYTES)) {
        return NONE;
    }
    const weft_context *c = op->context;
    if (c->base == NULL && (c->members[flow->position].met || c == e->root)) {
        return EARLY;
    }
    if (weft_credit_take(&e->peers[flow->rank], len)) {
        return ON_CREDIT;
    }
    weft_credit_wait(e, flow);
    return NONE;
}

/* Takes the message. */
static void go(weft_engine *e, int64_t now, weft_flow *flow, ground on, const weft_frame *f,
               weft_message *m)
{
    weft_operation *op = flow->operation;
    weft_frame frame = *f;
    frame.flags |= on == ON_CREDIT ? WEFT_FLAG_CREDIT : 0;
    flow->ungranted_bytes += m->len;
    describe(e, now, op, flow->rank);
    weft_send_frame(e, now, flow->rank, &frame, m, op);
}

void weft_flow_flush(weft_engine *e, int64_t now, weft_flow *flow)
{
    weft_queue keep = {0};
    bool first_lane_stopped = false; /* frames of one lane keep their order */
    for (weft_out *o; (o = weft_queue_pop(&flow->blocked)) != NULL;) {
        const uint32_t lane = o->frame.lane;
        const ground on = lane == 0 && first_lane_stopped
                              ? NONE
                              : may_send(e, flow->operation, flow, lane, o->message->len);
        if (on == NONE) {
            first_lane_stopped = first_lane_stopped || lane == 0;
            weft_queue_push(&keep, o);
            continue;
        }
        weft_message *m = o->message;
        o->message = NULL;
        go(e, now, flow, on, &o->frame, m);
        weft_out_free(e, o);
    }
    flow->blocked = keep;
}

void weft_flow_data(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow,
                    const weft_frame *f, weft_message *m)
{
    const ground on = flow->blocked.head == NULL ? may_send(e, op, flow, f->lane, m->len) : NONE;
    if (on != NONE) {
        go(e, now, flow, on, f, m);
        return;
    }
    weft_out *o = weft_out_new(e);
    if (o == NULL) {
        weft_message_unref(m);
        weft_engine_no_memory(e, "a frame");
        return;
    }
    o->frame = *f;
    o->message = m;
    o->operation = op;
    weft_queue_push(&flow->blocked, o);
    weft_flow_flush(e, now, flow);
    /* It counts on our DATA to hear that we called, and its own may wait for that. */
    if (flow->blocked.head != NULL && flow->feeds && !flow->contacted) {
        weft_flow_tell(e, now, op, flow);
    }
    if (flow->blocked.head != NULL && flow->granted == 0 && !flow->asked) {
        ask(op, now, flow);
    }
}

void weft_flow_heard(weft_engine *e, int64_t now, weft_context *c, weft_member *member,
                     uint32_t number)
{
    const int position = weft_context_position(c, member);
    const bool first = !member->met;
    if (!first && (int32_t)(number - member->heard_operation) <= 0) {
        return;
    }
    member->met = true;
    member->heard_operation = number;
    if (first) {
        weft_meet_member(c, now, member);
    }
    for (uint32_t i = 0, left = (uint32_t)c->active; i < c->flight && left > 0; i++) {
        weft_operation *op = c->ops[i];
        if (op == NULL) {
            continue;
        }
        left--;
        weft_flow *flow = weft_flow_of(op, position);
        if (flow != NULL && flow->blocked.head != NULL) {
            weft_flow_flush(e, now, flow);
        }
        if (flow != NULL && flow->deferred) {
            weft_flow_tell(e, now, op, flow);
        }
    }
}

void weft_words_unref(weft_words *words)
{
    if (words != NULL && --words->refs == 0) {
        weft_free(words);
    }
}

/* START: keep the words behind the hash. */
static bool learn(weft_engine *e, weft_peer *p, const weft_frame *f, const weft_message *m)
{
    const size_t len = m->len - WEFT_FRAME_HEADER;
    const char *text = (const char *)m->data + WEFT_FRAME_HEADER;
    if (len == 0 || len >= WEFT_DESCRIPTOR_TEXT) {
        weft_fail_violation(e, p, f, "a descriptor of impossible length");
        return false;
    }
    weft_words *words = weft_alloc(sizeof(*words) + len + 1);
    if (words == NULL) {
        weft_engine_no_memory(e, "a descriptor");
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        words->text[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
    }
    words->text[len] = '\0';
    words->refs = 1;
    const size_t cell = f->descriptor % WEFT_DESCRIPTORS;
    weft_words_unref(p->heard_words[cell]);
    p->heard_words[cell] = words;
    p->heard_descriptor[cell] = f->descriptor;
    return true;
}

void weft_flow_apply(weft_engine *e, int64_t now, weft_operation *op, weft_member *member,
                     const weft_frame *f, weft_message *m, const weft_words *words)
{
    const weft_peer *p = &e->peers[member->rank];
    const weft_request *first = op->request->before;
    if (first != NULL && f->descriptor == first->descriptor) {
        weft_message_unref(m); /* of the part before, which has ended here: a late grant */
        return;
    }
    if (f->descriptor != op->request->descriptor) {
        weft_message_unref(m);
        weft_fail_mismatch(e, now, op, member, words->text);
        return;
    }
    weft_flow *flow = weft_flow_of(op, weft_context_position(op->context, member));
    if (flow == NULL) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "is no neighbour in this operation");
        return;
    }
    if (f->grant > flow->granted) {
        flow->granted = f->grant;
        if (flow->blocked.head != NULL) {
            weft_flow_flush(e, now, flow);
        }
    }
    if (f->kind == WEFT_FRAME_DATA) {
        weft_op_data(e, now, op, member, f, m);
    } else {
        weft_message_unref(m);
    }
}

/* DATA is used, or of no use: credit that it came on is free again. */
static void used(weft_engine *e, weft_peer *p, const weft_frame *f, const weft_message *m)
{
    if (f->kind == WEFT_FRAME_DATA && (f->flags & WEFT_FLAG_CREDIT) != 0) {
        weft_credit_used(e, p, m->len);
    }
}

static void drop(weft_engine *e, weft_peer *p, const weft_frame *f, weft_message *m)
{
    used(e, p, f, m);
    weft_message_unref(m);
}

/* A frame of a context that is not open here, not yet or no more. Takes the message. */
static void strange(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f, weft_message *m)
{
    const weft_tag_cell *cell = weft_tag_find(e, f->group);
    if (cell != NULL && cell->gone) {
        atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
        drop(e, p, f, m);
        weft_meet_farewell(e, now, p, f->group);
    } else if (f->kind == WEFT_FRAME_DATA) {
        weft_early_keep_strange(e, p, f, m);
    } else { /* it will be told again when it hears of us there */
        weft_message_unref(m);
    }
}

/* A frame of a call, or part of one, that is not at work here: not yet, or no more. Takes the
 * message. */
static void idle(weft_context *c, int64_t now, weft_member *member, const weft_frame *f,
                 weft_message *m)
{
    weft_engine *e = c->engine;
    weft_peer *p = &e->peers[member->rank];
    if ((int32_t)(f->operation - c->called) > 0 || weft_op_later(c, f)) {
        if (weft_fail_recall(c, f->operation) == NULL) {
            weft_early_keep(c, member, f, m);
        } else {
            drop(e, p, f, m);
        }
        return;
    }
    /* It ended here: late grants are normal, late data belong to a failure. */
    if (f->kind == WEFT_FRAME_DATA) {
        atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
    }
    weft_fail_remind(c, now, member, f->operation); /* it may have been too far behind to hear */
    if (c->base != NULL && f->kind == WEFT_FRAME_DATA &&
        weft_fail_recall(c, f->operation) == NULL) {
        weft_fail_forgotten(c, now, member, f->operation); /* a success took all its DATA */
    }
    if (c->ended != NULL) {
        weft_fail_late(c, now, member, f, p->heard_words[f->descriptor % WEFT_DESCRIPTORS]->text);
    }
    drop(e, p, f, m);
}

void weft_flow_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     weft_message *m)
{
    if (e->broken.code != WEFT_OK || (f->kind == WEFT_FRAME_START && !learn(e, p, f, m))) {
        weft_message_unref(m);
        return;
    }
    const size_t cell = f->descriptor % WEFT_DESCRIPTORS;
    if (p->heard_words[cell] == NULL || p->heard_descriptor[cell] != f->descriptor) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "never said what it calls");
        return;
    }
    weft_context *c = weft_context_find(e, f->group);
    if (c == NULL) {
        strange(e, now, p, f, m);
        return;
    }
    weft_member *member = weft_context_member(c, p->rank);
    if (member == NULL) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "is not in the group");
        return;
    }
    weft_flow_heard(e, now, c, member, f->operation);
    weft_operation *op = weft_op_at(c, f->operation);
    if (weft_fail_bars(c, weft_context_call(c, f->operation))) {
        drop(e, p, f, m);
    } else if (op == NULL || weft_op_later(c, f)) {
        idle(c, now, member, f, m);
    } else {
        used(e, p, f, m);
        weft_flow_apply(e, now, op, member, f, m, p->heard_words[cell]);
    }
}
