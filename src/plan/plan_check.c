/* SPDX-License-Identifier: Apache-2.0 */
/* What one rank's plan can show by itself; plan_verify looks at all ranks together. */
#include "plan/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"

enum { MESSAGE_LIMIT = 65536 }; /* the frame header counts them in 16 bits */

/* A slot while its plan is walked: of butterflies there are thousands, so it is kept small. */
typedef struct slot_state {
    bool filled, raw, sent, read;
    bool spends;    /* the last reader has no use for the bytes: not the result of a merge */
    uint32_t fence; /* usable when so many fences were passed; 0 for what is packed here */
    uint32_t filler, reader; /* the step that filled it; the one that read it last, when read */
    weft_span span;          /* in the blocks of what travels */
} slot_state;

/* A send or receive. */
typedef struct talk {
    uint32_t step, message;
    int peer;
    bool receives;
} talk;

typedef struct walk {
    weft_plan *plan;
    slot_state *slots;
    weft_span *spans; /* outputs replied */
    size_t span_count, index;
    uint32_t fences;
    uint32_t travelling; /* blocks of what travels */
    /* found by the first walk, so that others need not be: */
    talk *talks; /* sends and receives */
    size_t talk_count;
    size_t read_end, first_write; /* behind the last read of the input; the first write of output */
    bool replies;
} walk;

