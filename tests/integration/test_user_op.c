/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions of the caller's own, by real peers: in rank order unless they commute. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/affine.h"
#include "support/cluster.h"

enum { LONG = 100003 };

/* What a reduce() works with, and what it finds out about its calls. */
typedef struct watch {
    atomic_int inside;
    atomic_bool twice, odd;
    atomic_int calls;
} watch;

static void enter(watch *w, size_t count, weft_dtype dtype)
{
    w->twice = w->twice || atomic_fetch_add(&w->inside, 1) != 0;
    w->odd = w->odd || count == 0 || dtype != WEFT_U64;
    w->calls++;
}

/* Elements lie anywhere. */
static void compose(void *user, void *dst, const void *a, const void *b, size_t count,
                    weft_dtype dtype)
{
    watch *w = user;
    enter(w, count, dtype);
    for (size_t i = 0; i < count; i++) {
        uint64_t f, g;
        memcpy(&f, (const char *)a + i * sizeof(f), sizeof(f));
        memcpy(&g, (const char *)b + i * sizeof(g), sizeof(g));
        f = affine_then(f, g);
        memcpy((char *)dst + i * sizeof(f), &f, sizeof(f));
    }
    w->inside--;
}

/* The greater by its lower half, then by its upper: commutes, and is none of the library's. */
static void later(void *user, void *dst, const void *a, const void *b, size_t count,
                  weft_dtype dtype)
{
    watch *w = user;
    enter(w, count, dtype);
    for (size_t i = 0; i < count; i++) {
        uint64_t f, g;
        memcpy(&f, (const char *)a + i * sizeof(f), sizeof(f));
        memcpy(&g, (const char *)b + i * sizeof(g), sizeof(g));
        const uint64_t turned_f = f << 32 | f >> 32, turned_g = g << 32 | g >> 32;
        memcpy((char *)dst + i * sizeof(f), turned_f > turned_g ? &f : &g, sizeof(f));
    }
    w->inside--;
}

static weft_user_op composing(watch *w)
{
    return (weft_user_op){.size = sizeof(weft_user_op), .reduce = compose, .user = w};
}

static weft_user_op taking_later(watch *w)
{
    return (weft_user_op){
        .size = sizeof(weft_user_op), .reduce = later, .user = w, .commutative = 1};
}

static uint64_t expected(const member *me, const weft_user_op *u, size_t i)
{
    watch unused = {0};
    uint64_t all = affine_map(0, i);
    for (int r = 1; r < me->size; r++) {
        const uint64_t next = affine_map(r, i);
        u->reduce(&unused, &all, &all, &next, 1, WEFT_U64);
    }
    return all;
}

static void one(member *me, const char *algo, const weft_user_op *u, size_t count, bool in_place)
{
    watch *w = u->user;
    uint64_t *in = malloc((count + 1) * sizeof(*in)), *out = malloc((count + 1) * sizeof(*out));
    const weft_coll_opts o = {.size = sizeof(o), .algo = algo, .user_op = u};
    for (size_t i = 0; i < count; i++) {
        in[i] = affine_map(me->rank, i);
    }
    uint64_t *to = in_place ? in : out;
    MUST_OK(me, weft_allreduce(me->group, in, to, count, WEFT_U64, WEFT_USER, &o));
    for (size_t i = 0; i < count; i++) {
        MUST(me, to[i] == expected(me, u, i), "%s, element %zu of %zu", algo ? algo : "auto", i,
             count);
    }
    MUST(me, !w->twice, "two calls at once for one operation");
    MUST(me, !w->odd, "a call for no elements, or of another type");
    free(in);
    free(out);
}

static void everywhere(member *me)
{
    static const char *const ordered[] = {"gather", "scatter", "doubling", NULL};
    static const char *const any[] = {"ring", "gather", "scatter", "doubling", NULL};
    const size_t counts[] = {0, 1, (size_t)me->size, 1000, LONG};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        for (size_t a = 0; a < sizeof(any) / sizeof(any[0]); a++) {
            watch composes = {0}, takes = {0};
            const weft_user_op chain = composing(&composes), pick = taking_later(&takes);
            if (a < sizeof(ordered) / sizeof(ordered[0])) {
                one(me, ordered[a], &chain, counts[c], a % 2 == 1);
            }
            one(me, any[a], &pick, counts[c], a % 2 == 0);
        }
    }
}

Test(user_op, allreduce_composes_in_rank_order_unless_it_commutes)
{
    static const int sizes[] = {1, 2, 3, 5, 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cluster_run(CLUSTER_MEM, sizes[i], everywhere, NULL);
        cluster_run(CLUSTER_TCP, sizes[i], everywhere, NULL);
    }
}

