/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed allreduce: every codec with every algorithm gives the same bits on every peer and on
 * the next run, for 1 to 9 peers and awkward lengths, and means what its fidelity says: exact sums
 * of decoded contributions, majorities, selections that lose no mass.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/gentle.h"
#include "support/mass.h"

enum { MOST = 2000, PEERS_MOST = 9 };

static const size_t counts[] = {0, 1, 5, 64, 1003};
enum { COUNTS = sizeof(counts) / sizeof(counts[0]) };

static const char *const codecs[] = {"raw",
                                     "f16",
                                     "bf16",
                                     "qsgd:levels=7,bucket=64",
                                     "qsgd:levels=1,bucket=16,norm=max",
                                     "qsgd:levels=127,bucket=512,code=elias",
                                     "qsgd:levels=3,bucket=0,norm=2,code=auto",
                                     "tern:bucket=64",
                                     "natural",
                                     "sign:scaled=yes",
                                     "sign:scaled=no",
                                     "onebit",
                                     "minmax8",
                                     "hadamard:block=64",
                                     "topk:density=0.1",
                                     "topk:k=3,values=f16",
                                     "threshold:at=0.5",
                                     "randk:density=0.1",
                                     "powersgd:rank=2"};
static const char *const algos[] = {"auto",
                                    "gather",
                                    "scatter",
                                    "ring",
                                    "bidirectional",
                                    "double_tree",
                                    "tree",
                                    "doubling",
                                    "shared:over=ring",
                                    "shared:over=tree",
                                    "shared:over=butterfly",
                                    "ring_requant",
                                    "vote",
                                    "vote:ties=plus",
                                    "vote:ties=minus",
                                    "vote:ties=zero",
                                    "gtopk_tree",
                                    "gtopk_tree:residual=keep",
                                    "gtopk_butterfly:residual=hash",
                                    "gtopk_butterfly:residual=paper",
                                    "oktopk",
                                    "topk_gather"};
enum { CODECS = sizeof(codecs) / sizeof(codecs[0]), ALGOS = sizeof(algos) / sizeof(algos[0]) };

