/* SPDX-License-Identifier: Apache-2.0 */
/* A slot on its way to a peer: as it is, copied, in fragments, or several in one message. */
#include <string.h>

#include "engine/exec.h"

/* A message of our own with the slot's bytes. */
static weft_message *copy_of(weft_engine *e, const weft_message *m)
{
    weft_message *copy = weft_message_new(e->pool, weft_exec_length(m));
    if (copy != NULL && m->len > WEFT_FRAME_HEADER) {
        memcpy(copy->data + WEFT_FRAME_HEADER, m->data + WEFT_FRAME_HEADER, weft_exec_length(m));
    }
    return copy;
}

static int send_fragments(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
                          weft_flow *flow, weft_frame *f, const weft_message *m)
{
    const size_t total = m->len - WEFT_FRAME_HEADER;
    for (size_t at = 0; at < total; at += WEFT_FRAME_BODY_MAX) {
        const size_t part = total - at < WEFT_FRAME_BODY_MAX ? total - at : WEFT_FRAME_BODY_MAX;
        weft_message *piece = weft_message_new(e->pool, part);
        if (piece == NULL) {
            return weft_exec_no_memory();
        }
        memcpy(weft_exec_body(piece), m->data + WEFT_FRAME_HEADER + at, part);
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
        return weft_exec_no_memory();
    }
    uint8_t *to = weft_exec_body(m);
    for (size_t i = 0; i < count; i++) {
        weft_slot *slot = &lane->slots[steps[i].slot];
        const size_t part = slot->message->len - WEFT_FRAME_HEADER;
        if (part > 0) {
            memcpy(to, weft_exec_body(slot->message), part);
        }
        to += part;
        if (steps[i].last) {
            (void)weft_exec_refill(slot, NULL);
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

int weft_exec_send(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
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
            return weft_exec_no_memory();
        }
        lane->pending++;
        weft_flow_data(e, now, op, flow, &f, m);
    }
    if (step->last) {
        (void)weft_exec_refill(slot, NULL);
    }
    return rc;
}
