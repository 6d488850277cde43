/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every topology promises, for every row of the table, with its defaults and other parameters,
 * for 1 … 33 peers; and what single ones are known to be. A new row is tested here as it is.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "support/tempfile.h"
#include "topology/topology.h"

enum { SIZE_MOST = 33, SPEC_MOST = 128 };

static char net_path[TEMPFILE_PATH]; /* an edge list, written by setup */

/* Beside the defaults of each row. */
static const char *const more[] = {
    "tree:arity=1",
    "tree:arity=3",
    "torus:rows=1",
    "torus:rows=3",
    "star:centre=4",
    "regular:degree=2",
    "regular:degree=3",
    "regular:degree=5",
    "regular:degree=8",
    "regular:seed=2",
    "regular:degree=3,seed=3",
    "smallworld:rewire=0",
    "smallworld:rewire=0.5",
    "smallworld:rewire=1",
    "smallworld:degree=6,seed=9",
};

static bool spec_at(int i, char out[SPEC_MOST])
{
    const weft_topology_type *t = weft_topology_type_at(i);
    int rows = 0;
    while (weft_topology_type_at(rows))
        rows++;
    if (t) {
        const bool file = t->params[0].key && t->params[0].text;
        snprintf(out, SPEC_MOST, "%s%s%s", t->name, file ? ":path=" : "", file ? net_path : "");
        return true;
    }
    if (i - rows >= (int)(sizeof(more) / sizeof(more[0])))
        return false;
    snprintf(out, SPEC_MOST, "%s", more[i - rows]);
    return true;
}

static void write_net(void)
{
    static const char net[] = "0 1 1gbit 1ms\n1 2 10mbit\n2 0\n2 3\n3 4 1mbit 20ms\n1 4\n4 5\n";
    tempfile_write(net_path, net, strlen(net));
}

static void remove_net(void)
{
    tempfile_remove(net_path);
}

TestSuite(topologies, .init = write_net, .fini = remove_net);

/* Calls check for every SPEC and size that make a graph; the others must be refused in words. */
static int each_graph(void (*check)(const weft_topology *t, const char *spec, int size))
{
    char spec[SPEC_MOST];
    int made = 0;
    for (int i = 0; spec_at(i, spec); i++) {
        int of_this = 0;
        for (int size = 1; size <= SIZE_MOST; size++) {
            weft_topology *t = NULL;
            const int code = weft_topology_open(&t, spec, size);
            if (code != WEFT_OK) {
                cr_assert(code == WEFT_EINVAL && !t, "%s of %d: %s", spec, size,
                          weft_last_error()->message);
                cr_assert(!strncmp(weft_last_error()->message, "topology ", 9));
                continue;
            }
            check(t, spec, size);
            weft_topology_close(&t);
            of_this++;
        }
        cr_assert_gt(of_this, 0, "%s fits no size", spec);
        made += of_this;
    }
    return made;
}

/* Straight from the neighbours: the distances from a rank, by relaxing; returns the farthest. */
static int farthest(const weft_topology *t, int from, int size)
{
    int distance[SIZE_MOST], most = 0;
    for (int r = 0; r < size; r++)
        distance[r] = r == from ? 0 : size;
    for (int round = 0; round < size; round++)
        for (int r = 0; r < size; r++) {
            int count = 0;
            const int *near = weft_topology_neighbors(t, r, &count);
            for (int k = 0; k < count; k++)
                if (distance[near[k]] + 1 < distance[r])
                    distance[r] = distance[near[k]] + 1;
        }
    for (int r = 0; r < size; r++)
        most = distance[r] > most ? distance[r] : most;
    return most;
}

