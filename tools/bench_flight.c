/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_flight.h"

#include "bench_buffers.h"

/* Call one operation, or start it. */
static int call(weft_bench_peer *b, const weft_bench_row *row, bool inplace, size_t operation,
                float *own, weft_kind_started *ret)
{
    const weft_bench_settings *s = b->s;
    weft_receipt *receipt = &b->receipts[operation];
    *receipt = (weft_receipt){.size = sizeof(*receipt)};
    /* One draw for all iterations: their results must be equal bit for bit. */
    weft_coll_opts opts = s->coding;
    opts.own = own;
    opts.draw = 1;
    opts.tensor = (uint32_t)operation;
    opts.receipt = receipt;
    opts.regions = b->regions != NULL ? b->regions[operation] : NULL;
    const weft_kind_args args = {.in = weft_bench_side(b, row, inplace, true, operation),
                                 .out = weft_bench_side(b, row, inplace, false, operation),
                                 .count = row->count,
                                 .in_counts = b->in_counts,
                                 .out_counts = b->out_counts,
                                 .dtype = s->dtype,
                                 .op = s->op,
                                 .root = s->root,
                                 .tag = (uint32_t)operation,
                                 .opts = &opts};
    return s->kind->call(b->peer->group, &args, ret);
}

/* The first operation's receipt, with the bytes of all. */
static weft_receipt all_receipts(const weft_bench_peer *b)
{
    weft_receipt ret = b->receipts[0];
    for (size_t k = 1; k < b->s->at_once; k++) {
        ret.encoded_bytes += b->receipts[k].encoded_bytes;
        ret.body_bytes_sent += b->receipts[k].body_bytes_sent;
        ret.body_bytes_received += b->receipts[k].body_bytes_received;
        ret.wire_bytes_sent += b->receipts[k].wire_bytes_sent;
    }
    return ret;
}

/* Start all, wait from the last to the first. 0, or the code of the first that failed; the others
 * are canceled then. */
static int call_together(weft_bench_peer *b, const weft_bench_row *row, bool inplace)
{
    const size_t n = b->s->at_once;
    int code = WEFT_OK;
    for (size_t k = 0; k < n && code == WEFT_OK; k++) {
        code = call(b, row, inplace, k, NULL, &b->started[k]);
    }
    for (size_t k = n; k > 0 && code == WEFT_OK; k--) {
        code = weft_kind_wait(&b->started[k - 1]);
    }
    for (size_t k = 0; k < n; k++) {
        weft_kind_drop(&b->started[k]);
    }
    return code;
}

int weft_bench_fly(weft_bench_peer *b, weft_bench_row *row, bool inplace)
{
    const int code =
        b->s->at_once == 1 ? call(b, row, inplace, 0, NULL, NULL) : call_together(b, row, inplace);
    if (code != WEFT_OK) {
        return weft_peer_error(b->peer, b->s->kind->name);
    }
    row->receipt = all_receipts(b);
    return 0;
}

int weft_bench_call_alone(weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                          size_t operation, float *own)
{
    return call(b, row, inplace, operation, own, NULL) == WEFT_OK
               ? 0
               : weft_peer_error(b->peer, b->s->kind->name);
}
