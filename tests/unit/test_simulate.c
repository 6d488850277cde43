/* SPDX-License-Identifier: Apache-2.0 */
/* Operations in virtual time, against what can be worked out by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include <weft/explain.h>
#include <weft/info.h>

enum { MOST = 17 };

static weft_query query(const char *collective, const char *algo, int peers, uint64_t count)
{
    return (weft_query){.size = sizeof(weft_query),
                        .collective = collective,
                        .algo = algo,
                        .peers = peers,
                        .count = count,
                        .dtype = WEFT_F32,
                        .lane = count ? count : 1};
}

/* Nothing but latency and rate. */
static weft_network ideal(double rate, double latency)
{
    return (weft_network){
        .size = sizeof(weft_network), .rate = rate, .latency_s = latency, .lanes = 4};
}

static weft_simulated simulate(const weft_query *q, const weft_network *n, double *finish)
{
    weft_simulated s = {.size = sizeof s};

    cr_assert_eq(weft_simulate(q, n, NULL, NULL, finish, &s), 0, "%s %s P=%d: %s", q->collective,
                 q->algo, q->peers, weft_last_error()->message);
    return s;
}

static double seconds(weft_query q, weft_network n)
{
    return simulate(&q, &n, NULL).seconds;
}

static void near(double got, double wanted, const char *what, int P)
{
    cr_expect_float_eq(got, wanted, 1e-9 * wanted, "%s, P=%d: %.17g, expected %.17g", what, P, got,
                       wanted);
}

/* The price of a query's own algorithm. false: it cannot serve. */
static bool price(const weft_query *q, weft_candidate *ret)
{
    weft_explain *e = NULL;
    bool found = false;

    ret->size = sizeof *ret;
    cr_assert_eq(weft_explain_open(&e, q), 0, "%s", weft_last_error()->message);
    for (int i = 0; !found && weft_explain_get(e, i, ret); i++)
        found = ret->chosen;
    weft_explain_close(&e);
    return found;
}

/* Every algorithm there is, at every size, with 0 … some elements. */
static void each(void (*check)(const weft_query *q, const weft_candidate *c))
{
    weft_info info;

    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++)
        for (int P = 1; P <= MOST; P++)
            for (uint64_t count = 0; count <= 1009; count += 1009) {
                const weft_query q = query(info.scope, info.name, P, count);
                weft_candidate c;
                if (price(&q, &c))
                    check(&q, &c);
            }
}

static void takes_its_rounds(const weft_query *q, const weft_candidate *c)
{
    const weft_network n = ideal(0, 0.5);
    weft_query two = *q;

    cr_expect_eq(simulate(q, &n, NULL).seconds, 0.5 * c->rounds, "%s %s P=%d n=%llu", q->collective,
                 q->algo, q->peers, (unsigned long long)q->count);
    two.count = 2 * q->count; /* latency has no bytes */
    two.lane = 2 * q->lane;
    cr_expect_eq(simulate(&two, &n, NULL).seconds, 0.5 * c->rounds);
}

Test(simulate, latency_alone_gives_the_rounds_of_every_algorithm)
{
    each(takes_its_rounds);
}

static void add_passage(void *user, const weft_passage *p)
{
    uint64_t *bytes = user; /* sent, then received */

    cr_assert_leq(p->sent_s, p->arrived_s);
    bytes[p->from] += p->bytes;
    bytes[MOST + p->to] += p->bytes;
}

static void sends_its_bytes(const weft_query *q, const weft_candidate *c)
{
    const weft_network n = ideal(1e6, 1e-6);
    weft_simulated s = {.size = sizeof s};
    uint64_t bytes[2 * MOST] = {0}, all = 0, most[2] = {0};

    cr_assert_eq(weft_simulate(q, &n, add_passage, bytes, NULL, &s), 0);
    for (int r = 0; r < 2 * MOST; r++) {
        uint64_t *side = &most[r / MOST];
        all += r < MOST ? bytes[r] : 0;
        *side = bytes[r] > *side ? bytes[r] : *side;
    }
    cr_expect_eq(s.body_bytes, all);
    cr_expect_eq(s.body_most, most[0]);
    /* Prices cut a vector on other edges than lanes do: up to 64 elements a message. */
    const double busiest = (double)(most[0] > most[1] ? most[0] : most[1]);
    cr_expect_leq(fabs(busiest - c->bytes), 64 * 4 * c->messages, "%s %s P=%d", q->collective,
                  q->algo, q->peers);
    cr_expect_eq(s.wire_bytes, (double)all, "nothing is around a body here");
}

Test(simulate, bytes_are_those_of_the_price_and_all_arrive)
{
    each(sends_its_bytes);
}

