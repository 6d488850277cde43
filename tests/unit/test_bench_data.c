/* SPDX-License-Identifier: Apache-2.0 */
/* What `weft bench` expects is what the library's loops give, in whatever order they are called. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "bench_data.h"
#include "half_bits.h"
#include "kernel/kernel.h"
#include "support/halves.h"

enum { BYTES = WEFT_BENCH_PERIOD * WEFT_BENCH_CELL };

/* Ranks from `from` on, every step-th, then around to those left out: an order of its own. */
static void reduce(const weft_bench_data *d, int from, int step, unsigned char *ret)
{
    static unsigned char next[BYTES];
    weft_reduce_fn *fn = weft_kernel_reduce(d->dtype, d->op);
    weft_bench_fill(d, from, 0, WEFT_BENCH_PERIOD, ret);
    for (int i = 1; i < d->size; i++) {
        weft_bench_fill(d, (from + i * step) % d->size, 0, WEFT_BENCH_PERIOD, next);
        fn(ret, ret, next, WEFT_BENCH_PERIOD);
    }
    if (d->op == WEFT_MEAN) {
        weft_kernel_divide(d->dtype, ret, WEFT_BENCH_PERIOD, d->size);
    }
}

static void check(weft_dtype dtype, weft_op op, int size)
{
    static weft_bench_data d;
    static unsigned char sum[BYTES];
    if (weft_kernel_reduce(dtype, op) == NULL) {
        return;
    }
    weft_bench_data_init(&d, dtype, op, size, false);
    for (int way = 0; way < 2; way++) {
        reduce(&d, way == 0 ? 0 : size - 1, way == 0 ? 1 : size - 1, sum);
        cr_assert_eq(weft_bench_wrong_reduced(&d, 0, WEFT_BENCH_PERIOD, sum), 0,
                     "%s of %s over %d ranks, way %d", weft_op_name(op), weft_dtype_name(dtype),
                     size, way);
    }
    sum[3] ^= 1;
    cr_assert_eq(weft_bench_wrong_reduced(&d, 0, WEFT_BENCH_PERIOD, sum), 1);
}

Test(bench_data, expects_of_every_type_and_operation_what_the_loops_give)
{
    static const int sizes[] = {1, 2, 5, 17};
    for (int dtype = 0; dtype < WEFT_DTYPE_COUNT; dtype++) {
        for (int op = 0; op < WEFT_OP_COUNT; op++) {
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                check((weft_dtype)dtype, (weft_op)op, sizes[i]);
            }
        }
    }
}

Test(bench_data, sums_of_halves_are_exact_over_more_ranks_than_they_can_count)
{
    check(WEFT_BF16, WEFT_SUM, 300);
    check(WEFT_BF16, WEFT_MEAN, 300);
    check(WEFT_F16, WEFT_MEAN, 300);
}

/* Data that is all alike would pass as right in any place. */
Test(bench_data, values_differ_from_place_to_place)
{
    static weft_bench_data d;
    for (int op = 0; op < WEFT_USER; op++) {
        for (int size = 1; size <= 300; size += 299) {
            int changes = 0;
            weft_bench_data_init(&d, op == WEFT_MEAN ? WEFT_BF16 : WEFT_U16, (weft_op)op, size,
                                 false);
            for (int i = 1; i < WEFT_BENCH_PERIOD; i++) {
                changes += d.base[i] != d.base[i - 1];
            }
            cr_expect_gt(changes, 400, "%s over %d", weft_op_name((weft_op)op), size);
        }
    }
}

Test(bench_data, halves_are_rounded_to_nearest)
{
    static const weft_dtype formats[] = {WEFT_F16, WEFT_BF16};
    weft_rng rng = {.state = 6};
    for (int f = 0; f < 2; f++) {
        const double most = halves_value(formats[f], formats[f] == WEFT_F16 ? 0x7bff : 0x7f7f);
        cr_assert_eq(weft_half_exact(formats[f]), formats[f] == WEFT_F16 ? 2048 : 256);
        for (int i = 0; i < 1 << 16; i++) {
            const double value = halves_value(formats[f], (uint16_t)i);
            if (!isnan(value) && weft_half_bits(formats[f], value) != i)
                cr_assert_fail("%s %04x", weft_dtype_name(formats[f]), (unsigned)i);
            const float any = ldexpf((float)(int32_t)weft_rng_u64(&rng),
                                     formats[f] == WEFT_F16 ? i % 60 - 60 : i % 240 - 170);
            if (weft_half_bits(formats[f], (double)any) != halves_nearest(formats[f], (double)any))
                cr_assert_fail("%s of %a", weft_dtype_name(formats[f]), (double)any);
        }
        cr_assert_eq(weft_half_bits(formats[f], 2 * most),
                     halves_nearest(formats[f], (double)INFINITY));
    }
}
