/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures and how they spread: every link is told, one that comes up later too, everybody forwards
 * once.
 *
 * ABORT's body: code (i32), rank (i32), then the text. Operation 0 means the group. A failure of an
 * operation that was not called here yet is kept for the late call.
 */
#include <stdio.h>
#include <string.h>

#include "engine/engine_state.h"

enum { HEAD = 8 };

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void send_abort(weft_engine *e, int64_t now, int rank, uint32_t number,
                       const weft_problem *why)
{
    uint8_t body[HEAD + WEFT_MESSAGE_BYTES];
    const size_t len = strlen(why->text);
    weft_frame f = {.kind = WEFT_FRAME_ABORT, .operation = number};
    put32(body, (uint32_t)why->code);
    put32(body + 4, (uint32_t)why->rank);
    memcpy(body + HEAD, why->text, len);
    weft_send_control(e, now, rank, &f, body, HEAD + len);
}

static void flood(weft_engine *e, int64_t now, uint32_t number, const weft_problem *why,
                  int except_rank)
{
    for (int r = 0; r < e->size; r++) {
        if (r != except_rank && e->peers[r].state == WEFT_PEER_UP) {
            send_abort(e, now, r, number, why);
        }
    }
}

void weft_fail_tell(weft_engine *e, int64_t now, int rank)
{
    if (e->broken.code != WEFT_OK) {
        send_abort(e, now, rank, 0, &e->broken);
        return;
    }
    for (int i = 0; i < WEFT_FAILURES; i++) {
        const weft_failure *failure = &e->failures[(e->failure_next + (uint32_t)i) % WEFT_FAILURES];
        if (failure->problem.code != WEFT_OK) {
            send_abort(e, now, rank, failure->number, &failure->problem);
        }
    }
}

/* Numbers are near the newest call; they wrap and skip 0. */
static uint64_t call_of(const weft_engine *e, uint32_t number)
{
    int64_t away = (int32_t)(number - e->called);
    if (away > 0 && number < e->called) {
        away--;
    } else if (away < 0 && number > e->called) {
        away++;
    }
    return e->calls + (uint64_t)away;
}

const weft_failure *weft_fail_recall(const weft_engine *e, uint32_t number)
{
    for (int i = 0; i < WEFT_FAILURES; i++) {
        if (e->failures[i].call == call_of(e, number) && e->failures[i].problem.code != WEFT_OK) {
            return &e->failures[i];
        }
    }
    return NULL;
}

void weft_fail_remind(weft_engine *e, int64_t now, weft_peer *p, uint32_t number)
{
    const weft_failure *failure = weft_fail_recall(e, number);
    if (failure != NULL && p->reminded != number) {
        p->reminded = number;
        send_abort(e, now, p->rank, number, &failure->problem);
    }
}

static void remember(weft_engine *e, uint32_t number, const weft_problem *why)
{
    e->failures[e->failure_next] =
        (weft_failure){.number = number, .call = call_of(e, number), .problem = *why};
    e->failure_next = (e->failure_next + 1) % WEFT_FAILURES;
}

/* A neighbour that no link leads to yet must hear of it too, whoever is to dial. */
static void carry_news(weft_engine *e, int64_t now, const weft_plan *plan)
{
    for (size_t i = 0; i < plan->peer_count; i++) {
        weft_peer *p = &e->peers[plan->peers[i].rank];
        if (p->state != WEFT_PEER_UP && p->state != WEFT_PEER_LEFT) {
            p->news = true;
            weft_peer_want(e, now, p->rank, true);
        }
    }
}

/* Nobody dials any more once the group is broken: only what is under way, or comes from the peer,
 * makes a link. */
static bool may_still_come(const weft_engine *e, const weft_peer *p)
{
    return p->state == WEFT_PEER_DIALING || p->state == WEFT_PEER_GREETED ||
           (p->state == WEFT_PEER_IDLE && p->wanted && e->rank > p->rank);
}

bool weft_engine_has_news(const weft_engine *e)
{
    const bool broken = e->broken.code != WEFT_OK;
    bool any = false;
    for (int r = 0; r < e->size; r++) {
        const weft_peer *p = &e->peers[r];
        any = any || (p->news && (!broken || may_still_come(e, p)));
    }
    return any;
}

void weft_fail_operation(weft_engine *e, int64_t now, weft_operation *op, const weft_problem *why,
                         int except_rank)
{
    const uint32_t number = op->number;
    const weft_problem copy = *why;
    remember(e, number, &copy);
    carry_news(e, now, &op->request->plan->plan);
    weft_op_end(e, now, op, &copy);
    weft_flow_discard(e, number);
    flood(e, now, number, &copy, except_rank);
}

void weft_fail_number(weft_engine *e, int64_t now, uint32_t number, const weft_problem *why,
                      const weft_plan *plan)
{
    remember(e, number, why);
    carry_news(e, now, plan);
    weft_flow_discard(e, number);
    flood(e, now, number, why, -1);
}

