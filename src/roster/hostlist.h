/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's host lists: "gnode[10,20-22],x3". */
#ifndef WEFT_ROSTER_HOSTLIST_H
#define WEFT_ROSTER_HOSTLIST_H

#include <stddef.h>

/* The index-th host of the list into out. 0; WEFT_EINVAL malformed, no such host, or longer than
 * cap-1: the text quotes the list. */
int weft_hostlist_get(const char *list, size_t index, char *out, size_t cap);

#endif
