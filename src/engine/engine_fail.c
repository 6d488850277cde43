/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failures and how they spread: every link is told, one that comes up later too, everybody forwards
 * once.
 *
 * ABORT's body: code (i32), rank (i32), then the text. Operation 0 means a group, the one of the
 * tag (lane 1; the rank is a position there, as for operations) or all of the engine (lane 0). A
 * failure of an operation that was not called here yet is kept for the late call.
 *
 * A group breaks from a call on, which stands in the descriptor: whoever left it may have done its
 * part in calls before, and others may still be in those when they hear of it. Another may find an
 * earlier call that cannot be completed; then it breaks from there on.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
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

/* scope: which groups end where number is 0. */
enum { ALL_GROUPS, ONE_GROUP };

static void send_abort(weft_engine *e, int64_t now, int rank, const weft_frame *what, int code,
                       int about, const char *text)
{
    uint8_t body[HEAD + WEFT_MESSAGE_BYTES];
    const size_t len = strlen(text);
    weft_frame f = *what;
    f.kind = WEFT_FRAME_ABORT;
    put32(body, (uint32_t)code);
    put32(body + 4, (uint32_t)about);
    for (size_t i = 0; i < len; i++) { /* no NUL at its end: the body has a length */
        body[HEAD + i] = (uint8_t)text[i];
    }
    weft_send_control(e, now, rank, &f, body, HEAD + len);
}

/* To every member that a link leads to. number 0: the group itself, from this call on. */
static void flood(weft_context *c, int64_t now, uint32_t number, uint64_t from,
                  const weft_problem *why, int except_rank)
{
    const weft_frame f = {
        .group = c->tag, .operation = number, .descriptor = from, .lane = ONE_GROUP};
    for (int i = 0; i < c->size; i++) {
        const weft_member *m = &c->members[i];
        if (m->rank != except_rank && !m->left && weft_context_peer(c, i)->state == WEFT_PEER_UP) {
            send_abort(c->engine, now, m->rank, &f, why->code, why->rank, why->text);
        }
    }
}

static void flood_all(weft_engine *e, int64_t now, const weft_problem *why, int except_rank)
{
    const weft_frame f = {.group = e->group, .lane = ALL_GROUPS};
    for (int r = 0; r < e->size; r++) {
        if (r != except_rank && e->peers[r].state == WEFT_PEER_UP) {
            send_abort(e, now, r, &f, why->code, why->rank, why->text);
        }
    }
}

/* Failures of operations, the oldest first. */
static void tell_operations(const weft_context *c, int64_t now, const weft_member *m)
{
    const weft_failure *all[WEFT_FAILURES];
    int count = 0;
    for (const weft_failure *failure = c->failures; failure != NULL; failure = failure->next) {
        all[count++] = failure;
    }
    while (count-- > 0) {
        const weft_frame f = {.group = c->tag, .operation = all[count]->number, .lane = ONE_GROUP};
        send_abort(c->engine, now, m->rank, &f, all[count]->code, all[count]->rank,
                   all[count]->text);
    }
}

void weft_fail_tell(weft_context *c, int64_t now, const weft_member *m)
{
    const weft_problem *broken = &c->broken;
    const weft_frame f = {.group = c->tag, .descriptor = c->broken_from, .lane = ONE_GROUP};
    tell_operations(c, now, m);
    if (broken->code != WEFT_OK) {
        send_abort(c->engine, now, m->rank, &f, broken->code, broken->rank, broken->text);
    }
}

void weft_fail_tell_all(weft_engine *e, int64_t now, int rank)
{
    const weft_frame f = {.group = e->group, .lane = ALL_GROUPS};
    if (e->broken.code != WEFT_OK) {
        send_abort(e, now, rank, &f, e->broken.code, e->broken.rank, e->broken.text);
        return;
    }
    for (weft_context *c = e->contexts; c != NULL; c = c->after) {
        const weft_member *m = weft_context_member(c, rank);
        if (m != NULL) {
            weft_fail_tell(c, now, m);
        }
    }
}

