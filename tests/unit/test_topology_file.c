/* SPDX-License-Identifier: Apache-2.0 */
/* Edge lists: what they say, and what is refused with file and line. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/tempfile.h"
#include "topology/linkfile.h"
#include "topology/topology.h"

static int open_text(weft_topology **ret, const char *text, int size)
{
    char path[TEMPFILE_PATH], spec[TEMPFILE_PATH + 16];
    tempfile_write(path, text, strlen(text));
    snprintf(spec, sizeof(spec), "file:path=%s", path);
    const int code = weft_topology_open(ret, spec, size);
    tempfile_remove(path);
    return code;
}

static weft_topology *opened(const char *text, int size)
{
    weft_topology *t = NULL;
    cr_assert_eq(open_text(&t, text, size), WEFT_OK, "%s", weft_last_error()->message);
    return t;
}

/* Refused with this text behind the path. */
static void refused(const char *text, int size, const char *message)
{
    weft_topology *t = NULL;
    cr_expect_eq(open_text(&t, text, size), WEFT_EINVAL, "%s", text);
    cr_expect_null(t);
    const char *told = weft_last_error()->message, head[] = "topology file: /tmp/weft-test-XXXXXX";
    cr_expect_eq(strncmp(told, head, sizeof(head) - 7), 0, "%s", told);
    cr_expect_str_eq(told + sizeof(head) - 1, message);
}

static void expect_edge(const weft_topology *t, int a, int b, double rate, double latency)
{
    for (int way = 0; way < 2; way++) {
        double r = -1, l = -1;
        cr_assert_eq(weft_topology_edge(t, way ? b : a, way ? a : b, &r, &l), WEFT_OK);
        cr_expect(r == rate && l == latency, "%d %d: %.17g %.17g", a, b, r, l);
    }
}

Test(topology_file, edges_have_rates_and_latencies_both_ways)
{
    weft_topology *t = opened("# four peers\r\n"
                              "peers 4\n"
                              "\n"
                              "0 1 1gbit 50us  # the backbone\n"
                              "\t1 2 2.5mbit\r\n"
                              "2 3\n"
                              "3 0 1e6 0.25\n"
                              "0 2 8kbit 7ns\n"
                              "1 3 16bit 2s",
                              4);
    expect_edge(t, 0, 1, 1.25e8, 50e-6);
    expect_edge(t, 1, 2, 312500, 0);
    expect_edge(t, 2, 3, 0, 0);
    expect_edge(t, 0, 3, 125000, 0.25);
    expect_edge(t, 0, 2, 1000, 7e-9);
    expect_edge(t, 1, 3, 2, 2);
    cr_assert_eq(weft_topology_edges(t), 6);
    weft_topology_close(&t);
}

Test(topology_file, the_same_graph_is_read_whatever_way_it_is_written)
{
    weft_topology *t = opened("0 1 1mbit\n1 2 1mbit 1ms\n2 0\n", 3);
    weft_topology *other = opened("0 2\n2 1 0.001gbit 1000us\n1 0 1000kbit\n1 2 1e6 0.001\n"
                                  "2 0 # again\n1 2 1mbit 1ms\n",
                                  3);
    cr_assert_eq(weft_topology_digest(t), weft_topology_digest(other));
    cr_assert_eq(weft_topology_edges(other), 3);
    weft_topology_close(&other);
    other = opened("0 1 1mbit\n1 2 1mbit 2ms\n2 0\n", 3);
    cr_assert_neq(weft_topology_digest(t), weft_topology_digest(other), "another latency");
    weft_topology_close(&other);
    other = opened("0 1 1mbit\n1 2 2mbit 1ms\n2 0\n", 3);
    cr_assert_neq(weft_topology_digest(t), weft_topology_digest(other), "another rate");
    weft_topology_close(&other);
    weft_topology_close(&t);
    t = opened("peers 5\n0 1\n1 2\n2 3\n3 4\n4 0\n", 0);
    cr_assert_eq(weft_topology_open(&other, "ring", 5), WEFT_OK);
    cr_assert_eq(weft_topology_digest(t), weft_topology_digest(other), "a ring is a ring");
    weft_topology_close(&other);
    weft_topology_close(&t);
}

Test(topology_file, the_size_comes_from_the_caller_or_the_file)
{
    weft_topology *t = opened("0 1\n1 2\n", 0);
    cr_assert_eq(weft_topology_size(t), 3);
    weft_topology_close(&t);
    t = opened("peers 1\n", 0);
    cr_assert_eq(weft_topology_size(t), 1);
    weft_topology_close(&t);
    t = opened("", 1);
    cr_assert_eq(weft_topology_size(t), 1);
    weft_topology_close(&t);
    refused("", 0, ": 0 peers (1 to 65535)");
    refused("peers 3\n0 1\n1 2\n", 4, ": is of 3 peers, not 4");
    refused("\n0 1\n1 4\n4 2\n", 3, ": line 3: rank 4 of 3 peers");
}

