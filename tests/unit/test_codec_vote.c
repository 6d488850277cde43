/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec_vote.h"

enum { PEERS = 9, MOST = 1 << PEERS, ROOM = 2 + 4 * (MOST / 8 + 1), FIRST = 1000 };

static const weft_draw tie_key = {.seed = 11, .member = 5, .tensor = 2, .draw = 77};

static weft_codec *vote_of(int peers, weft_ties ties)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_vote(&c, peers, ties), WEFT_OK, "%s", weft_last_error()->message);
    c->type->key(c, &tie_key);
    return c;
}

/* The bit that settles a tie of an element of the tensor, from the description alone. */
static bool tie_is_minus(uint64_t element)
{
    uint32_t out[4];
    const uint32_t counter[4] = {(uint32_t)(element / 128), (uint32_t)tie_key.draw,
                                 (uint32_t)(tie_key.draw >> 32) + (tie_key.tensor << 16),
                                 UINT32_MAX};
    const uint32_t key[2] = {(uint32_t)tie_key.seed, (uint32_t)(tie_key.seed >> 32)};
    weft_philox(counter, key, out);
    return out[element % 128 / 32] >> element % 32 & 1;
}

static float wanted(int sum, weft_ties ties, uint64_t element)
{
    if (sum != 0)
        return sum > 0 ? 1.0f : -1.0f;
    if (ties == WEFT_TIES_RANDOM)
        return tie_is_minus(element) ? -1.0f : 1.0f;
    return ties == WEFT_TIES_PLUS ? 1.0f : ties == WEFT_TIES_MINUS ? -1.0f : 0.0f;
}

/* Element e of peer p is negative when bit p of e is set; zeros of both signs among the others. */
static float ballot(size_t element, int peer)
{
    if (element >> peer & 1)
        return -0.5f - (float)peer;
    return peer % 3 == 0 ? 1.0f : peer % 3 == 1 ? -0.0f : 0.0f;
}

typedef struct poll {
    uint8_t bytes[PEERS][ROOM];
    const void *in[PEERS];
    size_t len[PEERS];
} poll;

static void cast(const weft_codec *c, int peers, const weft_stretch *s, poll *ret)
{
    static float v[MOST];
    const weft_draw draw = {.seed = 1, .first = FIRST};
    for (int p = 0; p < peers; p++) {
        for (size_t i = 0; i < s->lane_count; i++)
            v[i] = ballot(i, p);
        cr_assert_eq(c->type->encode(c, &draw, v, s, ret->bytes[p], ROOM, &ret->len[p]), WEFT_OK);
        cr_assert_eq(ret->len[p], 2 + (s->count + 7) / 8);
        ret->in[p] = ret->bytes[p];
    }
}

static void check_decoded(const weft_codec *c, const weft_stretch *s, int peers, weft_ties ties,
                          const void *bytes, size_t len)
{
    float out[MOST], more[MOST];
    cr_assert_eq(c->type->decode(c, s, bytes, len, out, false), WEFT_OK, "%s",
                 weft_last_error()->message);
    for (size_t i = 0; i < s->count; i++) {
        int sum = 0;
        for (int p = 0; p < peers; p++)
            sum += (s->off + i) >> p & 1 ? -1 : 1;
        const float want = wanted(sum, ties, FIRST + s->off + i);
        cr_assert(out[i] == want && signbit(out[i]) == signbit(want),
                  "%d peers, ties %d, pattern %zu: %g", peers, (int)ties, s->off + i,
                  (double)out[i]);
        more[i] = 10;
    }
    cr_assert_eq(c->type->decode(c, s, bytes, len, more, true), WEFT_OK);
    for (size_t i = 0; i < s->count; i++)
        cr_assert_eq(more[i], 10 + out[i]);
}

/* Stretches of all patterns of a number of peers: all of them, and odd parts. */
static int stretches(int peers, weft_stretch ret[4])
{
    const size_t all = (size_t)1 << peers;
    int n = 0;
    ret[n++] = (weft_stretch){.lane_count = all, .count = all, .first = FIRST};
    ret[n++] = (weft_stretch){.lane_count = all, .off = all / 2, .count = all / 2, .first = FIRST};
    ret[n++] = (weft_stretch){.lane_count = all, .count = all - 1, .first = FIRST};
    ret[n++] = (weft_stretch){.lane_count = all, .off = 1, .count = 0, .first = FIRST};
    return n;
}

Test(codec_vote, is_the_sign_of_the_sum_for_all_patterns_of_up_to_nine_peers)
{
    static poll all;
    uint8_t out[ROOM];
    for (int peers = 1; peers <= PEERS; peers++)
        for (int ties = WEFT_TIES_RANDOM; ties <= WEFT_TIES_ZERO; ties++) {
            weft_codec *c = vote_of(peers, (weft_ties)ties);
            weft_stretch s[4];
            for (int k = 0, n = stretches(peers, s); k < n; k++) {
                size_t len = 0;
                cast(c, peers, &s[k], &all);
                cr_assert_eq(
                    c->type->combine_many(c, &s[k], all.in, all.len, (size_t)peers, out, &len),
                    WEFT_OK);
                cr_assert_leq(len, c->type->bound(c, &s[k]));
                check_decoded(c, &s[k], peers, (weft_ties)ties, out, len);
            }
            weft_codec_close(&c);
        }
}

