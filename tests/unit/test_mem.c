/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

Test(mem, zero_bytes_give_a_pointer)
{
    void *a = weft_alloc(0), *b = weft_calloc(0, 8), *c = weft_realloc(NULL, 0);
    cr_assert(a && b && c);
    weft_free(a);
    weft_free(b);
    weft_free(c);
    weft_free(NULL);
}

Test(mem, calloc_zeroes_and_refuses_overflow)
{
    unsigned char *p = weft_calloc(100, 7);
    for (int i = 0; i < 700; i++)
        cr_assert_eq(p[i], 0);
    weft_free(p);
    volatile size_t huge = SIZE_MAX / 2; /* volatile: compilers warn of what they can compute */
    cr_assert_null(weft_calloc(huge, 3));
}

Test(mem, strdup_copies_and_passes_null)
{
    char *copy = weft_strdup("twill");
    cr_assert_str_eq(copy, "twill");
    weft_free(copy);
    cr_assert_null(weft_strdup(NULL));
}

Test(mem, grow_keeps_what_was_there)
{
    int *array = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        cr_assert(weft_grow((void **)&array, &cap, (size_t)i + 1, sizeof(*array)));
        cr_assert_geq(cap, (size_t)i + 1);
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(array[i], i);
    cr_assert_lt(cap, 3000);
    weft_free(array);
}

Test(mem, grow_that_fails_changes_nothing)
{
    int *array = NULL;
    size_t cap = 0;
    cr_assert(weft_grow((void **)&array, &cap, 4, sizeof(*array)));
    int *was = array;
    size_t cap_was = cap;
    cr_assert_not(weft_grow((void **)&array, &cap, SIZE_MAX / 2, sizeof(*array)), "overflow");
    weft_mem_fail_at(1);
    cr_assert_not(weft_grow((void **)&array, &cap, cap + 1, sizeof(*array)), "out of memory");
    weft_mem_fail_at(0);
    cr_assert_eq(array, was);
    cr_assert_eq(cap, cap_was);
    weft_free(array);
}

Test(mem, the_nth_allocation_and_all_later_ones_fail)
{
    weft_mem_fail_at(3);
    void *a = weft_alloc(1), *b = weft_calloc(1, 1);
    cr_assert(a && b);
    cr_assert_null(weft_alloc(1));
    cr_assert_null(weft_strdup("x"));
    cr_assert_eq(weft_mem_count(), 4);
    cr_assert_eq(weft_last_error()->code, WEFT_OK, "memory alone sets no error");
    weft_mem_fail_at(0);
    cr_assert_eq(weft_mem_count(), 0);
    void *c = weft_realloc(a, 2);
    cr_assert_not_null(c);
    cr_assert_eq(weft_mem_count(), 1);
    weft_free(b);
    weft_free(c);
}
