/* SPDX-License-Identifier: Apache-2.0 */
/* A file for a test to read, gone when the test is. */
#ifndef WEFT_TESTS_TEMPFILE_H
#define WEFT_TESTS_TEMPFILE_H

#include <stddef.h>

enum { TEMPFILE_PATH = 64 };

/* Write len bytes into a new file and put its path into path. */
void tempfile_write(char path[TEMPFILE_PATH], const void *data, size_t len);
/* Take it away. */
void tempfile_remove(const char *path);

#endif
