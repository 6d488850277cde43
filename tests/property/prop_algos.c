/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every algorithm on plan_sim: right results, the same bits on every rank, in every interleaving,
 * in place and out of place, and a cost formula that says what was counted.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "plan/plan_sim.h"
#include "support/rows.h"
#include "support/share.h"

enum { MOST = 32, ELEMENT = sizeof(float) };

/* Whole numbers that fit a byte travel as one byte each, reals as they are. */
typedef enum values { WHOLE, REAL } values;

typedef struct run {
    const weft_algo *algo;
    weft_shape shape;
    values values;
    bool in_place, mean;
    uint64_t seed;
} run;

typedef struct world {
    const run *run;
    weft_plan plans[MOST];
    float *in[MOST], *out[MOST], *memory[MOST];
    float *before[MOST]; /* the inputs as they were */
    size_t ins, outs;    /* elements of an input and of an output */
} world;

static const char *name(const run *r)
{
    static char text[200];

    snprintf(text, sizeof text, "%s %s P=%d n=%zu block=%zu root=%d %s%s%s%s seed %llu",
             weft_coll_name(r->algo->coll), r->algo->name, r->shape.size, r->shape.count,
             r->shape.block, r->shape.root, r->values == WHOLE ? "whole" : "real",
             r->in_place ? " in place" : "", r->mean ? " mean" : "",
             r->shape.ragged ? " ragged" : "", (unsigned long long)r->seed);
    return text;
}

/* Does the rank have an input to read, an output to write? */
static bool has_in(const run *r, int rank)
{
    const weft_goal g = weft_shape_goal(&r->shape);
    return g.kind != WEFT_GOAL_COPY || g.root < 0 || g.root == rank;
}

static bool has_out(const run *r, int rank)
{
    const weft_goal g = weft_shape_goal(&r->shape);
    return g.sink < 0 || g.sink == rank;
}

/* Where nothing is merged and contributions are added one by one in rank order. */
static bool adds_in_rank_order(const weft_algo *a)
{
    return a->needs == 0 && (a->coll == WEFT_COLL_ALLREDUCE || (a->traits & WEFT_ALGO_ORDERED));
}

static size_t width(const run *r)
{
    return r->values == WHOLE ? 1 : ELEMENT;
}

static size_t bound(void *user, weft_span span, bool raw)
{
    const world *w = user;
    return span.count * (raw ? ELEMENT : width(w->run));
}

static size_t place(const world *w, weft_span span)
{
    return (size_t)span.block * w->run->shape.count + span.off;
}

static void encode(const world *w, const float *from, size_t count, void *slot)
{
    signed char *bytes = slot;

    if (w->run->values == REAL && count)
        memcpy(slot, from, count * ELEMENT);
    for (size_t i = 0; w->run->values == WHOLE && i < count; i++)
        bytes[i] = (signed char)from[i];
}

static float decode(const world *w, const void *slot, size_t i)
{
    return w->run->values == WHOLE ? (float)((const signed char *)slot)[i]
                                   : ((const float *)slot)[i];
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    world *w = user;
    const weft_span span = at->step->span;

    if (at->step->verb == WEFT_VERB_REPLY) {
        float *out = w->out[at->rank] + place(w, span);
        for (size_t i = 0; w->run->mean && i < span.count; i++)
            out[i] /= (float)w->run->shape.size;
        if (span.count)
            memcpy(slot, out, span.count * ELEMENT);
    } else {
        encode(w, w->in[at->rank] + place(w, span), span.count, slot);
    }
    *ret_len = cap;
    return WEFT_OK;
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    world *w = user;
    const weft_span span = at->step->span;
    const float *mine = w->in[at->rank] + place(w, span);
    float *sum = calloc(span.count + 1, ELEMENT);

    cr_assert_eq(len, span.count * width(w->run));
    for (size_t i = 0; i < span.count; i++)
        sum[i] = decode(w, slot, i) + mine[i];
    encode(w, sum, span.count, slot);
    free(sum);
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    world *w = user;
    const weft_span span = at->step->span;
    float *sum = calloc(span.count + 1, ELEMENT);

    cr_assert_eq(len, other_len);
    for (size_t i = 0; i < span.count; i++)
        sum[i] = at->step->other_first ? decode(w, other, i) + decode(w, slot, i)
                                       : decode(w, slot, i) + decode(w, other, i);
    encode(w, sum, span.count, slot);
    free(sum);
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    world *w = user;
    const weft_span span = at->step->span;
    float *out = w->out[at->rank] + place(w, span);

    cr_assert_eq(len, bound(w, span, at->step->raw));
    for (size_t i = 0; i < span.count; i++) {
        const float value = at->step->raw ? ((const float *)slot)[i] : decode(w, slot, i);
        out[i] = at->step->verb == WEFT_VERB_ADD ? out[i] + value : value;
    }
    return WEFT_OK;
}

