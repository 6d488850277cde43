/* SPDX-License-Identifier: Apache-2.0 */
/* An operation from its call to its end: lanes, timeouts. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine_state.h"

weft_operation *weft_op_at(const weft_engine *e, uint32_t number)
{
    weft_operation *op = e->ops[number % WEFT_IN_FLIGHT];
    return op != NULL && op->number == number ? op : NULL;
}

void weft_op_ready(weft_engine *e, weft_lane *lane)
{
    if (!lane->queued) {
        lane->queued = true;
        lane->next = NULL;
        *e->ready_tail = lane;
        e->ready_tail = &lane->next;
    }
}

static void begin_lanes(weft_engine *e, weft_operation *op)
{
    while (op->next < op->request->lane_count && op->next < op->lowest + WEFT_LANES) {
        weft_lane *lane = &op->lanes[op->next % WEFT_LANES];
        lane->index = op->next++;
        lane->busy = true;
        weft_op_ready(e, lane);
    }
}

static void free_operation(weft_engine *e, weft_operation *op)
{
    weft_request *r = op->request;
    for (size_t i = 0; op->flows != NULL && i < r->plan->plan.peer_count; i++) {
        for (weft_out *o; (o = weft_queue_pop(&op->flows[i].blocked)) != NULL;) {
            weft_out_free(e, o);
        }
    }
    for (int i = 0; i < WEFT_LANES; i++) {
        if (op->lanes[i].busy) {
            weft_lane_clear(&op->lanes[i]);
        }
    }
    weft_free(op->acc);
    if (op->own != r->own) {
        weft_free(op->own);
    }
    weft_free(op->flows);
    weft_free(op->slots);
    weft_free(op->arrivals);
    weft_free(op);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What goes to each neighbour and comes from it, and how soon. */
static void survey(weft_operation *op)
{
    const weft_request *r = op->request;
    const weft_plan *plan = &r->plan->plan;
    bool fenced = false;
    bool exact;
    for (size_t i = 0; i < plan->peer_count; i++) {
        op->flows[i].rank = plan->peers[i].rank;
    }
    for (size_t i = 0; i < plan->step_count; i++) {
        const weft_step *step = &plan->steps[i];
        if (step->verb == WEFT_VERB_FENCE) {
            fenced = true;
        } else if (step->verb == WEFT_VERB_SEND) {
            weft_flow *flow = weft_flow_of(op, step->peer);
            flow->prompt = flow->prompt || !fenced;
            flow->goes += weft_lane_bound(op, 0, step, &exact) + WEFT_FRAME_HEADER;
        } else if (step->verb == WEFT_VERB_RECV) {
            weft_flow *flow = weft_flow_of(op, step->peer);
            flow->feeds = true;
            flow->comes += weft_lane_bound(op, 0, step, &exact) + WEFT_FRAME_HEADER;
        }
    }
    op->prompt = r->lane_count == 1;
    for (size_t i = 0; i < plan->peer_count; i++) {
        weft_flow *flow = &op->flows[i];
        flow->small = r->lane_count == 1 && flow->goes <= WEFT_SMALL_BYTES;
        op->prompt = op->prompt && flow->comes <= WEFT_SMALL_BYTES;
    }
}

static int feed_back(weft_operation *op)
{
    const weft_request *r = op->request;
    const size_t count = (size_t)r->count;
    op->own = r->own;
    if (r->residual != NULL) {
        op->acc = weft_alloc(count * sizeof(float));
        if (op->own == NULL) {
            op->own = weft_alloc(count * sizeof(float));
        }
        if (op->acc == NULL || op->own == NULL) {
            return WEFT_ENOMEM;
        }
    }
    return WEFT_OK;
}

