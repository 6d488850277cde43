/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/status.h"
#include "collectives/algo.h"
#include "collectives/partition.h"

static weft_choice dense(int size, uint64_t count)
{
    return (weft_choice){.coll = WEFT_COLL_ALLREDUCE,
                         .size = size,
                         .count = count,
                         .element_bytes = 4,
                         .encoded_bytes = 4,
                         .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES};
}

static weft_choice lossy(int size, uint64_t count, double bits)
{
    weft_choice c = dense(size, count);

    c.encoded_bytes = bits / 8;
    c.traits = WEFT_CODEC_UNBIASED;
    return c;
}

static const char *chosen(weft_choice c)
{
    weft_pick p = {0};

    cr_assert_eq(weft_algo_select("auto", &c, &p), 0, "%s", weft_last_error()->message);
    return p.algo->name;
}

/* Where waiting costs twice what a message does, a round less is worth two messages more. */
static const weft_costs waiting_costs = {
    .round_s = 40e-6, .message_s = 20e-6, .byte_s = 1e-9, .reduce_s = 1.25e-10, .incast = 0.01};

static weft_choice short_one(weft_coll coll, int size, uint64_t count)
{
    weft_choice c = dense(size, count);

    c.coll = coll;
    c.costs = &waiting_costs;
    return c;
}

Test(select, short_vectors_go_flat_between_few_and_by_doubling_between_many)
{
    for (int P = 3; P <= 7; P++)
        cr_expect_str_eq(chosen(short_one(WEFT_COLL_ALLREDUCE, P, 256)), "flat", "P=%d", P);
    for (int P = 11; P <= 64; P++)
        cr_expect_str_eq(chosen(short_one(WEFT_COLL_ALLREDUCE, P, 256)), "doubling", "P=%d", P);
    cr_expect_str_eq(chosen(short_one(WEFT_COLL_ALLREDUCE, 8, 256)), "doubling");
}

/* What was fastest of all, or as fast (docs/performance.md). */
Test(select, what_was_measured_fastest_is_chosen)
{
    static const int apart[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const struct {
        int size, kib;
        bool network;
        const char *name;
    } cells[] = {{2, 1, false, "flat"},     {2, 256, false, "flat"},     {2, 4096, false, "ring"},
                 {4, 1, false, "doubling"}, {4, 256, false, "doubling"}, {4, 1024, false, "ring"},
                 {4, 65536, false, "ring"}, {8, 1, false, "doubling"},   {8, 4096, false, "ring"},
                 {4, 1, true, "doubling"},  {4, 64, true, "doubling"},   {4, 1024, true, "ring"},
                 {4, 16384, true, "ring"},  {8, 1, true, "doubling"},    {8, 1024, true, "ring"},
                 {8, 16384, true, "ring"}};

    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        weft_choice c = dense(cells[i].size, (uint64_t)cells[i].kib * 256);
        c.host = cells[i].network ? apart : NULL;
        cr_expect_str_eq(chosen(c), cells[i].name, "%d peers, %d KiB%s", cells[i].size,
                         cells[i].kib, cells[i].network ? ", 1 Gbit/s" : "");
    }
}

Test(select, long_vectors_go_around_the_ring)
{
    for (int P = 3; P <= 8; P++)
        cr_expect_str_eq(chosen(dense(P, 1u << 26)), "ring", "P=%d", P);
}

Test(select, long_vectors_send_hardly_more_than_they_must)
{
    const double n = 1u << 26, w = 4;

    for (int P = 2; P <= 64; P++) {
        const weft_choice c = dense(P, 1u << 26);
        weft_pick p;
        cr_assert_eq(weft_algo_select(NULL, &c, &p), 0);
        const weft_shape s = {
            .coll = c.coll, .size = P, .count = c.count, .block = 1, .spec = &p.spec};
        const double least = 2 * (P - 1.0) / P * n * w;
        cr_expect_leq(p.algo->cost(&s, w, w).bytes, 1.07 * least, "P=%d %s", P, p.text);
    }
}

Test(select, lossy_codecs_are_gathered_up_to_the_break_even_and_scattered_above)
{
    /* P b < b + 32 bits: 1.6 bits up to 20 peers, 4 bits up to 8 */
    cr_expect_str_eq(chosen(lossy(16, 1u << 24, 1.6)), "gather");
    cr_expect_str_eq(chosen(lossy(32, 1u << 24, 1.6)), "scatter");
    cr_expect_str_eq(chosen(lossy(6, 1u << 24, 4)), "gather");
    cr_expect_str_eq(chosen(lossy(12, 1u << 24, 4)), "scatter");
}

