/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's own plan: what every rank does in one collective of one number of peers, as JSON.
 * docs/plan_file.md describes the format; in short:
 *
 *     {"weft_plan": 1, "collective": "allreduce", "peers": 2, "parts": 1,
 *      "name": "swap", "note": "both send all they have",
 *      "ranks": [[{"do": "pack", "slot": 0},
 *                 {"do": "send", "slot": 0, "to": 1},
 *                 {"do": "recv", "slot": 1, "from": 1},
 *                 {"do": "fence"},
 *                 {"do": "merge", "slot": 1, "other": 0, "order": "other_first"},
 *                 {"do": "unpack", "slot": 1}],
 *                [...]]}
 *
 * Step i of a rank in the file is step i of its plan, so that whatever is said of a step holds for
 * both. Spans are counted in parts: "part": i, or "parts": [from, to) for neighbouring ones, of so
 * many even cuts (weft_cut) of the lane; absent: all of it.
 *
 * A file is not trusted: its size, nesting, ranks, steps, slots and parts are bounded, and so are
 * time and memory of the proof (plan_algo.h) before one is tried.
 */
#ifndef WEFT_COLLECTIVES_PLAN_FILE_H
#define WEFT_COLLECTIVES_PLAN_FILE_H

#include "collectives/algo.h"

enum {
    WEFT_PLAN_FILE_BYTES = 64 << 20,
    WEFT_PLAN_FILE_PEERS = 65535,
    WEFT_PLAN_FILE_STEPS = 1 << 20,      /* of all ranks */
    WEFT_PLAN_FILE_RANK_STEPS = 1 << 16, /* of one */
    WEFT_PLAN_FILE_PARTS = 1 << 16,
    WEFT_PLAN_FILE_CELLS = 1 << 20, /* parts times peers */
    WEFT_PLAN_FILE_SLOTS = 256,     /* of a rank with fewer steps than that; else one a step */
};

/* A step as the file has it; a send's and a merge's span is that of the slot. */
typedef struct weft_file_step {
    weft_verb verb;
    bool other_first, raw, joined;
    int slot, other, peer;
    uint32_t block, from, to; /* the parts from … to - 1 of the block */
    double weight;
} weft_file_step;

typedef struct weft_plan_file {
    char *path; /* as it was named */
    weft_coll coll;
    int peers, root, parts;
    weft_file_step *steps; /* of rank 0, then of rank 1, … */
    size_t *first;         /* peers + 1 entries: where each rank's begin */
    uint64_t digest;       /* of what is to be done: equal where name, notes and blanks differ */
} weft_plan_file;

/* path is for messages. 0; WEFT_EINVAL naming path and line, or path, rank, step and key;
 * WEFT_ENOMEM. */
int weft_plan_file_parse(const char *path, const char *text, size_t len, weft_plan_file **ret);
/* The same from a regular file. WEFT_EIO: it cannot be read. Takes up to 1 KiB a step meanwhile. */
int weft_plan_file_read(const char *path, weft_plan_file **ret);
void weft_plan_file_free(weft_plan_file *f); /* NULL-safe */
/* Of collective, peers, root, parts and steps. */
uint64_t weft_plan_file_digest(const weft_plan_file *f);

/* Put the steps of s->rank into an empty plan and check it, like a builder. */
int weft_plan_file_place(const weft_plan_file *f, const weft_shape *s, weft_plan *p);

/* The other way round. plans: of all ranks, in rank order, whose spans have edges on `parts` even
 * cuts of the lane for some number of parts; for lanes of other lengths the file cuts evenly too.
 * root: of collectives that have one, else 0. name and note: left out where they are NULL or not
 * UTF-8. *ret_text (weft_free) is the file's. 0; WEFT_ENOTSUP more parts or steps than a file
 * holds, or neighbor_average; WEFT_ENOMEM. */
int weft_plan_file_write(weft_coll coll, int root, const weft_plan *plans, const char *name,
                         const char *note, char **ret_text);

#endif
