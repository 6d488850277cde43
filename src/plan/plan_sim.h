/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run the plans of all ranks in one process: a FIFO channel for each ordered pair of ranks, the
 * interleaving chosen by a seed, slots that hold real bytes. What bytes are is the caller's matter:
 * a real codec, a test's, or the symbols of plan_verify. A slot that is sent is shared with the
 * message; whoever folds or merges into shared bytes gets a copy of them first.
 *
 * Memory grows with the steps, the messages under way and their bytes, not with the square of the
 * ranks.
 */
#ifndef WEFT_PLAN_PLAN_SIM_H
#define WEFT_PLAN_PLAN_SIM_H

#include "plan/plan.h"

/* Where a callback is called from. */
typedef struct weft_sim_at {
    int rank;
    size_t index;          /* of the step */
    const weft_step *step; /* its span and raw say what is meant */
} weft_sim_at;

/* What slots hold and what verbs do. Each int function returns 0, or a code with the last error
 * set, which ends the simulation. */
typedef struct weft_sim_ops {
    /* Most bytes of a slot of this span. */
    size_t (*bound)(void *user, weft_span span, bool raw);
    /* Pack and reply (at->step->verb says which) into cap bytes, aligned for any type. */
    int (*fill)(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len);
    int (*fold)(void *user, const weft_sim_at *at, void *slot, size_t len);
    /* slot = slot op other, or other op slot when at->step->other_first. */
    int (*merge)(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len);
    int (*scale)(void *user, const weft_sim_at *at, void *slot, size_t len);
    /* Unpack and add. */
    int (*unpack)(void *user, const weft_sim_at *at, const void *slot, size_t len);

    /* What messages carry beside the slot; 0 bytes: nothing, and neither function is called. */
    size_t stamp_bytes;
    void (*stamp)(void *user, int rank, void *stamp);       /* at a send */
    void (*heard)(void *user, int rank, const void *stamp); /* at the fence below a receive */
} weft_sim_ops;

/* What one rank did. */
typedef struct weft_sim_count {
    uint32_t rounds; /* longest chain of messages that ends here, each waiting for the last */
    uint32_t peers;  /* received from */
    uint64_t messages, received_messages; /* sent, received; joined ones count once */
    uint64_t bytes, received_bytes;       /* of bodies sent, received */
    uint64_t reduced_bytes;               /* of encodings folded in, merged in and added */
} weft_sim_count;

/* plans: one a rank, checked, in rank order. ret_counts: size entries, or NULL. 0; WEFT_EINTERNAL,
 * naming rank and step, for a deadlock, a message that nobody receives, two sides that do not agree
 * on what a message holds, a message above the receiver's bound; WEFT_ENOMEM; what a callback
 * returned. */
int weft_plan_simulate(const weft_plan *plans, int size, const weft_sim_ops *ops, void *user,
                       uint64_t seed, weft_sim_count *ret_counts);

#endif