Test(select, sums_are_encoded_again_where_that_is_allowed_and_not_asked_against)
{
    weft_choice c = lossy(12, 1u << 24, 4);
    weft_pick p = {0};

    c.reply_bytes = c.encoded_bytes;
    c.fidelity = WEFT_FIDELITY_REQUANTIZED;
    cr_expect_str_eq(chosen(c), "ring_requant");
    c.once = true;
    cr_expect_str_eq(chosen(c), "scatter");
    cr_expect_eq(weft_algo_select("ring_requant", &c, &p), 0, "who names it speaks for himself");
}

Test(select, owners_of_spans_are_there_where_they_are_asked_for)
{
    for (int P = 1; P <= 32; P++)
        for (uint64_t n = 1; n <= 1u << 26; n *= 16) {
            weft_choice c = dense(P, n);
            c.owned = true;
            cr_expect_str_eq(chosen(c), "scatter");
        }
}

Test(select, null_means_auto)
{
    const weft_choice c = dense(4, 1000);
    weft_pick a, b;

    cr_assert_eq(weft_algo_select(NULL, &c, &a), 0);
    cr_assert_eq(weft_algo_select("auto", &c, &b), 0);
    cr_expect_eq(a.algo, b.algo);
}

Test(select, names_are_taken_at_their_word)
{
    const weft_choice c = dense(4, 1000);
    weft_pick p;

    cr_assert_eq(weft_algo_select("gather", &c, &p), 0);
    cr_expect_str_eq(p.algo->name, "gather");
    cr_expect_str_eq(p.text, "gather");
}

