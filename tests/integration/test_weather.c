/* SPDX-License-Identifier: Apache-2.0 */
/* Bad weather between peers: delays, stalls and changed order change no bit; a cut or a silent link
 * ends the operation at every peer within the time after which a peer counts as dead. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/doorway.h"
#include "support/fixtures.h"
#include "support/weather.h"

enum { COUNT = 60000, ROUNDS = 3, DEAD_MS = 600 };

static const char *const algos[] = {"ring", "doubling", "scatter"};
enum { ALGOS = sizeof(algos) / sizeof(algos[0]) };

typedef struct journey {
    weather w;
    weather_counts counts[CLUSTER_MAX];
    doorway doors[CLUSTER_MAX]; /* in front of every peer but the first */
    atomic_int stop;
    bool fair;  /* no weather */
    bool until; /* allreduce until it fails */
    uint64_t digest[ALGOS][ROUNDS][CLUSTER_MAX];
    int code[CLUSTER_MAX], rank[CLUSTER_MAX];
    int64_t began_at[CLUSTER_MAX], ended_at[CLUSTER_MAX]; /* the call that failed */
    char text[CLUSTER_MAX][256];
} journey;

static void serve(const doorway *d, void *user)
{
    journey *j = user;
    struct sockaddr_in to;
    weather w = j->w;
    const long rank = d - j->doors;
    w.seed += (uint64_t)rank;
    if (doorway_wait(d, &to)) {
        (void)weather_serve(&w, d->listening, &to, &j->counts[rank], &j->stop);
    }
}

static void advertise(weft_group_opts *o, const member *me)
{
    const journey *j = me->user;
    o->dead_ms = cluster_patience(j->until ? DEAD_MS : 5000);
    if (me->rank > 0 && !j->fair) {
        o->advertise = j->doors[me->rank].endpoint;
    }
}

static void travel(member *me)
{
    journey *j = me->user;
    float *in = malloc(COUNT * sizeof(float)), *out = malloc(COUNT * sizeof(float));
    if (me->rank > 0 && !j->fair) {
        MUST(me, doorway_lead_here(&j->doors[me->rank]), "no listening socket");
    }
    for (int a = 0; a < ALGOS; a++) {
        const weft_coll_opts o = {.size = sizeof(o), .algo = algos[a]};
        for (int round = 0; round < ROUNDS; round++) {
            fixture_floats((uint64_t)round, me->rank, in, COUNT);
            MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
            j->digest[a][round][me->rank] = fixture_digest(out, COUNT * sizeof(float));
        }
    }
    free(in);
    free(out);
}

static void travel_until_the_end(member *me)
{
    journey *j = me->user;
    float *in = calloc(COUNT, sizeof(float));
    MUST(me, me->rank == 0 || doorway_lead_here(&j->doors[me->rank]), "no listening socket");
    int code = WEFT_OK;
    while (code == WEFT_OK) {
        j->began_at[me->rank] = weft_now();
        code = weft_allreduce(me->group, in, in, COUNT, WEFT_F32, WEFT_SUM, NULL);
    }
    j->ended_at[me->rank] = weft_now();
    j->code[me->rank] = code;
    j->rank[me->rank] = weft_last_error()->rank;
    snprintf(j->text[me->rank], sizeof(j->text[0]), "%s", weft_last_error()->message);
    free(in);
}

static journey *go(const weather *w, int size, bool until)
{
    journey *j = cluster_shared(sizeof(*j));
    j->until = until;
    j->fair = w == NULL;
    j->w = w != NULL ? *w : (weather){0};
    for (int r = 1; r < size && !j->fair; r++) {
        doorway_open(&j->doors[r], serve, j);
    }
    cluster_join(cluster_start(&(cluster_plan){.link = CLUSTER_TCP,
                                               .size = size,
                                               .body = until ? travel_until_the_end : travel,
                                               .user = j,
                                               .options = advertise}));
    for (int r = 1; r < size && !j->fair; r++) {
        doorway_close(&j->doors[r]);
    }
    return j;
}