static weft_operation *new_operation(weft_request *r, uint32_t number, int64_t now)
{
    const size_t slots = larger((size_t)r->plan->plan.slot_count, (size_t)r->tail->plan.slot_count);
    const size_t arrivals = larger(r->plan->plan.recv_count, r->tail->plan.recv_count);
    weft_operation *op = weft_calloc(1, sizeof(*op));
    if (op == NULL) {
        return NULL;
    }
    op->request = r;
    op->number = number;
    op->started = now;
    op->progress = now;
    op->spared = WEFT_NEVER;
    op->flows = weft_calloc(larger(r->plan->plan.peer_count, 1), sizeof(*op->flows));
    op->slots = weft_calloc(larger(slots, 1) * WEFT_LANES, sizeof(*op->slots));
    op->arrivals = weft_calloc(larger(arrivals, 1) * WEFT_LANES, sizeof(*op->arrivals));
    if (op->flows != NULL && op->slots != NULL && op->arrivals != NULL &&
        feed_back(op) == WEFT_OK) {
        for (size_t i = 0; i < WEFT_LANES; i++) {
            op->lanes[i].operation = op;
            op->lanes[i].slots = op->slots + i * slots;
            op->lanes[i].arrivals = op->arrivals + i * arrivals;
        }
        survey(op);
        return op;
    }
    weft_free(op->acc);
    if (op->own != r->own) {
        weft_free(op->own);
    }
    weft_free(op->flows);
    weft_free(op->slots);
    weft_free(op->arrivals);
    weft_free(op);
    return NULL;
}

static void refuse(weft_engine *e, weft_request *r, const weft_problem *why)
{
    if (r->abandoned) { /* its owner has had its answer: only the number was left to use up */
        weft_request_discard(r);
        return;
    }
    r->problem = *why;
    e->outlet.complete(e->outlet.user, r);
}

/* A neighbour that said BYE has done its part when all that it sends is here and nothing goes to
 * it: the root of a broadcast leaves early. Else it cannot take part. */
static void check_left(weft_engine *e, int64_t now, const weft_operation *op)
{
    const weft_plan *plan = &op->request->plan->plan;
    for (size_t i = 0; i < plan->peer_count; i++) {
        const int rank = plan->peers[i].rank;
        if (e->peers[rank].state == WEFT_PEER_LEFT && weft_op_needs(e, rank)) {
            char who[192];
            weft_problem why = {0};
            weft_problem_set(&why, WEFT_EPEER, rank, "%s left the group",
                             weft_peer_words(e, rank, who, sizeof(who)));
            weft_fail_group(e, now, &why, rank);
            return;
        }
    }
}

/* Who sends to us must know how far we are: at once where lanes follow, else now and then, so that
 * it need not stop for want of news. Data that go there at once tell it too. */
static void greet_feeders(weft_engine *e, int64_t now, weft_operation *op)
{
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        const weft_flow *flow = &op->flows[i];
        const uint32_t told = e->peers[flow->rank].told_operation;
        if (flow->feeds && !flow->prompt &&
            (!op->prompt || op->number - told >= WEFT_EARLY_OPS / 2)) {
            weft_flow_tell(e, now, op, flow->rank);
        }
    }
}

static uint32_t next_number(const weft_engine *e)
{
    return e->called == UINT32_MAX ? 1 : e->called + 1; /* 0 means the group */
}

static void begin(weft_engine *e, int64_t now, weft_request *r)
{
    const bool was_broken = e->broken.code != WEFT_OK;
    weft_problem why = {0};
    e->called = next_number(e);
    e->calls++;
    const weft_failure *failure = weft_fail_recall(e, e->called);
    if (was_broken) {
        weft_problem_set(&why, WEFT_EBROKEN, e->broken.rank,
                         "the group broke in an earlier operation: %s", e->broken.text);
        refuse(e, r, &why);
        return;
    }
    if (failure != NULL) {
        e->mismatches += failure->problem.code == WEFT_EMISMATCH;
        refuse(e, r, &failure->problem);
        return;
    }
    if (r->problem.code != WEFT_OK) { /* canceled while it waited for its turn */
        why = r->problem;
        weft_fail_number(e, now, e->called, &why, &r->plan->plan);
        refuse(e, r, &why);
        return;
    }
    weft_operation *op = new_operation(r, e->called, now);
    if (op == NULL) {
        weft_problem_set(&why, WEFT_ENOMEM, e->rank, "rank %d: out of memory for %s", e->rank,
                         r->coll);
        refuse(e, r, &why);
        weft_engine_sicken(e, &why);
        return;
    }
    r->operation = op;
    e->ops[op->number % WEFT_IN_FLIGHT] = op;
    e->active++;
    for (size_t i = 0; i < r->plan->plan.peer_count; i++) {
        weft_peer_want(e, now, r->plan->plan.peers[i].rank, false);
    }
    begin_lanes(e, op);
    greet_feeders(e, now, op);
    if (e->early != NULL) {
        weft_flow_replay(e, now, op->number);
    }
    if (e->ops[e->called % WEFT_IN_FLIGHT] == op) {
        check_left(e, now, op);
    }
}

