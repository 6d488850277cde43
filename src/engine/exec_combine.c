/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two contributions become one. Three ways, by what the codec can do:
 *
 *   in place      encodings of one length (raw): the message that came is added to where it lies
 *   combined      the result has another length (integers that grow, counters, selections): into a
 *                 new message
 *   requantized   decode, add, encode again: loses a little at each hop, with random numbers of
 * this peer; what is lost goes to the residual where there is one
 */
#include <string.h>

#include "base/mem.h"
#include "engine/exec.h"
#include "kernel/kernel.h"

enum { AT_ONCE = 64 };

static int make_writable(const weft_exec *x)
{
    weft_message *m = weft_message_writable(x->engine->pool, x->slot->message);
    if (m == NULL) {
        return weft_exec_no_memory();
    }
    x->slot->message = m;
    return WEFT_OK;
}

static weft_message *room_for_encoding(const weft_exec *x)
{
    const weft_codec *c = x->op->request->codec;
    return weft_message_new(x->engine->pool, c->type->bound(c, &x->stretch));
}

/* What was decoded of the sum so far takes the own part in and is encoded anew. */
static int requantize(const weft_exec *x)
{
    weft_request *r = x->op->request;
    const weft_codec *c = r->codec;
    const size_t count = x->span.count, bytes = count * sizeof(float);
    weft_message *sum = weft_message_new(x->engine->pool, bytes);
    weft_message *out = room_for_encoding(x);
    size_t len = 0;
    if (sum == NULL || out == NULL) {
        weft_message_unref(sum);
        weft_message_unref(out);
        return weft_exec_no_memory();
    }
    float *v = (float *)(void *)weft_exec_body(sum);
    int rc = weft_exec_malformed(x, x->slot,
                                 c->type->decode(c, &x->stretch, weft_exec_body(x->slot->message),
                                                 weft_exec_length(x->slot->message), v, false));
    if (rc == WEFT_OK) {
        const weft_draw draw = weft_exec_draw(x, (uint32_t)x->engine->rank);
        weft_kernel_add(v, v, (const float *)(const void *)weft_exec_in(x), count);
        rc = c->type->encode(c, &draw, v, &x->stretch, weft_exec_body(out), weft_exec_length(out),
                             &len);
    }
    if (rc == WEFT_OK) {
        out->len = WEFT_FRAME_HEADER + len;
        r->result.encoded_bytes += len;
    }
    if (rc == WEFT_OK && x->op->acc != NULL) { /* what this hop has lost */
        float *acc = x->op->acc + weft_exec_at(x);
        memcpy(acc, v, bytes);
        rc = c->type->decode(c, &x->stretch, weft_exec_body(out), len, v, false);
        weft_kernel_sub(acc, acc, v, count);
    }
    weft_message_unref(sum);
    if (rc != WEFT_OK) {
        weft_message_unref(out);
        return rc;
    }
    (void)weft_exec_refill(x->slot, out);
    return WEFT_OK;
}

/* Which of the slots cannot be read is found by reading them; `rc` is what combining them said. */
static int blame(const weft_exec *x, const weft_slot *const *slots, size_t n, int rc)
{
    const weft_codec *c = x->op->request->codec;
    weft_problem why = {0};
    weft_message *scratch = weft_message_new(x->engine->pool, x->span.count * sizeof(float));
    weft_problem_from_last(&why);
    for (size_t i = 0; scratch != NULL && i < n; i++) {
        const weft_message *m = slots[i]->message;
        if (c->type->decode(c, &x->stretch, m->data + WEFT_FRAME_HEADER, weft_exec_length(m),
                            weft_exec_body(scratch), false) != WEFT_OK) {
            weft_message_unref(scratch);
            return weft_exec_malformed(x, slots[i], weft_last_error()->code);
        }
    }
    weft_message_unref(scratch);
    return weft_fail(rc, "%s", why.text);
}

/* a op b into a new message of the slot; *drops for what a selection leaves out. */
static int combine(const weft_exec *x, const weft_slot *a, const weft_slot *b, weft_pairs *drops)
{
    const weft_codec *c = x->op->request->codec;
    const weft_slot *const both[] = {a, b};
    weft_message *out = room_for_encoding(x);
    size_t len = 0;
    if (out == NULL) {
        return weft_exec_no_memory();
    }
    const int rc = c->type->combine(c, &x->stretch, weft_exec_body(a->message),
                                    weft_exec_length(a->message), weft_exec_body(b->message),
                                    weft_exec_length(b->message), weft_exec_body(out), &len, drops);
    if (rc != WEFT_OK) {
        weft_message_unref(out);
        return blame(x, both, 2, rc);
    }
    out->len = WEFT_FRAME_HEADER + len;
    (void)weft_exec_refill(x->slot, out);
    return WEFT_OK;
}

/* The own part is encoded by itself: it is checked, and decoded where somebody asks for it. */
static int fold_encoded(const weft_exec *x)
{
    weft_request *r = x->op->request;
    const weft_codec *c = r->codec;
    const weft_draw draw = weft_exec_draw(x, (uint32_t)x->engine->rank);
    weft_slot own = {.message = room_for_encoding(x), .from = -1};
    size_t len = 0;
    if (own.message == NULL) {
        return weft_exec_no_memory();
    }
    int rc = c->type->encode(c, &draw, weft_exec_lane(x), &x->stretch, weft_exec_body(own.message),
                             weft_exec_length(own.message), &len);
    if (rc == WEFT_OK) {
        own.message->len = WEFT_FRAME_HEADER + len;
        r->result.encoded_bytes += len;
        if ((c->type->traits & WEFT_CODEC_COMBINES) != 0) {
            rc = combine(x, x->slot, &own, NULL);
        } else if ((rc = make_writable(x)) == WEFT_OK) {
            uint8_t *mine = weft_exec_body(x->slot->message);
            c->type->merge(c, &x->stretch, mine, mine, weft_exec_body(own.message));
        }
    }
    if (rc == WEFT_OK && x->op->own != NULL) {
        float *to = x->op->own + weft_exec_at(x);
        rc = c->type->decode(c, &x->stretch, weft_exec_body(own.message), len, to, false);
        if (rc == WEFT_OK && r->measures) {
            weft_exec_measure(x, to);
        }
    }
    weft_message_unref(own.message);
    return rc;
}

