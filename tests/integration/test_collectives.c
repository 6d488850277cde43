/* SPDX-License-Identifier: Apache-2.0 */
/* Every collective, over every link, by real peers: against an oracle, and bit for bit. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { CASES = 640, BIG = 100003 };

/* What every peer holds after each case. */
typedef struct ledger {
    uint64_t digest[CLUSTER_MAX][CASES];
    int cases[CLUSTER_MAX];
} ledger;

static const char *const algos[] = {"ring", "doubling", "gather", "scatter", "halving", "auto"};
enum { ALGOS = sizeof(algos) / sizeof(algos[0]) };

typedef struct kind {
    weft_dtype dtype;
    weft_op op;
} kind;
static const kind kinds[] = {
    {WEFT_F32, WEFT_MEAN}, {WEFT_F32, WEFT_MIN},  {WEFT_F64, WEFT_SUM},  {WEFT_F64, WEFT_MEAN},
    {WEFT_F64, WEFT_PROD}, {WEFT_I8, WEFT_SUM},   {WEFT_U8, WEFT_MAX},   {WEFT_I32, WEFT_MIN},
    {WEFT_U32, WEFT_PROD}, {WEFT_I64, WEFT_SUM},  {WEFT_U64, WEFT_MAX},  {WEFT_F16, WEFT_MEAN},
    {WEFT_BF16, WEFT_SUM}, {WEFT_BF16, WEFT_MAX}, {WEFT_I16, WEFT_PROD}, {WEFT_U16, WEFT_MIN},
    {WEFT_U8, WEFT_BAND},  {WEFT_I32, WEFT_BOR},  {WEFT_U64, WEFT_BXOR},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void enter(ledger *l, const member *me, const void *data, size_t bytes)
{
    const int i = l->cases[me->rank]++;
    if (i < CASES) {
        l->digest[me->rank][i] = fixture_digest(data, bytes);
    }
}

static void compare_ranks(const ledger *l, cluster_link link, int size)
{
    cr_assert_lt(l->cases[0], CASES);
    for (int r = 1; r < size; r++) {
        cr_assert_eq(l->cases[r], l->cases[0]);
        for (int i = 0; i < l->cases[0]; i++) {
            cr_assert_eq(l->digest[r][i], l->digest[0][i],
                         "%d peers over %s, case %d: rank %d holds other bits than rank 0", size,
                         cluster_link_name(link), i, r);
        }
    }
}

static void compare_runs(const ledger *a, const ledger *b, const char *what, int size)
{
    cr_assert_eq(a->cases[0], b->cases[0]);
    cr_assert_gt(a->cases[0], 0);
    for (int i = 0; i < a->cases[0]; i++) {
        cr_assert_eq(a->digest[0][i], b->digest[0][i], "%d peers, case %d: other bits %s", size, i,
                     what);
    }
}

static void one_allreduce(member *me, const char *algo, size_t count, kind k, bool in_place)
{
    const size_t bytes = count * weft_dtype_bytes(k.dtype);
    char *in = malloc(bytes + 1), *out = malloc(bytes + 1), *want = malloc(bytes + 1);
    const weft_coll_opts o = {.size = sizeof(o), .algo = algo};
    const uint64_t seed = count * 31 + (uint64_t)k.op;
    fixture_fill(k.dtype, k.op, seed, me->rank, 0, in, count);
    fixture_reduce(k.dtype, k.op, seed, me->size, 0, want, count);
    memset(out, 0x5a, bytes + 1);
    char *to = in_place ? in : out;
    to[bytes] = 0x7c;
    MUST_OK(me, weft_allreduce(me->group, in, to, count, k.dtype, k.op, &o));
    MUST(me, memcmp(to, want, bytes) == 0, "%s, %zu elements of %s, %s%s", algo, count,
         weft_dtype_name(k.dtype), weft_op_name(k.op), in_place ? ", in place" : "");
    MUST(me, to[bytes] == 0x7c, "written behind the end");
    if (!in_place) {
        fixture_fill(k.dtype, k.op, seed, me->rank, 0, want, count);
        MUST(me, memcmp(in, want, bytes) == 0, "the input was written");
    }
    free(in);
    free(out);
    free(want);
}

static void allreduce_body(member *me)
{
    const size_t p = (size_t)me->size;
    const size_t counts[] = {0, 1, p - 1, p, p + 1, 1000, BIG};
    for (int a = 0; a < ALGOS; a++) {
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            one_allreduce(me, algos[a], counts[c], (kind){WEFT_F32, WEFT_SUM}, false);
            one_allreduce(me, algos[a], counts[c], (kind){WEFT_F32, WEFT_SUM}, true);
        }
        for (int k = 0; k < KINDS; k++) {
            one_allreduce(me, algos[a], 1000, kinds[k], false);
        }
        one_allreduce(me, algos[a], BIG, (kind){WEFT_F64, WEFT_MEAN}, true);
    }
}

