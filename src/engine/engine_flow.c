/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors, grants, frames that come early.
 *
 * A peer takes the lanes of an operation below its grant (lowest unfinished lane + WEFT_LANES) from
 * the moment it has called it. Before, it takes lane 0 of the next operation, up to
 * WEFT_EARLY_BYTES, or of the next WEFT_EARLY_OPS where one sends it little. Senders never go
 * beyond, so what is received and kept is bounded; a frame beyond breaks the link.
 */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"

weft_flow *weft_flow_of(const weft_operation *op, int rank)
{
    const size_t count = op->request->plan->plan.peer_count;
    size_t low = 0, high = count;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if (op->flows[mid].rank < rank) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < count && op->flows[low].rank == rank ? &op->flows[low] : NULL;
}

/* How far the operation is beyond the last that the peer called; one that was never heard has
 * called none. */
static int32_t ahead_of(const weft_operation *op, const weft_peer *p)
{
    if (p->state != WEFT_PEER_UP) {
        return op->number < INT32_MAX ? (int32_t)op->number : INT32_MAX;
    }
    return (int32_t)(op->number - p->heard_operation);
}

uint32_t weft_flow_grant_of(const weft_operation *op)
{
    const uint64_t grant = op->lowest + WEFT_LANES;
    return (uint32_t)(grant < op->request->lane_count ? grant : op->request->lane_count);
}

void weft_flow_describe(weft_engine *e, int64_t now, weft_operation *op, int rank)
{
    weft_peer *p = &e->peers[rank];
    const uint64_t hash = op->request->descriptor;
    uint64_t *known = &p->sent_descriptor[hash % WEFT_DESCRIPTORS];
    if (*known != hash) {
        *known = hash;
        weft_frame f = {.kind = WEFT_FRAME_START, .operation = op->number, .descriptor = hash};
        weft_send_control(e, now, rank, &f, op->request->words, strlen(op->request->words));
    }
}

void weft_flow_tell(weft_engine *e, int64_t now, weft_operation *op, int rank)
{
    weft_peer *p = &e->peers[rank];
    weft_flow *flow = weft_flow_of(op, rank);
    /* One that is far behind is told when it has come closer: it keeps no frame from so far ahead.
     */
    flow->deferred = ahead_of(op, p) > WEFT_IN_FLIGHT;
    if (flow->deferred) {
        return;
    }
    const uint64_t hash = op->request->descriptor;
    if (p->sent_descriptor[hash % WEFT_DESCRIPTORS] != hash) {
        weft_flow_describe(e, now, op, rank); /* START brings the grant too */
    } else {
        weft_frame f = {.kind = WEFT_FRAME_GRANT, .operation = op->number, .descriptor = hash};
        weft_send_control(e, now, rank, &f, NULL, 0);
    }
    flow->contacted = true;
    flow->told = weft_flow_grant_of(op);
}

void weft_flow_greet(weft_engine *e, int64_t now, weft_operation *op)
{
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        const weft_flow *flow = &op->flows[i];
        if (!flow->contacted) {
            weft_flow_tell(e, now, op, flow->rank);
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
            weft_flow_tell(e, now, op, flow->rank);
        }
    }
}

static bool may_send(const weft_engine *e, const weft_operation *op, const weft_flow *flow,
                     uint32_t lane, size_t len)
{
    if (lane < flow->granted) {
        return true;
    }
    if (flow->granted > 0 || lane > 0) {
        return false;
    }
    const int32_t ahead = ahead_of(op, &e->peers[flow->rank]);
    if (ahead <= 0 || (flow->small && ahead <= WEFT_EARLY_OPS)) {
        return true;
    }
    return ahead == 1 && flow->ungranted_bytes + len <= WEFT_EARLY_BYTES;
}

static void flush(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow)
{
    weft_queue keep = {0};
    bool first_lane_stopped = false; /* frames of one lane keep their order */
    for (weft_out *o; (o = weft_queue_pop(&flow->blocked)) != NULL;) {
        const uint32_t lane = o->frame.lane;
        if ((lane == 0 && first_lane_stopped) || !may_send(e, op, flow, lane, o->message->len)) {
            first_lane_stopped = first_lane_stopped || lane == 0;
            weft_queue_push(&keep, o);
            continue;
        }
        weft_message *m = o->message;
        o->message = NULL;
        flow->ungranted_bytes += m->len;
        weft_flow_describe(e, now, op, flow->rank); /* others took its place meanwhile */
        weft_send(e, now, flow->rank, &o->frame, m, op);
        weft_out_free(e, o);
    }
    flow->blocked = keep;
}

void weft_flow_data(weft_engine *e, int64_t now, weft_operation *op, weft_flow *flow,
                    const weft_frame *f, weft_message *m)
{
    if (flow->blocked.head == NULL && may_send(e, op, flow, f->lane, m->len)) {
        flow->ungranted_bytes += m->len;
        weft_flow_describe(e, now, op, flow->rank);
        weft_send(e, now, flow->rank, f, m, op);
        return;
    }
    weft_out *o = weft_out_new(e);
    if (o == NULL) {
        weft_message_unref(m);
        weft_engine_sicken(e, &(weft_problem){WEFT_ENOMEM, e->rank, "out of memory for a frame"});
        return;
    }
    o->frame = *f;
    o->message = m;
    o->operation = op;
    weft_queue_push(&flow->blocked, o);
    flush(e, now, op, flow);
}