Test(codec_vote, counts_are_the_same_in_any_order_and_grouping)
{
    static poll all;
    uint8_t want[ROOM], parts[2][ROOM], left[ROOM];
    weft_codec *c = vote_of(PEERS, WEFT_TIES_RANDOM);
    const weft_stretch s = {.lane_count = MOST, .count = MOST - 3, .first = FIRST};
    size_t len = 0;
    cast(c, PEERS, &s, &all);
    cr_assert_eq(c->type->combine_many(c, &s, all.in, all.len, PEERS, want, &len), WEFT_OK);
    for (int split = 1; split < PEERS; split++) {
        size_t part[2] = {0, 0}, got = 0;
        const int sizes[2] = {split, PEERS - split};
        for (int h = 0, p = 0; h < 2; h++) {
            memcpy(parts[h], all.bytes[p], part[h] = all.len[p]);
            p++;
            for (int i = 1; i < sizes[h]; i++, p++) {
                memcpy(left, parts[h], part[h]);
                cr_assert_eq(c->type->combine(c, &s, left, part[h], all.bytes[p], all.len[p],
                                              parts[h], &part[h], NULL),
                             WEFT_OK);
            }
        }
        const void *const two[2] = {parts[1], parts[0]};
        const size_t lens[2] = {part[1], part[0]};
        cr_assert_eq(c->type->combine_many(c, &s, two, lens, 2, left, &got), WEFT_OK);
        cr_assert_eq(got, len);
        cr_assert_arr_eq(left, want, len, "split %d", split);
    }
    weft_codec_close(&c);
}

Test(codec_vote, who_abstains_is_not_counted)
{
    uint8_t bytes[4][ROOM], out[ROOM], none[2];
    float got[9];
    const float v[9] = {-1, 1, -1, 1, -1, 1, -1, 1, -1};
    const weft_draw draw = {.seed = 1};
    const weft_stretch s = {.lane_count = 9, .count = 9};
    weft_codec *c = vote_of(3, WEFT_TIES_MINUS);
    size_t len = 0, got_len = 0, nothing = 0;
    cr_assert_eq(c->type->encode(c, &draw, v, &s, bytes[0], ROOM, &len), WEFT_OK);
    weft_vote_abstain(none, &nothing);
    cr_assert_eq(nothing, 2);
    cr_assert_eq(c->type->combine(c, &s, none, 2, bytes[0], len, out, &got_len, NULL), WEFT_OK);
    cr_assert_eq(got_len, len);
    cr_assert_arr_eq(out, bytes[0], len);
    cr_assert_eq(c->type->combine(c, &s, none, 2, none, 2, out, &got_len, NULL), WEFT_OK);
    cr_assert_eq(got_len, 2);
    cr_assert_eq(c->type->decode(c, &s, out, 2, got, false), WEFT_OK);
    for (int i = 0; i < 9; i++)
        cr_assert_eq(got[i], -1, "nobody voted: ties");
    weft_codec_close(&c);
}

Test(codec_vote, ties_are_random_alike_whatever_the_span_and_differ_by_draw)
{
    enum { COUNT = 4000 };
    static float one[COUNT], two[COUNT], whole[COUNT], parts[COUNT];
    static uint8_t a[COUNT], b[COUNT], both[COUNT];
    const weft_draw draw = {.first = 64};
    size_t a_len = 0, b_len = 0, len = 0, minus = 0;
    weft_codec *c = vote_of(2, WEFT_TIES_RANDOM);
    for (size_t i = 0; i < COUNT; i++) {
        one[i] = 1;
        two[i] = -1;
    }
    for (size_t off = 0, n = COUNT; off <= COUNT; off += n, n = 808) {
        const bool all = n == COUNT;
        const weft_stretch s = {
            .lane_count = COUNT, .off = all ? 0 : off - COUNT, .count = n, .first = 64};
        if (s.off + n > COUNT)
            break;
        cr_assert_eq(c->type->encode(c, &draw, one, &s, a, COUNT, &a_len), WEFT_OK);
        cr_assert_eq(c->type->encode(c, &draw, two, &s, b, COUNT, &b_len), WEFT_OK);
        cr_assert_eq(c->type->combine(c, &s, a, a_len, b, b_len, both, &len, NULL), WEFT_OK);
        cr_assert_eq(c->type->decode(c, &s, both, len, all ? whole : parts + s.off, false),
                     WEFT_OK);
        if (!all)
            cr_assert_arr_eq(parts + s.off, whole + s.off, n * sizeof(*whole));
    }
    for (size_t i = 0; i < COUNT; i++)
        minus += whole[i] < 0;
    cr_assert(minus > COUNT / 2 - 200 && minus < COUNT / 2 + 200, "%zu of %d", minus, COUNT);
    const weft_stretch s = {.lane_count = COUNT, .count = COUNT, .first = 64};
    weft_draw other = tie_key;
    other.draw++;
    c->type->key(c, &other);
    cr_assert_eq(c->type->encode(c, &draw, one, &s, a, COUNT, &a_len), WEFT_OK);
    cr_assert_eq(c->type->encode(c, &draw, two, &s, b, COUNT, &b_len), WEFT_OK);
    cr_assert_eq(c->type->combine(c, &s, a, a_len, b, b_len, both, &len, NULL), WEFT_OK);
    cr_assert_eq(c->type->decode(c, &s, both, len, parts, false), WEFT_OK);
    cr_assert_neq(memcmp(parts, whole, sizeof(whole)), 0);
    weft_codec_close(&c);
}

