/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The thread's last error: of its own calls, and of what it does for others meanwhile. */
typedef struct last_error {
    weft_error error;
    char text[WEFT_MESSAGE_BYTES];
} last_error;

static _Thread_local last_error own = {.error = {.code = WEFT_OK, .rank = -1, .message = ""}};
static _Thread_local last_error others = {.error = {.code = WEFT_OK, .rank = -1, .message = ""}};
static _Thread_local bool for_others;

static last_error *place(void)
{
    return for_others ? &others : &own;
}

const weft_error *weft_last_error(void)
{
    return &place()->error;
}

bool weft_status_for_others(bool now)
{
    const bool before = for_others;
    for_others = now;
    return before;
}

const char *weft_status_name(int code)
{
    switch (code) {
#define STATUS_NAME(name, value, text)                                                             \
    case value:                                                                                    \
        return #name;
        WEFT_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "unknown";
    }
}

const char *weft_status_text(int code)
{
    switch (code) {
#define STATUS_TEXT(name, value, text)                                                             \
    case value:                                                                                    \
        return text;
        WEFT_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown";
    }
}

/* A message is one line whatever text of a caller, a file or a peer is quoted in it. */
__attribute__((format(printf, 2, 0))) static void print_line(char out[WEFT_MESSAGE_BYTES],
                                                             const char *format, va_list args)
{
    if (vsnprintf(out, WEFT_MESSAGE_BYTES, format, args) < 0)
        out[0] = '\0';
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static int set_last(int code, int rank, const char text[WEFT_MESSAGE_BYTES])
{
    last_error *last = place();
    memcpy(last->text, text, WEFT_MESSAGE_BYTES);
    last->error = (weft_error){.code = code, .rank = rank, .message = last->text};
    return code;
}

int(weft_fail)(int code, const char *format, ...)
{
    char text[WEFT_MESSAGE_BYTES] = {0}; /* not in its place: the arguments may point into it */
    va_list args;
    va_start(args, format);
    print_line(text, format, args);
    va_end(args);
    return set_last(code, -1, text);
}

int(weft_fail_rank)(int code, int rank, const char *format, ...)
{
    char text[WEFT_MESSAGE_BYTES] = {0};
    va_list args;
    va_start(args, format);
    print_line(text, format, args);
    va_end(args);
    return set_last(code, rank, text);
}

int weft_fail_context(const char *format, ...)
{
    char text[WEFT_MESSAGE_BYTES] = {0};
    va_list args;
    va_start(args, format);
    print_line(text, format, args);
    va_end(args);
    const weft_error *last = weft_last_error();
    size_t len = strlen(text);
    snprintf(text + len, sizeof(text) - len, ": %s", last->message);
    return set_last(last->code, last->rank, text);
}

int weft_fail_problem(const weft_problem *problem)
{
    return set_last(problem->code, problem->rank, problem->text);
}

void weft_problem_set(weft_problem *problem, int code, int rank, const char *format, ...)
{
    if (problem->code != WEFT_OK)
        return;
    char text[WEFT_MESSAGE_BYTES] = {0};
    va_list args;
    va_start(args, format);
    print_line(text, format, args);
    va_end(args);
    problem->code = code;
    problem->rank = rank;
    memcpy(problem->text, text, sizeof(text));
}

void weft_problem_from_last(weft_problem *problem)
{
    const weft_error *last = weft_last_error();
    if (last->code != WEFT_OK)
        weft_problem_set(problem, last->code, last->rank, "%s", last->message);
}
