/* SPDX-License-Identifier: Apache-2.0 */
/* Open, close, events to their handlers. */
#include "engine/engine.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine_state.h"

void weft_engine_sicken(weft_engine *e, const weft_problem *why)
{
    if (e->sick.code == WEFT_OK) {
        e->sick = *why;
    }
}

void weft_engine_no_memory(weft_engine *e, const char *what)
{
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_ENOMEM, e->rank, "rank %d: out of memory for %s", e->rank, what);
    weft_engine_sicken(e, &why);
}

/* What was met in the middle of something and had to wait for its end. */
static void settle(weft_engine *e, int64_t now)
{
    if (e->sick.code != WEFT_OK) {
        const weft_problem why = e->sick;
        e->sick = (weft_problem){0};
        weft_fail_engine(e, now, &why, why.code == WEFT_EPEER ? why.rank : -1);
    }
    weft_op_turns(e, now); /* where all is broken, what waited for its turn ends too */
    if (e->owing) {
        weft_credit_settle(e, now);
    }
    if (e->idle_count > WEFT_IDLE_TRANSFERS) {
        weft_transfer_put_away(e);
    }
}

static int allocate(weft_engine *e, const weft_engine_opts *o)
{
    const size_t size = (size_t)o->size;
    e->conn_cells = 16;
    while (e->conn_cells < 2 * size) {
        e->conn_cells *= 2;
    }
    e->peers = weft_calloc(size, sizeof(*e->peers));
    e->conns = weft_calloc(e->conn_cells, sizeof(*e->conns));
    e->sum = weft_calloc(size, sizeof(*e->sum));
    e->root = weft_context_new(o->size, o->size);
    if (e->peers == NULL || e->conns == NULL || e->sum == NULL || e->root == NULL ||
        weft_tag_open(e) != WEFT_OK) {
        weft_context_discard(e->root);
        e->root = NULL;
        return weft_fail(WEFT_ENOMEM, "out of memory for the engine");
    }
    weft_context_set(e->root, o->group, NULL, o->size, o->rank);
    (void)weft_context_enter(e, 0, e->root); /* the first */
    memcpy(e->sum, o->sum, size * sizeof(*e->sum));
    for (int r = 0; r < o->size; r++) {
        e->peers[r].rank = r;
        e->peers[r].dial_at = WEFT_NEVER;
        e->peers[r].trying_since = WEFT_NEVER;
    }
    return WEFT_OK;
}

int weft_engine_open(weft_engine **ret, const weft_engine_opts *o)
{
    weft_engine *e = weft_calloc(1, sizeof(*e));
    if (e == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for the engine");
    }
    e->rank = o->rank;
    e->size = o->size;
    e->group = o->group;
    e->seed = o->seed;
    e->dead_ns = o->dead_ns;
    e->where = o->where;
    e->log = o->log;
    e->pool = o->pool;
    e->outlet = o->outlet;
    e->next_conn = 0x10000; /* the meeting dials below */
    e->turns_tail = &e->turns;
    e->op_due = WEFT_NEVER;
    e->ready_tail = &e->ready;
    const int rc = allocate(e, o);
    if (rc != WEFT_OK) {
        weft_engine_close(&e);
        return rc;
    }
    *ret = e;
    return WEFT_OK;
}

void weft_engine_close(weft_engine **engine)
{
    weft_engine *e = *engine;
    if (e == NULL) {
        return;
    }
    for (int r = 0; e->peers != NULL && r < e->size; r++) {
        for (weft_out *o; (o = weft_queue_pop(&e->peers[r].waiting)) != NULL;) {
            weft_out_free(e, o);
        }
        for (int i = 0; i < WEFT_DESCRIPTORS; i++) {
            weft_words_unref(e->peers[r].heard_words[i]);
        }
    }
    while (e->contexts != NULL) {
        weft_context *c = e->contexts;
        weft_context_leave(e, 0, c->base != NULL ? c->base : c);
    }
    weft_context_free(e->root);
    weft_early_discard_strange(e);
    weft_tag_close(e);
    while (e->spare != NULL) {
        weft_out *o = e->spare;
        e->spare = o->next;
        weft_free(o);
    }
    weft_free(e->peers);
    weft_free(e->conns);
    weft_free(e->sum);
    weft_free(e);
    *engine = NULL;
}

static weft_context *context_of(const weft_engine *e, const weft_request *r)
{
    return r->context != NULL ? r->context : e->root;
}

void weft_engine_call(weft_engine *e, int64_t now, weft_request *r)
{
    if (e->stopping) {
        weft_problem_set(&r->problem, WEFT_ECANCELED, -1, "the group is being closed");
        weft_op_complete(e, r);
        return;
    }
    switch (r->what) {
    case WEFT_REQUEST_RUN:
        weft_op_call(e, now, r);
        break;
    case WEFT_REQUEST_ENTER:
        if (!weft_context_enter(e, now, r->context)) {
            weft_problem_set(&r->problem, WEFT_EINTERNAL, -1, "two groups have one tag");
        }
        weft_op_complete(e, r);
        break;
    case WEFT_REQUEST_LEAVE:
        weft_context_leave(e, now, context_of(e, r));
        weft_op_complete(e, r);
        break;
    }
    settle(e, now);
}