/* The sum of all peers' own contributions in rank order. */
static int sum_in_order(const member *me, const float *own, size_t count, float *sum)
{
    float *all = malloc((size_t)me->size * count * sizeof(float) + 1);
    const int rc = weft_allgather(me->group, own, all, count, WEFT_F32, NULL);
    for (int r = 0; r < me->size && rc == WEFT_OK; r++) {
        for (size_t i = 0; i < count; i++) {
            const float v = all[(size_t)r * count + i];
            sum[i] = r == 0 ? v : sum[i] + v;
        }
    }
    free(all);
    return rc;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* One pair, one length: twice the same call. */
static void try_pair(member *me, const char *codec, const char *algo, size_t count, long *ran)
{
    float in[MOST], out[MOST], again[MOST], own[MOST], residual[MOST], left[MOST], sum[MOST],
        before[MOST];
    weft_receipt receipt = {.size = sizeof(receipt)};
    const bool requant = begins(algo, "ring_requant"), reply = begins(algo, "scatter");
    weft_coll_opts o = {.size = sizeof(o),
                        .algo = algo,
                        .codec = codec,
                        .own = requant ? NULL : own,
                        .residual = residual,
                        .draw = 3,
                        .receipt = &receipt};
    gentle(11, me->rank, in, count);
    gentle(12, me->rank, residual, count);
    memcpy(left, residual, sizeof(left));
    memcpy(before, residual, sizeof(before));
    memset(own, 0x7e, sizeof(own)); /* what is not written shows */
    int rc = weft_allreduce(me->group, in, out, count, WEFT_F32, WEFT_SUM, &o);
    if (rc == WEFT_ENOTSUP) {
        return;
    }
    MUST(me, rc == WEFT_OK, "%s by %s, P=%d n=%zu: %s", codec, algo, me->size, count,
         weft_last_error()->message);
    ++*ran;
    MUST(me, alike(me, out, count * sizeof(float)), "%s by %s, P=%d n=%zu: peers differ", codec,
         algo, me->size, count);
    const bool settles = begins(algo, "gtopk") || begins(algo, "oktopk");
    for (size_t i = 0; i < count && !requant && !settles; i++) {
        const float acc = in[i] + before[i], rest = acc - own[i];
        MUST(me, residual[i] == rest, "%s by %s, P=%d n=%zu: residual %zu is %g, not %g", codec,
             algo, me->size, count, i, (double)residual[i], (double)rest);
    }
    memset(own, 0x11, sizeof(own));
    o.residual = left;
    MUST_OK(me, weft_allreduce(me->group, in, again, count, WEFT_F32, WEFT_SUM, &o));
    MUST(me, memcmp(out, again, count * sizeof(float)) == 0, "%s by %s, P=%d n=%zu: rerun differs",
         codec, algo, me->size, count);
    MUST(me, memcmp(residual, left, count * sizeof(float)) == 0,
         "%s by %s, P=%d n=%zu: residual of the rerun differs", codec, algo, me->size, count);
    if (strcmp(algo, "gather") == 0 || strcmp(algo, "topk_gather") == 0 || reply) {
        MUST(me, strcmp(receipt.fidelity, "exact") == 0, "%s", receipt.fidelity);
        MUST_OK(me, sum_in_order(me, own, count, sum));
        for (size_t i = 0; i < count; i++) {
            MUST(me, out[i] == sum[i], "%s by %s, P=%d n=%zu: element %zu is %g, not %g", codec,
                 algo, me->size, count, i, (double)out[i], (double)sum[i]);
        }
    }
}

static void pairs_body(member *me)
{
    long ran = 0;
    for (size_t c = 0; c < CODECS; c++) {
        for (size_t a = 0; a < ALGOS; a++) {
            for (size_t n = 0; n < COUNTS; n++) {
                try_pair(me, codecs[c], algos[a], counts[n], &ran);
            }
        }
    }
    MUST(me, ran > 60 * COUNTS, "only %ld ran", ran);
}

Test(compressed, every_codec_by_every_algorithm_gives_all_the_same_bits, .timeout = 100)
{
    for (int size = 1; size <= PEERS_MOST; size++) {
        cluster_run(CLUSTER_MEM, size, pairs_body, NULL);
    }
}

static void overflow_body(member *me)
{
    const weft_coll_opts opts = {.size = sizeof(opts), .algo = "gtopk_tree", .codec = "topk:k=1"};
    const float v = 3e38f;
    float out = 0.0f;
    const int code = weft_allreduce(me->group, &v, &out, 1, WEFT_F32, WEFT_SUM, &opts);
    MUST(me, code == WEFT_ENONFINITE && strstr(weft_last_error()->message, "overflows") != NULL,
         "%d: %s", code, weft_last_error()->message);
}

Test(compressed, a_merge_that_overflows_says_so_on_all)
{
    cluster_run(CLUSTER_MEM, 3, overflow_body, NULL);
}

/* ---- shared scales --------------------------------------------------------------------------- */

static void shared_body(member *me)
{
    static const char *const ways[] = {"shared:over=ring", "shared:over=tree",
                                       "shared:over=butterfly"};
    static const char *const shareable[] = {"qsgd:levels=1,bucket=16", "qsgd:levels=7,bucket=64",
                                            "qsgd:levels=127,bucket=0", "tern"};
    float in[MOST], out[3][MOST], own[MOST];
    for (size_t c = 0; c < sizeof(shareable) / sizeof(shareable[0]); c++) {
        for (size_t n = 0; n < COUNTS; n++) {
            const size_t count = counts[n];
            gentle(21, me->rank, in, count);
            for (int w = 0; w < 3; w++) {
                const weft_coll_opts o = {.size = sizeof(o),
                                          .algo = ways[w],
                                          .codec = shareable[c],
                                          .own = own,
                                          .draw = 9};
                MUST_OK(me, weft_allreduce(me->group, in, out[w], count, WEFT_F32, WEFT_SUM, &o));
            }
            MUST(me, memcmp(out[0], out[1], count * sizeof(float)) == 0, "ring and tree: %s n=%zu",
                 shareable[c], count);
            MUST(me, memcmp(out[0], out[2], count * sizeof(float)) == 0,
                 "ring and butterfly: %s n=%zu", shareable[c], count);
            double sums[MOST];
            for (size_t i = 0; i < count; i++) {
                sums[i] = (double)own[i];
            }
            MUST_OK(me, weft_allreduce(me->group, sums, sums, count, WEFT_F64, WEFT_SUM, NULL));
            for (size_t i = 0; i < count; i++) { /* q N/s, rounded once each */
                MUST(me, fabs(sums[i] - (double)out[0][i]) <= 1e-6 * (1 + fabs(sums[i])),
                     "%s n=%zu element %zu: %g, contributions are %g", shareable[c], count, i,
                     (double)out[0][i], sums[i]);
            }
        }
    }
}

Test(compressed, integers_of_a_shared_scale_add_alike_on_every_way, .timeout = 60)
{
    for (int size = 1; size <= PEERS_MOST; size++) {
        cluster_run(CLUSTER_MEM, size, shared_body, NULL);
    }
}

/* Calls of two parts between calls of one, long and short, of peers that run ahead of each other by
 * as much as they may: rank 0 starts all of them, rank 1 one at a time, the others some. */
static void flight_body(member *me)
{
    enum { CALLS = 48, LONG = 1500000 };
    static const size_t lengths[] = {50, LONG, 3000, 200000, 1};
    const weft_coll_opts pair = {
        .size = sizeof(pair), .algo = "shared", .codec = "qsgd:levels=1,bucket=0,norm=max"};
    const int ahead = me->rank == 0 ? CALLS : me->rank == 1 ? 1 : 7;
    weft_request *all[CALLS] = {NULL};
    float *vectors[CALLS] = {NULL};
    for (int call = 0; call < CALLS + ahead; call++) {
        const int old = call - ahead;
        if (old >= 0) {
            const size_t last = lengths[(size_t)old % 5] - 1;
            const float want = (float)((old + 1) * me->size); /* levels are met exactly */
            MUST_OK(me, weft_wait(all[old], WEFT_FOREVER));
            MUST(me, vectors[old][0] == want && vectors[old][last] == want, "call %d: %g, %g", old,
                 (double)vectors[old][0], (double)vectors[old][last]);
            weft_request_free(&all[old]);
            free(vectors[old]);
        }
        if (call < CALLS) {
            const size_t count = lengths[(size_t)call % 5];
            float *v = vectors[call] = malloc(count * sizeof(float));
            MUST(me, v != NULL, "out of memory");
            for (size_t i = 0; i < count; i++) {
                v[i] = (float)(call + 1);
            }
            MUST_OK(me, weft_allreduce_start(me->group, v, v, count, WEFT_F32, WEFT_SUM,
                                             call % 3 == 1 ? NULL : &pair, &all[call]));
        }
    }
}

Test(compressed, calls_of_two_parts_and_of_one_are_in_flight_together)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int size = 2; size <= 4; size++) {
            cluster_run((cluster_link)link, size, flight_body, NULL);
        }
    }
}

