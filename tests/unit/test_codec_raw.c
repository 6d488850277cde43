/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "codec/codec.h"

static weft_codec *made(weft_dtype dtype, weft_op op)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_make(&c, "raw", dtype, op, NULL), WEFT_OK, "%s",
                 weft_last_error()->message);
    return c;
}

Test(codec_raw, any_bits_come_back)
{
    weft_codec *c = made(WEFT_F32, WEFT_SUM);
    float in[5] = {NAN, -0.0f, INFINITY, 1e-45f, 3}, out[5];
    uint8_t bytes[20];
    size_t len = 0;
    cr_assert_eq(weft_codec_bound(c, 5), 20);
    cr_assert_eq(weft_codec_encode(c, NULL, in, 5, bytes, 20, &len), WEFT_OK, "raw draws nothing");
    cr_assert_eq(len, 20);
    cr_assert_arr_eq(bytes, in, 20);
    cr_assert_eq(weft_codec_decode(c, bytes, 20, out, 5), WEFT_OK);
    cr_assert_arr_eq(out, in, 20);
    weft_codec_close(&c);
}

Test(codec_raw, a_span_is_cut_from_its_lane)
{
    weft_codec *c = made(WEFT_I64, WEFT_MAX);
    const int64_t lane[6] = {10, 11, 12, 13, 14, 15};
    const weft_stretch s = {.lane_count = 6, .off = 2, .count = 3};
    int64_t got[3], out[3] = {100, 0, -5};
    weft_draw draw = {0};
    size_t len = 0;
    cr_assert_eq(c->type->encode(c, &draw, lane, &s, got, sizeof(got), &len), WEFT_OK);
    cr_assert_eq(len, 24);
    cr_assert(got[0] == 12 && got[1] == 13 && got[2] == 14);
    cr_assert_eq(c->type->decode(c, &s, got, 24, out, true), WEFT_OK);
    cr_assert(out[0] == 100 && out[1] == 13 && out[2] == 14, "out = max(out, decoded)");
    weft_codec_close(&c);
}

Test(codec_raw, folds_and_merges_with_the_operation_in_operand_order)
{
    static const weft_op ops[] = {WEFT_SUM, WEFT_MEAN, WEFT_PROD, WEFT_MIN, WEFT_MAX};
    static const float want[] = {5, 5, 6, 2, 3};
    const weft_stretch s = {.lane_count = 1, .off = 0, .count = 1};
    for (int i = 0; i < 5; i++) {
        weft_codec *c = made(WEFT_F32, ops[i]);
        float a = 2, b = 3, into = 2;
        c->type->fold(c, &s, &into, &b);
        cr_expect_eq(into, want[i]);
        c->type->merge(c, &s, &a, &a, &b);
        cr_expect_eq(a, want[i]);
        weft_codec_close(&c);
    }
}

/* Digits written one behind the other: every order has another result. */
static void digits(void *user, void *dst, const void *a, const void *b, size_t count,
                   weft_dtype dtype)
{
    int32_t x, y;
    cr_assert_eq(count, 1, "never called for nothing");
    cr_assert_eq(dtype, WEFT_I32);
    ++*(int *)user;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    x = x * 10 + y;
    memcpy(dst, &x, sizeof(x));
}

Test(codec_raw, a_users_operation_gets_its_operands_in_order)
{
    int calls = 0;
    const weft_user_op u = {.size = sizeof(u), .reduce = digits, .user = &calls};
    const weft_stretch s = {.lane_count = 1, .count = 1}, nothing = {.lane_count = 1};
    weft_codec *c = NULL;
    int32_t into = 1, a = 3, b = 4;
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_I32, WEFT_USER, &u), WEFT_OK);
    c->type->fold(c, &s, &into, &a);
    cr_expect_eq(into, 13);
    c->type->merge(c, &s, &b, &into, &b);
    cr_expect_eq(b, 134);
    cr_assert_eq(c->type->decode(c, &s, &a, sizeof(a), &b, true), WEFT_OK);
    cr_expect_eq(b, 1343);
    cr_expect_eq(calls, 3);
    c->type->fold(c, &nothing, &into, &a);
    c->type->merge(c, &nothing, &b, &into, &b);
    cr_assert_eq(c->type->decode(c, &nothing, NULL, 0, NULL, true), WEFT_OK);
    cr_expect_eq(calls, 3);
    weft_codec_close(&c);
}

Test(codec_raw, a_wrong_length_is_refused)
{
    weft_codec *c = made(WEFT_F32, WEFT_SUM);
    float out[2] = {7, 8}, in[3] = {0};
    for (size_t len = 0; len <= 12; len++) {
        if (len == 8)
            continue;
        cr_assert_eq(weft_codec_decode(c, in, len, out, 2), WEFT_ECODEC);
        cr_assert(out[0] == 7 && out[1] == 8);
    }
    cr_assert_str_eq(weft_last_error()->message,
                     "codec raw: offset 12: 2 elements of float32 take 8 bytes");
    cr_assert_eq(weft_codec_decode(c, NULL, 0, NULL, 0), WEFT_OK, "no elements");
    weft_codec_close(&c);
}

Test(codec_raw, omega_is_zero)
{
    weft_codec *c = made(WEFT_F32, WEFT_SUM);
    double omega = 1;
    cr_assert_eq(weft_codec_omega(c, 1000, &omega), WEFT_OK);
    cr_assert_eq(omega, 0);
    cr_assert_eq(weft_codec_is_unbiased(c), 1);
    weft_codec_close(&c);
}
