/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Relative milliseconds at the API, absolute CLOCK_MONOTONIC nanoseconds inside.
 */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>

#define WEFT_NEVER INT64_MAX
#define WEFT_MS INT64_C(1000000) /* nanoseconds of a millisecond */

int64_t weft_now(void);
/* now + ms; WEFT_NEVER for a negative ms or on overflow. */
int64_t weft_deadline(int64_t now_ns, int64_t ms);
/* Milliseconds until a deadline for poll(2)-like calls: rounded up, 0 when past, -1 for never. */
int weft_poll_ms(int64_t now_ns, int64_t deadline_ns);

#endif
