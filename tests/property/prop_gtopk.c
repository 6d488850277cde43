/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gTop-k without an engine: peers whose encodings are merged along a binomial tree and a butterfly,
 * with values that are multiples of 1/4, so that sums are exact.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/sparse.h"

enum { PEERS = 9, DIM = 60, ROOM = 1024, ROUNDS = 8 };
enum support { ANYWHERE, DISJOINT, ALIKE, TIES, NONE, ONE_EMPTY, SUPPORTS };

typedef struct peer {
    float acc[DIM], residual[DIM];
    uint8_t bytes[ROOM]; /* the encoding it holds */
    size_t len;
    weft_pairs own, won;
    weft_dropped drops[ROUNDS]; /* of its merges */
    size_t merges;
} peer;

typedef struct group {
    weft_codec *codec;
    peer peers[PEERS];
    int size;
} group;

static const weft_stretch whole = {.lane_count = DIM, .count = DIM};

static float value_at(weft_rng *rng, enum support support, int rank, int size, size_t i)
{
    const float any = ((float)weft_rng_below(rng, 65) - 32) / 4;
    switch (support) {
    case DISJOINT:
        return (int)(i % (size_t)size) == rank ? any : 0;
    case ALIKE:
        return (i * i + 1) % 5 == 0 ? (float)(1 + i % 7) / 4 : 0;
    case TIES:
        return any < 0 ? -1.0f : 1.0f;
    case NONE:
        return 0;
    case ONE_EMPTY:
        return rank == size / 2 ? 0 : any;
    default:
        return weft_rng_below(rng, 3) ? any : 0;
    }
}

static group *open_group(int size, size_t k, enum support support, const char *form)
{
    char spec[WEFT_SPEC_TEXT];
    group *g = calloc(1, sizeof(*g));
    weft_rng rng = {.state = (uint64_t)size * 1000 + k * 10 + (uint64_t)support};
    const weft_draw draw = {.seed = 1};
    snprintf(spec, sizeof(spec), "topk:k=%zu,index=%s", k, form);
    cr_assert_eq(weft_codec_open(&g->codec, spec), WEFT_OK);
    cr_assert_leq(weft_codec_bound(g->codec, DIM), (size_t)ROOM);
    g->size = size;
    for (int r = 0; r < size; r++) {
        peer *p = &g->peers[r];
        for (size_t i = 0; i < DIM; i++)
            p->acc[i] = value_at(&rng, support, r, size, i);
        cr_assert_eq(weft_codec_encode(g->codec, &draw, p->acc, DIM, p->bytes, ROOM, &p->len),
                     WEFT_OK);
        cr_assert_eq(g->codec->type->pairs(g->codec, &whole, p->bytes, p->len, &p->own), WEFT_OK);
    }
    return g;
}

static void close_group(group *g)
{
    for (int r = 0; r < g->size; r++) {
        weft_pairs_free(&g->peers[r].own);
        weft_pairs_free(&g->peers[r].won);
        for (size_t i = 0; i < g->peers[r].merges; i++)
            weft_pairs_free(&g->peers[r].drops[i].pairs);
    }
    weft_codec_close(&g->codec);
    free(g);
}

/* p holds low + high from now on, low being of the lower ranks; `members` make the same merge. */
static void merge(const group *g, peer *p, const peer *low, const peer *high, uint32_t members,
                  uint32_t place)
{
    uint8_t out[ROOM];
    size_t len = 0;
    weft_dropped *d = &p->drops[p->merges];
    *d = (weft_dropped){.members = members, .place = place};
    cr_assert_eq(g->codec->type->combine(g->codec, &whole, low->bytes, low->len, high->bytes,
                                         high->len, out, &len, &d->pairs),
                 WEFT_OK);
    if (p->merges > 0)
        p->drops[p->merges - 1].next = d;
    p->merges++;
    memcpy(p->bytes, out, len);
    p->len = len;
}

static void hand_out(group *g)
{
    for (int r = 0; r < g->size; r++) {
        peer *p = &g->peers[r];
        memcpy(p->bytes, g->peers[0].bytes, ROOM);
        p->len = g->peers[0].len;
        cr_assert_eq(g->codec->type->pairs(g->codec, &whole, p->bytes, p->len, &p->won), WEFT_OK);
    }
}

static void run_tree(group *g)
{
    for (int step = 1; step < g->size; step *= 2)
        for (int r = 0; r + step < g->size; r += 2 * step)
            merge(g, &g->peers[r], &g->peers[r], &g->peers[r + step], 1, 0);
    hand_out(g);
}

static void run_butterfly(group *g)
{
    int m = 1;
    while (2 * m <= g->size)
        m *= 2;
    for (int r = 0; r + m < g->size; r++)
        merge(g, &g->peers[r], &g->peers[r], &g->peers[r + m], 1, 0);
    for (int step = 1; step < m; step *= 2) {
        peer *before = malloc(sizeof(g->peers));
        memcpy(before, g->peers, sizeof(g->peers));
        for (int r = 0; r < m; r++) {
            const int low = r & ~step, members = 2 * step;
            merge(g, &g->peers[r], &before[low], &before[low + step], (uint32_t)members,
                  (uint32_t)(r % members));
        }
        free(before);
    }
    for (int r = 1; r < m; r++)
        cr_assert(g->peers[r].len == g->peers[0].len &&
                      !memcmp(g->peers[r].bytes, g->peers[0].bytes, g->peers[0].len),
                  "rank %d of %d holds other bits", r, g->size);
    hand_out(g);
}

