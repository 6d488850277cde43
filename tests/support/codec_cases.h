/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of all codecs go through: SPECs made from the table, vectors, spans. */
#ifndef WEFT_TESTS_CODEC_CASES_H
#define WEFT_TESTS_CODEC_CASES_H

#include "base/rng.h"
#include "codec/codec.h"

enum shape { GAUSSIAN, HEAVY, SPARSE, SHAPES };

/* Normal; with tails like those of a t distribution; one element in ten not zero. */
void codec_vector(float *v, size_t count, enum shape shape, uint64_t seed);

/* The i-th SPEC to try: defaults of a row, then each number at both ends and each word, then
 * parameters that matter together. false: behind the last. */
bool codec_spec_at(int i, char out[WEFT_SPEC_TEXT]);

/* Opens it; a failed assertion when that does not work. */
weft_codec *codec_opened(const char *spec);

/* Room for `bytes` and CODEC_CANARY bytes of 0xd5 behind them; free() it. */
enum { CODEC_CANARY = 16 };
uint8_t *codec_room(size_t bytes);
/* Nothing was written behind the room's bytes. */
bool codec_room_kept(const uint8_t *room, size_t bytes);

/* The next span of a lane from `off` on, such as the codec takes: the whole lane, whole blocks, or
 * multiples of 8 elements; of random length. */
weft_stretch codec_span(const weft_codec *c, size_t lane_count, size_t off, weft_rng *rng);

/* Every SPEC, one after the other; `spec` names it in messages. */
#define FOR_EACH_SPEC(spec)                                                                        \
    char spec[WEFT_SPEC_TEXT];                                                                     \
    for (int spec_index = 0; codec_spec_at(spec_index, spec); spec_index++)

#endif