static void everybody(cluster_body *body, cluster_link link)
{
    const int sizes[] = {1, 2, 3, 4, 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cluster_run(link, sizes[i], body, NULL);
    }
}

Test(collectives, allreduce_over_tcp_equals_the_oracle)
{
    everybody(allreduce_body, CLUSTER_TCP);
}

Test(collectives, allreduce_over_ipc_equals_the_oracle)
{
    everybody(allreduce_body, CLUSTER_IPC);
}

Test(collectives, allreduce_over_mem_equals_the_oracle)
{
    everybody(allreduce_body, CLUSTER_MEM);
}

static void one_allgather(member *me, size_t count, weft_dtype dtype, bool in_place)
{
    const size_t width = weft_dtype_bytes(dtype), p = (size_t)me->size;
    char *in = malloc(count * width + 1), *out = malloc(p * count * width + 1);
    char *want = malloc(p * count * width + 1);
    char *mine = out + (size_t)me->rank * count * width;
    for (size_t r = 0; r < p; r++) {
        fixture_fill(dtype, WEFT_SUM, count, (int)r, 0, want + r * count * width, count);
    }
    fixture_fill(dtype, WEFT_SUM, count, me->rank, 0, in_place ? mine : in, count);
    MUST_OK(me, weft_allgather(me->group, in_place ? mine : in, out, count, dtype, NULL));
    MUST(me, memcmp(out, want, p * count * width) == 0, "%zu elements of %s%s", count,
         weft_dtype_name(dtype), in_place ? ", in place" : "");
    free(in);
    free(out);
    free(want);
}

static void one_reduce_scatter(member *me, size_t count, kind k, bool in_place)
{
    const size_t width = weft_dtype_bytes(k.dtype), p = (size_t)me->size;
    char *in = malloc(p * count * width + 1), *out = malloc(count * width + 1);
    char *want = malloc(p * count * width + 1);
    const size_t first = (size_t)me->rank * count;
    fixture_fill(k.dtype, k.op, 5, me->rank, 0, in, p * count);
    fixture_fill(k.dtype, k.op, 5, me->rank, 0, want, p * count);
    fixture_reduce(k.dtype, k.op, 5, me->size, first, want + first * width, count);
    char *to = in_place ? in + first * width : out;
    MUST_OK(me, weft_reduce_scatter(me->group, in, to, count, k.dtype, k.op, NULL));
    MUST(me, memcmp(to, want + first * width, count * width) == 0, "%zu elements of %s, %s%s",
         count, weft_dtype_name(k.dtype), weft_op_name(k.op), in_place ? ", in place" : "");
    MUST(me, memcmp(in, want, first * width) == 0, "the rest of the input was written");
    free(in);
    free(out);
    free(want);
}

static void one_broadcast(member *me, size_t count, weft_dtype dtype, int root)
{
    const size_t bytes = count * weft_dtype_bytes(dtype);
    char *buffer = malloc(bytes + 1), *want = malloc(bytes + 1);
    fixture_fill(dtype, WEFT_SUM, count, root, 0, want, count);
    fixture_fill(dtype, WEFT_SUM, count, me->rank, 0, buffer, count);
    MUST_OK(me, weft_broadcast(me->group, buffer, count, dtype, root, NULL));
    MUST(me, memcmp(buffer, want, bytes) == 0, "%zu elements of %s from root %d", count,
         weft_dtype_name(dtype), root);
    free(buffer);
    free(want);
}

static void others_body(member *me)
{
    const size_t counts[] = {0, 1, 3, 1000, BIG};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const size_t count = counts[i];
        one_allgather(me, count, WEFT_F32, false);
        one_allgather(me, count, WEFT_U8, true);
        one_reduce_scatter(me, count, (kind){WEFT_F32, WEFT_SUM}, false);
        one_reduce_scatter(me, count, (kind){WEFT_F64, WEFT_MEAN}, true);
        one_reduce_scatter(me, count, (kind){WEFT_I32, WEFT_MAX}, false);
        one_broadcast(me, count, WEFT_I64, 0);
        one_broadcast(me, count, WEFT_I8, me->size - 1);
        one_broadcast(me, count, WEFT_F32, me->size / 2);
        MUST_OK(me, weft_barrier(me->group, NULL));
    }
}