Test(simulate, ring_keeps_every_link_busy)
{
    for (int P = 2; P <= 16; P *= 2) {
        const double bytes = 4.0 * 4096, alpha = 1e-3, rate = 1e6;
        const weft_query q = query("allreduce", "ring", P, 4096);
        near(seconds(q, ideal(rate, 0)), 2.0 * (P - 1) / P * bytes / rate, "rate", P);
        near(seconds(q, ideal(rate, alpha)), 2.0 * (P - 1) * (alpha + bytes / P / rate),
             "rate and latency", P);
    }
}

Test(simulate, doubling_sends_the_vector_in_each_round)
{
    for (int P = 2, k = 1; P <= 32; P *= 2, k++) {
        const weft_query q = query("allreduce", "doubling", P, 1000);
        near(seconds(q, ideal(1e6, 1e-3)), k * (1e-3 + 4000 / 1e6), "doubling", P);
    }
}

Test(simulate, a_tree_shares_the_sender_among_its_children)
{
    /* All k children of the root have it after k messages, then the same from each: k (k+1) / 2. */
    for (int P = 2, k = 1; P <= 32; P *= 2, k++) {
        const weft_query q = query("broadcast", "tree", P, 1000);
        near(seconds(q, ideal(1e6, 0)), k * (k + 1) / 2.0 * 4000 / 1e6, "tree", P);
        near(seconds(q, ideal(1e6, 1)), k * (k + 1) / 2.0 * 4000 / 1e6 + k, "tree", P);
    }
}

Test(simulate, work_takes_its_time)
{
    weft_network n = ideal(0, 0);

    n.send_s = 3;
    n.receive_s = 5;
    n.handoff_s = 7;
    n.pack_s = n.unpack_s = 0.11;
    n.merge_s = 0.13;
    for (int P = 2, k = 1; P <= 16; P *= 2, k++) /* of one element, 4 bytes */
        near(seconds(query("allreduce", "doubling", P, 1), n),
             4 * 0.11 * 2 + k * (3 + 7 + 5 + 4 * 0.13), "doubling", P);
}

Test(simulate, segments_frames_and_switches_are_counted)
{
    weft_network n = ideal(1000, 0);
    const weft_query q = query("broadcast", "tree", 2, 75000); /* 300 000 bytes: two frames */
    weft_simulated s;

    n.frame_bytes = 100;
    n.segment_bytes = 1000;
    n.segment_overhead = 50;
    s = simulate(&q, &n, NULL);
    const double data = 300200 + 301 * 50; /* and the receiver's grant, a frame in a segment */
    cr_expect_eq(s.wire_bytes, data + 150);
    near(s.seconds, data / 1000, "wire", 2);
    cr_expect_str_eq(s.busiest, "up of rank 0");
    near(s.busiest_share, 1, "share", 2);
    n.switch_bytes = 500; /* up and down take each packet whole: once more than a stream */
    near(seconds(q, n), data / 1000 + 0.5, "switch", 2);
}

Test(simulate, lanes_hide_work_and_latency)
{
    weft_query q = query("allreduce", "ring", 4, 1 << 20);
    weft_network n = ideal(1e9, 1e-4);
    double before = (double)INFINITY;

    n.send_s = 2e-5;
    q.lane = 1 << 16;
    for (n.lanes = 1; n.lanes <= 4; n.lanes *= 2) {
        const weft_simulated s = simulate(&q, &n, NULL);
        cr_expect_eq(s.lanes, 16);
        cr_expect_lt(s.seconds, before, "%d lanes", n.lanes);
        cr_expect_eq(s.body_most, 2 * 3 * (1u << 20));
        before = s.seconds;
    }
    cr_expect_gt(before, 2.0 * 3 / 4 * 4 * (1 << 20) / 1e9, "never under the bound");
}

Test(simulate, a_last_lane_that_is_shorter_is_sent_too)
{
    weft_query q = query("allreduce", "ring", 4, 1009);
    const weft_network n = ideal(1e6, 1e-4);
    weft_simulated s;

    q.lane = 100;
    s = simulate(&q, &n, NULL);
    cr_expect_eq(s.lanes, 11);
    cr_expect_eq(s.messages, 11 * 4 * 6);
    cr_expect_eq(s.body_bytes, 2 * 3 * 1009 * 4);
}

