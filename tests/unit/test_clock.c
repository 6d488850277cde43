/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <limits.h>

#include "base/clock.h"

Test(clock, never_goes_back)
{
    int64_t last = weft_now();
    cr_assert_gt(last, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = weft_now();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, a_deadline_is_now_plus_milliseconds)
{
    cr_assert_eq(weft_deadline(5, 3), 3 * WEFT_MS + 5);
    cr_assert_eq(weft_deadline(5, 0), 5);
}

Test(clock, negative_and_overflowing_timeouts_never_pass)
{
    cr_assert_eq(weft_deadline(5, -1), WEFT_NEVER);
    cr_assert_eq(weft_deadline(5, INT64_MIN), WEFT_NEVER);
    cr_assert_eq(weft_deadline(5, INT64_MAX), WEFT_NEVER);
    cr_assert_eq(weft_deadline(INT64_MAX - 10, 1), WEFT_NEVER);
}

Test(clock, poll_rounds_up_and_stops_at_zero)
{
    cr_assert_eq(weft_poll_ms(0, 1), 1);
    cr_assert_eq(weft_poll_ms(0, WEFT_MS), 1);
    cr_assert_eq(weft_poll_ms(0, WEFT_MS + 1), 2);
    cr_assert_eq(weft_poll_ms(7, 7), 0);
    cr_assert_eq(weft_poll_ms(8, 7), 0);
    cr_assert_eq(weft_poll_ms(8, WEFT_NEVER), -1);
    cr_assert_eq(weft_poll_ms(INT64_MIN, INT64_MAX - 1), INT_MAX, "no overflow");
}
