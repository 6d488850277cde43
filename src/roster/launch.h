/* SPDX-License-Identifier: Apache-2.0 */
/* What launch.c and launch_place.c share: one reading of options and environment. */
#ifndef WEFT_ROSTER_LAUNCH_H
#define WEFT_ROSTER_LAUNCH_H

#include "roster/roster.h"

/* In order of precedence. */
typedef enum weft_launcher {
    WEFT_LAUNCHER_TORCHRUN,
    WEFT_LAUNCHER_OPENMPI,
    WEFT_LAUNCHER_MPICH,
    WEFT_LAUNCHER_SRUN,
    WEFT_LAUNCHER_COUNT
} weft_launcher;

typedef struct weft_identity {
    weft_launcher launcher;
    const char *label, *rank_name, *size_name; /* of the variables read */
    int rank, size;
} weft_identity;

typedef struct weft_launch {
    weft_getenv_fn *getenv_fn;
    void *user;
    weft_meeting m;
    const char *size_from, *rank_from; /* the option or variable, NULL: not known */
    weft_identity identity;            /* of the launcher, when launched */
    bool launched;
    bool job_found; /* given, or the launcher has one: not just the default */
} weft_launch;

/* NULL when unset or empty. */
const char *weft_launch_env(const weft_launch *l, const char *name);
/* Add to the account of what was read. */
void weft_launch_note(weft_launch *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Did srun start this process as that rank of that many? */
bool weft_launch_step(const weft_launch *l, const weft_identity *same);

/* The launcher's job id and the variable it is from. 1 there, 0 not; negative: malformed. */
int weft_launch_job(const weft_launch *l, char *out, size_t cap, const char **from);
/* The meeting place as the launcher implies it, into m.meet. */
int weft_launch_place(weft_launch *l);

#endif
