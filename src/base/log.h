/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines go to the caller's function or nowhere: the library never prints. */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

enum { WEFT_LOG_ERROR, WEFT_LOG_WARN, WEFT_LOG_INFO, WEFT_LOG_DEBUG };

typedef struct weft_log {
    void (*line)(void *user, int level, const char *line); /* NULL: silent */
    void *user;
} weft_log;

void weft_log_write(const weft_log *log, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
