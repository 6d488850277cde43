/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of a group's peers, by real peers: who is in them, and that each works, fails and is
 * closed apart from the others. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group/group.h"
#include "support/cluster.h"

enum { COUNT = 3000 };

/* The sum of `value` over a group is `want`. */
static void sums_to(member *me, weft_group *g, float value, float want)
{
    float *v = malloc(COUNT * sizeof(*v));
    for (int i = 0; i < COUNT; i++) {
        v[i] = value;
    }
    MUST_OK(me, weft_allreduce(g, v, v, COUNT, WEFT_F32, WEFT_SUM, NULL));
    for (int i = 0; i < COUNT; i++) {
        MUST(me, v[i] == want, "element %d is %g, not %g", i, (double)v[i], (double)want);
    }
    free(v);
}

/* Rank i of the group is this rank of the opened one. */
static void is_made_of(member *me, weft_group *g, const int *ranks, int size)
{
    int mine[2] = {me->rank, weft_group_rank(g)}, all[2 * CLUSTER_MAX];
    MUST(me, weft_group_size(g) == size, "%d peers, not %d", weft_group_size(g), size);
    MUST(me, ranks[mine[1]] == me->rank, "rank %d is %d of it", me->rank, mine[1]);
    MUST_OK(me, weft_allgather(g, mine, all, 2, WEFT_I32, NULL));
    for (int i = 0; i < size; i++) {
        MUST(me, all[2 * i] == ranks[i] && all[2 * i + 1] == i, "rank %d of it is %d", i,
             all[2 * i]);
        MUST(me, strcmp(weft_group_endpoint(g, i), weft_group_endpoint(me->group, ranks[i])) == 0,
             "rank %d of it is at %s", i, weft_group_endpoint(g, i));
    }
    MUST(me, weft_group_endpoint(g, size) == NULL && weft_group_endpoint(g, -1) == NULL,
         "a rank that is not there is somewhere");
    MUST(me, weft_group_seed(g) == 42, "another seed");
}

static void parity_body(member *me)
{
    const int color = me->rank % 2;
    int ranks[CLUSTER_MAX], size = 0, sum = 0;
    weft_group *half = NULL, *twin = NULL;
    /* Ascending keys the other way round. */
    MUST_OK(me, weft_group_split(me->group, color, -me->rank, &half));
    for (int r = me->size - 1; r >= 0; r--) {
        if (r % 2 == color) {
            ranks[size++] = r;
            sum += r;
        }
    }
    is_made_of(me, half, ranks, size);
    MUST_OK(me, weft_group_duplicate(half, &twin));
    is_made_of(me, twin, ranks, size);
    for (int round = 0; round < 20; round++) {
        sums_to(me, half, (float)me->rank, (float)sum);
        sums_to(me, me->group, 1.0f, (float)me->size);
        sums_to(me, twin, (float)round, (float)(size * round));
    }
    weft_group_close(me->rank % 3 == 0 ? &half : &twin); /* in any order */
    weft_group_close(me->rank % 3 == 0 ? &twin : &half);
    sums_to(me, me->group, 2.0f, (float)(2 * me->size));
}

Test(split, makes_groups_by_color_and_key)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 5, parity_body, NULL);
    }
    cluster_run(CLUSTER_TCP, 2, parity_body, NULL);
    cluster_run(CLUSTER_MEM, 1, parity_body, NULL);
}

static void equal_keys_body(member *me)
{
    weft_group *g = NULL;
    const int all[] = {0, 1, 2, 3};
    MUST_OK(me, weft_group_split(me->group, 7, 3, &g));
    is_made_of(me, g, all, 4);
    weft_group_close(&g);
    const int last_first[] = {3, 0, 1, 2};
    MUST_OK(me, weft_group_split(me->group, 7, me->rank == 3 ? -5 : 5, &g));
    is_made_of(me, g, last_first, 4);
    weft_group_close(&g);
}

Test(split, keeps_the_order_among_equal_keys)
{
    cluster_run(CLUSTER_IPC, 4, equal_keys_body, NULL);
}

