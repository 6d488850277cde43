/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a call, told before anything is sent. */
#include "base/mem.h"
#include "base/status.h"
#include "group/call.h"
#include "kernel/kernel.h"
#include <weft/topology.h>

#include <stdlib.h>

#define DRAW_MOST ((UINT64_C(1) << 48) - 1)

typedef struct region {
    const char *from;
    uint64_t bytes;
} region;

static bool overlap(region a, region b)
{
    return a.from != NULL && b.from != NULL && a.bytes > 0 && b.bytes > 0 &&
           (uintptr_t)a.from < (uintptr_t)b.from + b.bytes &&
           (uintptr_t)b.from < (uintptr_t)a.from + a.bytes;
}

static int invalid(const weft_call *c, const char *what)
{
    return weft_fail(WEFT_EINVAL, "%s: %s", weft_call_name(c), what);
}

bool weft_call_has_in(const weft_group *g, const weft_call *c)
{
    const bool of_root = c->coll == WEFT_COLL_SCATTER || c->coll == WEFT_COLL_BROADCAST ||
                         c->coll == WEFT_COLL_TRANSFER;
    return !of_root || g->rank == c->root;
}

bool weft_call_has_out(const weft_group *g, const weft_call *c)
{
    const bool of_root = c->coll == WEFT_COLL_REDUCE || c->coll == WEFT_COLL_GATHER;
    const bool of_other = c->coll == WEFT_COLL_TRANSFER;
    return of_other ? g->rank != c->root : !of_root || g->rank == c->root;
}

static uint64_t extent(int size, const size_t *counts, const size_t *offsets)
{
    uint64_t most = 0, behind = 0;
    for (int r = 0; r < size; r++) {
        const uint64_t end = (offsets != NULL ? offsets[r] : behind) + counts[r];
        behind += counts[r];
        most = end > most ? end : most;
    }
    return most;
}

/* The one block of a side without blocks is as long as the own block of the other. */
uint64_t weft_call_in_extent(const weft_group *g, const weft_call *c)
{
    if (c->in_counts != NULL) {
        return extent(g->size, c->in_counts, c->in_offsets);
    }
    if (c->out_counts != NULL) {
        return c->out_counts[g->rank];
    }
    return (uint64_t)weft_coll_in_blocks(c->coll, g->size) * c->count;
}

uint64_t weft_call_out_extent(const weft_group *g, const weft_call *c)
{
    if (c->out_counts != NULL) {
        return extent(g->size, c->out_counts, c->out_offsets);
    }
    if (c->in_counts != NULL) {
        return c->in_counts[g->rank];
    }
    return (uint64_t)weft_coll_out_blocks(c->coll, g->size) * c->count;
}

/* Where the own block of a side begins, in elements. */
static uint64_t own_offset(const weft_group *g, const weft_call *c, const size_t *counts,
                           const size_t *offsets)
{
    uint64_t at = 0;
    if (counts == NULL) {
        return (uint64_t)g->rank * c->count;
    }
    if (offsets != NULL) {
        return offsets[g->rank];
    }
    for (int r = 0; r < g->rank; r++) {
        at += counts[r];
    }
    return at;
}

/* In place: the own block of the side that has blocks is the other side's only one; where both or
 * neither have, the buffers are the same. */
static bool in_place(const weft_group *g, const weft_call *c)
{
    const uint64_t width = weft_dtype_bytes(c->dtype);
    const int ins = weft_coll_in_blocks(c->coll, 2); /* alone a rank has one of each, too */
    const int outs = weft_coll_out_blocks(c->coll, 2);
    const char *in = c->in, *out = c->out;
    if (ins < outs) {
        return in == out + own_offset(g, c, c->out_counts, c->out_offsets) * width;
    }
    if (outs < ins) {
        return out == in + own_offset(g, c, c->in_counts, c->in_offsets) * width;
    }
    return in == out;
}

typedef struct stretch {
    uint64_t from, to;
} stretch;

