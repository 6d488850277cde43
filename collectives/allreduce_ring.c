/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring allreduce: P - 1 hops reduce, P - 1 hops spread. The lane is cut into P spans a b c d; who
 * holds what, P = 4, a = rank 0's part of span a, ab… = sums in ring order:
 *
 *   hop    0 -> 1      1 -> 2      2 -> 3      3 -> 0
 *   1      a0          b1          c2          d3          the receiver folds its own part in
 *   2      d3+d0       a0+a1       b1+b2       c2+c3
 *   3      c2+c3+c0    d3+d0+d1    a0+a1+a2    b1+b2+b3    now 0, 1, 2, 3 have b, c, d, a
 *   4      b           c           d           a           encodings travel on unchanged
 *   5      a           b           c           d
 *   6      d           a           b           c
 *
 * 2(P-1) rounds; rank r sends every span but r+1, then every span but r+2: 2(P-1)/P n bytes where
 * the spans are even. Order of summation: span i adds ranks i, i+1, …, i-1, each new operand on the
 * right; computed once, then copied as bytes: same bits everywhere.
 * Needs encodings that fold. Every message waits for the one before: short vectors go better by
 * doubling or scatter.
 * Source: Patarasuk & Yuan, Bandwidth optimal all-reduce algorithms, JPDC 69 (2009).
 */
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_cuts cuts = weft_cuts_of(s, weft_whole(s, 0), s->size);
    const double n = (double)s->count, hops = s->size - 1;
    weft_cost c = {.rounds = 2 * hops, .messages = 2 * hops, .peers = s->size > 1};

    (void)reply;
    for (int r = 0; r < s->size && s->size > 1; r++) {
        const double sent = 2 * n - (double)weft_cuts_run(&cuts, (r + 1) % s->size, 1) -
                            (double)weft_cuts_run(&cuts, (r + 2) % s->size, 1);
        const double folded = n - (double)weft_cuts_run(&cuts, r, 1);
        c.bytes = sent * width > c.bytes ? sent * width : c.bytes;
        c.reduced_bytes = folded * width > c.reduced_bytes ? folded * width : c.reduced_bytes;
    }
    return c;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int size = s->size, r = s->rank, next = (r + 1) % size, prev = (r + size - 1) % size;
    int have = 0, got = 1;

    weft_plan_pack(p, have, weft_part(s, r));
    for (int t = 0; t < size - 1; t++) { /* what arrives takes mine in and travels on */
        const weft_span span = weft_part(s, r - t - 1);
        weft_plan_send(p, have, next);
        weft_plan_recv(p, got, prev, span);
        weft_plan_fence(p);
        weft_plan_fold(p, got, span);
        const int spare = have;
        have = got;
        got = spare;
    }
    weft_plan_unpack(p, have, weft_part(s, r + 1)); /* the owner keeps what the others decode */
    for (int t = 0; t < size - 1; t++) {
        const weft_span span = weft_part(s, r - t);
        weft_plan_send(p, have, next);
        weft_plan_recv(p, got, prev, span);
        weft_plan_fence(p);
        weft_plan_unpack(p, got, span);
        const int spare = have;
        have = got;
        got = spare;
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_ring = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "ring",
    .summary = "spans travel around a ring, summed on the way, then spread",
    .source = "Patarasuk & Yuan 2009",
    .formula = "2(P-1) rounds, 2(P-1)/P n w bytes",
    .needs = WEFT_NEEDS_MERGE,
    .parts = weft_parts_size,
    .traits = WEFT_ALGO_RING,
    .cost = cost,
    .build = build,
};
