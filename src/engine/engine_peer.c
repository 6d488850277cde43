/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer's connection: who dials, HELLO both ways, silence.
 *
 * One connection a pair. The lower rank dials when a plan first needs the link; the other waits for
 * it, and dials too when an operation has stalled. A connection that fails is not made again: the
 * peer is lost. A dial that fails is tried again with back-off, until the peer counts as lost.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine_state.h"

enum { BACKOFF_MIN_MS = 10, BACKOFF_MAX_MS = 200, BEAT_MIN_MS = 2 };

const char *weft_peer_words(const weft_engine *e, int rank, char *out, size_t cap)
{
    snprintf(out, cap, "rank %d (%s)", rank, e->where[rank]);
    return out;
}

static void try_later(int64_t now, weft_peer *p, const char *why)
{
    snprintf(p->why, sizeof(p->why), "%s", why);
    p->dial_at = now + p->backoff;
    p->backoff *= 2;
    if (p->backoff > BACKOFF_MAX_MS * WEFT_MS) {
        p->backoff = BACKOFF_MAX_MS * WEFT_MS;
    }
}

static void dial(weft_engine *e, int64_t now, weft_peer *p)
{
    p->conn = e->next_conn;
    e->next_conn += 2;
    p->state = WEFT_PEER_DIALING;
    p->dial_at = WEFT_NEVER;
    if (p->trying_since == WEFT_NEVER) {
        p->trying_since = now;
        p->backoff = BACKOFF_MIN_MS * WEFT_MS;
    }
    weft_conn_bind(e, p->conn, p->rank);
    const int rc = e->outlet.dial(e->outlet.user, p->conn, p->rank);
    if (rc == WEFT_OK) {
        return;
    }
    weft_peer_forget(e, p);
    try_later(now, p, weft_last_error()->message);
    if (rc == WEFT_EINVAL) { /* of the endpoint, which stays what it is */
        char who[192];
        weft_problem why = {0};
        weft_problem_set(&why, WEFT_EPEER, p->rank, "%s is lost: rank %d cannot connect to it: %s",
                         weft_peer_words(e, p->rank, who, sizeof(who)), e->rank, p->why);
        weft_engine_sicken(e, &why);
    }
}

void weft_peer_want(weft_engine *e, int64_t now, int rank, bool dial_anyway)
{
    weft_peer *p = &e->peers[rank];
    p->wanted = true;
    if (p->state == WEFT_PEER_IDLE && p->dial_at == WEFT_NEVER && (e->rank < rank || dial_anyway)) {
        dial(e, now, p);
    }
}

void weft_peer_forget(weft_engine *e, weft_peer *p)
{
    if (p->conn != 0) {
        if (p->state == WEFT_PEER_UP) {
            atomic_fetch_sub_explicit(&e->counters.connections, 1, memory_order_relaxed);
        }
        weft_conn_unbind(e, p->conn);
        e->outlet.drop(e->outlet.user, p->conn);
    }
    p->conn = 0;
    p->sent_sequence = 0;
    p->heard_sequence = 0;
    p->silence = 0;
    if (p->state != WEFT_PEER_LEFT) {
        p->state = WEFT_PEER_IDLE;
    }
    p->mute = false;
}

static void greet(weft_engine *e, int64_t now, weft_peer *p)
{
    const int64_t patience_ms = e->dead_ns / WEFT_MS;
    weft_frame f = {.kind = WEFT_FRAME_HELLO,
                    .destination = (uint16_t)p->rank,
                    .sequence = ++p->sent_sequence,
                    .operation = e->root->called,
                    .descriptor = e->seed,
                    .lane = patience_ms < UINT32_MAX ? (uint32_t)patience_ms : UINT32_MAX};
    p->sent_at = now;
    weft_context_member(e->root, p->rank)->told_operation = e->root->called;
    weft_send_raw(e, p->conn, &f, NULL, 0);
}

void weft_peer_up(weft_engine *e, int64_t now, weft_peer *p)
{
    if (p->state == WEFT_PEER_DIALING) {
        greet(e, now, p);
        p->state = WEFT_PEER_GREETED;
    }
}

