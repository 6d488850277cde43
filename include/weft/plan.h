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

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a plan file is for, and what its plan does in one lane. */
typedef struct weft_plan_facts {
    size_t size;            /**< sizeof(weft_plan_facts), set by the caller */
    char name[32];          /**< as receipts have it, "plan(0f1e2d3c4b5a6978)": equal for files that
                                 do the same */
    const char *collective; /**< "allreduce"; static */
    int peers;              /**< of the group */
    int root;               /**< -1: the collective has none */
    int parts;              /**< even cuts of a lane that spans are made of */
    int combines;           /**< 1: it folds or merges encodings, which not every codec can */
    uint64_t steps;         /**< of all peers */
    uint64_t rounds;        /**< messages that wait for one another */
    uint64_t messages;      /**< most that a peer sends */
} weft_plan_facts;

/**
 * Read a plan file and prove it, as a group does.
 *
 * @param ret  filled on success (its size is set).
 * @return 0; WEFT_EIO it cannot be read; WEFT_EINVAL malformed or wrong: the text names line, or
 *         rank, step and key; WEFT_ENOTSUP too large to be proved; WEFT_ENOMEM.
 * Cost: some seconds at most; up to 1 KiB a step. Threads: any.
 */
WEFT_API int weft_plan_inspect(const char *path, weft_plan_facts *ret);

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
