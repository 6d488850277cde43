/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct scatter-reduce with a raw reply. The lane is cut into P spans; rank i owns span i. P = 4,
 * e1(c) = rank 1's encoding of span c:
 *
 *   round   to owner 0 (a)       to owner 1 (b)       to owner 2 (c)       to owner 3 (d)
 *   1       e1(a) e2(a) e3(a)    e0(b) e2(b) e3(b)    e0(c) e1(c) e3(c)    e0(d) e1(d) e2(d)
 *           every owner decodes all P, its own too, and adds them in rank order
 *   2       the owner sends its span of the sum to everybody, as elements
 *
 * 2 rounds, 2(P-1) messages; up (P-1)/P n w bytes, down (P-1)/P n reply bytes. Order of summation:
 * decoded values in rank order from rank 0's, by the owner alone: same bits everywhere, the same as
 * of gather. Every contribution is encoded once: exact for any codec.
 * Peers are served in the order r+1, r+2, …, so that not everybody sends to one owner at a time.
 * Contributions are taken in rank order and replies in the order they are sent, a fence each: what
 * came is decoded while the next is awaited, and one slot serves them all.
 * Source: stripes owned by ranks, Seide, Fu, Droppo, Li & Yu, 1-bit stochastic gradient descent,
 * Interspeech 2014, without its second coding.
 */
#include "collectives/partition.h"

enum { OWN, OUT, GOT };

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const double n = (double)s->count, others = s->size - 1;
    weft_cost c = {.rounds = s->size > 1 ? 2 : 0, .messages = 2 * others, .peers = others};

    for (int r = 0; r < s->size && s->size > 1; r++) {
        const double part = (double)weft_part(s, r).count;
        const double sent = (n - part) * width + others * part * reply;
        const double added = others * part * width;
        c.bytes = sent > c.bytes ? sent : c.bytes;
        c.reduced_bytes = added > c.reduced_bytes ? added : c.reduced_bytes;
    }
    return c;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank;
    const weft_span mine = weft_part(s, r);

    for (int d = 1; d < size; d++) {
        weft_plan_pack(p, OUT, weft_part(s, r + d));
        weft_plan_send(p, OUT, (r + d) % size);
    }
    weft_plan_pack(p, OWN, mine);
    for (int i = 0; i < size; i++) {
        if (i != r) {
            weft_plan_recv(p, GOT, i, mine);
            weft_plan_fence(p);
        }
        if (i == 0)
            weft_plan_unpack(p, i == r ? OWN : GOT, mine);
        else
            weft_plan_add(p, i == r ? OWN : GOT, mine);
    }
    weft_plan_reply(p, OUT, mine); /* alone too: a reply with a memory changes it */
    for (int d = 1; d < size; d++)
        weft_plan_send(p, OUT, (r + d) % size);
    for (int d = 1; d < size; d++) {
        const weft_span part = weft_part(s, r - d);
        weft_plan_recv_raw(p, GOT, (r - d + size) % size, part);
        weft_plan_fence(p);
        weft_plan_unpack(p, GOT, part);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_scatter = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "scatter",
    .summary = "every rank reduces one span for all, in rank order, and replies with elements",
    .source = "Seide, Fu, Droppo, Li & Yu 2014",
    .traits = WEFT_ALGO_REPLIES | WEFT_ALGO_ORDERED,
    .parts = weft_parts_size,
    .formula = "2 rounds, (P-1)/P n (w + e) bytes, e of an element",
    .cost = cost,
    .build = build,
};
