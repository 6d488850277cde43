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

/* A slot while its plan is walked. */
typedef struct slot_state {
    bool filled, raw, sent, read;
    size_t fence;   /* usable when more fences than this were passed; 0 for what is packed here */
    size_t filler;  /* the step that filled it */
    size_t reader;  /* the step that read it last, when read */
    weft_span span; /* in the blocks of what travels */
} slot_state;

typedef struct walk {
    weft_plan *plan;
    slot_state *slots;
    weft_span *spans; /* outputs replied */
    size_t span_count, index, fences;
    /* found by the first walk, so that others need not be: */
    size_t talks;                 /* sends and receives */
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

static bool same(weft_span a, weft_span b)
{
    return a.block == b.block && a.off == b.off && a.count == b.count;
}

static bool overlap(weft_span a, weft_span b)
{
    return a.count > 0 && b.count > 0 && a.block == b.block && a.off < b.off + b.count &&
           b.off < a.off + a.count;
}

static int check_span(const walk *w, weft_span s, uint32_t blocks)
{
    if (s.block >= blocks)
        return wrong(w, "block %" PRIu32 " of %" PRIu32, s.block, blocks);
    if (s.off > w->plan->count || s.count > w->plan->count - s.off)
        return wrong(w, "elements %zu+%zu of a lane of %zu", s.off, s.count, w->plan->count);
    return WEFT_OK;
}

/* The slot's bytes end here: whoever read them last may have them. */
static void retire(walk *w, int slot)
{
    const slot_state *s = &w->slots[slot];

    if (!s->filled || !s->read)
        return;
    weft_step *reader = &w->plan->steps[s->reader];
    reader->last = reader->verb != WEFT_VERB_MERGE || reader->other == slot;
}

static int fill(walk *w, int slot, weft_span span, bool raw, bool received)
{
    slot_state *s = &w->slots[slot];

    if (s->filled && s->fence > w->fences)
        return wrong(w, "slot %d is filled while it waits for a message", slot);
    retire(w, slot);
    *s = (slot_state){.filled = true,
                      .raw = raw,
                      .span = span,
                      .filler = w->index,
                      .fence = received ? w->fences + 1 : 0};
    return WEFT_OK;
}

static int use(walk *w, int slot)
{
    slot_state *s = &w->slots[slot];

    if (!s->filled)
        return wrong(w, "slot %d is empty", slot);
    if (s->fence > w->fences)
        return wrong(w, "slot %d was received but no fence stands between", slot);
    s->read = true;
    s->reader = w->index;
    return WEFT_OK;
}

static int use_for(walk *w, int slot, weft_span span)
{
    int rc = use(w, slot);

    if (!rc && !same(w->slots[slot].span, span))
        rc = wrong(w, "slot %d holds block %" PRIu32 " elements %zu+%zu, not %" PRIu32 " %zu+%zu",
                   slot, w->slots[slot].span.block, w->slots[slot].span.off,
                   w->slots[slot].span.count, span.block, span.off, span.count);
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
    if ((rc = use(w, s->slot)) || (rc = change(w, s->slot)))
        return rc;
    s->span = w->slots[s->slot].span;
    if ((rc = use_for(w, s->other, s->span)))
        return rc;
    return w->slots[s->other].raw ? wrong(w, "slot %d is raw", s->other) : WEFT_OK;
}

static int check_scale(walk *w, weft_step *s)
{
    int rc;

    if (!isfinite(s->weight))
        return wrong(w, "weight %g", s->weight);
    if ((rc = use(w, s->slot)) || (rc = change(w, s->slot)))
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

static int check_step(walk *w, weft_step *s)
{
    const weft_plan *p = w->plan;
    const uint32_t travel = travelling(p);
    int rc;

    switch (s->verb) {
    case WEFT_VERB_PACK:
        rc = check_span(w, s->span, p->in_blocks);
        return rc ? rc : fill(w, s->slot, weft_plan_in(p, s->span), false, false);
    case WEFT_VERB_SEND:
        if ((rc = check_peer(w, s->peer)) || (rc = use(w, s->slot)))
            return rc;
        s->span = w->slots[s->slot].span;
        s->raw = w->slots[s->slot].raw;
        w->slots[s->slot].sent = true;
        return check_joined(w);
    case WEFT_VERB_RECV:
        if ((rc = check_peer(w, s->peer)) || (rc = check_span(w, s->span, travel)) ||
            (rc = check_joined(w)))
            return rc;
        return fill(w, s->slot, s->span, s->raw, true);
    case WEFT_VERB_FOLD:
        if ((rc = check_span(w, s->span, p->in_blocks)) ||
            (rc = use_for(w, s->slot, weft_plan_in(p, s->span))))
            return rc;
        return change(w, s->slot);
    case WEFT_VERB_MERGE:
        return check_merge(w, s);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        if ((rc = check_span(w, s->span, p->out_blocks)) ||
            (rc = use_for(w, s->slot, weft_plan_out(p, s->span))))
            return rc;
        s->raw = w->slots[s->slot].raw;
        return s->raw && s->verb == WEFT_VERB_ADD ? wrong(w, "slot %d is raw", s->slot) : WEFT_OK;
    case WEFT_VERB_REPLY:
        rc = check_span(w, s->span, p->out_blocks);
        return rc ? rc : fill(w, s->slot, weft_plan_out(p, s->span), true, false);
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

static bool talks(const weft_step *s)
{
    return s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
}

static void note(walk *w, const weft_step *s)
{
    w->talks += talks(s);
    w->replies = w->replies || s->verb == WEFT_VERB_REPLY;
    if (reads(s))
        w->read_end = w->index + 1;
    if (writes(s->verb) && w->index < w->first_write)
        w->first_write = w->index;
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
    for (w->index = 0; w->index < p->step_count; w->index++) {
        p->steps[w->index].last = false;
        if ((rc = check_step(w, &p->steps[w->index])))
            return rc;
        note(w, &p->steps[w->index]);
    }
    for (int slot = 0; slot < p->slot_count; slot++) {
        if (w->slots[slot].filled && w->slots[slot].fence > w->fences)
            return await_fence(w, slot);
        retire(w, slot);
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

static weft_plan_peer *find(weft_plan *p, int rank)
{
    const weft_plan_peer key = {.rank = rank};
    return bsearch(&key, p->peers, p->peer_count, sizeof key, by_rank);
}

/* The ranks talked to, ascending, each once; counts still zero. */
static int list_peers(weft_plan *p, size_t messages)
{
    size_t count = 0, kept = 0;

    p->peers = weft_calloc(messages, sizeof *p->peers);
    p->recvs = weft_calloc(messages, sizeof *p->recvs);
    if (!p->peers || !p->recvs)
        return weft_fail(WEFT_ENOMEM, "plan: no memory for %zu messages", messages);
    for (size_t i = 0; i < p->step_count; i++) /* joined ones name the same in a row */
        if (talks(&p->steps[i]) && (count == 0 || p->peers[count - 1].rank != p->steps[i].peer))
            p->peers[count++].rank = p->steps[i].peer;
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
    int rc = list_peers(p, w->talks);

    if (rc)
        return rc;
    for (w->index = 0; w->index < p->step_count; w->index++) {
        weft_step *s = &p->steps[w->index];
        if (!talks(s))
            continue;
        weft_plan_peer *peer = find(p, s->peer);
        s->message = s->verb == WEFT_VERB_SEND ? peer->sends++ : peer->recvs++;
        if (s->message >= MESSAGE_LIMIT)
            return wrong(w, "more than %d messages with rank %d", MESSAGE_LIMIT, s->peer);
    }
    for (size_t i = 0; i < p->peer_count; i++) {
        p->peers[i].first_recv = (uint32_t)p->recv_count;
        p->recv_count += p->peers[i].recvs;
    }
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].verb == WEFT_VERB_RECV)
            p->recvs[find(p, p->steps[i].peer)->first_recv + p->steps[i].message] = (uint32_t)i;
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
    w.slots = weft_calloc((size_t)p->slot_count, sizeof *w.slots);
    w.spans = weft_alloc(p->step_count * sizeof *w.spans);
    if (!w.slots || !w.spans) {
        rc = weft_fail(WEFT_ENOMEM, "plan: no memory to check %zu steps", p->step_count);
        goto out;
    }
    if ((rc = check_slots(&w)) || (rc = check_inputs(&w)) || (rc = check_replies(&w)))
        goto out;
    rc = number_messages(&w);
out:
    weft_free(w.slots);
    weft_free(w.spans);
    return rc;
}
