/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/dice.h"

#include "base/rng.h"

/* Last word of the counter: where draws of codecs hold a peer's number, which stays below 65536. */
#define OURS UINT32_C(0x746f706f)

weft_dice weft_dice_start(uint64_t seed, uint32_t stream)
{
    return (weft_dice){.counter = {0, 0, stream, OURS},
                       .key = {(uint32_t)seed, (uint32_t)(seed >> 32)}};
}

static uint32_t next_word(weft_dice *d)
{
    if (d->left == 0) {
        weft_philox(d->counter, d->key, d->word);
        d->counter[1] += ++d->counter[0] == 0;
        d->left = 4;
    }
    return d->word[4 - d->left--];
}

uint32_t weft_dice_below(weft_dice *d, uint32_t limit)
{
    /* Lemire 2019: the high half of a product; low halves below 2^32 mod limit would be one too
     * many of their kind. */
    const uint32_t surplus = (0 - limit) % limit;
    uint64_t product = (uint64_t)next_word(d) * limit;
    while ((uint32_t)product < surplus)
        product = (uint64_t)next_word(d) * limit;
    return (uint32_t)(product >> 32);
}

double weft_dice_unit(weft_dice *d)
{
    return (double)next_word(d) * 0x1p-32;
}