static void expect_refused(const weft_codec *c, const weft_stretch *s, const uint8_t *in,
                           size_t len, const char *message)
{
    float out[16];
    uint8_t sum[ROOM];
    size_t got = 99;
    const uint8_t none[2] = {0, 0};
    memset(out, 0x77, sizeof(out));
    memset(sum, 0x77, sizeof(sum));
    cr_expect_eq(c->type->decode(c, s, in, len, out, false), WEFT_ECODEC, "%s", message);
    cr_expect_str_eq(weft_last_error()->message, message);
    cr_expect_eq(c->type->combine(c, s, none, 2, in, len, sum, &got, NULL), WEFT_ECODEC);
    cr_expect_str_eq(weft_last_error()->message, message);
    cr_expect_eq(got, 99);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((uint8_t *)out)[i], 0x77);
    for (size_t i = 0; i < sizeof(sum); i++)
        cr_assert_eq(sum[i], 0x77);
}

Test(codec_vote, malformed_counts_are_refused_and_nothing_is_written)
{
    const weft_stretch s = {.lane_count = 10, .count = 10};
    weft_codec *c = vote_of(5, WEFT_TIES_PLUS);
    const uint8_t many[] = {6, 0, 0, 0, 0, 0, 0, 0}, pad[] = {1, 0, 0, 4};
    const uint8_t high[] = {2, 0, 0x10, 0, 0x10, 0}, five[] = {5, 0, 1, 2, 2, 2, 1, 2};
    expect_refused(c, &s, many, 0, "codec vote: offset 0: no number of voters");
    expect_refused(c, &s, many, 1, "codec vote: offset 1: no number of voters");
    expect_refused(c, &s, many, 8, "codec vote: offset 0: more voters than peers");
    expect_refused(c, &s, pad, 3, "codec vote: offset 3: 10 elements take 4 bytes");
    expect_refused(c, &s, pad, 4, "codec vote: offset 3: non-zero padding");
    expect_refused(c, &s, high, 6, "codec vote: offset 4: a count above the voters");
    expect_refused(c, &s, five, 8, "codec vote: offset 7: a count above the voters");
    uint8_t sum[ROOM];
    size_t len = 0;
    const uint8_t three[] = {3, 0, 0, 0, 0, 0};
    cr_expect_eq(c->type->combine(c, &s, three, 6, three, 6, sum, &len, NULL), WEFT_ECODEC);
    cr_expect_str_eq(weft_last_error()->message,
                     "codec vote: offset 0: more voters than peers in all");
    weft_codec_close(&c);
}

Test(codec_vote, bad_arguments_and_elements_are_refused)
{
    weft_codec *c = NULL;
    uint8_t out[8];
    size_t len = 0;
    const float v[2] = {1, NAN};
    const weft_draw draw = {.first = 30};
    const weft_stretch s = {.lane_count = 2, .count = 2};
    cr_expect_eq(weft_codec_vote(&c, 0, WEFT_TIES_PLUS), WEFT_EINVAL);
    cr_expect_eq(weft_codec_vote(&c, 65536, WEFT_TIES_PLUS), WEFT_EINVAL);
    cr_expect_eq(weft_codec_vote(&c, 2, (weft_ties)4), WEFT_EINVAL);
    cr_assert_null(c);
    weft_mem_fail_at(1);
    cr_expect_eq(weft_codec_vote(&c, 2, WEFT_TIES_PLUS), WEFT_ENOMEM);
    weft_mem_fail_at(0);
    c = vote_of(65535, WEFT_TIES_PLUS);
    cr_expect_str_eq(weft_codec_spec(c), "vote:ties=plus");
    cr_expect_eq(weft_codec_bound(c, 9), 2 + 16 * 2);
    cr_expect_eq(c->type->encode(c, &draw, v, &s, out, sizeof(out), &len), WEFT_ENONFINITE);
    cr_expect_str_eq(weft_last_error()->message, "codec vote: element 31 is NaN");
    const uint8_t none[2] = {0, 0};
    weft_mem_fail_at(1);
    cr_expect_eq(c->type->combine(c, &s, none, 2, none, 2, out, &len, NULL), WEFT_ENOMEM);
    weft_mem_fail_at(0);
    weft_codec_close(&c);
}