Test(collectives, the_others_over_tcp_equal_the_oracle)
{
    everybody(others_body, CLUSTER_TCP);
}

Test(collectives, the_others_over_ipc_equal_the_oracle)
{
    everybody(others_body, CLUSTER_IPC);
}

Test(collectives, the_others_over_mem_equal_the_oracle)
{
    everybody(others_body, CLUSTER_MEM);
}

/* A barrier ends nowhere before everybody has called it. */
typedef struct barriers {
    gate last;
    _Atomic int called[CLUSTER_MAX];
} barriers;

static void barrier_body(member *me)
{
    barriers *b = me->user;
    for (int round = 1; round <= 50; round++) {
        b->called[me->rank] = round;
        MUST_OK(me, weft_barrier(me->group, NULL));
        for (int r = 0; r < me->size; r++) {
            MUST(me, b->called[r] >= round, "rank %d had not called barrier %d", r, round);
        }
    }
}

Test(collectives, barrier_ends_when_all_have_called_it)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int p = 2; p <= 5; p++) {
            barriers *b = cluster_shared(sizeof(*b));
            cluster_run((cluster_link)link, p, barrier_body, b);
        }
    }
}

/* Random floats, every algorithm and codec: the bits that each peer gets. */
static void bits_body(member *me)
{
    static const char *const codecs[] = {"raw",
                                         "qsgd:levels=7",
                                         "qsgd:levels=1,bucket=64",
                                         "qsgd:levels=127,bucket=256,norm=2",
                                         "qsgd:levels=1,bucket=0,norm=1",
                                         "qsgd:levels=19,bucket=24"};
    const size_t counts[] = {5, 1000, BIG};
    ledger *l = me->user;
    float *in = malloc(BIG * sizeof(float)), *out = malloc(BIG * sizeof(float));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        fixture_floats(counts[i], me->rank, in, counts[i]);
        for (size_t c = 0; c < sizeof(codecs) / sizeof(codecs[0]); c++) {
            for (int a = 0; a < ALGOS; a++) {
                const bool merges = strcmp(algos[a], "ring") == 0 ||
                                    strcmp(algos[a], "doubling") == 0 ||
                                    strcmp(algos[a], "halving") == 0;
                const weft_coll_opts o = {.size = sizeof(o), .algo = algos[a], .codec = codecs[c]};
                if (merges && c > 0) {
                    MUST_END(me, WEFT_ENOTSUP,
                             weft_allreduce(me->group, in, out, counts[i], WEFT_F32, WEFT_SUM, &o));
                    continue;
                }
                MUST_OK(me, weft_allreduce(me->group, in, out, counts[i], WEFT_F32,
                                           a & 1 ? WEFT_SUM : WEFT_MEAN, &o));
                enter(l, me, out, counts[i] * sizeof(float));
            }
        }
    }
    free(in);
    free(out);
}

Test(collectives, same_bits_on_every_peer_link_and_run)
{
    const int sizes[] = {1, 2, 3, 4, 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ledger *first = cluster_shared(sizeof(*first));
        cluster_run(CLUSTER_TCP, sizes[i], bits_body, first);
        compare_ranks(first, CLUSTER_TCP, sizes[i]);
        for (int link = 0; link < CLUSTER_LINKS; link++) {
            ledger *l = cluster_shared(sizeof(*l));
            cluster_run((cluster_link)link, sizes[i], bits_body, l);
            compare_ranks(l, (cluster_link)link, sizes[i]);
            compare_runs(first, l, cluster_link_name((cluster_link)link), sizes[i]);
        }
    }
}

/* Sums in another order differ: the bits above are no accident of easy values. */
Test(collectives, the_order_of_summation_matters_to_the_floats_used)
{
    enum { N = 1000 };
    static float v[3][N];
    int differ = 0;
    for (int r = 0; r < 3; r++) {
        fixture_floats(N, r, v[r], N);
    }
    for (int i = 0; i < N; i++) {
        differ += (v[0][i] + v[1][i]) + v[2][i] != v[0][i] + (v[1][i] + v[2][i]);
    }
    cr_assert_gt(differ, N / 20);
}
