/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts of two for send and receive: one for each group, direction and tag. Position 0 sends,
 * position 1 receives; the n-th operation is the n-th transfer.
 *
 * A context is made when its tag is first used here. One that is not in use is kept for a while,
 * then put away: what must not be forgotten, its numbers, fits the cell of its tag.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "engine/engine_state.h"

/* What a context of two is made of, in one piece. */
typedef struct pair {
    weft_context context;
    weft_member members[2];
    weft_operation *ops[WEFT_TRANSFERS_IN_FLIGHT];
} pair;

static void put(uint8_t *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

static uint64_t tag_of(const weft_context *base, const weft_request *r)
{
    uint8_t bytes[20];
    put(bytes, base->tag, 8);
    put(bytes + 8, (uint64_t)r->from, 4);
    put(bytes + 12, (uint64_t)r->to, 4);
    put(bytes + 16, r->label, 4);
    return weft_hash64(bytes, sizeof(bytes));
}

/* Go on where one that was put away ended. */
static void take_up(weft_context *c, const weft_tag_cell *cell)
{
    weft_member *other = &c->members[1 - c->position];
    c->called = cell->called;
    c->calls = cell->called;
    other->met = cell->met;
    other->heard_operation = cell->heard;
    other->told_operation = cell->told;
}

static weft_context *make(weft_context *base, uint64_t tag, const weft_request *r)
{
    pair *p = weft_calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    weft_context *c = &p->context;
    c->base = base;
    c->tag = tag;
    c->label = r->label;
    c->size = 2;
    c->position = r->from == base->position ? 0 : 1;
    c->members = p->members;
    c->members[0].rank = base->members[r->from].rank;
    c->members[1].rank = base->members[r->to].rank;
    c->ops = p->ops;
    c->flight = WEFT_TRANSFERS_IN_FLIGHT;
    c->queue_tail = &c->queue;
    c->early_tail = &c->early;
    return c;
}

weft_context *weft_transfer_find(weft_engine *e, int64_t now, const weft_request *r)
{
    weft_context *base = r->context != NULL ? r->context : e->root;
    const uint64_t tag = tag_of(base, r);
    const weft_tag_cell *known = weft_tag_find(e, tag);
    if (known != NULL && known->context != NULL) {
        weft_transfer_wake(known->context);
        return known->context;
    }
    weft_context *c = make(base, tag, r);
    if (c != NULL && known != NULL && known->put_away) {
        take_up(c, known);
    }
    if (c != NULL) {
        c->cell = weft_tag_new(tag);
    }
    if (c == NULL || c->cell == NULL) {
        weft_free(c);
        weft_fail(WEFT_ENOMEM, "out of memory for tag %u", r->label);
        return NULL;
    }
    if (!weft_context_enter(e, now, c)) {
        weft_free(c->cell);
        weft_free(c);
        weft_fail(WEFT_EINTERNAL, "tag %u is in use otherwise", r->label);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        const weft_member *m = weft_context_member(base, c->members[i].rank);
        c->members[i].left = c->members[i].left || m->left;
    }
    return c;
}

static bool in_use(const weft_context *c)
{
    return c->active > 0 || c->queue != NULL || c->early != NULL || c->failures != NULL ||
           c->turning;
}

void weft_transfer_rest(weft_context *c)
{
    weft_engine *e = c->engine;
    if (c->base == NULL || c->idle || in_use(c)) {
        return;
    }
    c->idle = true;
    c->idle_before = e->idle_last;
    c->idle_after = NULL;
    *(e->idle_last != NULL ? &e->idle_last->idle_after : &e->idle_first) = c;
    e->idle_last = c;
    e->idle_count++;
}

void weft_transfer_wake(weft_context *c)
{
    weft_engine *e = c->engine;
    if (!c->idle) {
        return;
    }
    *(c->idle_before != NULL ? &c->idle_before->idle_after : &e->idle_first) = c->idle_after;
    *(c->idle_after != NULL ? &c->idle_after->idle_before : &e->idle_last) = c->idle_before;
    c->idle = false;
    e->idle_count--;
}

void weft_transfer_put_away(weft_engine *e)
{
    while (e->idle_count > WEFT_IDLE_TRANSFERS) {
        weft_context *c = e->idle_first;
        weft_tag_cell *cell = c->cell;
        const weft_member *other = &c->members[1 - c->position];
        weft_transfer_wake(c);
        if (in_use(c)) {
            continue; /* it rests again when that has ended */
        }
        cell->put_away = true;
        cell->met = other->met;
        cell->base = c->base->tag;
        cell->called = c->called;
        cell->heard = other->heard_operation;
        cell->told = other->told_operation;
        weft_context_remove(c);
    }
}

/* The cell of one that was put away: frames for it are late from now on. */
static bool leave_cell(weft_engine *e, weft_tag_cell *cell, const void *base)
{
    if (cell->put_away && cell->base == *(const uint64_t *)base) {
        weft_early_drop_strange(e, cell);
        cell->put_away = false;
        cell->gone = true;
    }
    return false;
}

void weft_transfer_leave_all(weft_context *base)
{
    weft_engine *e = base->engine;
    for (weft_context *c = e->contexts, *next; c != NULL; c = next) {
        next = c->after;
        if (c->base == base) {
            weft_context_end_calls(c);
            weft_early_discard_all(c);
            weft_transfer_wake(c);
            c->cell->gone = true;
            weft_context_remove(c);
        }
    }
    weft_tag_sweep(e, leave_cell, &base->tag);
}

void weft_transfer_left(weft_context *c, int64_t now, weft_member *m)
{
    const int position = weft_context_position(c, m);
    char who[192];
    weft_problem why = {0};
    m->left = true;
    weft_problem_set(&why, WEFT_EPEER, weft_context_named(c, position), "%s left the group",
                     weft_context_words(c, position, who, sizeof(who)));
    for (uint32_t i = 0; i < c->flight; i++) {
        if (c->ops[i] != NULL && weft_op_needs_in(c->ops[i], position)) {
            weft_fail_operation(c->engine, now, c->ops[i], &why, m->rank);
        }
    }
}
