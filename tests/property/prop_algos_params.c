/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allreduce with parameters, maps of hosts and orders of ranks: proved by the verifier, at the
 * price said; and in rank order where the algorithm says so. An element is a run of ranks: what was
 * combined. It takes four bytes, as a float would.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/spec.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "plan/plan_sim.h"
#include "plan/plan_verify.h"

enum { MOST = 24, COUNT_MOST = 1009, TEXT = 200 };

/* Ranks from … until - 1; none: not neighbours, or not in order. */
typedef struct element {
    uint16_t from, until;
} element;

static const element none = {.from = UINT16_MAX, .until = UINT16_MAX};

typedef struct scene {
    const weft_algo *algo;
    weft_shape shape;
    weft_spec spec;
    int host[MOST], order[MOST];
    char name[TEXT];
    weft_plan plans[MOST];
    element out[MOST][COUNT_MOST];
    uint64_t between; /* bytes sent from host to host */
} scene;

static element join(element a, element b)
{
    return a.until == b.from && a.until != none.until ? (element){.from = a.from, .until = b.until}
                                                      : none;
}

static size_t bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)raw;
    return span.count * sizeof(element);
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    const scene *c = user;
    const weft_span span = at->step->span;
    element *to = slot;

    for (size_t i = 0; i < span.count; i++)
        to[i] = at->step->verb == WEFT_VERB_REPLY
                    ? c->out[at->rank][span.off + i]
                    : (element){.from = (uint16_t)at->rank, .until = (uint16_t)(at->rank + 1)};
    *ret_len = cap;
    return WEFT_OK;
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    const element mine = {.from = (uint16_t)at->rank, .until = (uint16_t)(at->rank + 1)};
    element *to = slot;

    (void)user;
    for (size_t i = 0; i < len / sizeof *to; i++)
        to[i] = join(to[i], mine);
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    const element *more = other;
    element *to = slot;

    (void)user;
    cr_assert_eq(len, other_len);
    for (size_t i = 0; i < len / sizeof *to; i++)
        to[i] = at->step->other_first ? join(more[i], to[i]) : join(to[i], more[i]);
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    scene *c = user;
    const element *from = slot;
    element *to = c->out[at->rank] + at->step->span.off;

    for (size_t i = 0; i < len / sizeof *to; i++)
        to[i] = at->step->verb == WEFT_VERB_ADD ? join(to[i], from[i]) : from[i];
    return WEFT_OK;
}

static const weft_sim_ops ops = {
    .bound = bound, .fill = fill, .fold = fold, .merge = merge, .unpack = unpack};

static void set(scene *c, const char *spec, int size, size_t count, size_t block)
{
    char name[WEFT_SPEC_NAME];

    cr_assert_eq(weft_spec_name(spec, name), 0);
    cr_assert_eq(weft_algo_find(WEFT_COLL_ALLREDUCE, name, &c->algo), 0);
    c->shape =
        (weft_shape){.coll = WEFT_COLL_ALLREDUCE, .size = size, .count = count, .block = block};
    if (c->algo->params) {
        cr_assert_eq(weft_spec_parse("allreduce", spec, c->algo->params, &c->spec), 0);
        c->shape.spec = &c->spec;
    }
    c->between = 0;
    snprintf(c->name, sizeof c->name, "%s P=%d n=%zu block=%zu", spec, size, count, block);
}

static void note(scene *c, const char *word)
{
    const size_t len = strlen(c->name);
    snprintf(c->name + len, sizeof c->name - len, " %s", word);
}

static int host_of(const scene *c, int rank)
{
    return c->shape.host ? c->shape.host[rank] : 0;
}

static int build(void *user, int rank, weft_plan *ret)
{
    const scene *c = user;
    weft_shape mine = c->shape;

    mine.rank = rank;
    return weft_algo_build(c->algo, &mine, ret);
}

