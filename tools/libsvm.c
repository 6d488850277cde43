/* SPDX-License-Identifier: Apache-2.0 */
#include "libsvm.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsvm_source.h"

#define TOKEN_MAX 128   /* longest token; a double in full is below 30 characters */
#define CLASSES_SHOWN 8 /* labels that an error message lists */

typedef struct reader {
    const char *path;
    char *why;
    size_t why_cap;
    weft_libsvm *data;
    size_t most; /* rows wanted */
    bool enough; /* and there */
    size_t row_cap, start_cap, entry_cap, value_cap;
    size_t line;   /* from 1 */
    size_t column; /* of the next character, from 1 */
    bool row_open; /* the line has its label */
    bool comment;  /* the rest of the line is one */
    bool noted;    /* the line has one */
    uint32_t last; /* last index of the row, from 1; 0: none yet */
    char token[TOKEN_MAX + 1];
    size_t token_len;
    size_t token_column;
} reader;

/* "file: line, column: reason". */
__attribute__((format(printf, 2, 3))) static int fail(reader *r, const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(r->why, r->why_cap, "%s: line %zu, column %zu: %s", r->path, r->line, r->token_column,
             reason);
    return -1;
}

static int fail_memory(reader *r)
{
    snprintf(r->why, r->why_cap, "%s: out of memory at line %zu", r->path, r->line);
    return -1;
}

/* Make room for one more element. */
static bool grow(void **array, size_t *cap, size_t used, size_t bytes)
{
    size_t want;
    void *bigger;

    if (used < *cap)
        return true;
    want = *cap == 0 ? 1024 : *cap * 2;
    if (want > SIZE_MAX / bytes)
        return false;
    bigger = realloc(*array, want * bytes);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *cap = want;
    return true;
}

