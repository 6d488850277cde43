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

/* What an operation takes by an algorithm: fixed + slope * seconds of a byte. */
typedef struct line {
    double fixed, slope;
} line;

typedef struct lines {
    line *all;
    int count;
} lines;

/* The cost table with one second a byte. */
static void second_a_byte(const char *costs, char *ret, size_t cap)
{
    size_t len = 0;
    for (const char *at = costs != NULL ? costs : ""; *at != '\0' && len < cap;) {
        const size_t entry = strcspn(at, ",");
        if (strncmp(at, "byte=", 5) != 0) {
            const int got = snprintf(ret + len, cap - len, "%.*s,", (int)entry, at);
            len += got > 0 ? (size_t)got : 0;
        }
        at += entry + (at[entry] == ',');
    }
    if (len < cap) {
        (void)snprintf(ret + len, cap - len, "byte=1");
    }
}

/* Of every algorithm that may run for the query: which it is depends on the link. */
static bool open_lines(const weft_query *q, lines *ret)
{
    const bool free_choice = q->algo == NULL || strcmp(q->algo, "auto") == 0;
    weft_query there = *q;
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    char costs[1024];
    int count = 0;
    second_a_byte(q->costs, costs, sizeof(costs));
    there.costs = costs;
    if (weft_explain_open(&e, &there) != WEFT_OK) {
        return false;
    }
    while (weft_explain_get(e, count, &c)) {
        count++;
    }
    *ret = (lines){.all = calloc((size_t)count + 1, sizeof(line))};
    for (int i = 0; ret->all != NULL && weft_explain_get(e, i, &c); i++) {
        if (free_choice ? c.why_not[0] == '\0' && !c.named : c.chosen != 0) {
            ret->all[ret->count++] = (line){c.round_s + c.message_s + c.reduce_s, c.byte_s};
        }
    }
    weft_explain_close(&e);
    return ret->count > 0;
}

static double least(const lines *l, double byte_s)
{
    double seconds = (double)INFINITY;
    for (int i = 0; i < l->count; i++) {
        seconds = fmin(seconds, l->all[i].fixed + l->all[i].slope * byte_s);
    }
    return seconds;
}

typedef struct rivals {
    lines dense, coded;
    double coding_s;
} rivals;

static bool dense_wins(const rivals *r, double byte_s)
{
    return least(&r->dense, byte_s) <= least(&r->coded, byte_s) + r->coding_s;
}

/* From links of a byte a second up: where dense begins to win, or else where it ceases to. */
static void compare(const rivals *r, weft_worth *w)
{
    static const double slowest = 1, fastest = 1e-17, step = 1.05; /* seconds a byte */
    const bool first = dense_wins(r, slowest);
    bool before = first;
    w->where = first ? WEFT_WORTH_EVERYWHERE : WEFT_WORTH_NOWHERE;
    w->link = 0;
    for (double at = slowest / step; at > fastest && w->where != WEFT_WORTH_ABOVE; at /= step) {
        const bool wins = dense_wins(r, at);
        if (wins != before && (wins || w->where == WEFT_WORTH_EVERYWHERE)) {
            double from = at * step, to = at;
            while (to < from * (1 - 1e-12)) {
                const double middle = (from + to) / 2;
                *(dense_wins(r, middle) == wins ? &to : &from) = middle;
            }
            w->where = wins ? WEFT_WORTH_ABOVE : WEFT_WORTH_BELOW;
            w->link = 1 / to;
        }
        before = wins;
    }
}

bool weft_topo_worth(const weft_query *q, weft_worth *ret)
{
    weft_query dense = *q;
    weft_worth w = {.dense = {.size = sizeof(w.dense)}};
    weft_codec *codec = NULL;
    rivals r = {.coding_s = 0};
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
    r.coding_s = w.encode_s + w.decode_s;
    const bool fine = open_lines(&dense, &r.dense) && open_lines(q, &r.coded);
    if (fine) {
        compare(&r, &w);
        *ret = w;
    }
    free(r.dense.all);
    free(r.coded.all);
    return fine;
}

/* Two digits: it hangs on a cost table and on a measurement. */
static void rough_rate_text(double rate, char ret[32])
{
    const double bits = rate * 8, unit = pow(10, floor(log10(bits)) - 1);
    weft_topo_rate_text(round(bits / unit) * unit / 8, ret);
}

void weft_topo_print_worth(FILE *to, const weft_worth *w)
{
    char dense[32], coding[32], link[32] = "";
    weft_topo_seconds_text(w->dense.seconds, dense);
    weft_topo_seconds_text(w->encode_s + w->decode_s, coding);
    if (w->link > 0) {
        rough_rate_text(w->link, link);
    }
    (void)fprintf(to, "Without a codec %s would take %s. With coding (%s on this machine) ",
                  w->dense.algo, dense, coding);
    switch (w->where) {
    case WEFT_WORTH_NOWHERE:
        (void)fprintf(to, "dense is slower on every link.\n");
        break;
    case WEFT_WORTH_ABOVE:
        (void)fprintf(to, "dense is faster on links of more than about %s.\n", link);
        break;
    case WEFT_WORTH_BELOW:
        (void)fprintf(to, "dense is faster on links of less than about %s.\n", link);
        break;
    case WEFT_WORTH_EVERYWHERE:
        (void)fprintf(to, "dense is faster on every link.\n");
        break;
    }
}

json_t *weft_topo_worth_json(const weft_worth *w)
{
    static const char *const where[] = {"nowhere", "above", "below", "everywhere"};
    return json_pack("{s:s, s:f, s:f, s:f, s:s, s:o}", "dense", w->dense.algo, "dense_s",
                     w->dense.seconds, "encode_s", w->encode_s, "decode_s", w->decode_s,
                     "dense_wins", where[w->where], "link",
                     w->link > 0 ? json_real(w->link) : json_null());
}