Test(topology_file, malformed_lines_are_named)
{
    refused("peers\n", 2, ": line 1: peers: how many, and nothing else");
    refused("peers 2 3\n", 2, ": line 1: peers: how many, and nothing else");
    refused("0 1\npeers 2\n", 2, ": line 2: peers: only the first line may say");
    refused("peers 2\npeers 2\n0 1\n", 2, ": line 2: peers: only the first line may say");
    refused("peers 0\n", 2, ": line 1: peers: 0 is out of range (1 to 65535)");
    refused("peers 65536\n", 2, ": line 1: peers: 65536 is out of range (1 to 65535)");
    refused("0 1\n0\n", 2, ": line 2: one rank, an edge has two");
    refused("0 1 1mbit 1ms x\n", 2, ": line 1: \"x\" is a word too many: two ranks, rate, latency");
    refused("0 one\n", 2, ": line 1: rank: \"one\" is not a whole number (0 to 65534)");
    refused("# no\n\n0 -1\n", 2, ": line 3: rank: -1 is out of range (0 to 65534)");
    refused("0 65535\n", 2, ": line 1: rank: 65535 is out of range (0 to 65534)");
    refused("peers 4\n0 4\n", 4, ": line 2: rank: 4 is out of range (0 to 3)");
    refused("0 99999999999999999999\n", 2,
            ": line 1: rank: 99999999999999999999 is out of range (0 to 65534)");
    refused("0 1\n1 1 1mbit\n", 2, ": line 2: rank 1 has an edge to itself");
    refused("0 1111111111111111111111111111111111111111\n", 2,
            ": line 1: \"111111111111111111111111111111111111111\" is neither rank nor rate nor "
            "latency");
}

Test(topology_file, rates_and_latencies_are_bounded)
{
    static const char rate_form[] =
        "is no rate like 100mbit (bit, kbit, mbit, gbit, tbit per second)";
    char text[160];
    static const char *const rates[] = {"fast", "1mb",     "mbit",    "nan",
                                        "inf",  "0x1mbit", "1,5mbit", "1MBIT"};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "0 1 %s\n", rates[i]);
        snprintf(text, sizeof(text), ": line 1: rate: \"%s\" %s", rates[i], rate_form);
        refused(line, 2, text);
    }
    refused("0 1 0\n", 2, ": line 1: rate: 0 is out of range (1bit to 1000000tbit)");
    refused("0 1 -1mbit\n", 2, ": line 1: rate: -1mbit is out of range (1bit to 1000000tbit)");
    refused("0 1 0.9\n", 2, ": line 1: rate: 0.9 is out of range (1bit to 1000000tbit)");
    refused("0 1 1e300tbit\n", 2,
            ": line 1: rate: 1e300tbit is out of range (1bit to 1000000tbit)");
    refused("0 1 1 mbit\n", 2, ": line 1: latency: \"mbit\" is no time like 50us (ns, us, ms, s)");
    refused("0 1 1 -1us\n", 2, ": line 1: latency: -1us is out of range (0s to 3600s)");
    refused("0 1 1 3601\n", 2, ": line 1: latency: 3601 is out of range (0s to 3600s)");
    refused("0 1 1 1m\n", 2, ": line 1: latency: \"1m\" is no time like 50us (ns, us, ms, s)");
    weft_topology *t = opened("0 1 1000000tbit 3600\n1 2 1bit -0", 3);
    expect_edge(t, 0, 1, 1.25e17, 3600);
    expect_edge(t, 1, 2, 0.125, 0);
    weft_topology_close(&t);
}

Test(topology_file, edges_that_differ_between_their_ways_name_both_lines)
{
    refused("peers 3\n0 1 1mbit\n1 2\n1 0 2mbit\n", 3,
            ": line 4: edge 1 0 has 2000000 bit/s, line 2 says 1000000 bit/s the other way: edges "
            "here are alike both ways");
    refused("0 1 1mbit 1ms\n1 0 1mbit\n", 2,
            ": line 2: edge 1 0 has 1000000 bit/s, line 1 says 1000000 bit/s and 0.001 s the other "
            "way: edges here are alike both ways");
    refused("0 1\n1 0 1mbit\n", 2,
            ": line 2: edge 1 0 has 1000000 bit/s, line 1 says no rate the other way: edges here "
            "are alike both ways");
    refused("2 1\n0 1 1mbit\n0 1 8\n", 3,
            ": line 3: edge 0 1 again, with 8 bit/s; line 2 says 1000000 bit/s");
}

