/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--dump DIR`: what every peer held at every step, as raw little-endian float32 files for NumPy,
 * with K steps done, n peers and d coordinates:
 *
 *   x.f32 [K+1,d]  model              g.f32 [K,n,d]    gradients, the last asked for in the step
 *   h.f32 [K+1,n,d]  own memories     q.f32 [K,n,d]    decoded messages
 *   hbar.f32 [K+1,d]  mean memory     v.f32 [K,d]      direction with momentum, after the step
 *   xs.f32 [n,K+1,d]  every peer's model
 *
 * shapes.json maps each name to its shape; what the method does not hold is left out of both. It
 * also tells what run it was.
 * Everything is gathered outside of the counted traffic; rank 0 writes.
 */
#ifndef WEFT_TOOLS_TRAIN_DUMP_H
#define WEFT_TOOLS_TRAIN_DUMP_H

#include <stdbool.h>

#include <jansson.h>
#include <weft/optim.h>

#include "peers.h"

typedef struct weft_dump weft_dump;

/* Make the folder (unless it exists) and see that it can be written. 0, or -1 with why. */
int weft_dump_prepare(const char *folder, char *why, size_t cap);

/* All calls are collective: every peer makes them, in the same order. They return an exit status
 * after telling what went wrong. count: floats of the model. */
int weft_dump_open(weft_dump **ret, weft_peer *peer, const char *folder, size_t count);
/* Of the method: its messages are the gradients; its mean memory is in pieces on the peers. */
void weft_dump_knows(weft_dump *dump, bool sends_gradients, bool scattered);
/* Record the state before the first step. */
int weft_dump_start(weft_dump *dump, const weft_optim *optim, const float *x);
/* Record a step: the gradient it took, and what is held after it. */
int weft_dump_step(weft_dump *dump, const weft_optim *optim, const float *x, const float *gradient);
/* Write xs.f32 and shapes.json, with the members of about, and free. Takes the reference to about.
 * NULL-safe, sets *dump to NULL. */
int weft_dump_close(weft_dump **dump, json_t *about);

#endif