void weft_op_queue(weft_engine *e, int64_t now, weft_request *r)
{
    if (r != NULL) {
        r->next = NULL;
        *e->queue_tail = r;
        e->queue_tail = &r->next;
    }
    /* A number is free when the one WEFT_IN_FLIGHT before it has ended. */
    while (e->queue != NULL && e->ops[next_number(e) % WEFT_IN_FLIGHT] == NULL) {
        weft_request *first = e->queue;
        e->queue = first->next;
        if (e->queue == NULL) {
            e->queue_tail = &e->queue;
        }
        begin(e, now, first);
    }
}

/* Success: what the caller gets besides the result. */
static void settle(const weft_operation *op)
{
    weft_request *r = op->request;
    if (r->residual != NULL && r->count > 0) {
        memcpy(r->residual, op->acc, (size_t)r->count * sizeof(float));
    }
    if (r->receipt != NULL) {
        const size_t size = r->receipt->size;
        snprintf(r->result.algo, sizeof(r->result.algo), "%.*s", (int)sizeof(r->result.algo) - 1,
                 r->algo);
        r->result.lanes = r->lane_count;
        r->result.size = size;
        memcpy(r->receipt, &r->result, size < sizeof(r->result) ? size : sizeof(r->result));
    }
}

/* Take its lanes off the list of those that can go on, its frames off the waiting ones. */
static void withdraw(weft_engine *e, weft_operation *op)
{
    weft_lane **at = &e->ready;
    while (*at != NULL) {
        if ((*at)->operation == op) {
            *at = (*at)->next;
        } else {
            at = &(*at)->next;
        }
    }
    e->ready_tail = at;
    for (size_t i = 0; i < op->request->plan->plan.peer_count; i++) {
        weft_peer *p = &e->peers[op->flows[i].rank];
        weft_queue keep = {0};
        for (weft_out *o; (o = weft_queue_pop(&p->waiting)) != NULL;) {
            /* Its descriptor stays: frames of other operations may count on it. */
            if (o->operation == op ||
                (o->frame.kind == WEFT_FRAME_GRANT && o->frame.operation == op->number)) {
                weft_out_free(e, o);
            } else {
                weft_queue_push(&keep, o);
            }
        }
        p->waiting = keep;
    }
}

void weft_op_end(weft_engine *e, int64_t now, weft_operation *op, const weft_problem *why)
{
    weft_request *r = op->request;
    if (why != NULL) {
        r->problem = *why;
        e->mismatches += why->code == WEFT_EMISMATCH; /* whoever found it */
        withdraw(e, op);
    } else {
        settle(op);
        weft_fail_ended(e, op);
        e->mismatches = 0;
        atomic_fetch_add_explicit(&e->counters.operations, 1, memory_order_relaxed);
    }
    e->ops[op->number % WEFT_IN_FLIGHT] = NULL;
    e->active--;
    free_operation(e, op);
    r->operation = NULL;
    e->outlet.complete(e->outlet.user, r);
    (void)now;
}

void weft_op_sent(weft_engine *e, weft_operation *op, uint64_t index)
{
    weft_lane *lane = &op->lanes[index % WEFT_LANES];
    lane->pending--;
    if (lane->pending == 0 && lane->pc == weft_lane_plan(op, index)->step_count) {
        weft_op_ready(e, lane);
    }
}

void weft_op_lane_done(weft_engine *e, int64_t now, weft_lane *lane)
{
    weft_operation *op = lane->operation;
    weft_lane_clear(lane);
    op->done++;
    op->progress = now;
    while (op->lowest < op->next && !op->lanes[op->lowest % WEFT_LANES].busy) {
        op->lowest++;
        begin_lanes(e, op);
    }
    if (op->done == op->request->lane_count) {
        weft_op_end(e, now, op, NULL);
        weft_op_queue(e, now, NULL);
    } else {
        weft_flow_grants(e, now, op);
    }
}

static bool called(const weft_peer *p, const weft_operation *op)
{
    return (int32_t)(p->heard_operation - op->number) >= 0;
}

