/* SPDX-License-Identifier: Apache-2.0 */
/* Random choices and checksums of training runs. */
#include <string.h>

#include <criterion/criterion.h>

#include "train_checksum.h"
#include "train_random.h"

Test(train_random, it_is_philox)
{
    /* Known answer of Random123 for counter and key of all ones: 408f276d 41c83b0e … */
    cr_expect_eq(weft_train_u64(UINT64_MAX, UINT32_MAX, 0xFFFFFFFFFFFF, UINT32_MAX),
                 0x41c83b0e408f276d);
}

Test(train_random, a_shuffle_keeps_every_row_and_depends_on_the_seed)
{
    enum { ROWS = 1000 };
    size_t rows[ROWS], again[ROWS], other[ROWS];
    int seen[ROWS] = {0}, moved = 0;

    for (size_t i = 0; i < ROWS; i++)
        rows[i] = again[i] = other[i] = i;
    weft_train_shuffle(7, rows, ROWS);
    weft_train_shuffle(7, again, ROWS);
    weft_train_shuffle(8, other, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        seen[rows[i]]++;
        moved += rows[i] != i;
    }
    for (size_t i = 0; i < ROWS; i++)
        cr_expect_eq(seen[i], 1);
    cr_expect_gt(moved, ROWS - 20);
    cr_expect_arr_eq(rows, again, sizeof(rows));
    cr_expect_neq(memcmp(rows, other, sizeof(rows)), 0);
}

Test(train_random, a_shuffle_sends_rows_everywhere_alike)
{
    enum { ROWS = 5, SEEDS = 20000 };
    int at[ROWS][ROWS] = {{0}};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        size_t rows[ROWS] = {0, 1, 2, 3, 4};

        weft_train_shuffle(seed, rows, ROWS);
        for (size_t i = 0; i < ROWS; i++)
            at[i][rows[i]]++;
    }
    /* Binomial(20000, 1/5): mean 4000, sigma 57. */
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < ROWS; j++)
            cr_expect(at[i][j] > 4000 - 285 && at[i][j] < 4000 + 285, "%d %d: %d", i, j, at[i][j]);
    }
}

Test(train_random, minibatches_are_in_range_and_differ_by_rank_and_step)
{
    enum { BATCH = 64 };
    size_t a[BATCH], b[BATCH], c[BATCH], again[BATCH];
    double sum = 0;

    weft_train_minibatch(1, 0, 1, 67, BATCH, a);
    weft_train_minibatch(1, 1, 1, 67, BATCH, b);
    weft_train_minibatch(1, 0, 2, 67, BATCH, c);
    weft_train_minibatch(1, 0, 1, 67, BATCH, again);
    for (int i = 0; i < BATCH; i++) {
        cr_expect_lt(a[i], 67);
        sum += (double)a[i];
    }
    cr_expect_arr_eq(a, again, sizeof(a));
    cr_expect_neq(memcmp(a, b, sizeof(a)), 0);
    cr_expect_neq(memcmp(a, c, sizeof(a)), 0);
    /* Uniform in 0 … 66: mean 33, sigma of a mean of 64 is 2.4. */
    cr_expect(sum / BATCH > 33 - 12 && sum / BATCH < 33 + 12, "mean %g", sum / BATCH);
}

Test(train_checksum, it_is_crc32c)
{
    const unsigned char zeros[32] = {0};

    /* RFC 3720, appendix B.4. */
    cr_expect_eq(weft_train_crc32c("123456789", 9), 0xE3069283);
    cr_expect_eq(weft_train_crc32c(zeros, sizeof(zeros)), 0x8A9136AA);
    cr_expect_eq(weft_train_crc32c(zeros, 0), 0);
}

Test(train_random, an_epoch_is_an_order_of_all_rows_and_each_another)
{
    enum { COUNT = 50 };
    size_t first[COUNT], again[COUNT], later[COUNT], other[COUNT];
    int seen[COUNT] = {0};

    weft_train_epoch(3, 1, 0, first, COUNT);
    weft_train_epoch(3, 1, 0, again, COUNT);
    weft_train_epoch(3, 1, 1, later, COUNT);
    weft_train_epoch(3, 2, 0, other, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        seen[first[i]]++;
    for (size_t i = 0; i < COUNT; i++)
        cr_expect_eq(seen[i], 1);
    cr_expect_arr_eq(first, again, sizeof(first));
    cr_expect_arr_neq(first, later, sizeof(first));
    cr_expect_arr_neq(first, other, sizeof(first));
}

Test(train_random, a_start_is_uniform_between_minus_one_and_one)
{
    enum { COUNT = 20000 };
    double sum = 0, square = 0;

    for (uint32_t i = 0; i < COUNT; i++) {
        const double u = (double)weft_train_start(5, 2, i);

        cr_assert(u >= -1 && u < 1);
        sum += u / COUNT;
        square += u * u / COUNT;
    }
    /* Five standard deviations. */
    cr_expect(sum < 5 * 0.577 / 141 && sum > -5 * 0.577 / 141, "%g", sum);
    cr_expect(square > 1 / 3.0 - 5 * 0.298 / 141 && square < 1 / 3.0 + 5 * 0.298 / 141, "%g",
              square);
    cr_expect_neq(weft_train_start(5, 2, 0), weft_train_start(5, 3, 0));
}
