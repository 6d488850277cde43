/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group over the engine: who is in it, in which position.
 *
 * Memory for it is there before the peers agree on it, so that the peer that lacks it can say so in
 * time. A tag that was used stays known: see weft_meet_farewell().
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_state.h"

enum { NOBODY = UINT16_MAX };

weft_context *weft_context_new(int size, int most)
{
    weft_context *c = weft_calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->queue_tail = &c->queue;
    c->early_tail = &c->early;
    c->cell = weft_tag_new(0);
    c->members = weft_calloc((size_t)most, sizeof(*c->members));
    c->positions = weft_alloc((size_t)size * sizeof(*c->positions));
    c->flight = WEFT_IN_FLIGHT;
    c->ops = weft_calloc(c->flight, sizeof(weft_operation *));
    c->ended = weft_calloc(c->flight, sizeof(*c->ended));
    if (c->cell == NULL || c->members == NULL || c->positions == NULL || c->ops == NULL ||
        c->ended == NULL) {
        weft_context_discard(c);
        return NULL;
    }
    memset(c->positions, 0xff, (size_t)size * sizeof(*c->positions));
    return c;
}

void weft_context_set(weft_context *c, uint64_t tag, const int *ranks, int size, int position)
{
    c->tag = tag;
    c->cell->tag = tag;
    c->size = size;
    c->position = position;
    for (int i = 0; i < size; i++) {
        const int rank = ranks != NULL ? ranks[i] : i;
        c->members[i].rank = rank;
        c->positions[rank] = (uint16_t)i;
    }
}

void weft_context_free(weft_context *c)
{
    if (c == NULL) {
        return;
    }
    weft_fail_forget(c);
    if (c->base == NULL) { /* of transfers all is in one piece */
        weft_free(c->members);
        weft_free(c->positions);
        weft_free(c->ops);
        weft_free(c->ended);
    }
    weft_free(c);
}

void weft_context_discard(weft_context *c)
{
    if (c != NULL) {
        weft_free(c->cell);
        weft_context_free(c);
    }
}

bool weft_context_enter(weft_engine *e, int64_t now, weft_context *c)
{
    weft_tag_cell *known = weft_tag_find(e, c->tag);
    if (known != NULL && (known->context != NULL || known->gone)) {
        return false;
    }
    if (known == NULL) {
        known = c->cell;
        weft_tag_add(e, known);
    } else {
        weft_free(c->cell);
        c->cell = known;
    }
    known->context = c;
    known->put_away = false;
    c->engine = e;
    c->after = e->contexts;
    if (c->after != NULL) {
        c->after->before = c;
    }
    e->contexts = c;
    for (int i = 0; i < c->size; i++) {
        c->members[i].left = weft_context_peer(c, i)->state == WEFT_PEER_LEFT;
    }
    weft_early *strange = known->early;
    known->early = NULL;
    known->early_tail = &known->early;
    weft_early_admit(c, now, strange);
    return true;
}

static void take_off_turns(weft_engine *e, weft_context *c)
{
    weft_context **at = &e->turns;
    while (*at != NULL && *at != c) {
        at = &(*at)->next_turn;
    }
    if (*at != NULL) {
        *at = c->next_turn;
        c->turning = false;
        if (*at == NULL) {
            e->turns_tail = at;
        }
    }
}

void weft_context_end_calls(weft_context *c)
{
    weft_engine *e = c->engine;
    char me[64];
    weft_problem why = {0};
    weft_problem_set(&why, WEFT_ECANCELED, weft_context_named(c, c->position),
                     "%s closed the group", weft_context_rank(c, c->position, me, sizeof(me)));
    for (uint32_t i = 0; i < c->flight; i++) {
        if (c->ops[i] != NULL) {
            weft_op_end(e, c->ops[i], &why);
        }
    }
    while (c->queue != NULL) {
        weft_request *r = c->queue;
        c->queue = r->next;
        if (r->abandoned) {
            weft_request_discard(r);
            continue;
        }
        r->problem = why;
        weft_op_complete(e, r);
    }
    c->queue_tail = &c->queue;
    c->second = NULL;
}

