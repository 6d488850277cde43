/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation holds, from its begin to its end. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine_state.h"
#include "kernel/kernel.h"

const char *weft_op_words(const weft_context *c, const weft_request *r, uint32_t number, char *out,
                          size_t cap)
{
    char tag[32] = "", which[32] = "";
    if (c->base != NULL) {
        snprintf(tag, sizeof(tag), " of tag %u", c->label);
    }
    if (number != 0) {
        snprintf(which, sizeof(which), " (%s %u)", c->base != NULL ? "transfer" : "operation",
                 number);
    }
    snprintf(out, cap, "%s%s%s", r->coll, tag, which);
    return out;
}

weft_operation *weft_op_at(const weft_context *c, uint32_t number)
{
    weft_operation *op = c->ops[number % c->flight];
    return op != NULL && op->number == number ? op : NULL;
}

static void release(weft_operation *op)
{
    if (op->own != op->request->own) {
        weft_free(op->own);
    }
    while (op->dropped != NULL) {
        weft_dropped *d = op->dropped;
        op->dropped = d->next;
        weft_pairs_free(&d->pairs);
        weft_free(d);
    }
    weft_pairs_free(&op->sent);
    weft_pairs_free(&op->won);
    weft_free(op->acc);
    weft_free(op->warm);
    weft_free(op->news);
    weft_free(op->flows);
    weft_free(op->slots);
    weft_free(op->arrivals);
    weft_free(op);
}

