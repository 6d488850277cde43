/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reduce-scatter on a circulant graph: recursive halving for any number of ranks. P pieces, one a
 * rank. In each round a rank sends what it has summed of the farther half of the pieces, counted
 * from its own, to the rank that far on, and folds what comes of the nearer half into its own:
 * distances ceil(P/2), ceil(ceil(P/2)/2), …, 1. P = 5, pieces counted from the rank's own:
 *
 *   round   distance   sends pieces   receives pieces
 *   1       3          3 4            0 1
 *   2       2          2              0
 *   3       1          1              0                  ceil(lg P) rounds, each piece sent once
 *
 * A piece is sent once and received up to ceil(lg P) times. Needs encodings that merge; ranks are
 * not summed in order, but alike in every run.
 * Source: Träff, Optimal, non-pipelined reduce-scatter and allreduce algorithms, arXiv:2410.14234
 * (2024); the graph is that of Bruck, Ho, Kipnis, Upfal & Weathersby, IEEE TPDS 8 (1997).
 */
#ifndef WEFT_COLLECTIVES_CIRCULANT_H
#define WEFT_COLLECTIVES_CIRCULANT_H

#include "collectives/partition.h"

/* The slot that holds this rank's piece, reduced. Uses slots below 2 P. */
int weft_circulant_reduce(weft_plan *p, const weft_shape *s, weft_piece *piece);

/* Elements that a rank folds and merges, of parts of the lane. */
size_t weft_circulant_reduced(const weft_shape *s, int rank);

#endif
