/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/codec.h"

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

Test(codec, every_row_is_complete)
{
    int rows = 0;
    for (const weft_codec_type *t; (t = weft_codec_type_at(rows)); rows++) {
        cr_expect(t->name && t->summary && t->source && t->params, "row %d", rows);
        cr_expect(t->block && t->bound && t->encode && t->decode, "%s", t->name);
        cr_expect_eq(!t->omega, !(t->traits & WEFT_CODEC_UNBIASED), "%s", t->name);
        cr_expect_eq(!t->merge, !(t->traits & WEFT_CODEC_MERGES), "%s", t->name);
        cr_expect_eq(!t->fold, !(t->traits & WEFT_CODEC_MERGES), "%s", t->name);
        for (const weft_param *p = t->params; p->key; p++)
            cr_expect(p->value && p->help && *p->help, "%s: %s", t->name, p->key);
    }
    cr_assert_geq(rows, 2);
    cr_assert_null(weft_codec_type_at(-1));
}

Test(codec, the_full_spec_opens_the_same_codec)
{
    weft_codec *c = opened("qsgd:norm=2");
    cr_assert_str_eq(weft_codec_spec(c),
                     "qsgd:levels=7,bucket=512,norm=2,scale=f32,code=packed,round=random");
    cr_assert_eq(weft_codec_number(c, "bucket"), 512);
    cr_assert_eq(weft_codec_choice(c, "norm"), 1);
    weft_codec *again = opened(weft_codec_spec(c));
    cr_assert_str_eq(weft_codec_spec(again), weft_codec_spec(c));
    weft_codec_close(&c);
    cr_assert_null(c);
    weft_codec_close(&c);
    weft_codec_close(NULL);
    weft_codec_close(&again);
}

Test(codec, unknown_names_list_the_codecs)
{
    static const char near[] = "codec \"qsdg\" is unknown (did you mean qsgd?); codecs: raw, qsgd";
    static const char far[] = "codec \"gzip\" is unknown; codecs: raw, qsgd";
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, "qsdg:levels=7"), WEFT_EINVAL);
    cr_assert_eq(strncmp(weft_last_error()->message, near, strlen(near)), 0, "%s",
                 weft_last_error()->message);
    cr_assert_eq(weft_codec_open(&c, "gzip"), WEFT_EINVAL);
    cr_assert_eq(strncmp(weft_last_error()->message, far, strlen(far)), 0);
    for (int row = 0; weft_codec_type_at(row); row++)
        cr_expect(strstr(weft_last_error()->message, weft_codec_type_at(row)->name));
    cr_assert_eq(weft_codec_open(&c, NULL), WEFT_EINVAL);
    cr_assert_eq(weft_codec_open(&c, "raw:levels=7"), WEFT_EINVAL);
    cr_assert_eq(weft_codec_open(&c, "qsgd:levels=40000"), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec qsgd: levels: 40000 is out of range (1 to 32767)");
    cr_assert_null(c);
    cr_assert_eq(weft_codec_open(NULL, "raw"), WEFT_EINVAL);
}

Test(codec, lossy_codecs_take_sums_of_float32_only)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_make(&c, "qsgd", WEFT_F64, WEFT_SUM, NULL), WEFT_ENOTSUP);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec qsgd: sum of float64: takes only sum and mean of float32");
    cr_assert_eq(weft_codec_make(&c, "qsgd", WEFT_F32, WEFT_MAX, NULL), WEFT_ENOTSUP);
    cr_assert_eq(weft_codec_make(&c, "qsgd", (weft_dtype)77, WEFT_SUM, NULL), WEFT_EINVAL);
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_F32, (weft_op)77, NULL), WEFT_EINVAL);
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_I64, WEFT_MEAN, NULL), WEFT_ENOTSUP);
    cr_assert_str_eq(weft_last_error()->message, "codec raw: mean of int64: takes floating types");
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_F16, WEFT_BOR, NULL), WEFT_ENOTSUP);
    cr_assert_str_eq(weft_last_error()->message, "codec raw: or of float16: takes integers");
    const weft_user_op u = {.size = sizeof(u)};
    cr_assert_eq(weft_codec_make(&c, "qsgd", WEFT_F32, WEFT_USER, &u), WEFT_ENOTSUP);
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_F32, WEFT_USER, NULL), WEFT_EINVAL);
    cr_assert_eq(weft_codec_make(&c, "raw", WEFT_F32, WEFT_SUM, &u), WEFT_EINVAL);
    cr_assert_null(c);
    cr_assert_eq(weft_codec_make(&c, "qsgd", WEFT_F32, WEFT_MEAN, NULL), WEFT_OK);
    cr_assert_eq(c->op, WEFT_SUM);
    weft_codec_close(&c);
}

Test(codec, bad_arguments_are_refused_before_anything_is_written)
{
    weft_codec *c = opened("qsgd");
    float v[4] = {1, 2, 3, 4};
    uint8_t out[64];
    size_t len = 99, cap = weft_codec_bound(c, 4);
    weft_draw draw = {.seed = 1};
    memset(out, 0xee, sizeof(out));
    cr_assert_leq(cap, sizeof(out));
    cr_expect_eq(weft_codec_encode(c, &draw, v, 4, out, cap - 1, &len), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "codec qsgd: room for 6 bytes at out, 7 needed");
    cr_expect_eq(weft_codec_encode(c, NULL, v, 4, out, cap, &len), WEFT_EINVAL);
    cr_expect_eq(weft_codec_encode(c, &draw, NULL, 4, out, cap, &len), WEFT_EINVAL);
    cr_expect_eq(weft_codec_encode(c, &draw, v, 4, NULL, cap, &len), WEFT_EINVAL);
    cr_expect_eq(weft_codec_encode(c, &draw, v, SIZE_MAX, out, SIZE_MAX, &len), WEFT_EINVAL);
    draw.draw = UINT64_C(1) << 48;
    cr_expect_eq(weft_codec_encode(c, &draw, v, 4, out, cap, &len), WEFT_EINVAL);
    draw = (weft_draw){.tensor = 65536};
    cr_expect_eq(weft_codec_encode(c, &draw, v, 4, out, cap, &len), WEFT_EINVAL);
    cr_expect_eq(weft_codec_decode(c, NULL, 7, v, 4), WEFT_EINVAL);
    cr_expect_eq(weft_codec_decode(c, out, 7, NULL, 4), WEFT_EINVAL);
    cr_expect_eq(weft_codec_decode(c, out, 7, v, SIZE_MAX), WEFT_EINVAL);
    cr_expect_eq(weft_codec_bound(c, SIZE_MAX), SIZE_MAX);
    cr_expect_eq(len, 99);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(out[i], 0xee);
    weft_codec_close(&c);
}

Test(codec, running_out_of_memory_is_reported_and_leaks_nothing)
{
    long n = 1;
    for (int code = WEFT_ENOMEM; code != WEFT_OK; n++) {
        weft_codec *c = NULL;
        weft_mem_fail_at(n);
        code = weft_codec_open(&c, "qsgd:levels=1");
        weft_mem_fail_at(0);
        cr_assert(code == WEFT_OK || code == WEFT_ENOMEM);
        cr_assert_eq(c != NULL, code == WEFT_OK);
        weft_codec_close(&c);
    }
    cr_assert_gt(n, 2, "no allocation failed");
}