/* The token for a message: what is not printable shown as '?'. */
static const char *shown(const char *text, char into[TOKEN_MAX + 1])
{
    size_t i;

    for (i = 0; text[i] != '\0' && i < 40; i++)
        into[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
    into[i] = '\0';
    return into;
}

/* A finite decimal number that fills the text. what: "label" or "value". */
static int parse_number(reader *r, const char *text, const char *what, double *ret)
{
    char show[TOKEN_MAX + 1];
    char *end = NULL;
    double v;

    if (text[0] == '\0')
        return fail(r, "a %s is missing", what);
    v = strtod(text, &end);
    if (end != text && *end == '\0' && isnan(v))
        return fail(r, "the %s is NaN", what);
    if (end != text && *end == '\0' && isinf(v))
        return fail(r, "the %s '%s' is infinite or beyond a double", what, shown(text, show));
    if (end == text || *end != '\0' || strspn(text, "0123456789+-.eE") != strlen(text))
        return fail(r, "'%s' is no %s", shown(text, show), what);
    *ret = v;
    return 0;
}

static int add_label(reader *r, const char *text)
{
    weft_libsvm *d = r->data;
    double v = 0;

    if (strchr(text, ':') != NULL)
        return fail(r, "the row begins with an index:value pair, its label is missing");
    if (parse_number(r, text, "label", &v) != 0)
        return -1;
    if (!grow((void **)&d->label, &r->row_cap, d->rows, sizeof(*d->label)) ||
        !grow((void **)&d->start, &r->start_cap, d->rows + 1, sizeof(*d->start)))
        return fail_memory(r);
    d->label[d->rows] = v;
    d->start[d->rows] = d->nonzeros;
    d->rows++;
    d->start[d->rows] = d->nonzeros;
    r->row_open = true;
    r->last = 0;
    return 0;
}

static int add_entry(reader *r, char *text)
{
    weft_libsvm *d = r->data;
    char show[TOKEN_MAX + 1];
    char *colon = strchr(text, ':');
    uint64_t index = 0;
    double v = 0;

    if (colon == NULL || colon == text)
        return fail(r, "'%s' is no index:value pair", shown(text, show));
    for (const char *p = text; p < colon; p++) {
        if (!isdigit((unsigned char)*p))
            return fail(r, "'%s' is no index:value pair, an index is a whole number",
                        shown(text, show));
        if (index <= WEFT_LIBSVM_INDEX_MAX)
            index = index * 10 + (uint64_t)(*p - '0');
    }
    if (index == 0)
        return fail(r, "index 0, indices begin with 1");
    if (index > WEFT_LIBSVM_INDEX_MAX)
        return fail(r, "an index is above %u", WEFT_LIBSVM_INDEX_MAX);
    if (index <= r->last)
        return fail(r, "index %llu after %u, indices must ascend", (unsigned long long)index,
                    r->last);
    if (parse_number(r, colon + 1, "value", &v) != 0)
        return -1;
    if (!grow((void **)&d->index, &r->entry_cap, d->nonzeros, sizeof(*d->index)) ||
        !grow((void **)&d->value, &r->value_cap, d->nonzeros, sizeof(*d->value)))
        return fail_memory(r);
    d->index[d->nonzeros] = (uint32_t)(index - 1);
    d->value[d->nonzeros] = v;
    d->nonzeros++;
    d->start[d->rows] = d->nonzeros;
    r->last = (uint32_t)index;
    if (index > d->dim)
        d->dim = (size_t)index;
    return 0;
}

static int end_token(reader *r)
{
    r->token[r->token_len] = '\0';
    r->token_len = 0;
    return r->row_open ? add_entry(r, r->token) : add_label(r, r->token);
}

static int end_line(reader *r)
{
    if (!r->row_open && !r->noted) {
        r->token_column = 1;
        return fail(r, "the line is empty, a label was expected");
    }
    r->row_open = r->comment = r->noted = false;
    r->enough = r->most > 0 && r->data->rows == r->most;
    r->line++;
    r->column = 1;
    return 0;
}

static int take(reader *r, unsigned char c)
{
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

    if (c == '#' && !r->comment) {
        r->comment = r->noted = true;
        if (r->token_len > 0 && end_token(r) != 0)
            return -1;
    }
    if (r->comment && c != '\n') {
        r->column++;
        return 0;
    }
    if (blank && r->token_len > 0 && end_token(r) != 0)
        return -1;
    if (c == '\n')
        return end_line(r);
    if (!blank) {
        if (r->token_len == 0)
            r->token_column = r->column;
        if (r->token_len == TOKEN_MAX)
            return fail(r, "a token is longer than %d characters", TOKEN_MAX);
        if (c == '\0')
            return fail(r, "a zero byte: this is no text");
        r->token[r->token_len++] = (char)c;
    }
    r->column++;
    return 0;
}

static int read_rows(reader *r)
{
    weft_source *source = NULL;
    const unsigned char *bytes = NULL;
    int status = -1;
    long n = 0;

    if (weft_source_open(&source, r->path, r->why, r->why_cap) != 0)
        return -1;
    while (!r->enough && (n = weft_source_more(source, &bytes, r->why, r->why_cap)) > 0) {
        for (long i = 0; i < n && !r->enough; i++) {
            if (take(r, bytes[i]) != 0)
                goto out;
        }
    }
    if (n < 0)
        goto out;
    if (r->token_len > 0 && end_token(r) != 0)
        goto out;
    if (r->data->rows == 0) {
        snprintf(r->why, r->why_cap, "%s: the file is empty", r->path);
        goto out;
    }
    if (r->most > 0 && r->data->rows < r->most) {
        snprintf(r->why, r->why_cap, "%s: %zu rows were asked for, the file has %zu", r->path,
                 r->most, r->data->rows);
        goto out;
    }
    status = 0;
out:
    weft_source_close(&source);
    return status;
}

static int compare_labels(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int set_signs(weft_libsvm *d, const char *path, char *why, size_t cap)
{
    int8_t *sign = d->rows > 0 ? calloc(d->rows, sizeof(*sign)) : NULL;

    if (sign == NULL) {
        snprintf(why, cap, "%s: out of memory", path);
        return -1;
    }
    for (size_t i = 0; i < d->rows; i++)
        sign[i] = d->label[i] == d->classes[1] ? 1 : -1;
    free(d->sign);
    d->sign = sign;
    return 0;
}

int weft_libsvm_pair(weft_libsvm *data, const char *path, char *why, size_t cap)
{
    weft_libsvm *d = data;
    double found[CLASSES_SHOWN + 1];
    size_t count = 0;

    for (size_t i = 0; i < d->rows && count <= CLASSES_SHOWN; i++) {
        size_t j = 0;

        while (j < count && found[j] != d->label[i])
            j++;
        if (j == count)
            found[count++] = d->label[i];
    }
    qsort(found, count, sizeof(*found), compare_labels);
    if (count == 1) {
        snprintf(why, cap, "%s: all %zu rows have the label %g, two classes are needed", path,
                 d->rows, found[0]);
        return -1;
    }
    if (count > 2) {
        char list[256] = "";
        size_t used = 0;

        for (size_t j = 0; j < count && j < CLASSES_SHOWN && used < sizeof(list); j++)
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%g", j == 0 ? "" : ", ",
                                     found[j]);
        snprintf(why, cap, "%s: more than two classes, two are needed: labels %s%s", path, list,
                 count > CLASSES_SHOWN ? ", …" : "");
        return -1;
    }
    d->classes[0] = found[0];
    d->classes[1] = found[1];
    return set_signs(d, path, why, cap);
}

int weft_libsvm_pair_like(weft_libsvm *data, const double classes[2], const char *path, char *why,
                          size_t cap)
{
    for (size_t i = 0; i < data->rows; i++) {
        if (data->label[i] == classes[0] || data->label[i] == classes[1])
            continue;
        snprintf(why, cap, "%s: row %zu has the label %g, the training data has %g and %g", path,
                 i + 1, data->label[i], classes[0], classes[1]);
        return -1;
    }
    data->classes[0] = classes[0];
    data->classes[1] = classes[1];
    return set_signs(data, path, why, cap);
}

int weft_libsvm_read(weft_libsvm **ret, const char *path, size_t most, char *why, size_t cap)
{
    reader r = {.path = path, .most = most, .why = why, .why_cap = cap, .line = 1, .column = 1};
    int status = -1;

    r.data = calloc(1, sizeof(*r.data));
    if (r.data == NULL) {
        status = fail_memory(&r);
        goto out;
    }
    if (read_rows(&r) != 0)
        goto out;
    if (r.data->dim == 0) {
        snprintf(why, cap, "%s: no row has a single index:value pair", path);
        goto out;
    }
    *ret = r.data;
    r.data = NULL;
    status = 0;
out:
    weft_libsvm_free(&r.data);
    return status;
}

void weft_libsvm_free(weft_libsvm **data)
{
    weft_libsvm *d = *data;

    *data = NULL;
    if (d == NULL)
        return;
    free(d->start);
    free(d->index);
    free(d->value);
    free(d->label);
    free(d->sign);
    free(d);
}
