/* SPDX-License-Identifier: Apache-2.0 */
/* DATA of an operation at work: fragments to messages, messages to receives. */
#include <string.h>

#include "engine/engine_state.h"

static const char no_memory[] = "out of memory for a message";

/* Put the fragment where it belongs; NULL: fine, else what is wrong with it. Takes the message. */
static const char *take(weft_engine *e, weft_arrival *a, const weft_frame *f, weft_message *m,
                        size_t bound, bool exact)
{
    const bool last = (f->flags & WEFT_FLAG_LAST) != 0;
    const size_t part = m->len - WEFT_FRAME_HEADER;
    const size_t have = a->message != NULL ? a->message->len - WEFT_FRAME_HEADER : 0;
    const char *wrong = NULL;
    if (a->whole || f->fragment != a->fragments) {
        wrong = "a fragment out of order";
    } else if (have + part > bound || (last && exact && have + part != bound)) {
        wrong = "a body of the wrong length";
    } else if (a->fragments == 0 && last) {
        a->message = m;
        a->whole = true;
        return NULL;
    } else if (part == 0) {
        wrong = "an empty fragment";
    } else if (a->message == NULL) {
        a->message = weft_message_new(e->pool, bound);
        if (a->message == NULL) {
            wrong = no_memory;
        } else {
            a->message->len = WEFT_FRAME_HEADER;
        }
    }
    if (wrong == NULL) {
        memcpy(a->message->data + a->message->len, m->data + WEFT_FRAME_HEADER, part);
        a->message->len += part;
        a->fragments++;
        a->whole = last;
    }
    weft_message_unref(m);
    return wrong;
}

/* A joined message is whole: to each of its receives its part. Takes the message. */
static bool split(weft_engine *e, const weft_operation *op, weft_lane *lane, const weft_plan *plan,
                  size_t ordinal, size_t parts, weft_message *m)
{
    const uint8_t *from = m->data + WEFT_FRAME_HEADER;
    bool exact;
    lane->arrivals[ordinal].message = NULL;
    for (size_t i = ordinal; i < ordinal + parts; i++) {
        weft_arrival *a = &lane->arrivals[i];
        const size_t len = weft_lane_bound(op, lane->index, &plan->steps[plan->recvs[i]], &exact);
        a->message = weft_message_new(e->pool, len);
        if (a->message == NULL) {
            weft_message_unref(m);
            return false;
        }
        if (len > 0) {
            memcpy(a->message->data + WEFT_FRAME_HEADER, from, len);
        }
        from += len;
        a->whole = true;
    }
    weft_message_unref(m);
    return true;
}

/* What came of a rank is not as long as it was said to be here. */
static void other_length(weft_engine *e, int64_t now, weft_operation *op, int from, size_t bound)
{
    const weft_context *c = op->context;
    char who[192], me[64];
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EMISMATCH, weft_context_named(c, from),
                     "%s (operation %u): %s does not send the %zu elements that %s expects of it",
                     op->request->coll, op->number, weft_context_words(c, from, who, sizeof(who)),
                     bound / weft_dtype_bytes(op->request->dtype),
                     weft_context_rank(c, c->position, me, sizeof(me)));
    weft_fail_operation(e, now, op, &why, -1);
}

void weft_op_data(weft_engine *e, int64_t now, weft_operation *op, const weft_member *member,
                  const weft_frame *f, weft_message *m)
{
    const weft_peer *p = &e->peers[member->rank];
    const int position = weft_context_position(op->context, member);
    weft_lane *lane = &op->lanes[f->lane % WEFT_LANES];
    if (!lane->busy || lane->index != f->lane) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "a lane that is not open");
        return;
    }
    const weft_plan *plan = weft_lane_plan(op, f->lane);
    const weft_plan_peer *from = weft_lane_peer(plan, position);
    const size_t ordinal = from != NULL ? from->first_recv + f->message : 0;
    if (from == NULL || f->message >= from->recvs ||
        (f->message > 0 && plan->steps[plan->recvs[ordinal - 1]].joined)) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "a message that is in no plan");
        return;
    }
    weft_arrival *a = &lane->arrivals[ordinal];
    size_t bound = 0, parts = 0;
    bool exact;
    do {
        bound += weft_lane_bound(op, f->lane, &plan->steps[plan->recvs[ordinal + parts]], &exact);
        parts++;
    } while (plan->steps[plan->recvs[ordinal + parts - 1]].joined);
    const size_t len = m->len - WEFT_FRAME_HEADER;
    const char *wrong = take(e, a, f, m, bound, exact || parts > 1);
    if (wrong == NULL && a->whole && parts > 1 &&
        !split(e, op, lane, plan, ordinal, parts, a->message)) {
        wrong = no_memory;
    }
    if (wrong == no_memory) { /* which is no fault of who sent it */
        weft_engine_no_memory(e, "a message");
        return;
    }
    if (wrong != NULL && op->request->in_lengths != NULL && op->request->out_lengths != NULL) {
        /* Of a block whose length only the two of us know. */
        other_length(e, now, op, position, bound);
        return;
    }
    if (wrong != NULL) {
        weft_fail_violation(e, p, f, wrong);
        return;
    }
    op->progress = now;
    op->request->result.body_bytes_received += len;
    atomic_fetch_add_explicit(&e->counters.body_received, len, memory_order_relaxed);
    for (size_t i = 0; a->whole && i < parts; i++) {
        weft_lane_arrived(e, lane, plan, ordinal + i);
    }
}
