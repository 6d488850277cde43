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
    t->peers = weft_calloc(p->peer_count, sizeof *t->peers);
    if (!t->peers)
        return weft_fail(WEFT_ENOMEM, "no memory for the plan of rank %d of %d", p->rank, p->size);
    for (size_t i = 0; i < p->peer_count; i++)
        t->peers[i].rank = p->peers[i].rank;
    return WEFT_OK;
}

/* The next one, zeroed; NULL: out of memory. */
static weft_tape_op *put(weft_tape *t, size_t *cap, weft_tape_kind kind)
{
    void *ops = t->ops;

    if (!weft_grow(&ops, cap, t->op_count + 1, sizeof *t->ops))
        return NULL;
    t->ops = ops;
    weft_tape_op *op = &t->ops[t->op_count++];
    *op = (weft_tape_op){.kind = (uint16_t)kind};
    return op;
}

/* The message that ends with this step; a receive is numbered among its peer's. */
static bool put_message(weft_tape *t, size_t *cap, const weft_step *s, double bytes, bool fenced)
{
    const int k = weft_tape_find(t, s->peer);
    const bool send = s->verb == WEFT_VERB_SEND;
    weft_tape_op *op = put(t, cap, send ? WEFT_TAPE_SEND : WEFT_TAPE_RECV);
    weft_tape_peer *peer = &t->peers[k];

    if (!op)
        return false;
    op->peer = (uint16_t)k;
    op->amount = bytes;
    op->index = send ? peer->sends++ : peer->recvs++;
    if (send) {
        peer->prompt = peer->prompt || !fenced;
    } else {
        peer->comes += bytes;
    }
    return true;
}

/* Number receives through all peers: they lie together by peer. */
static bool number(weft_tape *t)
{
    for (uint32_t k = 0; k < t->peer_count; k++) {
        t->peers[k].first_recv = t->recv_count;
        t->recv_count += t->peers[k].recvs;
    }
    t->recv_ops = weft_calloc(t->recv_count, sizeof *t->recv_ops);
    for (size_t i = 0; t->recv_ops && i < t->op_count; i++) {
        weft_tape_op *op = &t->ops[i];
        if (op->kind != WEFT_TAPE_RECV)
            continue;
        op->index += t->peers[op->peer].first_recv;
        t->recv_ops[op->index] = (uint32_t)i;
    }
    return t->recv_ops != NULL;
}

static bool put_work(weft_tape *t, size_t *cap, double seconds)
{
    weft_tape_op *op = put(t, cap, WEFT_TAPE_WORK);

    if (op)
        op->amount = seconds;
    return op != NULL;
}

/* Room for what is there only. */
static void shrink(weft_tape *t)
{
    void *ops = weft_realloc(t->ops, t->op_count * sizeof *t->ops);

    t->ops = ops ? ops : t->ops;
}

int weft_tape_make(weft_tape *ret, const weft_plan *p, const weft_tape_rates *rates,
                   size_t (*bound)(void *user, const weft_plan *p, const weft_step *s), void *user)
{
    weft_tape t = {0};
    size_t cap = 0, bytes = 0; /* bytes: of the message so far */
    double seconds = 0;        /* of work behind work: it is one */
    bool working = false, fenced = false, fine = true;
    int rc = allocate(&t, p);

    for (size_t i = 0; !rc && fine && i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        const bool talks = s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
        if (!talks && s->verb != WEFT_VERB_FENCE) {
            seconds += work(s, rates);
            working = true;
            continue;
        }
        if (working)
            fine = put_work(&t, &cap, seconds);
        seconds = 0;
        working = false;
        if (!talks) {
            fenced = true;
            fine = fine && put(&t, &cap, WEFT_TAPE_FENCE);
            continue;
        }
        bytes += bound(user, p, s);
        if (s->verb == WEFT_VERB_RECV)
            t.peers[weft_tape_find(&t, s->peer)].parts++;
        if (s->joined)
            continue;
        fine = fine && put_message(&t, &cap, s, (double)bytes, fenced);
        bytes = 0;
    }
    if (fine && working)
        fine = put_work(&t, &cap, seconds);
    if (!rc && !(fine && number(&t)))
        rc = weft_fail(WEFT_ENOMEM, "no memory for the plan of rank %d of %d", p->rank, p->size);
    if (rc) {
        weft_tape_free(&t);
        return rc;
    }
    shrink(&t);
    *ret = t;
    return WEFT_OK;
}
