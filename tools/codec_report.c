/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_report.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

int weft_codec_trip(const weft_codec_bench *b, const weft_draw *draw, size_t *ret_len)
{
    const int code = weft_codec_encode(b->codec, draw, b->in, b->count, b->bytes, b->cap, ret_len);
    return code != WEFT_OK ? code
                           : weft_codec_decode(b->codec, b->bytes, *ret_len, b->out, b->count);
}

static void norms(const float *v, size_t count, double *ret_norm, double *ret_most)
{
    double squares = 0.0, most = 0.0;
    for (size_t i = 0; i < count; i++) {
        squares += (double)v[i] * (double)v[i];
        most = fmax(most, fabs((double)v[i]));
    }
    *ret_norm = sqrt(squares);
    *ret_most = most;
}

/* Add the error of the last round trip to sum. ret_square: its square; ret_along: its product with
 * the sum of those before. */
static void add_error(const weft_codec_bench *b, double *sum, double *ret_square, double *ret_along)
{
    double square = 0.0, along = 0.0;
    for (size_t i = 0; i < b->count; i++) {
        const double e = (double)b->out[i] - (double)b->in[i];
        square += e * e;
        along += e * sum[i];
        sum[i] += e;
    }
    *ret_square = square;
    *ret_along = along;
}

/*
 * The squared bias comes from products of the errors e of different trials: |sum of e|^2 less the
 * sum of |e|^2, over the T(T-1) ordered pairs; without a bias its expectation is 0, whereas |mean
 * error|^2 alone would be the variance over T. The pairs come in one by one as
 * d_t = e_t . (e_1 + … + e_(t-1)), which without a bias are uncorrelated: so the sum of d_t^2
 * estimates the variance of their sum, and one vector is all that is kept.
 */
int weft_codec_measure_errors(const weft_codec_bench *b, weft_codec_errors *ret)
{
    const double trials = (double)b->trials;
    double *sum = calloc(b->count + 1, sizeof(*sum));
    double bytes = 0.0, squares = 0.0, fourths = 0.0, pairs = 0.0, spread = 0.0;
    weft_codec_errors e = {.omega = (double)NAN, .bias_by_chance = (double)NAN};
    int code = sum != NULL ? WEFT_OK : WEFT_ENOMEM;
    for (size_t t = 0; t < b->trials && code == WEFT_OK; t++) {
        double square = 0.0, along = 0.0;
        size_t len = 0;
        weft_draw draw = b->draw;
        draw.draw += t;
        code = weft_codec_trip(b, &draw, &len);
        if (code == WEFT_OK) {
            add_error(b, sum, &square, &along);
        }
        bytes += (double)len;
        squares += square;
        fourths += square * square;
        pairs += along;
        spread += along * along;
        weft_progress("round trip %zu of %zu", t + 1, b->trials);
    }
    weft_progress_end();
    free(sum);
    if (code != WEFT_OK) {
        return code;
    }
    norms(b->in, b->count, &e.norm, &e.most);
    const double energy = e.norm > 0.0 ? e.norm * e.norm : 1.0; /* of zeros nothing is lost */
    e.bytes = bytes / trials;
    e.error = squares / trials / energy;
    e.bias = sqrt(e.error); /* of one trial: all of the error, for all one can say */
    if (b->trials > 1) {
        const double variance = fmax(fourths - squares * squares / trials, 0.0) / (trials - 1.0);
        const double each = 2.0 / (trials * (trials - 1.0));
        e.error_sigma = sqrt(variance / trials) / energy;
        e.bias = sqrt(fmax(pairs * each, 0.0) / energy);
        if (weft_codec_is_unbiased(b->codec)) {
            e.bias_by_chance = sqrt(3.0 * sqrt(spread) * each / energy);
        }
    }
    double omega = 0.0;
    if (weft_codec_is_unbiased(b->codec) &&
        weft_codec_omega(b->codec, b->count, &omega) == WEFT_OK) {
        e.omega = omega;
    }
    *ret = e;
    return WEFT_OK;
}

double weft_codec_variance(const weft_codec_errors *e)
{
    const double rest = e->error - e->bias * e->bias;
    return rest > 1e-12 * e->error ? rest : 0.0; /* less is rounding */
}

enum { STEPS = 3 };

/* Seconds of `inner` copies, encodings (with the encoded length) or decodings. */
static int time_step(const weft_codec_bench *b, int step, size_t inner, size_t *len, double *ret)
{
    /* volatile: no copy is left out because the next one makes the same. */
    void *(*const volatile copy)(void *, const void *, size_t) = memcpy;
    int code = WEFT_OK;
    const double begin = weft_seconds();
    for (size_t k = 0; k < inner && code == WEFT_OK; k++) {
        if (step == 0) {
            copy(b->out, b->in, b->count * sizeof(float));
        } else if (step == 1) {
            code = weft_codec_encode(b->codec, &b->draw, b->in, b->count, b->bytes, b->cap, len);
        } else {
            code = weft_codec_decode(b->codec, b->bytes, *len, b->out, b->count);
        }
    }
    *ret = (weft_seconds() - begin) / (double)inner;
    return code;
}

