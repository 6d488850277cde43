/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine_state.h"
#include "support/simnet_state.h"

enum { RINGS_MOST = 2, EVENTS_MOST = 20000000, POOL_BYTES = 1 << 20, LOOK_EVERY = 32 };

/* ---- events, earliest first ------------------------------------------------------------------ */

static bool before(const sim_event *a, const sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void sift_up(simnet *n, size_t i, const sim_event *ev)
{
    while (i > 0 && before(ev, &n->heap[(i - 1) / 2])) {
        n->heap[i] = n->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    n->heap[i] = *ev;
}

static void put_again(simnet *n, const sim_event *ev)
{
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 64;
        n->heap = realloc(n->heap, n->cap * sizeof(*n->heap));
        if (n->heap == NULL) {
            abort();
        }
    }
    sift_up(n, n->count++, ev);
}

void sim_put(simnet *n, sim_event ev)
{
    ev.order = ++n->order;
    put_again(n, &ev);
}

static sim_event take(simnet *n)
{
    const sim_event first = n->heap[0];
    const sim_event last = n->heap[--n->count];
    size_t i = 0;
    while (2 * i + 1 < n->count) {
        size_t child = 2 * i + 1;
        if (child + 1 < n->count && before(&n->heap[child + 1], &n->heap[child])) {
            child++;
        }
        if (!before(&n->heap[child], &last)) {
            break;
        }
        n->heap[i] = n->heap[child];
        i = child;
    }
    if (n->count > 0) {
        n->heap[i] = last;
    }
    return first;
}

int64_t sim_some(simnet *n, int64_t most)
{
    return most <= 0 ? 0 : (int64_t)weft_rng_below(&n->rng, (uint64_t)most + 1);
}

bool sim_coin(simnet *n)
{
    return weft_rng_below(&n->rng, 2) == 1;
}

void sim_offend(simnet *n, const char *format, ...)
{
    va_list args;
    if (n->offence[0] == '\0') {
        va_start(args, format);
        vsnprintf(n->offence, sizeof(n->offence), format, args);
        va_end(args);
    }
}

/* ---- what must hold at every moment ---------------------------------------------------------- */

static size_t cost_of(const weft_early *early)
{
    return early->message != NULL && (early->frame.flags & WEFT_FLAG_CREDIT) != 0
               ? weft_credit_cost(early->message->len)
               : 0;
}

/* What is kept is what is counted. */
static void look_at_early(simnet *n, const sim_node *at)
{
    const weft_engine *e = at->engine;
    size_t kept[SIMNET_RANKS] = {0};
    for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
        size_t bytes[SIMNET_RANKS] = {0}, frames[SIMNET_RANKS] = {0};
        for (const weft_early *early = c->early; early != NULL; early = early->next) {
            const size_t cost = cost_of(early);
            kept[c->members[early->from].rank] += cost;
            bytes[early->from] += early->message != NULL && cost == 0 ? early->message->len : 0;
            frames[early->from] += cost == 0;
        }
        for (int i = 0; i < c->size; i++) {
            if (bytes[i] != c->members[i].early_bytes || frames[i] != c->members[i].early_frames) {
                sim_offend(n, "rank %d miscounts what it keeps for rank %d", at->rank,
                           c->members[i].rank);
            }
        }
    }
    for (size_t i = 0; i < e->tag_buckets; i++) {
        for (const weft_tag_cell *cell = e->tags[i]; cell != NULL; cell = cell->next) {
            for (const weft_early *early = cell->early; early != NULL; early = early->next) {
                kept[early->from] += cost_of(early);
            }
        }
    }
    for (int r = 0; r < e->size; r++) {
        if (kept[r] != e->peers[r].kept) {
            sim_offend(n, "rank %d miscounts what it keeps on credit for rank %d", at->rank, r);
        }
    }
}

static int look_at_context(simnet *n, const sim_node *at, const weft_context *c)
{
    const size_t most = WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES;
    for (int i = 0; i < c->size; i++) {
        const weft_member *m = &c->members[i];
        if (m->early_bytes > most || m->early_frames > WEFT_EARLY_FRAMES) {
            sim_offend(n, "rank %d keeps %zu bytes, %zu frames for rank %d", at->rank,
                       m->early_bytes, m->early_frames, m->rank);
        }
    }
    int active = 0;
    for (uint32_t i = 0; i < c->flight; i++) {
        const weft_operation *op = c->ops[i];
        active += op != NULL;
        if (op != NULL && op->next - op->lowest > WEFT_LANES) {
            sim_offend(n, "rank %d has %llu lanes open", at->rank,
                       (unsigned long long)(op->next - op->lowest));
        }
        if (op != NULL && weft_fail_bars(c, op->request->call)) {
            sim_offend(n, "rank %d works on what its group is broken for", at->rank);
        }
    }
    if (active != c->active) {
        sim_offend(n, "rank %d counts %d operations and has %d", at->rank, c->active, active);
    }
    if (c->engine->broken.code != WEFT_OK && (active > 0 || c->queue != NULL)) {
        sim_offend(n, "rank %d is broken and works on", at->rank);
    }
    return active;
}

