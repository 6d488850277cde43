/* SPDX-License-Identifier: Apache-2.0 */
/* The proof of a plan file. */
#ifndef WEFT_COLLECTIVES_PLAN_PROVE_H
#define WEFT_COLLECTIVES_PLAN_PROVE_H

#include "collectives/plan_file.h"

/* Do all ranks together what the collective promises (weft_plan_verify), in lanes of one element a
 * part, of empty parts, of no element? *ret_ordered: and reduce in rank order. 0; WEFT_EINVAL
 * naming path, rank and step; WEFT_ENOTSUP the proof would take more than a few seconds, or half a
 * gigabyte; WEFT_ENOMEM. */
int weft_plan_prove(const weft_plan_file *f, bool *ret_ordered);

/* The checked plan of a rank for a lane of one element a part: off and count of its spans are
 * parts. On failure there is nothing to free. */
int weft_plan_prove_rank(const weft_plan_file *f, int rank, weft_plan *ret);

#endif
