/* SPDX-License-Identifier: Apache-2.0 */
/* Finders: where peers publish their entries. A row of finders.def and one file each. */
#ifndef WEFT_ROSTER_FINDER_H
#define WEFT_ROSTER_FINDER_H

#include "roster/board.h"

typedef struct weft_finder weft_finder;

typedef struct weft_finder_type {
    const char *name, *scheme, *summary; /* "file", "file://", one line */
    int (*open)(weft_finder **ret, weft_board *board, weft_link *link);
    /* This peer's entry changed: let the others know. */
    int (*publish)(weft_finder *f);
    /* Wait for news until then at most, and put them on the board. 0, or what ends the meeting. */
    int (*wait)(weft_finder *f, int64_t until_ns);
    /* The list is agreed: give ret what is needed later (file, seed, early). */
    int (*finish)(weft_finder *f, weft_roster *ret);
    /* This peer has given up, and its entry on the board says so: tell it and take the entry away.
     * urgent: others may count on this peer, see that they notice. */
    void (*leave)(weft_finder *f, bool urgent);
    /* What was tried and how it went, for error texts. */
    void (*describe)(const weft_finder *f, char *out, size_t cap);
    void (*close)(weft_finder **f);
} weft_finder_type;

struct weft_finder {
    const weft_finder_type *type; /* first member of every finder */
};

#define X(name) extern const weft_finder_type weft_finder_##name;
#include "roster/finders.def"
#undef X

const weft_finder_type *weft_finder_type_at(int index);
/* By the scheme that a meeting place begins with. NULL: none. */
const weft_finder_type *weft_finder_type_for(const char *meet);

/* The seed of a roster, with the list and what is needed to answer. */
void weft_seed_free(weft_seed **seed);

#endif
