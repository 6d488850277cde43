/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders for rings and trees against all orders there are, for few peers, and against orders known
 * to be best. What an order costs is worked out here anew.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "topology/topology.h"

enum { FEW = 8, MANY = 512, MATRICES = 200 };

typedef struct net {
    int size;
    double rate[MANY * MANY], latency[MANY * MANY];
} net;

static net n; /* too large for a stack */

static weft_links *links_of(void)
{
    weft_links *l = NULL;
    cr_assert_eq(weft_links_make(&l, n.size, n.rate, n.latency), WEFT_OK, "%s",
                 weft_last_error()->message);
    return l;
}

static void set(int from, int to, double rate, double latency)
{
    n.rate[from * n.size + to] = rate;
    n.latency[from * n.size + to] = latency;
}

/* Both directions of their own, over three orders of magnitude; or peers on a map. */
static void fill_random(int size, weft_rng *rng, bool map)
{
    double x[FEW], y[FEW];
    n.size = size;
    for (int r = 0; r < size; r++) {
        x[r] = weft_rng_unit(rng);
        y[r] = weft_rng_unit(rng);
    }
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            const double far = 1e-3 + hypot(x[a] - x[b], y[a] - y[b]);
            set(a, b, map ? 1e8 / far : 1e6 * exp(weft_rng_unit(rng) * log(1e3)),
                map ? 1e-2 * far : 1e-5 * exp(weft_rng_unit(rng) * log(1e3)));
        }
}

/* The slower direction: of a hop whose message has so many bytes. */
static void hop(int a, int b, double bytes, double *ret_time, double *ret_busy)
{
    const double there = bytes / n.rate[a * n.size + b], back = bytes / n.rate[b * n.size + a];
    const double t = n.latency[a * n.size + b] + there, u = n.latency[b * n.size + a] + back;
    *ret_time = t > u ? t : u;
    *ret_busy = t > u ? there : back;
}

static double ring_cost(const int *order, double bytes)
{
    double sum = 0, longest = 0, time = 0, busy = 0;
    for (int p = 0; n.size > 1 && p < n.size; p++) {
        hop(order[p], order[(p + 1) % n.size], bytes, &time, &busy);
        sum += time;
        longest = busy > longest ? busy : longest;
    }
    return n.size * longest > sum ? n.size * longest : sum;
}

/* When the last of the positions below v has it, which has it itself at `now`. */
static double tree_time(const int *order, int arity, double bytes, int v, double now)
{
    double last = now, time = 0, busy = 0;
    int child[64], count = 0;
    for (int k = 1; arity > 0 && k <= arity && arity * v + k < n.size; k++)
        child[count++] = arity * v + k;
    int top = 1;
    while (top < n.size)
        top *= 2;
    for (int m = top; arity == 0 && m >= 1; m /= 2)
        if (v % (2 * m) == 0 && v + m < n.size)
            child[count++] = v + m;
    for (int i = 0; i < count; i++) {
        hop(order[v], order[child[i]], bytes, &time, &busy);
        const double end = tree_time(order, arity, bytes, child[i], now + time);
        last = end > last ? end : last;
        now += busy;
    }
    return last;
}

/* arity -1: a ring. */
static double cost_of(const int *order, int arity, double bytes)
{
    return arity < 0 ? ring_cost(order, bytes) : tree_time(order, arity, bytes, 0, 0);
}

/* The least cost of all orders that agree with the first `fixed` ranks. */
static double best_cost(int *order, int fixed, int arity, double bytes)
{
    if (fixed == n.size)
        return cost_of(order, arity, bytes);
    double best = (double)INFINITY;
    for (int k = fixed; k < n.size; k++) {
        const int mine = order[fixed];
        order[fixed] = order[k];
        order[k] = mine;
        const double c = best_cost(order, fixed + 1, arity, bytes);
        best = c < best ? c : best;
        order[k] = order[fixed];
        order[fixed] = mine;
    }
    return best;
}