static int by_from(const void *a, const void *b)
{
    const stretch *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* Blocks of a side that is written must lie apart. */
static int check_apart(const weft_group *g, const weft_call *c, const char *side,
                       const size_t *counts, const size_t *offsets)
{
    const size_t size = (size_t)g->size;
    stretch *all = weft_calloc(size, sizeof(*all));
    int rc = WEFT_OK;
    if (all == NULL) {
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", weft_call_name(c));
    }
    size_t used = 0;
    for (size_t r = 0; r < size; r++) {
        if (counts[r] > 0) {
            all[used++] = (stretch){offsets[r], offsets[r] + counts[r]};
        }
    }
    qsort(all, used, sizeof(*all), by_from);
    for (size_t r = 1; r < used && rc == WEFT_OK; r++) {
        if (all[r].from < all[r - 1].to) {
            rc = weft_fail(WEFT_EINVAL, "%s: two blocks of the %s overlap at element %llu",
                           weft_call_name(c), side, (unsigned long long)all[r].from);
        }
    }
    weft_free(all);
    return rc;
}

static int check_buffers(const weft_group *g, const weft_call *c, const weft_coll_opts *o)
{
    const uint64_t width = weft_dtype_bytes(c->dtype);
    const bool has_in = weft_call_has_in(g, c), has_out = weft_call_has_out(g, c);
    const region in = {has_in ? c->in : NULL, weft_call_in_extent(g, c) * width};
    const region out = {has_out ? c->out : NULL, weft_call_out_extent(g, c) * width};
    const region own = {(const char *)o->own, c->count * width};
    const region residual = {(const char *)o->residual, c->count * width};
    const region extras[] = {own,
                             residual,
                             {(const char *)o->reply_memory, c->count * width},
                             {(const char *)o->owned, c->count * width}};
    if ((has_in && in.bytes > 0 && c->in == NULL) || (has_out && out.bytes > 0 && c->out == NULL)) {
        return invalid(c, "a buffer is missing (NULL)");
    }
    if (overlap(in, out) && !in_place(g, c)) {
        return invalid(c, "input and output overlap without being in place");
    }
    if (c->coll == WEFT_COLL_ALLTOALL && c->in_counts != NULL && overlap(in, out)) {
        return invalid(c, "blocks of different lengths cannot be exchanged in place");
    }
    const region carry = {(const char *)o->reply_carry, c->count * width}; /* is only read */
    if (overlap(carry, out) || overlap(carry, own) || overlap(carry, extras[3])) {
        return invalid(c, "reply_carry overlaps what is written");
    }
    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        bool met = overlap(extras[i], in) || overlap(extras[i], out);
        for (size_t j = 0; j < i; j++) {
            met = met || overlap(extras[i], extras[j]);
        }
        if (met) {
            return invalid(c, "own, residual, reply_memory or owned overlaps another buffer");
        }
    }
    if (has_out && c->out_offsets != NULL) {
        return check_apart(g, c, "output", c->out_counts, c->out_offsets);
    }
    if (overlap(in, out) && c->in_offsets != NULL) { /* the own block becomes the output */
        return check_apart(g, c, "input", c->in_counts, c->in_offsets);
    }
    return WEFT_OK;
}

int weft_call_check_warm(const weft_group *g, const weft_call *c, const weft_coll_opts *o,
                         uint64_t floats)
{
    const uint64_t width = weft_dtype_bytes(c->dtype), bytes = c->count * width;
    const region warm = {(const char *)o->warm, floats * sizeof(float)};
    const region others[] = {
        {weft_call_has_in(g, c) ? c->in : NULL, weft_call_in_extent(g, c) * width},
        {weft_call_has_out(g, c) ? c->out : NULL, weft_call_out_extent(g, c) * width},
        {(const char *)o->own, bytes},
        {(const char *)o->residual, bytes},
        {(const char *)o->reply_memory, bytes},
        {(const char *)o->owned, bytes},
        {(const char *)o->reply_carry, bytes}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (overlap(warm, others[i])) {
            return invalid(c, "warm overlaps another buffer");
        }
    }
    return WEFT_OK;
}

static int check_lengths(const weft_group *g, const weft_call *c, const char *side,
                         const size_t *counts, const size_t *offsets)
{
    uint64_t sum = 0;
    for (int r = 0; r < g->size; r++) {
        const uint64_t offset = offsets != NULL ? offsets[r] : 0;
        sum += counts[r] <= WEFT_COUNT_MOST ? counts[r] : WEFT_COUNT_MOST + 1;
        if (counts[r] > WEFT_COUNT_MOST || sum > WEFT_COUNT_MOST || offset > WEFT_COUNT_MOST) {
            return weft_fail(WEFT_EINVAL,
                             "%s: the blocks of the %s reach beyond 2^40 elements at rank %d's",
                             weft_call_name(c), side, r);
        }
    }
    return WEFT_OK;
}

static int check_counts(const weft_group *g, const weft_call *c)
{
    int rc = WEFT_OK;
    if (!c->lengths) {
        if (c->count > WEFT_COUNT_MOST / (uint64_t)g->size) {
            /* Of one block on either side all of 2^40, of blocks together. */
            const bool blocks =
                weft_coll_in_blocks(c->coll, 2) > 1 || weft_coll_out_blocks(c->coll, 2) > 1;
            if (c->count > WEFT_COUNT_MOST || blocks) {
                return weft_fail(WEFT_EINVAL, "%s: count %llu%s is above 2^40", weft_call_name(c),
                                 (unsigned long long)c->count,
                                 blocks ? " times the number of peers" : "");
            }
        }
        return WEFT_OK;
    }
    if ((c->in_counts == NULL && weft_coll_in_blocks(c->coll, 2) > 1) ||
        (c->out_counts == NULL && weft_coll_out_blocks(c->coll, 2) > 1)) {
        return invalid(c, "the lengths of the blocks are missing (NULL)");
    }
    if (c->in_counts != NULL) {
        rc = check_lengths(g, c, "input", c->in_counts, c->in_offsets);
    }
    if (rc == WEFT_OK && c->out_counts != NULL) {
        rc = check_lengths(g, c, "output", c->out_counts, c->out_offsets);
    }
    if (rc == WEFT_OK && c->in_counts != NULL && c->out_counts != NULL &&
        c->in_counts[g->rank] != c->out_counts[g->rank]) {
        rc = weft_fail(WEFT_EINVAL, "%s: rank %d sends itself %zu elements and expects %zu",
                       weft_call_name(c), g->rank, c->in_counts[g->rank], c->out_counts[g->rank]);
    }
    return rc;
}