/* Random numbers keyed differently would be no error that anybody sees. */
static bool same_seed(weft_engine *e, int64_t now, const weft_peer *p, const weft_frame *hello)
{
    if (hello->descriptor == e->seed) {
        return true;
    }
    const bool first = e->rank < p->rank;
    const uint64_t mine = e->seed, theirs = hello->descriptor;
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EMISMATCH, p->rank,
                     "peers opened the group with different seeds: rank %d with %llu, rank %d "
                     "with %llu",
                     first ? e->rank : p->rank, (unsigned long long)(first ? mine : theirs),
                     first ? p->rank : e->rank, (unsigned long long)(first ? theirs : mine));
    weft_fail_engine(e, now, &why, -1);
    return false;
}

static void join(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *hello)
{
    const int64_t theirs = (int64_t)hello->lane * WEFT_MS;
    p->beat_ns = (theirs < e->dead_ns ? theirs : e->dead_ns) / 8;
    if (p->beat_ns < BEAT_MIN_MS * WEFT_MS) {
        p->beat_ns = BEAT_MIN_MS * WEFT_MS;
    }
    p->state = WEFT_PEER_UP;
    p->heard_sequence = 1;
    p->silence = 0;
    p->trying_since = WEFT_NEVER;
    p->dial_at = WEFT_NEVER;
    atomic_fetch_add_explicit(&e->counters.connections, 1, memory_order_relaxed);
    p->news = false;
    weft_fail_tell_all(e, now, p->rank);
    if (e->root->cell->gone) {
        weft_meet_farewell(e, now, p, e->group);
    }
    weft_send_flush(e, now, p);
    if (same_seed(e, now, p, hello)) {
        weft_flow_heard(e, now, e->root, weft_context_member(e->root, p->rank), hello->operation);
    }
}

static void lost(weft_engine *e, int64_t now, weft_peer *p, const char *how)
{
    char who[192];
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EPEER, p->rank, "%s is lost: %s",
                     weft_peer_words(e, p->rank, who, sizeof(who)), how);
    weft_fail_engine(e, now, &why, -1); /* it hears of it too, if it is only slow */
    weft_peer_forget(e, p);
}

static bool beyond_hope(const weft_engine *e, int64_t now, const weft_peer *p)
{
    return p->trying_since != WEFT_NEVER && now - p->trying_since >= e->dead_ns;
}

static void give_up(weft_engine *e, int64_t now, weft_peer *p)
{
    char how[256]; /* it may be this process that lacks descriptors or memory: tell whose trouble */
    snprintf(how, sizeof(how), "rank %d cannot connect to it for %lld ms: %s", e->rank,
             (long long)((now - p->trying_since) / WEFT_MS), p->why);
    lost(e, now, p, how);
}

void weft_peer_down(weft_engine *e, int64_t now, weft_peer *p, const char *why)
{
    const weft_peer_state was = p->state;
    if (was == WEFT_PEER_UP) {
        lost(e, now, p, why);
        return;
    }
    weft_peer_forget(e, p);
    if (was != WEFT_PEER_DIALING && was != WEFT_PEER_GREETED) {
        return;
    }
    try_later(now, p, why);
    if (beyond_hope(e, now, p)) {
        give_up(e, now, p);
    }
}

static void refuse(weft_engine *e, uint32_t conn, const char *reason)
{
    weft_frame f = {.kind = WEFT_FRAME_REFUSE, .sequence = 1};
    weft_send_raw(e, conn, &f, reason, strlen(reason));
    weft_log_write(&e->log, WEFT_LOG_WARN, "refused a connection: %s", reason);
    atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
    e->outlet.drop(e->outlet.user, conn);
}

/* A HELLO on a connection that is nobody's yet. */
static void welcome(weft_engine *e, int64_t now, uint32_t conn, const weft_frame *f)
{
    if (f->group != e->group) {
        refuse(e, conn, "this peer is in another group");
        return;
    }
    if (f->source >= e->size || f->source == e->rank || f->destination != e->rank ||
        f->sequence != 1) {
        refuse(e, conn, "HELLO names wrong ranks");
        return;
    }
    weft_peer *p = &e->peers[f->source];
    const bool dialling = p->state == WEFT_PEER_DIALING || p->state == WEFT_PEER_GREETED;
    if (p->state == WEFT_PEER_UP || p->state == WEFT_PEER_LEFT || (dialling && e->rank < p->rank)) {
        /* The connection there is stays; of two dials at once the lower rank's counts. */
        atomic_fetch_add_explicit(&e->counters.dropped, 1, memory_order_relaxed);
        e->outlet.drop(e->outlet.user, conn);
        return;
    }
    if (dialling) {
        weft_peer_forget(e, p);
    }
    p->conn = conn;
    weft_conn_bind(e, conn, p->rank);
    greet(e, now, p);
    join(e, now, p, f);
}