static void find_order(const weft_links *l, int arity, size_t bytes, int *order, double *ret_cost)
{
    bool seen[MANY] = {false};
    if (arity < 0) {
        cr_assert_eq(weft_order_ring(l, bytes, order), WEFT_OK);
        cr_assert_eq(weft_order_ring_cost(l, bytes, order, ret_cost), WEFT_OK);
        cr_assert(order[0] == 0 && (n.size < 3 || order[1] < order[n.size - 1]));
    } else {
        cr_assert_eq(weft_order_tree(l, arity, bytes, order), WEFT_OK);
        cr_assert_eq(weft_order_tree_cost(l, arity, bytes, order, ret_cost), WEFT_OK);
    }
    for (int p = 0; p < n.size; p++) {
        cr_assert(order[p] >= 0 && order[p] < n.size && !seen[order[p]]);
        seen[order[p]] = true;
    }
    const double mine = cost_of(order, arity, (double)bytes);
    cr_assert_leq(fabs(*ret_cost - mine), 1e-12 * mine, "told %.17g, is %.17g", *ret_cost, mine);
}

static void against_all(int arity, int least_peers)
{
    static const size_t sizes[] = {0, 1000, 1000000};
    weft_rng rng = {.state = 11 + (uint64_t)arity};
    double worst = 1;
    int best_found = 0;
    for (int i = 0; i < MATRICES; i++) {
        int order[FEW], all[FEW];
        double cost = 0;
        fill_random(least_peers + i % (FEW - least_peers + 1), &rng, i % 4 == 3);
        weft_links *l = links_of();
        const size_t bytes = sizes[i % 3];
        find_order(l, arity, bytes, order, &cost);
        for (int p = 0; p < n.size; p++)
            all[p] = p;
        const double best = best_cost(all, arity < 0, arity, (double)bytes);
        cr_expect_leq(cost, 1.1 * best, "arity %d, matrix %d: %g, best %g", arity, i, cost, best);
        worst = cost / best > worst ? cost / best : worst;
        best_found += cost <= best * (1 + 1e-9);
        weft_links_close(&l);
    }
    cr_log_info("arity %d: at worst %g of the best, %d of %d the best", arity, worst, best_found,
                MATRICES);
    cr_expect_geq(best_found, MATRICES * 95 / 100, "arity %d: %d of %d are the best", arity,
                  best_found, MATRICES);
}

Test(orders, rings_of_few_peers_are_within_a_tenth_of_the_best)
{
    against_all(-1, 2);
}

Test(orders, binomial_trees_of_few_peers_are_within_a_tenth_of_the_best, .timeout = 100)
{
    against_all(0, 3);
}

Test(orders, binary_trees_of_few_peers_are_within_a_tenth_of_the_best, .timeout = 100)
{
    against_all(2, 3);
}

/* A permutation of the ranks. */
static void shuffle(int *place, int size, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (int i = 0; i < size; i++) {
        const int k = (int)weft_rng_below(&rng, (uint64_t)i + 1);
        place[i] = place[k];
        place[k] = i;
    }
}

/* Racks of so many peers, ranks mixed, fast inside and slow between. */
static void fill_racks(int size, int rack, int *place)
{
    n.size = size;
    shuffle(place, size, 5);
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            const bool same = place[a] / rack == place[b] / rack;
            set(a, b, same ? 1.25e8 : 1.25e6, same ? 5e-5 : 5e-3);
        }
}

Test(orders, a_ring_through_racks_enters_and_leaves_each_once)
{
    static const struct {
        int size, rack;
    } cases[] = {{4, 2}, {8, 4}, {9, 3}, {16, 8}, {64, 32}, {64, 8}, {128, 16}};
    static const size_t sizes[] = {0, 1024, 1 << 20};
    for (size_t i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
        int place[MANY], order[MANY], crossed = 0;
        const int size = cases[i / 3].size, rack = cases[i / 3].rack;
        double cost = 0;
        fill_racks(size, rack, place);
        weft_links *l = links_of();
        find_order(l, -1, sizes[i % 3], order, &cost);
        for (int p = 0; p < size; p++)
            crossed += place[order[p]] / rack != place[order[(p + 1) % size]] / rack;
        cr_expect_eq(crossed, size / rack, "%d peers in racks of %d: %d slow hops", size, rack,
                     crossed);
        weft_links_close(&l);
    }
}

