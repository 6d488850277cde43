/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one peer knows while meeting: its own entry and those it heard of. Finders fill it, the
 * judge decides. No input or output here.
 *
 * Every entry is its owner's: the owner counts its changes in `stamp`, the higher stamp is the
 * newer one, so copies may come over any way and in any order.
 */
#ifndef WEFT_ROSTER_BOARD_H
#define WEFT_ROSTER_BOARD_H

#include <stddef.h>

#include "base/status.h"
#include "roster/host.h"
#include "roster/roster.h"

enum { WEFT_WHY_TEXT = 200 };

typedef enum weft_known_state {
    WEFT_KNOWN_HERE = 1,
    WEFT_KNOWN_GAVE_UP, /* said so, with code and reason */
    WEFT_KNOWN_DEAD,    /* its process is gone, seen on its own host */
    WEFT_KNOWN_STATES,
    WEFT_KNOWN_VANISHED /* its file is gone; only known here, never told */
} weft_known_state;

typedef struct weft_known {
    weft_entry entry;
    weft_process process;
    uint32_t stamp;          /* from 1 */
    int state;               /* weft_known_state */
    int code;                /* of one that gave up */
    char why[WEFT_WHY_TEXT]; /* and its reason, one line */
    bool listed;             /* in the list this peer confirmed last */
    uint64_t changed;        /* the board's clock at the last change */
    uint32_t from;           /* connection it came by, 0: none */
} weft_known;

typedef struct weft_board {
    const weft_meeting *m;
    uint64_t tag;      /* hash of the job id */
    weft_known *known; /* [0] is this peer */
    size_t count, cap;
    uint64_t clock;    /* counts changes */
    size_t refused;    /* entries that did not fit */
    int64_t reaped_ns; /* when processes were last looked at */
} weft_board;

int weft_board_open(weft_board *b, const weft_meeting *m, const weft_entry *self);
void weft_board_close(weft_board *b);

/* Most entries a board of so many peers takes: live ones and those that came and left. */
size_t weft_board_limit(int peers);
weft_known *weft_board_find(const weft_board *b, const uint8_t uuid[16]);
/* Take an entry. 1: it told something new; 0: not; WEFT_ENOMEM. */
int weft_board_learn(weft_board *b, const weft_known *news);
/* The entry changed here. */
void weft_board_touch(weft_board *b, weft_known *k);
/* Look, now and then or at once, whether processes of this host still live. true: one does not. */
bool weft_board_reap(weft_board *b, int64_t now_ns, bool force);
/* This peer leaves without a group: mark its entry so. */
void weft_board_give_up(weft_board *b, int code, const char *why);

/* Decide. WEFT_OK: all hold the same list; WEFT_PENDING; else the error that ends the meeting. May
 * change this peer's entry (its confirmation). */
int weft_board_judge(weft_board *b);
/* After WEFT_OK: the list into ret (entries, size, rank, hash). */
int weft_board_list(weft_board *b, weft_roster *ret);
/* Error text of a deadline: who is missing. ret_rank: the first of them, -1 unknown. */
void weft_board_missing(const weft_board *b, char *out, size_t cap, int *ret_rank);
/* "rank 3 (tcp://10.0.0.3:4711)", or without the rank. */
void weft_known_name(const weft_known *k, char *out, size_t cap);

#endif