const weft_failure *weft_fail_recall(const weft_context *c, uint32_t number)
{
    const weft_failure *failure = c->failures;
    const uint64_t call = failure != NULL ? weft_context_call(c, number) : 0;
    while (failure != NULL && failure->call != call) {
        failure = failure->next;
    }
    return failure;
}

void weft_fail_remind(weft_context *c, int64_t now, weft_member *m, uint32_t number)
{
    const weft_failure *failure = weft_fail_recall(c, number);
    if (failure != NULL && m->reminded != number) {
        const weft_frame f = {.group = c->tag, .operation = number, .lane = ONE_GROUP};
        m->reminded = number;
        send_abort(c->engine, now, m->rank, &f, failure->code, failure->rank, failure->text);
    }
}

void weft_fail_forgotten(weft_context *c, int64_t now, weft_member *m, uint32_t number)
{
    if (m->reminded != number) {
        const weft_frame f = {.group = c->tag, .operation = number, .lane = ONE_GROUP};
        const int named = weft_context_named(c, c->position);
        char text[128], me[64];
        snprintf(text, sizeof(text), "transfer %u of tag %u was given up on %s", number, c->label,
                 weft_context_rank(c, c->position, me, sizeof(me)));
        m->reminded = number;
        send_abort(c->engine, now, m->rank, &f, WEFT_ETIMEDOUT, named, text);
    }
}

/* The oldest goes when there are too many. */
static void limit_failures(weft_context *c)
{
    weft_failure **at = &c->failures;
    if (c->failure_count <= WEFT_FAILURES) {
        return;
    }
    while ((*at)->next != NULL) {
        at = &(*at)->next;
    }
    weft_free(*at);
    *at = NULL;
    c->failure_count--;
}

/* false: out of memory, which ends everything. Told twice it would be forwarded twice. */
static bool remember(weft_context *c, uint32_t number, const weft_problem *why)
{
    const size_t bytes = strlen(why->text) + 1;
    weft_failure *failure = weft_alloc(sizeof(*failure) + bytes);
    if (failure == NULL) {
        weft_engine_no_memory(c->engine, "a failure");
        return false;
    }
    *failure = (weft_failure){.next = c->failures,
                              .number = number,
                              .call = weft_context_call(c, number),
                              .code = why->code,
                              .rank = why->rank};
    memcpy(failure->text, why->text, bytes);
    c->failures = failure;
    c->failure_count++;
    limit_failures(c);
    return true;
}

void weft_fail_forget(weft_context *c)
{
    while (c->failures != NULL) {
        weft_failure *failure = c->failures;
        c->failures = failure->next;
        weft_free(failure);
    }
    c->failure_count = 0;
}

/* A neighbour that no link leads to yet must hear of it too, whoever is to dial. */
static void carry_news(weft_context *c, int64_t now, const weft_plan *plan)
{
    for (size_t i = 0; i < plan->peer_count; i++) {
        weft_peer *p = weft_context_peer(c, plan->peers[i].rank);
        if (p->state != WEFT_PEER_UP && p->state != WEFT_PEER_LEFT) {
            p->news = true;
            weft_peer_want(c->engine, now, p->rank, true);
        }
    }
}

