/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Algorithm `plan:path=FILE`: a user's own plan (plan_file.h), proved, and then an algorithm like
 * those of collectives.def.
 *
 * weft_algo_select() and weft_algo_read() open the file; the pick holds it until weft_pick_free().
 * Whoever makes a shape of a pick puts pick.file beside pick.spec there. Peers tell each other the
 * digest of what the file says to do, never its path: "plan(0f1e...)".
 *
 * A file is proved when it is opened: for lanes of one element a part, so that a part's number is
 * the element's number in what is said, then for lanes with empty parts and of no element at all.
 */
#ifndef WEFT_COLLECTIVES_PLAN_ALGO_H
#define WEFT_COLLECTIVES_PLAN_ALGO_H

#include "collectives/plan_file.h"

/* Plan files that stay open, by path: a file is read and proved once, whatever becomes of it later.
 * Any thread. */
int weft_plan_files_open(weft_plan_files **ret);
void weft_plan_files_close(weft_plan_files **files); /* NULL-safe */

/* Read and prove a file, or find it among those (NULL: there are none), with a reference for the
 * caller. 0; WEFT_EIO; WEFT_EINVAL malformed or wrong, naming path, rank and step; WEFT_ENOTSUP too
 * large to be proved, or more than 64 files in `files`; WEFT_ENOMEM. */
int weft_plan_algo_open(weft_plan_files *files, const char *path, weft_plan_algo **ret);
/* The same of a file that was parsed, which it takes over, on failure too. */
int weft_plan_algo_prove(weft_plan_file *f, weft_plan_algo **ret);
weft_plan_algo *weft_plan_algo_ref(weft_plan_algo *a);
void weft_plan_algo_unref(weft_plan_algo *a); /* NULL-safe */

/* The algorithm: whose build, cost and parts look at shape.file. */
const weft_algo *weft_plan_algo_row(const weft_plan_algo *a);
const weft_plan_file *weft_plan_algo_file(const weft_plan_algo *a);
/* "plan(0f1e...)". */
void weft_plan_algo_name(const weft_plan_algo *a, char *text, size_t cap);

/* The parameters of the SPEC, and its row before a file is opened: of it nothing can be built. */
const weft_algo *weft_plan_algo_blank(weft_coll coll);

#endif
