/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk cut into regions: the vector is selected from once, and each span's encoding has those of
 * the selected elements that lie in it. For algorithms where every peer adds up one region
 * (Ok-Topk).
 *
 * Not a row of the table: an instance is made for one operation and one peer, keeps what it has
 * selected, and is used by one thread at a time.
 */
#ifndef WEFT_CODEC_CODEC_REGION_H
#define WEFT_CODEC_CODEC_REGION_H

#include "codec/codec.h"
#include "codec/regions.h"

bool weft_codec_has_regions(const weft_codec *base); /* it is topk */
/* base: one that has regions. kept, which has been fitted and is held until the instance is closed:
 * what it selects by, and gets when the operation has succeeded, every so many of which the
 * selection is exact; NULL: each is. 0, WEFT_ENOMEM. */
int weft_codec_region(weft_codec **ret, const weft_codec *base, weft_regions *kept, unsigned every);
/* Are peers to add up, in this operation, where each would cut? *ret: the caller's from now on, for
 * as long as the instance may succeed, size - 1 numbers that are to be replaced by the sums; NULL:
 * no. 0, WEFT_ENOMEM. */
int weft_codec_region_bounds(weft_codec *c, double **ret);
/* Pairs that base selects of count elements, at most. */
size_t weft_codec_region_most(const weft_codec *base, size_t count);

#endif