/* The rank that the operation waits for, and how; -1: only for ourselves. */
static int waits_for(const weft_engine *e, const weft_operation *op, char *how, size_t cap)
{
    for (uint64_t l = op->lowest; l < op->next; l++) {
        const weft_lane *lane = &op->lanes[l % WEFT_LANES];
        const weft_plan *plan = weft_lane_plan(op, l);
        for (size_t i = 0; lane->busy && i < plan->recv_count; i++) {
            const weft_step *step = &plan->steps[plan->recvs[i]];
            if (plan->recvs[i] < lane->pc && !lane->arrivals[i].whole) {
                const weft_peer *p = &e->peers[step->peer];
                if (p->state == WEFT_PEER_UP) {
                    snprintf(how, cap, "it %s the operation",
                             called(p, op) ? "is in" : "has not called");
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
            return flow->rank;
        }
    }
    snprintf(how, cap, "nothing is outstanding");
    return -1;
}

static void stalled(weft_engine *e, int64_t now, weft_operation *op)
{
    char who[192] = "nobody";
    char how[160];
    weft_problem why = {0};
    const int rank = waits_for(e, op, how, sizeof(how));
    if (rank >= 0 && op->spared != op->progress && e->peers[rank].state == WEFT_PEER_UP &&
        called(&e->peers[rank], op)) {
        /* It waits too, for the one that is to be named, and may know a little later. */
        op->spared = op->progress;
        return;
    }
    if (rank >= 0) {
        weft_peer_words(e, rank, who, sizeof(who));
    }
    weft_problem_set(
        &why, WEFT_ETIMEDOUT, rank,
        "%s (operation %u): no progress for %lld ms on rank %d, which waits for %s: %s",
        op->request->coll, op->number, (long long)((now - op->progress) / WEFT_MS), e->rank, who,
        how);
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

void weft_op_tick(weft_engine *e, int64_t now)
{
    for (int i = 0; i < WEFT_IN_FLIGHT; i++) {
        weft_operation *op = e->ops[i];
        if (op == NULL) {
            continue;
        }
        if (now >= timeout_at(e, op)) {
            stalled(e, now, op);
            continue;
        }
        if (!op->greeted && now >= op->started + WEFT_HELLO_NS) {
            op->greeted = true;
            weft_flow_greet(e, now, op);
        }
        if (now - op->progress >= e->dead_ns / 4) {
            char how[160];
            const int rank = waits_for(e, op, how, sizeof(how));
            if (rank >= 0) {
                weft_peer_want(e, now, rank, true);
            }
        }
    }
}

int64_t weft_op_due(const weft_engine *e)
{
    int64_t due = WEFT_NEVER;
    for (int i = 0, left = e->active; i < WEFT_IN_FLIGHT && left > 0; i++) {
        const weft_operation *op = e->ops[i];
        if (op == NULL) {
            continue;
        }
        left--;
        const int64_t timeout = timeout_at(e, op);
        const int64_t hello = op->greeted ? WEFT_NEVER : op->started + WEFT_HELLO_NS;
        const int64_t stall = op->progress + e->dead_ns / 4;
        due = timeout < due ? timeout : due;
        due = hello < due ? hello : due;
        /* After the first look at a stall the peers' ticks go on looking. */
        due = stall > e->ticked && stall < due ? stall : due;
    }
    return due;
}

bool weft_op_needs(const weft_engine *e, int rank)
{
    if (e->peers[rank].waiting.head != NULL) {
        return true;
    }
    for (int i = 0; i < WEFT_IN_FLIGHT; i++) {
        const weft_operation *op = e->ops[i];
        const weft_flow *flow = op != NULL ? weft_flow_of(op, rank) : NULL;
        if (flow == NULL) {
            continue;
        }
        if (flow->blocked.head != NULL || op->next < op->request->lane_count) {
            return true;
        }
        for (uint64_t l = op->lowest; l < op->next; l++) {
            const weft_lane *lane = &op->lanes[l % WEFT_LANES];
            const weft_plan *plan = weft_lane_plan(op, l);
            for (size_t s = lane->busy ? 0 : plan->recv_count; s < plan->recv_count; s++) {
                if (plan->steps[plan->recvs[s]].peer == rank && !lane->arrivals[s].whole) {
                    return true;
                }
            }
            for (size_t s = lane->pc; lane->busy && s < plan->step_count; s++) {
                if (plan->steps[s].verb == WEFT_VERB_SEND && plan->steps[s].peer == rank) {
                    return true;
                }
            }
        }
    }
    return false;
}
