/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heavy step of a lane, for the files that carry one out: exec.c (pack, unpack), exec_combine.c
 * (fold, merge, scale), exec_reply.c (replies).
 */
#ifndef WEFT_ENGINE_EXEC_H
#define WEFT_ENGINE_EXEC_H

#include "engine/engine_state.h"

typedef struct weft_exec {
    weft_engine *engine;
    weft_operation *op;
    weft_lane *lane;
    const weft_plan *plan;
    const weft_step *step;
    weft_slot *slot;      /* the step's */
    weft_span span;       /* the step's, as much of it as there is */
    weft_stretch stretch; /* the same for the codec */
} weft_exec;

/* The codec of the step's slot. */
const weft_codec *weft_exec_codec(const weft_operation *op, const weft_step *step);
/* The lane's first element in the input (after error feedback). */
const char *weft_exec_lane(const weft_exec *x);
/* The span's first element there, and in the output. */
const char *weft_exec_in(const weft_exec *x);
char *weft_exec_out(const weft_exec *x);
/* The span's first element in the vector; of collectives without blocks. */
size_t weft_exec_at(const weft_exec *x);
/* Keys of an encoding of the stretch. */
weft_draw weft_exec_draw(const weft_exec *x, uint32_t member);
/* The same from the step's verb on: what was decoded or combined is not well formed. Names who sent
 * it. */
int weft_exec_malformed(const weft_exec *x, const weft_slot *slot, int code);

static inline uint8_t *weft_exec_body(weft_message *m)
{
    return m->data + WEFT_FRAME_HEADER;
}

static inline size_t weft_exec_length(const weft_message *m)
{
    return m->len - WEFT_FRAME_HEADER;
}

/* The slot holds this message from now on. false: it is NULL. */
bool weft_exec_refill(weft_slot *slot, weft_message *m);
int weft_exec_no_memory(void);

/* For the receipt: what the encoding of the span has changed. */
void weft_exec_measure(const weft_exec *x, const float *decoded);

/* 0, or a weft_status with the last error set. */
int weft_exec_send(weft_engine *e, int64_t now, weft_operation *op, weft_lane *lane,
                   const weft_step *step); /* and those that are joined to it */
int weft_exec_fold(weft_exec *x);
int weft_exec_merge(weft_exec *x); /* and those merges behind it that go in one */
int weft_exec_scale(weft_exec *x);
int weft_exec_reply(weft_exec *x);
int weft_exec_unpack_reply(weft_exec *x);
/* Of a selection that settles: what this peer sends, and what has won. */
int weft_exec_sent(weft_exec *x);
int weft_exec_won(weft_exec *x);

#endif