void weft_context_remove(weft_context *c)
{
    weft_engine *e = c->engine;
    take_off_turns(e, c);
    *(c->before != NULL ? &c->before->after : &e->contexts) = c->after;
    if (c->after != NULL) {
        c->after->before = c->before;
    }
    c->cell->context = NULL;
    if (c != e->root) { /* what it has called stands in HELLO and BEAT */
        weft_context_free(c);
    }
}

void weft_context_leave(weft_engine *e, int64_t now, weft_context *c)
{
    weft_transfer_leave_all(c);
    weft_context_end_calls(c);
    for (int i = 0; i < c->size && !e->stopping; i++) {
        const weft_peer *p = weft_context_peer(c, i);
        if (p->state == WEFT_PEER_UP && !c->members[i].left) {
            weft_meet_farewell(e, now, p, c->tag);
        }
    }
    weft_early_discard_all(c);
    c->cell->gone = true;
    weft_context_remove(c);
}

/* Numbers are near the newest call; they wrap and skip 0. */
uint64_t weft_context_call(const weft_context *c, uint32_t number)
{
    int64_t away = (int32_t)(number - c->called);
    if (away > 0 && number < c->called) {
        away--;
    } else if (away < 0 && number > c->called) {
        away++;
    }
    return c->calls + (uint64_t)away;
}

weft_context *weft_context_find(const weft_engine *e, uint64_t tag)
{
    const weft_tag_cell *cell = weft_tag_find(e, tag);
    return cell != NULL ? cell->context : NULL;
}

weft_member *weft_context_member(const weft_context *c, int rank)
{
    if (c->positions == NULL) {
        return rank == c->members[0].rank   ? &c->members[0]
               : rank == c->members[1].rank ? &c->members[1]
                                            : NULL;
    }
    return c->positions[rank] != NOBODY ? &c->members[c->positions[rank]] : NULL;
}

weft_peer *weft_context_peer(const weft_context *c, int position)
{
    return &c->engine->peers[c->members[position].rank];
}

int weft_context_named(const weft_context *c, int position)
{
    return c->base == NULL ? position : c->base->positions[c->members[position].rank];
}

const char *weft_context_rank(const weft_context *c, int position, char *out, size_t cap)
{
    const int rank = c->members[position].rank, named = weft_context_named(c, position);
    if (rank == named) {
        snprintf(out, cap, "rank %d", named);
    } else {
        snprintf(out, cap, "rank %d (rank %d of the opened group)", named, rank);
    }
    return out;
}

const char *weft_context_words(const weft_context *c, int position, char *out, size_t cap)
{
    const int rank = c->members[position].rank, named = weft_context_named(c, position);
    const char *where = c->engine->where[rank];
    if (rank == named) {
        snprintf(out, cap, "rank %d (%s)", named, where);
    } else {
        snprintf(out, cap, "rank %d (rank %d of the opened group, %s)", named, rank, where);
    }
    return out;
}

void weft_context_problem(const weft_context *c, const weft_problem *all, weft_problem *ret)
{
    const weft_context *group = c->base != NULL ? c->base : c;
    const int rank = all->rank;
    const bool peer = rank >= 0 && rank < c->engine->size;
    const weft_member *m = peer ? weft_context_member(group, rank) : NULL;
    const int position = m != NULL ? weft_context_position(group, m) : -1;
    if (position == rank) {
        *ret = *all;
    } else if (m != NULL) {
        weft_problem_set(ret, all->code, position, "rank %d is rank %d of the opened group: %s",
                         position, rank, all->text);
    } else {
        weft_problem_set(ret, all->code, -1, "in the opened group: %s", all->text);
    }
}
