/* SPDX-License-Identifier: Apache-2.0 */
#include "topo_worth.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/codec.h>

#include "topo.h"

enum { SAMPLE = 1 << 18, REPEATS = 5 };

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Least seconds of a few encodings and decodings of SAMPLE floats. false: it does not work. */
static bool measure(const weft_codec *codec, double *encode_s, double *decode_s)
{
    const size_t cap = weft_codec_bound(codec, SAMPLE);
    float *v = malloc(SAMPLE * sizeof(*v)), *back = malloc(SAMPLE * sizeof(*back));
    void *bytes = malloc(cap + 1);
    bool fine = v != NULL && back != NULL && bytes != NULL;
    size_t len = 0;
    *encode_s = *decode_s = (double)INFINITY;
    for (size_t i = 0; fine && i < SAMPLE; i++) { /* something like a gradient: bell-shaped */
        const double a = (double)(i * 7919 % 65536) / 65536,
                     b = (double)(i * 104729 % 65536) / 65536;
        v[i] = (float)(a + b - 1);
    }
    for (int i = 0; fine && i < REPEATS; i++) {
        const weft_draw draw = {.seed = 1, .draw = 1};
        const double from = now();
        fine = weft_codec_encode(codec, &draw, v, SAMPLE, bytes, cap, &len) == WEFT_OK;
        const double between = now();
        fine = fine && weft_codec_decode(codec, bytes, len, back, SAMPLE) == WEFT_OK;
        *encode_s = fmin(*encode_s, between - from);
        *decode_s = fmin(*decode_s, now() - between);
    }
    free(v);
    free(back);
    free(bytes);
    return fine;
}

static bool cheapest(const weft_query *q, weft_candidate *ret)
{
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    bool found = false;
    if (weft_explain_open(&e, q) != WEFT_OK) {
        return false;
    }
    for (int i = 0; weft_explain_get(e, i, &c); i++) {
        if (c.chosen) {
            *ret = c;
            found = true;
        }
    }
    weft_explain_close(&e);
    return found;
}

bool weft_topo_worth(const weft_query *q, const weft_candidate *runs, weft_worth *ret)
{
    weft_query dense = *q;
    weft_worth w = {.dense = {.size = sizeof(w.dense)}};
    weft_codec *codec = NULL;
    dense.codec = dense.reply_codec = NULL;
    dense.algo = "auto";
    dense.fidelity = WEFT_FIDELITY_DEFAULT;
    if (q->codec == NULL || strcmp(q->codec, "raw") == 0 || !cheapest(&dense, &w.dense)) {
        return false;
    }
    if (weft_codec_open(&codec, q->codec) == WEFT_OK && measure(codec, &w.encode_s, &w.decode_s)) {
        const double times = (double)q->count / SAMPLE;
        w.encode_s *= times;
        w.decode_s *= times;
    } else {
        w.encode_s = w.decode_s = 0;
    }
    weft_codec_close(&codec);
    const double fixed = runs->seconds - runs->byte_s + w.encode_s + w.decode_s;
    const double bytes = w.dense.serial_bytes - runs->serial_bytes;
    const double more = fixed - (w.dense.seconds - w.dense.byte_s);
    w.link = bytes <= 0 ? 0 : more <= 0 ? (double)INFINITY : bytes / more;
    *ret = w;
    return true;
}

void weft_topo_print_worth(FILE *to, const weft_candidate *runs, const weft_worth *w)
{
    char dense[32], coding[32];
    weft_topo_seconds_text(w->dense.seconds, dense);
    weft_topo_seconds_text(w->encode_s + w->decode_s, coding);
    (void)fprintf(to, "Without a codec %s would take %s. ", w->dense.algo, dense);
    if (w->link <= 0) {
        (void)fprintf(to, "%s sends no fewer bytes: dense is faster on every link.\n", runs->algo);
    } else if (isinf(w->link)) {
        (void)fprintf(to, "It is slower on every link.\n");
    } else {
        (void)fprintf(to,
                      "With coding (%s on this machine) dense is faster on links of more than %.3g "
                      "Mbit/s.\n",
                      coding, w->link * 8 / 1e6);
    }
}
