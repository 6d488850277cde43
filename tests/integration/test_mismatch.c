/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that call different operations: everybody is told at once, in words, and goes on. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/fixtures.h"

enum { COUNT = 1000 };

typedef enum what { ALLREDUCE, ALLGATHER, REDUCE_SCATTER, BARRIER } what;

typedef struct call {
    what coll;
    size_t count;
    weft_dtype dtype;
    weft_op op;
    const char *codec, *algo;
    const char *words; /* of its descriptor */
} call;

/* The first is what most peers call, then what one of them calls instead. */
typedef struct pair {
    call most, one;
} pair;

static const pair pairs[] = {
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "ring", "allreduce float32 sum count=1000"},
     {ALLREDUCE, COUNT + 1, WEFT_F32, WEFT_SUM, NULL, "ring", "float32 sum count=1001"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "doubling", "allreduce float32 sum"},
     {ALLREDUCE, COUNT, WEFT_I32, WEFT_SUM, NULL, "doubling", "allreduce int32 sum"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "scatter", "allreduce float32 sum"},
     {ALLREDUCE, COUNT, WEFT_F32, WEFT_MAX, NULL, "scatter", "allreduce float32 max"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, "raw", "gather", "codec=raw"},
     {ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, "qsgd:levels=3", "gather", "codec=qsgd:levels=3,"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, "qsgd:levels=3", "scatter", "levels=3"},
     {ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, "qsgd:levels=4", "scatter", "levels=4"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "ring", "algo=ring"},
     {ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "doubling", "algo=doubling"}},
    {{ALLREDUCE, 300000, WEFT_F32, WEFT_SUM, NULL, "scatter", "algo=scatter"},
     {ALLREDUCE, 300000, WEFT_F32, WEFT_SUM, NULL, "gather", "algo=gather"}},
    {{ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "ring", "allreduce"},
     {ALLGATHER, COUNT, WEFT_F32, WEFT_SUM, NULL, NULL, "allgather float32 count=1000"}},
    {{REDUCE_SCATTER, COUNT, WEFT_F64, WEFT_MEAN, NULL, NULL, "reduce_scatter float64 mean"},
     {BARRIER, 0, WEFT_F32, WEFT_SUM, NULL, NULL, "barrier"}},
    {{ALLREDUCE, 3000000, WEFT_F32, WEFT_SUM, NULL, "ring", "count=3000000"},
     {ALLREDUCE, COUNT, WEFT_F32, WEFT_SUM, NULL, "ring", "count=1000"}},
};
enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

static int make(member *me, const call *c, char *in, char *out, weft_request **ret)
{
    const weft_coll_opts o = {.size = sizeof(o), .codec = c->codec, .algo = c->algo};
    switch (c->coll) {
    case ALLREDUCE:
        return weft_allreduce_start(me->group, in, out, c->count, c->dtype, c->op, &o, ret);
    case ALLGATHER:
        return weft_allgather_start(me->group, in, out, c->count, c->dtype, &o, ret);
    case REDUCE_SCATTER:
        return weft_reduce_scatter_start(me->group, in, out, c->count, c->dtype, c->op, &o, ret);
    default:
        return weft_barrier_start(me->group, &o, ret);
    }
}

static char *buffer_for(const member *me, const call *c)
{
    return calloc((size_t)me->size * (c->count + 1), sizeof(double));
}

static bool says(const char *text, const call *c)
{
    return strstr(text, c->words) != NULL;
}