static const weft_sim_ops ops = {
    .bound = bound, .fill = fill, .fold = fold, .merge = merge, .unpack = unpack};

/* Where the buffers of a rank lie; NULL for one that it does not have. */
static void lay_out(world *w, int rank)
{
    const run *r = w->run;
    const size_t own = (size_t)rank * r->shape.count;
    float *memory = calloc(w->ins + w->outs + 1, ELEMENT);
    float *in = memory, *out = memory + w->ins;

    if (r->in_place && has_in(r, rank) && has_out(r, rank)) {
        in = memory + (w->ins < w->outs ? own : 0);
        out = memory + (w->outs < w->ins ? own : 0);
    }
    w->memory[rank] = memory;
    w->in[rank] = has_in(r, rank) ? in : NULL;
    w->out[rank] = has_out(r, rank) ? out : NULL;
}

/* Inputs depend on shape and values, not on the seed: runs of one shape can be compared. */
static void make_inputs(world *w)
{
    const run *r = w->run;

    for (int rank = 0; rank < r->shape.size; rank++) {
        weft_rng rng = {.state = (uint64_t)rank * 1000003 + r->shape.count};
        lay_out(w, rank);
        w->before[rank] = calloc(w->ins + 1, ELEMENT);
        for (size_t i = 0; i < w->ins; i++)
            w->before[rank][i] = r->values == WHOLE ? (float)weft_rng_below(&rng, 7) - 3.0f
                                                    : (float)(weft_rng_unit(&rng) - 0.5);
        if (w->in[rank])
            memcpy(w->in[rank], w->before[rank], w->ins * ELEMENT);
    }
}

static world *open_world(const run *r)
{
    world *w = calloc(1, sizeof *w);

    w->run = r;
    for (int rank = 0; rank < r->shape.size; rank++) {
        weft_shape mine = r->shape;
        mine.rank = rank;
        cr_assert_eq(weft_algo_build(r->algo, &mine, &w->plans[rank]), 0, "%s: %s", name(r),
                     weft_last_error()->message);
    }
    w->ins = w->plans[0].in_blocks * r->shape.count;
    w->outs = w->plans[0].out_blocks * r->shape.count;
    make_inputs(w);
    return w;
}