Test(topology_file, a_graph_in_parts_names_them)
{
    refused("peers 7\n0 2\n4 2\n1 3\n6 5\n", 7,
            ": the graph falls into 3 parts: {0, 2, 4} {1, 3} {5, 6}");
    refused("peers 20\n0 1\n", 20, ": the graph falls into 19 parts: {0, 1} {2} {3} {4} ...");
    refused("peers 13\n1 2\n2 3\n3 4\n4 5\n5 6\n6 7\n7 8\n8 9\n9 10\n10 11\n11 12\n", 13,
            ": the graph falls into 2 parts: {0} {1, 2, 3, 4, 5, 6, 7, 8 and 4 more}");
}

Test(topology_file, bytes_that_are_no_text_are_refused)
{
    char path[TEMPFILE_PATH], spec[TEMPFILE_PATH + 16];
    weft_topology *t = NULL;
    static const char zero[] = "0 1\n0\0 2\n";
    tempfile_write(path, zero, sizeof(zero) - 1);
    snprintf(spec, sizeof(spec), "file:path=%s", path);
    cr_expect_eq(weft_topology_open(&t, spec, 3), WEFT_EINVAL);
    cr_expect_not_null(strstr(weft_last_error()->message, ": line 2: \"0\" is neither rank nor"));
    tempfile_remove(path);
    refused("0 1\n\x1b[2J 3\n", 4, ": line 2: rank: \"?[2J\" is not a whole number (0 to 65534)");
}

Test(topology_file, what_is_no_file_is_refused_at_once)
{
    char path[TEMPFILE_PATH], spec[TEMPFILE_PATH + 16], told[TEMPFILE_PATH + 64];
    weft_topology *t = NULL;
    cr_expect_eq(weft_topology_open(&t, "file:path=/no/such/net.txt", 4), WEFT_EIO);
    cr_expect_str_eq(weft_last_error()->message,
                     "topology file: /no/such/net.txt: No such file or directory");
    cr_expect_eq(weft_topology_open(&t, "file:path=/tmp", 4), WEFT_EIO);
    cr_expect_str_eq(weft_last_error()->message, "topology file: /tmp: is no regular file");
    tempfile_write(path, "", 0);
    tempfile_remove(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    snprintf(spec, sizeof(spec), "file:path=%s", path);
    cr_expect_eq(weft_topology_open(&t, spec, 4), WEFT_EIO, "and does not wait for a writer");
    tempfile_remove(path);
    tempfile_write(path, "", 0);
    cr_assert_eq(truncate(path, (off_t)WEFT_LINKFILE_BYTES + 1), 0);
    snprintf(spec, sizeof(spec), "file:path=%s", path);
    snprintf(told, sizeof(told), "topology file: %s: 67108865 bytes, at most 67108864", path);
    cr_expect_eq(weft_topology_open(&t, spec, 4), WEFT_EINVAL);
    cr_expect_str_eq(weft_last_error()->message, told);
    tempfile_remove(path);
    cr_expect_null(t);
}

Test(topology_file, running_out_of_memory_is_told_and_leaks_nothing)
{
    static const char text[] = "0 1 1mbit\n1 2\n2 3 1mbit 1ms\n3 0\n";
    int failures = 0;
    for (long n = 1;; n++) {
        weft_linkfile f;
        weft_graph g = {.size = 0};
        weft_mem_fail_at(n);
        int code = weft_linkfile_parse(&f, "net", text, strlen(text));
        if (code == WEFT_OK) {
            code = weft_linkfile_graph(&f, 4, &g);
            weft_linkfile_free(&f);
        }
        weft_mem_fail_at(0);
        weft_graph_free(&g);
        if (code == WEFT_OK)
            break;
        cr_assert_eq(code, WEFT_ENOMEM);
        failures++;
    }
    cr_assert_gt(failures, 6);
}

Test(units, rates_and_latencies_are_read_as_in_files)
{
    double v = -1;
    cr_assert_eq(weft_rate_parse("100mbit", &v), WEFT_OK);
    cr_assert_eq(v, 12.5e6);
    cr_assert_eq(weft_latency_parse("1.5ms", &v), WEFT_OK);
    cr_assert_eq(v, 0.0015);
    cr_assert_eq(weft_rate_parse("", &v), WEFT_EINVAL);
    cr_assert_eq(weft_rate_parse(NULL, &v), WEFT_EINVAL);
    cr_assert_eq(weft_latency_parse("s", &v), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "latency: \"s\" is no time like 50us (ns, us, ms, s)");
    cr_assert_eq(v, 0.0015, "untouched on failure");
    cr_assert(!signbit(v) && weft_latency_parse("-0", &v) == WEFT_OK && !signbit(v));
}
