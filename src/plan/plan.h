/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: what one rank does for one lane of a collective, as data.
 *
 * A plan is a list of verbs over *spans* of the lane and numbered *slots* of encoded bytes. The
 * engine runs it over real links, plan_sim runs all ranks of it in one process, plan_verify proves
 * it. Builders (collectives/) know of no socket, codec or thread.
 *
 * Verbs happen in the order written, except that a receive happens whenever its message comes, at
 * the latest at the next fence: a slot that was received may be used only below a fence. Verbs
 * return nothing: the first failure sticks and weft_plan_check() reports it.
 *
 * The n-th send to a peer in a plan meets the n-th receive from this rank in the peer's plan.
 *
 * Spans count elements of the lane. Collectives over P blocks (allgather's result, reduce_scatter's
 * input) have P lanes side by side, one a block: `block` says which; allreduce and broadcast have
 * block 0 only. Allgather's input and reduce_scatter's result are block 0 too.
 */
#ifndef WEFT_PLAN_PLAN_H
#define WEFT_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_span {
    uint32_t block;
    size_t off, count; /* in elements of the lane */
} weft_span;

typedef enum weft_verb {
    WEFT_VERB_PACK,   /* slot = encoding of the input's span */
    WEFT_VERB_SEND,   /* send the slot's bytes to peer */
    WEFT_VERB_RECV,   /* slot = what peer sends: an encoding of span */
    WEFT_VERB_FOLD,   /* slot = slot op input's span */
    WEFT_VERB_MERGE,  /* slot = slot op other, or other op slot when other is first */
    WEFT_VERB_UNPACK, /* output's span = decoded slot */
    WEFT_VERB_ADD,    /* output's span = output's span op decoded slot */
    WEFT_VERB_FENCE,  /* every receive above is here */
} weft_verb;

typedef struct weft_step {
    weft_verb verb;
    int slot, other;  /* other: the second slot of a merge */
    int peer;         /* of send and receive */
    bool other_first; /* of a merge: operand order other op slot */
    uint32_t message; /* of send and receive: how many went before it with this peer */
    weft_span span;   /* of pack, receive, fold, unpack, add; filled by check for send and merge */
} weft_step;

/* A rank this plan talks to. */
typedef struct weft_plan_peer {
    int rank;
    uint32_t sends, recvs; /* messages in this lane */
    uint32_t first_recv;   /* index of this peer's first receive in weft_plan.recvs */
} weft_plan_peer;

typedef struct weft_plan {
    int rank, size;
    size_t count;          /* elements of the lane */
    weft_step *steps;
    size_t step_count, step_cap;
    int slot_count;
    weft_plan_peer *peers; /* ascending by rank; filled by weft_plan_check */
    size_t peer_count;
    uint32_t *recvs;       /* step index of each receive, grouped by peer, in message order */
    size_t recv_count;
    int failed;            /* first failure, a weft_status */
    char why[160];
} weft_plan;

int weft_plan_init(weft_plan *p, int rank, int size, size_t count);
void weft_plan_free(weft_plan *p); /* of the contents; a zeroed plan is fine */

void weft_plan_pack(weft_plan *p, int slot, weft_span from);
void weft_plan_send(weft_plan *p, int slot, int to);
void weft_plan_recv(weft_plan *p, int slot, int from, weft_span of);
void weft_plan_fold(weft_plan *p, int slot, weft_span mine);
void weft_plan_merge(weft_plan *p, int slot, int other, bool other_first);
void weft_plan_unpack(weft_plan *p, int slot, weft_span into);
void weft_plan_add(weft_plan *p, int slot, weft_span into);
void weft_plan_fence(weft_plan *p);

/* Check what one rank's plan can show: slots filled before use, spans in the lane and equal along a
 * slot's life, peers in range and never self, received slots used only below a fence, no output
 * written before the input at that place was read for the last time (in place stays right). Fills
 * peers, recvs, message numbers and spans. 0, or a weft_status with the step in the text. */
int weft_plan_check(weft_plan *p);

/* The plan in words, a line a step, into a malloced text (weft_free). NULL: out of memory. */
char *weft_plan_print(const weft_plan *p);

#endif