/* Canceled before its turn: it ends now, and a stand-in uses up its number. */
static void cancel_queued(weft_engine *e, weft_request *r, const weft_problem *why)
{
    weft_context *c = context_of(e, r);
    weft_request **at = &c->queue;
    while (*at != NULL && *at != r) {
        at = &(*at)->next;
    }
    weft_request *stand_in = *at != NULL ? weft_request_new() : NULL;
    r->problem = *why;
    if (stand_in == NULL) {
        return; /* out of memory: it ends when its turn comes */
    }
    stand_in->abandoned = true;
    stand_in->plan = weft_shared_plan_ref(r->plan);
    stand_in->descriptor = r->descriptor;
    stand_in->before = r->before; /* which runs on, with what it works on */
    if (r->before != NULL) {
        r->before->after = stand_in;
    }
    c->second = c->second == r ? stand_in : c->second;
    stand_in->scales = r->scales;
    stand_in->bounds = r->bounds;
    r->before = NULL;
    r->scales = NULL;
    r->bounds = NULL;
    stand_in->problem = *why;
    stand_in->next = r->next;
    *at = stand_in;
    if (c->queue_tail == &r->next) {
        c->queue_tail = &stand_in->next;
    }
    weft_op_complete(e, r);
}

void weft_engine_cancel(weft_engine *e, int64_t now, weft_request *r)
{
    weft_problem why = {0};
    const weft_context *c = context_of(e, r);
    char me[64], what[96];
    weft_problem_set(&why, WEFT_ECANCELED, weft_context_named(c, c->position),
                     "%s was canceled on %s", weft_op_words(c, r, 0, what, sizeof(what)),
                     weft_context_rank(c, c->position, me, sizeof(me)));
    if (r->operation != NULL) {
        weft_fail_operation(e, now, r->operation, &why, -1);
    } else {
        cancel_queued(e, r, &why);
    }
    settle(e, now);
}

void weft_engine_up(weft_engine *e, int64_t now, uint32_t conn)
{
    weft_peer *p = weft_conn_peer(e, conn);
    if (p != NULL) {
        weft_peer_up(e, now, p);
    }
    settle(e, now);
}

void weft_engine_down(weft_engine *e, int64_t now, uint32_t conn, const char *why)
{
    weft_peer *p = weft_conn_peer(e, conn);
    if (p != NULL) {
        weft_peer_down(e, now, p, why);
    }
    settle(e, now);
}

static void refuse_version(weft_engine *e, uint32_t conn)
{
    const char *text = weft_last_error()->message;
    weft_frame f = {.kind = WEFT_FRAME_REFUSE, .sequence = 1};
    weft_send_raw(e, conn, &f, text, strlen(text));
    weft_log_write(&e->log, WEFT_LOG_WARN, "refused a connection: %s", text);
    e->outlet.drop(e->outlet.user, conn);
}

/* A frame that cannot be read. */
static void unreadable(weft_engine *e, int64_t now, uint32_t conn, int code)
{
    weft_peer *p = weft_conn_peer(e, conn);
    atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
    if (p == NULL) {
        if (code == WEFT_EVERSION) {
            refuse_version(e, conn);
        } else {
            e->outlet.drop(e->outlet.user, conn);
        }
        return;
    }
    char who[192];
    weft_problem why = {0};
    weft_problem_set(&why, code, p->rank, "%s sent a bad frame: %s",
                     weft_peer_words(e, p->rank, who, sizeof(who)), weft_last_error()->message);
    weft_peer_forget(e, p);
    weft_fail_engine(e, now, &why, p->rank);
}

/* GREET and BYE of one group. */
static void of_group(weft_engine *e, int64_t now, const weft_peer *p, const weft_frame *f)
{
    const weft_tag_cell *cell = weft_tag_find(e, f->group);
    weft_context *c = cell != NULL ? cell->context : NULL;
    weft_member *m = c != NULL ? weft_context_member(c, p->rank) : NULL;
    if (f->kind == WEFT_FRAME_GREET && cell != NULL && cell->gone) {
        weft_meet_farewell(e, now, p, f->group);
    } else if (m != NULL && f->kind == WEFT_FRAME_GREET) {
        weft_meet_frame(c, now, m, f);
    } else if (m != NULL && !m->left) {
        weft_meet_left(c, now, m);
    }
}

static void dispatch(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     weft_message *m)
{
    switch (f->kind) {
    case WEFT_FRAME_START:
    case WEFT_FRAME_DATA:
    case WEFT_FRAME_GRANT:
        weft_flow_frame(e, now, p, f, m);
        return;
    case WEFT_FRAME_ABORT:
        weft_fail_frame(e, now, p, f, m);
        break;
    case WEFT_FRAME_BEAT:
        weft_credit_frame(e, now, p, f);
        weft_flow_heard(e, now, e->root, weft_context_member(e->root, p->rank), f->operation);
        break;
    case WEFT_FRAME_GREET:
        of_group(e, now, p, f);
        break;
    case WEFT_FRAME_BYE:
        if (f->lane == 0) {
            weft_peer_bye(e, now, p);
        } else {
            of_group(e, now, p, f);
        }
        break;
    default:
        break;
    }
    weft_message_unref(m);
}