Test(select, unknown_name_lists_what_there_is)
{
    const weft_choice c = dense(4, 1000);
    weft_pick p = {0};

    cr_expect_eq(weft_algo_select("rink", &c, &p), WEFT_EINVAL);
    cr_expect_null(p.algo);
    const char *const words[] = {"rink", "auto", "ring", "doubling", "gather", "scatter"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_expect(strstr(weft_last_error()->message, words[i]), "%s", words[i]);
}

Test(select, algorithm_that_merges_is_refused_for_a_codec_that_cannot)
{
    weft_choice c = lossy(4, 1000, 2);
    weft_pick p = {0};

    cr_expect_eq(weft_algo_select("ring", &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "ring"));
    cr_expect_null(p.algo);
}

Test(select, what_does_not_commute_goes_by_algorithms_in_rank_order)
{
    weft_pick p;

    for (int P = 1; P <= 32; P++)
        for (uint64_t n = 1; n <= 1u << 26; n *= 4) {
            weft_choice c = dense(P, n);
            c.ordered = true;
            cr_assert_eq(weft_algo_select(NULL, &c, &p), 0);
            cr_expect(p.algo->traits & WEFT_ALGO_ORDERED, "%s for P=%d", p.text, P);
        }
}

Test(select, algorithm_in_another_order_is_refused_for_what_does_not_commute)
{
    weft_choice c = dense(4, 1000);
    weft_pick p = {0};

    c.ordered = true;
    cr_expect_eq(weft_algo_select("ring", &c, &p), WEFT_ENOTSUP);
    cr_expect_str_eq(weft_last_error()->message,
                     "allreduce: algorithm ring combines in another order than that of ranks, and "
                     "the operation does not commute");
    c.coll = WEFT_COLL_REDUCE_SCATTER;
    cr_expect_eq(weft_algo_select("ring", &c, &p), WEFT_ENOTSUP);
    cr_expect_null(p.algo);
}

Test(select, every_collective_has_an_algorithm_for_dense_data)
{
    for (int coll = 0; coll < WEFT_COLL_COUNT; coll++) {
        if (coll == WEFT_COLL_NEIGHBOR_AVERAGE)
            continue; /* between neighbours of a graph only */
        const int least = coll == WEFT_COLL_TRANSFER ? 2 : 1; /* which is between two */
        for (int P = least; P <= (least == 2 ? 2 : 17); P++)
            for (int ragged = 0; ragged < 2; ragged++) {
                weft_choice c = dense(P, coll == WEFT_COLL_BARRIER ? 0 : 1000);
                c.coll = (weft_coll)coll;
                c.ragged = ragged;
                c.root = P - 1;
                weft_pick p = {0};
                cr_assert_eq(weft_algo_select(NULL, &c, &p), 0, "%s", weft_last_error()->message);
                cr_expect_eq(p.algo->coll, c.coll);
            }
    }
}

Test(select, every_collective_has_an_algorithm_for_operations_that_do_not_commute)
{
    const weft_algo *a;
    bool has[WEFT_COLL_COUNT] = {false};

    for (int row = 0; (a = weft_algo_at(row)); row++)
        has[a->coll] = has[a->coll] || (a->traits & WEFT_ALGO_ORDERED);
    cr_expect(has[WEFT_COLL_REDUCE]);
    cr_expect(has[WEFT_COLL_REDUCE_SCATTER]);
}

/* Blocks on whose lengths only two ranks know are not given to a third. */
Test(select, bruck_says_why_it_does_not_exchange_blocks_of_different_lengths)
{
    weft_choice c = dense(5, 1000);
    weft_pick p = {0};

    c.coll = WEFT_COLL_ALLTOALL;
    cr_assert_eq(weft_algo_select("bruck", &c, &p), 0);
    c.ragged = true;
    cr_expect_eq(weft_algo_select("bruck", &c, &p), WEFT_ENOTSUP);
    cr_expect(strstr(weft_last_error()->message, "only sender and receiver know"), "%s",
              weft_last_error()->message);
}

Test(select, doubling_of_allgather_says_for_which_numbers_of_peers_it_is)
{
    for (int P = 1; P <= 33; P++) {
        weft_choice c = dense(P, 1000);
        weft_pick p = {0};
        c.coll = WEFT_COLL_ALLGATHER;
        const bool power = (P & (P - 1)) == 0;
        cr_expect_eq(weft_algo_select("doubling", &c, &p), power ? WEFT_OK : WEFT_ENOTSUP);
        cr_expect(power || strstr(weft_last_error()->message, "power of two"));
    }
}

/* Roads of broadcast and reduce by length: few rounds first, then few bytes. */
Test(select, long_vectors_go_to_and_from_a_root_with_few_bytes)
{
    weft_choice brief = dense(16, 100), long_one = dense(16, 1u << 24);

    brief.coll = long_one.coll = WEFT_COLL_BROADCAST;
    cr_expect_str_eq(chosen(brief), "tree");
    cr_expect_str_eq(chosen(long_one), "chain");
    brief.coll = long_one.coll = WEFT_COLL_REDUCE;
    cr_expect_str_eq(chosen(brief), "binomial");
    cr_expect_str_eq(chosen(long_one), "chain");
}

/* A message costs whoever sends or receives it: with more peers the fewer messages win. */
Test(select, few_peers_talk_directly_and_many_in_rounds)
{
    static const struct {
        weft_coll coll;
        const char *many;
    } colls[] = {{WEFT_COLL_REDUCE, "binomial"},    {WEFT_COLL_BROADCAST, "tree"},
                 {WEFT_COLL_ALLGATHER, "doubling"}, {WEFT_COLL_GATHER, "binomial"},
                 {WEFT_COLL_SCATTER, "binomial"},   {WEFT_COLL_REDUCE_SCATTER, "halving"},
                 {WEFT_COLL_ALLTOALL, "bruck"}};

    for (size_t i = 0; i < sizeof colls / sizeof *colls; i++) {
        const weft_choice four = short_one(colls[i].coll, 4, 16),
                          many = short_one(colls[i].coll, 16, 16);
        cr_expect_str_eq(chosen(four), "flat", "%s", weft_coll_name(four.coll));
        cr_expect_str_eq(chosen(many), colls[i].many, "%s", weft_coll_name(many.coll));
    }
}

Test(select, build_refuses_shapes_it_cannot_have)
{
    const weft_algo *a;
    weft_plan p;
    weft_shape s = {.coll = WEFT_COLL_BROADCAST, .size = 4, .count = 10, .root = 4};

    cr_assert_eq(weft_algo_find(WEFT_COLL_BROADCAST, "tree", &a), 0);
    cr_expect_eq(weft_algo_build(a, &s, &p), WEFT_EINVAL);
    s.root = -1;
    cr_expect_eq(weft_algo_build(a, &s, &p), WEFT_EINVAL);
    s = (weft_shape){.coll = WEFT_COLL_ALLREDUCE, .size = 4, .count = 10};
    cr_expect_eq(weft_algo_build(a, &s, &p), WEFT_EINVAL);
    s = (weft_shape){.coll = WEFT_COLL_BROADCAST, .size = 4, .rank = 4, .count = 10};
    cr_expect_eq(weft_algo_build(a, &s, &p), WEFT_EINVAL);
}

static const uint64_t counts[] = {0, 1, 1000, 40000, 1u << 18, 1000003, 1u << 24, 1u << 28};
static const double bits[] = {1.6, 4, 8.25, 32, 64};
static const size_t blocks[] = {1, 8, 16, 512, 4096, 1u << 20};

/* A row with its parameters' defaults. */
static weft_pick row_at(int row, const weft_choice *c)
{
    weft_pick p = {.algo = weft_algo_at(row)};
    weft_choice any = *c;

    any.coll = p.algo->coll;
    any.traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES;
    for (int i = 0; weft_algo_candidate(i, &any, &p); i++)
        if (p.algo == weft_algo_at(row))
            return p;
    cr_assert_fail("no candidate of row %d", row);
    return p;
}

static double parts_of(const weft_pick *p, const weft_choice *c)
{
    const weft_shape s = {.coll = c->coll, .size = c->size, .count = c->count, .spec = &p->spec};
    return p->algo->parts ? p->algo->parts(&s) : 1;
}

static double joins_of(const weft_pick *p, const weft_choice *c)
{
    const weft_shape s = {.coll = c->coll, .size = c->size, .count = c->count, .spec = &p->spec};
    return p->algo->joins ? p->algo->joins(&s) : 1;
}

/* Bytes of the longest message in one lane. */
static double longest(const weft_pick *p, const weft_choice *c, size_t lane)
{
    const weft_algo *a = p->algo;
    const double part = (double)lane / parts_of(p, c);
    const bool alike = (a->needs & WEFT_NEEDS_SIGNS) || (a->traits & WEFT_ALGO_SPLITS);
    const double wide =
        a->traits & WEFT_ALGO_REPLIES && !alike && (double)c->element_bytes > c->encoded_bytes
            ? (double)c->element_bytes
            : c->encoded_bytes;
    return part * wide * joins_of(p, c);
}

static void check_lane(const weft_pick *p, const weft_choice *c, size_t block)
{
    const weft_algo *a = p->algo;
    const size_t lane = weft_lane_length(p, c, block);
    const uint64_t lanes = (c->count + lane - 1) / lane;
    const double parts = parts_of(p, c);
    const double bytes = longest(p, c, lane);

    cr_assert_geq(lane, 1);
    cr_assert_eq(lane % block, 0, "%s P=%d n=%llu: lane %zu of blocks of %zu", a->name, c->size,
                 (unsigned long long)c->count, lane, block);
    cr_assert(lane <= block || bytes <= 262144 + (double)block * c->encoded_bytes * joins_of(p, c),
              "%s P=%d n=%llu block %zu: messages of %g bytes", a->name, c->size,
              (unsigned long long)c->count, block, bytes);
    /* even: the last lane is not a rest, but for the rounding of all the others */
    const double unit = parts * (double)(block > 64 ? block : block * 64);
    if (lanes > 1)
        cr_assert_geq((double)(c->count - (lanes - 1) * lane) + unit * (double)lanes, (double)lane,
                      "%s P=%d n=%llu block %zu lane %zu", a->name, c->size,
                      (unsigned long long)c->count, block, lane);
}

Test(select, lanes_are_whole_blocks_even_and_of_bounded_messages)
{
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++)
        for (int P = 1; P <= 64; P *= 2)
            for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
                for (size_t w = 0; w < sizeof bits / sizeof *bits; w++)
                    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
                        weft_choice c = lossy(P, counts[n], bits[w]);
                        c.coll = a->coll;
                        c.element_bytes = bits[w] > 32 ? 8 : 4;
                        const weft_pick p = row_at(row, &c);
                        check_lane(&p, &c, blocks[b]);
                    }
}

