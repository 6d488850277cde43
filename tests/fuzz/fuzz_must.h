/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold whatever the input: else the fuzzer has found something. */
#ifndef WEFT_TESTS_FUZZ_MUST_H
#define WEFT_TESTS_FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