static void check_price(const scene *c, const weft_sim_count *counts)
{
    const weft_cost said = c->algo->cost(&c->shape, sizeof(element), sizeof(element));
    weft_cost most = {0};

    for (int r = 0; r < c->shape.size; r++) {
        weft_cost_most(&most, &(weft_cost){.rounds = counts[r].rounds,
                                           .messages = (double)counts[r].messages,
                                           .bytes = (double)counts[r].bytes,
                                           .reduced_bytes = (double)counts[r].reduced_bytes,
                                           .peers = counts[r].peers});
        weft_cost_most(&most, &(weft_cost){.messages = (double)counts[r].received_messages,
                                           .bytes = (double)counts[r].received_bytes});
    }
    cr_expect_eq(most.rounds, said.rounds, "%s: %g rounds, said %g", c->name, most.rounds,
                 said.rounds);
    cr_expect_eq(most.messages, said.messages, "%s: %g messages, said %g", c->name, most.messages,
                 said.messages);
    cr_expect_eq(most.bytes, said.bytes, "%s: %g bytes, said %g", c->name, most.bytes, said.bytes);
    cr_expect_eq(most.reduced_bytes, said.reduced_bytes, "%s: %g bytes reduced, said %g", c->name,
                 most.reduced_bytes, said.reduced_bytes);
    cr_expect_eq(most.peers, said.peers, "%s: %g peers, said %g", c->name, most.peers, said.peers);
}

static void add_up_between(scene *c, const weft_plan *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        if (s->verb == WEFT_VERB_SEND && host_of(c, p->rank) != host_of(c, s->peer))
            c->between += s->span.count * sizeof(element);
    }
}

static bool in_rank_order(const scene *c)
{
    for (int r = 0; r < c->shape.size; r++)
        for (size_t i = 0; i < c->shape.count; i++)
            if (c->out[r][i].from != 0 || c->out[r][i].until != c->shape.size)
                return false;
    return true;
}

/* Proved right, in rank order if it says so, at the price said; leaves what the outputs hold. */
static void try_it(scene *c)
{
    const weft_goal goal = weft_shape_goal(&c->shape);
    const int size = c->shape.size;
    weft_sim_count counts[MOST];

    cr_assert_eq(weft_plan_verify(&goal, build, c), 0, "%s: %s", c->name,
                 weft_last_error()->message);
    for (int r = 0; r < size; r++) {
        cr_assert_eq(build(c, r, &c->plans[r]), 0);
        add_up_between(c, &c->plans[r]);
    }
    cr_assert_eq(weft_plan_simulate(c->plans, size, &ops, c, (uint64_t)size, counts), 0, "%s: %s",
                 c->name, weft_last_error()->message);
    check_price(c, counts);
    if ((c->algo->traits & WEFT_ALGO_ORDERED) && !c->shape.order)
        cr_assert(in_rank_order(c), "%s", c->name);
    for (int r = 0; r < size; r++)
        weft_plan_free(&c->plans[r]);
}

static const size_t blocks[] = {1, 64, 0};
enum { BLOCKS = sizeof blocks / sizeof *blocks, COUNTS = 4 };

static size_t count_of(int size, int index)
{
    const size_t counts[COUNTS] = {0, 1, (size_t)size + 1, COUNT_MOST};
    return counts[index];
}

/* Every size and length with each of `block`. */
#define EACH_SHAPE(c, spec)                                                                        \
    for (int P = 1; P <= MOST; P = P == 17 ? MOST : P + 1)                                         \
        for (int n = 0; n < COUNTS; n++)                                                           \
            for (int b = 0; b < BLOCKS; b++)                                                       \
                for (const char *once = (set(c, spec, P, count_of(P, n), blocks[b]), spec); once;  \
                     once = NULL)