static void undefined_body(member *me)
{
    weft_group *g = me->group;
    const int color = me->rank == 1 ? WEFT_UNDEFINED : 0;
    MUST_OK(me, weft_group_split(me->group, color, 0, &g));
    MUST(me, (g == NULL) == (me->rank == 1), "who asked for none got one, or the other way round");
    if (g != NULL) {
        sums_to(me, g, 1.0f, 2.0f);
    }
    sums_to(me, me->group, 1.0f, 3.0f);
    weft_group_close(&g);
    g = me->group;
    MUST_OK(me, weft_group_split(me->group, WEFT_UNDEFINED, 0, &g));
    MUST(me, g == NULL, "a group of nobody");
}

Test(split, leaves_out_who_wants_no_group)
{
    cluster_run(CLUSTER_TCP, 3, undefined_body, NULL);
}

/* The opened group's handle goes first, its children's children last. */
static void orphans_body(member *me)
{
    weft_group *half = NULL, *quarter = NULL;
    MUST_OK(me, weft_group_split(me->group, me->rank / 2, 0, &half));
    MUST_OK(me, weft_group_split(half, 0, 1 - weft_group_rank(half), &quarter));
    weft_group_close(&me->group);
    sums_to(me, half, 1.0f, 2.0f);
    sums_to(me, quarter, 3.0f, 6.0f);
    weft_group_close(&half);
    sums_to(me, quarter, 4.0f, 8.0f);
    MUST(me, weft_group_endpoint(quarter, 0) != NULL, "no endpoint");
    weft_group_stats stats = {.size = sizeof(stats)};
    MUST_OK(me, weft_group_get_stats(quarter, &stats));
    MUST(me, stats.operations >= 5, "%llu operations", (unsigned long long)stats.operations);
    weft_group_close(&quarter);
}

Test(split, groups_are_closed_in_any_order)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 4, orphans_body, NULL);
    }
}

/* Many at work in all groups at once, each peer's in an order of its own between groups. */
static void interleaved_body(member *me)
{
    enum { EACH = 30, GROUPS = 3 };
    weft_group *g[GROUPS] = {me->group};
    float out[GROUPS][EACH];
    weft_request *r[GROUPS][EACH];
    const float one = 1.0f;
    MUST_OK(me, weft_group_duplicate(me->group, &g[1]));
    MUST_OK(me, weft_group_split(me->group, me->rank % 2, 0, &g[2]));
    for (int i = 0; i < EACH * GROUPS; i++) {
        const int which = (i + me->rank) % GROUPS, n = i / GROUPS;
        MUST_OK(me, weft_allreduce_start(g[which], &one, &out[which][n], 1, WEFT_F32, WEFT_SUM,
                                         NULL, &r[which][n]));
    }
    for (int i = EACH - 1; i >= 0; i--) {
        for (int which = 0; which < GROUPS; which++) {
            MUST_OK(me, weft_wait(r[which][i], WEFT_FOREVER));
            MUST(me, out[which][i] == (float)weft_group_size(g[which]), "group %d, operation %d",
                 which, i);
            weft_request_free(&r[which][i]);
        }
    }
    weft_group_close(&g[2]);
    weft_group_close(&g[1]);
}

Test(split, operations_of_several_groups_interleave)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 4, interleaved_body, NULL);
    }
}

/* ---- bad input ------------------------------------------------------------------------------- */

static void wrong_body(member *me)
{
    weft_group *g = NULL;
    const int odd = me->size - 1;
    MUST_END(me, WEFT_EINVAL, weft_group_split(NULL, 0, 0, &g));
    MUST_END(me, WEFT_EINVAL, weft_group_duplicate(NULL, &g));
    MUST_END(me, WEFT_EINVAL, weft_group_split(me->group, me->rank == odd ? -2 : 0, 0, &g));
    MUST(me, weft_last_error()->rank == odd, "it names rank %d", weft_last_error()->rank);
    MUST(me, strstr(weft_last_error()->message, "color of rank 2 is -2") != NULL, "%s",
         weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_group_split(me->group, 0, 0, me->rank == odd ? NULL : &g));
    MUST(me, weft_last_error()->rank == odd, "it names rank %d", weft_last_error()->rank);
    MUST(me, strstr(weft_last_error()->message, "nowhere to put") != NULL, "%s",
         weft_last_error()->message);
    MUST(me, g == NULL, "a group all the same");
    MUST_OK(me, weft_group_split(me->group, 0, -me->rank, &g));
    weft_group *h = NULL; /* there the odd one is rank 0 */
    MUST_END(me, WEFT_EINVAL, weft_group_split(g, me->rank == odd ? -7 : 0, 0, &h));
    MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
    MUST(me, strstr(weft_last_error()->message, "rank 0 (rank 2 of the opened group)") != NULL,
         "%s", weft_last_error()->message);
    weft_group_close(&g);
}