void weft_peer_hello(weft_engine *e, int64_t now, uint32_t conn, const weft_frame *f)
{
    weft_peer *p = weft_conn_peer(e, conn);
    if (p == NULL) {
        welcome(e, now, conn, f);
        return;
    }
    if (p->state != WEFT_PEER_GREETED || f->source != p->rank || f->destination != e->rank ||
        f->group != e->group || f->sequence != 1) {
        lost(e, now, p, "it sent a HELLO out of place");
        return;
    }
    join(e, now, p, f);
}

void weft_peer_refused(weft_engine *e, weft_peer *p, const weft_message *m)
{
    char who[192];
    weft_problem why = {0};
    const size_t len = m->len - WEFT_FRAME_HEADER;
    weft_problem_set(&why, WEFT_EPROTO, p->rank, "%s refused the connection: %.*s",
                     weft_peer_words(e, p->rank, who, sizeof(who)), len < 200 ? (int)len : 200,
                     (const char *)m->data + WEFT_FRAME_HEADER);
    for (char *c = why.text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
    weft_engine_sicken(e, &why);
}

void weft_peer_bye(weft_engine *e, int64_t now, weft_peer *p)
{
    p->state = WEFT_PEER_LEFT;
    atomic_fetch_sub_explicit(&e->counters.connections, 1, memory_order_relaxed);
    for (weft_context *c = e->contexts; c != NULL && !e->stopping; c = c->after) {
        weft_member *m = weft_context_member(c, p->rank);
        if (m != NULL && c->base == NULL) { /* which sees to its transfers */
            weft_meet_left(c, now, m);
        }
    }
}

/* Silence counts only while this engine itself is awake: a process that was stopped does not blame
 * the others when it wakes. */
void weft_peer_tick(weft_engine *e, int64_t now, int64_t elapsed)
{
    for (int r = 0; r < e->size && e->broken.code == WEFT_OK; r++) {
        weft_peer *p = &e->peers[r];
        char how[96];
        switch (p->state) {
        case WEFT_PEER_UP:
            p->silence += elapsed;
            if (p->silence >= e->dead_ns) {
                snprintf(how, sizeof(how), "silent for %lld ms", (long long)(p->silence / WEFT_MS));
                lost(e, now, p, how);
            } else if (now - p->sent_at >= p->beat_ns) {
                weft_send_beat(e, now, p);
            }
            break;
        case WEFT_PEER_DIALING:
        case WEFT_PEER_GREETED:
            p->silence += elapsed;
            if (p->silence >= 2 * e->dead_ns) {
                snprintf(how, sizeof(how), "no answer to the connection for %lld ms",
                         (long long)(p->silence / WEFT_MS));
                lost(e, now, p, how);
            }
            break;
        case WEFT_PEER_IDLE:
            if (now < p->dial_at) {
                break;
            }
            if (beyond_hope(e, now, p)) {
                give_up(e, now, p);
            } else {
                dial(e, now, p);
            }
            break;
        case WEFT_PEER_LEFT:
            break;
        }
    }
}

int64_t weft_engine_beat(const weft_engine *e)
{
    int64_t beat = WEFT_NEVER;
    for (int r = 0; r < e->size; r++) {
        if (e->peers[r].state == WEFT_PEER_UP && e->peers[r].beat_ns < beat) {
            beat = e->peers[r].beat_ns;
        }
    }
    return beat;
}

int64_t weft_peer_due(const weft_engine *e)
{
    int64_t due = WEFT_NEVER;
    if (e->broken.code != WEFT_OK) {
        return due; /* nobody is dialled or watched any more */
    }
    for (int r = 0; r < e->size; r++) {
        const weft_peer *p = &e->peers[r];
        if (p->dial_at < due) {
            due = p->dial_at;
        }
        if (p->conn != 0) {
            const int64_t beat = p->state == WEFT_PEER_UP ? p->beat_ns : e->dead_ns / 8;
            due = e->ticked + beat / 2 < due ? e->ticked + beat / 2 : due;
        }
    }
    return due;
}
