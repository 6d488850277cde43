/* SPDX-License-Identifier: Apache-2.0 */
/* One frame damaged on its way between two peers: the group ends with an error that names one of
 * them, and never with wrong bits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"
#include "support/fixtures.h"
#include "support/proxy.h"

enum { COUNT = 200000, ROUNDS = 12 };

typedef struct way {
    proxy *between; /* in front of the last rank */
    const char *algo;
    int code[CLUSTER_MAX], rank[CLUSTER_MAX], rounds[CLUSTER_MAX];
    char text[CLUSTER_MAX][256];
} way;

static void through_proxy(weft_group_opts *o, const member *me)
{
    const way *w = me->user;
    o->checksum = "on";
    o->dead_ms = cluster_patience(1000);
    if (me->rank == me->size - 1) {
        o->advertise = proxy_endpoint(w->between);
    }
}

static void rounds_body(member *me)
{
    way *w = me->user;
    const weft_coll_opts o = {.size = sizeof(o), .algo = w->algo};
    float *in = malloc(COUNT * sizeof(float)), *out = malloc(COUNT * sizeof(float));
    float *want = malloc(COUNT * sizeof(float));
    if (me->rank == me->size - 1) {
        MUST(me, proxy_lead_here(w->between), "no listening socket");
    }
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t seed = (uint64_t)round % 3;
        fixture_fill(WEFT_F32, WEFT_SUM, seed, me->rank, 0, in, COUNT);
        fixture_reduce(WEFT_F32, WEFT_SUM, seed, me->size, 0, want, COUNT);
        const int code = weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o);
        if (code != WEFT_OK) {
            w->code[me->rank] = code;
            w->rank[me->rank] = weft_last_error()->rank;
            snprintf(w->text[me->rank], sizeof(w->text[0]), "%s", weft_last_error()->message);
            fixture_fill(WEFT_F32, WEFT_SUM, seed, me->rank, 0, want, COUNT);
            MUST(me, memcmp(in, want, COUNT * sizeof(float)) == 0, "the input was written");
            break;
        }
        MUST(me, memcmp(out, want, COUNT * sizeof(float)) == 0, "wrong bits in round %d", round);
        w->rounds[me->rank]++;
    }
    free(in);
    free(out);
    free(want);
}

static void one_fault(proxy_fault fault, const char *algo, int size, int nth, uint64_t seed)
{
    way *w = cluster_shared(sizeof(*w));
    char where[128];
    int protocol = 0;
    snprintf(where, sizeof(where), "%s, %s, frame %d, seed %llu", proxy_fault_name(fault), algo,
             nth, (unsigned long long)seed);
    w->algo = algo;
    w->between = proxy_start(fault, nth, seed);
    cluster *c = cluster_start(&(cluster_plan){.link = CLUSTER_TCP,
                                               .size = size,
                                               .body = rounds_body,
                                               .user = w,
                                               .options = through_proxy});
    cluster_join(c);
    cr_assert_eq(proxy_stop(w->between), fault != PROXY_NOTHING, "%s: nothing was damaged", where);
    for (int r = 0; r < size; r++) {
        if (fault == PROXY_NOTHING) {
            cr_assert_eq(w->rounds[r], ROUNDS, "%s: %s", where, w->text[r]);
            continue;
        }
        cr_assert(w->code[r] == WEFT_EPROTO || w->code[r] == WEFT_EPEER ||
                      w->code[r] == WEFT_EBROKEN || w->code[r] == WEFT_EVERSION,
                  "%s, rank %d: %s (%s)", where, r, weft_status_name(w->code[r]), w->text[r]);
        cr_assert(w->rank[r] >= 0 && w->rank[r] < size, "%s, rank %d blames %d: %s", where, r,
                  w->rank[r], w->text[r]);
        /* Where the first frame is damaged the call may come after it. */
        protocol += w->code[r] == WEFT_EPROTO ||
                    (w->code[r] == WEFT_EBROKEN && (strstr(w->text[r], "bad frame") != NULL ||
                                                    strstr(w->text[r], "broke the protocol")));
    }
    const bool by_zmq = fault == PROXY_CUT || fault == PROXY_FLIP_LENGTH;
    cr_assert(protocol > 0 || by_zmq || fault == PROXY_NOTHING, "%s: nobody saw it: %s: %s; %s: %s",
              where, weft_status_name(w->code[0]), w->text[0], weft_status_name(w->code[1]),
              w->text[1]);
}

Test(damage, a_proxy_that_damages_nothing_is_not_noticed)
{
    one_fault(PROXY_NOTHING, "ring", 3, 0, 1);
}

Test(damage, one_damaged_frame_ends_the_group_with_a_name)
{
    static const char *const algos[] = {"ring", "doubling", "scatter"};
    for (int fault = PROXY_FLIP_BODY; fault < PROXY_FAULTS; fault++) {
        for (int i = 0; i < 3; i++) {
            one_fault((proxy_fault)fault, algos[i], 2 + i, 3 + 5 * i, 100 + (uint64_t)i);
        }
    }
}

Test(damage, any_flipped_bit_of_a_header_is_found)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        one_fault(PROXY_FLIP_HEADER, "ring", 2, (int)(seed % 5), seed);
    }
}