Test(split, a_bad_argument_of_one_peer_is_told_on_every_peer)
{
    cluster_run(CLUSTER_TCP, 3, wrong_body, NULL);
    cluster_run(CLUSTER_MEM, 3, wrong_body, NULL);
}

static void mistaken_body(member *me)
{
    weft_group *g = NULL;
    float one = 1.0f;
    const int code = me->rank == 1
                         ? weft_allreduce(me->group, &one, &one, 1, WEFT_F32, WEFT_SUM, NULL)
                         : weft_group_split(me->group, 0, 0, &g);
    MUST_END(me, WEFT_EMISMATCH, code);
    MUST(me,
         strstr(weft_last_error()->message, "calls split") != NULL &&
             strstr(weft_last_error()->message, "rank 1 calls allreduce") != NULL,
         "%s", weft_last_error()->message);
    const int code2 =
        me->rank == 1 ? weft_group_duplicate(me->group, &g) : weft_group_split(me->group, 0, 0, &g);
    MUST_END(me, WEFT_EMISMATCH, code2);
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    sums_to(me, g, 1.0f, 3.0f);
    weft_group_close(&g);
}

Test(split, another_call_of_one_peer_is_a_mismatch_in_words)
{
    cluster_run(CLUSTER_TCP, 3, mistaken_body, NULL);
}

/* In a group of other ranks an error names both. */
static void mismatch_body(member *me)
{
    weft_group *g = NULL;
    float v[200] = {0};
    MUST_OK(me, weft_group_split(me->group, me->rank == 0, 0, &g));
    if (me->rank > 0) { /* ranks 0, 1, 2 of it are 1, 2, 3 */
        const size_t count = me->rank == 2 ? 150 : 200;
        MUST_END(me, WEFT_EMISMATCH, weft_allreduce(g, v, v, count, WEFT_F32, WEFT_SUM, NULL));
        const char *text = weft_last_error()->message;
        MUST(me, strstr(text, "rank 1 (rank 2 of the opened group) calls allreduce") != NULL, "%s",
             text);
        const weft_coll_opts o = {.size = sizeof(o), .timeout_ms = 300};
        if (me->rank != 3) {
            MUST_END(me, WEFT_ETIMEDOUT, weft_barrier(g, &o));
            text = weft_last_error()->message;
            MUST(me,
                 weft_last_error()->rank == 2 &&
                     strstr(text, "rank 2 (rank 3 of the opened group, tcp://") != NULL,
                 "it names rank %d: %s", weft_last_error()->rank, text);
        }
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    if (me->rank == 3) { /* late, and told of it */
        MUST_END(me, WEFT_ETIMEDOUT, weft_barrier(g, NULL));
    }
    sums_to(me, g, 1.0f, me->rank == 0 ? 1.0f : 3.0f);
    sums_to(me, me->group, 1.0f, 4.0f);
    weft_group_close(&g);
}

Test(split, failures_name_the_rank_in_both_groups_and_stay_in_theirs)
{
    cluster_run(CLUSTER_TCP, 4, mismatch_body, NULL);
}

/* ---- who leaves ------------------------------------------------------------------------------ */

static void deserted_body(member *me)
{
    weft_group *g = NULL;
    weft_request *r = NULL;
    float v = 1.0f, w = 1.0f;
    MUST_OK(me, weft_group_split(me->group, 0, -me->rank, &g)); /* rank 2 is rank 0 of it */
    sums_to(me, g, 1.0f, 3.0f);
    if (me->rank == 2) {
        weft_group_close(&g);
    } else {
        MUST_OK(me, weft_allreduce_start(g, &v, &v, 1, WEFT_F32, WEFT_SUM, NULL, &r));
        const int code = weft_wait(r, WEFT_FOREVER); /* the other may have found it out before */
        MUST(me, code == WEFT_EPEER || code == WEFT_EBROKEN, "%s", weft_status_name(code));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
        MUST(me,
             strstr(weft_last_error()->message, "rank 0 (rank 2 of the opened group, ") != NULL &&
                 strstr(weft_last_error()->message, "left the group") != NULL,
             "%s", weft_last_error()->message);
        weft_request_free(&r);
        MUST_END(me, WEFT_EBROKEN, weft_allreduce(g, &w, &w, 1, WEFT_F32, WEFT_SUM, NULL));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
        weft_group *h = NULL;
        MUST_END(me, WEFT_EBROKEN, weft_group_duplicate(g, &h));
    }
    sums_to(me, me->group, 1.0f, 3.0f); /* which does not mind */
    weft_group *again = NULL;
    MUST_OK(me, weft_group_duplicate(me->group, &again));
    sums_to(me, again, 1.0f, 3.0f);
    weft_group_close(&again);
    weft_group_close(&g);
}

Test(split, who_leaves_a_group_is_named_there_and_the_others_go_on)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, deserted_body, NULL);
    }
}

