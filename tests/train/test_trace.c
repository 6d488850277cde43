/* SPDX-License-Identifier: Apache-2.0 */
/* What a run records. */
#include <math.h>

#include <criterion/criterion.h>

#include "trace.h"

Test(trace, the_first_point_at_a_gap_is_found)
{
    weft_trace trace = {0};

    cr_expect_null(weft_trace_last(&trace));
    for (uint64_t k = 0; k < 500; k++) {
        const weft_trace_point p = {.step = k, .gap = k == 3 ? (double)NAN : 1.0 / (double)(k + 1)};

        cr_assert(weft_trace_add(&trace, &p));
    }
    cr_expect_eq(weft_trace_reached(&trace, 0.1)->step, 9);
    cr_expect_null(weft_trace_reached(&trace, 1e-9));
    cr_expect_eq(weft_trace_last(&trace)->step, 499);
    weft_trace_free(&trace);
    cr_expect_null(weft_trace_last(&trace));
}

Test(trace, json_keeps_whole_counts_and_turns_infinity_into_null)
{
    const weft_trace_point p = {
        .step = 7, .f = HUGE_VAL, .gap = 0.1, .sent_bits = 832, .up_bits = 10.5};
    weft_trace trace = {0};
    json_t *json, *one;

    cr_assert(weft_trace_add(&trace, &p));
    json = weft_trace_json(&trace);
    one = json_array_get(json, 0);
    cr_assert_eq(json_array_size(json), 1);
    cr_expect_eq(json_integer_value(json_object_get(one, "step")), 7);
    cr_expect(json_is_null(json_object_get(one, "f")));
    cr_expect(json_is_integer(json_object_get(one, "sent_bits")));
    cr_expect_eq(json_integer_value(json_object_get(one, "sent_bits")), 832);
    cr_expect(json_real_value(json_object_get(one, "up_bits")) == 10.5);
    json_decref(json);
    weft_trace_free(&trace);
}
