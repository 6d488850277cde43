/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What algorithm oktopk carries from one operation to the next (Li & Hoefler 2022): where the
 * vector is cut into a region for each rank, and from which magnitude on this peer selects.
 *
 * Of every `every` operations the first selects exactly; those behind it take what is as large, and
 * select exactly where too little is. The second has the peers add up where their exact selections
 * would have to be cut into equal parts; the mean is where the third and those behind it cut.
 */
#ifndef WEFT_CODEC_REGIONS_H
#define WEFT_CODEC_REGIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/collective.h>

struct weft_regions {
    uint64_t count;  /* elements of the vector, 0: none yet */
    int size;        /* regions */
    uint64_t done;   /* operations that succeeded */
    uint64_t *cut;   /* size + 1: the first element of each, and count */
    double *bound;   /* size - 1: where this peer's last exact selection would be cut */
    float least;     /* of that selection; 0: of nothing */
    size_t most;     /* pairs that were asked of it */
    size_t found;    /* by it */
    atomic_int refs; /* the caller, and an operation until its request is freed */
};

/* For an operation of so many elements and peers; what was of another count or size begins anew. 0;
 * WEFT_EINVAL another operation has it; WEFT_ENOMEM. */
int weft_regions_fit(weft_regions *r, uint64_t count, int size);
/* An operation has it from now on; until then. NULL-safe. */
weft_regions *weft_regions_hold(weft_regions *r);
void weft_regions_drop(weft_regions *r);
bool weft_regions_selects(const weft_regions *r, unsigned every);
bool weft_regions_agrees(const weft_regions *r, unsigned every);
/* Equal where peers cut alike and are as far. */
uint64_t weft_regions_digest(const weft_regions *r);
/* The cuts become the mean of what all peers have, sum of their bounds; any numbers are taken. */
void weft_regions_cut(weft_regions *r, const double *sum);

#endif