Test(orders, a_tree_over_two_racks_crosses_once)
{
    for (int size = 4; size <= 64; size *= 2) {
        int place[MANY], order[MANY], crossed = 0;
        double cost = 0;
        fill_racks(size, size / 2, place);
        weft_links *l = links_of();
        find_order(l, 0, 1 << 20, order, &cost);
        for (int v = 1; v < size; v++)
            crossed += place[order[v]] / (size / 2) != place[order[v & (v - 1)]] / (size / 2);
        cr_expect_eq(crossed, 1, "%d peers: %d slow hops", size, crossed);
        weft_links_close(&l);
    }
}

/* Time grows with the distance on a ring whose ranks are mixed: that ring is the best there is. */
static void fill_hidden_ring(int size, int *place)
{
    n.size = size;
    shuffle(place, size, 9);
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            const int apart = abs(place[a] - place[b]);
            const double far = apart < size - apart ? apart : size - apart;
            set(a, b, 1.25e9 / (far > 0 ? far : 1), 1e-5 * far);
        }
}

Test(orders, a_hidden_ring_is_found)
{
    static const int peers[] = {3, 4, 5, 8, 17, 64, 128, 512};
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        int place[MANY], order[MANY], hidden[MANY];
        double cost = 0;
        fill_hidden_ring(peers[i], place);
        for (int r = 0; r < n.size; r++)
            hidden[place[r]] = r;
        weft_links *l = links_of();
        find_order(l, -1, 1000, order, &cost);
        const double best = ring_cost(hidden, 1000);
        cr_expect_leq(cost, best * (1 + 1e-9), "%d peers: %g, best %g", n.size, cost, best);
        weft_links_close(&l);
    }
}

/* A unit square's shortest tour is about 0.7124 sqrt(P) long (Beardwood, Halton & Hammersley). */
Test(orders, a_ring_over_a_map_is_near_the_shortest_tour)
{
    enum { PEERS = 256 };
    weft_rng rng = {.state = 3};
    double x[PEERS], y[PEERS], cost = 0;
    int order[PEERS];
    n.size = PEERS;
    for (int r = 0; r < PEERS; r++) {
        x[r] = weft_rng_unit(&rng);
        y[r] = weft_rng_unit(&rng);
    }
    for (int a = 0; a < PEERS; a++)
        for (int b = 0; b < PEERS; b++)
            set(a, b, 1e9, hypot(x[a] - x[b], y[a] - y[b]));
    weft_links *l = links_of();
    find_order(l, -1, 0, order, &cost);
    /* With the boundary's share for so few: 0.7124 sqrt(P) (1 + 0.33 / sqrt(P)) ... 1.05 of it. */
    cr_expect_lt(cost, 0.7124 * sqrt(PEERS) * (1 + 0.33 / sqrt(PEERS)) * 1.1, "%g", cost);
    weft_links_close(&l);
}

/* One link is slow one way only: no ring passes it either way. */
Test(orders, the_slower_direction_counts)
{
    int order[6];
    double cost = 0;
    n.size = 6;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
            set(a, b, (b == a + 1 && a % 2 == 0) ? 1e3 : 1e8, 1e-4);
    weft_links *l = links_of();
    find_order(l, -1, 100000, order, &cost);
    for (int p = 0; p < 6; p++)
        cr_expect_neq(order[p] / 2, order[(p + 1) % 6] / 2, "%d %d", order[p], order[(p + 1) % 6]);
    weft_links_close(&l);
}

Test(orders, orders_come_out_the_same_every_time)
{
    weft_rng rng = {.state = 77};
    for (int arity = -1; arity < 3; arity++) {
        int once[FEW], again[FEW];
        double cost = 0;
        fill_random(FEW, &rng, false);
        weft_links *l = links_of(), *other = links_of();
        find_order(l, arity, 5000, once, &cost);
        find_order(other, arity, 5000, again, &cost);
        cr_expect_eq(memcmp(once, again, sizeof(once)), 0);
        weft_links_close(&l);
        weft_links_close(&other);
    }
}

Test(orders, one_and_two_peers_have_their_only_order)
{
    for (int size = 1; size <= 2; size++)
        for (int arity = -1; arity < 3; arity++) {
            int order[2];
            double cost = -1;
            n.size = size;
            for (int i = 0; i < size * size; i++)
                set(i / size, i % size, 1e6, 1e-3);
            weft_links *l = links_of();
            find_order(l, arity, 1000, order, &cost);
            cr_expect(size == 2 ? cost > 0 : cost == 0);
            weft_links_close(&l);
        }
}
