/* SPDX-License-Identifier: Apache-2.0 */
/* The laws that random codecs must follow, from their descriptions, in double. */
#ifndef WEFT_TESTS_CODEC_LAWS_H
#define WEFT_TESTS_CODEC_LAWS_H

#include "codec/codec.h"

/* A coordinate that becomes one of two values `gap` apart: the one further from zero with
 * probability `up`. */
typedef struct codec_point {
    double gap, up;
} codec_point;

/* A row of the table. */
typedef struct codec_law {
    const char *name;
    /* The points of each coordinate; NULL: not of two points. */
    void (*points)(const weft_codec *c, const float *v, size_t count, codec_point *ret);
    /* Expected squared error of the vector, given what the draw fixes for all peers. */
    double (*expected)(const weft_codec *c, const float *v, size_t count, const weft_draw *draw);
    bool independent; /* each coordinate of the others */
} codec_law;

/* NULL: none here. */
const codec_law *codec_law_of(const weft_codec *c);

#endif