static void check_graph(const weft_topology *t, const char *spec, int size)
{
    size_t ends = 0;
    int least = size, most = 0, far = 0, told[3] = {-1, -1, -1};
    bool joined[SIZE_MOST][SIZE_MOST] = {{false}};
    for (int r = 0; r < size; r++) {
        int count = -1;
        const int *near = weft_topology_neighbors(t, r, &count);
        cr_assert_not_null(near);
        for (int k = 0; k < count; k++) {
            cr_assert(near[k] >= 0 && near[k] < size && near[k] != r, "%s of %d", spec, size);
            cr_assert(k == 0 || near[k] > near[k - 1], "%s of %d: not ascending", spec, size);
            joined[r][near[k]] = true;
        }
        ends += (size_t)count;
        least = count < least ? count : least;
        most = count > most ? count : most;
        const int reach = farthest(t, r, size);
        cr_assert_lt(reach, size, "%s of %d: not connected", spec, size);
        far = reach > far ? reach : far;
    }
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            double rate[2] = {-1, -1}, latency[2] = {-1, -1};
            cr_assert_eq(joined[a][b], joined[b][a], "%s of %d: %d %d", spec, size, a, b);
            cr_assert_eq(weft_topology_edge(t, a, b, &rate[0], &latency[0]) == WEFT_OK,
                         joined[a][b]);
            cr_assert_eq(weft_topology_edge(t, b, a, &rate[1], &latency[1]) == WEFT_OK,
                         joined[a][b]);
            cr_assert(rate[0] == rate[1] && latency[0] == latency[1]);
        }
    weft_topology_degree(t, &told[0], &told[1]);
    cr_assert_eq(weft_topology_diameter(t, &told[2]), WEFT_OK);
    cr_assert(told[0] == least && told[1] == most && told[2] == far, "%s of %d: %d %d %d", spec,
              size, told[0], told[1], told[2]);
    cr_assert_eq(weft_topology_edges(t), ends / 2);
}

Test(topologies, graphs_are_symmetric_connected_and_without_loops)
{
    cr_assert_gt(each_graph(check_graph), 500);
}

static void check_weights(const weft_topology *t, const char *spec, int size)
{
    static double w[SIZE_MOST][SIZE_MOST];
    memset(w, 0, sizeof(w));
    for (int r = 0; r < size; r++) {
        double near_weights[SIZE_MOST];
        int count = 0;
        const int *near = weft_topology_neighbors(t, r, &count);
        cr_assert_eq(weft_topology_weights(t, r, &w[r][r], near_weights), WEFT_OK);
        cr_assert_gt(w[r][r], 0, "%s of %d: %d", spec, size, r);
        for (int k = 0; k < count; k++)
            w[r][near[k]] = near_weights[k];
    }
    for (int a = 0; a < size; a++) {
        double row = 0, column = 0;
        for (int b = 0; b < size; b++) {
            cr_assert(!memcmp(&w[a][b], &w[b][a], sizeof(double)), "%s of %d", spec, size);
            cr_assert_geq(w[a][b], 0);
            row += w[a][b];
            column += w[b][a];
        }
        cr_assert_leq(fabs(row - 1), 1e-15 * size, "%s of %d: %g", spec, size, row - 1);
        cr_assert_leq(fabs(column - 1), 1e-15 * size);
    }
}

Test(topologies, weights_are_symmetric_to_the_bit_and_doubly_stochastic)
{
    cr_assert_gt(each_graph(check_weights), 500);
}

/* The largest share of a deviation from the mean that a step leaves, by iterating it: from below.
 */
static double contraction(const weft_topology *t, int size)
{
    double v[SIZE_MOST], next[SIZE_MOST], norm = 0;
    for (int r = 0; r < size; r++)
        v[r] = sin(1.0 + 3.7 * r);
    for (int step = 0; step < 700; step++) {
        double mean = 0, before = 0, after = 0;
        for (int r = 0; r < size; r++)
            mean += v[r] / size;
        for (int r = 0; r < size; r++) {
            double self = 0, weights[SIZE_MOST];
            int count = 0;
            const int *near = weft_topology_neighbors(t, r, &count);
            weft_topology_weights(t, r, &self, weights);
            next[r] = self * (v[r] - mean);
            for (int k = 0; k < count; k++)
                next[r] += weights[k] * (v[near[k]] - mean);
        }
        for (int r = 0; r < size; r++) {
            before += (v[r] - mean) * (v[r] - mean);
            after += next[r] * next[r];
        }
        norm = before > 0 ? sqrt(after / before) : 0;
        if (after < 1e-24 * before)
            return 0;
        for (int r = 0; r < size; r++)
            v[r] = next[r] / sqrt(after);
    }
    return norm;
}

static void check_gap(const weft_topology *t, const char *spec, int size)
{
    double gap = -1;
    if (size > 9 && size != 16 && size != 17) /* iterating takes its time */
        return;
    cr_assert_eq(weft_topology_spectral_gap(t, &gap), WEFT_OK);
    cr_assert(gap > 0 && gap <= 1, "%s of %d: %g", spec, size, gap);
    /* A chain's comes slowest: 700 steps are within a thousandth for 17 peers. */
    cr_assert_leq(fabs(1 - contraction(t, size) - gap), 2e-3, "%s of %d: %g, iterated %g", spec,
                  size, gap, 1 - contraction(t, size));
}

Test(topologies, the_spectral_gap_is_what_a_mixing_step_takes_off)
{
    cr_assert_gt(each_graph(check_gap), 500);
}

