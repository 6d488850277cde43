/* SPDX-License-Identifier: Apache-2.0 */
/* Single graphs, told edge by edge, and what is refused. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "topology/topology.h"

static weft_topology *opened(const char *spec, int size)
{
    weft_topology *t = NULL;
    cr_assert_eq(weft_topology_open(&t, spec, size), WEFT_OK, "%s of %d: %s", spec, size,
                 weft_last_error()->message);
    return t;
}

/* Refused with exactly this text, and nothing returned. */
static void refused(const char *spec, int size, int code, const char *message)
{
    weft_topology *const mark = (weft_topology *)&code, *t = mark;
    cr_expect_eq(weft_topology_open(&t, spec, size), code, "%s of %d", spec, size);
    cr_expect_str_eq(weft_last_error()->message, message);
    cr_expect_eq(t, mark, "untouched on failure");
}

/* "0: 1 3; 1: 0 2; ..." */
static void expect_rows(const char *spec, int size, const char *rows)
{
    char text[1024] = "";
    size_t len = 0;
    weft_topology *t = opened(spec, size);
    for (int r = 0; r < size; r++) {
        int count = -1;
        const int *near = weft_topology_neighbors(t, r, &count);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d:", r ? "; " : "", r);
        for (int k = 0; k < count; k++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %d", near[k]);
    }
    cr_expect_str_eq(text, rows, "%s of %d", spec, size);
    weft_topology_close(&t);
    cr_assert_null(t);
}

Test(topology, rings_close_and_two_peers_share_one_edge)
{
    expect_rows("ring", 1, "0:");
    expect_rows("ring", 2, "0: 1; 1: 0");
    expect_rows("ring", 3, "0: 1 2; 1: 0 2; 2: 0 1");
    expect_rows("ring", 5, "0: 1 4; 1: 0 2; 2: 1 3; 3: 2 4; 4: 0 3");
}

Test(topology, trees_are_numbered_by_levels)
{
    expect_rows("tree", 6, "0: 1 2; 1: 0 3 4; 2: 0 5; 3: 1; 4: 1; 5: 2");
    expect_rows("tree:arity=1", 4, "0: 1; 1: 0 2; 2: 1 3; 3: 2");
    expect_rows("tree:arity=3", 5, "0: 1 2 3; 1: 0 4; 2: 0; 3: 0; 4: 1");
    expect_rows("tree:arity=65535", 4, "0: 1 2 3; 1: 0; 2: 0; 3: 0");
}

Test(topology, hypercubes_flip_single_bits)
{
    expect_rows("hypercube", 1, "0:");
    expect_rows("hypercube", 8,
                "0: 1 2 4; 1: 0 3 5; 2: 0 3 6; 3: 1 2 7; 4: 0 5 6; 5: 1 4 7; 6: 2 4 7; 7: 3 5 6");
}

Test(topology, a_torus_has_no_double_edges_where_a_dimension_is_short)
{
    expect_rows("torus", 1, "0:");
    expect_rows("torus", 4, "0: 1 2; 1: 0 3; 2: 0 3; 3: 1 2");
    expect_rows("torus", 6, "0: 1 2 3; 1: 0 2 4; 2: 0 1 5; 3: 0 4 5; 4: 1 3 5; 5: 2 3 4");
    expect_rows("torus:rows=3", 6, "0: 1 2 4; 1: 0 3 5; 2: 0 3 4; 3: 1 2 5; 4: 0 2 5; 5: 1 3 4");
    expect_rows("torus", 5, "0: 1 4; 1: 0 2; 2: 1 3; 3: 2 4; 4: 0 3");
    expect_rows("torus:rows=5", 5, "0: 1 4; 1: 0 2; 2: 1 3; 3: 2 4; 4: 0 3");
    expect_rows("torus", 9,
                "0: 1 2 3 6; 1: 0 2 4 7; 2: 0 1 5 8; 3: 0 4 5 6; 4: 1 3 5 7; 5: 2 3 4 8; "
                "6: 0 3 7 8; 7: 1 4 6 8; 8: 2 5 6 7");
}

Test(topology, exponential_graphs_reach_powers_of_two_both_ways)
{
    expect_rows("exponential", 2, "0: 1; 1: 0");
    expect_rows("exponential", 6,
                "0: 1 2 4 5; 1: 0 2 3 5; 2: 0 1 3 4; 3: 1 2 4 5; 4: 0 2 3 5; 5: 0 1 3 4");
    weft_topology *t = opened("exponential", 33);
    int count = 0;
    static const int near[] = {1, 2, 4, 8, 16, 17, 25, 29, 31, 32};
    const int *got = weft_topology_neighbors(t, 0, &count);
    cr_assert_eq(count, 10);
    cr_assert_eq(memcmp(got, near, sizeof(near)), 0);
    weft_topology_close(&t);
}

Test(topology, stars_have_their_centre_where_it_is_wished)
{
    expect_rows("star", 4, "0: 1 2 3; 1: 0; 2: 0; 3: 0");
    expect_rows("star:centre=2", 4, "0: 2; 1: 2; 2: 0 1 3; 3: 2");
    expect_rows("star", 1, "0:");
}

Test(topology, a_small_world_without_rewiring_is_the_lattice)
{
    expect_rows("smallworld:rewire=0", 6,
                "0: 1 2 4 5; 1: 0 2 3 5; 2: 0 1 3 4; 3: 1 2 4 5; 4: 0 2 3 5; 5: 0 1 3 4");
    expect_rows("smallworld:rewire=1", 5,
                "0: 1 2 3 4; 1: 0 2 3 4; 2: 0 1 3 4; 3: 0 1 2 4; 4: 0 1 2 3");
}

Test(topology, a_random_cycle_is_the_regular_graph_of_degree_two)
{
    for (int size = 3; size < 40; size++) {
        weft_topology *t = opened("regular:degree=2,seed=5", size);
        int least = 0, most = 0;
        weft_topology_degree(t, &least, &most);
        cr_assert(least == 2 && most == 2 && weft_topology_edges(t) == (size_t)size);
        weft_topology_close(&t);
    }
    expect_rows("regular:degree=1", 2, "0: 1; 1: 0");
}

Test(topology, the_spec_is_told_in_full)
{
    weft_topology *t = opened("regular:seed=9", 10);
    cr_assert_str_eq(weft_topology_spec(t), "regular:degree=4,seed=9");
    cr_assert_eq(weft_topology_size(t), 10);
    weft_topology_close(&t);
    t = opened("smallworld", 10);
    cr_assert_str_eq(weft_topology_spec(t), "smallworld:degree=4,rewire=0.1,seed=1");
    weft_topology_close(&t);
}

Test(topology, unknown_names_keys_and_values_name_the_choices)
{
    refused("rnig", 4, WEFT_EINVAL,
            "topology \"rnig\" is unknown (did you mean ring?); topologies: ring, complete, tree, "
            "hypercube, torus, exponential, star, regular, smallworld, file");
    refused("", 4, WEFT_EINVAL,
            "topology: SPEC \"\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused(NULL, 4, WEFT_EINVAL,
            "topology: SPEC \"\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused("tree:aritty=2", 4, WEFT_EINVAL,
            "topology tree: unknown key \"aritty\" (did you mean arity?); valid keys: arity");
    refused("ring:size=2", 4, WEFT_EINVAL, "topology ring: unknown key \"size\"; valid keys: none");
    refused("tree:arity=0", 4, WEFT_EINVAL, "topology tree: arity: 0 is out of range (1 to 65535)");
    refused("file", 4, WEFT_EINVAL,
            "topology file: key path is missing: the edge list: lines of two ranks, rate, latency");
    cr_assert_eq(weft_topology_open(NULL, "ring", 4), WEFT_EINVAL);
}

Test(topology, sizes_that_do_not_fit_are_refused_with_those_that_do)
{
    refused("ring", 0, WEFT_EINVAL, "topology ring: of how many peers? (1 to 65535)");
    refused("ring", -1, WEFT_EINVAL, "topology ring: -1 peers (1 to 65535)");
    refused("ring", 65536, WEFT_EINVAL, "topology ring: 65536 peers (1 to 65535)");
    refused("hypercube", 12, WEFT_EINVAL,
            "topology hypercube: 12 peers are no power of two; 8 and 16 are");
    refused("hypercube", 3, WEFT_EINVAL,
            "topology hypercube: 3 peers are no power of two; 2 and 4 are");
    refused("hypercube", 65535, WEFT_EINVAL,
            "topology hypercube: 65535 peers are no power of two; 32768 are");
    refused("torus:rows=4", 10, WEFT_EINVAL,
            "topology torus: 4 rows do not divide 10 peers; rows that do: 1, 2, 5, 10");
    refused("star:centre=4", 4, WEFT_EINVAL,
            "topology star: centre 4 of 4 peers; 0 to 3 are there");
    refused("regular:degree=3", 5, WEFT_EINVAL,
            "topology regular: no connected graph of 5 peers has degree 3 everywhere; even degrees "
            "from 2 to 4 do");
    refused("regular:degree=8", 8, WEFT_EINVAL,
            "topology regular: no connected graph of 8 peers has degree 8 everywhere; all degrees "
            "from 2 to 7 do");
    refused("regular:degree=1", 4, WEFT_EINVAL,
            "topology regular: no connected graph of 4 peers has degree 1 everywhere; all degrees "
            "from 2 to 3 do");
    refused("regular", 1, WEFT_EINVAL,
            "topology regular: degree 4 of 1 peers; there are none for a single peer");
    refused("regular", 2, WEFT_EINVAL, "topology regular: degree 4 of 2 peers; degree 1 fits");
    refused("smallworld", 4, WEFT_EINVAL,
            "topology smallworld: 4 peers; 5 or more have a lattice of degree 4");
    refused("smallworld:degree=5", 20, WEFT_EINVAL,
            "topology smallworld: degree 5 of 20 peers; even degrees from 4 to 18 fit");
    refused("smallworld:degree=64", 20, WEFT_EINVAL,
            "topology smallworld: degree 64 of 20 peers; even degrees from 4 to 18 fit");
    refused("complete", 4097, WEFT_ENOTSUP,
            "topology complete: 4097 peers have more than 8388608 edges; up to 4096 peers fit");
}

Test(topology, ranks_out_of_range_are_refused)
{
    weft_topology *t = opened("ring", 4);
    int count = 77;
    double self = 7, near[2] = {7, 7}, rate = 7, latency = 7;
    cr_expect_null(weft_topology_neighbors(t, -1, &count));
    cr_expect_null(weft_topology_neighbors(t, 4, &count));
    cr_expect_eq(count, 77);
    cr_expect_eq(weft_topology_weights(t, 4, &self, near), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "topology ring: rank 4 of 4 peers");
    cr_expect_eq(weft_topology_edge(t, 0, 2, &rate, &latency), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message,
                     "topology ring: no edge between 0 and 2 of 4 peers");
    cr_expect_eq(weft_topology_edge(t, 0, -1, &rate, &latency), WEFT_EINVAL);
    cr_expect_eq(weft_topology_edge(t, 0, 0, &rate, &latency), WEFT_EINVAL);
    cr_expect(self == 7 && near[0] == 7 && rate == 7 && latency == 7, "untouched");
    cr_expect_eq(weft_topology_edge(t, 0, 3, &rate, NULL), WEFT_OK);
    cr_expect_eq(weft_topology_edge(t, 0, 3, NULL, &latency), WEFT_OK);
    cr_expect(rate == 0 && latency == 0, "none given");
    weft_topology_close(&t);
    weft_topology_close(&t);
    weft_topology_close(NULL);
}

Test(topology, the_largest_graphs_are_made_and_not_measured)
{
    static const char *const specs[] = {"ring",
                                        "tree",
                                        "exponential",
                                        "star",
                                        "torus",
                                        "smallworld:rewire=0.5",
                                        "regular:degree=4"};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        weft_topology *t = opened(specs[i], 65535);
        int diameter = -1;
        double gap = -1;
        cr_assert_eq(weft_topology_size(t), 65535);
        cr_assert_eq(weft_topology_diameter(t, &diameter), WEFT_ENOTSUP);
        cr_assert_eq(weft_topology_spectral_gap(t, &gap), WEFT_ENOTSUP);
        cr_assert(diameter == -1 && gap == -1);
        weft_topology_close(&t);
    }
}

