/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of runs of neighbouring ranks. */
#include <criterion/criterion.h>

#include "collectives/run_tree.h"

Test(run_tree, logarithms_are_rounded)
{
    const int floors[] = {0, 0, 1, 1, 2, 2, 2, 2, 3};
    const int ceils[] = {0, 0, 1, 2, 2, 3, 3, 3, 3};

    for (int size = 1; size <= 8; size++) {
        cr_expect_eq(weft_lg_floor(size), floors[size], "%d", size);
        cr_expect_eq(weft_lg_ceil(size), ceils[size], "%d", size);
    }
    cr_expect_eq(weft_lg_floor(65535), 15);
    cr_expect_eq(weft_lg_ceil(65535), 16);
    cr_expect_eq(weft_lg_ceil(65536), 16);
}

/* Ranks on the way to the root. */
static int depth(int size, int root, int rank)
{
    int steps = 0;

    for (; rank != root && steps <= size; steps++)
        rank = weft_run_tree_of(size, root, rank).parent;
    return steps;
}

/* A rank's children are those who name it their parent, and their runs and it are its own run. */
static void check_rank(int size, int root, int rank)
{
    const weft_run_tree h = weft_run_tree_of(size, root, rank);
    int ranks = 1;

    cr_assert_eq(h.parent < 0, rank == root);
    cr_assert_eq(h.own.holder, rank);
    cr_assert(h.own.from <= rank && rank < h.own.behind);
    for (int i = 0; i < h.count; i++) {
        const weft_run *b = &h.branch[i];
        const weft_run_tree child = weft_run_tree_of(size, root, b->holder);
        cr_assert_eq(child.parent, rank, "P=%d root=%d: %d under %d", size, root, b->holder, rank);
        cr_assert_eq(child.own.from, b->from);
        cr_assert_eq(child.own.behind, b->behind);
        cr_assert(b->behind <= rank || b->from > rank);
        cr_assert(i == 0 || b->behind - b->from <= h.branch[i - 1].behind - h.branch[i - 1].from);
        ranks += b->behind - b->from;
    }
    cr_assert_eq(ranks, h.own.behind - h.own.from);
    cr_assert_leq(depth(size, root, rank), weft_lg_floor(size), "P=%d root=%d rank=%d", size, root,
                  rank);
}

Test(run_tree, are_a_tree_of_runs_as_flat_as_the_binomial_one)
{
    for (int size = 1; size <= 70; size++)
        for (int root = 0; root < size; root++) {
            const weft_run_tree top = weft_run_tree_of(size, root, root);
            cr_assert_eq(top.own.behind - top.own.from, size);
            cr_assert_eq(top.count, weft_lg_ceil(size));
            for (int rank = 0; rank < size; rank++)
                check_rank(size, root, rank);
        }
}

Test(run_tree, hold_for_as_many_ranks_as_there_may_be)
{
    const weft_run_tree h = weft_run_tree_of(65536, 40000, 40000);

    cr_expect_eq(h.count, 16);
    cr_expect_lt(h.count, WEFT_BRANCHES);
}
