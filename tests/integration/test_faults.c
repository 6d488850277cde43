/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that die, stop, leave, come late or not at all: every call returns, with the right bits or
 * with an error that names the peer. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/fixtures.h"

enum { SIZE = 4, LONG = 400000, SETTLED = 3 };

static const char *const algos[] = {"ring", "doubling", "scatter"};
enum { ALGOS = sizeof(algos) / sizeof(algos[0]) };

/* A disaster, told by those who live through it. */
typedef struct disaster {
    const char *algo;
    int victim, second; /* who is struck; -1: no second one */
    int rounds;         /* to make; 0: until an error */
    int64_t dead_ms;
    int64_t struck_at; /* set before it happens */
    gate going, ended; /* the victim has made some rounds; a survivor met the error */
    int code[CLUSTER_MAX], rank[CLUSTER_MAX];
    int64_t ended_at[CLUSTER_MAX];
    char text[CLUSTER_MAX][256];
} disaster;

static disaster *new_disaster(void)
{
    disaster *d = cluster_shared(sizeof(*d));
    *d = (disaster){.algo = "ring", .second = -1, .going = gate_new(), .ended = gate_new()};
    return d;
}

static void set_patience(weft_group_opts *o, const member *me)
{
    const disaster *d = me->user;
    if (d->dead_ms > 0) {
        o->dead_ms = cluster_patience(d->dead_ms);
    }
}

static cluster *strike_at(cluster_link link, cluster_body *body, disaster *d)
{
    cluster *c = cluster_start(&(cluster_plan){
        .link = link, .size = SIZE, .body = body, .user = d, .options = set_patience});
    cr_assert(gate_pass(&d->going), "the peers did not get going");
    d->struck_at = weft_now();
    return c;
}

static bool same(const float *v, float value)
{
    for (int i = 0; i < LONG; i++) {
        if (memcmp(&v[i], &value, sizeof(value)) != 0) {
            return false;
        }
    }
    return true;
}

static void constant(float *v, float value)
{
    for (int i = 0; i < LONG; i++) {
        v[i] = value;
    }
}

/* What must hold after the group broke. */
static void check_wreck(member *me, const float *in, float value)
{
    float one = 1.0f;
    MUST(me, same(in, value), "the input was written");
    for (int i = 0; i < 3; i++) {
        const int64_t before = weft_now();
        MUST_END(me, WEFT_EBROKEN,
                 weft_allreduce(me->group, &one, &one, 1, WEFT_F32, WEFT_SUM, NULL));
        MUST(me, weft_now() - before < cluster_patience(500) * WEFT_MS,
             "a call on a broken group took long");
    }
    const int64_t before = weft_now();
    weft_group_close(&me->group);
    /* A second is promised; a machine that is busy gets half of one more. */
    MUST(me, weft_now() - before < cluster_patience(1500) * WEFT_MS, "close took %lld ms",
         (long long)((weft_now() - before) / WEFT_MS));
}

/* Allreduce until it fails, or so many times. */
static void toil(member *me)
{
    disaster *d = me->user;
    const weft_coll_opts o = {.size = sizeof(o), .algo = d->algo};
    float *in = malloc(LONG * sizeof(float)), *out = malloc(LONG * sizeof(float));
    int code = WEFT_OK;
    for (int round = 0; code == WEFT_OK && (d->rounds == 0 || round < d->rounds); round++) {
        const float value = (float)(me->rank + round);
        constant(in, value);
        code = weft_allreduce(me->group, in, out, LONG, WEFT_F32, WEFT_SUM, &o);
        if (me->rank == d->victim && round == SETTLED) {
            gate_open(&d->going, 1);
        }
        if (code == WEFT_OK) {
            MUST(me, same(out, (float)(me->size * round + me->size * (me->size - 1) / 2)),
                 "wrong bits in round %d", round);
            continue;
        }
        d->ended_at[me->rank] = weft_now();
        d->code[me->rank] = code;
        d->rank[me->rank] = weft_last_error()->rank;
        snprintf(d->text[me->rank], sizeof(d->text[0]), "%s", weft_last_error()->message);
        gate_open(&d->ended, 1);
        check_wreck(me, in, value);
    }
    free(in);
    free(out);
}

