/* SPDX-License-Identifier: Apache-2.0 */
/* Error feedback over many lanes: what encoding lost is the input and the old residual less the own
 * contribution, bit for bit, wherever lanes begin and end, in place too. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { COUNT = 3000017, STEPS = 2, LANES_LEAST = 3 };

typedef struct feedback {
    const char *codec, *algo;
} feedback;

static float *floats(uint64_t seed, int rank)
{
    float *v = malloc(COUNT * sizeof(float));
    fixture_floats(seed, rank, v, COUNT);
    return v;
}

static const char *compare(const float *in, const float *before, const float *own,
                           const float *residual)
{
    for (size_t i = 0; i < COUNT; i++) {
        const float acc = in[i] + before[i];
        const float left = acc - own[i];
        if (memcmp(&left, &residual[i], sizeof(left)) != 0) {
            return "the residual is not the rest";
        }
    }
    return NULL;
}

static void feedback_body(member *me)
{
    const feedback *f = me->user;
    float *in = floats(3, me->rank), *residual = floats(4, me->rank);
    float *out = malloc(COUNT * sizeof(float)), *own = malloc(COUNT * sizeof(float));
    float *before = malloc(COUNT * sizeof(float)), *twin = malloc(COUNT * sizeof(float));
    weft_receipt receipt = {.size = sizeof(receipt)};
    for (uint64_t step = 1; step <= STEPS; step++) {
        weft_coll_opts o = {.size = sizeof(o),
                            .algo = f->algo,
                            .codec = f->codec,
                            .own = own,
                            .residual = residual,
                            .draw = step,
                            .receipt = &receipt};
        memcpy(before, residual, COUNT * sizeof(float));
        memcpy(twin, residual, COUNT * sizeof(float));
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_MEAN, &o));
        MUST(me, receipt.lanes >= LANES_LEAST, "%llu lanes", (unsigned long long)receipt.lanes);
        const char *wrong = compare(in, before, own, residual);
        MUST(me, wrong == NULL, "step %d: %s", (int)step, wrong);
        /* The same in place, and with no place for the own contribution. */
        float *both = floats(3, me->rank);
        o.residual = twin;
        o.own = NULL;
        MUST_OK(me, weft_allreduce(me->group, both, both, COUNT, WEFT_F32, WEFT_MEAN, &o));
        MUST(me, memcmp(both, out, COUNT * sizeof(float)) == 0, "other results in place");
        MUST(me, memcmp(twin, residual, COUNT * sizeof(float)) == 0, "another residual in place");
        free(both);
    }
    free(in);
    free(residual);
    free(out);
    free(own);
    free(before);
    free(twin);
}

Test(feedback, is_the_same_over_many_lanes_and_in_place)
{
    static const feedback all[] = {{.codec = "qsgd:levels=7", .algo = "gather"},
                                   {.codec = "qsgd:levels=1,bucket=64", .algo = "scatter"},
                                   {.codec = "raw", .algo = "scatter"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        feedback f = all[i];
        cluster_run(CLUSTER_MEM, 3, feedback_body, &f);
    }
}
