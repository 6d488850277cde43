/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that come before they are due: of operations that were not called here yet. */
#include "base/mem.h"
#include "engine/engine_state.h"

void weft_early_keep(weft_context *c, weft_member *member, const weft_frame *f, weft_message *m)
{
    weft_engine *e = c->engine;
    const weft_peer *p = &e->peers[member->rank];
    const int32_t ahead = (int32_t)(f->operation - c->called);
    const bool data = f->kind == WEFT_FRAME_DATA;
    const size_t most = WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES;
    if ((data && (ahead > WEFT_EARLY_OPS || f->lane != 0)) || ahead > 2 * WEFT_IN_FLIGHT ||
        member->early_frames >= WEFT_EARLY_FRAMES ||
        (data && member->early_bytes + m->len > most)) {
        weft_message_unref(m);
        weft_fail_violation(e, p, f, "sent beyond what was granted");
        return;
    }
    weft_early *early = weft_alloc(sizeof(*early));
    if (early == NULL) {
        weft_message_unref(m);
        weft_engine_sicken(e, &(weft_problem){WEFT_ENOMEM, e->rank, "out of memory"});
        return;
    }
    *early = (weft_early){.position = weft_context_position(c, member),
                          .frame = *f,
                          .words = p->heard_words[f->descriptor % WEFT_DESCRIPTORS]};
    early->words->refs++;
    if (data) {
        early->message = m;
        member->early_bytes += m->len;
    } else {
        weft_message_unref(m);
    }
    member->early_frames++;
    *c->early_tail = early;
    c->early_tail = &early->next;
}

/* Take it off the list. */
static weft_early *take(weft_context *c, weft_early **at)
{
    weft_early *early = *at;
    weft_member *member = &c->members[early->position];
    member->early_frames--;
    if (early->message != NULL) {
        member->early_bytes -= early->message->len;
    }
    *at = early->next;
    if (*at == NULL) {
        c->early_tail = at;
    }
    return early;
}

static void discard(weft_context *c, weft_early **at)
{
    weft_early *early = take(c, at);
    weft_message_unref(early->message);
    weft_words_unref(early->words);
    weft_free(early);
}

void weft_early_replay(weft_context *c, int64_t now, uint32_t number)
{
    for (weft_early **at = &c->early; *at != NULL;) {
        if ((*at)->frame.operation != number) {
            at = &(*at)->next;
            continue;
        }
        weft_early *early = take(c, at);
        weft_operation *op = weft_op_at(c, number);
        if (op != NULL) {
            weft_flow_apply(c->engine, now, op, &c->members[early->position], &early->frame,
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
            discard(c, at);
        } else {
            at = &(*at)->next;
        }
    }
}

void weft_early_discard_all(weft_context *c)
{
    while (c->early != NULL) {
        discard(c, &c->early);
    }
}
