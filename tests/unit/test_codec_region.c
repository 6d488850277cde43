/* SPDX-License-Identifier: Apache-2.0 */
/* Regions that are kept: cuts from any numbers, and when they are to be made. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/regions.h"

static weft_regions *fitted(uint64_t count, int size)
{
    weft_regions *r = NULL;
    cr_assert_eq(weft_regions_open(&r), WEFT_OK);
    cr_assert_eq(weft_regions_fit(r, count, size), WEFT_OK);
    return r;
}

static void check_cuts(const weft_regions *r)
{
    cr_assert_eq(r->cut[0], 0);
    cr_assert_eq(r->cut[r->size], r->count);
    for (int i = 0; i < r->size; i++)
        cr_assert(r->cut[i] <= r->cut[i + 1] && r->cut[i] % 8 == 0, "%d of %d", i, r->size);
}

Test(codec_region, cuts_are_in_order_whatever_the_sums_are)
{
    static const double odd[] = {
        (double)NAN, (double)INFINITY, -(double)INFINITY, -1e300, 1e300, 0, -0.0, 1e6, 17};
    weft_rng rng = {.state = 5};
    for (int round = 0; round < 3000; round++) {
        const int size = 1 + (int)weft_rng_below(&rng, 9);
        const uint64_t count = weft_rng_below(&rng, 4) ? weft_rng_below(&rng, 100000) : 0;
        weft_regions *r = fitted(count, size);
        double sum[9];
        check_cuts(r);
        for (int i = 0; i < 9; i++)
            sum[i] = weft_rng_below(&rng, 2) ? odd[weft_rng_below(&rng, 9)]
                                             : weft_rng_unit(&rng) * 1e5 * size;
        weft_regions_cut(r, sum);
        check_cuts(r);
        weft_regions_close(&r);
        cr_assert_null(r);
    }
    weft_regions_close(NULL);
}

Test(codec_region, the_mean_of_where_peers_would_cut_is_where_all_do)
{
    const double sum[] = {4 * 83, 4 * 87, 4 * 3000};
    weft_regions *r = fitted(4096, 4);
    weft_regions_cut(r, sum);
    cr_expect_eq(r->cut[1], 80);
    cr_expect_eq(r->cut[2], 80);
    cr_expect_eq(r->cut[3], 3000);
    weft_regions_close(&r);
}

Test(codec_region, the_first_of_so_many_selects_and_the_second_agrees)
{
    weft_regions *r = fitted(1000, 4), *alone = fitted(1000, 1);
    for (r->done = alone->done = 0; r->done < 20; r->done++, alone->done++) {
        cr_expect_eq(weft_regions_selects(r, 5), r->done % 5 == 0);
        cr_expect_eq(weft_regions_agrees(r, 5), r->done % 5 == 1);
        cr_expect_eq(weft_regions_agrees(r, 1), r->done > 0);
        cr_expect(weft_regions_selects(r, 1) && !weft_regions_agrees(alone, 5));
    }
    weft_regions_close(&r);
    weft_regions_close(&alone);
}

Test(codec_region, what_is_held_is_neither_reset_nor_taken)
{
    weft_regions *r = fitted(1000, 4), *held = weft_regions_hold(r);
    cr_expect_eq(weft_regions_reset(r), WEFT_EINVAL);
    cr_expect_eq(weft_regions_fit(r, 1000, 4), WEFT_EINVAL);
    weft_regions_close(&r);
    cr_expect_eq(held->size, 4);
    weft_regions_drop(held);
    weft_regions_drop(NULL);
    cr_expect_null(weft_regions_hold(NULL));
}
