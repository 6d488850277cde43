/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

int64_t weft_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock and a valid pointer */
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t weft_deadline(int64_t now_ns, int64_t ms)
{
    if (ms < 0 || ms > (WEFT_NEVER - 1) / WEFT_MS)
        return WEFT_NEVER;
    int64_t ns = ms * WEFT_MS;
    return now_ns > WEFT_NEVER - 1 - ns ? WEFT_NEVER : now_ns + ns;
}

int weft_poll_ms(int64_t now_ns, int64_t deadline_ns)
{
    if (deadline_ns == WEFT_NEVER)
        return -1;
    if (deadline_ns <= now_ns)
        return 0;
    /* Unsigned: the distance of two times may exceed INT64_MAX. */
    uint64_t left = (uint64_t)deadline_ns - (uint64_t)now_ns;
    uint64_t ms = left / (uint64_t)WEFT_MS + (left % (uint64_t)WEFT_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