/* Requests that run when their group is closed: canceled here, the others' groups go on. */
static void canceled_body(member *me)
{
    enum { FLIGHT = 80 };
    weft_group *g = NULL;
    weft_request *r[FLIGHT];
    float in = 1.0f, out[FLIGHT];
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    if (me->rank == 0) {
        for (int i = 0; i < FLIGHT; i++) {
            MUST_OK(me, weft_allreduce_start(g, &in, &out[i], 1, WEFT_F32, WEFT_SUM, NULL, &r[i]));
        }
        weft_group_close(&g);
        for (int i = FLIGHT - 1; i >= 0; i--) {
            MUST_END(me, WEFT_ECANCELED, weft_wait(r[i], WEFT_FOREVER));
            weft_request_free(&r[i]);
        }
    }
    sums_to(me, me->group, 1.0f, (float)me->size);
    weft_group_close(&g);
}

Test(split, closing_cancels_what_runs_in_that_group)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, canceled_body, NULL);
    }
}

typedef struct death {
    gate ready;
} death;

static void bereaved_body(member *me)
{
    const death *d = me->user;
    weft_group *half = NULL, *all = NULL;
    float v = 1.0f;
    MUST_OK(me, weft_group_split(me->group, me->rank / 2, 0, &half)); /* 0 and 1, 2 and 3 */
    MUST_OK(me, weft_group_split(me->group, 0, -me->rank, &all));
    sums_to(me, half, 1.0f, 2.0f);
    sums_to(me, all, 1.0f, 4.0f);
    MUST_OK(me, weft_barrier(me->group, NULL));
    gate_open(&d->ready, 1);
    const int code = weft_barrier(all, NULL); /* rank 3 does not come: it is killed */
    MUST(me, code == WEFT_EPEER || code == WEFT_EBROKEN, "%s", weft_status_name(code));
    MUST(me, weft_last_error()->rank == 0 && strstr(weft_last_error()->message, "rank 3") != NULL,
         "rank %d: %s", weft_last_error()->rank, weft_last_error()->message);
    MUST_END(me, WEFT_EBROKEN, weft_allreduce(half, &v, &v, 1, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, weft_last_error()->rank == (me->rank == 2 ? 1 : -1), "rank %d: %s",
         weft_last_error()->rank, weft_last_error()->message);
    MUST(me, strstr(weft_last_error()->message, "rank 3") != NULL, "%s",
         weft_last_error()->message);
    MUST_END(me, WEFT_EBROKEN, weft_barrier(me->group, NULL));
    MUST(me, weft_last_error()->rank == 3, "rank %d", weft_last_error()->rank);
    weft_group_close(&all);
    weft_group_close(&half);
}

static void bereaved_or_dead(member *me)
{
    if (me->rank < 3) {
        bereaved_body(me);
        return;
    }
    const death *d = me->user;
    weft_group *half = NULL, *all = NULL;
    MUST_OK(me, weft_group_split(me->group, 1, 0, &half));
    MUST_OK(me, weft_group_split(me->group, 0, -me->rank, &all));
    sums_to(me, half, 1.0f, 2.0f);
    sums_to(me, all, 1.0f, 4.0f);
    MUST_OK(me, weft_barrier(me->group, NULL));
    gate_open(&d->ready, 1);
    pause();
}

Test(split, a_dead_peer_ends_every_group_and_is_named_in_each)
{
    death d = {gate_new()};
    cluster *c = cluster_start(
        &(cluster_plan){.link = CLUSTER_TCP, .size = 4, .body = bereaved_or_dead, .user = &d});
    for (int i = 0; i < 4; i++) {
        cr_assert(gate_pass(&d.ready));
    }
    cluster_signal(c, 3, SIGKILL);
    cluster_join(c);
}

/* ---- topologies and orders ------------------------------------------------------------------- */

static void along_a_ring(weft_group_opts *o, const member *me)
{
    (void)me;
    o->topology = "ring";
}

/* Who may not talk in the opened group may not in another. */
static void edges_body(member *me)
{
    weft_group *g = NULL, *twin = NULL;
    MUST_END(me, WEFT_EINVAL, weft_group_split(me->group, me->rank % 2, 0, &g)); /* 0 and 2 */
    MUST(me,
         weft_last_error()->rank == 2 &&
             strstr(weft_last_error()->message, "leads from rank 0 to rank 2 through peers of "
                                                "color 0") != NULL,
         "%s", weft_last_error()->message);
    MUST_OK(me, weft_group_split(me->group, me->rank == 0, -me->rank, &g)); /* 3, 2, 1: a line */
    MUST_OK(me, weft_group_duplicate(me->group, &twin));
    sums_to(me, g, 1.0f, me->rank == 0 ? 1.0f : 3.0f);
    sums_to(me, twin, 1.0f, 4.0f);
    weft_group_stats stats = {.size = sizeof(stats)};
    MUST_OK(me, weft_group_get_stats(g, &stats));
    MUST(me, stats.connections <= 2, "%llu connections", (unsigned long long)stats.connections);
    const weft_coll_opts forced = {.size = sizeof(forced), .algo = "doubling"};
    float v = 1.0f;
    MUST_END(me, WEFT_ENOTSUP, weft_allreduce(twin, &v, &v, 1, WEFT_F32, WEFT_SUM, &forced));
    weft_group_close(&g);
    weft_group_close(&twin);
}

Test(split, groups_keep_to_the_edges_of_the_topology)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_join(cluster_start(&(cluster_plan){
            .link = (cluster_link)link, .size = 4, .body = edges_body, .options = along_a_ring}));
    }
}

