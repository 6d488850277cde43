/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers of a shared scale. All peers agree on the scale of every block first (an allreduce of
 * the largest magnitudes); then a contribution is s integers -s … s an element, and those are added
 * exactly on the way: by a ring, up a tree, or in a butterfly.
 *
 *   addends   1      2      3      …   P          of every element, all the way the same scale N
 *   values    s      2 s    3 s        P s        each hop sends ceil(lg(2 s t + 1)) bits of t
 * addends
 *
 * The plans are those of ring, binomial and doubling; only what travels grows. Order of summation:
 * of no account, integers add exactly: same bits everywhere, and by every plan. Every contribution
 * is encoded once: exact. Shares the scale, so that a peer of small gradients is coarser than
 * alone. Source: scaler sharing: Wen, Xu, Yan, Wu, Wang, Chen & Li, TernGrad, NeurIPS 2017;
 * integers that are added: Mishchenko, Wang, Kovalev & Richtárik, IntSGD, 2021.
 */
#include <math.h>

#include "collectives/algo.h"

enum { OVER };
enum { RING, TREE, BUTTERFLY }; /* order of the choices */

extern const weft_algo weft_algo_allreduce_ring, weft_algo_allreduce_binomial,
    weft_algo_allreduce_doubling;

static const weft_param params[] = {
    [OVER] = {.key = "over",
              .value = "ring",
              .choices = "ring|tree|butterfly",
              .help = "the way of the integers: ring, binomial tree, recursive doubling"},
    {.key = NULL},
};

static const weft_algo *way(const weft_shape *s)
{
    switch (weft_shape_choice(s, OVER)) {
    case TREE:
        return &weft_algo_allreduce_binomial;
    case BUTTERFLY:
        return &weft_algo_allreduce_doubling;
    default:
        return &weft_algo_allreduce_ring;
    }
}

static weft_shape bare(const weft_shape *s)
{
    weft_shape b = *s;

    b.spec = NULL;
    return b;
}

/* Bits of an element that is a sum of t. */
static double bits(const weft_shape *s, double t)
{
    return ceil(log2(2 * s->levels * t + 1));
}

/* Bytes of an element in the busiest rank's messages, on average, where `width` is of P addends. */
static double average(const weft_shape *s, double width)
{
    double sum = 0, messages = 0;

    if (s->levels == 0 || s->size < 2)
        return width;
    switch (weft_shape_choice(s, OVER)) {
    case TREE: /* rank 0 sends nothing but whole sums */
        return width;
    case BUTTERFLY:
        for (int t = 1; t < s->size; t *= 2, messages++)
            sum += bits(s, t);
        break;
    default:
        for (int t = 1; t < s->size; t++, messages += 2)
            sum += bits(s, t) + bits(s, s->size);
        break;
    }
    return width * sum / (messages * bits(s, s->size));
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_shape b = bare(s);

    return way(s)->cost(&b, average(s, width), reply);
}

static int parts(const weft_shape *s)
{
    const weft_shape b = bare(s);

    return way(s)->parts ? way(s)->parts(&b) : 1;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const weft_shape b = bare(s);

    return way(s)->build(p, &b);
}

const weft_algo weft_algo_allreduce_shared = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "shared",
    .summary = "integers of a scale that all agree on first, added exactly on their way",
    .source = "Wen et al. 2017; Mishchenko et al. 2021",
    .formula = "as ring (binomial, doubling), t addends of s levels take ceil(lg(2st+1)) bits",
    .needs = WEFT_NEEDS_SHARED,
    .traits = WEFT_ALGO_NAMED,
    .params = params,
    .parts = parts,
    .cost = cost,
    .build = build,
};
