/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spec.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { WORD_LONGEST = 63 };

/* Numbers are written with a point whatever the host program's locale is. For "C" the C library
 * gives a static object: nothing is allocated. */
static locale_t enter_c_locale(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static void leave_c_locale(locale_t old)
{
    freelocale(uselocale(old));
}

static double to_number(const char *text, char **end)
{
    locale_t old = enter_c_locale();
    double v = strtod(text, end);
    leave_c_locale(old);
    return v;
}

/* The fewest digits from 15 on that read back as the same double. */
static void print_number(double v, char *out, size_t cap)
{
    locale_t old = enter_c_locale();
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(out, cap, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    leave_c_locale(old);
}

typedef enum reading { READ, NO_NUMBER, OUT_OF_RANGE } reading;

static reading read_number(const char *text, double min, double max, double *ret)
{
    char *end = NULL;
    bool plain = text && *text && strspn(text, "0123456789+-.eE") == strlen(text);
    double v = plain ? to_number(text, &end) : 0.0;
    if (!plain || *end || !isfinite(v))
        return NO_NUMBER;
    if (v < min || v > max)
        return OUT_OF_RANGE;
    *ret = v;
    return READ;
}

static int fail_number(reading how, const char *what, const char *text, double min, double max)
{
    char low[32], high[32];
    print_number(min, low, sizeof(low));
    print_number(max, high, sizeof(high));
    if (how == NO_NUMBER)
        return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" is not a number (%s to %s)", what,
                         text ? text : "", low, high);
    return weft_fail(WEFT_EINVAL, "%s: %.40s is out of range (%s to %s)", what, text, low, high);
}

int weft_parse_number(const char *what, const char *text, double min, double max, double *ret)
{
    reading how = read_number(text, min, max, ret);
    return how == READ ? WEFT_OK : fail_number(how, what, text, min, max);
}

static reading read_int(const char *text, long long min, long long max, long long *ret)
{
    char *end = NULL;
    bool plain = text && *text && strspn(text, "0123456789+-") == strlen(text);
    errno = 0;
    long long v = plain ? strtoll(text, &end, 10) : 0;
    if (!plain || *end)
        return NO_NUMBER;
    if (errno == ERANGE || v < min || v > max)
        return OUT_OF_RANGE;
    *ret = v;
    return READ;
}

static int fail_int(reading how, const char *what, const char *text, long long min, long long max)
{
    if (how == NO_NUMBER)
        return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" is not a whole number (%lld to %lld)", what,
                         text ? text : "", min, max);
    return weft_fail(WEFT_EINVAL, "%s: %.40s is out of range (%lld to %lld)", what, text, min, max);
}

int weft_parse_int(const char *what, const char *text, long long min, long long max, long long *ret)
{
    reading how = read_int(text, min, max, ret);
    return how == READ ? WEFT_OK : fail_int(how, what, text, min, max);
}

/* Levenshtein distance of two words of at most WORD_LONGEST characters. */
static size_t edits(const char *a, const char *b)
{
    size_t row[WORD_LONGEST + 1], n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (diagonal + 1 < best)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *weft_nearest(const char *word, const char *const *words, size_t count)
{
    size_t len = strlen(word);
    if (len == 0 || len > WORD_LONGEST)
        return NULL;
    const char *best = NULL;
    size_t limit = len / 3 > 2 ? len / 3 : 2;
    if (limit >= len) /* otherwise every short word would be near */
        limit = len - 1;
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) > WORD_LONGEST)
            continue;
        size_t d = edits(word, words[i]);
        if (d > limit || (best && d == limit))
            continue;
        best = words[i];
        limit = d;
    }
    return best;
}

/* Length of the name of a SPEC; 0 when it is malformed. */
static size_t name_length(const char *spec)
{
    size_t len = strspn(spec, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len < WEFT_SPEC_NAME && (spec[len] == ':' || spec[len] == '\0') ? len : 0;
}

int weft_spec_name(const char *spec, char name[WEFT_SPEC_NAME])
{
    size_t len = spec ? name_length(spec) : 0;
    if (len == 0)
        return weft_fail(WEFT_EINVAL,
                         "SPEC \"%.60s\" does not begin with a name (a-z, 0-9 and _, at most %d)",
                         spec ? spec : "", WEFT_SPEC_NAME - 1);
    memcpy(name, spec, len);
    name[len] = '\0';
    return WEFT_OK;
}

static bool may_be_auto(const weft_param *param)
{
    return !param->choices && !param->text && !strcmp(param->value, "auto");
}

const char *weft_spec_text(const weft_spec *spec, int i)
{
    return spec->texts + spec->text_at[i];
}

/* Index of word in choices "a|b|c"; -1 when it is none of them. */
static int find_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);
    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (n == len && !memcmp(choices, word, len))
            return i;
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

