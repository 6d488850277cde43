/* SPDX-License-Identifier: Apache-2.0 */
#include "group/dry_run.h"

#include <stdio.h>

#include "group/call.h"

int weft_allreduce_dry_run(weft_group *group, const void *in, void *out, size_t count,
                           weft_dtype dtype, weft_op op, const weft_coll_opts *opts,
                           char ret_algo[WEFT_DRY_ALGO])
{
    const weft_call c = {.coll = WEFT_COLL_ALLREDUCE,
                         .in = in,
                         .out = out,
                         .count = count,
                         .dtype = dtype,
                         .op = op,
                         .opts = opts};
    weft_request *r = NULL;
    const int code = weft_call_make(group, &c, &r);
    if (code == WEFT_OK) {
        snprintf(ret_algo, WEFT_DRY_ALGO, "%s", r->algo);
        weft_request_discard(r);
    }
    return code;
}
