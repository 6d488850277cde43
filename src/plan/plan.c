/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs, growth and print of plans; the check is in plan_check.c. */
#include "plan/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

enum {
    SIZE_LIMIT = 65536,   /* positions take 16 bits in the frame header */
    SLOT_LIMIT = 1 << 20, /* a builder that needs more has a mistake in its slot numbers */
    LINE_BYTES = 256,
};

int weft_plan_init(weft_plan *p, int rank, int size, size_t count)
{
    if (size < 1 || size > SIZE_LIMIT || rank < 0 || rank >= size)
        return weft_fail(WEFT_EINVAL, "plan: rank %d of %d", rank, size);
    *p = (weft_plan){.rank = rank, .size = size, .count = count, .in_blocks = 1, .out_blocks = 1};
    return WEFT_OK;
}

void weft_plan_free(weft_plan *p)
{
    weft_free(p->steps);
    weft_free(p->peers);
    weft_free(p->recvs);
    *p = (weft_plan){0};
}

static void stick(weft_plan *p, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void stick(weft_plan *p, int code, const char *format, ...)
{
    if (p->failed)
        return;
    p->failed = code;
    va_list args;
    va_start(args, format);
    vsnprintf(p->why, sizeof p->why, format, args);
    va_end(args);
}

static void use_slot(weft_plan *p, int slot)
{
    if (slot < 0 || slot >= SLOT_LIMIT)
        stick(p, WEFT_EINTERNAL, "step %zu: slot %d", p->step_count, slot);
    else if (slot >= p->slot_count)
        p->slot_count = slot + 1;
}

static bool more_room(weft_plan *p)
{
    void *steps = p->steps;

    if (!weft_grow(&steps, &p->step_cap, p->step_count + 1, sizeof *p->steps)) {
        stick(p, WEFT_ENOMEM, "no memory for step %zu", p->step_count);
        return false;
    }
    p->steps = steps;
    return true;
}

/* The next step, zeroed but for its verb and slot, to be completed in its place: a plan of many
 * ranks has tens of thousands, and a step that is made elsewhere costs more to copy than to make.
 * NULL: a failure sticks. */
static weft_step *put(weft_plan *p, weft_verb verb, int slot)
{
    if (verb != WEFT_VERB_FENCE)
        use_slot(p, slot);
    if (p->failed || (p->step_count == p->step_cap && !more_room(p)))
        return NULL;
    weft_step *s = &p->steps[p->step_count++];
    memset(s, 0, sizeof *s);
    s->verb = verb;
    s->slot = slot;
    return s;
}

static void put_span(weft_plan *p, weft_verb verb, int slot, const weft_span *span, bool raw)
{
    weft_step *s = put(p, verb, slot);

    if (!s)
        return;
    s->span = *span;
    s->raw = raw;
}

static void put_recv(weft_plan *p, int slot, int from, const weft_span *of, bool raw)
{
    weft_step *s = put(p, WEFT_VERB_RECV, slot);

    if (!s)
        return;
    s->peer = from;
    s->span = *of;
    s->raw = raw;
}

void weft_plan_blocks(weft_plan *p, int in_blocks, int out_blocks)
{
    const bool fits =
        (in_blocks == 1 || in_blocks == p->size) && (out_blocks == 1 || out_blocks == p->size);

    if (!fits || p->step_count > 0) {
        stick(p, WEFT_EINTERNAL, "blocks %d and %d of %d peers at step %zu", in_blocks, out_blocks,
              p->size, p->step_count);
        return;
    }
    p->in_blocks = (uint32_t)in_blocks;
    p->out_blocks = (uint32_t)out_blocks;
}

void weft_plan_pack(weft_plan *p, int slot, weft_span from)
{
    put_span(p, WEFT_VERB_PACK, slot, &from, false);
}

void weft_plan_send(weft_plan *p, int slot, int to)
{
    weft_step *s = put(p, WEFT_VERB_SEND, slot);

    if (s)
        s->peer = to;
}

void weft_plan_recv(weft_plan *p, int slot, int from, weft_span of)
{
    put_recv(p, slot, from, &of, false);
}

void weft_plan_recv_raw(weft_plan *p, int slot, int from, weft_span of)
{
    put_recv(p, slot, from, &of, true);
}

void weft_plan_fold(weft_plan *p, int slot, weft_span mine)
{
    put_span(p, WEFT_VERB_FOLD, slot, &mine, false);
}

void weft_plan_merge(weft_plan *p, int slot, int other, bool other_first)
{
    use_slot(p, other);
    weft_step *s = put(p, WEFT_VERB_MERGE, slot);
    if (!s)
        return;
    s->other = other;
    s->other_first = other_first;
    s->alike = 1;
}

void weft_plan_alike(weft_plan *p, uint32_t alike, uint32_t place)
{
    weft_step *last = p->step_count > 0 ? &p->steps[p->step_count - 1] : NULL;

    if (last && last->verb == WEFT_VERB_MERGE && place < alike) {
        last->alike = alike;
        last->place = place;
    } else {
        stick(p, WEFT_EINTERNAL, "step %zu: no merge that is made alike", p->step_count);
    }
}

void weft_plan_unpack(weft_plan *p, int slot, weft_span into)
{
    put_span(p, WEFT_VERB_UNPACK, slot, &into, false);
}

void weft_plan_add(weft_plan *p, int slot, weft_span into)
{
    put_span(p, WEFT_VERB_ADD, slot, &into, false);
}

void weft_plan_reply(weft_plan *p, int slot, weft_span of)
{
    put_span(p, WEFT_VERB_REPLY, slot, &of, true);
}

void weft_plan_fence(weft_plan *p)
{
    (void)put(p, WEFT_VERB_FENCE, 0);
}

void weft_plan_scale(weft_plan *p, int slot, double weight)
{
    weft_step *s = put(p, WEFT_VERB_SCALE, slot);

    if (s)
        s->weight = weight;
}

void weft_plan_joined(weft_plan *p)
{
    weft_step *last = p->step_count > 0 ? &p->steps[p->step_count - 1] : NULL;

    if (last && (last->verb == WEFT_VERB_SEND || last->verb == WEFT_VERB_RECV))
        last->joined = true;
    else
        stick(p, WEFT_EINTERNAL, "step %zu: joined to no message", p->step_count);
}

bool weft_plan_crosses(const weft_plan *p)
{
    return p->in_blocks > 1 && p->out_blocks > 1;
}

/* One side has fewer blocks than the other: its only block is the one of this rank. */
static weft_span place(const weft_plan *p, weft_span span, uint32_t blocks, uint32_t other_blocks)
{
    if (blocks < other_blocks)
        span.block += (uint32_t)p->rank;
    return span;
}

weft_span weft_plan_in(const weft_plan *p, weft_span span)
{
    if (weft_plan_crosses(p)) {
        span.block += (uint32_t)p->rank * (uint32_t)p->size;
        return span;
    }
    return place(p, span, p->in_blocks, p->out_blocks);
}

weft_span weft_plan_out(const weft_plan *p, weft_span span)
{
    if (weft_plan_crosses(p)) {
        span.block = span.block * (uint32_t)p->size + (uint32_t)p->rank;
        return span;
    }
    return place(p, span, p->out_blocks, p->in_blocks);
}

const char *weft_verb_name(weft_verb verb)
{
    static const char *const names[WEFT_VERB_COUNT] = {
        [WEFT_VERB_PACK] = "pack",   [WEFT_VERB_SEND] = "send",   [WEFT_VERB_RECV] = "recv",
        [WEFT_VERB_FOLD] = "fold",   [WEFT_VERB_MERGE] = "merge", [WEFT_VERB_UNPACK] = "unpack",
        [WEFT_VERB_ADD] = "add",     [WEFT_VERB_REPLY] = "reply", [WEFT_VERB_SCALE] = "scale",
        [WEFT_VERB_FENCE] = "fence",
    };
    return (unsigned)verb < WEFT_VERB_COUNT ? names[verb] : "unknown";
}

static int print_step(const weft_plan *p, size_t index, char line[LINE_BYTES])
{
    const weft_step *s = &p->steps[index];
    const char *raw = s->raw ? "raw " : "";
    const char *name = weft_verb_name(s->verb);
    char span[96];

    snprintf(span, sizeof span, "%u[%zu,%zu)", (unsigned)s->span.block, s->span.off,
             s->span.off + s->span.count);
    switch (s->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_REPLY:
        return snprintf(line, LINE_BYTES, "%4zu %-6s %sslot %d = %s %s\n", index, name, raw,
                        s->slot, s->verb == WEFT_VERB_PACK ? "in" : "out", span);
    case WEFT_VERB_SEND:
        return snprintf(line, LINE_BYTES, "%4zu %-6s %sslot %d of %s to %d, message %u%s\n", index,
                        name, raw, s->slot, span, s->peer, (unsigned)s->message,
                        s->joined ? " with the next" : "");
    case WEFT_VERB_RECV:
        return snprintf(line, LINE_BYTES, "%4zu %-6s %sslot %d of %s from %d, message %u%s\n",
                        index, name, raw, s->slot, span, s->peer, (unsigned)s->message,
                        s->joined ? " with the next" : "");
    case WEFT_VERB_FOLD:
        return snprintf(line, LINE_BYTES, "%4zu %-6s slot %d op= in %s\n", index, name, s->slot,
                        span);
    case WEFT_VERB_MERGE:
        return snprintf(line, LINE_BYTES, "%4zu %-6s slot %d = slot %d op slot %d of %s\n", index,
                        name, s->slot, s->other_first ? s->other : s->slot,
                        s->other_first ? s->slot : s->other, span);
    case WEFT_VERB_SCALE:
        return snprintf(line, LINE_BYTES, "%4zu %-6s slot %d of %s by %.17g\n", index, name,
                        s->slot, span, s->weight);
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        return snprintf(line, LINE_BYTES, "%4zu %-6s out %s %s %sslot %d\n", index, name, span,
                        s->verb == WEFT_VERB_ADD ? "op=" : "=", raw, s->slot);
    default:
        return snprintf(line, LINE_BYTES, "%4zu %s\n", index, name);
    }
}

char *weft_plan_print(const weft_plan *p)
{
    void *text = NULL;
    size_t cap = 0, len = 0;
    char line[LINE_BYTES];
    int got = snprintf(line, sizeof line, "plan of rank %d of %d, %zu elements, %zu steps\n",
                       p->rank, p->size, p->count, p->step_count);

    for (size_t i = 0;; i++) {
        if (got < 0 || !weft_grow(&text, &cap, len + (size_t)got + 1, 1)) {
            weft_free(text);
            return NULL;
        }
        memcpy((char *)text + len, line, (size_t)got + 1);
        len += (size_t)got;
        if (i == p->step_count)
            return text;
        got = print_step(p, i, line);
    }
}