/* ---- votes ----------------------------------------------------------------------------------- */

/* Element i of peer r votes as bit r of i says: all patterns of votes. */
static void vote_body(member *me)
{
    static const char *const ties[] = {"vote:ties=plus", "vote:ties=minus", "vote:ties=zero",
                                       "vote:ties=random"};
    const size_t count = (size_t)1 << me->size;
    float in[1 << PEERS_MOST], out[1 << PEERS_MOST];
    for (size_t i = 0; i < count; i++) {
        in[i] = i >> me->rank & 1 ? 0.25f : -3.0f;
    }
    for (size_t t = 0; t < 4; t++) {
        const weft_coll_opts o = {.size = sizeof(o), .algo = ties[t], .draw = 5};
        size_t up = 0, tied = 0;
        MUST_OK(me, weft_allreduce(me->group, in, out, count, WEFT_F32, WEFT_SUM, &o));
        for (size_t i = 0; i < count; i++) {
            const int votes = __builtin_popcountll((unsigned long long)i);
            const float rule = t == 0 ? 1.0f : t == 1 ? -1.0f : 0.0f;
            const float want = 2 * votes > me->size ? 1.0f : 2 * votes < me->size ? -1.0f : rule;
            const bool tie = 2 * votes == me->size;
            MUST(me, (tie && t == 3) ? fabsf(out[i]) == 1.0f : out[i] == want,
                 "%s P=%d: %d votes of %d give %g", ties[t], me->size, votes, me->size,
                 (double)out[i]);
            tied += tie;
            up += tie && out[i] > 0;
        }
        MUST(me, t != 3 || tied < 20 || (up > tied / 8 && up < tied - tied / 8),
             "%zu of %zu ties are +1", up, tied);
    }
}

Test(compressed, the_majority_wins_whatever_the_pattern)
{
    for (int size = 1; size <= PEERS_MOST; size++) {
        cluster_run(CLUSTER_MEM, size, vote_body, NULL);
    }
}

/* ---- selections ------------------------------------------------------------------------------ */

enum { SPARSE = 200 };

typedef struct masses {
    const char *algo;
    size_t k;
} masses;

