/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: each context has a queue, numbers, and turns. */
#include "engine/engine_state.h"

void weft_op_complete(weft_engine *e, weft_request *r)
{
    r->ended = true;
    e->outlet.complete(e->outlet.user, r);
}

static void refuse(weft_engine *e, weft_request *r, const weft_problem *why)
{
    if (r->abandoned) { /* its owner has had its answer: only the number was left to use up */
        weft_request_discard(r);
        return;
    }
    r->problem = *why;
    weft_op_complete(e, r);
}

/* A neighbour that said BYE has done its part when all that it sends is here and nothing goes to
 * it: the root of a broadcast leaves early. Else it cannot take part. */
static void check_left(weft_context *c, int64_t now, const weft_operation *op)
{
    const weft_plan *plan = &op->request->plan->plan;
    for (size_t i = 0; i < plan->peer_count; i++) {
        const int position = plan->peers[i].rank;
        if (c->members[position].left && weft_op_needs_in(op, position)) {
            weft_meet_left(c, now, &c->members[position]);
            return;
        }
    }
}

/* Who sends to us must know how far we are: at once where lanes follow, else now and then, so that
 * it need not stop for want of news. Data that go there at once tell it too. */
static void greet_feeders(weft_engine *e, int64_t now, weft_operation *op)
{
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        weft_flow *flow = &op->flows[i];
        const uint32_t told = op->context->members[flow->position].told_operation;
        /* More is kept than this call takes: who sent it may be waiting to send on. */
        const bool crowded = e->peers[flow->rank].kept > WEFT_CREDIT / 2 ||
                             (op->context->base != NULL && op->context->early != NULL);
        if (flow->feeds && !flow->prompt &&
            (!op->prompt || op->number - told >= WEFT_EARLY_OPS / 2 || crowded)) {
            weft_flow_tell(e, now, op, flow);
        }
    }
}

static uint32_t next_number(const weft_context *c)
{
    return c->called == UINT32_MAX ? 1 : c->called + 1; /* 0 means the group */
}

/* Why a call that has its number may not begin; false: it may. */
static bool hindered(weft_context *c, int64_t now, const weft_request *r, weft_problem *why)
{
    weft_problem broken = {0};
    const weft_failure *failure = weft_fail_recall(c, c->called);
    if (r->before != NULL && r->before->problem.code != WEFT_OK) { /* of which all have heard */
        *why = r->before->problem;
        return true;
    }
    if (weft_fail_bars(c, c->calls)) {
        broken = c->broken;
    } else if (c->engine->broken.code != WEFT_OK) {
        weft_context_problem(c, &c->engine->broken, &broken);
    }
    if (broken.code != WEFT_OK) {
        weft_problem_set(why, WEFT_EBROKEN, broken.rank,
                         "the group broke in an earlier operation: %s", broken.text);
    } else if (failure != NULL) {
        c->mismatches += failure->code == WEFT_EMISMATCH;
        weft_problem_set(why, failure->code, failure->rank, "%s", failure->text);
    } else if (r->problem.code != WEFT_OK) { /* canceled while it waited for its turn, or unfit */
        *why = r->problem;
        weft_fail_number(c, now, c->called, why, &r->plan->plan);
    }
    return why->code != WEFT_OK;
}

static void begin(weft_context *c, int64_t now, weft_request *r)
{
    weft_engine *e = c->engine;
    weft_problem why = {0};
    if (r->before ==
        NULL) { /* else it goes on under the number of the part before it: one call uses
                   up one number, whatever becomes of it and whatever others call */
        c->called = next_number(c);
        c->calls++;
    }
    c->second = r->after;
    r->call = c->calls;
    if (hindered(c, now, r, &why)) {
        refuse(e, r, &why);
        return;
    }
    weft_operation *op = weft_op_new(c, r, c->called, now);
    if (op == NULL) {
        weft_engine_no_memory(e, r->coll);
        refuse(e, r, &e->sick);
        return;
    }
    r->operation = op;
    c->ops[op->number % c->flight] = op;
    c->active++;
    e->active++;
    op->before = e->working_last;
    *(op->before != NULL ? &op->before->after : &e->working) = op;
    e->working_last = op;
    weft_op_watch(e, op);
    for (size_t i = 0; i < r->plan->plan.peer_count; i++) {
        weft_peer_want(e, now, op->flows[i].rank, false);
    }
    weft_lanes_begin(e, op);
    greet_feeders(e, now, op);
    if (c->early != NULL) {
        weft_early_replay(c, now, op->number);
    }
    if (c->ops[c->called % c->flight] == op) {
        check_left(c, now, op);
    }
}

/* A number is free when the one `flight` before it has ended. What a call waits for stands right
 * before it in the queue, and leaves it the number. */
static bool may_begin(const weft_context *c)
{
    const weft_request *first = c->queue;
    return first != NULL && (first->before != NULL ? first->before->ended
                                                   : c->ops[next_number(c) % c->flight] == NULL);
}

void weft_op_turn(weft_context *c)
{
    weft_engine *e = c->engine;
    if (!c->turning && may_begin(c)) {
        c->turning = true;
        c->next_turn = NULL;
        *e->turns_tail = c;
        e->turns_tail = &c->next_turn;
    }
}

void weft_op_turns(weft_engine *e, int64_t now)
{
    while (e->turns != NULL) {
        weft_context *c = e->turns;
        while (may_begin(c)) {
            weft_request *first = c->queue;
            c->queue = first->next;
            if (c->queue == NULL) {
                c->queue_tail = &c->queue;
            }
            begin(c, now, first);
        }
        c->turning = false;
        e->turns = c->next_turn;
        if (e->turns == NULL) {
            e->turns_tail = &e->turns;
        }
        weft_transfer_rest(c);
    }
}

void weft_op_call(weft_engine *e, int64_t now, weft_request *r)
{
    if (r->transfer) {
        r->context = weft_transfer_find(e, now, r);
        if (r->context == NULL) {
            weft_problem_from_last(&r->problem);
            weft_op_complete(e, r);
            return;
        }
    }
    weft_context *c = r->context != NULL ? r->context : e->root;
    r->next = NULL;
    *c->queue_tail = r;
    c->queue_tail = &r->next;
    weft_op_turn(c);
    weft_op_turns(e, now);
}