static void close_world(world *w)
{
    for (int rank = 0; rank < w->run->shape.size; rank++) {
        weft_plan_free(&w->plans[rank]);
        free(w->memory[rank]);
        free(w->before[rank]);
    }
    free(w);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void check_cost(const run *r, const weft_sim_count *counts)
{
    const weft_cost c = r->algo->cost(&r->shape, (double)width(r), ELEMENT);
    weft_sim_count most = {0};

    for (int i = 0; i < r->shape.size; i++) {
        most.rounds = counts[i].rounds > most.rounds ? counts[i].rounds : most.rounds;
        most.peers = counts[i].peers > most.peers ? counts[i].peers : most.peers;
        most.messages = larger(most.messages, counts[i].messages);
        most.messages = larger(most.messages, counts[i].received_messages);
        most.bytes = larger(most.bytes, counts[i].bytes);
        most.bytes = larger(most.bytes, counts[i].received_bytes);
        most.reduced_bytes = larger(most.reduced_bytes, counts[i].reduced_bytes);
    }
    cr_expect_eq((double)most.rounds, c.rounds, "%s: %u rounds, said %g", name(r),
                 (unsigned)most.rounds, c.rounds);
    cr_expect_eq((double)most.peers, c.peers, "%s: %u peers, said %g", name(r),
                 (unsigned)most.peers, c.peers);
    cr_expect_eq((double)most.messages, c.messages, "%s: %g messages, said %g", name(r),
                 (double)most.messages, c.messages);
    cr_expect_eq((double)most.bytes, c.bytes, "%s: %g bytes, said %g", name(r), (double)most.bytes,
                 c.bytes);
    cr_expect_eq((double)most.reduced_bytes, c.reduced_bytes, "%s: %g bytes reduced, said %g",
                 name(r), (double)most.reduced_bytes, c.reduced_bytes);
}

/* The sum of the ranks' element i: exactly for sums in rank order (binary32 from rank 0's), and for
 * reals summed otherwise within *ret_slack. */
static float sum_of(const world *w, size_t i, float *ret_slack)
{
    const run *r = w->run;
    float sum = 0;

    for (int q = 0; q < r->shape.size; q++)
        sum = q ? sum + w->before[q][i] : w->before[q][i];
    if (!adds_in_rank_order(r->algo) && r->values == REAL)
        *ret_slack = (float)(r->shape.size * r->shape.size) * 1e-7f;
    return r->mean ? sum / (float)r->shape.size : sum;
}

/* Element i of the output of `rank`. */
static float oracle(const world *w, int rank, size_t i, float *ret_slack)
{
    const weft_shape *s = &w->run->shape;
    const size_t own = (size_t)rank * s->count;

    *ret_slack = 0;
    switch (s->coll) {
    case WEFT_COLL_BROADCAST:
    case WEFT_COLL_TRANSFER:
        return w->before[s->root][i];
    case WEFT_COLL_SCATTER:
        return w->before[s->root][own + i];
    case WEFT_COLL_ALLGATHER:
    case WEFT_COLL_GATHER:
        return w->before[i / s->count][i % s->count];
    case WEFT_COLL_ALLTOALL:
        return w->before[i / s->count][own + i % s->count];
    case WEFT_COLL_REDUCE_SCATTER:
        return sum_of(w, own + i, ret_slack);
    default:
        return sum_of(w, i, ret_slack);
    }
}

/* Do all ranks hold the same? */
static bool alike(weft_coll coll)
{
    return coll == WEFT_COLL_ALLREDUCE || coll == WEFT_COLL_BROADCAST ||
           coll == WEFT_COLL_ALLGATHER;
}

static void check_output(const world *w, int rank)
{
    const run *r = w->run;

    for (size_t i = 0; i < w->outs && w->out[rank]; i++) {
        float slack;
        const float want = oracle(w, rank, i, &slack), got = w->out[rank][i];
        if (slack == 0 ? memcmp(&want, &got, sizeof got) != 0 : fabsf(want - got) > slack)
            cr_assert_fail("%s: rank %d element %zu: %.9g, not %.9g", name(r), rank, i, (double)got,
                           (double)want);
    }
    if (alike(r->shape.coll))
        cr_assert_arr_eq(w->out[rank], w->out[0], w->outs * ELEMENT,
                         "%s: rank %d has other bits than rank 0", name(r), rank);
    if (w->in[rank] && (!r->in_place || !w->out[rank]))
        cr_assert_arr_eq(w->in[rank], w->before[rank], w->ins * ELEMENT,
                         "%s: rank %d: input changed", name(r), rank);
}

/* In place the other blocks of the input stay as they were. */
static void check_kept(const world *w, int rank)
{
    const run *r = w->run;
    const size_t count = r->shape.count;

    for (size_t i = 0; i < w->ins && w->in[rank] && w->out[rank] && w->outs < w->ins; i++)
        if (count == 0 || i / count != (size_t)rank)
            cr_assert_eq(w->in[rank][i], w->before[rank][i], "%s: rank %d: the input's element %zu",
                         name(r), rank, i);
}

/* Simulate and check; the output of one rank that has one goes to ret_bits. */
static void try_run(const run *r, float *ret_bits)
{
    world *w = open_world(r);
    weft_sim_count counts[MOST];
    int witness = r->shape.size - 1;

    while (!has_out(r, witness))
        witness--;
    cr_assert_eq(weft_plan_simulate(w->plans, r->shape.size, &ops, w, r->seed, counts), 0, "%s: %s",
                 name(r), weft_last_error()->message);
    check_cost(r, counts);
    for (int rank = 0; rank < r->shape.size && r->shape.coll != WEFT_COLL_BARRIER; rank++) {
        for (size_t i = 0; r->mean && !w->plans[rank].replies && w->out[rank] && i < w->outs; i++)
            w->out[rank][i] /= (float)r->shape.size;
        check_output(w, rank);
        check_kept(w, rank);
    }
    if (ret_bits && r->shape.coll != WEFT_COLL_BARRIER)
        memcpy(ret_bits, w->out[witness], w->outs * ELEMENT);
    close_world(w);
}

/* Is the shape refused? Then the builder must refuse it too. */
static bool refused(const weft_algo *a, const weft_shape *s)
{
    weft_plan plan;
    char why[160];

    if (!a->refuses || !a->refuses(s, why, sizeof why))
        return false;
    cr_assert_eq(weft_algo_build(a, s, &plan), WEFT_ENOTSUP);
    cr_assert(strstr(weft_last_error()->message, why), "%s", weft_last_error()->message);
    return true;
}

/* false: the algorithm refuses the shape. */
static bool try_shape(const weft_algo *a, const weft_shape *s)
{
    const size_t outs = s->count * (size_t)weft_coll_out_blocks(s->coll, s->size);
    const uint64_t seed = s->count * 100 + (uint64_t)s->size + s->block;
    run r = {.algo = a, .shape = *s, .values = WHOLE, .in_place = true, .seed = seed};

    if (refused(a, s))
        return false;
    float *first = calloc(outs + 1, ELEMENT), *second = calloc(outs + 1, ELEMENT);
    try_run(&r, NULL);
    r.values = REAL;
    r.mean = weft_coll_reduces(a->coll);
    r.seed += 1000003;
    try_run(&r, first);
    r.in_place = false;
    r.seed += 1000003;
    try_run(&r, second);
    cr_assert_arr_eq(first, second, outs * ELEMENT, "%s: other bits in another interleaving",
                     name(&r));
    free(first);
    free(second);
    return true;
}

/* Every count, block and root for a number of ranks. How many shapes were served. */
static int try_size(const weft_algo *a, int P, bool ragged)
{
    const size_t counts[] = {0, 1, (size_t)P - 1, (size_t)P, (size_t)P + 1, 1000, 1009};
    const size_t blocks[] = {1, 8, 64, 0};
    const int roots[] = {0, P - 1, P / 2};
    const bool rooted = weft_coll_rooted(a->coll);
    /* Who moves whole blocks does not look at the codec's. */
    const size_t kinds = weft_coll_in_blocks(a->coll, 2) == weft_coll_out_blocks(a->coll, 2) &&
                                 a->coll != WEFT_COLL_ALLTOALL
                             ? 4
                             : 1;
    int served = 0;

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t b = 0; b < kinds; b++)
            for (int k = 0; k < (rooted ? 3 : 1); k++)
                served += try_shape(a, &(weft_shape){.coll = a->coll,
                                                     .size = P,
                                                     .count = counts[i],
                                                     .block = blocks[b],
                                                     .ragged = ragged,
                                                     .root = roots[k]});
    return served;
}