/* Whole numbers: nothing is rounded, so that mass is kept to the last bit. */
static void mass_body(member *me)
{
    const masses *m = me->user;
    char codec[32];
    float in[SPARSE], out[SPARSE], residual[SPARSE];
    double before[SPARSE];
    snprintf(codec, sizeof(codec), "topk:k=%zu", m->k);
    for (size_t i = 0; i < SPARSE; i++) {
        residual[i] = 0;
    }
    for (uint64_t step = 1; step <= 12; step++) {
        const weft_coll_opts o = {
            .size = sizeof(o), .algo = m->algo, .codec = codec, .residual = residual, .draw = step};
        for (size_t i = 0; i < SPARSE; i++) {
            const size_t mix = (i * 7919 + (size_t)me->rank * 104729 + step * 31) % 101;
            in[i] = step % 4 == 0 ? 5.0f : (float)mix - 50.0f; /* equal values too */
        }
        size_t lost = 0;
        MUST_OK(me, mass_of(me, in, residual, SPARSE, before));
        MUST_OK(me, weft_allreduce(me->group, in, out, SPARSE, WEFT_F32, WEFT_SUM, &o));
        MUST_OK(me, mass_lost(me, before, residual, out, SPARSE, 0, &lost));
        MUST(me, lost == SPARSE, "%s k=%zu P=%d step %d: mass of element %zu is lost", m->algo,
             m->k, me->size, (int)step, lost);
        const size_t nonzero = nonzero_of(out, SPARSE);
        /* Every owner keeps its share, rounded up. */
        const size_t share = m->k / (size_t)me->size + (m->k % (size_t)me->size != 0);
        const size_t most = strcmp(m->algo, "oktopk") == 0 ? share * (size_t)me->size : m->k;
        MUST(me, nonzero <= most, "%zu of %zu", nonzero, m->k);
    }
}

Test(compressed, no_mass_is_lost_by_patch_keep_and_hash)
{
    static const char *const rules[] = {
        "gtopk_tree:residual=patch", "gtopk_tree:residual=keep", "gtopk_butterfly:residual=patch",
        "gtopk_butterfly:residual=keep", "gtopk_butterfly:residual=hash"};
    static const size_t ks[] = {1, 3, 40, SPARSE};
    for (size_t a = 0; a < sizeof(rules) / sizeof(rules[0]); a++) {
        for (size_t k = 0; k < sizeof(ks) / sizeof(ks[0]); k++) {
            masses m = {rules[a], ks[k]};
            for (int size = 1; size <= PEERS_MOST; size++) {
                cluster_run(CLUSTER_MEM, size, mass_body, &m);
            }
        }
    }
}

/* ---- encoded again --------------------------------------------------------------------------- */

/* What each hop's rounding lost is in the residuals; and what the owner's replies lost in its. */
static void hops_body(member *me)
{
    const weft_coll_opts *way = me->user;
    enum { COUNT = 700 };
    float in[COUNT], out[COUNT], residual[COUNT];
    double before[COUNT];
    size_t lost = 0;
    gentle(31, me->rank, in, COUNT);
    gentle(32, me->rank, residual, COUNT);
    weft_coll_opts o = *way;
    o.size = sizeof(o);
    o.residual = residual;
    o.draw = 1;
    MUST_OK(me, mass_of(me, in, residual, COUNT, before));
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    const double room = 1e-6 * (double)me->size; /* of sums of values up to 1 */
    MUST_OK(me, mass_lost(me, before, residual, out, COUNT, room, &lost));
    MUST(me, lost == COUNT, "P=%d: mass of element %zu is lost", me->size, lost);
    MUST_OK(me, mass_of(me, residual, NULL, COUNT, before));
    double left = 0;
    for (size_t i = 0; i < COUNT; i++) {
        left += fabs(before[i]);
    }
    MUST(me, left > 0, "nothing was rounded");
    const weft_coll_opts bare = {
        .size = sizeof(bare), .algo = "ring_requant", .codec = "minmax8:bucket=64"};
    MUST_END(me, WEFT_ENOTSUP,
             weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &bare));
    MUST(me, strstr(weft_last_error()->message, "residual") != NULL, "%s",
         weft_last_error()->message);
}

Test(compressed, what_is_encoded_again_is_kept_where_it_is_rounded_away)
{
    static weft_coll_opts ways[] = {
        {.algo = "ring_requant", .codec = "minmax8:bucket=64"},
        {.algo = "scatter", .codec = "minmax8:bucket=64", .reply_codec = "minmax8:bucket=32"},
        {.algo = "scatter", .codec = "raw", .reply_codec = "onebit:bucket=32"}};
    for (int size = 1; size <= PEERS_MOST; size++) {
        for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
            cluster_run(CLUSTER_MEM, size, hops_body, &ways[w]);
        }
    }
}

