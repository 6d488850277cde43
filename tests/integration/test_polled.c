/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that are started while nobody drives the engine, and only polled. */
#include <criterion/criterion.h>
#include <sched.h>

#include "base/clock.h"
#include "support/cluster.h"

enum { ROUNDS = 3000 };

/* A blocking call puts the baton down and wakes nobody; the start that follows must be seen by the
 * loop's thread, which weft_test() does not wake again. */
static void poll_body(member *me)
{
    float one = 1.0f, sum = 0.0f;
    for (int i = 0; i < ROUNDS; i++) {
        weft_request *request = NULL;
        MUST_OK(me, weft_allreduce(me->group, &one, &sum, 1, WEFT_F32, WEFT_SUM, NULL));
        MUST_OK(me,
                weft_allreduce_start(me->group, &one, &sum, 1, WEFT_F32, WEFT_SUM, NULL, &request));
        const int64_t until = weft_now() + cluster_patience(5000) * WEFT_MS;
        int code;
        while ((code = weft_test(request)) == WEFT_PENDING && weft_now() < until) {
            sched_yield();
        }
        MUST(me, code == WEFT_OK, "round %d: %s", i, weft_status_name(code));
        weft_request_free(&request);
    }
}

Test(polled, a_started_operation_ends_in_a_group_of_one)
{
    cluster_run(CLUSTER_MEM, 1, poll_body, NULL);
}

Test(polled, a_started_operation_ends_among_threads)
{
    cluster_run(CLUSTER_MEM, 2, poll_body, NULL);
}