static double gap_of(const char *spec, int size)
{
    double gap = -1;
    weft_topology *t = NULL;
    cr_assert_eq(weft_topology_open(&t, spec, size), WEFT_OK);
    cr_assert_eq(weft_topology_spectral_gap(t, &gap), WEFT_OK);
    weft_topology_close(&t);
    return gap;
}

#define EXPECT_GAP(spec, size, closed)                                                             \
    cr_expect_leq(fabs(gap_of(spec, size) - (closed)), 1e-13, "%s of %d: %.17g, %.17g", spec,      \
                  size, gap_of(spec, size), closed)

Test(topologies, spectral_gaps_equal_their_closed_forms)
{
    const double pi = acos(-1.0);
    for (int n = 3; n <= 64; n++)
        EXPECT_GAP("ring", n, 1 - (1 + 2 * cos(2 * pi / n)) / 3);
    for (int n = 1; n <= 64; n += 3)
        EXPECT_GAP("complete", n, 1.0);
    for (int n = 3; n <= 64; n += 3)
        EXPECT_GAP("star", n, 1.0 / n);
    for (int d = 1; d <= 7; d++)
        EXPECT_GAP("hypercube", 1 << d, 2.0 / (d + 1));
    for (int rows = 3; rows <= 7; rows++)
        for (int columns = rows; columns <= 9; columns++) {
            char spec[32];
            const double x = 2 * cos(2 * pi / columns),
                         low = 1 + 2 * cos(2 * pi * (rows / 2) / rows) +
                               2 * cos(2 * pi * (columns / 2) / columns);
            snprintf(spec, sizeof(spec), "torus:rows=%d", rows);
            EXPECT_GAP(spec, rows * columns, 1 - fmax((3 + x) / 5, -low / 5));
        }
    /* A chain: 2/3 at the inner edges, and ends that keep what they do not give. */
    for (int n = 2; n <= 64; n += 5)
        EXPECT_GAP("tree:arity=1", n, n == 2 ? 1.0 : 2 * (1 - cos(pi / n)) / 3);
}

static int diameter_of(const char *spec, int size)
{
    int diameter = -1;
    weft_topology *t = NULL;
    cr_assert_eq(weft_topology_open(&t, spec, size), WEFT_OK);
    cr_assert_eq(weft_topology_diameter(t, &diameter), WEFT_OK);
    weft_topology_close(&t);
    return diameter;
}

Test(topologies, diameters_equal_their_closed_forms)
{
    for (int n = 1; n <= 300; n += 7) {
        cr_expect_eq(diameter_of("ring", n), n / 2);
        cr_expect_eq(diameter_of("complete", n), n > 1);
        cr_expect_eq(diameter_of("star", n), n > 2 ? 2 : n - 1);
        cr_expect_eq(diameter_of("tree:arity=1", n), n - 1);
    }
    for (int d = 0; d <= 12; d++)
        cr_expect_eq(diameter_of("hypercube", 1 << d), d);
    for (int levels = 1; levels <= 9; levels++)
        cr_expect_eq(diameter_of("tree", (1 << levels) - 1), 2 * (levels - 1));
    for (int rows = 1; rows <= 9; rows++)
        for (int columns = 1; columns <= 9; columns++) {
            char spec[32];
            snprintf(spec, sizeof(spec), "torus:rows=%d", rows);
            cr_expect_eq(diameter_of(spec, rows * columns), rows / 2 + columns / 2);
        }
}

static void check_again(const weft_topology *t, const char *spec, int size)
{
    weft_topology *again = NULL;
    cr_assert_eq(weft_topology_open(&again, weft_topology_spec(t), size), WEFT_OK);
    cr_assert_eq(weft_topology_digest(again), weft_topology_digest(t), "%s of %d", spec, size);
    cr_assert_str_eq(weft_topology_spec(again), weft_topology_spec(t));
    weft_topology_close(&again);
}

Test(topologies, the_same_spec_and_size_give_the_same_graph)
{
    cr_assert_gt(each_graph(check_again), 500);
}

static uint64_t digest_of(const char *spec, int size)
{
    weft_topology *t = NULL;
    cr_assert_eq(weft_topology_open(&t, spec, size), WEFT_OK, "%s", weft_last_error()->message);
    const uint64_t digest = weft_topology_digest(t);
    weft_topology_close(&t);
    return digest;
}