static int check_user_op(const weft_call *c, const weft_user_op *u)
{
    if (u == NULL || u->size < sizeof(*u) || u->size > 4096) {
        return invalid(c, u == NULL ? "WEFT_USER needs opts->user_op"
                                    : "user_op->size is not set to sizeof(weft_user_op)");
    }
    return u->reduce != NULL ? WEFT_OK : invalid(c, "user_op->reduce is NULL");
}

static int check_reduction(const weft_call *c, const weft_user_op *u)
{
    const bool reduces = weft_coll_reduces(c->coll);
    if (reduces && c->op == WEFT_USER) {
        return check_user_op(c, u);
    }
    if (u != NULL) {
        return invalid(c, "user_op goes with the operation WEFT_USER only");
    }
    if (!reduces) {
        return WEFT_OK;
    }
    if ((unsigned)c->op >= WEFT_OP_COUNT) {
        return weft_fail(WEFT_EINVAL, "%s: there is no operation %d", weft_call_name(c),
                         (int)c->op);
    }
    if (weft_kernel_reduce(c->dtype, c->op) == NULL) {
        return weft_fail(WEFT_ENOTSUP, "%s: there is no operation %s of %s", weft_call_name(c),
                         weft_op_name(c->op), weft_dtype_name(c->dtype));
    }
    return WEFT_OK;
}

static int check_topology(const weft_group *g, const weft_call *c)
{
    if (c->coll != WEFT_COLL_NEIGHBOR_AVERAGE) {
        return WEFT_OK;
    }
    if (c->topology == NULL) {
        return invalid(c, "no topology");
    }
    if (weft_topology_size(c->topology) != g->size) {
        return weft_fail(WEFT_EINVAL, "%s: a topology of %d peers for a group of %d",
                         weft_call_name(c), weft_topology_size(c->topology), g->size);
    }
    if (weft_kernel_reduce(c->dtype, WEFT_MEAN) == NULL) {
        return weft_fail(WEFT_ENOTSUP, "%s: weighs floating types, not %s", weft_call_name(c),
                         weft_dtype_name(c->dtype));
    }
    return WEFT_OK;
}

int weft_call_check(const weft_group *g, const weft_call *c, const weft_coll_opts *o)
{
    int rc;
    if (g == NULL) {
        return invalid(c, "no group");
    }
    if (weft_dtype_bytes(c->dtype) == 0) {
        return weft_fail(WEFT_EINVAL, "%s: there is no element type %d", weft_call_name(c),
                         (int)c->dtype);
    }
    if ((rc = check_counts(g, c)) != WEFT_OK || (rc = check_reduction(c, o->user_op)) != WEFT_OK ||
        (rc = check_topology(g, c)) != WEFT_OK) {
        return rc;
    }
    if (c->root < 0 || c->root >= g->size) {
        return weft_fail(WEFT_EINVAL, "%s: root %d of %d peers", weft_call_name(c), c->root,
                         g->size);
    }
    if (o->draw > DRAW_MOST || o->tensor > 65535) {
        return invalid(c, "draw is above 2^48-1 or tensor above 65535");
    }
    if (o->timeout_ms < WEFT_FOREVER || o->timeout_ms > WEFT_LONGEST_MS) {
        return invalid(c, "timeout_ms is negative, or above a year");
    }
    if ((o->own != NULL || o->residual != NULL || o->owned != NULL || o->reply_codec != NULL) &&
        (c->coll != WEFT_COLL_ALLREDUCE || c->dtype != WEFT_F32)) {
        return invalid(c, "own, residual, owned and reply_codec go with an allreduce of float32");
    }
    if ((unsigned)o->fidelity > WEFT_FIDELITY_REQUANTIZED ||
        (unsigned)o->nonfinite > WEFT_NONFINITE_SKIP) {
        return invalid(c, "there is no such fidelity, or no such way with what is not finite");
    }
    if (o->reply_codec == NULL && (o->reply_memory != NULL || o->reply_carry != NULL)) {
        return invalid(c, "reply_memory and reply_carry go with a reply_codec");
    }
    if (!(o->reply_alpha >= 0 && o->reply_alpha <= 1)) {
        return invalid(c, "reply_alpha is not between 0 and 1");
    }
    if (o->receipt != NULL && o->receipt->size < sizeof(o->receipt->size)) {
        return invalid(c, "receipt->size is not set");
    }
    return check_buffers(g, c, o);
}
