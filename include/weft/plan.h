/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plan.h
 * Plans of the user's own.
 *
 * A collective is a plan, a list of steps for each peer. Where a SPEC of an algorithm is asked for
 * (weft_coll_opts.algo, WEFT_ALGO, `weft bench --algo`), `plan:path=FILE` takes the plan from a
 * JSON file: for the collective and the number of peers that it was written for. docs/plan_file.md
 * has the format.
 *
 *     weft_plan_export("allreduce", "ring", 4, 0, NULL, "mine.json");    // a start; edit it
 *     weft_coll_opts opts = {.size = sizeof(opts), .algo = "plan:path=mine.json"};
 *     weft_allreduce(group, in, out, count, WEFT_F32, WEFT_SUM, &opts);
 *
 * The file is read and proved when a group meets its path for the first time, before anything is
 * sent, and kept as it was then. What deadlocks, loses or doubles a contribution, or leaves peers
 * with different bits is WEFT_EINVAL naming file, rank and step.
 */
#ifndef WEFT_PLAN_H
#define WEFT_PLAN_H

#include <weft/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Write an algorithm's plan to a file, as a starting point for another one.
 *
 * @param collective  "allreduce", as `weft info` lists them.
 * @param algo        SPEC of one of its algorithms, not "auto".
 * @param peers       1 … 65535, as far as a file holds all their steps (2^20).
 * @param root        of collectives that have a root, else 0.
 * @param hosts       peers entries, the number of each peer's host; NULL: all on one.
 * @param path        replaced if it is there.
 * @return 0; WEFT_EINVAL; WEFT_ENOTSUP the algorithm cannot serve so many peers, or its plan does
 * not fit a file; WEFT_EIO it cannot be written; WEFT_ENOMEM. Cost: time and memory grow with the
 * steps of all peers, about 1 KiB each. Threads: any.
 */
WEFT_API int weft_plan_export(const char *collective, const char *algo, int peers, int root,
                              const int *hosts, const char *path);

#ifdef __cplusplus
}
#endif
#endif