static void in_an_order(weft_group_opts *o, const member *me)
{
    (void)me;
    o->order = "0,2,4,1,3";
    o->algo = "ring";
}

static void order_body(member *me)
{
    weft_group *g = NULL;
    const float in[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float out[4];
    MUST_OK(me, weft_group_split(me->group, me->rank == 2, 0, &g)); /* 0, 1, 3, 4 */
    const int size = weft_group_size(g);
    MUST_OK(me, weft_allreduce(g, in, out, 4, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, out[3] == 4.0f * (float)size, "%g", (double)out[3]);
    if (size == 4) { /* its ring is 0, 4, 1, 3 of the opened group: 0, 3, 1, 2 of this one */
        static const int ring[] = {0, 3, 1, 2};
        MUST(me, memcmp(g->orders.ring, ring, sizeof(ring)) == 0, "another order");
        MUST(me, g->host[0] == 0 && g->host[3] == 0, "other hosts");
    }
    weft_group_close(&g);
}

Test(split, rings_keep_the_order_of_those_who_are_left)
{
    cluster_join(cluster_start(&(cluster_plan){
        .link = CLUSTER_TCP, .size = 5, .body = order_body, .options = in_an_order}));
}

/* ---- a forked child -------------------------------------------------------------------------- */

static void forked_body(member *me)
{
    weft_group *g = NULL, *none = NULL;
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    sums_to(me, g, 1.0f, 2.0f);
    if (me->rank == 0) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(10);
            const bool told = weft_group_split(g, 0, 0, &none) == WEFT_EFORKED && none == NULL;
            weft_group_close(&g);
            weft_group_close(&me->group);
            _exit(told ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        MUST(me, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: status 0x%x",
             (unsigned)status);
    }
    sums_to(me, g, 1.0f, 2.0f);
    sums_to(me, me->group, 1.0f, 2.0f);
    weft_group_close(&g);
}

Test(split, a_forked_child_takes_nothing_away)
{
    cluster_run(CLUSTER_TCP, 2, forked_body, NULL);
}
