/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's entry as a file of the meeting folder. */
#ifndef WEFT_ROSTER_PEER_FILE_H
#define WEFT_ROSTER_PEER_FILE_H

#include "roster/board.h"

enum {
    WEFT_PEER_FILE_MAX = 2048, /* bytes; a longer file is none of ours */
    WEFT_PEER_FILE_NAME = 160
};

/* What the file names of a job begin with: its id, made fit for a file name, and a dot. */
void weft_peer_file_prefix(const char *job, char out[WEFT_PEER_FILE_NAME]);
void weft_peer_file_name(const char *job, const uint8_t uuid[16], char out[WEFT_PEER_FILE_NAME]);

/* Write the text; its length. */
size_t weft_peer_file_format(const weft_known *k, const weft_meeting *m,
                             char out[WEFT_PEER_FILE_MAX]);
/* Read it, every byte checked. 1: read; 0: none of ours, *why says why (static storage);
 * WEFT_EVERSION: of this job, but of another protocol; WEFT_EINVAL: of this job, but for another
 * number of peers (ret is filled). */
int weft_peer_file_parse(const char *text, size_t len, const weft_meeting *m, weft_known *ret,
                         const char **why);

#endif