Test(select, mid_size_vectors_are_cut_so_that_they_pipeline)
{
    const weft_choice four_mib = dense(4, 1u << 20), short_one = dense(4, 65536),
                      long_one = dense(4, 1u << 24);

    weft_pick ring;
    cr_assert_eq(weft_algo_select("ring", &four_mib, &ring), 0);
    cr_expect_eq(weft_lane_length(&ring, &four_mib, 1), 262144, "4 lanes, messages of 256 KiB");
    cr_expect_eq(weft_lane_length(&ring, &short_one, 1), 65536,
                 "a segment of 64 KiB is one message");
    cr_expect_eq(weft_lane_length(&ring, &long_one, 1), 262144, "messages of 256 KiB");
}

Test(select, what_a_neighbour_sends_in_a_lane_is_bounded)
{
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++)
        for (int P = 2; P <= 32; P++) {
            weft_choice c = dense(P, 1u << 28);
            c.coll = a->coll;
            const weft_pick p = row_at(row, &c);
            const size_t lane = weft_lane_length(&p, &c, 1);
            const weft_shape s = {.coll = a->coll, .size = P, .count = lane, .block = 1};
            const weft_cost k = a->cost(&s, 4, 4);
            /* more only where so many messages of 64 KiB are more */
            const double least = k.messages * 65536, most = least > 4194304 ? least : 4194304;
            cr_expect_leq(k.bytes, most * 1.001, "%s P=%d", a->name, P);
        }
}

Test(select, one_block_means_one_lane)
{
    const weft_choice c = dense(4, 123457);

    for (int row = 0; weft_algo_at(row); row++) {
        const weft_pick p = row_at(row, &c);
        cr_expect_eq(weft_lane_length(&p, &c, 0), 123457);
    }
}
