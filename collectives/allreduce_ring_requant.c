/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring with sums that are encoded again: at each hop the receiver decodes what came, adds its
 * part and encodes the sum with random numbers of its own. The plan and the price are the ring's
 * (allreduce_ring.c), where what travels are encodings of any lossy codec.
 *
 * The owner's last encoding of a span is what everybody decodes, the owner too: same bits
 * everywhere. Noise: with a codec of omega, omega sum_t (1+omega)^(P-t) |X_t|^2 of the partial sums
 * X_t: fit for 8 or 4 bits and few peers, not for ternary. Requantized.
 * Error feedback keeps at each peer what its own encodings lost, P of them, one a span: nothing is
 * lost for good, even where the codec rounds to nearest.
 * Source: Patarasuk & Yuan 2009, with quantization at every hop as in PCCL (Keiblinger et al.
 * 2025).
 */
#include "collectives/algo.h"

extern const weft_algo weft_algo_allreduce_ring;

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    return weft_algo_allreduce_ring.cost(s, width, reply);
}

static int parts(const weft_shape *s)
{
    return weft_algo_allreduce_ring.parts(s);
}

static int build(weft_plan *p, const weft_shape *s)
{
    return weft_algo_allreduce_ring.build(p, s);
}

const weft_algo weft_algo_allreduce_ring_requant = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "ring_requant",
    .summary = "ring whose sums are encoded again at every hop",
    .source = "Patarasuk & Yuan 2009; Keiblinger et al. 2025",
    .formula = "2(P-1) rounds, 2(P-1)/P n w bytes",
    .needs = WEFT_NEEDS_LOSSY,
    .traits = WEFT_ALGO_RING,
    .parts = parts,
    .cost = cost,
    .build = build,
};
