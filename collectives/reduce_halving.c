/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reduce-scatter by halving, then the root gathers. The lane is cut into P spans a b c d, of which
 * span i ends at rank i; P = 4, root 0, a1 = rank 1's part of span a:
 *
 *   distance 2   0 -> 2: c0 d0   1 -> 3: d1 a1   2 -> 0: a2 b2   3 -> 1: b3 c3   folded in there
 *   distance 1   0 -> 1: b02     1 -> 2: c13     2 -> 3: d20     3 -> 0: a31     merged there
 *   at the root  1 -> 0: b       2 -> 0: c       3 -> 0: d
 *
 * ceil(lg P) + 1 rounds; a rank sends every span once: n w bytes; the root receives ceil(lg P)
 * + P - 1 messages, 2(P-1)/P n w bytes where the spans are even. Order of summation: of the
 * circulant graph (circulant.h), another for each span. Needs encodings that merge. For long
 * vectors when chains would be long. Source: Rabenseifner's reduction, Thakur, Rabenseifner &
 * Gropp, IJHPCA 19 (2005), section 4.4, on the graph of Träff, arXiv:2410.14234 (2024): any P, no
 * rank that waits for a helper.
 */
#include "collectives/circulant.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int levels = weft_lg_ceil(s->size);
    size_t reduced = 0, moved = s->count;

    (void)reply;
    if (s->size == 1)
        return (weft_cost){0};
    for (int r = 0; r < s->size; r++) {
        const size_t of_rank = weft_circulant_reduced(s, r);
        reduced = of_rank > reduced ? of_rank : reduced;
        /* A rank receives what it reduces; the root then every span but its own, too. */
        const size_t gathered = r == s->root ? s->count - weft_part(s, r).count : 0;
        moved = of_rank + gathered > moved ? of_rank + gathered : moved;
    }
    return (weft_cost){.rounds = levels + 1,
                       .messages = levels + s->size - 1,
                       .bytes = (double)moved * width,
                       .reduced_bytes = (double)reduced * width,
                       .peers = s->size - 1};
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int r = s->rank, have = weft_circulant_reduce(p, s, weft_part);

    if (r != s->root) {
        weft_plan_send(p, have, s->root);
        return weft_plan_check(p);
    }
    weft_plan_unpack(p, have, weft_part(s, r));
    for (int d = 1; d < s->size; d++) {
        weft_plan_recv(p, have, (r + d) % s->size, weft_part(s, r + d));
        weft_plan_fence(p);
        weft_plan_unpack(p, have, weft_part(s, r + d));
    }
    return weft_plan_check(p);
}

const weft_algo weft_algo_reduce_halving = {
    .coll = WEFT_COLL_REDUCE,
    .name = "halving",
    .summary = "spans are reduced by halving distances, then gathered by the root",
    .source = "Thakur, Rabenseifner & Gropp 2005; Träff 2024",
    .formula = "ceil(lg P) + 1 rounds, 2(P-1)/P n w bytes at the root",
    .needs = WEFT_NEEDS_MERGE,
    .parts = weft_parts_size,
    .cost = cost,
    .build = build,
};