static void free_operation(weft_engine *e, weft_operation *op)
{
    weft_request *r = op->request;
    for (size_t i = 0; i < r->plan->plan.peer_count; i++) {
        for (weft_out *o; (o = weft_queue_pop(&op->flows[i].blocked)) != NULL;) {
            weft_out_free(e, o);
        }
        weft_credit_forget(e, &op->flows[i]);
    }
    for (int i = 0; i < WEFT_LANES; i++) {
        if (op->lanes[i].busy) {
            weft_lane_end(e, &op->lanes[i]);
        }
    }
    release(op);
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
        op->flows[i].operation = op;
        op->flows[i].position = plan->peers[i].rank;
        op->flows[i].rank = op->context->members[plan->peers[i].rank].rank;
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

/* A float for each element of the vector, where they are wanted. false: out of memory. */
static bool floats(float **at, bool wanted, const weft_request *r)
{
    if (wanted) {
        *at = weft_alloc((size_t)r->count * sizeof(float));
    }
    return !wanted || *at != NULL;
}

static bool measures(const weft_request *r)
{
    return r->measures && weft_codec_lossy(r->codec);
}

/* Floats of the codec's state, of the whole vector. */
static size_t state_of(const weft_request *r)
{
    const weft_stretch all = {.lane_count = (size_t)r->count, .count = (size_t)r->count};
    return r->codec->type->state != NULL ? r->codec->type->state(r->codec, &all) : 0;
}

static bool warm_up(weft_operation *op)
{
    const size_t bytes = op->request->warm != NULL ? state_of(op->request) * sizeof(float) : 0;
    if (bytes > 0) {
        op->warm = weft_alloc(bytes);
    }
    return bytes == 0 || op->warm != NULL;
}

static bool feed_back(weft_operation *op)
{
    const weft_request *r = op->request;
    const bool feeds = r->residual != NULL;
    op->own = r->own;
    return warm_up(op) && floats(&op->acc, feeds, r) &&
           floats(&op->news, r->reply_memory != NULL, r) &&
           floats(&op->own,
                  op->own == NULL && !r->requantizes && ((feeds && !r->settles) || measures(r)), r);
}

/* Codecs made for one operation learn its random numbers. */
static void key(const weft_engine *e, weft_request *r, uint32_t number)
{
    const weft_draw draw = {
        .seed = e->seed, .tensor = r->tensor, .draw = r->draw != 0 ? r->draw : number};
    if (r->codec->type->key != NULL) {
        r->codec->type->key(r->codec, &draw);
    }
}

weft_operation *weft_op_new(weft_context *c, weft_request *r, uint32_t number, int64_t now)
{
    const size_t slots = larger((size_t)r->plan->plan.slot_count, (size_t)r->tail->plan.slot_count);
    const size_t arrivals = larger(r->plan->plan.recv_count, r->tail->plan.recv_count);
    weft_operation *op = weft_calloc(1, sizeof(*op));
    if (op == NULL) {
        return NULL;
    }
    op->context = c;
    op->request = r;
    op->number = number;
    op->started = now;
    r->began = r->timed && c->engine->outlet.clock != NULL
                   ? c->engine->outlet.clock(c->engine->outlet.user)
                   : 0;
    op->progress = now;
    op->spared = WEFT_NEVER;
    op->flows = weft_calloc(larger(r->plan->plan.peer_count, 1), sizeof(*op->flows));
    op->slots = weft_calloc(larger(slots, 1) * WEFT_LANES, sizeof(*op->slots));
    op->arrivals = weft_calloc(larger(arrivals, 1) * WEFT_LANES, sizeof(*op->arrivals));
    if (op->flows != NULL && op->slots != NULL && op->arrivals != NULL && feed_back(op)) {
        for (size_t i = 0; i < WEFT_LANES; i++) {
            op->lanes[i].operation = op;
            op->lanes[i].slots = op->slots + i * slots;
            op->lanes[i].arrivals = op->arrivals + i * arrivals;
        }
        key(c->engine, r, number);
        survey(op);
        return op;
    }
    release(op);
    return NULL;
}

/* What it took to agree: the caller has made one call. */
static void add_before(weft_receipt *sum, const weft_receipt *first)
{
    sum->body_bytes_sent += first->body_bytes_sent;
    sum->body_bytes_received += first->body_bytes_received;
    sum->wire_bytes_sent += first->wire_bytes_sent;
    sum->encode_ns += first->encode_ns;
    sum->combine_ns += first->combine_ns;
    sum->decode_ns += first->decode_ns;
    sum->send_ns += first->send_ns;
}

/* Success: what the caller gets besides the result. */
static void settle(const weft_engine *e, weft_request *r, const weft_operation *op)
{
    if (r->residual != NULL && r->count > 0) {
        memcpy(r->residual, op->acc, (size_t)r->count * sizeof(float));
    }
    if (op->warm != NULL && (r->zeros == NULL || r->residual != NULL)) { /* zeros teach nothing */
        memcpy(r->warm, op->warm, state_of(r) * sizeof(float));
    }
    if (r->codec->type->succeeded != NULL) {
        r->codec->type->succeeded(r->codec);
    }
    if (op->news != NULL) {
        weft_kernel_axpy(r->reply_memory, r->reply_alpha, op->news, (size_t)r->count);
    }
    if (r->receipt != NULL) {
        const size_t size = r->receipt->size;
        if (r->before != NULL) {
            add_before(&r->result, &r->before->result);
        }
        snprintf(r->result.algo, sizeof(r->result.algo), "%.*s", (int)sizeof(r->result.algo) - 1,
                 r->algo);
        r->result.lanes = r->lane_count;
        r->result.input_norm = sqrt(r->result.input_norm);
        r->result.error_norm = sqrt(r->result.error_norm);
        r->result.size = size;
        if (e->outlet.clock != NULL) {
            const uint64_t at_work = r->result.encode_ns + r->result.combine_ns +
                                     r->result.decode_ns + r->result.send_ns;
            const int64_t began = r->before != NULL ? r->before->began : r->began;
            r->result.total_ns = (uint64_t)(e->outlet.clock(e->outlet.user) - began);
            r->result.wait_ns = r->result.total_ns - at_work;
        }
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
                (o->frame.kind == WEFT_FRAME_GRANT && o->frame.operation == op->number &&
                 o->frame.group == op->context->tag)) {
                if ((o->frame.flags & WEFT_FLAG_CREDIT) != 0) {
                    weft_credit_back(p, o->message->len);
                }
                weft_out_free(e, o);
            } else {
                weft_queue_push(&keep, o);
            }
        }
        p->waiting = keep;
    }
}

void weft_op_end(weft_engine *e, weft_operation *op, const weft_problem *why)
{
    weft_context *c = op->context;
    weft_request *r = op->request;
    if (why != NULL) {
        r->problem = *why;
        c->mismatches += why->code == WEFT_EMISMATCH; /* whoever found it */
        withdraw(e, op);
    } else {
        settle(e, r, op);
        if (c->ended != NULL) {
            weft_fail_ended(op);
        }
        c->mismatches = 0;
        /* Of two parts the second completes the call. */
        atomic_fetch_add_explicit(&e->counters.operations, r->after == NULL ? 1 : 0,
                                  memory_order_relaxed);
    }
    c->ops[op->number % c->flight] = NULL;
    c->active--;
    e->active--;
    *(op->before != NULL ? &op->before->after : &e->working) = op->after;
    *(op->after != NULL ? &op->after->before : &e->working_last) = op->before;
    free_operation(e, op);
    if (why != NULL && e->parked > 0) {
        weft_lanes_start_all(c);
    }
    weft_lanes_start(e);
    r->operation = NULL;
    r->ended = true; /* what waits for it may have its turn */
    weft_op_turn(c);
    weft_transfer_rest(c);
    weft_op_complete(e, r);
}