static void check_survivors(const disaster *d, const char *where)
{
    for (int r = 0; r < SIZE; r++) {
        if (r == d->victim || r == d->second) {
            continue;
        }
        char name[16], other[16];
        snprintf(name, sizeof(name), "rank %d", d->victim);
        snprintf(other, sizeof(other), "rank %d", d->second);
        const int64_t took = (d->ended_at[r] - d->struck_at) / WEFT_MS;
        cr_assert(d->code[r] == WEFT_EPEER || d->code[r] == WEFT_EBROKEN, "%s, rank %d: %s (%s)",
                  where, r, weft_status_name(d->code[r]), d->text[r]);
        cr_assert(d->rank[r] == d->victim || d->rank[r] == d->second, "%s, rank %d blames %d: %s",
                  where, r, d->rank[r], d->text[r]);
        cr_assert(strstr(d->text[r], name) != NULL || strstr(d->text[r], other) != NULL, "%s",
                  d->text[r]);
        cr_assert_lt(took, cluster_patience(2000), "%s, rank %d: after %lld ms", where, r,
                     (long long)took);
    }
}

static void kill_each(cluster_link link)
{
    for (int a = 0; a < ALGOS; a++) {
        for (int victim = 0; victim < SIZE; victim++) {
            disaster *d = new_disaster();
            char where[64];
            snprintf(where, sizeof(where), "%s over %s, rank %d killed", algos[a],
                     cluster_link_name(link), victim);
            d->algo = algos[a];
            d->victim = victim;
            cluster *c = strike_at(link, toil, d);
            cluster_signal(c, victim, SIGKILL);
            cluster_wait(c);
            cr_assert_leq(cluster_leftovers(c), 1, "survivors left files");
            cluster_join(c);
            check_survivors(d, where);
        }
    }
}

Test(faults, killed_peer_is_named_to_all_over_tcp)
{
    kill_each(CLUSTER_TCP);
}

Test(faults, killed_peer_is_named_to_all_over_ipc)
{
    kill_each(CLUSTER_IPC);
}

Test(faults, two_killed_at_once_end_it_for_the_rest)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        disaster *d = new_disaster();
        d->victim = 1;
        d->second = 2;
        cluster *c = strike_at((cluster_link)link, toil, d);
        cluster_signal(c, 1, SIGKILL);
        cluster_signal(c, 2, SIGKILL);
        cluster_join(c);
        check_survivors(d, "two killed");
    }
}

Test(faults, a_peer_stopped_for_long_counts_as_dead_and_learns_it)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        for (int a = 0; a < ALGOS; a++) {
            disaster *d = new_disaster();
            d->algo = algos[a];
            d->victim = a + 1;
            d->dead_ms = 500;
            cluster *c = strike_at((cluster_link)link, toil, d);
            cluster_signal(c, d->victim, SIGSTOP);
            for (int r = 0; r < SIZE - 1; r++) {
                cr_assert(gate_pass(&d->ended), "%s: a survivor hangs", algos[a]);
            }
            cluster_signal(c, d->victim, SIGCONT);
            cluster_join(c);
            check_survivors(d, "stopped");
            const int code = d->code[d->victim];
            cr_assert(code == WEFT_EPEER || code == WEFT_EBROKEN || code == WEFT_EPROTO,
                      "who was stopped gets %s: %s", weft_status_name(code), d->text[d->victim]);
        }
    }
}

Test(faults, a_peer_stopped_for_a_moment_is_only_slow)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        disaster *d = new_disaster();
        d->algo = algos[link];
        d->victim = 2;
        d->rounds = 40;
        d->dead_ms = 3000;
        cluster *c = strike_at((cluster_link)link, toil, d);
        cluster_signal(c, d->victim, SIGSTOP);
        cr_assert_not(gate_pass_within(&d->ended, 400), "an error while it was stopped");
        cluster_signal(c, d->victim, SIGCONT);
        cluster_join(c);
        for (int r = 0; r < SIZE; r++) {
            cr_assert_eq(d->code[r], WEFT_OK, "rank %d: %s", r, d->text[r]);
        }
    }
}

/* Killed before there is any connection to it. */
static void first_call_body(member *me)
{
    disaster *d = me->user;
    float in[2] = {1.0f, 2.0f}, out[2];
    if (me->rank == d->victim) {
        gate_open(&d->going, 1);
        (void)gate_pass(&d->ended); /* until it is killed */
        return;
    }
    MUST(me, gate_pass(&d->ended), "no start");
    d->struck_at = weft_now();
    d->code[me->rank] = weft_allreduce(me->group, in, out, 2, WEFT_F32, WEFT_SUM, NULL);
    d->ended_at[me->rank] = weft_now();
    d->rank[me->rank] = weft_last_error()->rank;
    snprintf(d->text[me->rank], sizeof(d->text[0]), "%s", weft_last_error()->message);
    MUST(me, in[0] == 1.0f && in[1] == 2.0f, "the input was written");
}