int weft_codec_measure_speed(const weft_codec_bench *b, weft_codec_speed *ret)
{
    enum { AT_LEAST = 1 << 18 /* elements between two readings of the clock */ };
    const size_t inner = b->count > 0 && b->count < AT_LEAST ? AT_LEAST / b->count : 1;
    double *seconds = calloc(STEPS * b->repeats + 1, sizeof(*seconds)), median[STEPS];
    size_t len = 0;
    int code = seconds != NULL ? WEFT_OK : WEFT_ENOMEM;
    /* In turns, so that what else the machine does meets all three. */
    for (size_t r = 0; r < b->repeats; r++) {
        for (int step = 0; step < STEPS && code == WEFT_OK; step++) {
            code = time_step(b, step, inner, &len, &seconds[(size_t)step * b->repeats + r]);
        }
        weft_progress("measuring %zu of %zu", r + 1, b->repeats);
    }
    weft_progress_end();
    for (size_t step = 0; step < STEPS && code == WEFT_OK; step++) {
        median[step] = weft_median(seconds + step * b->repeats, b->repeats);
    }
    free(seconds);
    if (code != WEFT_OK) {
        return code;
    }
    const double dense = (double)b->count * (double)sizeof(float), saved = dense - (double)len;
    *ret =
        (weft_codec_speed){.memcpy = dense / median[0],
                           .encode = dense / median[1],
                           .decode = dense / median[2],
                           .pays_below = saved > 0 ? 8.0 * saved / (median[1] + median[2]) : 0.0};
    return WEFT_OK;
}

/* "3.2 Gbit/s" */
static void rate_text(double bits, char ret[32])
{
    const double giga = 1e9, mega = 1e6;
    if (bits >= giga) {
        (void)snprintf(ret, 32, "%.3g Gbit/s", bits / giga);
    } else {
        (void)snprintf(ret, 32, "%.3g Mbit/s", bits / mega);
    }
}

static void print_errors(const weft_codec_errors *e, size_t trials, FILE *to)
{
    (void)fprintf(to, "norm      %.6g, largest magnitude %.6g\n", e->norm, e->most);
    (void)fprintf(to, "error     E|Q(v)-v|^2 = %.5g |v|^2", e->error);
    if (trials > 1) {
        (void)fprintf(to, " +- %.2g (%zu round trips)", e->error_sigma, trials);
    }
    if (isnan(e->omega)) {
        (void)fprintf(to, "; biased: no bound is stated\n");
    } else {
        (void)fprintf(to, "; at most omega = %.5g\n", e->omega);
    }
    (void)fprintf(to, "bias      |E Q(v)-v| = %.3g |v|", e->bias);
    if (trials == 1) {
        (void)fprintf(to, ", all of the error of one round trip\n");
    } else if (isnan(e->bias_by_chance)) {
        (void)fprintf(to, ", the rest is variance: %.5g |v|^2\n", weft_codec_variance(e));
    } else {
        (void)fprintf(to, " (chance alone: up to %.2g)\n", e->bias_by_chance);
    }
}

void weft_codec_print(const weft_codec_bench *b, const weft_codec_errors *e,
                      const weft_codec_speed *s, FILE *to)
{
    const double dense = (double)b->count * (double)sizeof(float), giga = 1e9;
    char rate[32];
    (void)fprintf(to, "codec     %s\n", weft_codec_spec(b->codec));
    (void)fprintf(to, "input     %zu floats, %s\n", b->count, b->source);
    (void)fprintf(to, "size      %.1f bytes: %.4f bits an element, ratio %.3f\n", e->bytes,
                  8.0 * e->bytes / (double)b->count, dense / e->bytes);
    print_errors(e, b->trials, to);
    (void)fprintf(to, "encode    %.3f GB/s of floats, %.3f of memcpy\n", s->encode / giga,
                  s->encode / s->memcpy);
    (void)fprintf(to, "decode    %.3f GB/s of floats, %.3f of memcpy\n", s->decode / giga,
                  s->decode / s->memcpy);
    (void)fprintf(to, "memcpy    %.3f GB/s (medians of %zu)\n", s->memcpy / giga, b->repeats);
    if (s->pays_below > 0) {
        rate_text(s->pays_below, rate);
        (void)fprintf(to, "pays      on links below %s", rate);
    } else {
        (void)fprintf(to, "pays      on no link");
    }
    (void)fprintf(to, ": 8 (raw - encoded bytes) / (encode + decode seconds)\n");
}

json_t *weft_codec_json(const weft_codec_bench *b, const weft_codec_errors *e,
                        const weft_codec_speed *s)
{
    const double dense = (double)b->count * (double)sizeof(float);
    const struct {
        const char *key;
        double value;
    } figures[] = {{"bytes", e->bytes},
                   {"bits_per_element", 8.0 * e->bytes / (double)b->count},
                   {"ratio", dense / e->bytes},
                   {"norm", e->norm},
                   {"largest_magnitude", e->most},
                   {"error", e->error},
                   {"error_sigma", e->error_sigma},
                   {"variance", weft_codec_variance(e)},
                   {"omega", e->omega},
                   {"bias", e->bias},
                   {"bias_by_chance", e->bias_by_chance},
                   {"encode_bytes_per_second", s->encode},
                   {"decode_bytes_per_second", s->decode},
                   {"memcpy_bytes_per_second", s->memcpy},
                   {"encode_of_memcpy", s->encode / s->memcpy},
                   {"decode_of_memcpy", s->decode / s->memcpy},
                   {"pays_below_bits_per_second", s->pays_below}};
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "weft", weft_version(), "codec",
        weft_codec_spec(b->codec), "input", b->source, "count", (json_int_t)b->count, "trials",
        (json_int_t)b->trials, "repeats", (json_int_t)b->repeats, "seed", (json_int_t)b->draw.seed,
        "member", (json_int_t)b->draw.member, "unbiased", weft_codec_is_unbiased(b->codec));
    for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
        (void)json_object_set_new(root, figures[i].key, weft_report_real(figures[i].value));
    }
    return root;
}