static void reduce_scatters(member *me)
{
    enum { N = 100 };
    watch w = {0};
    const weft_user_op u = taking_later(&w);
    const weft_coll_opts o = {.size = sizeof(o), .user_op = &u};
    const size_t size = (size_t)me->size, first = (size_t)me->rank * N;
    uint64_t *in = malloc(size * N * sizeof(*in)), out[N];
    for (size_t i = 0; i < size * N; i++) {
        in[i] = affine_map(me->rank, i);
    }
    MUST_OK(me, weft_reduce_scatter(me->group, in, out, N, WEFT_U64, WEFT_USER, &o));
    for (size_t i = 0; i < N; i++) {
        MUST(me, out[i] == expected(me, &u, first + i), "element %zu", i);
    }
    free(in);
}

Test(user_op, reduce_scatter_takes_one_that_commutes)
{
    cluster_run(CLUSTER_MEM, 4, reduce_scatters, NULL);
}

/* Nothing is sent: the peers agree about the operation that follows. */
static void refused(member *me)
{
    watch w = {0};
    uint64_t in = 1, out = 0;
    float f = 1;
    const weft_user_op good = composing(&w);
    weft_user_op bad = good;
    weft_coll_opts o = {.size = sizeof(o)};
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "needs opts->user_op"), "%s",
         weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, NULL));
    o.user_op = &good;
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_SUM, &o));
    MUST_END(me, WEFT_EINVAL, weft_broadcast(me->group, &in, 1, WEFT_U64, 0, &o));
    bad.size = 0;
    o.user_op = &bad;
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "size"), "%s", weft_last_error()->message);
    bad = good;
    bad.reduce = NULL;
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "NULL"), "%s", weft_last_error()->message);
    o.user_op = &good;
    o.algo = "ring";
    MUST_END(me, WEFT_ENOTSUP, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "does not commute"), "%s",
         weft_last_error()->message);
    MUST_END(me, WEFT_ENOTSUP,
             weft_reduce_scatter(me->group, &in, &in, 0, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "does not commute"), "%s",
         weft_last_error()->message);
    o.algo = NULL;
    o.codec = "qsgd:levels=7";
    MUST_END(me, WEFT_ENOTSUP, weft_allreduce(me->group, &f, &f, 1, WEFT_F32, WEFT_USER, &o));
    MUST(me, w.calls == 0, "it was called");
    one(me, NULL, &good, 3, false);
}

Test(user_op, what_cannot_be_served_is_refused_before_anything_is_sent)
{
    cluster_run(CLUSTER_MEM, 3, refused, NULL);
}

/* Peers that differ in whether it commutes learn of it where the algorithm is the same. */
static void disagree(member *me)
{
    watch w = {0};
    weft_user_op u = composing(&w);
    const weft_coll_opts o = {.size = sizeof(o), .algo = "gather", .user_op = &u};
    uint64_t in = 1, out = 0;
    u.commutative = me->rank == 1;
    MUST_END(me, WEFT_EMISMATCH, weft_allreduce(me->group, &in, &out, 1, WEFT_U64, WEFT_USER, &o));
    MUST(me, strstr(weft_last_error()->message, "uint64 user ordered count=1"), "%s",
         weft_last_error()->message);
    u.commutative = 0;
    one(me, "gather", &u, 3, false);
}

Test(user_op, peers_that_differ_in_whether_it_commutes_are_told)
{
    cluster_run(CLUSTER_TCP, 3, disagree, NULL);
}

static void copied(member *me)
{
    enum { N = 1000 };
    watch w = {0};
    static uint64_t vectors[CLUSTER_MAX][2][N];
    uint64_t *in = vectors[me->rank][0], *out = vectors[me->rank][1];
    weft_user_op *u = malloc(sizeof(*u));
    weft_coll_opts o = {.size = sizeof(o), .user_op = u};
    weft_request *request = NULL;
    const weft_user_op keep = composing(&w);
    *u = keep;
    for (size_t i = 0; i < N; i++) {
        in[i] = affine_map(me->rank, i);
    }
    MUST_OK(me, weft_allreduce_start(me->group, in, out, N, WEFT_U64, WEFT_USER, &o, &request));
    memset(u, 0, sizeof(*u));
    free(u);
    MUST_OK(me, weft_wait(request, WEFT_FOREVER));
    weft_request_free(&request);
    for (size_t i = 0; i < N; i++) {
        MUST(me, out[i] == expected(me, &keep, i), "element %zu", i);
    }
}

Test(user_op, the_description_may_be_freed_once_the_operation_is_started)
{
    cluster_run(CLUSTER_MEM, 4, copied, NULL);
}
