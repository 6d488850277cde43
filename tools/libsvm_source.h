/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of bytes out of a file, decompressed by the ending of its name: .gz, .xz, else as is. */
#ifndef WEFT_TOOLS_LIBSVM_SOURCE_H
#define WEFT_TOOLS_LIBSVM_SOURCE_H

#include <stddef.h>

typedef struct weft_source weft_source;

/* Open a file. 0, or -1 with the reason in why. */
int weft_source_open(weft_source **ret, const char *path, char *why, size_t cap);
/* Close it. NULL-safe, sets *source to NULL. */
void weft_source_close(weft_source **source);

/* Make more bytes ready. *ret_data stays valid until the next call. Returns how many, 0 at the
 * end, -1 with the reason in why (a read error, a truncated or corrupt archive). */
long weft_source_more(weft_source *source, const unsigned char **ret_data, char *why, size_t cap);

#endif
