/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_blocks.h"

enum { SHARES = 4 };

static bool has_blocks(const weft_kind *k)
{
    return k->in_blocks || k->out_blocks;
}

static bool crosses(const weft_kind *k)
{
    return k->in_blocks && k->out_blocks;
}

/* Shares of the block that goes from one rank to another; of others than alltoall from: its rank.
 */
static size_t shares(const weft_kind *k, int from, int to)
{
    if (!k->lengths) {
        return 1;
    }
    return (size_t)(from + (crosses(k) ? to : 0) + 1) % SHARES;
}

static size_t shares_of(const weft_kind *k, int size, int rank)
{
    size_t sum = 0;
    for (int r = 0; r < size; r++) {
        sum += crosses(k) ? shares(k, rank, r) : shares(k, r, 0);
    }
    return sum;
}

/* Of all blocks together; of alltoall of the rank that has most. */
static size_t all_shares(const weft_kind *k, int size)
{
    size_t most = 0;
    if (!has_blocks(k)) {
        return 1;
    }
    for (int r = 0; r < (crosses(k) ? size : 1); r++) {
        const size_t here = shares_of(k, size, r);
        most = here > most ? here : most;
    }
    return most;
}

weft_bench_blocks weft_bench_blocks_of(const weft_kind *kind, int size, size_t elements)
{
    const size_t share = kind->empty ? 0 : elements / all_shares(kind, size);
    /* At least one element: times of nothing say nothing. */
    return (weft_bench_blocks){
        .kind = kind, .size = size, .share = share > 0 || kind->empty ? share : 1};
}

int weft_bench_block_count(const weft_bench_blocks *b, bool input)
{
    return (input ? b->kind->in_blocks : b->kind->out_blocks) ? b->size : 1;
}

size_t weft_bench_block_length(const weft_bench_blocks *b, bool input, int rank, int block)
{
    const weft_kind *k = b->kind;
    if (!has_blocks(k)) {
        return b->share;
    }
    if (crosses(k)) {
        return b->share * (input ? shares(k, rank, block) : shares(k, block, rank));
    }
    return b->share * shares(k, (input ? k->in_blocks : k->out_blocks) ? block : rank, 0);
}

size_t weft_bench_block_offset(const weft_bench_blocks *b, bool input, int rank, int block)
{
    size_t before = 0;
    for (int i = 0; i < block; i++) {
        before += weft_bench_block_length(b, input, rank, i);
    }
    return before;
}

size_t weft_bench_side_length(const weft_bench_blocks *b, bool input, int rank)
{
    return weft_bench_block_offset(b, input, rank, weft_bench_block_count(b, input));
}

size_t weft_bench_all_elements(const weft_bench_blocks *b)
{
    return b->share * all_shares(b->kind, b->size);
}

size_t weft_bench_longest(const weft_bench_blocks *b)
{
    size_t most = has_blocks(b->kind) ? 0 : 1;
    for (int from = 0; from < b->size && has_blocks(b->kind); from++) {
        for (int to = 0; to < (crosses(b->kind) ? b->size : 1); to++) {
            const size_t here = shares(b->kind, from, to);
            most = here > most ? here : most;
        }
    }
    return b->share * most;
}
