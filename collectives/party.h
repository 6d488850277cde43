/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages that algorithms are made of: a party of ranks reduces the pieces of a lane among its
 * members, or spreads them. The lane is cut into pieces (weft_cut) and piece i lies in slot i
 * throughout, so that stages of different parties can follow one another; pieces that go the same
 * way travel in one message.
 */
#ifndef WEFT_COLLECTIVES_PARTY_H
#define WEFT_COLLECTIVES_PARTY_H

#include "collectives/partition.h"

typedef struct weft_party {
    weft_cuts cuts;  /* of the lane into pieces */
    const int *rank; /* of each member; NULL: member i is rank base + i * stride */
    int base, stride;
    int members, me;
    int first;   /* of the party's pieces */
    int each;    /* of a ring: pieces of a member, which travel together */
    int spare;   /* the first of the slots that a stage needs beside those of the pieces */
    bool packed; /* the own contributions lie in the slots; false: still in the input */
} weft_party;

int weft_party_rank(const weft_party *a, int member);
/* Verbs on `count` pieces from `first` on; send and receive in one message. */
void weft_party_pack(weft_plan *p, const weft_party *a, int first, int count);
void weft_party_unpack(weft_plan *p, const weft_party *a, int first, int count);
void weft_party_send(weft_plan *p, int first, int count, int to);
void weft_party_recv(weft_plan *p, const weft_party *a, int first, int count, int slot, int from);
/* slot = slot op other, or other op slot, of so many slots in a row. */
void weft_party_merge(weft_plan *p, int slot, int other, int count, bool other_first);

/* A ring over members * each pieces, of which the chunk c, taken modulo members, has those from
 * first + c * each on. Reduce: at the end member i has chunk i + 1 of the sum, in the order of
 * members c, c + 1, …, c - 1; needs `each` spare slots where packed, else none. Spread begins with
 * that and unpacks what it gets; fresh: the own chunk too. */
void weft_party_ring_reduce(weft_plan *p, const weft_party *a);
void weft_party_ring_spread(weft_plan *p, const weft_party *a, bool fresh);
/* What both together add to the price of this member, rounds apart. */
void weft_party_ring_cost(const weft_party *a, double width, weft_cost *cost);

/* A butterfly: halving, then doubling; unpacks everything. The sum is in the order of members. */
int weft_butterfly_power(int members);  /* the greatest power of two up to members */
int weft_butterfly_pieces(int members); /* that a party has to have */
int weft_butterfly_spare(int members);
int weft_butterfly_rounds(int members); /* from the time on that all members start */
void weft_party_butterfly(weft_plan *p, const weft_party *a);
void weft_party_butterfly_cost(const weft_party *a, double width, weft_cost *cost);

#endif
