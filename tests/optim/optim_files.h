/* SPDX-License-Identifier: Apache-2.0 */
/* Folders and files of tests of checkpoints. */
#ifndef WEFT_TESTS_OPTIM_FILES_H
#define WEFT_TESTS_OPTIM_FILES_H

#include <stddef.h>

/* A new folder; its name is good until the next call. */
const char *scratch_folder(void);
/* How many files a folder holds; with remove_them they are unlinked. */
int files_in(const char *folder, int remove_them);
/* Remove a folder and what is in it. */
void clear_folder(const char *folder);
/* Up to cap bytes of a file. Returns how many; 0: it cannot be read. */
size_t slurp(const char *path, unsigned char *out, size_t cap);
/* Write a file. 1: it is written. */
int spew(const char *path, const unsigned char *data, size_t length);

#endif