/* On a connection that is a peer's: is the frame its next one? */
static bool in_order(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f)
{
    const bool tagged = f->group == e->group || f->kind != WEFT_FRAME_BEAT;
    if (p->state == WEFT_PEER_UP && tagged && f->source == p->rank && f->destination == e->rank &&
        f->sequence == p->heard_sequence + 1) {
        p->heard_sequence++;
        p->silence = 0;
        return true;
    }
    if (p->state == WEFT_PEER_LEFT) {
        return false;
    }
    char who[192];
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EPROTO, p->rank,
                     "%s broke the protocol: %s frame %u where %u was due",
                     weft_peer_words(e, p->rank, who, sizeof(who)), weft_frame_kind_name(f->kind),
                     f->sequence, p->heard_sequence + 1);
    weft_peer_forget(e, p);
    weft_fail_engine(e, now, &why, p->rank);
    return false;
}

void weft_engine_frame(weft_engine *e, int64_t now, uint32_t conn, weft_message *m)
{
    weft_frame f;
    const int rc = weft_frame_get(m->data, m->len, &f);
    atomic_fetch_add_explicit(&e->counters.wire_received, m->len, memory_order_relaxed);
    weft_peer *p = weft_conn_peer(e, conn);
    if (rc != WEFT_OK) {
        unreadable(e, now, conn, rc);
        weft_message_unref(m);
    } else if (f.kind == WEFT_FRAME_ROSTER && p == NULL) {
        e->outlet.roster(e->outlet.user, conn, m);
    } else if (f.kind == WEFT_FRAME_HELLO) {
        weft_peer_hello(e, now, conn, &f);
        weft_message_unref(m);
    } else if (p == NULL) { /* not greeted, or forgotten: nothing it says counts */
        atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
        e->outlet.drop(e->outlet.user, conn);
        weft_message_unref(m);
    } else if (f.kind == WEFT_FRAME_REFUSE && p->state == WEFT_PEER_GREETED) {
        weft_peer_refused(e, p, m);
        weft_message_unref(m);
    } else if (in_order(e, now, p, &f)) {
        dispatch(e, now, p, &f, m);
    } else {
        weft_message_unref(m);
    }
    settle(e, now);
}

void weft_engine_timer(weft_engine *e, int64_t now)
{
    const int64_t elapsed = now - e->ticked;
    const int64_t most = e->dead_ns / 8; /* a stall of our own is nobody's silence */
    e->ticked = now;
    weft_peer_tick(e, now, elapsed < most ? elapsed : most);
    settle(e, now);
    weft_op_tick(e, now);
    settle(e, now);
}

void weft_engine_broken(weft_engine *e, int64_t now, const weft_problem *why)
{
    weft_fail_engine(e, now, why, -1);
    settle(e, now);
}

bool weft_engine_work(weft_engine *e, int64_t now)
{
    weft_lane *lane = e->ready;
    weft_problem why = {0};
    if (lane == NULL) {
        return false;
    }
    e->ready = lane->next;
    if (e->ready == NULL) {
        e->ready_tail = &e->ready;
    }
    const weft_ran ran = weft_lane_run(e, now, lane, &why);
    lane->queued = false;
    switch (ran) {
    case WEFT_RAN_STEP:
        /* Go on with the same lane: its data are in the cache. */
        lane->queued = true;
        lane->next = e->ready;
        e->ready = lane;
        if (lane->next == NULL) {
            e->ready_tail = &lane->next;
        }
        break;
    case WEFT_RAN_BLOCKED:
        break;
    case WEFT_RAN_DONE:
        weft_lane_done(e, now, lane);
        break;
    case WEFT_RAN_FAILED:
        weft_fail_operation(e, now, lane->operation, &why, -1);
        break;
    }
    settle(e, now);
    return true;
}

int64_t weft_engine_due(const weft_engine *e)
{
    const int64_t peers = weft_peer_due(e);
    const int64_t ops = weft_op_due(e);
    return peers < ops ? peers : ops;
}

int weft_engine_active(const weft_engine *e)
{
    return e->active;
}

void weft_engine_stop(weft_engine *e, int64_t now)
{
    e->stopping = true;
    for (weft_context *c = e->contexts; c != NULL; c = c->after) {
        weft_context_end_calls(c);
    }
    for (int r = 0; r < e->size; r++) {
        if (e->peers[r].state == WEFT_PEER_UP) {
            weft_frame f = {
                .kind = WEFT_FRAME_BYE, .group = e->group, .operation = e->root->called};
            weft_send_control(e, now, r, &f, NULL, 0);
        }
    }
}

weft_counters *weft_engine_counters(weft_engine *e)
{
    return &e->counters;
}
