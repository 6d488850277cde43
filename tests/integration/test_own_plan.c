/* SPDX-License-Identifier: Apache-2.0 */
/* A plan of the user's own among real peers: it runs; a wrong one is refused before anything is
 * sent; peers with different ones are told; where the file lies does not matter. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/plan.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { PEERS = 4, SPEC = 300, LONG = 200003 };

static const char line4[] = "plan:path=" WEFT_EXAMPLES "/line4.json";

static int sum(const member *me, const char *algo, size_t count, weft_dtype dtype, weft_op op,
               const void *in, void *out, weft_receipt *receipt)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = algo, .receipt = receipt};
    return weft_allreduce(me->group, in, out, count, dtype, op, &o);
}

static void right(member *me, const char *algo, size_t count, weft_dtype dtype, weft_op op,
                  bool in_place)
{
    char *in = malloc((count + 1) * 8), *out = in_place ? in : malloc((count + 1) * 8);
    char *want = malloc((count + 1) * 8);
    weft_receipt receipt = {.size = sizeof(receipt)};
    fixture_fill(dtype, op, count, me->rank, 0, in, count);
    fixture_reduce(dtype, op, count, me->size, 0, want, count);
    MUST_OK(me, sum(me, algo, count, dtype, op, in, out, &receipt));
    MUST(me, memcmp(out, want, count * weft_dtype_bytes(dtype)) == 0, "%zu of %s wrong", count,
         weft_dtype_name(dtype));
    MUST(me, strncmp(receipt.algo, "plan(", 5) == 0, "ran %s", receipt.algo);
    MUST(me, count < LONG || receipt.lanes > 1, "%llu lanes", (unsigned long long)receipt.lanes);
    if (!in_place) {
        free(out);
    }
    free(in);
    free(want);
}

/* The bits of the last rank's sum of floats, for all to compare. */
typedef struct bits {
    float sum[PEERS][LONG];
} bits;

static void example_body(member *me)
{
    static const size_t counts[] = {0, 1, 7, 1000, LONG};
    bits *b = me->user;
    float *in = malloc(LONG * sizeof(float));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        right(me, line4, counts[i], WEFT_F32, WEFT_SUM, false);
        right(me, line4, counts[i], WEFT_I64, WEFT_MAX, true);
        right(me, line4, counts[i], WEFT_F64, WEFT_MEAN, true);
    }
    fixture_floats(5, me->rank, in, LONG);
    MUST_OK(me, sum(me, line4, LONG, WEFT_F32, WEFT_SUM, in, b->sum[me->rank], NULL));
    free(in);
}

Test(own_plan, the_example_sums_right_with_the_same_bits_everywhere)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        bits *b = cluster_shared(sizeof(*b));
        cluster_run((cluster_link)link, PEERS, example_body, b);
        for (int rank = 1; rank < PEERS; rank++) {
            cr_expect_arr_eq(b->sum[rank], b->sum[0], sizeof(b->sum[0]), "rank %d, link %s", rank,
                             cluster_link_name((cluster_link)link));
        }
    }
}

static void environment_body(member *me)
{
    weft_group_opts o;
    setenv("WEFT_ALGO", line4, 1);
    member_options(me, &o);
    MUST_OK(me, weft_group_open(&me->group, &o));
    right(me, NULL, 1000, WEFT_F32, WEFT_SUM, false);
    MUST_OK(me, weft_barrier(me->group, NULL));
}

Test(own_plan, the_environment_may_name_it)
{
    const cluster_plan plan = {
        .link = CLUSTER_TCP, .size = PEERS, .body = environment_body, .unopened = true};
    cluster_join(cluster_start(&plan));
}

/* An exported plan as a file in the meeting folder; with a word of it replaced. */
static void write_file(const member *me, const char *name, const char *algo, const char *word,
                       const char *other, char spec[SPEC])
{
    char path[SPEC - 10], *text = calloc(1, 1 << 16);
    snprintf(path, sizeof(path), "%s/%s-%d", me->folder + strlen("file://"), name, me->rank);
    const weft_query query = {.size = sizeof(query),
                              .collective = "allreduce",
                              .algo = algo,
                              .peers = me->size,
                              .dtype = WEFT_F32};
    MUST_OK(me, weft_plan_export(&query, path));
    FILE *file = fopen(path, "rb");
    MUST(me, file != NULL && fread(text, 1, (1 << 16) - 1, file) > 0, "%s", path);
    fclose(file);
    file = fopen(path, "wb");
    MUST(me, file != NULL, "%s", path);
    char *at = word != NULL ? strstr(text, word) : NULL;
    if (at != NULL) {
        fprintf(file, "%.*s%s%s", (int)(at - text), text, other, at + strlen(word));
    } else {
        fputs(text, file);
    }
    fclose(file);
    free(text);
    snprintf(spec, SPEC, "plan:path=%s", path);
}

static void drop_file(const char *spec)
{
    unlink(strchr(spec, '=') + 1);
}

/* Nobody was dialled, no byte was sent. */
static bool silent(member *me)
{
    weft_group_stats s = {.size = sizeof(s)};
    return weft_group_get_stats(me->group, &s) == WEFT_OK && s.connections == 0 &&
           s.wire_bytes_sent == 0 && s.operations == 0;
}

/* Who is through waits for the others: what it calls next must not reach them before. */
typedef struct through {
    gate all;
    _Atomic int count;
} through;