Test(simulate, who_gets_little_tells_no_grant)
{
    /* As weft_operation.prompt: 64 KiB and four headers, a header for each part. Rank 1 of 2 gets
     * one part, rank 8 of 16 eight blocks in a message, the others less. */
    const weft_query queries[] = {
        query("broadcast", "tree", 2, (64 * 1024 + 3 * 64) / 4),
        query("scatter", "binomial", 16, (64 * 1024 - 4 * 64) / 4 / 8),
    };
    weft_network n = ideal(0, 1e-6);

    n.frame_bytes = 1;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        for (uint64_t more = 0; more <= 1; more++) {
            weft_query q = queries[i];
            q.lane = q.count += more;
            const weft_simulated s = simulate(&q, &n, NULL);
            const double grants = s.wire_bytes - (double)s.body_bytes - (double)s.messages;
            cr_expect_eq(s.messages, (uint64_t)q.peers - 1);
            cr_expect_eq(grants, (double)more, "%s: %g", q.collective, grants);
        }
}

/* One with rates, so that grants and data may pass each other, one late. */
static void ends_in_long_lanes(const char *collective, const char *algo, int P, uint64_t count,
                               uint64_t lane)
{
    const weft_peer_link late = {.rank = P - 1, .late_s = 1};
    weft_query q = query(collective, algo, P, count);
    weft_candidate c;
    weft_network n;
    weft_simulated s = {.size = sizeof s};

    q.lane = lane;
    if (!price(&q, &c))
        return;
    weft_network_default(&n);
    for (n.peer_count = 0; n.peer_count < 2; n.peer_count++) {
        n.peers = &late;
        cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), 0, "%s %s P=%d n=%llu: %s",
                     collective, algo, P, (unsigned long long)count, weft_last_error()->message);
        cr_expect_eq(s.lanes, c.lanes);
    }
}

Test(simulate, data_beyond_what_goes_ungranted_wait_for_a_grant_that_comes)
{
    /* 4 MiB go to one that has not granted yet: lanes in which every algorithm sends more. */
    const int sizes[] = {2, 3, 6, 8, 16};
    const uint64_t lane = 1 << 26;
    weft_info info;

    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            ends_in_long_lanes(info.scope, info.name, sizes[k], lane, lane);
            ends_in_long_lanes(info.scope, info.name, sizes[k], 2 * lane + 5, lane);
        }
}

static void is_not_slower(const weft_query *q, const weft_candidate *c)
{
    double before = (double)INFINITY;

    (void)c;
    for (double rate = 1e4; rate <= 1e8; rate *= 10) {
        const double now = seconds(*q, ideal(rate, 1e-4));
        cr_expect_leq(now, before, "%s %s P=%d at %g", q->collective, q->algo, q->peers, rate);
        before = now;
    }
}

Test(simulate, faster_links_do_not_make_it_slower)
{
    each(is_not_slower);
}

Test(simulate, the_same_question_has_the_same_answer)
{
    weft_query q = query("allreduce", "scatter", 13, 100003);
    weft_network n;
    double first[13], again[13];

    q.lane = 10000;
    weft_network_default(&n);
    n.burst = 10000;
    const weft_simulated a = simulate(&q, &n, first), b = simulate(&q, &n, again);
    cr_expect_eq(memcmp(first, again, sizeof first), 0);
    cr_expect_eq(a.seconds, b.seconds);
    cr_expect_eq(a.events, b.events);
    cr_expect_eq(a.wire_bytes, b.wire_bytes);
}

Test(simulate, one_slow_peer_slows_the_ring_to_its_rate)
{
    const weft_query q = query("allreduce", "ring", 8, 8192);
    const weft_peer_link slow = {.rank = 3, .rate = 1e5};
    weft_network n = ideal(1e6, 0);

    n.peers = &slow;
    n.peer_count = 1;
    const weft_simulated s = simulate(&q, &n, NULL);
    near(s.seconds, 2.0 * 7 / 8 * 8192 * 4 / 1e5, "the slow one", 8);
    cr_expect_str_eq(s.busiest, "up of rank 3");
}

Test(simulate, nobody_leaves_a_barrier_before_the_last_has_come)
{
    const weft_query q = query("barrier", NULL, 9, 0);
    const weft_peer_link late = {.rank = 5, .late_s = 2};
    weft_network n = ideal(0, 0.01);
    double finish[9];

    n.peers = &late;
    n.peer_count = 1;
    simulate(&q, &n, finish);
    for (int r = 0; r < 9; r++) {
        cr_expect_geq(finish[r], 2);
        cr_expect_leq(finish[r], 2 + 4 * 0.01 + 1e-12);
    }
}

Test(simulate, peers_of_a_host_share_its_trunk)
{
    /* Doubling over 8 ranks on 2 hosts: distances 1 and 2 inside, 4 pairs across. */
    const int hosts[] = {0, 0, 0, 0, 1, 1, 1, 1};
    weft_query q = query("allreduce", "doubling", 8, 1000);
    weft_network n = ideal(1e6, 1e-3);

    q.hosts = hosts;
    n.local_rate = 1e8;
    n.local_latency_s = 1e-6;
    n.trunk_rate = 1e6;
    const weft_simulated s = simulate(&q, &n, NULL);
    near(s.seconds, 2 * (4000 / 1e8 + 1e-6) + 4 * 4000 / 1e6 + 1e-3, "trunk", 8);
    cr_expect_str_eq(s.busiest, "up of host 0");
}

