/* SPDX-License-Identifier: Apache-2.0 */
/* What happens next: a binary heap of things 0 … cap-1, each in it at most once, with a time that
 * may change. Equal times come in the order of the things' numbers. */
#ifndef WEFT_PLAN_CLOCK_HEAP_H
#define WEFT_PLAN_CLOCK_HEAP_H

#include <stdbool.h>

typedef struct weft_clock_heap {
    double *at;  /* of each thing, while it is in the heap */
    int *things; /* as a heap */
    int *place;  /* of each thing in it, -1: not there */
    int count, cap;
} weft_clock_heap;

/* 0 or WEFT_ENOMEM; a zeroed heap can be closed. */
int weft_clock_heap_open(weft_clock_heap *h, int cap);
void weft_clock_heap_close(weft_clock_heap *h);
/* Put it there, or move it. */
void weft_clock_heap_set(weft_clock_heap *h, int thing, double at);
void weft_clock_heap_drop(weft_clock_heap *h, int thing); /* not there: nothing happens */
/* The first one, taken out. false: it is empty. */
bool weft_clock_heap_pop(weft_clock_heap *h, int *ret_thing, double *ret_at);

#endif
