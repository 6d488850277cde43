/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan_sim.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"

enum { BURST = 16 }; /* most steps of a rank before another is looked at */

/* A slot's bytes, shared by slots and messages. */
typedef struct buffer {
    size_t refs, len;
    max_align_t bytes[];
} buffer;

typedef struct message {
    buffer *body;
    void *stamp;
    uint32_t depth; /* messages in the chain that ends with this one */
    bool here, taken;
} message;

typedef struct rank_state {
    const weft_plan *plan;
    size_t index;  /* of the next step */
    size_t behind; /* of the step behind the last fence passed */
    buffer **slots;
    message *inbox; /* as plan->recvs */
    bool queued;
} rank_state;

typedef struct sim {
    int size;
    const weft_sim_ops *ops;
    void *user;
    rank_state *ranks;
    int *queue; /* ranks that may be able to go on */
    int queued;
    weft_rng rng;
    weft_sim_count *counts;
} sim;

static void drop(buffer *b)
{
    if (b && --b->refs == 0)
        weft_free(b);
}

static void set_slot(rank_state *r, int slot, buffer *b)
{
    drop(r->slots[slot]);
    r->slots[slot] = b;
}

static void enqueue(sim *s, int rank)
{
    if (s->ranks[rank].queued)
        return;
    s->ranks[rank].queued = true;
    s->queue[s->queued++] = rank;
}