static void settle(group *g, weft_residual_rule rule)
{
    for (int r = 0; r < g->size; r++) {
        peer *p = &g->peers[r];
        memcpy(p->residual, p->acc, sizeof(p->acc));
        weft_sparse_settle(rule, p->residual, DIM, &p->own, &p->won,
                           p->merges > 0 ? &p->drops[0] : NULL);
    }
}

/* What is missing of element i: the sum over peers, less residuals and result. */
static float missing(const group *g, size_t i)
{
    float sum = 0;
    const weft_pairs *won = &g->peers[0].won;
    for (int r = 0; r < g->size; r++)
        sum += g->peers[r].acc[i] - g->peers[r].residual[i];
    for (size_t j = 0; j < won->count; j++)
        sum -= won->index[j] == i ? won->value[j] : 0;
    return sum;
}

static bool has_won(const group *g, size_t i)
{
    const weft_pairs *won = &g->peers[0].won;
    bool found = false;
    for (size_t j = 0; j < won->count; j++)
        found |= won->index[j] == i;
    return found;
}

static float check_rules(group *g, bool butterfly, size_t k, const char *what)
{
    float leaked = 0;
    cr_assert_leq(g->peers[0].won.count, k, "%s", what);
    for (int rule = WEFT_RESIDUAL_PATCH; rule <= WEFT_RESIDUAL_PAPER; rule++) {
        if (rule == WEFT_RESIDUAL_HASH && !butterfly)
            continue; /* of a tree only the receiver knows what was dropped */
        settle(g, (weft_residual_rule)rule);
        for (size_t i = 0; i < DIM; i++) {
            const float leak = missing(g, i);
            if (rule == WEFT_RESIDUAL_PAPER && has_won(g, i))
                leaked += leak < 0 ? -leak : leak;
            else
                cr_assert_eq(leak, 0, "%s, rule %d: %g of element %zu is lost", what, rule,
                             (double)leak, i);
        }
    }
    return leaked;
}

static const size_t ks[] = {1, 2, 5, 17, 59, 60, 1000};
enum { KS = sizeof(ks) / sizeof(ks[0]) };

Test(gtopk, patch_keep_and_hash_conserve_every_element_exactly)
{
    float leaked = 0;
    for (int size = 1; size <= PEERS; size++)
        for (size_t i = 0; i < KS; i++)
            for (int support = 0; support < SUPPORTS; support++)
                for (int butterfly = 0; butterfly < 2; butterfly++) {
                    char what[100];
                    group *g =
                        open_group(size, ks[i], (enum support)support, i % 2 ? "plain" : "rice");
                    snprintf(what, sizeof(what), "%s of %d, k %zu, support %d",
                             butterfly ? "butterfly" : "tree", size, ks[i], support);
                    if (butterfly)
                        run_butterfly(g);
                    else
                        run_tree(g);
                    const float leak = check_rules(g, butterfly, ks[i], what);
                    cr_assert(size > 2 || leak == 0, "%s: nothing is won again", what);
                    leaked += leak;
                    close_group(g);
                }
    cr_assert_gt(leaked, 0, "the paper's rule leaks somewhere, else nothing was tried");
}

Test(gtopk, butterfly_and_tree_give_the_same_bits_for_powers_of_two)
{
    for (int size = 1; size <= 8; size *= 2)
        for (size_t i = 0; i < KS; i++)
            for (int support = 0; support < SUPPORTS; support++) {
                group *tree = open_group(size, ks[i], (enum support)support, "rice");
                group *fly = open_group(size, ks[i], (enum support)support, "rice");
                run_tree(tree);
                run_butterfly(fly);
                cr_assert_eq(tree->peers[0].len, fly->peers[0].len);
                cr_assert(!memcmp(tree->peers[0].bytes, fly->peers[0].bytes, fly->peers[0].len));
                close_group(tree);
                close_group(fly);
            }
}

static void expect_selection(const group *g, const float *of, size_t k)
{
    weft_pairs want = {0};
    const weft_pairs *won = &g->peers[0].won;
    cr_assert_eq(weft_sparse_select(of, DIM, k, 0, &want), WEFT_OK);
    cr_assert_eq(won->count, want.count);
    for (size_t i = 0; i < want.count; i++)
        cr_assert(won->index[i] == want.index[i] && won->value[i] == want.value[i]);
    weft_pairs_free(&want);
}

Test(gtopk, of_one_peer_is_its_own_selection_and_of_two_that_of_the_sum_of_theirs)
{
    for (size_t i = 0; i < KS; i++)
        for (int support = 0; support < SUPPORTS; support++) {
            group *one = open_group(1, ks[i], (enum support)support, "rice");
            run_butterfly(one);
            expect_selection(one, one->peers[0].acc, ks[i]);
            close_group(one);
            group *two = open_group(2, ks[i], (enum support)support, "rice");
            float sum[DIM] = {0};
            for (int r = 0; r < 2; r++)
                for (size_t j = 0; j < two->peers[r].own.count; j++)
                    sum[two->peers[r].own.index[j]] += two->peers[r].own.value[j];
            run_tree(two);
            expect_selection(two, sum, ks[i]);
            close_group(two);
        }
}

Test(gtopk, with_room_for_all_the_sum_is_exact)
{
    for (int size = 1; size <= PEERS; size++)
        for (int support = 0; support < SUPPORTS; support++) {
            group *g = open_group(size, DIM, (enum support)support, "rice");
            float sum[DIM] = {0};
            for (int r = 0; r < size; r++)
                for (size_t i = 0; i < DIM; i++)
                    sum[i] += g->peers[r].acc[i];
            run_butterfly(g);
            expect_selection(g, sum, DIM);
            close_group(g);
        }
}
