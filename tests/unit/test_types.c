/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/types.h>

Test(types, sizes_and_names_are_those_of_the_map)
{
    cr_assert_eq(weft_dtype_bytes(WEFT_F32), 4);
    cr_assert_eq(weft_dtype_bytes(WEFT_F64), 8);
    cr_assert_eq(weft_dtype_bytes(WEFT_F16), 2);
    cr_assert_eq(weft_dtype_bytes(WEFT_BF16), 2);
    cr_assert_eq(weft_dtype_bytes(WEFT_I8), 1);
    cr_assert_eq(weft_dtype_bytes(WEFT_U16), 2);
    cr_assert_eq(weft_dtype_bytes(WEFT_U64), 8);
    cr_assert_eq(weft_dtype_bytes(WEFT_DTYPE_COUNT), 0);
    cr_assert_eq(weft_dtype_bytes((weft_dtype)-1), 0);
    cr_assert_str_eq(weft_dtype_name(WEFT_U8), "uint8");
    cr_assert_str_eq(weft_dtype_name(WEFT_BF16), "bfloat16");
    cr_assert_str_eq(weft_dtype_name((weft_dtype)99), "unknown");
    cr_assert_str_eq(weft_op_name(WEFT_MEAN), "mean");
    cr_assert_str_eq(weft_op_name(WEFT_BXOR), "xor");
    cr_assert_str_eq(weft_op_name(WEFT_USER), "user");
    cr_assert_str_eq(weft_op_name(WEFT_OP_COUNT), "unknown");
}

Test(types, every_name_parses_back)
{
    for (int i = 0; i < WEFT_DTYPE_COUNT; i++) {
        weft_dtype dtype = WEFT_DTYPE_COUNT;
        cr_assert_eq(weft_dtype_parse(weft_dtype_name((weft_dtype)i), &dtype), WEFT_OK);
        cr_assert_eq((int)dtype, i);
    }
    for (int i = 0; i < WEFT_OP_COUNT; i++) {
        weft_op op = WEFT_OP_COUNT;
        cr_assert_eq(weft_op_parse(weft_op_name((weft_op)i), &op), WEFT_OK);
        cr_assert_eq((int)op, i);
    }
}

Test(types, an_unknown_name_lists_the_names_and_leaves_the_result)
{
    weft_dtype dtype = WEFT_I8;
    cr_assert_eq(weft_dtype_parse("flaot32", &dtype), WEFT_EINVAL);
    cr_assert_eq(dtype, WEFT_I8);
    cr_assert_str_eq(weft_last_error()->message,
                     "dtype \"flaot32\" is unknown (did you mean float32?): float32, float64, "
                     "float16, bfloat16, "
                     "int8, uint8, int16, uint16, int32, uint32, int64, uint64");
    weft_op op = WEFT_MAX;
    cr_assert_eq(weft_op_parse("average", &op), WEFT_EINVAL);
    cr_assert_eq(op, WEFT_MAX);
    cr_assert_str_eq(weft_last_error()->message,
                     "op \"average\" is unknown: sum, mean, prod, min, max, and, or, xor, user");
    cr_assert_eq(weft_op_parse(NULL, &op), WEFT_EINVAL);
}

Test(types, the_version_is_that_of_the_build)
{
    cr_assert_str_eq(weft_version(), WEFT_VERSION);
    cr_assert_not_null(strchr(weft_version(), '.'));
}
