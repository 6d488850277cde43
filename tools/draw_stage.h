/* SPDX-License-Identifier: Apache-2.0 */
/* Between draw_stage.c, which sets a story's peers up, and draw_story.c, which lets them play. */
#ifndef WEFT_TOOLS_DRAW_STAGE_H
#define WEFT_TOOLS_DRAW_STAGE_H

#include "draw_story.h"

/* Both sides are one vector; one side has a block for each peer; both have; there is nothing. */
enum weft_stage_layout { WEFT_STAGE_VECTOR, WEFT_STAGE_SIDE, WEFT_STAGE_BOTH, WEFT_STAGE_NONE };

/* A slot: contributors of each atom of its span. */
typedef struct weft_stage_content {
    uint64_t *sets; /* of the atoms first … first + count - 1; NULL: empty */
    int block, first, count;
    int message; /* that it came with, -1: made here */
} weft_stage_content;

/* A part under way. */
typedef struct weft_stage_parcel {
    weft_stage_content what;
    uint64_t heard; /* of whom its sender had, when it went */
    int next;       /* between the same two, -1 */
} weft_stage_parcel;

typedef struct weft_stage_actor {
    weft_schedule_step *steps;
    size_t count, at, behind; /* next step; the one behind the last fence */
    weft_stage_content *slots;
    int slot_count;
    uint64_t *out; /* contributors of each travelling block and atom */
    int *out_from; /* the message that brought them first, -1: none */
    uint64_t heard;
    int clock;   /* last round waited for */
    int written; /* rounds whose holdings are written down, -1: none */
    float *most; /* of each cell, held since then at some time */
} weft_stage_actor;

typedef struct weft_stage {
    weft_story *story;
    const weft_query *q;
    int size, layout, blocks; /* blocks: of what travels */
    bool reduces;             /* every block is a sum over all */
    uint64_t *edges;          /* of atoms */
    int atoms;
    weft_stage_actor *actors;
    weft_stage_parcel *parcels;
    int parcel_count, parcel_cap;
    int *heads, *tails; /* of the parcels of [from * size + to] */
    int message_cap, part_cap, part_count;
} weft_stage;

bool weft_stage_is(const weft_stage *s, const char *collective);
/* Index of the atom that begins at an edge. */
int weft_stage_atom(const weft_stage *s, uint64_t edge);
void weft_stage_clear(weft_stage_content *c);
/* Load all plans, find atoms and cells; s has story, q and size. */
int weft_stage_open(weft_stage *s);
void weft_stage_close(weft_stage *s);

#endif
