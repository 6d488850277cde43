/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies: the owner of a span has its sum (or mean) in the output and sends it to the others.
 *
 * By the dense codec the elements go as they are. By a lossy one the owner encodes them, with
 * blocks that count from the span's first element, and everybody, the owner too, takes what was
 * decoded: so all hold the same bits. With a memory H, alike on all peers, what is encoded is the
 * difference to it: S = mean + carry, e = decoded Q(S - H), output = H + e; H grows by alpha e when
 * the operation has succeeded (Philippenko & Dieuleveut 2020; Liu et al. 2020).
 *
 * The random numbers are those of the owner's number plus 2^31: its contribution drew others.
 */
#include <string.h>

#include "engine/exec.h"
#include "kernel/kernel.h"

#define REPLY_STREAM (UINT32_C(1) << 31)

/* Where an encoding is decoded to: the output, or what is added to the memory. */
static void *target(const weft_exec *x)
{
    return x->op->news != NULL ? (void *)(x->op->news + weft_exec_at(x)) : weft_exec_out(x);
}

static int decode(const weft_exec *x, const weft_slot *slot)
{
    const weft_request *r = x->op->request;
    const weft_codec *c = r->reply;
    const int rc = c->type->decode(c, &x->stretch, weft_exec_body(slot->message),
                                   weft_exec_length(slot->message), target(x), false);
    if (rc == WEFT_OK && x->op->news != NULL) {
        const size_t at = weft_exec_at(x);
        weft_kernel_add((float *)(void *)weft_exec_out(x), r->reply_memory + at, x->op->news + at,
                        x->span.count);
    }
    return rc;
}

/* What the owner encodes: in the output, or, with a memory, the difference to it. */
static const void *source(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    char *out = weft_exec_out(x);
    if (x->span.count == 0) {
        return out;
    }
    const size_t at = weft_exec_at(x);
    float *v = (float *)(void *)out;
    if (r->owned != NULL) {
        memcpy(r->owned + at, v, x->span.count * sizeof(float));
    }
    if (r->reply_carry != NULL) {
        weft_kernel_add(v, v, r->reply_carry + at, x->span.count);
    }
    if (x->op->news != NULL) {
        weft_kernel_sub(x->op->news + at, v, r->reply_memory + at, x->span.count);
        return x->op->news + at;
    }
    return out;
}

/* Does the owner's residual take in what encoding the reply loses? Where a memory or a carry has
 * that, or it returns to who sent it, not. */
static bool keeps_loss(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    return x->op->acc != NULL && x->op->news == NULL && r->reply_carry == NULL && !r->returns &&
           weft_codec_lossy(r->reply) && x->span.count > 0;
}

/* The reply as all others decode it, in place of the sum. */
static int decode_lossy(const weft_exec *x)
{
    const weft_request *r = x->op->request;
    const size_t count = x->span.count;
    if (!keeps_loss(x)) {
        return decode(x, x->slot);
    }
    weft_message *sum = weft_message_new(x->engine->pool, count * sizeof(float));
    if (sum == NULL) {
        return weft_exec_no_memory();
    }
    float *lost = (float *)(void *)weft_exec_body(sum);
    memcpy(lost, weft_exec_out(x), count * sizeof(float));
    const int rc = decode(x, x->slot);
    if (rc == WEFT_OK) { /* of a mean each peer's part counts once in so many */
        const float whole = r->op == WEFT_MEAN ? (float)x->op->context->size : 1.0f;
        weft_kernel_sub(lost, lost, (const float *)(const void *)weft_exec_out(x), count);
        weft_kernel_axpy(x->op->acc + weft_exec_at(x), whole, lost, count);
    }
    weft_message_unref(sum);
    return rc;
}

int weft_exec_reply(weft_exec *x)
{
    const weft_request *r = x->op->request;
    const weft_codec *c = r->reply;
    size_t len = 0;
    if (r->op == WEFT_MEAN) {
        weft_kernel_divide(r->dtype, weft_exec_out(x), x->span.count, (double)x->op->context->size);
    }
    weft_message *m = weft_message_new(x->engine->pool, c->type->bound(c, &x->stretch));
    if (!weft_exec_refill(x->slot, m)) {
        return weft_exec_no_memory();
    }
    const weft_draw draw = weft_exec_draw(x, (uint32_t)x->engine->rank + REPLY_STREAM);
    int rc = c->type->encode(c, &draw, source(x), &x->stretch, weft_exec_body(m),
                             weft_exec_length(m), &len);
    if (rc == WEFT_OK) {
        m->len = WEFT_FRAME_HEADER + len;
        rc = weft_codec_lossy(c) ? decode_lossy(x) : WEFT_OK;
    }
    return rc;
}

int weft_exec_unpack_reply(weft_exec *x)
{
    const int rc = weft_exec_malformed(x, x->slot, decode(x, x->slot));
    if (rc == WEFT_OK && x->step->last) {
        (void)weft_exec_refill(x->slot, NULL);
    }
    return rc;
}