/* Of this version of the library: peers of different builds compare them. */
Test(topologies, digests_are_what_they_were)
{
    static const struct {
        const char *spec;
        int size;
        uint64_t digest;
    } golden[] = {
        {"ring", 1, UINT64_C(0xcca51d409fe33121)},
        {"ring", 8, UINT64_C(0xd4d416a4a8c582d6)},
        {"complete", 5, UINT64_C(0xf547df60b8fe2207)},
        {"tree:arity=3", 20, UINT64_C(0x98498b0b4104526c)},
        {"hypercube", 16, UINT64_C(0xf68209243d9bc638)},
        {"torus", 12, UINT64_C(0x5246f48ac47c127f)},
        {"exponential", 33, UINT64_C(0xbb2e1dcf6787d771)},
        {"star:centre=3", 7, UINT64_C(0x65732914cebfeeb9)},
        {"regular:degree=2,seed=5", 11, UINT64_C(0x7b58f83e0f53f8a7)},
        {"regular:degree=3,seed=7", 64, UINT64_C(0x31aa5ffc3f7849e9)},
        {"regular:degree=64", 65, UINT64_C(0xd4d6704a8e9aaf28)},
        {"smallworld:degree=6,rewire=0.25,seed=3", 100, UINT64_C(0x0e9bf4eebc67fb6c)},
    };
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
        cr_expect_eq(digest_of(golden[i].spec, golden[i].size), golden[i].digest,
                     "{\"%s\", %d, UINT64_C(0x%016llx)},", golden[i].spec, golden[i].size,
                     (unsigned long long)digest_of(golden[i].spec, golden[i].size));
}

Test(topologies, seeds_give_different_graphs)
{
    static const char *const families[] = {"regular:degree=3", "regular:degree=2",
                                           "smallworld:rewire=0.3"};
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        uint64_t seen[100];
        for (int seed = 0; seed < 100; seed++) {
            char spec[64];
            snprintf(spec, sizeof(spec), "%s,seed=%d", families[f], seed);
            seen[seed] = digest_of(spec, 32);
            for (int k = 0; k < seed; k++)
                cr_assert_neq(seen[k], seen[seed], "%s: seeds %d and %d", families[f], k, seed);
        }
    }
}

/* Over many seeds every pair of ranks is joined about equally often. */
Test(topologies, random_regular_graphs_favour_no_edge)
{
    enum { SEEDS = 2000, PEERS = 12, DEGREE = 3 };
    int joined[PEERS][PEERS] = {{0}};
    for (int seed = 0; seed < SEEDS; seed++) {
        char spec[64];
        weft_topology *t = NULL;
        snprintf(spec, sizeof(spec), "regular:degree=%d,seed=%d", DEGREE, seed);
        cr_assert_eq(weft_topology_open(&t, spec, PEERS), WEFT_OK);
        for (int r = 0; r < PEERS; r++) {
            int count = 0;
            const int *near = weft_topology_neighbors(t, r, &count);
            cr_assert_eq(count, DEGREE);
            for (int k = 0; k < count; k++)
                joined[r][near[k]]++;
        }
        weft_topology_close(&t);
    }
    const double mean = (double)SEEDS * DEGREE / (PEERS - 1),
                 sigma = sqrt(mean * (1 - mean / SEEDS));
    for (int a = 0; a < PEERS; a++)
        for (int b = 0; b < a; b++)
            cr_expect_lt(fabs(joined[a][b] - mean), 5 * sigma, "%d %d: %d times, %g expected", a, b,
                         joined[a][b], mean);
}

/* Rewired edges: a share of them as the probability says. */
Test(topologies, small_worlds_rewire_as_often_as_they_are_told)
{
    enum { PEERS = 1000, HALF = 2 };
    for (int tenths = 1; tenths <= 9; tenths += 2) {
        char spec[64];
        weft_topology *t = NULL;
        int kept = 0;
        snprintf(spec, sizeof(spec), "smallworld:rewire=0.%d", tenths);
        cr_assert_eq(weft_topology_open(&t, spec, PEERS), WEFT_OK);
        cr_assert_eq(weft_topology_edges(t), PEERS * HALF);
        for (int r = 0; r < PEERS; r++)
            for (int hop = 1; hop <= HALF; hop++)
                kept += weft_topology_edge(t, r, (r + hop) % PEERS, NULL, NULL) == WEFT_OK;
        weft_topology_close(&t);
        const double p = tenths / 10.0, edges = PEERS * HALF;
        const double slack =
            5 * sqrt(edges * p * (1 - p)) + 10; /* some land on the lattice again */
        cr_expect_lt(fabs(kept - (1 - p) * edges), slack, "rewire 0.%d: %d of %g kept", tenths,
                     kept, edges);
    }
}
