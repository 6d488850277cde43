/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan as far as time goes: 16 bytes a step, without slots and spans. What is joined is one
 * message, numbered as one; work of any verb is a time, of several in a row their sum.
 */
#ifndef WEFT_PLAN_PLAN_TAPE_H
#define WEFT_PLAN_PLAN_TAPE_H

#include "plan/plan.h"

typedef enum weft_tape_kind {
    WEFT_TAPE_WORK, /* amount: seconds */
    WEFT_TAPE_SEND, /* amount: bytes; message number `index` to peer */
    WEFT_TAPE_RECV, /* amount: bytes; receive number `index` of the tape, from peer */
    WEFT_TAPE_FENCE,
} weft_tape_kind;

typedef struct weft_tape_op {
    uint16_t kind, peer; /* of weft_tape_kind; index in tape.peers */
    uint32_t index;
    double amount;
} weft_tape_op;

/* A neighbour. */
typedef struct weft_tape_peer {
    int rank;
    uint32_t sends, recvs; /* whole messages */
    uint32_t first_recv;   /* its receives are first_recv, first_recv + 1, … */
    uint32_t parts;        /* of the receives: steps, joined ones too */
    double comes;          /* bytes of all of them */
    bool prompt;           /* something goes there before the first fence */
} weft_tape_peer;

typedef struct weft_tape {
    weft_tape_op *ops;
    size_t op_count;
    weft_tape_peer *peers; /* ascending by rank */
    uint32_t peer_count;
    uint32_t *recv_ops; /* op index of each receive */
    uint32_t recv_count;
} weft_tape;

/* What a step's work takes. */
typedef struct weft_tape_rates {
    double pack_s, merge_s, unpack_s; /* a byte of elements */
    double element_bytes;
} weft_tape_rates;

/* Of a checked plan. bound: most bytes of the slot of a step. 0 or WEFT_ENOMEM. */
int weft_tape_make(weft_tape *ret, const weft_plan *p, const weft_tape_rates *rates,
                   size_t (*bound)(void *user, const weft_plan *p, const weft_step *s), void *user);
void weft_tape_free(weft_tape *t); /* a zeroed one is fine */
/* Index of a rank in tape.peers, -1: no neighbour. */
int weft_tape_find(const weft_tape *t, int rank);

#endif
