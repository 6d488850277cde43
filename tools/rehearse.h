/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be known before any peer starts: the library is asked in a group of one, so that names
 * and pairs (codec with algorithm, operation with type) are judged by the code that would run.
 */
#ifndef WEFT_TOOLS_REHEARSE_H
#define WEFT_TOOLS_REHEARSE_H

#include <weft/collective.h>
#include <weft/group.h>

#include "cli.h"
#include "kinds.h"

/* Is algo an algorithm of the collective ("allreduce")? NULL is: the automatic choice. 0, or the
 * exit status after telling the nearest name. origin: "--algo", "run 'x'". */
int weft_check_algo(const weft_cli *cli, const char *origin, const char *collective,
                    const char *algo);

/* What a group of one can be asked for: "auto" in place of a plan file, which is for a number of
 * peers. They judge it themselves, before they send anything. */
const char *weft_rehearsed_algo(const char *algo);

/* A group of this thread alone, over a hub. */
typedef struct weft_alone {
    weft_hub *hub;
    weft_group *group;
} weft_alone;

/* 0, or the exit status after telling. Close in any case. */
int weft_alone_open(const weft_cli *cli, weft_alone *ret);
void weft_alone_close(weft_alone *alone);

/* One call of the collective on one element, with these codecs, algorithm and fidelity. 0, or the
 * exit status after telling. */
int weft_rehearse_call(const weft_cli *cli, const weft_kind *kind, weft_dtype dtype, weft_op op,
                       const weft_coll_opts *coding);

#endif