ParameterizedTestParameters(algos, sum_right_with_the_same_bits_at_the_price_said)
{
    static int rows[ROWS_MOST];

    return cr_make_param_array(int, rows, rows_all(rows));
}

ParameterizedTest(int *row, algos, sum_right_with_the_same_bits_at_the_price_said)
{
    const weft_algo *a = weft_algo_at(*row);

    cr_assert_not_null(a);
    if (a->traits & WEFT_ALGO_GRAPH) /* prop_graph */
        return;
    for (int P = 1; P <= MOST; P = P == 17 ? MOST : P + 1) {
        if (P > 4 && (P + *row) % share_step() != 0)
            continue;
        const int served = try_size(a, P, false);
        /* Of those along the edges of a graph prop_graph tells. */
        cr_assert(served > 0 || (a->refuses && P != 2) || (a->traits & WEFT_ALGO_GRAPH),
                  "%s %s serves nothing for P=%d", weft_coll_name(a->coll), a->name, P);
        if (weft_coll_in_blocks(a->coll, 2) > 1 || weft_coll_out_blocks(a->coll, 2) > 1)
            try_size(a, P, true);
    }
}

Test(algos, no_interleaving_of_many_changes_a_bit)
{
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        weft_shape s = {.coll = a->coll, .size = 7, .count = 101, .block = 1, .root = 3};
        if (a->traits & WEFT_ALGO_GRAPH)
            continue;
        float first[101 * 8] = {0}, other[101 * 8] = {0};
        s.size = refused(a, &s) ? 8 : 7;
        if (refused(a, &s))
            continue;
        for (uint64_t seed = 0; seed < share_of(200); seed++) {
            const run r = {
                .algo = a, .shape = s, .values = REAL, .in_place = seed % 2, .seed = seed};
            try_run(&r, seed ? other : first);
            cr_assert(seed == 0 || memcmp(first, other, sizeof first) == 0, "%s", name(&r));
        }
    }
}

