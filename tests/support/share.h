/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many of a test's random cases are tried. A sanitized build is several times slower and looks
 * for what nearly every case shows: tools/check.sh runs it with WEFT_TEST_SHARE=8, an eighth of
 * them.
 */
#ifndef WEFT_TESTS_SUPPORT_SHARE_H
#define WEFT_TESTS_SUPPORT_SHARE_H

#include <stdint.h>
#include <stdlib.h>

/* One case in so many. */
static inline int share_step(void)
{
    const char *text = getenv("WEFT_TEST_SHARE");
    const int step = text != NULL ? atoi(text) : 1;
    return step > 1 ? step : 1;
}

/* So many of `all` cases, 1 at least. */
static inline uint64_t share_of(uint64_t all)
{
    const uint64_t some = all / (uint64_t)share_step();
    return some > 0 ? some : 1;
}

#endif