Test(topology, dense_graphs_are_made_and_measured)
{
    weft_topology *t = opened("complete", 2048);
    int diameter = -1;
    cr_assert_eq(weft_topology_edges(t), (size_t)2048 * 2047 / 2);
    cr_assert_eq(weft_topology_diameter(t, &diameter), WEFT_OK);
    cr_assert_eq(diameter, 1);
    weft_topology_close(&t);
}

Test(topology, weights_do_not_depend_on_the_rounding_mode)
{
    double self[2], near[2][16];
    weft_topology *t = opened("star", 11);
    cr_assert_eq(weft_topology_weights(t, 0, &self[0], near[0]), WEFT_OK);
    const uint64_t digest = weft_topology_digest(t);
    weft_topology_close(&t);
    cr_assert_eq(fesetround(FE_UPWARD), 0);
    t = opened("star", 11);
    cr_assert_eq(weft_topology_weights(t, 0, &self[1], near[1]), WEFT_OK);
    cr_assert_eq(fegetround(), FE_UPWARD, "the caller's mode stays");
    cr_assert_eq(fesetround(FE_TONEAREST), 0);
    cr_assert_eq(weft_topology_digest(t), digest);
    cr_assert(self[0] == self[1] && !memcmp(near[0], near[1], 10 * sizeof(double)));
    weft_topology_close(&t);
}

/* Every allocation of opening and measuring fails once. */
Test(topology, running_out_of_memory_is_told_and_leaks_nothing)
{
    static const char *const specs[] = {"ring", "regular:degree=3", "regular:degree=2",
                                        "smallworld"};
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        int failures = 0;
        for (long n = 1;; n++) {
            weft_topology *t = NULL;
            int diameter = 0, centre = 0, parent[12];
            double gap = 0;
            weft_mem_fail_at(n);
            int code = weft_topology_open(&t, specs[i], 12);
            code = code != WEFT_OK ? code : weft_topology_diameter(t, &diameter);
            code = code != WEFT_OK ? code : weft_topology_spectral_gap(t, &gap);
            code = code != WEFT_OK ? code : weft_graph_centre(&t->graph, &centre);
            code = code != WEFT_OK ? code : weft_graph_tree(&t->graph, 0, parent, NULL);
            weft_mem_fail_at(0);
            weft_topology_close(&t);
            if (code == WEFT_OK)
                break;
            cr_assert_eq(code, WEFT_ENOMEM, "%s: allocation %ld: %s", specs[i], n,
                         weft_last_error()->message);
            failures++;
        }
        cr_assert_gt(failures, 8);
    }
}