/* The i-th of choices. */
static void copy_choice(const char *choices, int i, char *out, size_t cap)
{
    for (; i > 0; i--)
        choices += strcspn(choices, "|") + 1;
    snprintf(out, cap, "%.*s", (int)strcspn(choices, "|"), choices);
}

/* What an error begins with: "codec qsgd: levels". Made only where there is one: a codec is opened
 * for every operation. */
typedef struct label {
    char text[WEFT_SPEC_NAME * 4];
} label;

/* param NULL: "codec qsgd". */
static const char *label_of(label *l, const char *what, const weft_spec *spec,
                            const weft_param *param)
{
    snprintf(l->text, sizeof(l->text), "%.*s %s%s%s", WEFT_SPEC_NAME, what, spec->name,
             param ? ": " : "", param ? param->key : "");
    return l->text;
}

/* Put the value of text parameter number i behind those that are there. */
static int read_text(const char *what, const weft_param *param, const char *text, int i,
                     weft_spec *spec)
{
    label words;
    size_t len = strlen(text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" holds a control character",
                             label_of(&words, what, spec, param), text);
    if ((double)len < param->min || (double)len > param->max)
        return weft_fail(WEFT_EINVAL, "%s: a text of %zu bytes (%.0f to %.0f)",
                         label_of(&words, what, spec, param), len, param->min, param->max);
    if (len >= sizeof(spec->texts) - spec->texts_len)
        return weft_fail(WEFT_EINVAL, "%s: texts of more than %zu bytes together",
                         label_of(&words, what, spec, param), sizeof(spec->texts) - 1);
    spec->text_at[i] = spec->texts_len;
    memcpy(spec->texts + spec->texts_len, text, len + 1);
    spec->texts_len = (uint16_t)(spec->texts_len + len + 1);
    return WEFT_OK;
}

/* Read one value of parameter number i. */
static int read_value(const char *what, const weft_param *param, const char *text, int i,
                      weft_spec *spec)
{
    label words;
    if (param->choices) {
        int choice = find_choice(param->choices, text);
        if (choice < 0)
            return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" is none of %s",
                             label_of(&words, what, spec, param), text, param->choices);
        spec->choice[i] = choice;
        return WEFT_OK;
    }
    if (param->text)
        return read_text(what, param, text, i, spec);
    if (may_be_auto(param) && !strcmp(text, "auto")) {
        spec->number[i] = (double)NAN;
        return WEFT_OK;
    }
    if (!param->integer) {
        reading how = read_number(text, param->min, param->max, &spec->number[i]);
        return how == READ ? WEFT_OK
                           : fail_number(how, label_of(&words, what, spec, param), text, param->min,
                                         param->max);
    }
    long long whole = 0, min = (long long)param->min, max = (long long)param->max;
    reading how = read_int(text, min, max, &whole);
    if (how != READ)
        return fail_int(how, label_of(&words, what, spec, param), text, min, max);
    spec->number[i] = (double)whole;
    return WEFT_OK;
}

static int fail_unknown_key(const char *what, const weft_spec *spec, const char *key,
                            const weft_param *params)
{
    label words;
    char all[WEFT_SPEC_TEXT] = "none";
    const char *keys[WEFT_SPEC_PARAMS];
    size_t len = 0, count = 0;
    for (; params[count].key; count++) {
        keys[count] = params[count].key;
        int n = snprintf(all + len, sizeof(all) - len, "%s%s", count ? ", " : "", keys[count]);
        len += len + (size_t)n < sizeof(all) ? (size_t)n : 0;
    }
    const char *near = weft_nearest(key, keys, count);
    return weft_fail(WEFT_EINVAL, "%s: unknown key \"%.40s\"%s%s%s; valid keys: %s",
                     label_of(&words, what, spec, NULL), key, near ? " (did you mean " : "",
                     near ? near : "", near ? "?)" : "", all);
}

