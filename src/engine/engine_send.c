/* SPDX-License-Identifier: Apache-2.0 */
/* Frames out: queues, header, counters. */
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "engine/engine_state.h"

weft_out *weft_out_new(weft_engine *e)
{
    weft_out *o = e->spare;
    if (o != NULL) {
        e->spare = o->next;
    } else {
        o = weft_alloc(sizeof(*o));
    }
    if (o != NULL) {
        *o = (weft_out){0};
    }
    return o;
}

void weft_out_free(weft_engine *e, weft_out *o)
{
    weft_message_unref(o->message);
    o->next = e->spare;
    e->spare = o;
}

void weft_queue_push(weft_queue *q, weft_out *o)
{
    o->next = NULL;
    if (q->tail != NULL) {
        q->tail->next = o;
    } else {
        q->head = o;
    }
    q->tail = o;
}

weft_out *weft_queue_pop(weft_queue *q)
{
    weft_out *o = q->head;
    if (o != NULL) {
        q->head = o->next;
        if (q->head == NULL) {
            q->tail = NULL;
        }
    }
    return o;
}

/* What the header tells of the operation besides. */
static void stamp(const weft_peer *p, weft_context *c, weft_frame *f)
{
    weft_member *m = weft_context_member(c, p->rank);
    if (m == NULL) {
        return;
    }
    if (f->kind == WEFT_FRAME_DATA || f->kind == WEFT_FRAME_GRANT || f->kind == WEFT_FRAME_START) {
        const weft_operation *at = weft_op_at(c, f->operation);
        weft_flow *flow = at != NULL && at->request->descriptor == f->descriptor
                              ? weft_flow_of(at, weft_context_position(c, m))
                              : NULL;
        if (flow != NULL) {
            f->grant = weft_flow_grant_of(at);
            flow->told = f->grant;
            flow->contacted = true;
        }
    }
    if ((int32_t)(f->operation - m->told_operation) > 0 && f->kind != WEFT_FRAME_ABORT) {
        m->told_operation = f->operation;
    }
}

/* Write the header and hand the message over. */
static void emit(weft_engine *e, int64_t now, weft_peer *p, weft_frame *f, weft_message *m,
                 weft_operation *op)
{
    const size_t body = m->len - WEFT_FRAME_HEADER;
    weft_context *c = op != NULL ? op->context : weft_context_find(e, f->group);
    f->source = (uint16_t)e->rank;
    f->destination = (uint16_t)p->rank;
    f->sequence = ++p->sent_sequence;
    f->body_bytes = (uint32_t)body;
    if (e->sum[p->rank] && body > 0) {
        f->flags |= WEFT_FLAG_SUM;
        f->body_sum = weft_crc32c(0, m->data + WEFT_FRAME_HEADER, body);
    }
    if (c != NULL) {
        stamp(p, c, f);
    }
    weft_frame_put(f, m->data);
    p->sent_at = now;
    atomic_fetch_add_explicit(&e->counters.wire_sent, m->len, memory_order_relaxed);
    if (f->kind == WEFT_FRAME_DATA) {
        atomic_fetch_add_explicit(&e->counters.body_sent, body, memory_order_relaxed);
    }
    if (op != NULL) {
        op->request->result.body_bytes_sent += body;
        op->request->result.wire_bytes_sent += m->len;
        op->progress = now;
        weft_lane_sent(e, op, f->lane);
    }
    if (!e->outlet.send(e->outlet.user, p->conn, m)) {
        p->mute = true;
    }
}

void weft_send_frame(weft_engine *e, int64_t now, int rank, const weft_frame *f, weft_message *m,
                     weft_operation *op)
{
    weft_peer *p = &e->peers[rank];
    if (p->state == WEFT_PEER_UP && !p->mute) {
        weft_frame copy = *f;
        emit(e, now, p, &copy, m, op);
        return;
    }
    /* What an operation has to send waits for the news of how a mute link ended. */
    if (p->state == WEFT_PEER_LEFT || (p->mute && op == NULL)) {
        weft_message_unref(m);
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
    weft_queue_push(&p->waiting, o);
}

void weft_send_flush(weft_engine *e, int64_t now, weft_peer *p)
{
    while (!p->mute && p->waiting.head != NULL) {
        weft_out *o = weft_queue_pop(&p->waiting);
        weft_message *m = o->message;
        o->message = NULL;
        emit(e, now, p, &o->frame, m, o->operation);
        weft_out_free(e, o);
    }
}

static weft_message *control_message(weft_engine *e, const void *body, size_t len)
{
    weft_message *m = weft_message_new(e->pool, len);
    if (m == NULL) {
        weft_engine_no_memory(e, "a frame");
        return NULL;
    }
    if (len > 0) {
        memcpy(m->data + WEFT_FRAME_HEADER, body, len);
    }
    return m;
}

void weft_send_control(weft_engine *e, int64_t now, int rank, weft_frame *f, const void *body,
                       size_t len)
{
    weft_message *m = control_message(e, body, len);
    if (m != NULL) {
        f->flags |= WEFT_FLAG_LAST;
        weft_send_frame(e, now, rank, f, m, NULL);
    }
}

void weft_send_raw(weft_engine *e, uint32_t conn, weft_frame *f, const void *body, size_t len)
{
    weft_message *m = control_message(e, body, len);
    if (m == NULL) {
        return;
    }
    f->flags |= WEFT_FLAG_LAST;
    f->group = e->group;
    f->source = (uint16_t)e->rank;
    f->body_bytes = (uint32_t)len;
    weft_frame_put(f, m->data);
    atomic_fetch_add_explicit(&e->counters.wire_sent, m->len, memory_order_relaxed);
    (void)e->outlet.send(e->outlet.user, conn, m);
}

void weft_send_beat(weft_engine *e, int64_t now, weft_peer *p)
{
    weft_frame f = {.kind = WEFT_FRAME_BEAT,
                    .group = e->group,
                    .operation = e->root->called,
                    .lane = (uint32_t)p->owed};
    p->owed = 0;
    weft_send_control(e, now, p->rank, &f, NULL, 0);
}
