/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random choices of a training run that are not the codec's: the shuffle of the rows and the
 * minibatches, the start of a model. They are pure functions of their arguments, so that anyone can
 * repeat them.
 *
 * Generator: Philox4x32-10 (Salmon et al. 2011), key = (seed low, seed high),
 * counter = (index, step low 32 bits, step high 16 bits + 2^16 * 65535, member). Codecs draw with
 * tensors below 65535, so nothing is drawn twice. u = the first two output words, low word first;
 * a number below limit is floor(u * limit / 2^64).
 */
#ifndef WEFT_TOOLS_TRAIN_RANDOM_H
#define WEFT_TOOLS_TRAIN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* 64 bits of the stream (seed, member, step) at index. */
uint64_t weft_train_u64(uint64_t seed, uint32_t member, uint64_t step, uint32_t index);

/* Fisher-Yates: for i = count-1 … 1 swap rows[i] with rows[j], j below i+1 drawn by member
 * 2^32-1, step i / 2^32, index i mod 2^32. */
void weft_train_shuffle(uint64_t seed, size_t *rows, size_t count);

/* A minibatch, with replacement: batch numbers below rows; the k-th is drawn by (seed, rank, step)
 * at index k. Steps count from 1. */
void weft_train_minibatch(uint64_t seed, int rank, uint64_t step, size_t rows, size_t batch,
                          size_t *ret_rows);

/* An epoch's order of the rows 0 … count-1: Fisher-Yates as above, drawn by member 2^31 + rank,
 * step epoch (from 0), index i. */
void weft_train_epoch(uint64_t seed, int rank, uint64_t epoch, size_t *ret_rows, size_t count);

/* Number `index` of tensor `tensor` of a model's start, uniform in [-1, 1) on a grid of 2^-23, the
 * same on every machine: drawn by member 2^32-2, step tensor. */
float weft_train_start(uint64_t seed, uint32_t tensor, uint32_t index);

#endif
