/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of the cost table from measured times.
 *
 * A price is linear in round, message, byte, reduce and byte × incast (weft_candidate tells its
 * figures), so they are found by least squares of the relative errors, none below 0. What the
 * measurements tell little about stays near where it was: a ridge, small beside what they do tell.
 */
#ifndef WEFT_TOOLS_COST_FIT_H
#define WEFT_TOOLS_COST_FIT_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/explain.h>

enum { WEFT_FIT_CONSTANTS = 5, WEFT_FIT_TEXT = 160 };

/* Constants by their place: "round", "message", "byte", "reduce", "incast". */
extern const char *const weft_fit_names[WEFT_FIT_CONSTANTS];

/* What was measured: an operation's figures, by which its constants are multiplied, and its time.
 */
typedef struct weft_fit_row {
    double rounds, messages, bytes, reduced_bytes;
    double shared;  /* (peers - 1) / peers, of those from which a rank receives */
    double seconds; /* above 0 */
} weft_fit_row;

typedef struct weft_fit {
    double value[WEFT_FIT_CONSTANTS];
    bool told[WEFT_FIT_CONSTANTS]; /* false: no row depends on it, it is as before */
} weft_fit;

/* The row of a candidate, its time left at 0. */
weft_fit_row weft_fit_row_of(const weft_candidate *c);
/* The constants that a candidate was priced with, as far as it depends on them; others are left. */
void weft_fit_constants_of(const weft_candidate *c, double value[WEFT_FIT_CONSTANTS]);
/* What the constants say of a row, seconds. */
double weft_fit_price(const double value[WEFT_FIT_CONSTANTS], const weft_fit_row *row);
/* The constants that fit n rows best. before: those that were, not below 0. */
void weft_fit_costs(const weft_fit_row *rows, size_t n, const double before[WEFT_FIT_CONSTANTS],
                    weft_fit *ret);
/* Those that were told, as WEFT_COSTS takes them. */
void weft_fit_text(const weft_fit *fit, char ret[WEFT_FIT_TEXT]);

#endif
