/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that cannot do its part of an operation: it ends for all, and the next one goes on. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/cluster.h"

enum { COUNT = 300, ROUNDS = 20 };

typedef struct way {
    const char *algo, *codec;
} way;

static const way ways[] = {
    {"ring", NULL},
    {"doubling", NULL},
    {"binomial", NULL},
    {"gather", "qsgd"},
    {"shared", "qsgd:levels=1"}, /* a pair: scales are agreed on first */
    {"vote", "sign:scaled=no"},
    {"gtopk_tree", "topk:k=7"},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void decline_body(member *me)
{
    const way *w = me->user;
    float v[COUNT], one = 1.0f, sum = 0.0f;

    for (int k = 0; k < ROUNDS; k++) {
        const int culprit = k % me->size;
        const weft_coll_opts o = {
            .size = sizeof(o), .algo = w->algo, .codec = w->codec, .decline = me->rank == culprit};
        weft_request *request = NULL;

        for (int j = 0; j < COUNT; j++) {
            v[j] = (float)(j % 5 - 2);
        }
        if (k % 2 == 0) {
            MUST_END(me, WEFT_ECANCELED,
                     weft_allreduce(me->group, v, v, COUNT, WEFT_F32, WEFT_SUM, &o));
        } else {
            MUST(me,
                 weft_allreduce_start(me->group, v, v, COUNT, WEFT_F32, WEFT_SUM, &o, &request) ==
                     0,
                 "%s: %s", w->algo, weft_last_error()->message);
            MUST_END(me, WEFT_ECANCELED, weft_wait(request, WEFT_FOREVER));
            weft_request_free(&request);
        }
        MUST(me,
             weft_last_error()->rank == culprit && strstr(weft_last_error()->message, "declined"),
             "%s, round %d: %s", w->algo, k, weft_last_error()->message);
        /* Nobody is an operation ahead: this one is everybody's next. */
        MUST(me, weft_allreduce(me->group, &one, &sum, 1, WEFT_F32, WEFT_SUM, NULL) == 0,
             "%s, round %d: %s", w->algo, k, weft_last_error()->message);
        MUST(me, sum == (float)me->size, "a sum of %g", (double)sum);
    }
}

Test(decline, ends_the_operation_for_all_and_the_next_goes_on)
{
    for (int i = 0; i < WAYS; i++) {
        for (int size = 1; size <= 4; size++) {
            way w = ways[i];
            cluster_run(size % 2 == 0 ? CLUSTER_TCP : CLUSTER_MEM, size, decline_body, &w);
        }
    }
}
