/* SPDX-License-Identifier: Apache-2.0 */
/* An error ends the loan of the buffers: they may be freed while frames are still under way. What
 * would read or write them afterwards is for the address sanitizer to find. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"

enum { SIZE = 3, LENGTH = 3000000, LATE = 2 };

typedef struct loan {
    gate late_may_call;
    const char *algo, *codec;
} loan;

static int reduce_and_free(const member *me, int64_t timeout_ms)
{
    const loan *l = me->user;
    const bool residual = strcmp(l->codec, "raw") != 0;
    float *in = malloc(LENGTH * sizeof(float));
    float *out = malloc(LENGTH * sizeof(float));
    float *left = calloc(LENGTH, sizeof(float));
    float *own = malloc(LENGTH * sizeof(float));
    weft_coll_opts opts = {.size = sizeof(opts),
                           .algo = l->algo,
                           .codec = l->codec,
                           .timeout_ms = timeout_ms,
                           .residual = residual ? left : NULL,
                           .own = residual ? own : NULL};
    for (int i = 0; i < LENGTH; i++) {
        in[i] = (float)(i % 100);
    }
    const int code = weft_allreduce(me->group, in, out, LENGTH, WEFT_F32, WEFT_SUM, &opts);
    free(in);
    free(out);
    free(left);
    free(own);
    return code;
}

static void give_up_and_free(member *me)
{
    const loan *l = me->user;
    float one = 1.0f, sum = 0.0f;
    if (me->rank == LATE) {
        MUST(me, gate_pass(&l->late_may_call), "the others never gave up");
    }
    MUST_END(me, WEFT_ETIMEDOUT, reduce_and_free(me, cluster_patience(300)));
    if (me->rank == 0) {
        gate_open(&l->late_may_call, 1);
    }
    /* Late frames of the first operation are still coming in while these run. */
    for (int i = 0; i < 3; i++) {
        MUST_OK(me, weft_allreduce(me->group, &one, &sum, 1, WEFT_F32, WEFT_SUM, NULL));
        MUST(me, sum == (float)SIZE, "the sum is %g", (double)sum);
        MUST_OK(me, reduce_and_free(me, 0));
    }
}

static void try_loan(cluster_link link, const char *algo, const char *codec)
{
    loan l = {.late_may_call = gate_new(), .algo = algo, .codec = codec};
    cluster_run(link, SIZE, give_up_and_free, &l);
}

Test(buffers, freed_after_a_timeout_of_a_ring_over_tcp)
{
    try_loan(CLUSTER_TCP, "ring", "raw");
}

Test(buffers, freed_after_a_timeout_of_a_ring_over_ipc)
{
    try_loan(CLUSTER_IPC, "ring", "raw");
}

Test(buffers, freed_after_a_timeout_of_a_ring_over_mem)
{
    try_loan(CLUSTER_MEM, "ring", "raw");
}

Test(buffers, freed_after_a_timeout_with_error_feedback)
{
    try_loan(CLUSTER_TCP, "scatter", "qsgd:levels=7");
}
