/* SPDX-License-Identifier: Apache-2.0 */
/* Would an operation be taken? For layers above, which make the same one many times. */
#ifndef WEFT_GROUP_DRY_RUN_H
#define WEFT_GROUP_DRY_RUN_H

#include <weft/collective.h>

enum { WEFT_DRY_ALGO = 128 };

/* All that weft_allreduce_start() does before anything is sent, then nothing: no operation number
 * is used, and no buffer but scratch is written. ret_algo: what would run. 0, or its errors. */
int weft_allreduce_dry_run(weft_group *group, const void *in, void *out, size_t count,
                           weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                           char ret_algo[WEFT_DRY_ALGO]);

#endif
