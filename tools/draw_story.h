/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to draw of an algorithm: its messages round by round, and what every peer holds
 * between the rounds.
 */
#ifndef WEFT_TOOLS_DRAW_STORY_H
#define WEFT_TOOLS_DRAW_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/explain.h>

enum {
    WEFT_STORY_PEERS = 128, /* a picture of more shows nothing */
    WEFT_STORY_HELD = 64    /* up to so many peers it says what they hold */
};

/* A part of a message: where it lies among all that travels. */
typedef struct weft_story_part {
    double from, to; /* 0 … 1, along the vector, or along all blocks */
} weft_story_part;

typedef struct weft_story_message {
    int from, to, round;
    int first, count; /* parts */
    uint64_t elements, bytes;
    bool reduces; /* the receiver combines it with what it has */
} weft_story_message;

/* A cell: a part of the vector, a block, or a peer that was heard of. */
typedef struct weft_story_cell {
    double from, to; /* 0 … 1 */
} weft_story_cell;

typedef struct weft_story {
    char algo[WEFT_EXPLAIN_ALGO];
    int peers, rounds;
    weft_story_message *messages; /* by round, sender, order of sending */
    int message_count;
    weft_story_part *parts;
    weft_story_cell *cells;
    int cell_count;    /* 0: it is not said what peers hold */
    const char *holds; /* what a full cell is, for the legend */
    float *held;       /* [(rounds + 1) * peers * cell_count] 0 … 1: before the first round, after
                          each */
} weft_story;

/* The first lane of a query. 0, or a code with weft_last_error(); WEFT_ENOMEM without it. */
int weft_story_open(weft_story *ret, const weft_query *q);
void weft_story_close(weft_story *story);
float weft_story_held(const weft_story *story, int round, int rank, int cell);

#endif
