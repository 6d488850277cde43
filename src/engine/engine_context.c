/* SPDX-License-Identifier: Apache-2.0 */
/* A group over the engine: who is in it, in which position. */
#include <stdio.h>

#include "base/mem.h"
#include "engine/engine_state.h"

weft_context *weft_context_new(weft_engine *e, uint64_t tag)
{
    weft_context *c = weft_calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->engine = e;
    c->tag = tag;
    c->size = e->size;
    c->position = e->rank;
    c->queue_tail = &c->queue;
    c->early_tail = &c->early;
    c->members = weft_calloc((size_t)e->size, sizeof(*c->members));
    if (c->members == NULL) {
        weft_free(c);
        return NULL;
    }
    for (int r = 0; r < e->size; r++) {
        c->members[r].rank = r;
    }
    return c;
}

void weft_context_free(weft_context *c)
{
    if (c != NULL) {
        weft_early_discard_all(c);
        weft_fail_forget(c);
        weft_free(c->members);
        weft_free(c);
    }
}

weft_context *weft_context_find(const weft_engine *e, uint64_t tag)
{
    return tag == e->root->tag ? e->root : NULL;
}

weft_member *weft_context_member(const weft_context *c, int rank)
{
    return &c->members[rank];
}

weft_peer *weft_context_peer(const weft_context *c, int position)
{
    return &c->engine->peers[c->members[position].rank];
}

const char *weft_context_words(const weft_context *c, int position, char *out, size_t cap)
{
    return weft_peer_words(c->engine, c->members[position].rank, out, cap);
}
