/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that come before they are due: of operations that were not called here yet, of contexts
 * that are not open here. */
#include "base/mem.h"
#include "engine/engine_state.h"

static bool on_credit(const weft_frame *f)
{
    return (f->flags & WEFT_FLAG_CREDIT) != 0;
}

/* May it be kept, beside what is kept already? */
static bool fits(const weft_context *c, const weft_member *member, const weft_frame *f, size_t len)
{
    const weft_peer *p = &c->engine->peers[member->rank];
    const int32_t ahead = (int32_t)(f->operation - c->called);
    const bool data = f->kind == WEFT_FRAME_DATA;
    /* Of the newest call's second part, where that is due; of the next one; little behind it. */
    const size_t much = (size_t)WEFT_EARLY_BYTES * (c->second != NULL ? 2 : 1);
    const size_t most = much + WEFT_EARLY_OPS * WEFT_SMALL_BYTES;
    if (ahead > 2 * WEFT_IN_FLIGHT || (data && (ahead > WEFT_EARLY_OPS || f->lane != 0))) {
        return false;
    }
    if (data && on_credit(f)) {
        return p->kept + weft_credit_cost(len) <= WEFT_CREDIT;
    }
    return member->early_frames < WEFT_EARLY_FRAMES && (!data || member->early_bytes + len <= most);
}

/* What a frame that is kept needs. Takes the message in any case. NULL: out of memory. */
static weft_early *new_early(weft_engine *e, const weft_peer *p, const weft_frame *f,
                             weft_message *m)
{
    weft_early *early = weft_alloc(sizeof(*early));
    if (early == NULL) {
        weft_message_unref(m);
        weft_engine_no_memory(e, "a frame that came early");
        return NULL;
    }
    *early = (weft_early){.frame = *f, .words = p->heard_words[f->descriptor % WEFT_DESCRIPTORS]};
    early->words->refs++;
    if (f->kind == WEFT_FRAME_DATA) {
        early->message = m;
    } else {
        weft_message_unref(m);
    }
    return early;
}

static void free_early(weft_early *early)
{
    weft_message_unref(early->message);
    weft_words_unref(early->words);
    weft_free(early);
}

static void append(weft_context *c, weft_member *member, weft_early *early)
{
    early->next = NULL;
    early->from = weft_context_position(c, member);
    if (early->message == NULL || !on_credit(&early->frame)) { /* else it counts on the link */
        member->early_frames++;
        member->early_bytes += early->message != NULL ? early->message->len : 0;
    }
    *c->early_tail = early;
    c->early_tail = &early->next;
}

void weft_early_keep(weft_context *c, weft_member *member, const weft_frame *f, weft_message *m)
{
    weft_engine *e = c->engine;
    weft_peer *p = &e->peers[member->rank];
    const size_t len = m->len;
    if (!fits(c, member, f, len)) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "sent beyond what was granted");
        return;
    }
    weft_early *early = new_early(e, p, f, m);
    if (early != NULL) {
        append(c, member, early);
        p->kept += early->message != NULL && on_credit(f) ? weft_credit_cost(len) : 0;
    }
}

void weft_early_keep_strange(weft_engine *e, weft_peer *p, const weft_frame *f, weft_message *m)
{
    const size_t len = m->len;
    if (!on_credit(f) || f->lane != 0 || p->kept + weft_credit_cost(len) > WEFT_CREDIT) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "sent beyond what was granted");
        return;
    }
    weft_tag_cell *cell = weft_tag_find(e, f->group);
    weft_early *early = new_early(e, p, f, m);
    if (early == NULL) {
        return;
    }
    if (cell == NULL) {
        cell = weft_tag_new(f->group);
        if (cell == NULL) {
            free_early(early);
            weft_engine_no_memory(e, "a frame that came early");
            return;
        }
        weft_tag_add(e, cell);
    }
    early->from = p->rank;
    p->kept += weft_credit_cost(len);
    *cell->early_tail = early;
    cell->early_tail = &early->next;
}

/* It is kept no longer. */
static void release_credit(weft_engine *e, weft_peer *p, const weft_early *early)
{
    p->kept -= weft_credit_cost(early->message->len);
    weft_credit_used(e, p, early->message->len);
}

void weft_early_admit(weft_context *c, int64_t now, weft_early *strange)
{
    weft_engine *e = c->engine;
    while (strange != NULL) {
        weft_early *early = strange;
        weft_peer *p = &e->peers[early->from];
        weft_member *member = weft_context_member(c, p->rank);
        strange = early->next;
        const bool known = member != NULL;
        p->kept -= weft_credit_cost(early->message->len);
        if (known && fits(c, member, &early->frame, early->message->len)) {
            p->kept += weft_credit_cost(early->message->len);
            append(c, member, early);
            weft_flow_heard(e, now, c, member, early->frame.operation);
        } else {
            weft_fail_violation(e, p, &early->frame,
                                known ? "sent beyond what was granted" : "is not in the group");
            free_early(early);
        }
    }
}

void weft_early_drop_strange(weft_engine *e, weft_tag_cell *cell)
{
    while (cell->early != NULL) {
        weft_early *early = cell->early;
        cell->early = early->next;
        release_credit(e, &e->peers[early->from], early);
        free_early(early);
    }
    cell->early_tail = &cell->early;
}

static bool drop_strange(weft_engine *e, weft_tag_cell *cell, const void *user)
{
    (void)user;
    weft_early_drop_strange(e, cell);
    return cell->context == NULL && !cell->gone && !cell->put_away;
}

void weft_early_discard_strange(weft_engine *e)
{
    weft_tag_sweep(e, drop_strange, NULL);
}

/* Take it off the list. */
static weft_early *take(weft_context *c, weft_early **at)
{
    weft_early *early = *at;
    weft_member *member = &c->members[early->from];
    if (early->message != NULL && on_credit(&early->frame)) {
        release_credit(c->engine, &c->engine->peers[member->rank], early);
    } else {
        member->early_frames--;
        member->early_bytes -= early->message != NULL ? early->message->len : 0;
    }
    *at = early->next;
    if (*at == NULL) {
        c->early_tail = at;
    }
    return early;
}

void weft_early_replay(weft_context *c, int64_t now, uint32_t number)
{
    for (weft_early **at = &c->early; *at != NULL;) {
        if ((*at)->frame.operation != number || weft_op_later(c, &(*at)->frame)) {
            at = &(*at)->next;
            continue;
        }
        weft_early *early = take(c, at);
        weft_operation *op = weft_op_at(c, number);
        if (op != NULL) {
            weft_flow_apply(c->engine, now, op, &c->members[early->from], &early->frame,
                            early->message, early->words);
        } else {
            weft_message_unref(early->message);
        }
        weft_words_unref(early->words);
        weft_free(early);
        if (op != NULL && weft_op_at(c, number) == NULL) {
            at = &c->early; /* it failed, which discards: the list is another */
        }
    }
}

void weft_early_discard(weft_context *c, uint32_t number)
{
    for (weft_early **at = &c->early; *at != NULL;) {
        if ((*at)->frame.operation == number) {
            free_early(take(c, at));
        } else {
            at = &(*at)->next;
        }
    }
}

void weft_early_discard_from(weft_context *c, uint64_t call)
{
    for (weft_early **at = &c->early; *at != NULL;) {
        if (weft_context_call(c, (*at)->frame.operation) >= call) {
            free_early(take(c, at));
        } else {
            at = &(*at)->next;
        }
    }
}

void weft_early_discard_all(weft_context *c)
{
    weft_early_discard_from(c, 0);
}
