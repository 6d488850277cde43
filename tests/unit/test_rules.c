/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that name an algorithm by collective and size. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/status.h"
#include "collectives/rules.h"

static const char *found(const char *rules, weft_coll coll, uint64_t bytes)
{
    static char spec[WEFT_SPEC_TEXT];

    return weft_rules_find(rules, coll, bytes, spec) ? spec : "auto";
}

static void refused(const char *rules, const char *word)
{
    cr_expect_eq(weft_rules_check(rules), WEFT_EINVAL, "%s", rules);
    cr_expect(strstr(weft_last_error()->message, word), "%s: %s", rules,
              weft_last_error()->message);
}

Test(rules, a_spec_alone_speaks_of_allreduce)
{
    cr_expect_eq(weft_rules_check("ring"), 0);
    cr_expect_str_eq(found("ring", WEFT_COLL_ALLREDUCE, 7), "ring");
    cr_expect_str_eq(found("ring", WEFT_COLL_ALLGATHER, 7), "auto");
    cr_expect_str_eq(found("gather", WEFT_COLL_ALLREDUCE, 7), "gather");
    cr_expect_str_eq(found(NULL, WEFT_COLL_ALLREDUCE, 7), "auto");
}

Test(rules, sizes_decide_the_lower_end_in_the_upper_out)
{
    const char *rules = "allreduce:0-64K=doubling;allreduce:64K-1M=scatter;allreduce:1M-=ring;"
                        "broadcast=tree";

    cr_assert_eq(weft_rules_check(rules), 0, "%s", weft_last_error()->message);
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLREDUCE, 0), "doubling");
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLREDUCE, 65535), "doubling");
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLREDUCE, 65536), "scatter");
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLREDUCE, 1048576), "ring");
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLREDUCE, UINT64_C(1) << 50), "ring");
    cr_expect_str_eq(found(rules, WEFT_COLL_BROADCAST, 5), "tree");
    cr_expect_str_eq(found(rules, WEFT_COLL_ALLGATHER, 5), "auto");
}

Test(rules, the_first_that_fits_decides)
{
    cr_expect_str_eq(found("allreduce:0-8=doubling;ring", WEFT_COLL_ALLREDUCE, 4), "doubling");
    cr_expect_str_eq(found("allreduce:0-8=doubling;ring", WEFT_COLL_ALLREDUCE, 8), "ring");
    cr_expect_str_eq(found("auto;ring", WEFT_COLL_ALLREDUCE, 8), "auto");
}

Test(rules, names_that_are_both_are_told_apart)
{
    cr_expect_eq(weft_rules_check("scatter"), 0); /* an algorithm of allreduce */
    cr_expect_str_eq(found("scatter", WEFT_COLL_ALLREDUCE, 8), "scatter");
}

Test(rules, what_is_wrong_is_named)
{
    refused("allreduse=ring", "allreduse");
    refused("allreduce=rink", "rink");
    refused("allreduce:64K-4K=ring", "allreduce:64K-4K");
    refused("allreduce:4-4=ring", "4-4");
    refused("allreduce:99999999999-=ring", "99999999999");
    refused("allreduce:0-4K", "0-4K");
    refused("allreduce:0-4Q=ring", "0-4Q");
    refused("allreduce=", "allreduce=");
    refused("ring;", "not COLLECTIVE");
    refused("", "not COLLECTIVE");
    char longest[2 * WEFT_SPEC_TEXT] = "allreduce=";
    memset(longest + 10, 'a', sizeof longest - 11);
    refused(longest, "aaaa");
}
