/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "collectives/partition.h"

static weft_shape shape(int size, size_t count, size_t block)
{
    return (weft_shape){.size = size, .count = count, .block = block};
}

static const size_t counts[] = {0, 1, 7, 8, 9, 63, 64, 65, 1000, 1009, 4096, 100000};
static const size_t blocks[] = {0, 1, 2, 8, 12, 64, 1000};

#define EACH_SHAPE(s)                                                                              \
    for (int P = 1; P <= 33; P++)                                                                  \
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)                                \
            for (size_t j = 0; j < sizeof blocks / sizeof *blocks; j++)                            \
                for (weft_shape s = shape(P, counts[i], blocks[j]), *once = &s; once; once = NULL)

Test(partition, parts_tile_the_lane_in_order)
{
    EACH_SHAPE(s)
    {
        size_t end = 0;
        for (int k = 0; k < P; k++) {
            const weft_span part = weft_part(&s, k);
            cr_assert_eq(part.off, end, "P=%d n=%zu block=%zu part %d", P, s.count, s.block, k);
            cr_assert_eq(part.block, 0);
            end += part.count;
        }
        cr_assert_eq(end, s.count, "P=%d n=%zu block=%zu", P, s.count, s.block);
    }
}

Test(partition, edges_are_block_edges_where_there_are_blocks_enough_else_eights)
{
    EACH_SHAPE(s)
    {
        const bool enough = s.block && (s.count + s.block - 1) / s.block >= (size_t)P;
        const size_t edge = enough ? s.block : 8;
        for (int k = 1; k < P; k++) {
            const size_t off = weft_part(&s, k).off;
            cr_assert(off % edge == 0 || off == s.count, "P=%d n=%zu block=%zu part %d at %zu", P,
                      s.count, s.block, k, off);
        }
    }
}

Test(partition, parts_differ_by_at_most_one_edge)
{
    EACH_SHAPE(s)
    {
        const bool enough = s.block && (s.count + s.block - 1) / s.block >= (size_t)P;
        const size_t edge = enough ? s.block : 8;
        size_t least = SIZE_MAX, most = 0;
        for (int k = 0; k < P; k++) {
            /* in edges: the part at the end of the lane may have a short one */
            const size_t edges = (weft_part(&s, k).count + edge - 1) / edge;
            least = edges < least ? edges : least;
            most = edges > most ? edges : most;
        }
        cr_assert_leq(most - least, 1, "P=%d n=%zu block=%zu", P, s.count, s.block);
    }
}

Test(partition, index_wraps_both_ways)
{
    EACH_SHAPE(s)
    {
        for (int k = -2 * P; k <= 2 * P; k++) {
            const weft_span a = weft_part(&s, k), b = weft_part(&s, ((k % P) + P) % P);
            cr_assert(a.off == b.off && a.count == b.count, "P=%d index %d", P, k);
        }
    }
}

Test(partition, whole_is_the_lane_of_a_block)
{
    const weft_shape s = shape(4, 1000, 8);
    const weft_span w = weft_whole(&s, 3);

    cr_expect_eq(w.block, 3);
    cr_expect_eq(w.off, 0);
    cr_expect_eq(w.count, 1000);
}

Test(partition, runs_are_the_lengths_of_the_parts)
{
    EACH_SHAPE(s)
    {
        weft_cut_run runs[WEFT_CUT_RUNS];
        const int used = weft_cut_runs(&s, P, runs);
        int part = 0;
        cr_assert_leq(used, WEFT_CUT_RUNS);
        for (int k = 0; k < used; k++)
            for (; part < runs[k].to; part++)
                cr_assert_eq(runs[k].count, weft_part(&s, part).count,
                             "P=%d n=%zu block=%zu part %d", P, s.count, s.block, part);
        cr_assert_eq(part, P);
    }
}

Test(partition, cuts_that_are_made_once_are_the_same)
{
    EACH_SHAPE(s)
    {
        const weft_cuts cuts = weft_cuts_of(&s, weft_whole(&s, 0), P);
        size_t behind = 0;
        for (int k = 0; k < P; k++) {
            const weft_span part = weft_part(&s, k), same = weft_cuts_part(&cuts, k);
            cr_assert(part.off == same.off && part.count == same.count && same.block == 0,
                      "P=%d n=%zu block=%zu part %d", P, s.count, s.block, k);
            behind += part.count;
            cr_assert_eq(weft_cuts_run(&cuts, 0, k + 1), behind);
            cr_assert_eq(weft_cuts_run(&cuts, k + 1, P - 1 - k), s.count - behind);
        }
    }
}

Test(partition, parts_around_the_end_are_counted)
{
    EACH_SHAPE(s)
    {
        for (int k = 0; k < P; k++) {
            size_t sum = 0;
            for (int n = 0; n <= P; n++) {
                cr_assert_eq(weft_parts_count(&s, k, n), sum, "P=%d n=%zu block=%zu: %d from %d", P,
                             s.count, s.block, n, k);
                sum += weft_part(&s, k + n).count;
            }
        }
    }
}

Test(partition, blocks_are_counted_around_the_end)
{
    const weft_shape s = shape(5, 10, 0);

    cr_expect_eq(weft_block(&s, 7).block, 2);
    cr_expect_eq(weft_block(&s, -1).block, 4);
    cr_expect_eq(weft_block(&s, -1).count, 10);
    cr_expect_eq(weft_between(&s, 3, 4).block, 19);
}
