/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a codec does to one vector: size, error against the stated bound, speed, and from which link
 * on it is worth its time. The functions below are sums over round trips and a stopwatch; nothing
 * of a codec is known but what <weft/codec.h> says.
 */
#ifndef WEFT_TOOLS_CODEC_REPORT_H
#define WEFT_TOOLS_CODEC_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include <weft/codec.h>

/* A codec and a vector, with room for a round trip. */
typedef struct weft_codec_bench {
    const weft_codec *codec;
    const char *source; /* of the vector: a file, or "random" */
    const float *in;
    size_t count;
    weft_draw draw; /* of the first round trip; the t-th from 0 adds t to draw.draw */
    size_t trials, repeats;
    unsigned char *bytes; /* cap of them */
    size_t cap;
    float *out; /* count */
} weft_codec_bench;

/* Of `trials` round trips; lengths are Euclidean norms, parts of that of the input. */
typedef struct weft_codec_errors {
    double norm, most;  /* Euclidean and largest magnitude of the input */
    double bytes;       /* of an encoding, mean */
    double error;       /* E |Q(v) - v|^2 / |v|^2 */
    double error_sigma; /* standard error of it, 0 for one trial */
    double bias;        /* |E Q(v) - v| / |v| */
    /* What a bias must exceed to be told from chance, 3 standard deviations of its square; NaN for
     * one trial and where the codec is biased anyway. */
    double bias_by_chance;
    double omega; /* bound of `error`; NaN: none is stated */
} weft_codec_errors;

/* What of the error is not bias. */
double weft_codec_variance(const weft_codec_errors *e);

/* Medians of `repeats`, bytes of float32 input a second. */
typedef struct weft_codec_speed {
    double encode, decode, memcpy;
    /* Bits a second of a link: below, encoding, sending what was encoded and decoding takes less
     * time than sending the floats. 0: the encoding is not shorter. */
    double pays_below;
} weft_codec_speed;

/* One round trip with the draw; *ret_len bytes of encoding. A code of weft_status. */
int weft_codec_trip(const weft_codec_bench *b, const weft_draw *draw, size_t *ret_len);

/* A code of weft_status. */
int weft_codec_measure_errors(const weft_codec_bench *b, weft_codec_errors *ret);
int weft_codec_measure_speed(const weft_codec_bench *b, weft_codec_speed *ret);

void weft_codec_print(const weft_codec_bench *b, const weft_codec_errors *e,
                      const weft_codec_speed *s, FILE *to);
json_t *weft_codec_json(const weft_codec_bench *b, const weft_codec_errors *e,
                        const weft_codec_speed *s);

#endif
