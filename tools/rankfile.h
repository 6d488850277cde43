/* SPDX-License-Identifier: Apache-2.0 */
/* Files of raw little-endian elements, one a rank: "in%d.f32" names in0.f32, in1.f32, … */
#ifndef WEFT_TOOLS_RANKFILE_H
#define WEFT_TOOLS_RANKFILE_H

#include <stdbool.h>
#include <stddef.h>

enum { WEFT_PATH_TEXT = 4096, WEFT_WHY_TEXT = 4400 };

/* At most one %d, %% for a percent sign, nothing else behind a %. */
bool weft_pattern_valid(const char *pattern);
bool weft_pattern_has_rank(const char *pattern);
/* The rank's file name. false: too long. */
bool weft_pattern_name(const char *pattern, int rank, char ret[WEFT_PATH_TEXT]);

/* Elements in a file of elements of so many bytes, without reading it. 0, or -1 and why. */
int weft_rankfile_count(const char *path, size_t element, size_t *ret, char why[WEFT_WHY_TEXT]);
/* Read it whole; *ret is malloc'd, with room for at least one element. 0, or -1 and why. */
int weft_rankfile_read(const char *path, size_t element, void **ret, size_t *ret_count,
                       char why[WEFT_WHY_TEXT]);
/* 0, or -1 and why. */
int weft_rankfile_write(const char *path, const void *bytes, size_t len, char why[WEFT_WHY_TEXT]);

#endif