Test(simulate, an_edge_has_its_own_rate_and_latency)
{
    const weft_query q = query("allreduce", "doubling", 2, 1000);
    weft_edge_link edges[] = {{.from = 1, .to = 0, .rate = 1e5, .latency_s = -1},
                              {.from = 0, .to = 1, .rate = 0, .latency_s = 3}};
    weft_network n = ideal(1e6, 1);
    double finish[2];

    n.edges = edges;
    n.edge_count = 2;
    const weft_simulated s = simulate(&q, &n, finish);
    near(finish[0], 4000 / 1e5 + 1, "to rank 0", 2);
    near(finish[1], 4000 / 1e6 + 3, "to rank 1", 2);
    cr_expect_eq(s.first_s, finish[0]);
    edges[1] = edges[0];
    cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &(weft_simulated){.size = 8}),
                 WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "the edge from rank 1 to 0 is there twice"));
}

Test(simulate, a_place_in_the_order_is_another_rank)
{
    /* Around 0 2 1 3 every hop crosses hosts; around 0 1 2 3 two do. */
    const int hosts[] = {0, 0, 1, 1}, order[] = {0, 2, 1, 3};
    weft_query q = query("allreduce", "ring", 4, 4096);
    weft_network n = ideal(1e6, 0);

    q.hosts = hosts;
    n.trunk_rate = 1e6;
    const double one = seconds(q, n);
    q.order = order;
    near(seconds(q, n), 2 * one, "two streams in a trunk", 4);
}

Test(simulate, impossible_networks_and_queries_are_named)
{
    weft_query q = query("allreduce", "ring", 4, 100);
    weft_network n = ideal(1e6, 0);
    const weft_peer_link who[] = {{.rank = 1}, {.rank = 1}};
    const int order[] = {0, 1, 1, 3}, hosts[] = {0, 0, 4, 0};
    weft_simulated s = {.size = sizeof s};
    const struct {
        const char *says;
        void *field;
        double bad;
    } cases[] = {{"rate is -1", &n.rate, -1},
                 {"latency_s is nan", &n.latency_s, (double)NAN},
                 {"ack_share is 0.9", &n.ack_share, 0.9},
                 {"handoff_s is inf", &n.handoff_s, (double)INFINITY}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double *field = cases[i].field;
        const double good = *field;
        *field = cases[i].bad;
        cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), WEFT_EINVAL);
        cr_expect(strstr(weft_last_error()->message, cases[i].says), "%s",
                  weft_last_error()->message);
        *field = good;
    }
    n.lanes = 65;
    cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), WEFT_EINVAL);
    n.lanes = 4;
    n.peers = who;
    n.peer_count = 2;
    cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "rank 1 is there twice"));
    n.peer_count = 0;
    q.order = order;
    cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "rank 1 at place 2"));
    q.order = NULL;
    q.hosts = hosts;
    cr_expect_eq(weft_simulate(&q, &n, NULL, NULL, NULL, &s), WEFT_EINVAL);
    cr_expect(strstr(weft_last_error()->message, "host 4 of rank 2"));
}

Test(simulate, out_of_memory_anywhere_is_reported)
{
    weft_query q = query("allreduce", "scatter", 3, 100);
    weft_network n;
    weft_simulated s = {.size = sizeof s};
    int rc = WEFT_ENOMEM;
    long i = 1;

    q.lane = 40;
    weft_network_default(&n);
    for (; rc; i++) {
        weft_mem_fail_at(i);
        rc = weft_simulate(&q, &n, NULL, NULL, NULL, &s);
        weft_mem_fail_at(0);
        cr_assert(rc == 0 || rc == WEFT_ENOMEM, "allocation %ld gave %d", i, rc);
    }
    cr_expect_gt(i, 50);
}

Test(simulate, thousands_of_peers_take_logarithmic_rounds)
{
    const weft_query q = query("allreduce", "doubling", 4096, 256);
    const weft_simulated s =
        simulate(&q,
                 &(weft_network){
                     .size = sizeof(weft_network), .rate = 1.25e8, .latency_s = 1e-3, .lanes = 4},
                 NULL);

    cr_expect_eq(s.messages, 4096 * 12);
    near(s.seconds, 12 * (1e-3 + 1024 / 1.25e8), "doubling", 4096);
}
