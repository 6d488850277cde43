/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a topology among some of its peers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "topology/topology.h"

/* Every edge of either is an edge of the other, with the same rate and latency. */
static void check_among(const weft_topology *whole, const weft_topology *part, const int *ranks,
                        int size)
{
    cr_assert_eq(weft_topology_size(part), size);
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
            double rate[2] = {-1, -1}, latency[2] = {-1, -1};
            const int there = weft_topology_edge(whole, ranks[i], ranks[j], &rate[0], &latency[0]);
            const int here = weft_topology_edge(part, i, j, &rate[1], &latency[1]);
            cr_assert_eq(there, here, "edge %d %d", i, j);
            cr_assert(rate[0] == rate[1] && latency[0] == latency[1], "edge %d %d", i, j);
        }
    }
}

Test(topology_among, keeps_the_edges_between_those_who_stay)
{
    static const char *const specs[] = {"complete", "ring", "hypercube", "star:centre=3",
                                        "regular:degree=6,seed=3"};
    weft_rng rng = {.state = 5};
    int connected = 0;
    for (int s = 0; s < 5; s++) {
        weft_topology *whole = NULL;
        cr_assert_eq(weft_topology_open(&whole, specs[s], 16), WEFT_OK);
        for (int round = 0; round < 60; round++) {
            weft_topology *part = NULL;
            int ranks[16];
            const int size = 1 + (int)weft_rng_below(&rng, 16);
            for (int i = 0; i < 16; i++) {
                ranks[i] = i;
            }
            for (int i = 0; i < size; i++) {
                const int other = i + (int)weft_rng_below(&rng, (uint64_t)(16 - i));
                const int kept = ranks[i];
                ranks[i] = ranks[other];
                ranks[other] = kept;
            }
            const int rc = weft_topology_among(whole, ranks, size, &part);
            if (rc == WEFT_OK) {
                check_among(whole, part, ranks, size);
                cr_assert_str_eq(weft_topology_spec(part), weft_topology_spec(whole));
                connected++;
            } else {
                cr_assert_eq(rc, WEFT_EINVAL);
                cr_assert(s > 0 && strstr(weft_last_error()->message, "falls into") != NULL, "%s",
                          weft_last_error()->message);
                cr_assert_null(part);
            }
            weft_topology_close(&part);
        }
        weft_topology_close(&whole);
    }
    cr_assert(connected > 100);
}

Test(topology_among, all_in_their_order_are_the_whole)
{
    weft_topology *whole = NULL, *part = NULL;
    int ranks[12];
    for (int i = 0; i < 12; i++) {
        ranks[i] = i;
    }
    cr_assert_eq(weft_topology_open(&whole, "smallworld:degree=4,rewire=0.5,seed=2", 12), WEFT_OK);
    cr_assert_eq(weft_topology_among(whole, ranks, 12, &part), WEFT_OK);
    cr_assert_eq(weft_topology_digest(part), weft_topology_digest(whole));
    weft_topology_close(&part);
    weft_topology_close(&whole);
}

Test(topology_among, rates_and_latencies_stay_with_their_edges)
{
    char path[] = "/tmp/weft-among-XXXXXX", spec[64];
    weft_topology *whole = NULL, *part = NULL;
    const int ranks[3] = {3, 0, 1};
    const int fd = mkstemp(path);
    const char text[] = "0 1 1gbit 50us\n1 2 100mbit 1ms\n2 3 10mbit\n0 3 2gbit 7us\n";
    cr_assert(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
    close(fd);
    snprintf(spec, sizeof(spec), "file:path=%s", path);
    cr_assert_eq(weft_topology_open(&whole, spec, 4), WEFT_OK, "%s", weft_last_error()->message);
    unlink(path);
    cr_assert_eq(weft_topology_among(whole, ranks, 3, &part), WEFT_OK);
    check_among(whole, part, ranks, 3);
    weft_topology_close(&part);
    weft_topology_close(&whole);
}

Test(topology_among, out_of_memory_is_told)
{
    const int ranks[4] = {4, 3, 2, 1};
    weft_topology *whole = NULL;
    cr_assert_eq(weft_topology_open(&whole, "complete", 6), WEFT_OK);
    for (long n = 1; n < 30; n++) {
        weft_topology *part = NULL;
        weft_mem_fail_at(n);
        const int rc = weft_topology_among(whole, ranks, 4, &part);
        const long asked = weft_mem_count();
        weft_mem_fail_at(0);
        cr_assert_eq(rc, asked < n ? WEFT_OK : WEFT_ENOMEM);
        weft_topology_close(&part);
    }
    weft_topology_close(&whole);
}
