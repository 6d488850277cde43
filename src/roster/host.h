/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of this host: which one wrote an entry, and does it still live. */
#ifndef WEFT_ROSTER_HOST_H
#define WEFT_ROSTER_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* A process for as long as the host runs: a pid alone is used again. */
typedef struct weft_process {
    uint64_t space; /* inode of its pid namespace, 0 unknown */
    uint64_t born;  /* start time in clock ticks since boot, 0 unknown */
    int32_t pid;
} weft_process;

weft_process weft_process_self(void);
/* true only when certain: its pid is gone or belongs to a later process. A process of another pid
 * namespace counts as alive. The caller makes sure that it is of this host. */
bool weft_process_dead(const weft_process *p);
/* Pid and start of the nearest ancestor whose command name begins with `name`; false: none. */
bool weft_process_ancestor(const char *name, weft_process *ret);

#endif
