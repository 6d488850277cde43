/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong on which rank, told once: peers put their errors here (threads of one process) or
 * write them to a pipe that the parent reads into here (processes); ranks that say the same become
 * one line.
 */
#ifndef WEFT_TOOLS_FAILURES_H
#define WEFT_TOOLS_FAILURES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct weft_failures weft_failures;

/* command: for the lines' beginning. wire: a descriptor that failures are written to, -1: kept.
 * pipes: how many children write to this process, 0: none. */
weft_failures *weft_failures_new(const char *command, int wire, int pipes);
void weft_failures_free(weft_failures *f);

/* From any thread. rank -1: not known. */
void weft_failures_tell(weft_failures *f, int rank, int status, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
void weft_failures_note(weft_failures *f, int rank, int status, const char *text);
/* Bytes that the child `rank` wrote into its wire: whole records or pieces of them. */
void weft_failures_take(weft_failures *f, int rank, const char *bytes, size_t len);

/* Has this rank told a failure? */
bool weft_failures_has(weft_failures *f, int rank);

/* Print all that was kept on stderr, and forget it. peers: how many there are, 0: one of many. */
void weft_failures_print(weft_failures *f, int peers);

/* The status that says more: usage beats lost beats wrong beats done. */
int weft_exit_worse(int a, int b);

#endif
