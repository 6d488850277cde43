/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_buffers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* NEXT is prime, and neither the period of the data nor what lies between two ranks. */
enum { ALIGNMENT = 64, NEXT = 257 };

/* A buffer whose pages are all there. bytes: of whole ALIGNMENTs. */
static void *touched(size_t bytes)
{
    void *ret = aligned_alloc(ALIGNMENT, bytes);
    if (ret != NULL) {
        (void)memset(ret, 0x5a, bytes);
    }
    return ret;
}

/* Bytes that a side of one operation may take at the largest size, in whole ALIGNMENTs; in place
 * the other's own block lies in it. */
static size_t stride(const weft_bench_peer *b, bool input)
{
    weft_bench_row largest = {0};
    weft_bench_shape(b->s, b->peer->size, b->s->end, &largest);
    const size_t elements = weft_bench_side_length(&largest.blocks, input, b->peer->rank);
    return (elements * weft_dtype_bytes(b->s->dtype) / ALIGNMENT + 1) * ALIGNMENT;
}

int weft_bench_make_buffers(weft_bench_peer *b)
{
    const weft_bench_settings *s = b->s;
    const int rank = b->peer->rank;
    const bool in = weft_kind_has_in(s->kind, rank, s->root) && !s->kind->one_buffer;
    const bool out = weft_kind_has_out(s->kind, rank, s->root);
    b->in_stride = stride(b, true);
    b->out_stride = stride(b, false);
    const size_t larger = b->in_stride > b->out_stride ? b->in_stride : b->out_stride;
    if (larger > SIZE_MAX / s->at_once) {
        return weft_peer_fail(b->peer, WEFT_EXIT_USAGE,
                              "%zu operations at once, a buffer of %zu bytes for each: too much",
                              s->at_once, larger);
    }
    b->in = in ? touched(b->in_stride * s->at_once) : NULL;
    b->out = out ? touched(b->out_stride * s->at_once) : NULL;
    b->own = s->lossy ? touched(b->out_stride) : NULL;
    if ((in && b->in == NULL) || (out && b->out == NULL) || (s->lossy && b->own == NULL)) {
        return weft_peer_fail(b->peer, WEFT_EXIT_WRONG, "no memory for buffers of %zu bytes",
                              larger * s->at_once);
    }
    return 0;
}

void weft_bench_free_buffers(weft_bench_peer *b)
{
    free(b->in);
    free(b->out);
    free(b->own);
}

static unsigned char *of(const weft_bench_peer *b, bool input, size_t operation)
{
    unsigned char *base = input ? b->in : b->out;
    return base != NULL ? base + operation * (input ? b->in_stride : b->out_stride) : NULL;
}

unsigned char *weft_bench_side(const weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                               bool input, size_t operation)
{
    const weft_kind *k = b->s->kind;
    const int rank = b->peer->rank;
    const bool larger = input ? k->in_blocks && !k->out_blocks : k->out_blocks || !k->in_blocks;
    unsigned char *own = of(b, input, operation), *other = of(b, !input, operation);
    if (!inplace || larger || own == NULL || other == NULL) {
        return own;
    }
    /* The own block of the other side, where that has more of them. */
    const bool within = (input ? k->out_blocks : k->in_blocks) && k->in_blocks != k->out_blocks;
    const size_t before = within ? weft_bench_block_offset(&row->blocks, !input, rank, rank) : 0;
    return other + before * weft_dtype_bytes(b->s->dtype);
}

size_t weft_bench_first(size_t operation)
{
    return operation * NEXT;
}

void weft_bench_set_buffer(weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                           size_t operation)
{
    const weft_bench_settings *s = b->s;
    const int rank = b->peer->rank;
    const size_t cell = weft_dtype_bytes(s->dtype);
    unsigned char *from = weft_bench_side(b, row, inplace, !s->kind->one_buffer, operation);
    if (b->out != NULL) {
        (void)memset(of(b, false, operation), 0x5a,
                     weft_bench_side_length(&row->blocks, false, rank) * cell);
    }
    if (weft_kind_has_in(s->kind, rank, s->root) && from != NULL) {
        weft_bench_fill(b->data, rank, weft_bench_first(operation),
                        weft_bench_side_length(&row->blocks, true, rank), from);
    }
}

void weft_bench_set_buffers(weft_bench_peer *b, const weft_bench_row *row, bool inplace)
{
    for (size_t k = 0; k < b->s->at_once; k++) {
        weft_bench_set_buffer(b, row, inplace, k);
    }
}
