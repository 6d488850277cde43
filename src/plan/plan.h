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
 * Spans count elements of the lane. Collectives over P blocks (allgather's and gather's result,
 * reduce_scatter's and scatter's input) have P lanes side by side, one a block: `block` says which;
 * allreduce, reduce and broadcast have block 0 only. Allgather's input and reduce_scatter's result
 * are block 0 too: the span of a pack or fold counts in the input's blocks, that of an unpack, add
 * or reply in the output's. What travels counts in the blocks of the larger side: a rank's only
 * block of allgather's input or of reduce_scatter's result is there the block of its rank. Where
 * both sides have P blocks (alltoall), block d of rank o's input travels as block o P + d and
 * becomes block o of rank d's output. (Slots: their spans are compared so.)
 *
 * Blocks may have different lengths (allgatherv): a plan is then made for the longest, and whoever
 * runs it cuts each span at the end of its block. A plan that is right for every element is right
 * for those that remain.
 *
 * Slots are the codec's encodings, but for those that a reply fills: they are *raw*, the elements
 * as they are, and whoever receives one says so with weft_plan_recv_raw(). Raw slots are sent and
 * unpacked, never combined: no fold, merge or add. A plan with a reply reduces in the output
 * (unpack, then add) and only then answers. There the division of MEAN belongs: once, on the
 * reply's span of the output, before it is encoded, so that everybody gets divided elements with
 * the same bits. In a plan without replies (weft_plan.replies false) MEAN divides the whole output
 * when the lane is at its end.
 *
 * Several slots may travel in one message: weft_plan_joined() behind a send or receive joins it
 * with the next one, which is of the same kind and peer. Both sides join alike.
 *
 * A slot that was sent may be read, sent and unpacked again, but not changed (fold, merge into)
 * before it is filled anew by pack, reply or receive: the bytes may still be under way.
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
    WEFT_VERB_REPLY,  /* slot = raw encoding of the output's span, after MEAN's division of it */
    WEFT_VERB_SCALE,  /* slot = weight times slot; of codecs whose encodings are the elements */
    WEFT_VERB_FENCE,  /* every receive above is here */
    WEFT_VERB_COUNT
} weft_verb;

typedef struct weft_step {
    weft_verb verb;
    int slot, other;  /* other: the second slot of a merge */
    int peer;         /* of send and receive */
    bool other_first; /* of a merge: operand order other op slot */
    bool raw;         /* the slot holds elements as they are: set by reply and weft_plan_recv_raw,
                         filled by check for send and unpack */
    bool joined;      /* of send and receive: one message with the next step */
    bool last;        /* nothing below reads the slot's (of a merge: the other's) bytes before they
                         are replaced: they may be given away; filled by check */
    uint32_t message; /* of send and receive: how many went before it with this peer in the same
                         direction; filled by check. A joined message is known by its first */
    uint32_t alike, place; /* of a merge: so many ranks make the same one, of which this is the
                              place-th; 1, 0 unless weft_plan_alike() says otherwise */
    double weight;         /* of scale */
    weft_span span; /* of pack, receive, fold, unpack, add, reply; filled by check for send, merge
                       and scale */
} weft_step;

/* A rank this plan talks to. */
typedef struct weft_plan_peer {
    int rank;
    uint32_t sends, recvs; /* steps of either kind in a lane */
    uint32_t first_recv;   /* index of this peer's first receive in weft_plan.recvs */
} weft_plan_peer;

typedef struct weft_plan {
    int rank, size;
    size_t count;                   /* elements of the lane */
    uint32_t in_blocks, out_blocks; /* lanes side by side: 1, or size */
    weft_step *steps;
    size_t step_count, step_cap;
    int slot_count;
    bool replies;          /* a reply is among the steps; filled by check */
    weft_plan_peer *peers; /* ascending by rank; filled by weft_plan_check */
    size_t peer_count;
    uint32_t *recvs; /* step index of each receive, grouped by peer, in message order */
    size_t recv_count;
    int failed; /* first failure, a weft_status */
    char why[160];
} weft_plan;

/* An empty plan of one block on either side. 0; WEFT_EINVAL rank or size out of range (a position
 * takes 16 bits on the wire). */
int weft_plan_init(weft_plan *p, int rank, int size, size_t count);
/* Blocks of the input and of the output, each 1 or size; before the first verb. */
void weft_plan_blocks(weft_plan *p, int in_blocks, int out_blocks);
void weft_plan_free(weft_plan *p); /* of the contents; a zeroed plan is fine */

void weft_plan_pack(weft_plan *p, int slot, weft_span from);
void weft_plan_send(weft_plan *p, int slot, int to);
void weft_plan_recv(weft_plan *p, int slot, int from, weft_span of);
void weft_plan_recv_raw(weft_plan *p, int slot, int from, weft_span of); /* what a reply filled */
void weft_plan_fold(weft_plan *p, int slot, weft_span mine);
void weft_plan_merge(weft_plan *p, int slot, int other, bool other_first);
/* The merge just written is made by `alike` ranks, of which this is the place-th. */
void weft_plan_alike(weft_plan *p, uint32_t alike, uint32_t place);
void weft_plan_unpack(weft_plan *p, int slot, weft_span into);
void weft_plan_add(weft_plan *p, int slot, weft_span into);
void weft_plan_reply(weft_plan *p, int slot, weft_span of);
void weft_plan_scale(weft_plan *p, int slot, double weight);
void weft_plan_fence(weft_plan *p);
/* The send or receive just written is in one message with the next. */
void weft_plan_joined(weft_plan *p);

/* true: input and output have a block for each rank, and block d of rank o goes to rank d. */
bool weft_plan_crosses(const weft_plan *p);
/* Where an element lies among what travels: a span of the input (output) with the block of the
 * larger side. */
weft_span weft_plan_in(const weft_plan *p, weft_span span);
weft_span weft_plan_out(const weft_plan *p, weft_span span);

/* Check what one rank's plan can show: slots filled before use, spans in the lane and equal along a
 * slot's life, peers in range and never self, received slots used only below a fence, every receive
 * above some fence, sent slots not changed, raw slots not combined, at most 65536 messages a peer
 * and direction, joined steps side by side, finite weights, no output written before the input at
 * that place was read for the last time (in place stays right), nothing replied twice or changed
 * after its reply. Fills peers, recvs, message numbers, spans and flags. 0, or a weft_status with
 * the step in the text. May be called again. */
int weft_plan_check(weft_plan *p);

/* The plan in words, a line a step, into a malloced text (weft_free). NULL: out of memory. */
char *weft_plan_print(const weft_plan *p);
/* "pack", "send", …; static storage. */
const char *weft_verb_name(weft_verb verb);

#endif