static void wrong_body(member *me)
{
    through *t = me->user;
    static const struct {
        const char *word, *other, *says;
    } cases[] = {
        {"\"do\": \"fold\"", "\"do\": \"folt\"", "rank 0, step 4: \"do\" is \"folt\""},
        {"\"to\": 1", "\"to\": 2", "rank 0 of 4, step 1 (send)"},
        {"{\"do\": \"fence\"},", "", "rank 0 of 4, step 3 (fold)"},
        {"\"weft_plan\"", "\"weft_plan\":, \"x\"", "line 1"},
    };
    float in[100] = {1}, out[100];
    char spec[SPEC];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(me, "wrong", "ring", cases[i].word, cases[i].other, spec);
        MUST_END(me, WEFT_EINVAL, sum(me, spec, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
        const char *why = weft_last_error()->message;
        MUST(me, strstr(why, cases[i].says) != NULL && strstr(why, "wrong-") != NULL, "%s", why);
        MUST(me, silent(me), "case %zu: something was sent", i);
        drop_file(spec);
    }
    MUST_END(me, WEFT_EIO, sum(me, spec, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
    if (++t->count == PEERS) {
        gate_open(&t->all, PEERS);
    }
    MUST(me, gate_pass(&t->all), "the others are not through");
    /* No operation number was used: the next one meets the others' next. */
    right(me, line4, 100, WEFT_F32, WEFT_SUM, false);
}

Test(own_plan, a_wrong_one_is_refused_on_every_peer_and_nothing_is_sent)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        through *t = cluster_shared(sizeof(*t));
        t->all = gate_new();
        cluster_run((cluster_link)link, PEERS, wrong_body, t);
    }
}

/* Each half runs a plan of its own, again and again with others in between. */
static void halves_body(member *me)
{
    weft_group *half = NULL, *whole = me->group;
    char specs[3][SPEC];
    MUST_OK(me, weft_group_split(whole, me->rank / 2, 0, &half));
    me->group = half;
    const weft_query query = {
        .size = sizeof(query), .collective = "allreduce", .peers = 2, .dtype = WEFT_F32};
    static const char *const algos[] = {"ring", "doubling", "gather"};
    for (int i = 0; i < 3; i++) {
        weft_query q = query;
        char path[SPEC - 10];
        q.algo = algos[i];
        snprintf(path, sizeof(path), "%s/half-%d-%d", me->folder + strlen("file://"), i, me->rank);
        snprintf(specs[i], sizeof(specs[i]), "plan:path=%s", path);
        MUST_OK(me, weft_plan_export(&q, path));
    }
    for (int i = 0; i < 9; i++) {
        float in[100], out[100];
        for (int k = 0; k < 100; k++) {
            in[k] = (float)(me->rank + i);
        }
        MUST_OK(me, sum(me, specs[(i + me->rank / 2) % 3], 100, WEFT_F32, WEFT_SUM, in, out, NULL));
        MUST(me, out[99] == (float)(me->rank / 2 * 4 + 1 + 2 * i), "call %d: %g", i,
             (double)out[99]);
    }
    for (int i = 0; i < 3; i++) {
        drop_file(specs[i]);
    }
    float one = 1, all;
    MUST_END(me, WEFT_ENOTSUP, sum(me, line4, 1, WEFT_F32, WEFT_SUM, &one, &all, NULL));
    me->group = whole;
    weft_group_close(&half);
    right(me, line4, 1000, WEFT_F32, WEFT_SUM, false);
}

Test(own_plan, groups_that_were_split_off_run_theirs)
{
    cluster_run(CLUSTER_TCP, PEERS, halves_body, NULL);
}

static void other_size_body(member *me)
{
    float in[10] = {1}, out[10];
    MUST_END(me, WEFT_ENOTSUP, sum(me, line4, 10, WEFT_F32, WEFT_SUM, in, out, NULL));
    const char *why = weft_last_error()->message;
    MUST(me, strstr(why, "for 4 peers, here are 3") != NULL, "%s", why);
    MUST_OK(me, sum(me, "ring", 10, WEFT_F32, WEFT_SUM, in, out, NULL));
}

Test(own_plan, one_of_another_number_of_peers_is_refused)
{
    cluster_run(CLUSTER_TCP, 3, other_size_body, NULL);
}

static void different_body(member *me)
{
    float in[100] = {1}, out[100];
    char same[SPEC], other[SPEC];
    write_file(me, "other", me->rank == 1 ? "doubling" : "gather", NULL, NULL, other);
    write_file(me, "path", "ring", "as weft builds it", me->rank == 1 ? "of rank 1" : "", same);
    MUST_OK(me, sum(me, same, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
    MUST_END(me, WEFT_EMISMATCH, sum(me, other, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
    const char *why = weft_last_error()->message;
    MUST(me, strstr(why, "algo=plan(") != NULL, "%s", why);
    MUST_END(me, WEFT_EMISMATCH,
             sum(me, me->rank == 1 ? "ring" : same, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
    MUST_OK(me, sum(me, same, 100, WEFT_F32, WEFT_SUM, in, out, NULL));
    drop_file(same);
    drop_file(other);
}

Test(own_plan, different_ones_are_a_mismatch_but_different_paths_are_not)
{
    cluster_run(CLUSTER_TCP, PEERS, different_body, NULL);
    cluster_run(CLUSTER_IPC, 3, different_body, NULL);
}
