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
 *     weft_query query = {.size = sizeof(query), .collective = "allreduce", .algo = "ring",
 *                         .peers = 4, .dtype = WEFT_F32};
 *     weft_plan_export(&query, "mine.json");                             // a start; edit it
 *     weft_coll_opts opts = {.size = sizeof(opts), .algo = "plan:path=mine.json"};
 *     weft_allreduce(group, in, out, count, WEFT_F32, WEFT_SUM, &opts);
 *
 * The file is read and proved when a group meets its path for the first time, before anything is
 * sent, and kept as it was then. What deadlocks, loses or doubles a contribution, or leaves peers
 * with different bits is WEFT_EINVAL naming file, rank and step.
 */
#ifndef WEFT_PLAN_H
#define WEFT_PLAN_H

#include <weft/explain.h>

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
 * Write the plan that a query leads to (explain.h) to a file, as a starting point for another one.
 *
 * @param query  of count and codec only what they decide about the choice matters: the file's plan
 *               cuts any lane evenly.
 * @param path   replaced if it is there.
 * @return 0; WEFT_EINVAL; WEFT_ENOTSUP no algorithm, or not the one named, can serve, or its plan
 *         does not fit a file (2^20 steps; docs/plan_file.md has all limits); WEFT_EIO it cannot be
 *         written; WEFT_ENOMEM.
 * Cost: time and memory grow with the steps of all peers, about 1 KiB each. Threads: any.
 */
WEFT_API int weft_plan_export(const weft_query *query, const char *path);

#ifdef __cplusplus
}
#endif
#endif
