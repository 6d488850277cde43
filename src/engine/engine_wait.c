/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation waits for, and how long. */
#include <stdio.h>

#include "base/clock.h"
#include "engine/engine_state.h"

static bool called(const weft_operation *op, int position)
{
    const weft_member *m = &op->context->members[position];
    return m->met && (int32_t)(m->heard_operation - op->number) >= 0;
}

/* The position that the operation waits for, and how; -1: only for ourselves. */
static int waits_for(const weft_engine *e, const weft_operation *op, char *how, size_t cap)
{
    for (uint64_t l = op->lowest; l < op->next; l++) {
        const weft_lane *lane = &op->lanes[l % WEFT_LANES];
        const weft_plan *plan = weft_lane_plan(op, l);
        for (size_t i = 0; lane->busy && i < plan->recv_count; i++) {
            const weft_step *step = &plan->steps[plan->recvs[i]];
            if (plan->recvs[i] < lane->pc && !lane->arrivals[i].whole) {
                const weft_peer *p = weft_context_peer(op->context, step->peer);
                if (p->state == WEFT_PEER_UP) {
                    snprintf(how, cap, "it %s the operation",
                             called(op, step->peer) ? "is in" : "has not called");
                } else {
                    snprintf(how, cap, "no connection%s%s", p->why[0] != '\0' ? ": " : "", p->why);
                }
                return step->peer;
            }
        }
    }
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        const weft_flow *flow = &op->flows[i];
        if (flow->blocked.head != NULL || e->peers[flow->rank].waiting.head != NULL) {
            snprintf(how, cap, "it does not take what is sent");
            return flow->position;
        }
    }
    snprintf(how, cap, "nothing is outstanding");
    return -1;
}

/* The first operation of the context: all others may wait for it. */
static const weft_operation *first_of(const weft_engine *e, const weft_context *c)
{
    const weft_operation *op = e->working;
    while (op->context != c) {
        op = op->after;
    }
    return op;
}

static void stalled(weft_engine *e, int64_t now, weft_operation *op)
{
    const weft_context *c = op->context;
    char who[192] = "nobody", me[64], what[96];
    char how[192];
    weft_problem why = {0};
    const int position = waits_for(e, weft_op_parked(op) ? first_of(e, c) : op, how, sizeof(how));
    if (position >= 0 && op->spared != op->progress &&
        weft_context_peer(c, position)->state == WEFT_PEER_UP && called(op, position)) {
        /* It waits too, for the one that is to be named, and may know a little later. */
        op->spared = op->progress;
        return;
    }
    if (position >= 0) {
        weft_context_words(c, position, who, sizeof(who));
    }
    weft_problem_set(&why, WEFT_ETIMEDOUT, position >= 0 ? weft_context_named(c, position) : -1,
                     "%s: no progress for %lld ms on %s, which waits for %s: %s",
                     weft_op_words(c, op->request, op->number, what, sizeof(what)),
                     (long long)((now - op->progress) / WEFT_MS),
                     weft_context_rank(c, c->position, me, sizeof(me)), who, how);
    weft_fail_operation(e, now, op, &why, -1);
}

static int64_t timeout_at(const weft_engine *e, const weft_operation *op)
{
    const int64_t timeout = op->request->timeout_ns;
    if (timeout == WEFT_NEVER) {
        return WEFT_NEVER;
    }
    const int64_t grace = timeout < e->dead_ns ? timeout : e->dead_ns;
    return op->progress + timeout + (op->spared == op->progress ? grace : 0);
}

/* When there is something to do for the operation unless it makes progress before. */
static int64_t due_at(const weft_engine *e, const weft_operation *op)
{
    const int64_t hello = op->greeted ? WEFT_NEVER : op->started + WEFT_HELLO_NS;
    const int64_t stall = op->progress + e->dead_ns / 4;
    int64_t due = timeout_at(e, op);
    due = hello < due ? hello : due;
    /* After the first look at a stall the peers' ticks go on looking. */
    return stall > e->ticked && stall < due ? stall : due;
}