/* Nobody is dialled because a group is broken: only what is under way, or comes from the peer,
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
    weft_context *c = op->context;
    const uint32_t number = op->number;
    const weft_problem copy = *why;
    const bool remembered = remember(c, number, &copy);
    carry_news(c, now, &op->request->plan->plan);
    weft_op_end(e, op, &copy);
    weft_early_discard(c, number);
    if (remembered) {
        flood(c, now, number, 0, &copy, except_rank);
    }
}

void weft_fail_number(weft_context *c, int64_t now, uint32_t number, const weft_problem *why,
                      const weft_plan *plan)
{
    const bool remembered = remember(c, number, why);
    carry_news(c, now, plan);
    weft_early_discard(c, number);
    if (remembered) {
        flood(c, now, number, 0, why, -1);
    }
}

void weft_fail_group(weft_context *c, int64_t now, uint64_t from, const weft_problem *why,
                     int except_rank)
{
    weft_engine *e = c->engine;
    if (weft_fail_bars(c, from) || e->broken.code != WEFT_OK || e->stopping) {
        return;
    }
    c->broken = *why;
    c->broken_from = from;
    weft_log_write(&e->log, WEFT_LOG_ERROR, "a group is broken: %s", why->text);
    for (uint32_t i = 0; i < c->flight; i++) {
        if (c->ops[i] != NULL && c->ops[i]->request->call >= from) {
            weft_op_end(e, c->ops[i], why);
        }
    }
    weft_early_discard_from(c, from);
    for (int i = 0; i < c->size; i++) {
        weft_peer *p = weft_context_peer(c, i);
        p->news = p->news || (i != c->position && i != why->rank && may_still_come(e, p));
    }
    flood(c, now, 0, from, why, except_rank);
}

void weft_fail_engine(weft_engine *e, int64_t now, const weft_problem *why, int except_rank)
{
    if (e->broken.code != WEFT_OK || e->stopping) {
        return;
    }
    e->broken = *why;
    weft_log_write(&e->log, WEFT_LOG_ERROR, "the group is broken: %s", why->text);
    while (e->working != NULL) {
        weft_problem here = {0};
        weft_context_problem(e->working->context, why, &here);
        weft_op_end(e, e->working, &here);
    }
    for (int r = 0; r < e->size; r++) {
        e->peers[r].news = r != e->rank && r != why->rank && may_still_come(e, &e->peers[r]);
    }
    for (weft_context *c = e->contexts; c != NULL; c = c->after) {
        weft_early_discard_all(c);
    }
    weft_early_discard_strange(e);
    flood_all(e, now, why, except_rank);
}

/* What a peer says of a failure. false: it is malformed. */
static bool read_abort(const weft_message *m, int size, weft_problem *why)
{
    const uint8_t *body = m->data + WEFT_FRAME_HEADER;
    const size_t len = m->len - WEFT_FRAME_HEADER;
    if (len < HEAD || len >= HEAD + WEFT_MESSAGE_BYTES) {
        return false;
    }
    why->code = (int)(int32_t)get32(body);
    why->rank = (int)(int32_t)get32(body + 4);
    if (why->code >= 0) {
        why->code = WEFT_EPROTO;
    }
    if (why->rank < -1 || why->rank >= size) {
        why->rank = -1;
    }
    for (size_t i = 0; i < len - HEAD; i++) {
        const uint8_t c = body[HEAD + i];
        why->text[i] = (char)(c < ' ' || c > '~' ? '?' : c);
    }
    return true;
}

/* An operation of an open context failed elsewhere. */
static void operation_failed(weft_context *c, int64_t now, uint32_t number, const weft_peer *p,
                             const weft_problem *why)
{
    weft_operation *op = weft_op_at(c, number);
    if (op != NULL) {
        weft_fail_operation(c->engine, now, op, why, p->rank);
        return;
    }
    const int32_t ahead = (int32_t)(number - c->called);
    if (ahead < -WEFT_FAILURES || ahead > WEFT_FAILURES || weft_fail_recall(c, number) != NULL) {
        return; /* too old to matter, too far to be true, or told already */
    }
    weft_early_discard(c, number);
    if (remember(c, number, why)) {
        flood(c, now, number, 0, why, p->rank);
    }
}

