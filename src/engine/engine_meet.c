/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who else knows a context, and who has left it.
 *
 * A peer may send in a context before another has opened it, and after another has left it. What
 * comes too early is dropped, but for DATA on credit; so a member that is heard of for the first
 * time is told again what it may have missed. What comes too late is answered with BYE: whoever
 * waits for a member that left hears of it, whenever it asks.
 */
#include "engine/engine_state.h"

static void greet(weft_context *c, int64_t now, const weft_member *m, bool ask)
{
    weft_frame f = {
        .kind = WEFT_FRAME_GREET, .group = c->tag, .operation = c->called, .lane = ask ? 1 : 0};
    weft_send_control(c->engine, now, m->rank, &f, NULL, 0);
}

void weft_meet_ask(weft_context *c, int64_t now, weft_member *m)
{
    greet(c, now, m, true);
}

/* How far we are in what it sends to us. */
static void tell_again(weft_context *c, int64_t now, const weft_member *m)
{
    const int position = weft_context_position(c, m);
    for (uint32_t i = 0, left = (uint32_t)c->active; i < c->flight && left > 0; i++) {
        weft_operation *op = c->ops[i];
        if (op == NULL) {
            continue;
        }
        left--;
        weft_flow *flow = weft_flow_of(op, position);
        if (flow != NULL && flow->feeds && flow->contacted) {
            weft_flow_tell(c->engine, now, op, flow);
        }
    }
}

void weft_meet_member(weft_context *c, int64_t now, weft_member *m)
{
    if (c != c->engine->root) { /* which every peer knows: a link that comes up tells */
        weft_fail_tell(c, now, m);
        tell_again(c, now, m);
    }
}

void weft_meet_frame(weft_context *c, int64_t now, weft_member *m, const weft_frame *f)
{
    const bool asks = f->lane != 0, knew = m->met;
    weft_flow_heard(c->engine, now, c, m, f->operation);
    if (asks && knew) {
        tell_again(c, now, m);
    }
    if (asks) {
        greet(c, now, m, false);
    }
}

void weft_meet_farewell(weft_engine *e, int64_t now, const weft_peer *p, uint64_t tag)
{
    weft_frame f = {.kind = WEFT_FRAME_BYE, .group = tag, .lane = 1};
    weft_send_control(e, now, p->rank, &f, NULL, 0);
}

void weft_meet_left(weft_context *c, int64_t now, weft_member *m)
{
    const int position = weft_context_position(c, m);
    if (c->base != NULL) {
        weft_transfer_left(c, now, m);
        return;
    }
    m->left = true;
    for (weft_context *t = c->engine->contexts; t != NULL; t = t->after) {
        weft_member *end = t->base == c ? weft_context_member(t, m->rank) : NULL;
        if (end != NULL) {
            weft_transfer_left(t, now, end);
        }
    }
    const uint64_t from = weft_op_first_needing(c, position);
    if (from != 0) {
        char who[192];
        weft_problem why = {0};
        weft_problem_set(&why, WEFT_EPEER, position, "%s left the group",
                         weft_context_words(c, position, who, sizeof(who)));
        weft_fail_group(c, now, from, &why, m->rank);
    }
}