static const char *const specs[] = {
    "tree:arity=1",
    "tree:arity=2",
    "tree:arity=3",
    "tree:arity=5",
    "tree:arity=16",
    "torus:rows=1",
    "torus:rows=2",
    "torus:rows=3",
    "torus:rows=4",
    "torus:rows=8",
    "hierarchical:between=ring",
};

ParameterizedTestParameters(params, are_right_at_the_price_said)
{
    static int indices[sizeof specs / sizeof *specs];

    for (int i = 0; i < (int)(sizeof specs / sizeof *specs); i++)
        indices[i] = i;
    return cr_make_param_array(int, indices, sizeof specs / sizeof *specs);
}

ParameterizedTest(int *index, params, are_right_at_the_price_said)
{
    scene *c = calloc(1, sizeof *c);
    char why[TEXT];

    EACH_SHAPE(c, specs[*index])
    {
        if (!c->algo->refuses || !c->algo->refuses(&c->shape, why, sizeof why))
            try_it(c);
    }
    free(c);
}

Test(params, those_that_are_ordered_combine_ranks_in_order)
{
    scene *c = calloc(1, sizeof *c);
    const weft_algo *a;
    int ordered = 0;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        if (a->coll != WEFT_COLL_ALLREDUCE || !(a->traits & WEFT_ALGO_ORDERED))
            continue;
        ordered++;
        EACH_SHAPE(c, a->name)
        {
            try_it(c);
        }
    }
    cr_expect_geq(ordered, 5);
    free(c);
}

/* A ring begins every span at another rank. */
Test(params, those_that_go_around_are_not_in_order)
{
    scene *c = calloc(1, sizeof *c);
    const char *const names[] = {"ring", "bidirectional", "torus"};

    for (int i = 0; i < 3; i++) {
        set(c, names[i], 4, COUNT_MOST, 1);
        try_it(c);
        cr_expect(!in_rank_order(c), "%s", names[i]);
        cr_expect(!(c->algo->traits & WEFT_ALGO_ORDERED), "%s", names[i]);
    }
    free(c);
}

typedef enum map { EACH_ITS_OWN, PAIRS, FOURS, IN_TURN, BACKWARDS, ONE_APART, ANY, MAPS } map;

static void put_on_hosts(scene *c, map m, weft_rng *rng)
{
    static const char *const names[MAPS] = {"each its own", "pairs",     "fours", "in turn",
                                            "backwards",    "one apart", "any"};
    const int P = c->shape.size, three = P < 3 ? P : 3;

    for (int r = 0; r < P; r++) {
        const int any = (int)weft_rng_below(rng, (uint64_t)P);
        const int hosts[MAPS] = {r,  r / 2, r / 4, r % three, (P - 1 - r) / 3, r > 0 ? P - 1 : 0,
                                 any};
        c->host[r] = hosts[m];
    }
    c->shape.host = c->host;
    note(c, names[m]);
}

ParameterizedTestParameters(params, any_map_of_hosts_is_served)
{
    static int maps[MAPS];

    for (int i = 0; i < MAPS; i++)
        maps[i] = i;
    return cr_make_param_array(int, maps, MAPS);
}

ParameterizedTest(int *index, params, any_map_of_hosts_is_served)
{
    const char *const between[] = {"hierarchical", "hierarchical:between=ring"};
    scene *c = calloc(1, sizeof *c);
    weft_rng rng = {.state = 5};

    for (int i = 0; i < 2; i++)
        EACH_SHAPE(c, between[i])
        {
            put_on_hosts(c, (map)*index, &rng);
            try_it(c);
        }
    free(c);
}

/* 2(H-1) vectors, as a ring of hosts would. */
Test(params, hosts_exchange_no_more_than_if_each_had_one_rank)
{
    const char *const between[] = {"hierarchical", "hierarchical:between=ring"};
    scene *c = calloc(1, sizeof *c);

    for (int i = 0; i < 2; i++)
        for (int hosts = 1; hosts <= 4; hosts++)
            for (int P = hosts; P <= MOST; P++) {
                const size_t n = 960;
                set(c, between[i], P, n, 1);
                for (int r = 0; r < P; r++)
                    c->host[r] = r % hosts;
                c->shape.host = c->host;
                try_it(c);
                cr_expect_eq(c->between, 2 * (uint64_t)(hosts - 1) * n * sizeof(element), "%s",
                             c->name);
            }
    free(c);
}

