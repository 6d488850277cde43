/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Majority vote. The lane is cut into P spans; rank i counts the signs of span i for all. P = 4,
 * s1(c) = rank 1's signs of span c, a bit an element:
 *
 *   round   to owner 0 (a)       to owner 1 (b)       to owner 2 (c)       to owner 3 (d)
 *   1       s1(a) s2(a) s3(a)    s0(b) s2(b) s3(b)    s0(c) s1(c) s3(c)    s0(d) s1(d) s2(d)
 *           every owner counts all P, its own too, and decides
 *   2       the owner sends the majority of its span to everybody, a bit an element
 *
 * 2 rounds, 2(P-1) messages; (P-1)/P n bits each way. The counters are exact and of no order: same
 * bits everywhere. (Ties that are to be 0 take more than a bit on the way back.)
 * A majority of majorities is another thing: signs travel to one place, uncounted.
 * Source: Bernstein, Wang, Azizzadenesheli & Anandkumar, signSGD, ICML 2018; without a server.
 */
#include "collectives/partition.h"

enum { TIES };
enum { OUT, OWN, FIRST };

extern const weft_algo weft_algo_allreduce_scatter;

static const weft_param params[] = {
    [TIES] = {.key = "ties",
              .value = "random",
              .choices = "random|plus|minus|zero",
              .help = "what as many peers are for as against comes to"},
    {.key = NULL},
};

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    return weft_algo_allreduce_scatter.cost(s, width, reply);
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
    for (int i = 0, slot = FIRST; i < size; i++)
        if (i != r)
            weft_plan_recv(p, slot++, i, mine);
    if (size > 1)
        weft_plan_fence(p);
    for (int i = 1; i < size; i++)
        weft_plan_merge(p, OWN, FIRST + i - 1, false);
    weft_plan_unpack(p, OWN, mine);
    if (size > 1)
        weft_plan_reply(p, OUT, mine);
    for (int d = 1; d < size; d++)
        weft_plan_send(p, OUT, (r + d) % size);
    for (int d = 1; d < size; d++) {
        const weft_span part = weft_part(s, r - d);
        weft_plan_recv_raw(p, FIRST, (r - d + size) % size, part);
        weft_plan_fence(p);
        weft_plan_unpack(p, FIRST, part);
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_vote = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "vote",
    .summary = "majority of signs: every rank counts one span for all",
    .source = "Bernstein et al. 2018",
    .formula = "2 rounds, (P-1)/P n (w + 1/8) bytes",
    .needs = WEFT_NEEDS_SIGNS,
    .traits = WEFT_ALGO_REPLIES | WEFT_ALGO_NAMED,
    .params = params,
    .parts = weft_parts_size,
    .cost = cost,
    .build = build,
};