Test(faults, a_peer_dead_before_the_first_call_is_named)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        for (int victim = 0; victim < SIZE; victim += SIZE - 1) {
            disaster *d = new_disaster();
            d->victim = victim;
            d->dead_ms = 800;
            cluster *c = strike_at((cluster_link)link, first_call_body, d);
            cluster_signal(c, victim, SIGKILL);
            gate_open(&d->ended, SIZE - 1);
            cluster_join(c);
            check_survivors(d, "dead before the first call");
        }
    }
}

static void works(member *me)
{
    float *in = malloc(LONG * sizeof(float));
    constant(in, 1.0f);
    MUST_OK(me, weft_allreduce(me->group, in, in, LONG, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, same(in, (float)me->size), "the next operation is wrong");
    free(in);
}

/* One peer does not call in time. The buffers go at once: nobody may touch them any more. */
static void late_body(member *me)
{
    disaster *d = me->user;
    const weft_coll_opts o = {
        .size = sizeof(o), .algo = d->algo, .timeout_ms = cluster_patience(300)};
    float *in = malloc(LONG * sizeof(float)), *out = malloc(LONG * sizeof(float));
    constant(in, (float)me->rank);
    works(me);
    if (me->rank == d->victim) {
        for (int r = 0; r < me->size - 1; r++) {
            MUST(me, gate_pass(&d->ended), "the others did not end");
        }
    }
    const int64_t before = weft_now();
    const int code = weft_allreduce(me->group, in, out, LONG, WEFT_F32, WEFT_SUM, &o);
    const int64_t took = (weft_now() - before) / WEFT_MS;
    const bool kept = same(in, (float)me->rank);
    free(in);
    free(out);
    const weft_error *e = weft_last_error();
    char name[48];
    snprintf(name, sizeof(name), "waits for rank %d", d->victim);
    MUST(me, code == WEFT_ETIMEDOUT, "%s: %s", weft_status_name(code), e->message);
    MUST(me, e->rank == d->victim && strstr(e->message, name) != NULL, "rank %d: %s", e->rank,
         e->message);
    MUST(me, kept, "the input was written");
    if (me->rank == d->victim) {
        MUST(me, took < cluster_patience(200), "the stored error took %lld ms", (long long)took);
    } else {
        MUST(me, took >= cluster_patience(250) && took < cluster_patience(2000), "%lld ms",
             (long long)took);
        gate_open(&d->ended, 1);
    }
    works(me);
}

Test(faults, a_late_peer_is_named_and_gets_the_same_error_later)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int a = 0; a < ALGOS; a++) {
            disaster *d = new_disaster();
            d->algo = algos[a];
            d->victim = (a + 2) % SIZE;
            cluster_join(cluster_start(&(cluster_plan){
                .link = (cluster_link)link, .size = SIZE, .body = late_body, .user = d}));
        }
    }
}

static void leave_body(member *me)
{
    disaster *d = me->user;
    works(me);
    if (me->rank == d->victim) {
        for (int r = 0; r < me->size - 1; r++) {
            MUST(me, gate_pass(&d->going), "the others are not through");
        }
        weft_group_close(&me->group);
        return;
    }
    gate_open(&d->going, 1);
    float *in = malloc(LONG * sizeof(float)), *out = malloc(LONG * sizeof(float));
    constant(in, 3.0f);
    const int code = weft_allreduce(me->group, in, out, LONG, WEFT_F32, WEFT_SUM, NULL);
    const weft_error *e = weft_last_error();
    char name[32];
    snprintf(name, sizeof(name), "rank %d", d->victim);
    MUST(me, code == WEFT_EPEER || code == WEFT_EBROKEN, "%s: %s", weft_status_name(code),
         e->message);
    MUST(me, e->rank == d->victim && strstr(e->message, name) != NULL, "blames %d: %s", e->rank,
         e->message);
    check_wreck(me, in, 3.0f);
    free(in);
    free(out);
}

Test(faults, a_peer_that_leaves_is_named_to_who_calls_on)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        disaster *d = new_disaster();
        d->victim = link;
        cluster_join(cluster_start(&(cluster_plan){
            .link = (cluster_link)link, .size = SIZE, .body = leave_body, .user = d}));
    }
}

