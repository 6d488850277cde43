/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/lr_schedule.h"

#include <math.h>
#include <string.h>

#include "base/spec.h"
#include "base/status.h"

#define WARMUP                                                                                     \
    {                                                                                              \
        .key = "warmup", .value = "0", .max = 1e15, .integer = 1,                                  \
        .help = "steps over which the step size grows evenly"                                      \
    }

static const weft_param plain[] = {WARMUP, {.key = NULL}};
static const weft_param step[] = {
    WARMUP,
    {.key = "every", .value = "100", .min = 1, .max = 1e15, .integer = 1, .help = "steps"},
    {.key = "factor", .value = "0.1", .max = 1, .help = "each so many steps"},
    {.key = NULL},
};
static const weft_param cosine[] = {
    WARMUP,
    {.key = "steps", .value = "1000", .min = 1, .max = 1e15, .integer = 1, .help = "down to final"},
    {.key = "final", .value = "0", .max = 1, .help = "share of lr at the end"},
    {.key = NULL},
};
static const weft_param inverse[] = {
    WARMUP,
    {.key = "rate", .value = "auto", .max = 1e30, .help = "of 1/(1 + rate k); auto: mu lr/2"},
    {.key = NULL},
};

static const struct {
    const char *name;
    const weft_param *params;
} kinds[] = {{"constant", plain},
             {"step", step},
             {"cosine", cosine},
             {"inverse", inverse},
             {"sqrt", plain}}; /* order of the enum */

int weft_schedule_parse(const char *text, weft_schedule *ret)
{
    char name[WEFT_SPEC_NAME];
    weft_spec spec;
    const int named = weft_spec_name(text, name);

    for (size_t i = 0; named == WEFT_OK && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) != 0) {
            continue;
        }
        const int code = weft_spec_parse("schedule", text, kinds[i].params, &spec);
        if (code != WEFT_OK) {
            return code;
        }
        *ret = (weft_schedule){.kind = (weft_schedule_kind)i,
                               .warmup = spec.number[0],
                               .every = i == WEFT_SCHEDULE_STEP ? spec.number[1] : 1.0,
                               .factor = i == WEFT_SCHEDULE_STEP ? spec.number[2] : 1.0,
                               .steps = i == WEFT_SCHEDULE_COSINE ? spec.number[1] : 1.0,
                               .final = i == WEFT_SCHEDULE_COSINE ? spec.number[2] : 1.0,
                               .rate = i == WEFT_SCHEDULE_INVERSE ? spec.number[1] : 0.0};
        return WEFT_OK;
    }
    return weft_fail(WEFT_EINVAL,
                     "schedule \"%.60s\" is none of: constant, step, cosine, inverse, sqrt", text);
}

int weft_schedule_rate(weft_schedule *s, double mu, double lr)
{
    if (!isnan(s->rate)) {
        return WEFT_OK;
    }
    if (!(mu > 0.0)) {
        return weft_fail(WEFT_EINVAL, "schedule inverse needs smoothness.mu, or its key rate");
    }
    s->rate = mu * lr / 2.0;
    return WEFT_OK;
}

/* cos(pi t), t from 0 to 1, by operations that round alike on every machine: all peers are to take
 * the same step. */
static double half_wave(double t)
{
    const double x = 3.14159265358979323846 * (t - 0.5), xx = x * x;
    double term = x, sine = x;

    for (int i = 2; i < 26; i += 2) {
        term *= -xx / ((double)i * (double)(i + 1));
        sine += term;
    }
    return -sine;
}

double weft_schedule_power(double factor, uint64_t n)
{
    double result = 1.0;

    for (; n > 0; n /= 2, factor *= factor) {
        result *= n % 2 != 0 ? factor : 1.0;
    }
    return result;
}

double weft_schedule_at(const weft_schedule *s, uint64_t k)
{
    const double n = (double)k;
    double by = 1.0;

    switch (s->kind) {
    case WEFT_SCHEDULE_CONSTANT:
        break;
    case WEFT_SCHEDULE_STEP:
        by = weft_schedule_power(s->factor, k / (uint64_t)s->every);
        break;
    case WEFT_SCHEDULE_COSINE:
        by = n < s->steps
                 ? s->final + (1.0 - s->final) * fmax(1.0 + half_wave(n / s->steps), 0.0) / 2.0
                 : s->final;
        break;
    case WEFT_SCHEDULE_INVERSE:
        by = 1.0 / (1.0 + s->rate * n);
        break;
    case WEFT_SCHEDULE_SQRT:
        by = 1.0 / sqrt(n + 1.0);
        break;
    }
    return n < s->warmup ? by * (n + 1.0) / s->warmup : by;
}