/* One "key=value", ended by NUL, into spec. */
static int read_pair(const char *what, char *pair, const weft_param *params, weft_spec *spec)
{
    label words;
    char *equals = strchr(pair, '=');
    if (!equals)
        return weft_fail(WEFT_EINVAL, "%s: \"%.60s\" is not key=value",
                         label_of(&words, what, spec, NULL), pair);
    *equals = '\0';
    int i = 0;
    while (params[i].key && strcmp(params[i].key, pair) != 0)
        i++;
    if (!params[i].key)
        return fail_unknown_key(what, spec, pair, params);
    if (spec->given[i])
        return weft_fail(WEFT_EINVAL, "%s: key %s is given twice",
                         label_of(&words, what, spec, NULL), pair);
    spec->given[i] = 1;
    return read_value(what, &params[i], equals + 1, i, spec);
}

/* The defaults of the texts that were not given. */
static int default_texts(const char *what, const weft_param *params, weft_spec *spec)
{
    label words;
    for (int i = 0; params[i].key; i++) {
        if (!params[i].text || spec->given[i])
            continue;
        if ((double)strlen(params[i].value) < params[i].min)
            return weft_fail(WEFT_EINVAL, "%s: key %s is missing: %s",
                             label_of(&words, what, spec, NULL), params[i].key, params[i].help);
        int code = read_value(what, &params[i], params[i].value, i, spec);
        if (code != WEFT_OK)
            return code;
    }
    return WEFT_OK;
}

int weft_spec_parse(const char *what, const char *spec, const weft_param *params, weft_spec *ret)
{
    weft_spec out = {.name = ""};
    label words;
    char text[WEFT_SPEC_TEXT];
    int code = weft_spec_name(spec, out.name);
    if (code != WEFT_OK)
        return weft_fail_context("%s", what);
    for (int i = 0; params[i].key; i++) {
        if (i == WEFT_SPEC_PARAMS)
            return weft_fail(WEFT_EINTERNAL, "%s: more than %d parameters",
                             label_of(&words, what, &out, NULL), WEFT_SPEC_PARAMS);
        if (params[i].text)
            continue;
        code = read_value(what, &params[i], params[i].value, i, &out);
        if (code != WEFT_OK)
            return code;
    }
    const char *rest = spec + strlen(out.name);
    if (strlen(spec) >= sizeof(text))
        return weft_fail(WEFT_EINVAL, "%s: SPEC is longer than %d characters",
                         label_of(&words, what, &out, NULL), WEFT_SPEC_TEXT - 1);
    if (*rest == ':') {
        snprintf(text, sizeof(text), "%s", rest + 1);
        for (char *pair = text, *next; pair; pair = next) {
            next = strchr(pair, ',');
            if (next)
                *next++ = '\0';
            code = read_pair(what, pair, params, &out);
            if (code != WEFT_OK)
                return code;
        }
    }
    code = default_texts(what, params, &out);
    if (code == WEFT_OK && weft_spec_format(&out, params, text, sizeof(text)) >= sizeof(text))
        code = weft_fail(WEFT_EINVAL, "%s: SPEC with all its keys is longer than %d characters",
                         label_of(&words, what, &out, NULL), WEFT_SPEC_TEXT - 1);
    if (code == WEFT_OK)
        *ret = out;
    return code;
}

size_t weft_spec_format(const weft_spec *spec, const weft_param *params, char *out, size_t cap)
{
    size_t len = strlen(spec->name);
    if (cap >
        0) { /* this part of snprintf: a codec is opened, and written out, for every operation */
        size_t fits = len < cap ? len : cap - 1;
        memcpy(out, spec->name, fits);
        out[fits] = '\0';
    }
    for (int i = 0; params[i].key && len < cap; i++) {
        char value[WEFT_SPEC_TEXT];
        if (params[i].text)
            snprintf(value, sizeof(value), "%s", weft_spec_text(spec, i));
        else if (params[i].choices)
            copy_choice(params[i].choices, spec->choice[i], value, sizeof(value));
        else if (isnan(spec->number[i]))
            snprintf(value, sizeof(value), "auto");
        else if (params[i].integer)
            snprintf(value, sizeof(value), "%.0f", spec->number[i]);
        else
            print_number(spec->number[i], value, sizeof(value));
        len +=
            (size_t)snprintf(out + len, cap - len, "%c%s=%s", i ? ',' : ':', params[i].key, value);
    }
    return len;
}
