/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPEC strings, "name:key=value,key=value", read against a table of parameters (weft_param,
 * weft/info.h): one place for parsing, bounds and help. An error names the valid keys or the range.
 */
#ifndef WEFT_BASE_SPEC_H
#define WEFT_BASE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include <weft/info.h>

enum { WEFT_SPEC_NAME = 32, WEFT_SPEC_PARAMS = 16, WEFT_SPEC_TEXT = 512 };

/* Values in the order of the table. */
typedef struct weft_spec {
    char name[WEFT_SPEC_NAME];
    double number[WEFT_SPEC_PARAMS];       /* of number parameters */
    int choice[WEFT_SPEC_PARAMS];          /* index into choices of word parameters */
    unsigned char given[WEFT_SPEC_PARAMS]; /* 1: written in the SPEC, 0: the default */
    uint16_t text_at[WEFT_SPEC_PARAMS];    /* where in texts those of text parameters begin */
    uint16_t texts_len;                    /* bytes used of texts */
    char texts[WEFT_SPEC_TEXT];            /* ended by NUL, one behind the other */
} weft_spec;

/* The part before ':' into name. 0, or WEFT_EINVAL when empty, too long or not [a-z0-9_]. */
int weft_spec_name(const char *spec, char name[WEFT_SPEC_NAME]);
/* Parse all of spec. `what` begins the error text, "codec". A word parameter whose default is
 * "auto" and that has no choices is a number that may also be the word auto (number = NAN then). A
 * text parameter whose default is shorter than its min must be given. */
int weft_spec_parse(const char *what, const char *spec, const weft_param *params, weft_spec *ret);
/* Value of text parameter number i; lives as long as the spec. */
const char *weft_spec_text(const weft_spec *spec, int i);
/* Write it out again, every key in table order: equal specs give equal texts. WEFT_SPEC_TEXT bytes
 * hold the text of all that weft_spec_parse() takes. Returns its length; cap or more: cut. */
size_t weft_spec_format(const weft_spec *spec, const weft_param *params, char *out, size_t cap);
/* A number: whole text, finite, min … max. 0, or WEFT_EINVAL that names `what`. */
int weft_parse_number(const char *what, const char *text, double min, double max, double *ret);
int weft_parse_int(const char *what, const char *text, long long min, long long max,
                   long long *ret);

/* Of `count` words the one nearest to `word` by edits (at most a third of its length, at least 2),
 * NULL when none is near. */
const char *weft_nearest(const char *word, const char *const *words, size_t count);

#endif
