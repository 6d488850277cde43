/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/theory.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/spec.h"
#include "base/status.h"

/* What follows `word` at the start of text: "" or "*…"; NULL when something else does. */
static const char *after(const char *text, const char *word)
{
    const size_t len = strlen(word);

    if (strncmp(text, word, len) != 0 || (text[len] != '\0' && text[len] != '*')) {
        return NULL;
    }
    return text + len;
}

int weft_lr_parse(const char *text, weft_lr_rule *ret)
{
    static const struct {
        const char *word;
        weft_lr_kind kind;
    } rules[] = {{"theory", WEFT_LR_THEORY},
                 {"theory2019", WEFT_LR_THEORY2019},
                 {"theory_nonconvex", WEFT_LR_NONCONVEX}};
    weft_lr_rule rule = {.kind = WEFT_LR_NUMBER, .value = 1.0};
    const char *rest = NULL;

    for (size_t i = 0; rest == NULL && i < sizeof(rules) / sizeof(rules[0]); i++) {
        rest = after(text, rules[i].word);
        rule.kind = rest != NULL ? rules[i].kind : WEFT_LR_NUMBER;
    }
    if (rest == NULL || *rest == '*') {
        const char *number = rest == NULL ? text : rest + 1;

        /* The model is float32: a step size must be a positive one too. */
        if (weft_parse_number("lr", number, 0.0, (double)FLT_MAX, &rule.value) != WEFT_OK ||
            (float)rule.value <= 0.0f) {
            return weft_fail(WEFT_EINVAL,
                             "lr \"%s\" is none of: a number above 0, theory, theory2019, "
                             "theory_nonconvex, and one of these with *FACTOR behind it",
                             text);
        }
    }
    *ret = rule;
    return WEFT_OK;
}

double weft_theory_alpha(double omega)
{
    return omega > 0.0 ? 1.0 / (1.0 + omega) : 0.0;
}

static int need(double value, const char *name, const char *rule)
{
    if (value > 0.0) {
        return WEFT_OK;
    }
    return weft_fail(WEFT_EINVAL, "lr=%s needs smoothness.%s: give it, or a number as lr", rule,
                     name);
}

static int minibatch(const weft_setting *s, double *ret_lr)
{
    const int code = need(s->smoothness.Lrow, "Lrow", "theory with minibatches");

    if (code == WEFT_OK) {
        *ret_lr =
            (1.0 - s->momentum) / (2.0 * s->smoothness.Lrow * (1.0 + 6.0 * s->omega / s->peers));
    }
    return code;
}

/* 1/(L + times omega Lmax/n): the noise of the codec costs `times` omega Lmax/n of smoothness. */
static int full_gradients(const weft_setting *s, double times, double *ret_lr)
{
    int code = need(s->smoothness.L, "L", "theory");

    if (code == WEFT_OK && s->omega > 0.0) {
        code = need(s->smoothness.Lmax, "Lmax", "theory");
    }
    if (code == WEFT_OK) {
        *ret_lr = (1.0 - s->momentum) /
                  (s->smoothness.L + times * s->omega * s->smoothness.Lmax / s->peers);
    }
    return code;
}

int weft_theory_sgd(const weft_setting *s, double *ret_lr)
{
    if (s->smoothness.minibatch) {
        return minibatch(s, ret_lr);
    }
    int code = full_gradients(s, 2.0, ret_lr);
    if (code == WEFT_OK && s->omega <= 0.0 && s->l1 <= 0.0 && s->smoothness.mu > 0.0) {
        *ret_lr = (1.0 - s->momentum) * 2.0 / (s->smoothness.L + s->smoothness.mu);
    }
    return code;
}

int weft_theory_diana(const weft_setting *s, double *ret_lr)
{
    return s->smoothness.minibatch ? minibatch(s, ret_lr) : full_gradients(s, 6.0, ret_lr);
}

int weft_theory_diana2019(const weft_setting *s, double *ret_lr, double *ret_alpha)
{
    const weft_smoothness *m = &s->smoothness;

    if (m->minibatch) {
        return weft_fail(WEFT_ENOTSUP, "lr=theory2019 is for full gradients: take lr=theory");
    }
    int code = need(m->Lmax, "Lmax", "theory2019");
    if (code == WEFT_OK) {
        code = need(m->mu, "mu", "theory2019");
    }
    if (code == WEFT_OK) {
        const double alpha = 0.5 / (1.0 + s->omega);
        const double noise = 1.0 + 2.0 * s->omega / s->peers;

        *ret_lr = (1.0 - s->momentum) * fmin(alpha / m->mu, 2.0 / ((m->Lmax + m->mu) * noise));
        *ret_alpha = alpha;
    }
    return code;
}

int weft_theory_nonconvex(const weft_setting *s, double *ret_lr, double *ret_alpha)
{
    const int code = need(s->smoothness.Lmax, "Lmax", "theory_nonconvex");

    if (code == WEFT_OK) {
        *ret_alpha = 0.5 * weft_theory_alpha(s->omega);
        *ret_lr = (1.0 - s->momentum) / (s->smoothness.Lmax * (1.0 + 4.0 * s->omega / s->peers));
    }
    return code;
}

int weft_theory_vr(const weft_setting *s, double *ret_lr)
{
    const int code = need(s->smoothness.Lrow, "Lrow", "theory");

    if (code == WEFT_OK) {
        *ret_lr =
            (1.0 - s->momentum) / (s->smoothness.Lrow * (1.0 + 36.0 * (1.0 + s->omega) / s->peers));
    }
    return code;
}

int weft_theory_feedback(const weft_setting *s, double *ret_lr)
{
    const bool rows = s->smoothness.minibatch != 0;
    const double L = rows ? 2.0 * s->smoothness.Lrow : s->smoothness.L;
    int code = need(L, rows ? "Lrow" : "L", "theory");

    if (code == WEFT_OK && s->omega >= 1.0) {
        code = weft_fail(WEFT_ENOTSUP,
                         "theory's step of error feedback is known where a codec loses less than "
                         "it is given; this one's omega is %g, not below 1: give a number, or take "
                         "more levels or shorter buckets",
                         s->omega);
    }
    if (code == WEFT_OK) {
        *ret_lr = (1.0 - s->momentum) / L;
    }
    return code;
}

int weft_theory_ef21(const weft_setting *s, double *ret_lr)
{
    int code = need(s->smoothness.L, "L", "theory");

    if (code == WEFT_OK) {
        code = need(s->smoothness.Lmax, "Lmax", "theory");
    }
    if (code == WEFT_OK && s->smoothness.minibatch) {
        code =
            weft_fail(WEFT_ENOTSUP, "theory's step of ef21 is for full gradients: give a number");
    }
    if (code == WEFT_OK && !(s->delta > 0.0)) {
        code = weft_fail(WEFT_ENOTSUP, "theory's step of ef21 is known for codec topk: give a "
                                       "number");
    }
    if (code == WEFT_OK) {
        const double t = 1.0 - sqrt(1.0 - s->delta), b = (1.0 - s->delta) / t;

        *ret_lr = (1.0 - s->momentum) / (s->smoothness.L + s->smoothness.Lmax * sqrt(b / t));
    }
    return code;
}