void weft_fail_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f,
                     const weft_message *m)
{
    const bool all = f->operation == 0 && f->lane == ALL_GROUPS;
    weft_context *c = weft_context_find(e, f->group);
    weft_problem why = {0};
    weft_context *group = c != NULL && c->base != NULL ? c->base : c;
    if (!read_abort(m, all || group == NULL ? e->size : group->size, &why)) {
        char who[192];
        weft_problem_set(&why, WEFT_EPROTO, p->rank, "%s sent a malformed ABORT",
                         weft_peer_words(e, p->rank, who, sizeof(who)));
        weft_fail_engine(e, now, &why, -1);
    } else if (all) {
        weft_fail_engine(e, now, &why, p->rank);
    } else if (c == NULL || e->broken.code != WEFT_OK || weft_context_member(c, p->rank) == NULL) {
        return; /* of no group here: not yet, no more */
    } else if (f->operation == 0) {
        if (c->base == NULL) { /* transfers break with nothing but all groups */
            weft_fail_group(c, now, f->descriptor, &why, p->rank);
        }
    } else if (!weft_fail_bars(c, weft_context_call(c, f->operation))) {
        operation_failed(c, now, f->operation, p, &why);
    }
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

/* The call of an end of a transfer, without the word that both ends say. */
static const char *end_words(int position, const char *words, const char **ret_verb)
{
    static const char both[] = "transfer ";
    *ret_verb = position == 0 ? "send " : "recv ";
    return strncmp(words, both, sizeof(both) - 1) == 0 ? words + sizeof(both) - 1 : words;
}

/* The two calls behind a number that are not alike. */
static weft_problem other_call(const weft_context *c, uint32_t number, const char *mine,
                               const weft_member *m, const char *theirs)
{
    const int position = weft_context_position(c, m);
    const bool first = c->position < position;
    const char *words[2] = {first ? mine : theirs, first ? theirs : mine};
    const char *verb[2] = {"", ""};
    char who[2][64], what[64];
    weft_problem why = {0};
    snprintf(what, sizeof(what), "operation %u", number);
    if (c->base != NULL) {
        snprintf(what, sizeof(what), "transfer %u of tag %u", number, c->label);
        for (int i = 0; i < 2; i++) {
            words[i] = end_words(i, words[i], &verb[i]);
        }
    }
    weft_context_rank(c, first ? c->position : position, who[0], sizeof(who[0]));
    weft_context_rank(c, first ? position : c->position, who[1], sizeof(who[1]));
    weft_problem_set(&why, WEFT_EMISMATCH, weft_context_named(c, position),
                     "%s: %s calls %s%s; %s calls %s%s%s", what, who[0], verb[0], words[0], who[1],
                     verb[1], words[1],
                     c->mismatches >= 2 ? " (the third mismatch in a row: one of them has made a "
                                          "call more or less than the other)"
                                        : "");
    return why;
}

void weft_fail_mismatch(weft_engine *e, int64_t now, weft_operation *op, const weft_member *m,
                        const char *theirs)
{
    const weft_problem why = other_call(op->context, op->number, op->request->words, m, theirs);
    weft_fail_operation(e, now, op, &why, -1);
}

void weft_fail_ended(const weft_operation *op)
{
    const weft_context *c = op->context;
    const uint64_t call = weft_context_call(c, op->number);
    weft_ended *ended = &c->ended[call % c->flight];
    ended->call = call;
    ended->descriptor = op->request->descriptor;
    ended->before = op->request->before != NULL ? op->request->before->descriptor : 0;
    memcpy(ended->words, op->request->words, strlen(op->request->words) + 1);
}

void weft_fail_late(weft_context *c, int64_t now, const weft_member *m, const weft_frame *f,
                    const char *theirs)
{
    const uint64_t call = weft_context_call(c, f->operation);
    const weft_ended *ended = &c->ended[call % c->flight];
    if (ended->call == call && ended->descriptor != f->descriptor &&
        ended->before != f->descriptor && weft_fail_recall(c, f->operation) == NULL) {
        const weft_problem why = other_call(c, f->operation, ended->words, m, theirs);
        if (remember(c, f->operation, &why)) {
            flood(c, now, f->operation, 0, &why, -1);
        }
    }
}