/* A root that has sent its data may leave: the others find them when they call. */
static void early_root_body(member *me)
{
    disaster *d = me->user;
    works(me);
    int32_t v[4] = {0};
    if (me->rank == d->victim) {
        fixture_fill(WEFT_I32, WEFT_SUM, 7, 0, 0, v, 4);
        MUST_OK(me, weft_broadcast(me->group, v, 4, WEFT_I32, d->victim, NULL));
        weft_group_close(&me->group);
        gate_open(&d->going, me->size - 1);
        return;
    }
    int32_t want[4];
    fixture_fill(WEFT_I32, WEFT_SUM, 7, 0, 0, want, 4);
    MUST(me, gate_pass(&d->going), "the root did not leave");
    MUST_OK(me, weft_broadcast(me->group, v, 4, WEFT_I32, d->victim, NULL));
    MUST(me, memcmp(v, want, sizeof(v)) == 0, "not the root's data");
}

Test(faults, a_root_that_leaves_after_its_broadcast_fails_nobody)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int root = 0; root < SIZE; root++) {
            disaster *d = new_disaster();
            d->victim = root;
            cluster_join(cluster_start(&(cluster_plan){
                .link = (cluster_link)link, .size = SIZE, .body = early_root_body, .user = d}));
        }
    }
}

static void absent_body(member *me)
{
    weft_group_opts o;
    member_options(me, &o);
    o.peers = me->size + 1; /* one more than there are */
    o.open_timeout_ms = 300;
    weft_group *group = NULL;
    const int64_t before = weft_now();
    const int code = weft_group_open(&group, &o);
    const int64_t took = (weft_now() - before) / WEFT_MS;
    const char *text = weft_last_error()->message;
    const char *missing = strstr(text, "missing rank"); /* who gave up first is missing too */
    MUST(me, code == WEFT_ETIMEDOUT, "%s: %s", weft_status_name(code), text);
    MUST(me, group == NULL, "a group came of it");
    MUST(me, missing != NULL && strchr(missing, '0' + me->size) != NULL, "%s", text);
    MUST(me, strstr(text, me->folder + strlen("file://")) != NULL, "%s", text);
    MUST(me, took >= 300 && took < cluster_patience(2000), "%lld ms", (long long)took);
}

Test(faults, a_peer_that_never_comes_is_named_with_the_place)
{
    cluster *c = cluster_start(
        &(cluster_plan){.link = CLUSTER_TCP, .size = 3, .body = absent_body, .unopened = true});
    cluster_wait(c);
    cr_assert_eq(cluster_leftovers(c), 0, "who gave up left files");
    cluster_join(c);
}

static void nan_body(member *me)
{
    disaster *d = me->user;
    static const char *const names[] = {"gather", "scatter"};
    for (int a = 0; a < 2; a++) {
        for (int bad = 0; bad < me->size; bad++) {
            const weft_coll_opts o = {
                .size = sizeof(o), .algo = names[a], .codec = "qsgd:levels=7"};
            float *in = malloc(LONG * sizeof(float)), *out = malloc(LONG * sizeof(float));
            constant(in, 1.0f);
            if (me->rank == bad) {
                in[LONG - 7] = bad % 2 == 0 ? NAN : INFINITY;
            }
            const int code = weft_allreduce(me->group, in, out, LONG, WEFT_F32, WEFT_SUM, &o);
            free(in);
            free(out);
            const weft_error *e = weft_last_error();
            char name[32];
            snprintf(name, sizeof(name), "rank %d", bad);
            MUST(me, code == WEFT_ENONFINITE, "%s: %s", weft_status_name(code), e->message);
            MUST(me, e->rank == bad && strstr(e->message, name) != NULL, "rank %d: %s", e->rank,
                 e->message);
            works(me);
        }
    }
    /* Raw passes them on. */
    float v[3] = {1.0f, me->rank == 1 ? NAN : 1.0f, me->rank == 2 ? INFINITY : 1.0f};
    MUST_OK(me, weft_allreduce(me->group, v, v, 3, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, v[0] == (float)me->size && isnan(v[1]) && isinf(v[2]), "raw loses NaN or infinity");
    (void)d;
}

Test(faults, a_quantizer_refuses_nan_on_all_peers_and_names_the_rank)
{
    disaster *d = new_disaster();
    cluster_run(CLUSTER_TCP, 4, nan_body, d);
    cluster_run(CLUSTER_MEM, 3, nan_body, d);
}