static int wrong(const walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(const walk *w, const char *format, ...)
{
    char why[256];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return weft_fail(WEFT_EINTERNAL, "plan of rank %d of %d, step %zu (%s): %s", w->plan->rank,
                     w->plan->size, w->index, weft_verb_name(w->plan->steps[w->index].verb), why);
}

static bool overlap(weft_span a, weft_span b)
{
    return a.count > 0 && b.count > 0 && a.block == b.block && a.off < b.off + b.count &&
           b.off < a.off + a.count;
}

static int check_span(const walk *w, const weft_span *s, uint32_t blocks)
{
    if (s->block >= blocks)
        return wrong(w, "block %" PRIu32 " of %" PRIu32, s->block, blocks);
    if (s->off > w->plan->count || s->count > w->plan->count - s->off)
        return wrong(w, "elements %zu+%zu of a lane of %zu", s->off, s->count, w->plan->count);
    return WEFT_OK;
}

/* The block of a span of the input, or output, as it travels. */
static uint32_t in_block(const walk *w, const weft_span *s)
{
    return w->travelling == 1 ? s->block : weft_plan_in(w->plan, *s).block;
}

static uint32_t out_block(const walk *w, const weft_span *s)
{
    return w->travelling == 1 ? s->block : weft_plan_out(w->plan, *s).block;
}

/* The slot's bytes end here: whoever read them last may have them. */
static void retire(walk *w, const slot_state *s)
{
    if (s->filled && s->read && s->spends)
        w->plan->steps[s->reader].last = true;
}

/* With a span of a block of what travels. */
static int fill(walk *w, const weft_step *step, uint32_t block, bool raw, bool received)
{
    slot_state *s = &w->slots[step->slot];

    if (s->fence > w->fences)
        return wrong(w, "slot %d is filled while it waits for a message", step->slot);
    retire(w, s);
    s->filled = true;
    s->raw = raw;
    s->sent = s->read = false;
    s->fence = received ? w->fences + 1 : 0;
    s->filler = (uint32_t)w->index;
    s->span.block = block;
    s->span.off = step->span.off;
    s->span.count = step->span.count;
    return WEFT_OK;
}

static int use(walk *w, int slot, bool spends)
{
    slot_state *s = &w->slots[slot];

    if (!s->filled)
        return wrong(w, "slot %d is empty", slot);
    if (s->fence > w->fences)
        return wrong(w, "slot %d was received but no fence stands between", slot);
    s->read = true;
    s->spends = spends;
    s->reader = (uint32_t)w->index;
    return WEFT_OK;
}

static int use_for(walk *w, int slot, uint32_t block, const weft_span *span)
{
    const int rc = use(w, slot, true);
    const weft_span *held = &w->slots[slot].span;

    if (!rc && (held->block != block || held->off != span->off || held->count != span->count))
        return wrong(w, "slot %d holds block %" PRIu32 " elements %zu+%zu, not %" PRIu32 " %zu+%zu",
                     slot, held->block, held->off, held->count, block, span->off, span->count);
    return rc;
}

static int change(const walk *w, int slot)
{
    if (w->slots[slot].raw)
        return wrong(w, "slot %d is raw", slot);
    if (w->slots[slot].sent)
        return wrong(w, "slot %d was sent and may still be under way", slot);
    return WEFT_OK;
}

static int check_peer(const walk *w, int peer)
{
    if (peer < 0 || peer >= w->plan->size)
        return wrong(w, "peer %d of %d", peer, w->plan->size);
    if (peer == w->plan->rank)
        return wrong(w, "peer %d is this rank itself", peer);
    return WEFT_OK;
}

static int check_merge(walk *w, weft_step *s)
{
    int rc;

    if (s->slot == s->other)
        return wrong(w, "slot %d with itself", s->slot);
    if ((rc = use(w, s->slot, false)) || (rc = change(w, s->slot)))
        return rc;
    s->span = w->slots[s->slot].span;
    if ((rc = use_for(w, s->other, s->span.block, &s->span)))
        return rc;
    return w->slots[s->other].raw ? wrong(w, "slot %d is raw", s->other) : WEFT_OK;
}

static int check_scale(walk *w, weft_step *s)
{
    int rc;

    if (!isfinite(s->weight))
        return wrong(w, "weight %g", s->weight);
    if ((rc = use(w, s->slot, true)) || (rc = change(w, s->slot)))
        return rc;
    s->span = w->slots[s->slot].span;
    return WEFT_OK;
}

static int check_joined(const walk *w)
{
    const weft_step *s = &w->plan->steps[w->index];
    const weft_step *next = w->index + 1 < w->plan->step_count ? s + 1 : NULL;

    if (s->joined && (!next || next->verb != s->verb || next->peer != s->peer))
        return wrong(w, "joined to no %s of peer %d", weft_verb_name(s->verb), s->peer);
    return WEFT_OK;
}

/* Blocks of what travels. */
static uint32_t travelling(const weft_plan *p)
{
    if (weft_plan_crosses(p))
        return p->in_blocks * p->out_blocks;
    return p->in_blocks > p->out_blocks ? p->in_blocks : p->out_blocks;
}

static int check_talk(walk *w, const weft_step *s)
{
    const int rc = check_peer(w, s->peer);

    talk *t = &w->talks[w->talk_count++];
    t->step = (uint32_t)w->index;
    t->peer = s->peer;
    t->receives = s->verb == WEFT_VERB_RECV;
    return rc ? rc : check_joined(w);
}

static int check_send(walk *w, weft_step *s)
{
    slot_state *slot = &w->slots[s->slot];
    int rc;

    if ((rc = check_talk(w, s)) || (rc = use(w, s->slot, true)))
        return rc;
    s->span = slot->span;
    s->raw = slot->raw;
    slot->sent = true;
    return WEFT_OK;
}

static int check_receive(walk *w, const weft_step *s)
{
    int rc;

    if ((rc = check_talk(w, s)) || (rc = check_span(w, &s->span, w->travelling)))
        return rc;
    return fill(w, s, s->span.block, s->raw, true);
}

/* Of pack and fold. */
static int check_input(walk *w, const weft_step *s)
{
    int rc = check_span(w, &s->span, w->plan->in_blocks);

    if (rc)
        return rc;
    if (s->span.count > 0)
        w->read_end = w->index + 1;
    if (s->verb == WEFT_VERB_PACK)
        return fill(w, s, in_block(w, &s->span), false, false);
    rc = use_for(w, s->slot, in_block(w, &s->span), &s->span);
    return rc ? rc : change(w, s->slot);
}

/* Of unpack, add and reply. */
static int check_output(walk *w, weft_step *s)
{
    int rc = check_span(w, &s->span, w->plan->out_blocks);

    if (rc)
        return rc;
    if (w->index < w->first_write)
        w->first_write = w->index;
    if (s->verb == WEFT_VERB_REPLY) {
        w->replies = true;
        return fill(w, s, out_block(w, &s->span), true, false);
    }
    if ((rc = use_for(w, s->slot, out_block(w, &s->span), &s->span)))
        return rc;
    s->raw = w->slots[s->slot].raw;
    return s->raw && s->verb == WEFT_VERB_ADD ? wrong(w, "slot %d is raw", s->slot) : WEFT_OK;
}

static int check_step(walk *w, weft_step *s)
{
    switch (s->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_FOLD:
        return check_input(w, s);
    case WEFT_VERB_SEND:
        return check_send(w, s);
    case WEFT_VERB_RECV:
        return check_receive(w, s);
    case WEFT_VERB_MERGE:
        return check_merge(w, s);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
    case WEFT_VERB_REPLY:
        return check_output(w, s);
    case WEFT_VERB_SCALE:
        return check_scale(w, s);
    case WEFT_VERB_FENCE:
        w->fences++;
        return WEFT_OK;
    default:
        return wrong(w, "verb %d", (int)s->verb);
    }
}

static bool writes(weft_verb verb)
{
    return verb == WEFT_VERB_UNPACK || verb == WEFT_VERB_ADD || verb == WEFT_VERB_REPLY;
}

static bool reads(const weft_step *s)
{
    return (s->verb == WEFT_VERB_PACK || s->verb == WEFT_VERB_FOLD) && s->span.count > 0;
}

static int await_fence(walk *w, int slot)
{
    w->index = w->slots[slot].filler;
    return wrong(w, "no fence below awaits the message for slot %d", slot);
}

static int check_slots(walk *w)
{
    weft_plan *p = w->plan;
    int rc;

    w->first_write = p->step_count;
    w->travelling = travelling(p);
    for (w->index = 0; w->index < p->step_count; w->index++) {
        p->steps[w->index].last = false;
        if ((rc = check_step(w, &p->steps[w->index])))
            return rc;
    }
    for (int slot = 0; slot < p->slot_count; slot++) {
        if (w->slots[slot].filled && w->slots[slot].fence > w->fences)
            return await_fence(w, slot);
        retire(w, &w->slots[slot]);
    }
    return WEFT_OK;
}

/* Where a span lies in memory when input and output share theirs: at its block, or the only block
 * of one side at its rank's block of the other. */
static weft_span in_memory(const weft_plan *p, weft_span span, bool output)
{
    if (weft_plan_crosses(p))
        return span;
    return output ? weft_plan_out(p, span) : weft_plan_in(p, span);
}

/* A place in the input where a span that is read begins or ends. */
typedef struct mark {
    uint32_t block;
    size_t at;
    size_t read; /* of the stretch from here to the next mark: 1 + the step that reads it last */
} mark;

static int by_place(const void *a, const void *b)
{
    const mark *x = a, *y = b;

    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The last mark at or before a place, or 0; perhaps the one where the last search led. */
static size_t find_mark(const mark *marks, size_t count, size_t last, mark place)
{
    size_t low = 0, high = count;

    if (last < count && by_place(&marks[last], &place) == 0)
        return last;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (by_place(&marks[mid], &place) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 ? low - 1 : 0;
}

/* Marks around every input that is read, in order, with the step that reads it last. */
static size_t mark_inputs(const weft_plan *p, mark *marks)
{
    size_t count = 0, kept = 0, m = 0;
    bool sorted = true; /* as they often are */

    for (size_t i = 0; i < p->step_count; i++) {
        if (!reads(&p->steps[i]))
            continue;
        const weft_span s = in_memory(p, p->steps[i].span, false);
        const mark from = {.block = s.block, .at = s.off};
        const int order = count > 0 ? by_place(&marks[count - 1], &from) : -1;
        if (order != 0)
            marks[count++] = from;
        marks[count++] = (mark){.block = s.block, .at = s.off + s.count};
        sorted = sorted && order <= 0;
    }
    if (!sorted)
        qsort(marks, count, sizeof *marks, by_place);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_place(&marks[kept - 1], &marks[i]) != 0)
            marks[kept++] = marks[i];
    for (size_t i = 0; i < p->step_count; i++) {
        if (!reads(&p->steps[i]))
            continue;
        const weft_span s = in_memory(p, p->steps[i].span, false);
        m = find_mark(marks, kept, m, (mark){.block = s.block, .at = s.off});
        for (; marks[m].at < s.off + s.count; m++) /* its end is a mark too */
            marks[m].read = i + 1;
    }
    return kept;
}

/* In place: what a step writes must not be read as input by a step below. */
static int check_inputs(walk *w)
{
    const weft_plan *p = w->plan;
    int rc = WEFT_OK;

    if (w->read_end <= w->first_write) /* all is read before anything is written */
        return WEFT_OK;
    mark *marks = weft_alloc(2 * p->step_count * sizeof *marks); /* fewer bytes than steps */
    if (!marks)
        return weft_fail(WEFT_ENOMEM, "plan: no memory to check %zu steps", p->step_count);
    const size_t count = mark_inputs(p, marks);
    size_t m = 0;
    for (w->index = p->step_count; !rc && w->index-- > 0;) {
        const weft_step *s = &p->steps[w->index];
        if (!writes(s->verb) || s->span.count == 0)
            continue;
        const weft_span out = in_memory(p, s->span, true);
        m = find_mark(marks, count, m, (mark){.block = out.block, .at = out.off});
        for (; !rc && m < count && marks[m].block <= out.block; m++) {
            if (marks[m].block == out.block && marks[m].at >= out.off + out.count)
                break;
            if (marks[m].block == out.block && marks[m].read > w->index + 1)
                rc = wrong(w,
                           "in place, the input at block %" PRIu32 " elements %zu+%zu is written "
                           "before it is read below",
                           out.block, out.off, out.count);
        }
    }
    weft_free(marks);
    return rc;
}

static int check_replies(walk *w)
{
    weft_plan *p = w->plan;

    p->replies = w->replies;
    w->span_count = 0;
    for (w->index = w->replies ? 0 : p->step_count; w->index < p->step_count; w->index++) {
        const weft_step *s = &p->steps[w->index];
        if (!writes(s->verb))
            continue;
        for (size_t i = 0; i < w->span_count; i++)
            if (overlap(s->span, w->spans[i]))
                return wrong(w, "the output's elements %zu+%zu were replied above", s->span.off,
                             s->span.count);
        if (s->verb == WEFT_VERB_REPLY)
            w->spans[w->span_count++] = s->span;
    }
    return WEFT_OK;
}

static int by_rank(const void *a, const void *b)
{
    const weft_plan_peer *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Perhaps the one that the last search found: joined steps name the same in a row. */
static weft_plan_peer *find(weft_plan *p, weft_plan_peer *last, int rank)
{
    const weft_plan_peer key = {.rank = rank};

    if (last && last->rank == rank)
        return last;
    return bsearch(&key, p->peers, p->peer_count, sizeof key, by_rank);
}

/* The ranks talked to, ascending, each once; counts still zero. */
static int list_peers(const walk *w)
{
    weft_plan *p = w->plan;
    size_t count = 0, kept = 0;

    p->peers = weft_calloc(w->talk_count, sizeof *p->peers);
    p->recvs = weft_calloc(w->talk_count, sizeof *p->recvs);
    if (!p->peers || !p->recvs)
        return weft_fail(WEFT_ENOMEM, "plan: no memory for %zu messages", w->talk_count);
    for (size_t i = 0; i < w->talk_count; i++) /* joined ones name the same in a row */
        if (count == 0 || p->peers[count - 1].rank != w->talks[i].peer)
            p->peers[count++].rank = w->talks[i].peer;
    qsort(p->peers, count, sizeof *p->peers, by_rank);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || p->peers[kept - 1].rank != p->peers[i].rank)
            p->peers[kept++].rank = p->peers[i].rank;
    p->peer_count = kept;
    return WEFT_OK;
}

static int number_messages(walk *w)
{
    weft_plan *p = w->plan;
    weft_plan_peer *peer = NULL;
    int rc = list_peers(w);

    if (rc)
        return rc;
    for (size_t i = 0; i < w->talk_count; i++) {
        talk *t = &w->talks[i];
        peer = find(p, peer, t->peer);
        t->message = t->receives ? peer->recvs++ : peer->sends++;
        p->steps[w->index = t->step].message = t->message;
        if (t->message >= MESSAGE_LIMIT)
            return wrong(w, "more than %d messages with rank %d", MESSAGE_LIMIT, t->peer);
    }
    for (size_t i = 0; i < p->peer_count; i++) {
        p->peers[i].first_recv = (uint32_t)p->recv_count;
        p->recv_count += p->peers[i].recvs;
    }
    for (size_t i = 0; i < w->talk_count; i++) {
        const talk *t = &w->talks[i];
        if (!t->receives)
            continue;
        peer = find(p, peer, t->peer);
        p->recvs[peer->first_recv + t->message] = t->step;
    }
    return WEFT_OK;
}

int weft_plan_check(weft_plan *p)
{
    walk w = {.plan = p};
    int rc;

    weft_free(p->peers);
    weft_free(p->recvs);
    p->peers = NULL;
    p->recvs = NULL;
    p->peer_count = p->recv_count = 0;
    if (p->failed)
        return weft_fail(p->failed, "plan of rank %d of %d: %s", p->rank, p->size, p->why);
    if (p->step_count >= UINT32_MAX)
        return weft_fail(WEFT_EINTERNAL, "plan of rank %d of %d: %zu steps", p->rank, p->size,
                         p->step_count);
    w.slots = weft_calloc((size_t)p->slot_count, sizeof *w.slots);
    w.spans = weft_alloc(p->step_count * sizeof *w.spans);
    w.talks = weft_alloc(p->step_count * sizeof *w.talks);
    if (!w.slots || !w.spans || !w.talks) {
        rc = weft_fail(WEFT_ENOMEM, "plan: no memory to check %zu steps", p->step_count);
        goto out;
    }
    if ((rc = check_slots(&w)) || (rc = check_inputs(&w)) || (rc = check_replies(&w)))
        goto out;
    rc = number_messages(&w);
out:
    weft_free(w.slots);
    weft_free(w.spans);
    weft_free(w.talks);
    return rc;
}
