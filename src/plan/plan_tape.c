/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan_tape.h"

#include "base/mem.h"
#include "base/status.h"

void weft_tape_free(weft_tape *t)
{
    weft_free(t->ops);
    weft_free(t->peers);
    weft_free(t->recv_ops);
    *t = (weft_tape){0};
}

int weft_tape_find(const weft_tape *t, int rank)
{
    uint32_t low = 0, high = t->peer_count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (t->peers[mid].rank < rank)
            low = mid + 1;
        else
            high = mid;
    }
    return low < t->peer_count && t->peers[low].rank == rank ? (int)low : -1;
}

static bool talks(const weft_step *s)
{
    return s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
}

/* Seconds of a step that is neither message nor fence. */
static double work(const weft_step *s, const weft_tape_rates *r)
{
    const double bytes = (double)s->span.count * r->element_bytes;

    switch (s->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_REPLY:
        return bytes * r->pack_s;
    case WEFT_VERB_UNPACK:
        return bytes * r->unpack_s;
    default:
        return bytes * r->merge_s;
    }
}

static int allocate(weft_tape *t, const weft_plan *p)
{
    t->peer_count = (uint32_t)p->peer_count;
    t->ops = weft_calloc(p->step_count, sizeof *t->ops);
    t->peers = weft_calloc(p->peer_count, sizeof *t->peers);
    t->recv_ops = weft_calloc(p->recv_count, sizeof *t->recv_ops);
    if (!t->ops || !t->peers || !t->recv_ops)
        return weft_fail(WEFT_ENOMEM, "no memory for the plan of rank %d of %d", p->rank, p->size);
    for (size_t i = 0; i < p->peer_count; i++)
        t->peers[i].rank = p->peers[i].rank;
    return WEFT_OK;
}

/* Number whole messages: receives lie together by peer. */
static void number(weft_tape *t, const weft_plan *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        if (s->verb == WEFT_VERB_RECV && !s->joined)
            t->peers[weft_tape_find(t, s->peer)].recvs++;
    }
    for (uint32_t k = 0; k < t->peer_count; k++) {
        t->peers[k].first_recv = t->recv_count;
        t->recv_count += t->peers[k].recvs;
        t->peers[k].recvs = 0; /* counted again while the steps are written */
    }
}

/* The message that ends with this step. */
static void put_message(weft_tape *t, const weft_step *s, double bytes, bool fenced)
{
    const int k = weft_tape_find(t, s->peer);
    weft_tape_peer *peer = &t->peers[k];
    weft_tape_op op = {.peer = (uint16_t)k, .amount = bytes};

    if (s->verb == WEFT_VERB_SEND) {
        op.kind = WEFT_TAPE_SEND;
        op.index = peer->sends++;
        peer->goes += bytes;
        peer->prompt = peer->prompt || !fenced;
    } else {
        op.kind = WEFT_TAPE_RECV;
        op.index = peer->first_recv + peer->recvs++;
        peer->comes += bytes;
        t->recv_ops[op.index] = (uint32_t)t->op_count;
    }
    t->ops[t->op_count++] = op;
}

/* Work behind work is one: where pieces travel together there are very many. */
static void put_work(weft_tape *t, double seconds)
{
    if (t->op_count > 0 && t->ops[t->op_count - 1].kind == WEFT_TAPE_WORK)
        t->ops[t->op_count - 1].amount += seconds;
    else
        t->ops[t->op_count++] = (weft_tape_op){.kind = WEFT_TAPE_WORK, .amount = seconds};
}

/* Room for what is left only. */
static void shrink(weft_tape *t)
{
    void *ops = weft_realloc(t->ops, t->op_count * sizeof *t->ops);

    t->ops = ops ? ops : t->ops;
}

int weft_tape_make(weft_tape *ret, const weft_plan *p, const weft_tape_rates *rates,
                   size_t (*bound)(void *user, const weft_plan *p, const weft_step *s), void *user)
{
    weft_tape t = {0};
    double bytes = 0; /* of the message so far */
    bool fenced = false;
    const int rc = allocate(&t, p);

    if (rc) {
        weft_tape_free(&t);
        return rc;
    }
    number(&t, p);
    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        if (talks(s)) {
            bytes += (double)bound(user, p, s);
            if (s->joined)
                continue;
            put_message(&t, s, bytes, fenced);
            bytes = 0;
        } else if (s->verb == WEFT_VERB_FENCE) {
            fenced = true;
            t.ops[t.op_count++] = (weft_tape_op){.kind = WEFT_TAPE_FENCE};
        } else {
            put_work(&t, work(s, rates));
        }
    }
    shrink(&t);
    *ret = t;
    return WEFT_OK;
}
