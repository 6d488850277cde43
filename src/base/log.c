/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/status.h"

void weft_log_write(const weft_log *log, int level, const char *format, ...)
{
    if (!log || !log->line)
        return;
    char text[WEFT_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= 0)
        log->line(log->user, level, text);
}
