/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/status.h>

#include "base/mem.h"
#include "base/rng.h"
#include "link/accepted.h"

static void make_id(uint8_t id[WEFT_ROUTING_ID], uint32_t n)
{
    memset(id, 0, WEFT_ROUTING_ID);
    id[0] = WEFT_ROUTING_FIRST;
    memcpy(id + 5, &n, sizeof(n));
}

static weft_accepted *add(weft_accepted_table *t, uint32_t n, int fd)
{
    uint8_t id[WEFT_ROUTING_ID];
    make_id(id, n);
    return weft_accepted_add(t, id, fd);
}

static weft_accepted *find(weft_accepted_table *t, uint32_t n)
{
    uint8_t id[WEFT_ROUTING_ID];
    make_id(id, n);
    return weft_accepted_by_id(t, id);
}

static weft_accepted_table *open_table(void)
{
    weft_accepted_table *t = NULL;
    cr_assert_eq(weft_accepted_open(&t), WEFT_OK);
    return t;
}

Test(accepted, connections_are_found_by_id_number_and_descriptor)
{
    enum { COUNT = 300 };
    weft_accepted_table *t = open_table();
    uint32_t number[COUNT];
    cr_expect_null(find(t, 0));
    for (uint32_t i = 0; i < COUNT; i++) {
        number[i] = add(t, i, (int)i)->number;
        cr_expect_eq(number[i] % 2, 1);
        for (uint32_t j = 0; j < i; j++)
            cr_assert_neq(number[i], number[j]);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        weft_accepted *a = find(t, i), *by_fd = NULL;
        cr_assert_not_null(a);
        cr_expect_eq(a->number, number[i]);
        cr_expect_eq(weft_accepted_by_number(t, number[i]), a);
        cr_expect_eq(weft_accepted_by_fd(t, (int)i, &by_fd), 1);
        cr_expect_eq(by_fd, a);
    }
    cr_expect_null(find(t, COUNT));
    cr_expect_null(weft_accepted_by_number(t, number[0] + 1));
    cr_expect_eq(weft_accepted_count(t, WEFT_ACCEPTED_LIVE), COUNT);
    weft_accepted_close(&t);
    cr_expect_null(t);
}

/* Against a plain array of what should be there. */
Test(accepted, table_agrees_with_a_list_under_random_use)
{
    enum { IDS = 500, STEPS = 20000 };
    static uint32_t number[IDS]; /* 0: not there */
    weft_accepted_table *t = open_table();
    weft_rng rng = {.state = 9};
    for (int step = 0; step < STEPS; step++) {
        const uint32_t n = (uint32_t)weft_rng_below(&rng, IDS);
        weft_accepted *a = find(t, n);
        cr_assert_eq(a != NULL, number[n] != 0, "step %d", step);
        if (a == NULL) {
            number[n] = add(t, n, 5)->number;
        } else {
            cr_assert_eq(a->number, number[n]);
            weft_accepted_remove(t, a);
            cr_assert_null(weft_accepted_by_number(t, number[n]));
            number[n] = 0;
        }
    }
    for (uint32_t n = 0; n < IDS; n++)
        cr_expect_eq(find(t, n) != NULL, number[n] != 0);
    weft_accepted_close(&t);
}

Test(accepted, numbers_are_not_given_twice_in_a_row)
{
    weft_accepted_table *t = open_table();
    uint32_t last = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        weft_accepted *a = add(t, i, 3);
        cr_assert_neq(a->number, last);
        last = a->number;
        weft_accepted_remove(t, a);
    }
    cr_expect_eq(weft_accepted_slots(t), 1);
    weft_accepted_close(&t);
}

Test(accepted, full_table_reuses_the_oldest_dropped_and_never_a_live_one)
{
    weft_accepted_table *t = open_table();
    for (uint32_t i = 0; i < WEFT_ACCEPTED_MAX; i++)
        cr_assert_not_null(add(t, i, -1));
    cr_expect_null(add(t, 100000, -1));
    weft_accepted_drop(t, find(t, 77));
    weft_accepted_drop(t, find(t, 5));
    cr_expect_not_null(add(t, 100000, -1));
    cr_expect_null(find(t, 77));
    cr_expect_not_null(find(t, 5));
    cr_expect_not_null(add(t, 100001, -1));
    cr_expect_null(find(t, 5));
    cr_expect_null(add(t, 100002, -1));
    cr_expect_eq(weft_accepted_count(t, WEFT_ACCEPTED_LIVE), WEFT_ACCEPTED_MAX);
    weft_accepted_close(&t);
}

Test(accepted, state_tells_who_holds_a_descriptor)
{
    weft_accepted_table *t = open_table();
    weft_accepted *found = NULL;
    add(t, 1, 10);
    add(t, 2, 11);
    add(t, 3, -1);
    weft_accepted_closing(t, find(t, 1), "why");
    cr_expect_eq(weft_accepted_by_fd(t, 10, &found), 0);
    weft_accepted_drop(t, find(t, 2));
    cr_expect_eq(weft_accepted_by_fd(t, 11, &found), 1, "it may be connected still");
    cr_expect_eq(weft_accepted_by_fd(t, -1, &found), 1);
    weft_accepted_drop(t, find(t, 3));
    cr_expect_eq(weft_accepted_by_fd(t, -1, &found), 0);
    cr_expect_eq(weft_accepted_count(t, WEFT_ACCEPTED_CLOSING), 1);
    weft_accepted_close(&t);
}

Test(accepted, failed_allocation_leaves_the_table_whole)
{
    weft_accepted_table *t = open_table();
    uint32_t there = 0;
    for (long n = 1; there < 100; n++) {
        weft_mem_fail_at(1 + n % 3);
        while (add(t, there, 1) != NULL && there < 100)
            there++;
        weft_mem_fail_at(0);
        cr_assert_not_null(add(t, there++, 1));
    }
    for (uint32_t i = 0; i < there; i++)
        cr_expect_not_null(find(t, i));
    weft_accepted_close(&t);
}
