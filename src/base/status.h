/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors inside the library.
 *
 * `return weft_fail(WEFT_EINVAL, "allreduce: count %zu > limit %zu", …)` sets the thread's last
 * error and returns the code. A layer that adds context calls weft_fail_context() once. An error
 * that belongs to an operation, and not to the thread that met it, is carried in a weft_problem.
 */
#ifndef WEFT_BASE_STATUS_H
#define WEFT_BASE_STATUS_H

#include <stdbool.h>
#include <weft/status.h>

enum { WEFT_MESSAGE_BYTES = 1024 };

/* An error with its own storage; code WEFT_OK means none. */
typedef struct weft_problem {
    int code;
    int rank;
    char text[WEFT_MESSAGE_BYTES];
} weft_problem;

/* Set the thread's last error (rank -1) and return code. */
int weft_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, about a rank. */
int weft_fail_rank(int code, int rank, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "context: " before the last error's text; returns its code. */
int weft_fail_context(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From here on the thread does what others have asked for, among other things (true), or what its
 * caller has (false): each has a last error of its own. Returns what held before. */
bool weft_status_for_others(bool now);
/* Make a problem the thread's last error and return its code. */
int weft_fail_problem(const weft_problem *problem);

#ifdef __clang_analyzer__
/* The static analyzer sees one file at a time: tell it that a failure is never WEFT_OK. */
#define weft_fail(code, ...) ((void)(weft_fail)(code, __VA_ARGS__), (code))
#define weft_fail_rank(code, ...) ((void)(weft_fail_rank)(code, __VA_ARGS__), (code))
#endif

/* Fill a problem; the first one stays: a problem that already has a code is not overwritten. */
void weft_problem_set(weft_problem *problem, int code, int rank, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Take over the thread's last error. */
void weft_problem_from_last(weft_problem *problem);

#endif