/* The earliest time is kept, not looked for at every event: progress only puts it off. */
void weft_op_watch(weft_engine *e, const weft_operation *op)
{
    const int64_t due = due_at(e, op);
    e->op_due = due < e->op_due ? due : e->op_due;
}

/* The other end of a transfer may come much later, and wait for nobody: connect, whoever is to
 * dial. It may not know the tag, and have left the group. */
static void look_for(const weft_operation *op, int64_t now)
{
    const weft_context *c = op->context;
    const int other = c->members[1 - c->position].rank;
    weft_member *m = weft_context_member(c->base, other);
    weft_peer_want(c->engine, now, other, true);
    if (!m->met && c->base != c->engine->root) {
        weft_meet_ask(c->base, now, m);
    }
}

/* Asked before the other end first used the tag, it has not heard of it. */
static void ask_again(const weft_operation *op, int64_t now, int position)
{
    weft_context *c = op->context;
    if (c->base != NULL && weft_flow_of(op, position)->blocked.head != NULL) {
        weft_meet_ask(c, now, &c->members[position]);
    }
}

void weft_op_tick(weft_engine *e, int64_t now)
{
    e->op_due = WEFT_NEVER;
    for (weft_operation *op = e->working, *next; op != NULL; op = next) {
        next = op->after;
        if (op->resumed) {
            op->resumed = false;
            op->progress = now;
        }
        if (now >= timeout_at(e, op)) {
            const int before = e->active;
            stalled(e, now, op);
            if (e->active != before) {
                continue;
            }
        }
        if (!op->greeted && now >= op->started + WEFT_HELLO_NS) {
            op->greeted = true;
            weft_flow_greet(e, now, op);
            if (op->context->base != NULL) {
                look_for(op, now);
            }
        }
        if (now - op->progress >= e->dead_ns / 4) {
            char how[192];
            const int position = waits_for(e, op, how, sizeof(how));
            if (position >= 0) {
                ask_again(op, now, position);
                weft_peer_want(e, now, op->context->members[position].rank, true);
            }
        }
        weft_op_watch(e, op);
    }
}

int64_t weft_op_due(const weft_engine *e)
{
    return e->active > 0 ? e->op_due : WEFT_NEVER;
}

/* The first call whose data wait for the link. */
static uint64_t first_waiting(const weft_context *c, int position)
{
    uint64_t first = 0;
    for (const weft_out *o = weft_context_peer(c, position)->waiting.head; o != NULL; o = o->next) {
        if (o->frame.group == c->tag && o->frame.kind == WEFT_FRAME_DATA) {
            const uint64_t call = weft_context_call(c, o->frame.operation);
            first = first == 0 || call < first ? call : first;
        }
    }
    return first;
}

static bool lanes_need(const weft_operation *op, int position)
{
    for (uint64_t l = op->lowest; l < op->next; l++) {
        const weft_lane *lane = &op->lanes[l % WEFT_LANES];
        const weft_plan *plan = weft_lane_plan(op, l);
        for (size_t s = lane->busy ? 0 : plan->recv_count; s < plan->recv_count; s++) {
            if (plan->steps[plan->recvs[s]].peer == position && !lane->arrivals[s].whole) {
                return true;
            }
        }
        for (size_t s = lane->pc; lane->busy && s < plan->step_count; s++) {
            if (plan->steps[s].verb == WEFT_VERB_SEND && plan->steps[s].peer == position) {
                return true;
            }
        }
    }
    return false;
}

bool weft_op_needs_in(const weft_operation *op, int position)
{
    const weft_flow *flow = weft_flow_of(op, position);
    return flow != NULL && (flow->blocked.head != NULL || op->next < op->request->lane_count ||
                            lanes_need(op, position));
}

uint64_t weft_op_first_needing(const weft_context *c, int position)
{
    uint64_t first = first_waiting(c, position);
    for (uint32_t i = 0; i < c->flight; i++) {
        const weft_operation *op = c->ops[i];
        if (op != NULL && (first == 0 || op->request->call < first) &&
            weft_op_needs_in(op, position)) {
            first = op->request->call;
        }
    }
    return first;
}
