/* SPDX-License-Identifier: Apache-2.0 */
/* Prove that the plans of all ranks together do what their collective promises. */
#ifndef WEFT_PLAN_PLAN_VERIFY_H
#define WEFT_PLAN_PLAN_VERIFY_H

#include "plan/plan.h"

typedef enum weft_goal_kind {
    WEFT_GOAL_REDUCE, /* every element of an output: the contribution of every rank, once */
    WEFT_GOAL_COPY,   /* every element: the contribution of one rank, the root or the block's */
    WEFT_GOAL_MIX,  /* every element: the contributions of the rank itself and of those it takes */
    WEFT_GOAL_MEET, /* no elements; nobody is at the end before everybody has started */
} weft_goal_kind;

typedef struct weft_goal {
    weft_goal_kind kind;
    int size;
    size_t count;              /* elements of the lane */
    int in_blocks, out_blocks; /* 1 or size */
    int root; /* of a copy: the only rank with an input, or -1: block b is rank b's */
    int sink; /* the only rank with an output, or -1: all have one */
    /* Of a mix: does the rank take what `of` contributes? */
    bool (*takes)(const void *who, int rank, int of);
    const void *who;
    bool ordered; /* of a reduction: contributions are combined in rank order, which operations that
                     do not commute need */
} weft_goal;

/*
 * build gives the plan of a rank (freed here). Proves, for every interleaving:
 *  - each plan by itself (weft_plan_check): slots, fences, in place;
 *  - sends and receives match in number, order, span and rawness, and nobody waits for ever;
 *  - nobody reads an input or writes an output that it does not have;
 *  - every element of every output holds exactly the contributions of the goal, each once, and
 *    scaled in a mix only;
 *  - an element of the result (but of a mix) is made by the same expression on every rank that has
 *    it, operands in the same order: the same bits, whatever the codec, as long as it is
 * deterministic (raw replies being lossless);
 *  - where the goal says so, an element combines its contributions in rank order: every operand of
 *    every combination is a run of neighbouring ranks, the lower run on the left;
 *  - MEAN divides each element once: in plans with replies on its way through one, else at the end;
 *  - for a meeting: the end of every rank depends causally on the start of every rank.
 * 0; WEFT_EINTERNAL naming rank and step; what build returned; WEFT_ENOMEM.
 */
int weft_plan_verify(const weft_goal *goal, int (*build)(void *user, int rank, weft_plan *ret),
                     void *user);

#endif