void weft_flow_heard(weft_engine *e, int64_t now, weft_peer *p, uint32_t number)
{
    if ((int32_t)(number - p->heard_operation) <= 0) {
        return;
    }
    p->heard_operation = number;
    for (int i = 0, left = e->active; i < WEFT_IN_FLIGHT && left > 0; i++) {
        weft_operation *op = e->ops[i];
        if (op == NULL) {
            continue;
        }
        left--;
        weft_flow *flow = weft_flow_of(op, p->rank);
        if (flow != NULL && flow->blocked.head != NULL) {
            flush(e, now, op, flow);
        }
        if (flow != NULL && flow->deferred) {
            weft_flow_tell(e, now, op, p->rank);
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
        weft_engine_sicken(e, &(weft_problem){WEFT_ENOMEM, e->rank, "out of memory"});
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

/* Keep a frame of an operation that was not called here yet. Takes the message. */
static void keep(weft_engine *e, weft_peer *p, const weft_frame *f, weft_message *m)
{
    const int32_t ahead = (int32_t)(f->operation - e->called);
    const bool data = f->kind == WEFT_FRAME_DATA;
    const size_t most = WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES;
    if ((data && (ahead > WEFT_EARLY_OPS || f->lane != 0)) || ahead > 2 * WEFT_IN_FLIGHT ||
        p->early_frames >= WEFT_EARLY_FRAMES || (data && p->early_bytes + m->len > most)) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "sent beyond what was granted");
        return;
    }
    weft_early *early = weft_alloc(sizeof(*early));
    if (early == NULL) {
        weft_message_unref(m);
        weft_engine_sicken(e, &(weft_problem){WEFT_ENOMEM, e->rank, "out of memory"});
        return;
    }
    *early = (weft_early){
        .rank = p->rank, .frame = *f, .words = p->heard_words[f->descriptor % WEFT_DESCRIPTORS]};
    early->words->refs++;
    if (data) {
        early->message = m;
        p->early_bytes += m->len;
    } else {
        weft_message_unref(m);
    }
    p->early_frames++;
    *e->early_tail = early;
    e->early_tail = &early->next;
}

/* A frame of an operation at work. Takes the message, which may be NULL for START and GRANT. */
static void apply(weft_engine *e, int64_t now, weft_operation *op, weft_peer *p,
                  const weft_frame *f, weft_message *m, const weft_words *words)
{
    if (f->descriptor != op->request->descriptor) {
        weft_message_unref(m);
        weft_fail_mismatch(e, now, op, p, words->text);
        return;
    }
    weft_flow *flow = weft_flow_of(op, p->rank);
    if (flow == NULL) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "is no neighbour in this operation");
        return;
    }
    if (f->grant > flow->granted) {
        flow->granted = f->grant;
        if (flow->blocked.head != NULL) {
            flush(e, now, op, flow);
        }
    }
    if (f->kind == WEFT_FRAME_DATA) {
        weft_op_data(e, now, op, p, f, m);
    } else {
        weft_message_unref(m);
    }
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
    weft_flow_heard(e, now, p, f->operation);
    if ((int32_t)(f->operation - e->called) > 0) {
        if (weft_fail_recall(e, f->operation) != NULL) {
            weft_message_unref(m);
            return;
        }
        keep(e, p, f, m);
        return;
    }
    weft_operation *op = weft_op_at(e, f->operation);
    if (op == NULL) {
        /* Ended here: late grants are normal, late data belong to a failure. */
        if (f->kind == WEFT_FRAME_DATA) {
            atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
        }
        weft_fail_remind(e, now, p, f->operation); /* it may have been too far behind to be told */
        weft_fail_late(e, now, p, f, p->heard_words[cell]->text);
        weft_message_unref(m);
        return;
    }
    apply(e, now, op, p, f, m, p->heard_words[f->descriptor % WEFT_DESCRIPTORS]);
}

static void unlink_early(weft_engine *e, weft_early **at)
{
    weft_early *early = *at;
    weft_peer *p = &e->peers[early->rank];
    p->early_frames--;
    if (early->message != NULL) {
        p->early_bytes -= early->message->len;
    }
    *at = early->next;
    if (*at == NULL) {
        e->early_tail = at;
    }
}

void weft_flow_replay(weft_engine *e, int64_t now, uint32_t number)
{
    for (weft_early **at = &e->early; *at != NULL;) {
        weft_early *early = *at;
        if (early->frame.operation != number) {
            at = &early->next;
            continue;
        }
        unlink_early(e, at);
        weft_operation *op = weft_op_at(e, number);
        if (op != NULL) {
            apply(e, now, op, &e->peers[early->rank], &early->frame, early->message, early->words);
        } else {
            weft_message_unref(early->message);
        }
        weft_words_unref(early->words);
        weft_free(early);
        if (op != NULL && weft_op_at(e, number) == NULL) {
            at = &e->early; /* it failed, which discards: the list is another */
        }
    }
}

void weft_flow_discard(weft_engine *e, uint32_t number)
{
    for (weft_early **at = &e->early; *at != NULL;) {
        weft_early *early = *at;
        if (early->frame.operation != number) {
            at = &early->next;
            continue;
        }
        unlink_early(e, at);
        weft_message_unref(early->message);
        weft_words_unref(early->words);
        weft_free(early);
    }
}

void weft_flow_discard_all(weft_engine *e)
{
    while (e->early != NULL) {
        weft_early *early = e->early;
        unlink_early(e, &e->early);
        weft_message_unref(early->message);
        weft_words_unref(early->words);
        weft_free(early);
    }
}