Test(algos, gather_and_scatter_give_the_same_bits)
{
    float bits[2][1009];
    const char *const names[] = {"gather", "scatter"};

    for (int P = 1; P <= 17; P++) {
        for (int i = 0; i < 2; i++) {
            run r = {.shape = {.coll = WEFT_COLL_ALLREDUCE, .size = P, .count = 1009, .block = 64},
                     .values = REAL,
                     .mean = true,
                     .seed = (uint64_t)P};
            cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, names[i], &r.algo), 0);
            try_run(&r, bits[i]);
        }
        cr_assert_arr_eq(bits[0], bits[1], sizeof bits[0], "P=%d", P);
    }
}

/* The closed forms people know, where P divides n. */
Test(algos, even_prices_are_the_closed_forms)
{
    const double P = 8, n = 8192, w = 0.25, e = 4;
    const weft_shape s = {.coll = WEFT_COLL_ALLREDUCE, .size = 8, .count = 8192, .block = 64};
    const weft_algo *ring, *doubling, *gather, *scatter;

    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "ring", &ring), 0);
    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "doubling", &doubling), 0);
    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "gather", &gather), 0);
    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "scatter", &scatter), 0);
    cr_expect_eq(ring->cost(&s, w, e).bytes, 2 * (P - 1) / P * n * w);
    cr_expect_eq(ring->cost(&s, w, e).rounds, 2 * (P - 1));
    cr_expect_eq(doubling->cost(&s, w, e).bytes, 3 * n * w);
    cr_expect_eq(doubling->cost(&s, w, e).rounds, 3);
    cr_expect_eq(gather->cost(&s, w, e).bytes, (P - 1) * n * w);
    cr_expect_eq(scatter->cost(&s, w, e).bytes, (P - 1) / P * n * (w + e));
    cr_expect_eq(scatter->cost(&s, w, e).rounds, 2);
}

/* One element that is 1 on every rank. */
static size_t one_bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)raw;
    return span.count * sizeof(double);
}

static int one_fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    (void)user;
    (void)at;
    *(double *)slot = 1;
    *ret_len = cap;
    return WEFT_OK;
}

static int one_merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                     size_t other_len)
{
    (void)user;
    (void)at;
    (void)len;
    (void)other_len;
    *(double *)slot += *(const double *)other;
    return WEFT_OK;
}

static int one_unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    double *out = user;

    (void)len;
    out[at->rank] = *(const double *)slot;
    return WEFT_OK;
}

Test(algos, three_thousand_ranks_are_simulated)
{
    enum { P = 3000 }; /* 2048 and 952 more */
    const weft_sim_ops one = {
        .bound = one_bound, .fill = one_fill, .merge = one_merge, .unpack = one_unpack};
    weft_shape s = {.coll = WEFT_COLL_ALLREDUCE, .size = P, .count = 1, .block = 1};
    weft_plan *plans = calloc(P, sizeof *plans);
    weft_sim_count *counts = calloc(P, sizeof *counts);
    double *out = calloc(P, sizeof *out);
    const weft_algo *a;

    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, "doubling", &a), 0);
    for (s.rank = 0; s.rank < P; s.rank++)
        cr_assert_eq(weft_algo_build(a, &s, &plans[s.rank]), 0);
    cr_assert_eq(weft_plan_simulate(plans, P, &one, out, 1, counts), 0, "%s",
                 weft_last_error()->message);
    for (int rank = 0; rank < P; rank++) {
        cr_assert_eq(out[rank], P);
        cr_assert_leq(counts[rank].rounds, 12u);
        weft_plan_free(&plans[rank]);
    }
    free(plans);
    free(counts);
    free(out);
}