void weft_fail_group(weft_engine *e, int64_t now, const weft_problem *why, int except_rank)
{
    if (e->broken.code != WEFT_OK || e->stopping) {
        return;
    }
    e->broken = *why;
    weft_log_write(&e->log, WEFT_LOG_ERROR, "the group is broken: %s", why->text);
    for (int i = 0; i < WEFT_IN_FLIGHT; i++) {
        if (e->ops[i] != NULL) {
            weft_op_end(e, now, e->ops[i], why);
        }
    }
    for (int r = 0; r < e->size; r++) {
        e->peers[r].news = r != e->rank && r != why->rank && may_still_come(e, &e->peers[r]);
    }
    weft_flow_discard_all(e);
    flood(e, now, 0, why, except_rank);
}

void weft_fail_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     const weft_message *m)
{
    const uint8_t *body = m->data + WEFT_FRAME_HEADER;
    const size_t len = m->len - WEFT_FRAME_HEADER;
    if (len < HEAD || len >= HEAD + WEFT_MESSAGE_BYTES) {
        char who[192];
        weft_problem bad = {0};
        weft_problem_set(&bad, WEFT_EPROTO, p->rank, "%s sent a malformed ABORT",
                         weft_peer_words(e, p->rank, who, sizeof(who)));
        weft_fail_group(e, now, &bad, -1);
        return;
    }
    weft_problem why = {.code = (int)(int32_t)get32(body), .rank = (int)(int32_t)get32(body + 4)};
    if (why.code >= 0) {
        why.code = WEFT_EPROTO;
    }
    if (why.rank < -1 || why.rank >= e->size) {
        why.rank = -1;
    }
    for (size_t i = 0; i < len - HEAD; i++) {
        const uint8_t c = body[HEAD + i];
        why.text[i] = (char)(c < ' ' || c > '~' ? '?' : c);
    }
    if (f->operation == 0) {
        weft_fail_group(e, now, &why, p->rank);
        return;
    }
    weft_operation *op = weft_op_at(e, f->operation);
    if (op != NULL) {
        weft_fail_operation(e, now, op, &why, p->rank);
        return;
    }
    const int32_t ahead = (int32_t)(f->operation - e->called);
    if (ahead < -WEFT_FAILURES || ahead > WEFT_FAILURES ||
        weft_fail_recall(e, f->operation) != NULL) {
        return; /* too old to matter, too far to be true, or told already */
    }
    remember(e, f->operation, &why);
    weft_flow_discard(e, f->operation);
    flood(e, now, f->operation, &why, p->rank);
}

void weft_fail_violation(weft_engine *e, const weft_peer *p, const weft_frame *f, const char *how)
{
    char who[192];
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EPROTO, p->rank,
                     "%s broke the protocol: %s (%s, operation %u, lane %u, message %u, fragment "
                     "%u)",
                     weft_peer_words(e, p->rank, who, sizeof(who)), how,
                     weft_frame_kind_name(f->kind), f->operation, f->lane, f->message, f->fragment);
    weft_engine_sicken(e, &why);
}

static weft_problem other_call(const weft_engine *e, uint32_t number, const char *mine,
                               const weft_peer *p, const char *theirs)
{
    const bool first = e->rank < p->rank;
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_EMISMATCH, p->rank,
                     "operation %u: rank %d calls %s; rank %d calls %s%s", number,
                     first ? e->rank : p->rank, first ? mine : theirs, first ? p->rank : e->rank,
                     first ? theirs : mine,
                     e->mismatches >= 2 ? " (the third mismatch in a row: one of them has made a "
                                          "call more or less than the other)"
                                        : "");
    return why;
}

void weft_fail_mismatch(weft_engine *e, int64_t now, weft_operation *op, const weft_peer *p,
                        const char *theirs)
{
    const weft_problem why = other_call(e, op->number, op->request->words, p, theirs);
    weft_fail_operation(e, now, op, &why, -1);
}

void weft_fail_ended(weft_engine *e, const weft_operation *op)
{
    const uint64_t call = call_of(e, op->number);
    weft_ended *ended = &e->ended[call % WEFT_IN_FLIGHT];
    ended->call = call;
    ended->descriptor = op->request->descriptor;
    memcpy(ended->words, op->request->words, strlen(op->request->words) + 1);
}

void weft_fail_late(weft_engine *e, int64_t now, const weft_peer *p, const weft_frame *f,
                    const char *theirs)
{
    const uint64_t call = call_of(e, f->operation);
    const weft_ended *ended = &e->ended[call % WEFT_IN_FLIGHT];
    if (ended->call == call && ended->descriptor != f->descriptor &&
        weft_fail_recall(e, f->operation) == NULL) {
        const weft_problem why = other_call(e, f->operation, ended->words, p, theirs);
        remember(e, f->operation, &why);
        flood(e, now, f->operation, &why, -1);
    }
}
