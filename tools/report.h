/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tools print: JSON files, text tables, order statistics, a progress line.
 *
 * Text is for people and goes to stdout, JSON to the file that --json names. `--json -` puts the
 * JSON on stdout and the text on stderr, so that stdout parses.
 */
#ifndef WEFT_TOOLS_REPORT_H
#define WEFT_TOOLS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* The row of a command's option table for --json. */
/* clang-format off */
#define WEFT_REPORT_OPTIONS                                                                        \
    {.name = "json", .kind = WEFT_CLI_TEXT, .metavar = "FILE",                                     \
     .help = "write the figures as JSON (- = stdout, the text then goes to stderr)"}
/* clang-format on */

/* Where text goes, given the value of --json (may be NULL). */
FILE *weft_report_text(const char *json_path);

/* Write JSON, indented, reals with 17 digits, keys in order of insertion; a file appears when it is
 * complete. path NULL: nothing. Takes the reference to json. 0, or -1 with *ret_why (at least 256
 * bytes) telling why. */
int weft_report_json(const char *path, json_t *json, char ret_why[256]);
/* Could it be written there? Nothing is. 0, or -1 with why. */
int weft_report_check(const char *path, char ret_why[256]);

/* A JSON number; null for NaN and infinities, which JSON lacks. */
json_t *weft_report_real(double value);

/* Text tables: cells are text, columns are as wide as their widest cell. */
typedef struct weft_table weft_table;
/* heads: NULL-ended. A head that begins with '<' is aligned to the left (and loses it). NULL: no
 * memory; the calls below take a NULL table and do nothing. */
weft_table *weft_table_new(const char *const *heads);
/* Append a cell; a row is full after as many cells as there are heads. */
void weft_table_cell(weft_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void weft_table_print(const weft_table *table, FILE *to);
/* As GitHub markdown; "|" in cells is escaped. */
void weft_table_markdown(const weft_table *table, FILE *to);
void weft_table_free(weft_table *table);

/* Order statistics; values are sorted in place. percentile: nearest rank, 0 … 100. NaN if n is 0.
 */
double weft_median(double *values, size_t n);
double weft_percentile(double *values, size_t n, double percent);

/* One line on stderr that overwrites itself, only when stderr is a terminal and only every tenth of
 * a second; weft_progress_end() wipes it. */
void weft_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void weft_progress_end(void);

/* Seconds of the monotonic clock. */
double weft_seconds(void);

#endif
