/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives over a topology: proved by the verifier for many graphs, sizes and roots; along edges
 * only; at the price said.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "collectives/partition.h"
#include "plan/plan_sim.h"
#include "plan/plan_verify.h"
#include <weft/topology.h>

enum { MOST = 33, WIDTH = 3 };

static const char *const specs[] = {
    "ring",
    "complete",
    "tree:arity=2",
    "star:centre=1",
    "torus:rows=0",
    "tree:arity=1",
    "smallworld:degree=4,rewire=0.3,seed=5",
};

typedef struct scene {
    const weft_algo *algo;
    weft_shape shape;
    const char *spec;
} scene;

static int build(void *user, int rank, weft_plan *ret)
{
    const scene *s = user;
    weft_shape shape = s->shape;

    shape.rank = rank;
    return weft_algo_build(s->algo, &shape, ret);
}

/* Slots hold no values: what is counted does not depend on them. */
static size_t bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)raw;
    return span.count * WIDTH;
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    (void)user;
    (void)at;
    memset(slot, 0, cap);
    *ret_len = cap;
    return WEFT_OK;
}

static int change(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    (void)other;
    cr_assert_eq(len, other_len);
    return change(user, at, slot, len);
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static const weft_sim_ops counting = {.bound = bound,
                                      .fill = fill,
                                      .fold = change,
                                      .merge = merge,
                                      .scale = change,
                                      .unpack = unpack};

#define NAME "%s %s over %s P=%d n=%zu root=%d"
#define NAMED(s)                                                                                   \
    weft_coll_name((s)->algo->coll), (s)->algo->name, (s)->spec, (s)->shape.size,                  \
        (s)->shape.count, (s)->shape.root

static void check_edges(const scene *s, const weft_plan *p)
{
    for (size_t i = 0; i < p->peer_count; i++)
        cr_assert_eq(weft_topology_edge(s->shape.graph, p->rank, p->peers[i].rank, NULL, NULL), 0,
                     NAME ": rank %d talks to rank %d", NAMED(s), p->rank, p->peers[i].rank);
}

static void expect(const scene *s, const char *what, double counted, double said)
{
    cr_expect_eq(counted, said, NAME ": %g %s, said %g", NAMED(s), counted, what, said);
}

static void lift(uint64_t *most, uint64_t to)
{
    *most = to > *most ? to : *most;
}

static void check_price(scene *s)
{
    static weft_plan plans[MOST];
    weft_sim_count counts[MOST], most = {0};
    const weft_cost c = s->algo->cost(&s->shape, WIDTH, WIDTH);

    for (int r = 0; r < s->shape.size; r++) {
        cr_assert_eq(build(s, r, &plans[r]), 0, NAME ": %s", NAMED(s), weft_last_error()->message);
        check_edges(s, &plans[r]);
    }
    cr_assert_eq(weft_plan_simulate(plans, s->shape.size, &counting, NULL, 7, counts), 0,
                 NAME ": %s", NAMED(s), weft_last_error()->message);
    for (int r = 0; r < s->shape.size; r++) {
        most.rounds = counts[r].rounds > most.rounds ? counts[r].rounds : most.rounds;
        most.peers = counts[r].peers > most.peers ? counts[r].peers : most.peers;
        lift(&most.messages, counts[r].messages);
        lift(&most.messages, counts[r].received_messages);
        lift(&most.bytes, counts[r].bytes);
        lift(&most.bytes, counts[r].received_bytes);
        if (counts[r].reduced_bytes > most.reduced_bytes)
            most.reduced_bytes = counts[r].reduced_bytes;
        weft_plan_free(&plans[r]);
    }
    expect(s, "rounds", most.rounds, c.rounds);
    expect(s, "peers", most.peers, c.peers);
    expect(s, "messages", (double)most.messages, c.messages);
    expect(s, "bytes", (double)most.bytes, c.bytes);
    expect(s, "bytes reduced", (double)most.reduced_bytes, c.reduced_bytes);
}

static void try_scene(scene *s)
{
    const weft_goal goal = weft_shape_goal(&s->shape);

    cr_expect_eq(weft_plan_verify(&goal, build, s), 0, NAME ": %s", NAMED(s),
                 weft_last_error()->message);
    check_price(s);
}

/* false: the topology does not have that size. */
static bool try_graph(const weft_algo *a, const char *spec, int size)
{
    const size_t counts[] = {0, 1, 100};
    const int roots[] = {0, size - 1, size / 2};
    weft_topology *graph = NULL;

    if (weft_topology_open(&graph, spec, size)) /* not every one has every size */
        return false;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int k = 0; k < (weft_coll_rooted(a->coll) ? 3 : 1); k++) {
            scene s = {.algo = a,
                       .spec = spec,
                       .shape = {.coll = a->coll,
                                 .size = size,
                                 .count = a->coll == WEFT_COLL_BARRIER ? 0 : counts[c],
                                 .block = 1,
                                 .root = roots[k],
                                 .graph = graph}};
            try_scene(&s);
        }
    weft_topology_close(&graph);
    return true;
}

Test(graph, collectives_are_proved_and_priced_over_every_topology)
{
    const weft_algo *a;
    int rows = 0;

    for (int i = 0; (a = weft_algo_at(i)); i++) {
        if (!(a->traits & WEFT_ALGO_GRAPH))
            continue;
        rows++;
        for (size_t t = 0; t < sizeof specs / sizeof *specs; t++) {
            int sizes = 0;
            for (int P = 1; P <= 12; P++)
                sizes += try_graph(a, specs[t], P);
            cr_expect_geq(sizes, 6, "%s: %d sizes", specs[t], sizes);
        }
        cr_expect(try_graph(a, "tree:arity=2", 19));
        if (a->coll != WEFT_COLL_ALLTOALL)
            cr_expect(try_graph(a, "regular:degree=4,seed=3", MOST));
    }
    cr_expect_geq(rows, 10);
}

Test(graph, only_algorithms_that_keep_to_the_edges_serve_a_topology)
{
    weft_topology *graph = NULL;
    weft_choice c = {.coll = WEFT_COLL_ALLREDUCE,
                     .size = 5,
                     .count = 1000,
                     .element_bytes = 4,
                     .encoded_bytes = 4,
                     .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES};
    weft_pick p;

    cr_assert_eq(weft_topology_open(&graph, "ring", 5), 0);
    cr_expect_eq(weft_algo_select("graph", &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "needs a topology"));
    c.graph = graph;
    cr_assert_eq(weft_algo_select(NULL, &c, &p), 0);
    cr_expect_str_eq(p.algo->name, "graph");
    cr_expect_eq(weft_algo_select("ring", &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "no neighbours"));
    weft_topology_close(&graph);
}

Test(graph, tree_places_are_intervals)
{
    weft_topology *graph = NULL;
    weft_shape s = {.coll = WEFT_COLL_GATHER, .size = 20, .count = 3, .block = 1, .root = 7};
    weft_plan p;
    const weft_algo *a;

    cr_assert_eq(weft_topology_open(&graph, "smallworld:degree=4,rewire=0.5,seed=1", 20), 0);
    s.graph = graph;
    cr_assert_eq(weft_algo_find(WEFT_COLL_GATHER, "graph", &a), 0);
    size_t received = 0;
    for (s.rank = 0; s.rank < s.size; s.rank++) {
        cr_assert_eq(weft_algo_build(a, &s, &p), 0);
        if (s.rank == s.root)
            received = p.recv_count;
        weft_plan_free(&p);
    }
    cr_expect_eq(received, 19, "the root hears of every other block once");
    weft_topology_close(&graph);
}
