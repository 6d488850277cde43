/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices of links, from files and arrays; what orders cost, and what they refuse. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/tempfile.h"
#include "topology/order.h"

static int open_text(weft_links **ret, const char *text)
{
    char path[TEMPFILE_PATH];
    tempfile_write(path, text, strlen(text));
    const int code = weft_links_open(ret, path);
    tempfile_remove(path);
    return code;
}

/* Refused with this text behind the path. */
static void refused(const char *text, const char *message)
{
    weft_links *l = NULL;
    cr_expect_eq(open_text(&l, text), WEFT_EINVAL, "%s", text);
    cr_expect_null(l);
    const char *told = weft_last_error()->message, head[] = "links: /tmp/weft-test-XXXXXX";
    cr_expect_eq(strncmp(told, head, sizeof(head) - 7), 0, "%s", told);
    cr_expect_str_eq(told + sizeof(head) - 1, message);
}

static void expect_link(const weft_links *l, int from, int to, double rate, double latency)
{
    double r = -1, s = -1;
    cr_assert_eq(weft_links_get(l, from, to, &r, &s), WEFT_OK);
    cr_expect(r == rate && s == latency, "%d to %d: %.17g %.17g", from, to, r, s);
}

Test(links, each_direction_has_its_own_values)
{
    weft_links *l = NULL;
    cr_assert_eq(open_text(&l, "peers 3 # measured\n"
                               "0 1 1gbit 50us\n"
                               "1 0 10mbit 1ms\n"
                               "0 2 8 0\n"
                               "2 0 16bit 1\n"
                               "1 2 8kbit 1ns\n"
                               "2 1 8kbit 2ns\n"
                               "2 1 8000 0.002us\n"),
                 WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(weft_links_size(l), 3);
    expect_link(l, 0, 1, 1.25e8, 50e-6);
    expect_link(l, 1, 0, 1.25e6, 1e-3);
    expect_link(l, 0, 2, 1, 0);
    expect_link(l, 2, 0, 2, 1);
    expect_link(l, 1, 2, 1000, 1e-9);
    double rate = -1, latency = -1;
    cr_expect_eq(weft_links_get(l, 1, 1, &rate, &latency), WEFT_EINVAL);
    cr_expect_eq(weft_links_get(l, 0, 3, &rate, &latency), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "links: no link from 0 to 3 among 3 peers");
    cr_expect_eq(weft_links_get(l, -1, 0, &rate, &latency), WEFT_EINVAL);
    cr_expect(rate == -1 && latency == -1);
    weft_links_close(&l);
    cr_assert_null(l);
    weft_links_close(&l);
    weft_links_close(NULL);
}

Test(links, missing_and_contradicting_pairs_are_named)
{
    refused("0 1 1mbit 1ms\n", ": no line from 1 to 0");
    refused("peers 3\n0 1 1mbit 1ms\n1 0 1mbit 1ms\n0 2 1mbit 1ms\n2 0 1mbit 1ms\n"
            "1 2 1mbit 1ms\n",
            ": no line from 2 to 1");
    refused("0 1 1mbit\n1 0 1mbit 1ms\n", ": line 1: from 0 to 1 without latency");
    refused("1 0 1mbit 1ms\n0 1\n", ": line 2: from 0 to 1 without rate and latency");
    refused("0 1 1mbit 1ms\n1 0 1mbit 1ms\n0 1 1mbit 2ms\n",
            ": line 3: from 0 to 1 again, with other values");
    refused("0 1 0 1ms\n", ": line 1: rate: 0 is out of range (1bit to 1000000tbit)");
    refused("0 0 1mbit 1ms\n", ": line 1: rank 0 has an edge to itself");
    refused("", ": 0 peers (1 to 1024)");
    refused("peers 1025\n", ": 1025 peers (1 to 1024)");
    refused("0 1024 1mbit 1ms\n", ": 1025 peers (1 to 1024)");
    weft_links *l = NULL;
    cr_expect_eq(weft_links_open(&l, "/no/such/matrix"), WEFT_EIO);
    cr_expect_str_eq(weft_last_error()->message,
                     "links: /no/such/matrix: No such file or directory");
    cr_expect_eq(weft_links_open(&l, NULL), WEFT_EINVAL);
    cr_expect_eq(weft_links_open(NULL, "/tmp"), WEFT_EINVAL);
}

Test(links, arrays_are_held_to_the_same_bounds)
{
    const double nan = strtod("nan", NULL), inf = strtod("inf", NULL);
    double rate[4] = {nan, 1e6, 2e6, nan}, latency[4] = {nan, 1e-3, 0, -1};
    weft_links *l = NULL;
    cr_assert_eq(weft_links_make(&l, 2, rate, latency), WEFT_OK, "the diagonal is not looked at");
    expect_link(l, 0, 1, 1e6, 1e-3);
    expect_link(l, 1, 0, 2e6, 0);
    weft_links_close(&l);
    rate[2] = 0;
    cr_expect_eq(weft_links_make(&l, 2, rate, latency), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message,
                     "links: from 1 to 0: rate 0 bytes/s (0.125 to 1.25e+17), latency 0 s (0 to "
                     "3600)");
    rate[2] = nan;
    cr_expect_eq(weft_links_make(&l, 2, rate, latency), WEFT_EINVAL);
    rate[2] = 1;
    latency[1] = -1e-9;
    cr_expect_eq(weft_links_make(&l, 2, rate, latency), WEFT_EINVAL);
    latency[1] = inf;
    cr_expect_eq(weft_links_make(&l, 2, rate, latency), WEFT_EINVAL);
    cr_expect_eq(weft_links_make(&l, 0, rate, latency), WEFT_EINVAL);
    cr_expect_eq(weft_links_make(&l, 1025, rate, latency), WEFT_EINVAL);
    cr_expect_eq(weft_links_make(&l, 2, NULL, latency), WEFT_EINVAL);
    cr_expect_eq(weft_links_make(NULL, 2, rate, latency), WEFT_EINVAL);
    cr_expect_null(l);
}

/* Rates 1, 2, 3, ... kB/s, in an order that mixes them. */
static weft_links *some_links(int size)
{
    double rate[256], latency[256];
    weft_links *l = NULL;
    for (int i = 0; i < size * size; i++) {
        rate[i] = 1000 * (1 + i * 37 % (size * size));
        latency[i] = 1e-3 * (i * 11 % 7);
    }
    cr_assert_eq(weft_links_make(&l, size, rate, latency), WEFT_OK);
    return l;
}

Test(orders, what_is_no_order_is_refused)
{
    weft_links *l = some_links(4);
    double cost = -1;
    const int twice[] = {0, 1, 1, 3}, outside[] = {0, 1, 2, 4}, below[] = {0, -1, 2, 3};
    int order[4] = {7, 7, 7, 7};
    cr_expect_eq(weft_order_ring_cost(l, 8, twice, &cost), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "ring order: rank 1 twice");
    cr_expect_eq(weft_order_tree_cost(l, 2, 8, outside, &cost), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "tree order: rank 4 of 4 peers");
    cr_expect_eq(weft_order_ring_cost(l, 8, below, &cost), WEFT_EINVAL);
    cr_expect_eq(weft_order_tree(l, -1, 8, order), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, "tree order: arity -1 (0 to 65535)");
    cr_expect_eq(weft_order_tree(l, 65536, 8, order), WEFT_EINVAL);
    cr_expect_eq(weft_order_tree_cost(l, -1, 8, order, &cost), WEFT_EINVAL);
    cr_expect(cost == -1 && order[0] == 7);
    weft_links_close(&l);
}

Test(orders, costs_are_what_the_header_says)
{
    /* 0 -> 1: 1 s and 2 s; 0 -> 2: 4 s and 0 s; 1 -> 2: 1 s and 1 s; the other way faster. */
    double rate[9] = {1, 1000, 250, 2000, 1, 1000, 2000, 2000, 1};
    double latency[9] = {0, 2, 0, 2, 0, 1, 0, 1, 0}, cost = 0;
    const int order[] = {0, 1, 2}, other[] = {1, 0, 2};
    weft_links *l = NULL;
    cr_assert_eq(weft_links_make(&l, 3, rate, latency), WEFT_OK);
    cr_assert_eq(weft_order_ring_cost(l, 1000, order, &cost), WEFT_OK);
    cr_expect_eq(cost, 12, "three times the longest hop: %g", cost);
    cr_assert_eq(weft_order_ring_cost(l, 0, order, &cost), WEFT_OK);
    cr_expect_eq(cost, 3, "all latencies: %g", cost);
    /* Binomial of 3: position 0 serves 2, then 1. */
    cr_assert_eq(weft_order_tree_cost(l, 0, 1000, order, &cost), WEFT_OK);
    cr_expect_eq(cost, 4 + 1 + 2, "%g", cost);
    /* Binary: 1, then 2. */
    cr_assert_eq(weft_order_tree_cost(l, 2, 1000, order, &cost), WEFT_OK);
    cr_expect_eq(cost, 1 + 4, "%g", cost);
    /* A chain 1, 0, 2. */
    cr_assert_eq(weft_order_tree_cost(l, 1, 1000, other, &cost), WEFT_OK);
    cr_expect_eq(cost, 3 + 4, "%g", cost);
    weft_links_close(&l);
}

Test(orders, the_rounding_mode_of_the_caller_does_not_matter)
{
    weft_links *l = some_links(13);
    int ring[2][13], tree[2][13];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(fesetround(i ? FE_UPWARD : FE_TONEAREST), 0);
        cr_assert_eq(weft_order_ring(l, 12345, ring[i]), WEFT_OK);
        cr_assert_eq(weft_order_tree(l, 0, 12345, tree[i]), WEFT_OK);
    }
    cr_assert_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    cr_assert(!memcmp(ring[0], ring[1], sizeof(ring[0])));
    cr_assert(!memcmp(tree[0], tree[1], sizeof(tree[0])));
    weft_links_close(&l);
}

Test(orders, running_out_of_memory_is_told_and_leaks_nothing)
{
    weft_links *l = some_links(5);
    int failures = 0;
    for (long n = 1;; n++) {
        int order[5];
        double cost = 0;
        weft_links *again = NULL;
        weft_mem_fail_at(n);
        int code = weft_order_tree(l, 2, 100, order);
        code = code != WEFT_OK ? code : weft_order_tree_cost(l, 2, 100, order, &cost);
        code = code != WEFT_OK ? code : weft_order_ring(l, 100, order);
        code = code != WEFT_OK ? code : weft_order_ring_cost(l, 100, order, &cost);
        code = code != WEFT_OK ? code : open_text(&again, "0 1 1 1\n1 0 1 1\n");
        weft_mem_fail_at(0);
        weft_links_close(&again);
        if (code == WEFT_OK)
            break;
        cr_assert_eq(code, WEFT_ENOMEM, "%s", weft_last_error()->message);
        failures++;
    }
    cr_assert_gt(failures, 15);
    weft_links_close(&l);
}
