/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "outfile.h"

struct weft_table {
    char **cells; /* the heads first */
    bool *left;
    size_t columns, count, cap;
    bool failed; /* out of memory: cells are missing */
};

FILE *weft_report_text(const char *json_path)
{
    return json_path != NULL && strcmp(json_path, "-") == 0 ? stderr : stdout;
}

int weft_report_json(const char *path, json_t *json, char ret_why[256])
{
    if (path == NULL) {
        json_decref(json);
        return 0;
    }
    const bool to_stdout = strcmp(path, "-") == 0;
    weft_outfile *out = NULL;
    int error = json == NULL ? ENOMEM : to_stdout ? 0 : weft_outfile_open(&out, path);
    if (error == 0) {
        FILE *file = to_stdout ? stdout : weft_outfile_stream(out);
        errno = 0;
        if (json_dumpf(json, file, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) != 0 ||
            fputc('\n', file) == EOF || fflush(file) != 0) {
            error = errno != 0 ? errno : EIO;
        }
    }
    if (error != 0) {
        weft_outfile_drop(&out);
    } else if (!to_stdout) {
        error = weft_outfile_commit(&out);
    }
    if (error != 0) {
        (void)snprintf(ret_why, 256, "cannot write JSON to %s: %s",
                       to_stdout ? "standard output" : path, strerror(error));
    }
    json_decref(json);
    return error == 0 ? 0 : -1;
}

int weft_report_check(const char *path, char ret_why[256])
{
    const int error = path == NULL || strcmp(path, "-") == 0 ? 0 : weft_outfile_check(path);
    if (error != 0) {
        (void)snprintf(ret_why, 256, "--json %s: %s", path, strerror(error));
    }
    return error == 0 ? 0 : -1;
}

json_t *weft_report_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static bool append(weft_table *t, char *cell)
{
    if (t->count == t->cap) {
        const size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
        char **cells = reallocarray(t->cells, cap, sizeof(*cells));
        if (cells == NULL) {
            free(cell);
            return false;
        }
        t->cells = cells;
        t->cap = cap;
    }
    t->cells[t->count++] = cell;
    return true;
}

weft_table *weft_table_new(const char *const *heads)
{
    weft_table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    while (heads[t->columns] != NULL) {
        t->columns++;
    }
    t->left = calloc(t->columns + 1, sizeof(*t->left));
    bool ok = t->left != NULL;
    for (size_t i = 0; ok && i < t->columns; i++) {
        t->left[i] = heads[i][0] == '<';
        char *cell = strdup(heads[i] + t->left[i]);
        ok = cell != NULL && append(t, cell);
    }
    if (!ok) {
        weft_table_free(t);
        return NULL;
    }
    return t;
}

void weft_table_cell(weft_table *table, const char *format, ...)
{
    if (table == NULL || table->failed) {
        return;
    }
    char *cell = NULL;
    va_list args;
    va_start(args, format);
    const int len = vasprintf(&cell, format, args);
    va_end(args);
    if (len < 0 || !append(table, cell)) {
        table->failed = true;
    }
}

/* Columns a terminal needs for UTF-8 text: bytes that begin a character. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return n;
}

static void print_padded(FILE *to, const char *text, size_t width, bool left, bool last)
{
    const int pad = (int)(width - width_of(text));
    if (left) {
        (void)fprintf(to, "%s%*s", text, last ? 0 : pad, "");
    } else {
        (void)fprintf(to, "%*s%s", pad, "", text);
    }
}

void weft_table_print(const weft_table *table, FILE *to)
{
    if (table == NULL) {
        return;
    }
    const size_t columns = table->columns;
    size_t *widths = calloc(columns + 1, sizeof(*widths));
    for (size_t i = 0; widths != NULL && i < table->count; i++) {
        const size_t width = width_of(table->cells[i]);
        if (width > widths[i % columns]) {
            widths[i % columns] = width;
        }
    }
    for (size_t i = 0; widths != NULL && i < table->count; i++) {
        const size_t c = i % columns;
        print_padded(to, table->cells[i], widths[c], table->left[c], c + 1 == columns);
        (void)fputs(c + 1 == columns ? "\n" : "  ", to);
    }
    if (widths == NULL || table->failed) {
        (void)fprintf(stderr, "weft: out of memory: the table is incomplete\n");
    }
    free(widths);
}

void weft_table_markdown(const weft_table *table, FILE *to)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->count; i++) {
        const size_t c = i % table->columns;
        (void)fputs(c == 0 ? "| " : " | ", to);
        for (const char *at = table->cells[i]; *at != '\0'; at++) {
            (void)fprintf(to, *at == '|' ? "\\%c" : "%c", *at);
        }
        if (c + 1 == table->columns) {
            (void)fputs(" |\n", to);
        }
        if (i + 1 == table->columns) {
            for (size_t k = 0; k < table->columns; k++) {
                (void)fputs(table->left[k] ? "|---" : "|---:", to);
            }
            (void)fputs("|\n", to);
        }
    }
}

void weft_table_free(weft_table *table)
{
    if (table != NULL) {
        for (size_t i = 0; i < table->count; i++) {
            free(table->cells[i]);
        }
        free(table->cells);
        free(table->left);
        free(table);
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double weft_median(double *values, size_t n)
{
    if (n == 0) {
        return (double)NAN;
    }
    qsort(values, n, sizeof(*values), by_value);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

double weft_percentile(double *values, size_t n, double percent)
{
    if (n == 0) {
        return (double)NAN;
    }
    qsort(values, n, sizeof(*values), by_value);
    const double rank = ceil(percent / 100.0 * (double)n);
    const size_t at = rank < 1.0 ? 0 : (size_t)rank - 1;
    return values[at < n ? at : n - 1];
}

double weft_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void weft_progress(const char *format, ...)
{
    /* Only rank 0 reports progress, from one thread: its own clock is enough to keep it rare. */
    static _Thread_local double last;
    const double now = weft_seconds();
    if (!isatty(STDERR_FILENO) || now - last < 0.1) {
        return;
    }
    last = now;
    char text[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fprintf(stderr, "\r\033[K%s", text);
    (void)fflush(stderr);
}

void weft_progress_end(void)
{
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}
