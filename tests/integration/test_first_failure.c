/* SPDX-License-Identifier: Apache-2.0 */
/* Failures of the very first operation, before peers have links: what every peer is told. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/cluster.h"

enum { COUNT = 1000 };

typedef struct culprit {
    int rank;
    const char *algo;
} culprit;

/* It leaves at once; the others still hear what was wrong, not that somebody is gone. */
static void not_finite_body(member *me)
{
    const culprit *c = me->user;
    static float v[CLUSTER_MAX][COUNT];
    char name[32];
    if (me->rank == c->rank) {
        v[me->rank][COUNT / 2] = NAN;
    }
    const weft_coll_opts o = {.size = sizeof(o), .algo = c->algo, .codec = "qsgd:levels=7"};
    MUST_END(me, WEFT_ENONFINITE,
             weft_allreduce(me->group, v[me->rank], v[me->rank], COUNT, WEFT_F32, WEFT_SUM, &o));
    snprintf(name, sizeof(name), "rank %d", c->rank);
    MUST(me, weft_last_error()->rank == c->rank, "rank %d is blamed: %s", weft_last_error()->rank,
         weft_last_error()->message);
    MUST(me, strstr(weft_last_error()->message, name) != NULL, "%s", weft_last_error()->message);
    weft_group_close(&me->group);
}

Test(first_failure, of_one_peer_that_leaves_at_once_is_every_peers)
{
    static const char *const algos[] = {"gather", "scatter"};
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        for (int size = 2; size <= 4; size += 2) {
            for (int rank = 0; rank < size; rank++) {
                culprit c = {rank, algos[rank % 2]};
                cluster_run((cluster_link)link, size, not_finite_body, &c);
            }
        }
    }
}

static void other_seed(weft_group_opts *o, const member *me)
{
    const int *odd = me->user;
    o->seed = me->rank == *odd ? 4242424242u : 1717171717u;
}

static void seeds_body(member *me)
{
    float v = 1.0f;
    const weft_coll_opts o = {.size = sizeof(o), .algo = "gather"};
    const int code = weft_allreduce(me->group, &v, &v, 1, WEFT_F32, WEFT_SUM, &o);
    /* Who calls after the other's HELLO has come finds the group broken. */
    MUST(me, code == WEFT_EMISMATCH || code == WEFT_EBROKEN, "%s: %s", weft_status_name(code),
         weft_last_error()->message);
    const char *text = weft_last_error()->message;
    MUST(me, strstr(text, "seed") != NULL && strstr(text, "4242424242") != NULL, "%s", text);
    MUST(me, strstr(text, "1717171717") != NULL, "%s", text);
}

Test(first_failure, different_seeds_are_named_to_every_peer)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int odd = 0; odd < 3; odd++) {
            cluster_join(cluster_start(&(cluster_plan){.link = (cluster_link)link,
                                                       .size = odd == 2 ? 3 : 2,
                                                       .body = seeds_body,
                                                       .user = &odd,
                                                       .options = other_seed}));
        }
    }
}