int weft_exec_fold(weft_exec *x)
{
    weft_request *r = x->op->request;
    if (r->requantizes) {
        return requantize(x);
    }
    if (weft_codec_lossy(r->codec)) {
        return fold_encoded(x);
    }
    const int rc = make_writable(x);
    if (rc == WEFT_OK) {
        r->codec->type->fold(r->codec, &x->stretch, weft_exec_body(x->slot->message),
                             weft_exec_in(x));
        r->result.encoded_bytes += weft_exec_length(x->slot->message);
    }
    return rc;
}

/* How many merges into the same slot stand here, one behind the other. */
static size_t run_of_merges(const weft_exec *x)
{
    const weft_plan *plan = x->plan;
    const weft_step *step = x->step;
    size_t n = 0;
    while (step + n < plan->steps + plan->step_count && n + 1 < AT_ONCE &&
           step[n].verb == WEFT_VERB_MERGE && step[n].slot == step->slot && !step[n].other_first) {
        n++;
    }
    return n;
}

/* All of the run in one. */
static int combine_run(weft_exec *x, size_t run)
{
    const weft_codec *c = x->op->request->codec;
    const weft_slot *slots = x->lane->slots;
    const void *in[AT_ONCE] = {weft_exec_body(x->slot->message)};
    const weft_slot *all[AT_ONCE] = {x->slot};
    size_t lens[AT_ONCE] = {weft_exec_length(x->slot->message)}, len = 0;
    weft_message *out = room_for_encoding(x);
    if (out == NULL) {
        return weft_exec_no_memory();
    }
    for (size_t i = 0; i < run; i++) {
        all[i + 1] = &slots[x->step[i].other];
        in[i + 1] = weft_exec_body(slots[x->step[i].other].message);
        lens[i + 1] = weft_exec_length(slots[x->step[i].other].message);
    }
    const int rc =
        c->type->combine_many(c, &x->stretch, in, lens, run + 1, weft_exec_body(out), &len);
    if (rc != WEFT_OK) {
        weft_message_unref(out);
        return blame(x, all, run + 1, rc);
    }
    out->len = WEFT_FRAME_HEADER + len;
    (void)weft_exec_refill(x->slot, out);
    for (size_t i = 0; i < run; i++) {
        if (x->step[i].last) {
            (void)weft_exec_refill(&x->lane->slots[x->step[i].other], NULL);
        }
    }
    x->lane->pc += run - 1;
    return WEFT_OK;
}

static int select_and_keep(const weft_exec *x, const weft_slot *a, const weft_slot *b)
{
    weft_operation *op = x->op;
    weft_dropped *d = op->request->settles ? weft_calloc(1, sizeof(*d)) : NULL;
    if (op->request->settles && d == NULL) {
        return weft_exec_no_memory();
    }
    const int rc = combine(x, a, b, d != NULL ? &d->pairs : NULL);
    if (rc == WEFT_OK && d != NULL) {
        d->members = x->step->alike;
        d->place = x->step->place;
        d->next = op->dropped;
        op->dropped = d;
    } else if (d != NULL) {
        weft_pairs_free(&d->pairs);
        weft_free(d);
    }
    return rc;
}

int weft_exec_merge(weft_exec *x)
{
    const weft_codec *c = x->op->request->codec;
    weft_slot *other = &x->lane->slots[x->step->other];
    const bool swapped = x->step->other_first;
    const size_t run = c->type->combine_many != NULL ? run_of_merges(x) : 0;
    int rc;
    if (run > 1) {
        return combine_run(x, run);
    }
    if ((c->type->traits & WEFT_CODEC_COMBINES) != 0) {
        rc = select_and_keep(x, swapped ? other : x->slot, swapped ? x->slot : other);
    } else {
        rc = make_writable(x);
        if (rc == WEFT_OK) {
            uint8_t *mine = weft_exec_body(x->slot->message);
            const uint8_t *theirs = weft_exec_body(other->message);
            c->type->merge(c, &x->stretch, mine, swapped ? theirs : mine, swapped ? mine : theirs);
        }
    }
    if (rc == WEFT_OK && x->step->last) {
        (void)weft_exec_refill(other, NULL);
    }
    return rc;
}

int weft_exec_scale(weft_exec *x)
{
    const int rc = make_writable(x);
    if (rc == WEFT_OK) {
        weft_kernel_scale(x->op->request->dtype, weft_exec_body(x->slot->message), x->span.count,
                          x->step->weight);
    }
    return rc;
}

static int read_pairs(const weft_exec *x, weft_pairs *ret)
{
    const weft_codec *c = x->op->request->codec;
    ret->count = 0;
    return c->type->pairs(c, &x->stretch, weft_exec_body(x->slot->message),
                          weft_exec_length(x->slot->message), ret);
}

int weft_exec_sent(weft_exec *x)
{
    return x->op->request->settles ? read_pairs(x, &x->op->sent) : WEFT_OK;
}

int weft_exec_won(weft_exec *x)
{
    return x->op->request->settles ? read_pairs(x, &x->op->won) : WEFT_OK;
}