static void shuffle(scene *c, weft_rng *rng)
{
    for (int r = 0; r < c->shape.size; r++) {
        const int other = (int)weft_rng_below(rng, (uint64_t)r + 1);
        c->order[r] = c->order[other];
        c->order[other] = r;
    }
    c->shape.order = c->order;
    note(c, "in another order");
}

Test(params, ranks_take_any_places)
{
    scene *c = calloc(1, sizeof *c);
    weft_rng rng = {.state = 7};
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        if (a->coll != WEFT_COLL_ALLREDUCE || (a->traits & WEFT_ALGO_GRAPH))
            continue;
        EACH_SHAPE(c, a->name)
        {
            shuffle(c, &rng);
            put_on_hosts(c, (map)weft_rng_below(&rng, MAPS), &rng);
            try_it(c);
        }
    }
    free(c);
}

Test(params, a_torus_says_which_rows_would_do)
{
    const char *const words[] = {"needs rows that divide 12 peers", "1", "2", "3", "4", "6", "12"};
    scene *c = calloc(1, sizeof *c);

    set(c, "torus:rows=5", 12, 100, 1);
    cr_assert_eq(build(c, 0, &c->plans[0]), WEFT_ENOTSUP);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect(strstr(weft_last_error()->message, words[i]), "%s", weft_last_error()->message);
    set(c, "torus:rows=5", 1, 100, 1); /* what a lone peer rehearses */
    try_it(c);
    free(c);
}

Test(params, a_host_that_cannot_be_is_refused)
{
    scene *c = calloc(1, sizeof *c);
    const int wrong[] = {-1, 3};

    for (int i = 0; i < 2; i++) {
        set(c, "hierarchical", 3, 100, 1);
        c->host[1] = wrong[i];
        c->shape.host = c->host;
        cr_expect_eq(build(c, 0, &c->plans[0]), WEFT_EINVAL);
        cr_expect(strstr(weft_last_error()->message, "rank 1"), "%s", weft_last_error()->message);
    }
    free(c);
}

/* The forms people know, where everything divides. */
Test(params, even_prices_are_the_closed_forms)
{
    const double n = 8192, w = 4, ring_bytes = 2 * 7.0 / 8 * n * w;
    static const int two_hosts[] = {0, 1, 0, 1, 0, 1, 0, 1};
    const struct {
        const char *spec;
        double rounds, bytes;
    } known[] = {{"halving", 6, ring_bytes},      {"bidirectional", 14, ring_bytes},
                 {"torus", 8, ring_bytes},        {"torus:rows=1", 14, ring_bytes},
                 {"hierarchical", 4, ring_bytes}, {"hierarchical:between=ring", 4, ring_bytes},
                 {"double_tree", 6, 2 * n * w},   {"tree:arity=1", 14, 2 * n * w},
                 {"tree:arity=2", 6, 3 * n * w},  {"tree:arity=7", 2, 7 * n * w},
                 {"binomial", 6, 3 * n * w},      {"flat", 1, 7 * n * w}};
    scene *c = calloc(1, sizeof *c);

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        set(c, known[i].spec, 8, (size_t)n, 64);
        c->shape.host = two_hosts;
        const weft_cost said = c->algo->cost(&c->shape, w, w);
        cr_expect_eq(said.rounds, known[i].rounds, "%s: %g rounds", known[i].spec, said.rounds);
        cr_expect_eq(said.bytes, known[i].bytes, "%s: %g bytes", known[i].spec, said.bytes);
    }
    free(c);
}