static void works(member *me, size_t count)
{
    float *in = malloc(count * sizeof(float)), *want = malloc(count * sizeof(float));
    fixture_fill(WEFT_F32, WEFT_SUM, count, me->rank, 0, in, count);
    fixture_reduce(WEFT_F32, WEFT_SUM, count, me->size, 0, want, count);
    MUST_OK(me, weft_allreduce(me->group, in, in, count, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, memcmp(in, want, count * sizeof(float)) == 0, "the next operation is wrong");
    free(in);
    free(want);
}

static void one_pair(member *me, const pair *p, int odd)
{
    const call *mine = me->rank == odd ? &p->one : &p->most;
    char *in = buffer_for(me, mine), *out = buffer_for(me, mine);
    weft_request *r = NULL;
    const int64_t before = weft_now();
    MUST_OK(me, make(me, mine, in, out, &r));
    MUST_END(me, WEFT_EMISMATCH, weft_wait(r, WEFT_FOREVER));
    const int64_t took = (weft_now() - before) / WEFT_MS;
    MUST(me, took < cluster_patience(5000), "pair %d, odd %d: told after %lld ms", (int)(p - pairs),
         odd, (long long)took);
    free(in); /* the error ends the borrow */
    free(out);
    const weft_error *e = weft_request_error(r);
    MUST(me, e->rank >= 0 && e->rank < me->size, "rank %d", e->rank);
    MUST(me, says(e->message, &p->most) && says(e->message, &p->one), "pair %d: %s",
         (int)(p - pairs), e->message);
    char who[32];
    snprintf(who, sizeof(who), "rank %d calls", odd);
    MUST(me, strstr(e->message, who) != NULL, "pair %d, odd %d: %s", (int)(p - pairs), odd,
         e->message);
    weft_request_free(&r);
    works(me, COUNT);
}

static void pairs_body(member *me)
{
    for (int i = 0; i < PAIRS; i++) {
        for (int odd = 0; odd < me->size; odd++) {
            one_pair(me, &pairs[i], odd);
        }
    }
}

Test(mismatch, every_peer_is_told_both_calls_over_tcp)
{
    cluster_run(CLUSTER_TCP, 4, pairs_body, NULL);
    cluster_run(CLUSTER_TCP, 2, pairs_body, NULL);
}

Test(mismatch, every_peer_is_told_both_calls_over_mem)
{
    cluster_run(CLUSTER_MEM, 4, pairs_body, NULL);
    cluster_run(CLUSTER_MEM, 3, pairs_body, NULL);
}

/* A broadcast ends on a peer when its own part is done: who got the data of root 0 and sent them on
 * before the difference came up has the right result. Who has not is told. */
typedef struct toll {
    _Atomic int mismatches[CLUSTER_MAX]; /* by odd rank */
} toll;

static void roots_body(member *me)
{
    toll *t = me->user;
    for (int odd = 1; odd < me->size; odd++) {
        const int root = me->rank == odd ? odd : 0;
        float buffer[COUNT], want[COUNT];
        fixture_fill(WEFT_F32, WEFT_SUM, 1, me->rank, 0, buffer, COUNT);
        fixture_fill(WEFT_F32, WEFT_SUM, 1, root, 0, want, COUNT);
        const int code = weft_broadcast(me->group, buffer, COUNT, WEFT_F32, root, NULL);
        if (code == WEFT_OK) {
            MUST(me, memcmp(buffer, want, sizeof(want)) == 0, "odd %d: not the root's data", odd);
        } else {
            const char *text = weft_last_error()->message;
            char words[32];
            snprintf(words, sizeof(words), "root=%d", odd);
            MUST(me, code == WEFT_EMISMATCH, "odd %d: %s", odd, text);
            MUST(me, strstr(text, "root=0") != NULL && strstr(text, words) != NULL, "%s", text);
            t->mismatches[odd]++;
        }
        works(me, 500);
    }
}

Test(mismatch, another_root_is_told_to_who_is_not_through)
{
    int told = 0;
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        toll *t = cluster_shared(sizeof(*t));
        cluster_run((cluster_link)link, 4, roots_body, t);
        for (int odd = 1; odd < 4; odd++) {
            told += t->mismatches[odd];
        }
    }
    /* All may be through before one difference comes up, but hardly before all nine do. */
    cr_assert_geq(told, 1, "nobody was told of any other root");
}

/* One peer makes a call more: every following call meets another. */
static void shifted_body(member *me)
{
    char *in = calloc(9000, sizeof(double)), *out = calloc(9000, sizeof(double));
    bool told = false;
    for (int i = 0; i < 4; i++) {
        const size_t count = 100 + (size_t)i + (me->rank == me->size - 1);
        const int code = weft_allreduce(me->group, in, out, count, WEFT_F32, WEFT_SUM, NULL);
        MUST(me, code == WEFT_EMISMATCH, "call %d: %s", i, weft_status_name(code));
        const bool third = strstr(weft_last_error()->message, "in a row") != NULL;
        MUST(me, i >= 2 || !third, "call %d: %s", i, weft_last_error()->message);
        told = told || third;
    }
    MUST(me, told, "no word of shifted calls: %s", weft_last_error()->message);
    works(me, 1000);
    MUST(me,
         weft_allreduce(me->group, in, out, 10 + (size_t)(me->rank == 0), WEFT_F32, WEFT_SUM,
                        NULL) == WEFT_EMISMATCH &&
             strstr(weft_last_error()->message, "in a row") == NULL,
         "a success in between starts the count anew: %s", weft_last_error()->message);
    free(in);
    free(out);
}

Test(mismatch, three_in_a_row_say_that_calls_are_shifted)
{
    cluster_run(CLUSTER_TCP, 3, shifted_body, NULL);
    cluster_run(CLUSTER_MEM, 2, shifted_body, NULL);
}

/* Many different calls ahead of the one that differs: its words are still the right ones. */
typedef struct behind {
    gate first;
} behind;

static void ahead_body(member *me)
{
    enum { AHEAD = 40 };
    const behind *b = me->user;
    weft_request *r[AHEAD] = {0};
    char *in = calloc(9000, sizeof(double)), *out = calloc(AHEAD * 1000, sizeof(double));
    if (me->rank == 0) {
        MUST(me, gate_pass(&b->first), "the other did not start");
    }
    for (int i = 0; i < AHEAD; i++) {
        const size_t count = 200 + (size_t)i + (me->rank == 0 && i == 3);
        MUST_OK(me, weft_allreduce_start(me->group, in, out + 8000 * i, count, WEFT_F32, WEFT_SUM,
                                         NULL, &r[i]));
    }
    if (me->rank == 1) {
        MUST_END(me, WEFT_PENDING, weft_wait(r[0], 50)); /* it goes out meanwhile */
        gate_open(&b->first, 1);
    }
    for (int i = 0; i < AHEAD; i++) {
        MUST_END(me, i == 3 ? WEFT_EMISMATCH : WEFT_OK, weft_wait(r[i], WEFT_FOREVER));
    }
    const char *text = weft_request_error(r[3])->message;
    MUST(me, strstr(text, "count=203") != NULL && strstr(text, "count=204") != NULL, "%s", text);
    for (int i = 0; i < AHEAD; i++) {
        weft_request_free(&r[i]);
    }
    free(in);
    free(out);
}

Test(mismatch, the_words_are_right_when_the_peer_is_far_ahead)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        behind b = {gate_new()};
        cluster_run((cluster_link)link, 2, ahead_body, &b);
    }
}
