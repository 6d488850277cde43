/* SPDX-License-Identifier: Apache-2.0 */
/* What the build says that it holds. */
#include <criterion/criterion.h>
#include <string.h>

#include "link/link.h"
#include <weft/info.h>

/* Words between |, over all types. */
static int scheme_count(void)
{
    int count = 0;
    for (int i = 0; weft_link_type_at(i) != NULL; i++) {
        for (const char *at = weft_link_type_at(i)->scheme; at != NULL; at = strchr(at + 1, '|')) {
            count++;
        }
    }
    return count;
}

/* Their names stand in two places, as strings of one word must be static. */
Test(info, every_scheme_of_every_link_has_a_row_and_nothing_else_has)
{
    weft_info row, other;
    int rows = 0;

    for (; weft_info_get(WEFT_FAMILY_LINK, rows, &row); rows++) {
        const weft_link_type *type = weft_link_type_for(row.name);
        cr_assert_not_null(type, "no link has the scheme %s", row.name);
        cr_expect_str_eq(row.summary, type->summary);
        for (int i = 0; i < rows; i++) {
            cr_assert(weft_info_get(WEFT_FAMILY_LINK, i, &other));
            cr_expect_str_neq(other.name, row.name);
        }
    }
    cr_expect_eq(rows, scheme_count());
}
