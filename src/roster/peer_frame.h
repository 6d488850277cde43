/* SPDX-License-Identifier: Apache-2.0 */
/* Entries in ROSTER frames: what peers at a seed tell each other. */
#ifndef WEFT_ROSTER_PEER_FRAME_H
#define WEFT_ROSTER_PEER_FRAME_H

#include "roster/board.h"

enum {
    WEFT_ROSTER_TOLD = 1,      /* entries */
    WEFT_ROSTER_OTHER_JOB = 2, /* the group tag is not mine: the body names my job */
};

/* Who speaks, for which job. */
typedef struct weft_voice {
    weft_link *link;
    uint64_t tag; /* hash of the job id: the frame's group */
    const char *job;
    int peers;
    uint8_t uuid[16];
} weft_voice;

/* Send the entries that changed after `after` and did not come by this connection, in as many
 * frames as it takes, none for none. 0; WEFT_EPEER the connection is down; WEFT_ENOMEM. */
int weft_voice_tell(const weft_voice *v, uint32_t conn, const weft_known *known, size_t count,
                    uint64_t after);
/* Answer a frame of another job. */
int weft_voice_other_job(const weft_voice *v, uint32_t conn);

/* A body that is being read. */
typedef struct weft_telling {
    int what, peers;
    size_t count;
    uint8_t sender[16];
    char job[WEFT_JOB_TEXT]; /* of OTHER_JOB */
    const uint8_t *at, *end;
} weft_telling;

/* Check all of a body, entries too, and stand before the first one. WEFT_EPROTO with the reason. */
int weft_telling_open(const uint8_t *body, size_t len, weft_telling *ret);
/* The next entry. false: there was none left. */
bool weft_telling_next(weft_telling *t, weft_known *ret);

#endif