/* Replies with a memory: alike on all, and what is owned is the exact mean. */
static void memory_body(member *me)
{
    enum { COUNT = 1500 };
    float in[COUNT], out[COUNT], own[COUNT], owned[COUNT], mean[COUNT], memory[COUNT], old[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        memory[i] = 0;
    }
    for (uint64_t step = 1; step <= 5; step++) {
        weft_receipt receipt = {.size = sizeof(receipt)};
        const weft_coll_opts o = {.size = sizeof(o),
                                  .algo = "scatter",
                                  .codec = "qsgd:levels=7,bucket=64",
                                  .reply_codec = "qsgd:levels=7,bucket=32",
                                  .reply_memory = memory,
                                  .reply_alpha = 0.5f,
                                  .own = own,
                                  .owned = owned,
                                  .draw = step,
                                  .receipt = &receipt};
        gentle(40 + step, me->rank, in, COUNT);
        memcpy(old, memory, sizeof(old));
        for (size_t i = 0; i < COUNT; i++) {
            owned[i] = NAN;
        }
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_MEAN, &o));
        MUST(me, strcmp(receipt.fidelity, "requantized") == 0, "%s", receipt.fidelity);
        MUST(me, alike(me, out, sizeof(out)) && alike(me, memory, sizeof(memory)), "peers differ");
        MUST_OK(me, sum_in_order(me, own, COUNT, mean));
        size_t mine = 0;
        for (size_t i = 0; i < COUNT; i++) {
            const float exact = mean[i] / (float)me->size;
            mine += !isnan(owned[i]);
            MUST(me, isnan(owned[i]) || owned[i] == exact, "element %zu: owned %g, mean %g", i,
                 (double)owned[i], (double)exact);
            const double e = (double)out[i] - (double)old[i];
            MUST(me,
                 fabs((double)memory[i] - (double)old[i] - 0.5 * e) <=
                     1e-6 * (fabs(e) + fabs((double)old[i])),
                 "element %zu: memory %g after %g and %g", i, (double)memory[i], (double)old[i], e);
        }
        uint64_t all = mine;
        MUST_OK(me, weft_allreduce(me->group, &all, &all, 1, WEFT_U64, WEFT_SUM, NULL));
        MUST(me, all == COUNT, "%d elements are owned", (int)all);
    }
}

Test(compressed, replies_with_a_memory_leave_all_peers_alike)
{
    for (int size = 1; size <= PEERS_MOST; size++) {
        cluster_run(CLUSTER_MEM, size, memory_body, NULL);
    }
}

/* ---- warm start ------------------------------------------------------------------------------ */

/* The error of the same vector, again and again, falls to that of the best few factors. */
static void warm_body(member *me)
{
    enum { COUNT = 900, ROUNDS = 12 };
    float in[COUNT], out[COUNT], warm[COUNT] = {0};
    double first = 0, last = 0;
    weft_codec *codec = NULL;
    MUST_OK(me, weft_codec_open(&codec, "powersgd:rank=2"));
    MUST(me, weft_codec_state_count(codec, COUNT) <= COUNT, "the state is too long");
    weft_codec_close(&codec);
    gentle(61, me->rank, in, COUNT);
    for (int round = 0; round < ROUNDS; round++) {
        weft_receipt receipt = {.size = sizeof(receipt)};
        const weft_coll_opts o = {.size = sizeof(o),
                                  .algo = "gather",
                                  .codec = "powersgd:rank=2",
                                  .warm = warm,
                                  .draw = 1,
                                  .measure_error = 1,
                                  .receipt = &receipt};
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        MUST(me, alike(me, out, sizeof(out)), "peers differ");
        MUST(me, receipt.error_norm > 0 && receipt.error_norm < receipt.input_norm, "%g of %g",
             receipt.error_norm, receipt.input_norm);
        MUST(me, receipt.total_ns >= receipt.encode_ns + receipt.decode_ns, "times do not add up");
        first = round == 0 ? receipt.error_norm : first;
        last = receipt.error_norm;
    }
    MUST(me, last < 0.995 * first, "the error was %g and is %g", first, last);
}

Test(compressed, a_warm_start_gets_better_with_every_call)
{
    cluster_run(CLUSTER_MEM, 3, warm_body, NULL);
}
