/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of random codecs over many round trips: no bias, the variance of the formula, peers
 * and tensors independent. The formulas are this file's own.
 */
#ifndef WEFT_TESTS_CODEC_STATS_H
#define WEFT_TESTS_CODEC_STATS_H

#include "support/codec_cases.h"

/* Expectations of Criterion, which name spec and shape. count elements, `trips` round trips. */
void codec_check_statistics(const char *spec, enum shape shape, size_t count, size_t trips,
                            uint64_t seed);

/* Does this codec draw, each peer for itself, and promise no bias? One that draws alike on all
 * peers has errors that are not independent: test_codec_randk. */
bool codec_is_random(const weft_codec *c);
/* Is there a formula for its squared error here? */
bool codec_has_formula(const weft_codec *c);

#endif
