/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output files that appear whole or not at all: they are written under a name of their own in the
 * same folder and take their place when they are complete. Until then an existing file stays as it
 * is, and SIGINT and SIGTERM leave nothing behind. Devices and pipes are written directly.
 */
#ifndef WEFT_TOOLS_OUTFILE_H
#define WEFT_TOOLS_OUTFILE_H

#include <stddef.h>
#include <stdio.h>

typedef struct weft_outfile weft_outfile;

/* Can a file be written there? Nothing is left behind. 0 or errno. */
int weft_outfile_check(const char *path);

/* Begin a file. 0 or errno. */
int weft_outfile_open(weft_outfile **ret, const char *path);
FILE *weft_outfile_stream(weft_outfile *file);
/* End it: put the file in its place. 0 or errno; sets *file to NULL. */
int weft_outfile_commit(weft_outfile **file);
/* End it: nothing happened. NULL-safe, sets *file to NULL. */
void weft_outfile_drop(weft_outfile **file);

/* From now on SIGINT and SIGTERM end this process with 128 + the signal's number, even where the
 * caller had them ignored (a shell does that to background jobs), and unfinished files go. */
void weft_outfile_guard(void);

#endif