Test(weather, what_happens_to_a_packet_follows_from_seed_and_place)
{
    weather w = {.seed = 7, .delay_ns = 1000, .jitter_ns = 500, .loss = 0.1, .resend_ns = 100000};
    int lost = 0, differ = 0;
    for (uint64_t packet = 0; packet < 10000; packet++) {
        const int64_t wait = weather_wait_ns(&w, packet % 3, packet % 2, packet);
        const int gone = weather_loses(&w, packet % 3, packet % 2, packet);
        cr_assert_eq(wait, weather_wait_ns(&w, packet % 3, packet % 2, packet));
        cr_assert(wait >= 1000 + gone * 100000 && wait <= 1500 + gone * 100000, "%lld",
                  (long long)wait);
        lost += gone;
        w.seed = 8;
        differ += gone != weather_loses(&w, packet % 3, packet % 2, packet);
        w.seed = 7;
    }
    cr_assert(lost > 900 && lost < 1100, "%d of 10000 lost", lost);
    cr_assert(differ > 1000, "another seed loses the same but for %d", differ);
}

Test(weather, delay_jitter_and_loss_change_no_bit)
{
    const weather rough = {.seed = 3,
                           .delay_ns = WEFT_MS / 2,
                           .jitter_ns = 3 * WEFT_MS,
                           .loss = 0.01,
                           .resend_ns = 20 * WEFT_MS};
    for (int size = 2; size <= 4; size++) {
        const journey *fair = go(NULL, size, false), *foul = go(&rough, size, false);
        unsigned long long lost = 0, packets = 0;
        for (int r = 1; r < size; r++) {
            lost += atomic_load(&foul->counts[r].lost);
            packets += atomic_load(&foul->counts[r].packets);
        }
        cr_assert(lost > 0 && packets > 100, "%llu of %llu packets lost", lost, packets);
        for (int i = 0; i < ALGOS * ROUNDS * CLUSTER_MAX; i++) {
            const int a = i / (ROUNDS * CLUSTER_MAX), round = i / CLUSTER_MAX % ROUNDS;
            const int rank = i % CLUSTER_MAX;
            cr_assert(rank >= size || fair->digest[a][round][rank] != 0);
            cr_assert_eq(fair->digest[a][round][rank], foul->digest[a][round][rank],
                         "%s, round %d, rank %d of %d", algos[a], round, rank, size);
        }
    }
}

static void check_end(const journey *j, int size, const char *where)
{
    int64_t first = INT64_MAX;
    for (int r = 0; r < size; r++) {
        cr_assert(j->code[r] == WEFT_EPEER || j->code[r] == WEFT_EBROKEN, "%s, rank %d: %s (%s)",
                  where, r, weft_status_name(j->code[r]), j->text[r]);
        cr_assert(j->rank[r] >= 0 && j->rank[r] < size, "%s, rank %d blames %d: %s", where, r,
                  j->rank[r], j->text[r]);
        first = j->began_at[r] < first ? j->began_at[r] : first;
    }
    for (int r = 0; r < size; r++) {
        const int64_t took = (j->ended_at[r] - first) / WEFT_MS;
        cr_assert_lt(took, cluster_patience(DEAD_MS + 1500), "%s, rank %d: after %lld ms", where, r,
                     (long long)took);
    }
}

Test(weather, a_cut_ends_it_for_all_within_the_dead_time)
{
    for (int size = 2; size <= 3; size++) {
        const journey *j = go(&(weather){.seed = 1, .cut_after = 1000000}, size, true);
        check_end(j, size, "cut");
        cr_assert(atomic_load(&j->counts[1].cuts) + atomic_load(&j->counts[2].cuts) > 0,
                  "nothing was cut");
    }
}

Test(weather, a_silent_link_ends_it_for_all_within_the_dead_time)
{
    for (int size = 2; size <= 3; size++) {
        const journey *j = go(&(weather){.seed = 1, .mute_after = 1000000}, size, true);
        check_end(j, size, "mute");
        cr_assert(atomic_load(&j->counts[1].muted) + atomic_load(&j->counts[2].muted) > 0,
                  "no link was silent");
    }
}
