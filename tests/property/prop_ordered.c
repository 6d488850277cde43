/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every algorithm that promises rank order, on plan_sim, with an operation that does not commute:
 * each element of each output is the composition of all ranks' maps in the order of ranks.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "collectives/algo.h"
#include "plan/plan_sim.h"
#include "support/affine.h"

enum { MOST = 32 };

typedef struct world {
    const weft_algo *algo;
    weft_shape shape;
    weft_plan plans[MOST];
    uint64_t *out[MOST];
    uint8_t *written[MOST];
} world;

/* Where an element of the lane lies among what travels. */
static uint64_t index_of(const world *w, weft_span travels, size_t i)
{
    return (uint64_t)travels.block * w->shape.count + travels.off + i;
}

static size_t bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)raw;
    return span.count * sizeof(uint64_t);
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    world *w = user;
    const weft_plan *p = &w->plans[at->rank];
    const weft_span span = at->step->span;
    uint64_t *to = slot;

    for (size_t i = 0; i < span.count; i++)
        to[i] = at->step->verb == WEFT_VERB_REPLY
                    ? w->out[at->rank][span.block * w->shape.count + span.off + i]
                    : affine_map(at->rank, index_of(w, weft_plan_in(p, span), i));
    *ret_len = cap;
    return WEFT_OK;
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    world *w = user;
    const weft_span travels = weft_plan_in(&w->plans[at->rank], at->step->span);
    uint64_t *into = slot;

    (void)len;
    for (size_t i = 0; i < travels.count; i++)
        into[i] = affine_then(into[i], affine_map(at->rank, index_of(w, travels, i)));
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    uint64_t *into = slot;
    const uint64_t *more = other;

    (void)user;
    cr_assert_eq(len, other_len);
    for (size_t i = 0; i < len / sizeof *into; i++)
        into[i] =
            at->step->other_first ? affine_then(more[i], into[i]) : affine_then(into[i], more[i]);
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    world *w = user;
    const weft_span span = at->step->span;
    const size_t first = (size_t)span.block * w->shape.count + span.off;
    const uint64_t *from = slot;

    (void)len;
    for (size_t i = 0; i < span.count; i++) {
        uint64_t *to = &w->out[at->rank][first + i];
        *to = at->step->verb == WEFT_VERB_ADD ? affine_then(*to, from[i]) : from[i];
        w->written[at->rank][first + i] = 1;
    }
    return WEFT_OK;
}

static const weft_sim_ops ops = {
    .bound = bound, .fill = fill, .fold = fold, .merge = merge, .unpack = unpack};

static void check_outputs(const world *w)
{
    const weft_goal goal = weft_algo_goal(w->algo, &w->shape);
    const int size = w->shape.size;

    for (int rank = 0; rank < size; rank++)
        for (size_t i = 0; i < w->plans[rank].out_blocks * w->shape.count; i++) {
            const weft_span local = {
                .block = (uint32_t)(i / w->shape.count), .off = i % w->shape.count, .count = 1};
            const weft_span travels = weft_plan_out(&w->plans[rank], local);
            if (goal.sink >= 0 && rank != goal.sink)
                continue;
            if (!w->written[rank][i] ||
                w->out[rank][i] != affine_chain(0, size - 1, index_of(w, travels, 0)))
                cr_assert_fail("%s %s P=%d n=%zu block=%zu root=%d: rank %d element %zu%s",
                               weft_coll_name(w->algo->coll), w->algo->name, size, w->shape.count,
                               w->shape.block, w->shape.root, rank, i,
                               w->written[rank][i] ? "" : " is not written");
        }
}

static void try_shape(const weft_algo *a, const weft_shape *s)
{
    world w = {.algo = a, .shape = *s};
    char why[160];

    if (a->refuses && a->refuses(s, why, sizeof why))
        return;
    for (int rank = 0; rank < s->size; rank++) {
        weft_shape mine = *s;
        mine.rank = rank;
        cr_assert_eq(weft_algo_build(a, &mine, &w.plans[rank]), 0, "%s",
                     weft_last_error()->message);
        const size_t outs = w.plans[rank].out_blocks * s->count;
        w.out[rank] = calloc(outs + 1, sizeof *w.out[rank]);
        w.written[rank] = calloc(outs + 1, 1);
    }
    cr_assert_eq(weft_plan_simulate(w.plans, s->size, &ops, &w, s->count + (uint64_t)s->size, NULL),
                 0, "%s", weft_last_error()->message);
    check_outputs(&w);
    for (int rank = 0; rank < s->size; rank++) {
        weft_plan_free(&w.plans[rank]);
        free(w.out[rank]);
        free(w.written[rank]);
    }
}

Test(ordered, all_that_promise_it_compose_in_rank_order)
{
    const weft_algo *a;
    int tried = 0;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        if (!(a->traits & WEFT_ALGO_ORDERED))
            continue;
        cr_assert(weft_coll_reduces(a->coll), "%s %s combines nothing", weft_coll_name(a->coll),
                  a->name);
        for (int P = 1; P <= MOST; P = P == 17 ? MOST : P + 1) {
            const size_t counts[] = {1, (size_t)P + 1, 101};
            const size_t blocks[] = {1, 64, 0};
            for (int i = 0; i < 9; i++) {
                const weft_shape s = {.coll = a->coll,
                                      .size = P,
                                      .count = counts[i / 3],
                                      .block = blocks[i % 3],
                                      .root = weft_coll_rooted(a->coll) ? i % P : 0};
                try_shape(a, &s);
                tried++;
            }
        }
    }
    cr_assert_geq(tried, 3 * 18 * 9, "doubling, gather and scatter at least");
}

/* The operation tells orders apart, however ranks are exchanged. */
Test(ordered, maps_in_another_order_compose_to_another_map)
{
    int alike = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        const uint64_t f = affine_map(0, i), g = affine_map(1, i), h = affine_map(2, i);
        alike += affine_then(f, g) == affine_then(g, f);
        cr_assert_eq(affine_then(affine_then(f, g), h), affine_then(f, affine_then(g, h)));
    }
    cr_assert_eq(alike, 0);
}