static void look(simnet *n, const sim_node *at)
{
    const weft_engine *e = at->engine;
    int active = 0;
    for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
        active += look_at_context(n, at, c);
    }
    if (active != e->active) {
        sim_offend(n, "rank %d counts %d operations and has %d", at->rank, e->active, active);
    }
    for (int r = 0; r < e->size; r++) {
        const weft_peer *p = &e->peers[r];
        if (p->kept > WEFT_CREDIT || p->credit > WEFT_CREDIT) {
            sim_offend(n, "rank %d keeps %zu bytes on credit for rank %d and has %zu", at->rank,
                       p->kept, r, p->credit);
        }
    }
    if (n->events % LOOK_EVERY == 0) {
        look_at_early(n, at);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void touched(simnet *n, sim_node *at)
{
    look(n, at);
    at->due = weft_engine_due(at->engine);
    if (!at->working) {
        at->working = true;
        sim_put(
            n, (sim_event){.at = n->now + sim_some(n, n->o.work_ns), .kind = SIM_WORK, .node = at});
    }
}

static void happen(simnet *n, const sim_event *ev)
{
    sim_node *at = ev->node;
    sim_wire *w = ev->wire;
    switch (ev->kind) {
    case SIM_FRAME:
        sim_frame(n, ev);
        break;
    case SIM_UP:
        if (w->closed[0] || w->down_due[0]) {
            break;
        }
        if (w->at[1]->gone) {
            sim_down_soon(n, w, 0);
            break;
        }
        w->up = true;
        weft_engine_up(at->engine, n->now, w->conn[0]);
        break;
    case SIM_DOWN:
        if (!w->closed[ev->end]) {
            w->closed[ev->end] = true;
            if (w->conn[ev->end] == 0) {
                break; /* it was never heard of here */
            }
            weft_engine_down(at->engine, n->now, w->conn[ev->end], "the connection was closed");
        }
        break;
    case SIM_CALL:
        ev->request->state = WEFT_REQUEST_RUNNING;
        weft_engine_call(at->engine, n->now, ev->request);
        break;
    case SIM_CANCEL:
        if (ev->request->state == WEFT_REQUEST_RUNNING) {
            weft_engine_cancel(at->engine, n->now, ev->request);
        }
        break;
    case SIM_WORK:
        at->working = false;
        if (!weft_engine_work(at->engine, n->now)) {
            look(n, at);
            at->due = weft_engine_due(at->engine);
            return;
        }
        break;
    }
    touched(n, at);
}

static sim_node *next_timer(simnet *n)
{
    sim_node *first = NULL;
    for (int r = 0; r < n->o.size; r++) {
        sim_node *at = &n->nodes[r];
        const int64_t due = at->due < at->awake_at ? at->awake_at : at->due;
        if (!at->mute && at->due != WEFT_NEVER &&
            (first == NULL ||
             due < (first->due < first->awake_at ? first->awake_at : first->due))) {
            first = at;
        }
    }
    return first;
}

static void ring(simnet *n, sim_node *at)
{
    const int64_t due = at->due < at->awake_at ? at->awake_at : at->due;
    n->now = due > n->now ? due : n->now;
    at->rings = at->rung_at == n->now ? at->rings + 1 : 0;
    at->rung_at = n->now;
    weft_engine_timer(at->engine, n->now);
    touched(n, at);
    if (at->rings > RINGS_MOST) {
        sim_offend(n, "rank %d: the timer is due again and again", at->rank);
    }
}

static void dispose(const sim_event *ev)
{
    if (ev->kind == SIM_FRAME) {
        weft_message_unref(ev->message);
    }
}

static bool ended(const simnet *n)
{
    for (int r = 0; r < n->o.size; r++) {
        if (simnet_live(n, r) && n->nodes[r].open > 0) {
            return false;
        }
    }
    return true;
}

bool simnet_run(simnet *n, int64_t until)
{
    while (n->offence[0] == '\0') {
        sim_strike(n);
        sim_node *timer = next_timer(n);
        const int64_t ring_at = timer == NULL                  ? WEFT_NEVER
                                : timer->due < timer->awake_at ? timer->awake_at
                                                               : timer->due;
        if (n->count == 0 && ended(n)) {
            return true;
        }
        const int64_t next = n->count > 0 && n->heap[0].at <= ring_at ? n->heap[0].at : ring_at;
        if (next == WEFT_NEVER || next > until) {
            return ended(n);
        }
        if (++n->events > EVENTS_MOST) {
            sim_offend(n, "there is no end of events");
        }
        if (n->count == 0 || n->heap[0].at > ring_at) {
            ring(n, timer);
            continue;
        }
        sim_event ev = take(n);
        if (ev.node->mute) {
            dispose(&ev);
        } else if (ev.at < ev.node->awake_at) {
            ev.at = ev.node->awake_at;
            put_again(n, &ev);
        } else {
            n->now = ev.at;
            happen(n, &ev);
        }
    }
    return false;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void outlet_complete(void *user, weft_request *r)
{
    sim_node *me = user;
    me->open--;
    if (r->state == WEFT_REQUEST_DONE) {
        sim_offend(me->net, "rank %d ends a request twice", me->rank);
    }
    r->state = WEFT_REQUEST_DONE;
    me->net->o.ended(me->net->o.user, me->rank, r);
}

static void outlet_roster(void *user, uint32_t conn, weft_message *m)
{
    weft_message_unref(m);
    sim_drop(user, conn);
}

static int open_node(simnet *n, int rank)
{
    sim_node *at = &n->nodes[rank];
    at->net = n;
    at->rank = rank;
    at->due = WEFT_NEVER;
    at->accepted = UINT32_MAX; /* the first is 1 */
    int rc = weft_pool_open(&at->pool, POOL_BYTES);
    if (rc == WEFT_OK) {
        rc = weft_engine_open(&at->engine, &(weft_engine_opts){
                                               .rank = rank,
                                               .size = n->o.size,
                                               .group = 0x5eed,
                                               .seed = n->o.keys,
                                               .dead_ns = n->o.dead_ns,
                                               .sum = n->sums,
                                               .where = n->where,
                                               .pool = at->pool,
                                               .outlet = {.user = at,
                                                          .send = sim_send,
                                                          .dial = sim_dial,
                                                          .drop = sim_drop,
                                                          .complete = outlet_complete,
                                                          .roster = outlet_roster},
                                           });
    }
    return rc;
}

simnet *simnet_open(const simnet_opts *o)
{
    simnet *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        abort();
    }
    n->o = *o;
    n->rng.state = o->seed;
    n->copies = sim_coin(n);
    n->shown_by_send = sim_coin(n);
    n->refuses = sim_coin(n);
    for (int r = 0; r < o->size; r++) {
        n->sums[r] = o->sum;
        snprintf(n->names[r], sizeof(n->names[r]), "sim:%d", r);
        n->where[r] = n->names[r];
    }
    for (int r = 0; r < o->size; r++) {
        if (open_node(n, r) != WEFT_OK) {
            simnet_close(&n);
            return NULL;
        }
    }
    return n;
}

void simnet_close(simnet **net)
{
    simnet *n = *net;
    if (n == NULL) {
        return;
    }
    for (int r = 0; r < n->o.size; r++) {
        sim_node *at = &n->nodes[r];
        at->mute = true;
        if (at->engine != NULL) {
            weft_engine_stop(at->engine, n->now);
            weft_engine_close(&at->engine);
        }
        weft_pool_close(&at->pool);
    }
    while (n->count > 0) {
        const sim_event ev = take(n);
        dispose(&ev);
    }
    for (int i = 0; i < n->wire_count; i++) {
        weft_message_unref(n->wires[i]->held[0]);
        weft_message_unref(n->wires[i]->held[1]);
        free(n->wires[i]);
    }
    free(n->heap);
    free(n);
    *net = NULL;
}

void simnet_inject(simnet *n, const simnet_fault *fault)
{
    n->faults[n->fault_count++] = *fault;
}

const simnet_fault *simnet_fault_at(const simnet *n, int i)
{
    return &n->faults[i];
}

void simnet_call(simnet *n, int64_t at, int rank, weft_request *r)
{
    n->nodes[rank].open++;
    sim_put(n, (sim_event){.at = at, .kind = SIM_CALL, .node = &n->nodes[rank], .request = r});
}

void simnet_cancel(simnet *n, int64_t at, int rank, weft_request *r)
{
    sim_put(n, (sim_event){.at = at, .kind = SIM_CANCEL, .node = &n->nodes[rank], .request = r});
}

int64_t simnet_now(const simnet *n)
{
    return n->now;
}

uint64_t simnet_frames(const simnet *n)
{
    return n->frames;
}

bool simnet_live(const simnet *n, int rank)
{
    return !n->nodes[rank].mute;
}

weft_engine *simnet_engine(simnet *n, int rank)
{
    return n->nodes[rank].engine;
}

const char *simnet_offence(const simnet *n)
{
    return n->offence;
}

static bool failed(const weft_engine *e)
{
    bool any = false;
    for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
        any = any || c->failures != NULL || c->broken.code != WEFT_OK;
    }
    return any;
}

const char *simnet_leftover(simnet *n, int rank)
{
    const weft_engine *e = n->nodes[rank].engine;
    const char *what = e->active != 0            ? "an operation"
                       : e->ready != NULL        ? "a lane that is ready"
                       : e->started != 0         ? "a lane on its steps"
                       : e->parked != 0          ? "a parked lane"
                       : e->sick.code != WEFT_OK ? "an unsettled failure"
                                                 : NULL;
    for (int r = 0; r < e->size; r++) {
        const weft_peer *p = &e->peers[r];
        if (p->waiting.head != NULL && (p->state == WEFT_PEER_UP || !failed(e))) {
            what = "a frame that waits for a link";
        }
    }
    for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
        what = c->queue != NULL   ? "a call in the queue"
               : c->early != NULL ? "an early frame"
                                  : what;
    }
    if (what == NULL) {
        return "";
    }
    snprintf(n->leftover, sizeof(n->leftover), "rank %d has %s left", rank, what);
    return n->leftover;
}
