/* SPDX-License-Identifier: Apache-2.0 */
/* Spanning trees and centres of graphs. */
#include <criterion/criterion.h>
#include <string.h>

#include "topology/topology.h"

static weft_topology *opened(const char *spec, int size)
{
    weft_topology *t = NULL;
    cr_assert_eq(weft_topology_open(&t, spec, size), WEFT_OK, "%s", weft_last_error()->message);
    return t;
}

static void expect_tree(const char *spec, int size, int root, const int *parents, const int *depths)
{
    int parent[16], depth[16];
    weft_topology *t = opened(spec, size);
    cr_assert_eq(weft_graph_tree(&t->graph, root, parent, depth), WEFT_OK);
    for (int r = 0; r < size; r++) {
        cr_expect_eq(parent[r], parents[r], "%s: parent of %d is %d", spec, r, parent[r]);
        cr_expect_eq(depth[r], depths[r], "%s: depth of %d is %d", spec, r, depth[r]);
    }
    memset(parent, 0, sizeof(parent));
    cr_assert_eq(weft_graph_tree(&t->graph, root, parent, NULL), WEFT_OK);
    cr_expect_eq(memcmp(parent, parents, (size_t)size * sizeof(int)), 0, "without depths");
    weft_topology_close(&t);
}

Test(spanning, trees_are_breadth_first_and_parents_the_lowest_rank)
{
    expect_tree("ring", 6, 0, (int[]){-1, 0, 1, 2, 5, 0}, (int[]){0, 1, 2, 3, 2, 1});
    expect_tree("ring", 6, 4, (int[]){5, 0, 3, 4, -1, 4}, (int[]){2, 3, 2, 1, 0, 1});
    expect_tree("hypercube", 8, 5, (int[]){1, 5, 0, 1, 5, -1, 4, 5},
                (int[]){2, 1, 3, 2, 1, 0, 2, 1});
    expect_tree("star:centre=3", 5, 0, (int[]){-1, 3, 3, 0, 3}, (int[]){0, 2, 2, 1, 2});
    expect_tree("complete", 4, 2, (int[]){2, 2, -1, 2}, (int[]){1, 1, 0, 1});
    expect_tree("ring", 1, 0, (int[]){-1}, (int[]){0});
}

Test(spanning, a_root_out_of_range_is_refused)
{
    int parent[4] = {9, 9, 9, 9};
    weft_topology *t = opened("ring", 4);
    cr_assert_eq(weft_graph_tree(&t->graph, 4, parent, NULL), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message, "tree: root 4 of 4 peers");
    cr_assert_eq(weft_graph_tree(&t->graph, -1, parent, NULL), WEFT_EINVAL);
    cr_assert_eq(parent[0], 9);
    weft_topology_close(&t);
}

static int centre_of(const char *spec, int size)
{
    int ret = -1;
    weft_topology *t = opened(spec, size);
    cr_assert_eq(weft_graph_centre(&t->graph, &ret), WEFT_OK);
    weft_topology_close(&t);
    return ret;
}

Test(spanning, the_centre_is_the_lowest_rank_of_least_eccentricity)
{
    cr_expect_eq(centre_of("tree:arity=1", 7), 3);
    cr_expect_eq(centre_of("tree:arity=1", 8), 3);
    cr_expect_eq(centre_of("star:centre=6", 9), 6);
    cr_expect_eq(centre_of("ring", 9), 0);
    cr_expect_eq(centre_of("tree", 15), 0);
    cr_expect_eq(centre_of("tree", 9), 0);
    cr_expect_eq(centre_of("ring", 1), 0);
}

Test(spanning, large_graphs_get_the_middle_of_a_long_way)
{
    cr_expect_eq(centre_of("tree:arity=1", 5001), 2500, "a chain's middle");
    cr_expect_eq(centre_of("star:centre=4999", 5000), 4999);
    static int depth[6000];
    weft_topology *t = opened("tree:arity=3", 6000);
    int root = -1, most = 0;
    cr_assert_eq(weft_graph_centre(&t->graph, &root), WEFT_OK);
    cr_assert_eq(weft_graph_tree(&t->graph, root, NULL, depth), WEFT_OK);
    for (int r = 0; r < 6000; r++)
        most = depth[r] > most ? depth[r] : most;
    cr_expect_eq(most, 8, "as deep as below rank 0: %d", most);
    weft_topology_close(&t);
}
