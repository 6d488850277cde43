/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of kernel_speed: what is measured, and what it should reach. */
#ifndef TESTS_SPEED_KERNEL_SPEED_H
#define TESTS_SPEED_KERNEL_SPEED_H

#include <stddef.h>
#include <stdint.h>

enum { SPEED_COUNT = 25000000 }; /* floats */

/* What rows work on. Each may write over all but the vector. */
typedef struct speed_bench {
    const float *v; /* SPEED_COUNT Gaussians */
    float *out;     /* SPEED_COUNT floats */
    uint8_t *bytes; /* 4 * SPEED_COUNT + 64 */
    uint8_t *more;  /* as many */
    size_t len, more_len;
} speed_bench;

typedef struct speed_row {
    const char *name;
    double ratio;    /* to reach: bytes of floats a second over those memcpy copies; 0: none */
    double elements; /* to reach: elements a second; 0: none */
    double seconds;  /* to reach: of a run; 0: none */
    void (*prepare)(speed_bench *b, const char *with); /* before the first run; NULL: nothing */
    void (*run)(speed_bench *b, const char *with);
    const char *with; /* the codec's SPEC, where one is needed */
} speed_row;

/* Arrays of rows, each ended by a name of NULL. */
extern const speed_row speed_quant_rows[];
extern const speed_row speed_simple_rows[];
extern const speed_row speed_sparse_rows[];

#endif
