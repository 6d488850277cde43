/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring in both directions: two rings that run against each other, each with half of the lane. It is
 * cut into 2P spans, a b c d for the ring to the right, A B C D for the one to the left. P = 4,
 * a0 = rank 0's part of span a:
 *
 *   hop    0 -> 1      1 -> 2      2 -> 3      3 -> 0    |   0 -> 3    1 -> 0    2 -> 1    3 -> 2
 *   1      a0          b1          c2          d3        |   A0        D1        C2        B3
 *   2      d3+d0       a0+a1       b1+b2       c2+c3     |   D1+D0     C2+C1     B3+B2     A0+A3
 *   3      c2+c3+c0    d3+d0+d1    a0+a1+a2    b1+b2+b3  |   C2+C1+C0  B3+B2+B1  …
 *   4 - 6  sums travel on unchanged in both directions, as in the ring
 *
 * 2(P-1) rounds with a message each way, 4(P-1) messages; 2(P-1)/P n w bytes where the spans are
 * even, half of them to either neighbour: where links carry both ways and a rank has one to each
 * neighbour, half the time of a ring. Order of summation: span i of the first ring adds ranks i,
 * i+1, …, i-1; of the second -i, -i-1, …, -i+1, each new operand on the right; computed once, then
 * copied as bytes: same bits everywhere.
 * Needs encodings that fold.
 * Source: Jain & Sabharwal, Optimal bucket algorithms for large MPI collectives on torus
 * interconnects, ICS 2010.
 */
#include "collectives/partition.h"

enum { DIRECTIONS = 2 };

/* One of the two rings. */
typedef struct ring {
    weft_cuts cuts;
    int size, first; /* of its spans */
    int place;       /* of this rank, in the direction of travel */
    int next, previous;
    int have, got; /* slots */
} ring;

static int place_in(int rank, int size, int direction)
{
    return direction == 0 ? rank : (size - rank) % size;
}

static ring ring_of(const weft_shape *s, int direction)
{
    const int size = s->size, r = s->rank, up = (r + 1) % size, down = (r + size - 1) % size;

    return (ring){.cuts = weft_cuts_of(s, weft_whole(s, 0), DIRECTIONS * size),
                  .size = size,
                  .first = direction * size,
                  .place = place_in(r, size, direction),
                  .next = direction == 0 ? up : down,
                  .previous = direction == 0 ? down : up,
                  .have = 2 * direction,
                  .got = 2 * direction + 1};
}

/* Span of the ring by number, from -size on. */
static weft_span part(const ring *g, int index)
{
    return weft_cuts_part(&g->cuts, g->first + (index + g->size) % g->size);
}

static int parts(const weft_shape *s)
{
    return DIRECTIONS * s->size;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int hops = s->size - 1;
    const ring rings[DIRECTIONS] = {ring_of(s, 0), ring_of(s, 1)};
    weft_cost most = {.rounds = 2 * hops,
                      .messages = 2 * DIRECTIONS * hops,
                      .peers = hops < DIRECTIONS ? hops : DIRECTIONS};

    (void)reply;
    for (int r = 0; r < s->size && hops > 0; r++) {
        weft_cost one = {0};
        for (int d = 0; d < DIRECTIONS; d++) {
            const ring *g = &rings[d];
            const int at = place_in(r, s->size, d);
            const size_t all = weft_cuts_run(&g->cuts, g->first, g->size);
            const size_t left = part(g, at + 1).count + part(g, at + 2).count;
            one.bytes += (double)(2 * all - left) * width;
            one.reduced_bytes += (double)(all - part(g, at).count) * width;
        }
        weft_cost_most(&most, &one);
    }
    return most;
}

/* What the t-th hop brings: taken in, or a sum to keep; and off it goes again. */
static void hop(weft_plan *p, ring *g, int t)
{
    const int reducing = g->size - 1, last = 2 * reducing;
    const weft_span span = part(g, t <= reducing ? g->place - t : g->place - (t - reducing) + 1);
    const int spare = g->have;

    weft_plan_recv(p, g->got, g->previous, span);
    weft_plan_fence(p);
    if (t <= reducing)
        weft_plan_fold(p, g->got, span);
    if (t < last)
        weft_plan_send(p, g->got, g->next);
    if (t >= reducing)
        weft_plan_unpack(p, g->got, span);
    g->have = g->got;
    g->got = spare;
}

static int build(weft_plan *p, const weft_shape *s)
{
    ring rings[DIRECTIONS] = {ring_of(s, 0), ring_of(s, 1)};

    for (int d = 0; d < DIRECTIONS; d++) {
        const weft_span span = part(&rings[d], rings[d].place);
        weft_plan_pack(p, rings[d].have, span);
        if (s->size > 1)
            weft_plan_send(p, rings[d].have, rings[d].next);
        else
            weft_plan_unpack(p, rings[d].have, span);
    }
    for (int t = 1; t <= 2 * (s->size - 1); t++)
        for (int d = 0; d < DIRECTIONS; d++)
            hop(p, &rings[d], t);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_bidirectional = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "bidirectional",
    .summary = "two rings against each other, each with half of the spans",
    .source = "Jain & Sabharwal 2010",
    .formula = "2(P-1) rounds, 2(P-1)/P n w bytes, half to either neighbour",
    .needs = WEFT_NEEDS_MERGE,
    .parts = parts,
    .cost = cost,
    .build = build,
};