static int by_rank(const void *a, const void *b)
{
    const weft_plan_peer *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static const weft_plan_peer *find_peer(const weft_plan *p, int rank)
{
    const weft_plan_peer key = {.rank = rank};
    return bsearch(&key, p->peers, p->peer_count, sizeof key, by_rank);
}

/* The message that a receive step is for. */
static message *expected(rank_state *r, const weft_step *step)
{
    return &r->inbox[find_peer(r->plan, step->peer)->first_recv + step->message];
}

static void take(rank_state *r, const weft_step *step, message *m)
{
    set_slot(r, step->slot, m->body);
    m->body = NULL;
    m->taken = true;
}

static buffer *new_buffer(size_t cap)
{
    buffer *b = cap <= SIZE_MAX - sizeof *b ? weft_alloc(sizeof *b + cap) : NULL;

    if (b)
        *b = (buffer){.refs = 1};
    return b;
}

/* The slot's bytes, to be changed: messages and slots that share them keep the old ones. */
static int own(rank_state *r, int slot)
{
    const buffer *old = r->slots[slot];

    if (old->refs == 1)
        return WEFT_OK;
    buffer *b = new_buffer(old->len);
    if (!b)
        return weft_fail(WEFT_ENOMEM, "no memory for a slot of %zu bytes", old->len);
    b->len = old->len;
    memcpy(b->bytes, old->bytes, old->len);
    set_slot(r, slot, b);
    return WEFT_OK;
}

static int fill(sim *s, const weft_sim_at *at)
{
    const size_t cap = s->ops->bound(s->user, at->step->span, at->step->raw);
    buffer *b = new_buffer(cap);

    if (!b)
        return weft_fail(WEFT_ENOMEM, "no memory for a slot of %zu bytes", cap);
    const int rc = s->ops->fill(s->user, at, b->bytes, cap, &b->len);
    if (rc) {
        drop(b);
        return rc;
    }
    set_slot(&s->ranks[at->rank], at->step->slot, b);
    return WEFT_OK;
}

/* Where the message goes; NULL: the receiver's plan says of it something else than it is. */
static message *match(const sim *s, const weft_sim_at *at)
{
    rank_state *to = &s->ranks[at->step->peer];
    const weft_plan_peer *me = find_peer(to->plan, at->rank);
    const weft_step *send = at->step;

    if (!me || send->message >= me->recvs) {
        weft_fail(WEFT_EINTERNAL, "rank %d receives no message %" PRIu32 " from rank %d",
                  send->peer, send->message, at->rank);
        return NULL;
    }
    const uint32_t index = me->first_recv + send->message;
    const weft_step *recv = &to->plan->steps[to->plan->recvs[index]];
    if (recv->joined != send->joined) {
        weft_fail(WEFT_EINTERNAL,
                  "a message to rank %d ends %s its part that step %" PRIu32 " there receives",
                  send->peer, send->joined ? "behind" : "with", to->plan->recvs[index]);
        return NULL;
    }
    if (recv->raw != send->raw || recv->span.block != send->span.block ||
        recv->span.off != send->span.off || recv->span.count != send->span.count) {
        weft_fail(WEFT_EINTERNAL,
                  "%s block %" PRIu32 " elements %zu+%zu is sent where step %" PRIu32
                  " of rank %d receives %s block %" PRIu32 " elements %zu+%zu",
                  send->raw ? "raw" : "encoded", send->span.block, send->span.off, send->span.count,
                  to->plan->recvs[index], send->peer, recv->raw ? "raw" : "encoded",
                  recv->span.block, recv->span.off, recv->span.count);
        return NULL;
    }
    return &to->inbox[index];
}

static int send(sim *s, const weft_sim_at *at)
{
    buffer *body = s->ranks[at->rank].slots[at->step->slot];
    weft_sim_count *count = &s->counts[at->rank], *there = &s->counts[at->step->peer];
    message *m = match(s, at);

    if (!m)
        return WEFT_EINTERNAL;
    const size_t cap = s->ops->bound(s->user, at->step->span, at->step->raw);
    if (body->len > cap)
        return weft_fail(WEFT_EINTERNAL, "%zu bytes where rank %d takes at most %zu", body->len,
                         at->step->peer, cap);
    if (s->ops->stamp_bytes) {
        if (!(m->stamp = weft_alloc(s->ops->stamp_bytes)))
            return weft_fail(WEFT_ENOMEM, "no memory for a message");
        s->ops->stamp(s->user, at->rank, m->stamp);
    }
    m->body = body;
    m->here = true;
    m->depth = count->rounds + 1;
    body->refs++;
    count->messages += !at->step->joined;
    count->bytes += body->len;
    there->received_messages += !at->step->joined;
    there->received_bytes += body->len;
    enqueue(s, at->step->peer);
    return WEFT_OK;
}

/* Every receive since the fence before this one; *ret_wait: one is not here yet. */
static void pass_fence(sim *s, int rank, bool *ret_wait)
{
    rank_state *r = &s->ranks[rank];
    uint32_t depth = s->counts[rank].rounds;

    for (size_t i = r->behind; i < r->index; i++) {
        const weft_step *step = &r->plan->steps[i];
        if (step->verb == WEFT_VERB_RECV && !expected(r, step)->here) {
            *ret_wait = true;
            return;
        }
    }
    for (size_t i = r->behind; i < r->index; i++) {
        const weft_step *step = &r->plan->steps[i];
        if (step->verb != WEFT_VERB_RECV)
            continue;
        message *m = expected(r, step);
        if (!m->taken)
            take(r, step, m);
        if (m->stamp)
            s->ops->heard(s->user, rank, m->stamp);
        depth = m->depth > depth ? m->depth : depth;
    }
    s->counts[rank].rounds = depth;
    r->behind = r->index + 1;
    *ret_wait = false;
}

static int combine(sim *s, const weft_sim_at *at)
{
    rank_state *r = &s->ranks[at->rank];
    const int rc = own(r, at->step->slot);

    if (rc)
        return rc;
    buffer *slot = r->slots[at->step->slot], *other = r->slots[at->step->other];
    const bool fold = at->step->verb == WEFT_VERB_FOLD;
    s->counts[at->rank].reduced_bytes += fold ? slot->len : other->len;
    return fold ? s->ops->fold(s->user, at, slot->bytes, slot->len)
                : s->ops->merge(s->user, at, slot->bytes, slot->len, other->bytes, other->len);
}

static int scale(sim *s, const weft_sim_at *at)
{
    rank_state *r = &s->ranks[at->rank];
    const int rc = own(r, at->step->slot);
    buffer *slot = r->slots[at->step->slot];

    return rc ? rc : s->ops->scale(s->user, at, slot->bytes, slot->len);
}

static int unpack(sim *s, const weft_sim_at *at)
{
    const buffer *slot = s->ranks[at->rank].slots[at->step->slot];

    if (at->step->verb == WEFT_VERB_ADD)
        s->counts[at->rank].reduced_bytes += slot->len;
    return s->ops->unpack(s->user, at, slot->bytes, slot->len);
}

static int run_step(sim *s, const weft_sim_at *at, bool *ret_wait)
{
    rank_state *r = &s->ranks[at->rank];

    *ret_wait = false;
    switch (at->step->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_REPLY:
        return fill(s, at);
    case WEFT_VERB_SEND:
        return send(s, at);
    case WEFT_VERB_RECV: /* the message may come now, or later, before the fence */
        if (expected(r, at->step)->here && weft_rng_below(&s->rng, 2))
            take(r, at->step, expected(r, at->step));
        return WEFT_OK;
    case WEFT_VERB_FOLD:
    case WEFT_VERB_MERGE:
        return combine(s, at);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        return unpack(s, at);
    case WEFT_VERB_SCALE:
        return scale(s, at);
    case WEFT_VERB_FENCE:
        pass_fence(s, at->rank, ret_wait);
        return WEFT_OK;
    default:
        return weft_fail(WEFT_EINTERNAL, "verb %d", (int)at->step->verb);
    }
}

/* Some steps of one rank. */
static int run_rank(sim *s, int rank)
{
    rank_state *r = &s->ranks[rank];
    const weft_plan *p = r->plan;

    for (uint64_t left = 1 + weft_rng_below(&s->rng, BURST); left > 0; left--) {
        if (r->index == p->step_count)
            return WEFT_OK;
        const weft_sim_at at = {.rank = rank, .index = r->index, .step = &p->steps[r->index]};
        bool wait = false;
        if (run_step(s, &at, &wait))
            return weft_fail_context("rank %d of %d, step %zu (%s)", rank, s->size, r->index,
                                     weft_verb_name(at.step->verb));
        if (wait)
            return WEFT_OK; /* whoever sends to it queues it again */
        r->index++;
    }
    enqueue(s, rank);
    return WEFT_OK;
}

static int name_deadlock(const sim *s)
{
    for (int rank = 0; rank < s->size; rank++) {
        rank_state *r = &s->ranks[rank];
        if (r->index == r->plan->step_count)
            continue;
        for (size_t i = r->behind; i < r->index; i++) {
            const weft_step *step = &r->plan->steps[i];
            if (step->verb == WEFT_VERB_RECV && !expected(r, step)->here)
                return weft_fail_rank(WEFT_EINTERNAL, rank,
                                      "deadlock: rank %d of %d waits at step %zu for message "
                                      "%" PRIu32 " of rank %d, received by step %zu",
                                      rank, s->size, r->index, step->message, step->peer, i);
        }
    }
    return WEFT_OK;
}

static int prepare(sim *s, const weft_plan *plans)
{
    for (int rank = 0; rank < s->size; rank++) {
        rank_state *r = &s->ranks[rank];
        const weft_plan *p = &plans[rank];
        if (p->rank != rank || p->size != s->size || p->count != plans[0].count ||
            p->in_blocks != plans[0].in_blocks || p->out_blocks != plans[0].out_blocks)
            return weft_fail(WEFT_EINTERNAL,
                             "plan %d is of rank %d of %d, %zu elements, blocks %" PRIu32
                             " and %" PRIu32,
                             rank, p->rank, p->size, p->count, p->in_blocks, p->out_blocks);
        r->plan = p;
        r->slots = weft_calloc((size_t)p->slot_count, sizeof(buffer *));
        r->inbox = weft_calloc(p->recv_count, sizeof *r->inbox);
        if (!r->slots || !r->inbox)
            return weft_fail(WEFT_ENOMEM, "no memory to simulate rank %d of %d", rank, s->size);
        for (size_t i = 0; i < p->peer_count; i++)
            s->counts[rank].peers += p->peers[i].recvs > 0;
        enqueue(s, rank);
    }
    return WEFT_OK;
}

static void clean(sim *s)
{
    for (int rank = 0; s->ranks && rank < s->size; rank++) {
        rank_state *r = &s->ranks[rank];
        for (int i = 0; r->slots && i < r->plan->slot_count; i++)
            drop(r->slots[i]);
        for (size_t i = 0; r->inbox && i < r->plan->recv_count; i++) {
            drop(r->inbox[i].body);
            weft_free(r->inbox[i].stamp);
        }
        weft_free(r->slots);
        weft_free(r->inbox);
    }
    weft_free(s->ranks);
    weft_free(s->queue);
    weft_free(s->counts);
}

int weft_plan_simulate(const weft_plan *plans, int size, const weft_sim_ops *ops, void *user,
                       uint64_t seed, weft_sim_count *ret_counts)
{
    sim s = {.size = size, .ops = ops, .user = user, .rng = {.state = seed}};
    int rc = WEFT_OK;

    if (size < 1)
        return weft_fail(WEFT_EINVAL, "simulate: %d ranks", size);
    s.ranks = weft_calloc((size_t)size, sizeof *s.ranks);
    s.queue = weft_calloc((size_t)size, sizeof *s.queue);
    s.counts = weft_calloc((size_t)size, sizeof *s.counts);
    if (!s.ranks || !s.queue || !s.counts) {
        rc = weft_fail(WEFT_ENOMEM, "simulate: no memory for %d ranks", size);
        goto out;
    }
    if ((rc = prepare(&s, plans)))
        goto out;
    while (s.queued > 0) {
        const int pick = (int)weft_rng_below(&s.rng, (uint64_t)s.queued);
        const int rank = s.queue[pick];
        s.queue[pick] = s.queue[--s.queued];
        s.ranks[rank].queued = false;
        if ((rc = run_rank(&s, rank)))
            goto out;
    }
    rc = name_deadlock(&s);
    if (!rc && ret_counts)
        memcpy(ret_counts, s.counts, (size_t)size * sizeof *ret_counts);
out:
    clean(&s);
    return rc;
}
