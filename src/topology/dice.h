/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers for graphs and searches: Philox blocks (base/rng.h) taken one after the other, a
 * function of seed, stream and position. No state but the position: the same on every machine.
 */
#ifndef WEFT_TOPOLOGY_DICE_H
#define WEFT_TOPOLOGY_DICE_H

#include <stdint.h>

typedef struct weft_dice {
    uint32_t counter[4], key[2], word[4];
    int left; /* words of the block not yet taken */
} weft_dice;

weft_dice weft_dice_start(uint64_t seed, uint32_t stream);
/* 0 … limit-1, unbiased; limit > 0. */
uint32_t weft_dice_below(weft_dice *d, uint32_t limit);
/* [0, 1), a multiple of 2^-32. */
double weft_dice_unit(weft_dice *d);

#endif
