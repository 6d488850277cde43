/* SPDX-License-Identifier: Apache-2.0 */
/* Collectives of blocks and of roots, by real peers: every algorithm, root, type and length of
 * block, in place or not; gaps between blocks stay as they are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { GAP = 5, FAR = 1 << 20, BYTE = 0x5a };

/* Elements first … of a rank's vector, where its blocks lie FAR apart. */
static uint64_t first_of(int block)
{
    return (uint64_t)block * FAR;
}

/* A buffer of blocks with a gap before and behind each. */
typedef struct blocks {
    weft_dtype dtype;
    int size;
    size_t counts[CLUSTER_MAX], offsets[CLUSTER_MAX], bytes;
    char *memory, *want; /* what it must hold afterwards */
} blocks;

static blocks blocks_new(weft_dtype dtype, int size, const size_t *counts, size_t gap)
{
    blocks b = {.dtype = dtype, .size = size};
    size_t at = gap;
    for (int i = 0; i < size; i++) {
        b.counts[i] = counts[i];
        b.offsets[i] = at;
        at += counts[i] + gap;
    }
    b.bytes = (at + 1) * weft_dtype_bytes(dtype);
    b.memory = malloc(b.bytes);
    b.want = malloc(b.bytes);
    memset(b.memory, BYTE, b.bytes);
    memset(b.want, BYTE, b.bytes);
    return b;
}

static void blocks_free(blocks *b)
{
    free(b->memory);
    free(b->want);
}

static char *block_of(const blocks *b, char *memory, int i)
{
    return memory + b->offsets[i] * weft_dtype_bytes(b->dtype);
}

/* What a rank puts into a block of its, or what all ranks' sum up to there. */
static void put(const blocks *b, char *memory, int i, uint64_t seed, int rank, int block)
{
    fixture_fill(b->dtype, WEFT_SUM, seed, rank, first_of(block), block_of(b, memory, i),
                 b->counts[i]);
}

static void put_sum(const blocks *b, char *memory, int i, uint64_t seed, int peers, int block)
{
    fixture_reduce(b->dtype, WEFT_SUM, seed, peers, first_of(block), block_of(b, memory, i),
                   b->counts[i]);
}

/* One kind of call. */
typedef struct scene {
    const char *algo;
    weft_dtype dtype;
    int root;
    bool in_place, lengths;
    size_t counts[CLUSTER_MAX]; /* of the ranks' blocks; all the first where !lengths */
} scene;

static const char *words(const scene *s)
{
    static _Thread_local char text[120];
    snprintf(text, sizeof(text), "%s, %s, root %d, %zu elements%s%s", s->algo ? s->algo : "auto",
             weft_dtype_name(s->dtype), s->root, s->counts[0], s->lengths ? " …" : "",
             s->in_place ? ", in place" : "");
    return text;
}

static void check(member *me, const scene *s, const blocks *b, const char *what)
{
    MUST(me, memcmp(b->memory, b->want, b->bytes) == 0, "%s: %s", what, words(s));
}

/* The side with one block, and the one with a block for each rank. */
static void gathers(member *me, const scene *s, bool all)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = s->algo};
    const bool has_out = all || me->rank == s->root;
    blocks out = blocks_new(s->dtype, me->size, s->counts, s->lengths ? GAP : 0);
    blocks in = blocks_new(s->dtype, 1, &s->counts[me->rank], GAP);
    put(&in, in.memory, 0, 7, me->rank, 0);
    memcpy(in.want, in.memory, in.bytes);
    for (int r = 0; r < me->size && has_out; r++) {
        put(&out, out.want, r, 7, r, 0);
    }
    char *own = block_of(&out, out.memory, me->rank);
    const bool in_place = s->in_place && has_out;
    char *from = in_place ? own : block_of(&in, in.memory, 0), *to = has_out ? out.memory : NULL;
    if (in_place) {
        put(&out, out.memory, me->rank, 7, me->rank, 0);
    }
    if (all && s->lengths) {
        MUST_OK(me, weft_allgatherv(me->group, from, to, out.counts, out.offsets, s->dtype, &o));
    } else if (all) {
        MUST_OK(me, weft_allgather(me->group, from, to, s->counts[0], s->dtype, &o));
    } else if (s->lengths) {
        MUST_OK(me,
                weft_gatherv(me->group, from, to, out.counts, out.offsets, s->dtype, s->root, &o));
    } else {
        MUST_OK(me, weft_gather(me->group, from, to, s->counts[0], s->dtype, s->root, &o));
    }
    check(me, s, &out, all ? "allgather" : "gather");
    check(me, s, &in, "gather's input");
    blocks_free(&in);
    blocks_free(&out);
}

static void scatters(member *me, const scene *s, bool reduces)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = s->algo};
    const bool has_in = reduces || me->rank == s->root;
    blocks in = blocks_new(s->dtype, me->size, s->counts, s->lengths ? GAP : 0);
    blocks out = blocks_new(s->dtype, 1, &s->counts[me->rank], GAP);
    for (int r = 0; r < me->size && has_in; r++) {
        put(&in, in.memory, r, 9, me->rank, r);
    }
    memcpy(in.want, in.memory, in.bytes);
    const bool in_place = s->in_place && has_in;
    blocks *result = in_place ? &in : &out;
    const int at = in_place ? me->rank : 0;
    if (reduces) {
        put_sum(result, result->want, at, 9, me->size, me->rank);
    } else {
        put(result, result->want, at, 9, s->root, me->rank);
    }
    char *from = has_in ? in.memory : NULL, *to = block_of(result, result->memory, at);
    if (reduces && s->lengths) {
        MUST_OK(me, weft_reduce_scatterv(me->group, from, to, in.counts, in.offsets, s->dtype,
                                         WEFT_SUM, &o));
    } else if (reduces) {
        MUST_OK(me, weft_reduce_scatter(me->group, from, to, s->counts[0], s->dtype, WEFT_SUM, &o));
    } else if (s->lengths) {
        MUST_OK(me,
                weft_scatterv(me->group, from, to, in.counts, in.offsets, s->dtype, s->root, &o));
    } else {
        MUST_OK(me, weft_scatter(me->group, from, to, s->counts[0], s->dtype, s->root, &o));
    }
    check(me, s, &in, reduces ? "reduce_scatter's input" : "scatter's input");
    check(me, s, &out, reduces ? "reduce_scatter" : "scatter");
    blocks_free(&in);
    blocks_free(&out);
}

/* Rank o sends rank d the length of the block that the scene gives rank (o + 2 d) mod P. */
static void exchanges(member *me, const scene *s)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = s->algo};
    const size_t gap = s->lengths ? GAP : 0;
    size_t goes[CLUSTER_MAX], comes[CLUSTER_MAX];
    for (int r = 0; r < me->size; r++) {
        goes[r] = s->counts[(me->rank + 2 * r) % me->size];
        comes[r] = s->counts[(r + 2 * me->rank) % me->size];
    }
    blocks in = blocks_new(s->dtype, me->size, goes, gap);
    blocks out = blocks_new(s->dtype, me->size, comes, gap);
    const bool in_place = s->in_place && !s->lengths;
    for (int r = 0; r < me->size; r++) {
        put(&in, in.memory, r, 11, me->rank, r);
        put(&out, out.want, r, 11, r, me->rank);
        if (in_place) {
            put(&out, out.memory, r, 11, me->rank, r);
        }
    }
    memcpy(in.want, in.memory, in.bytes);
    if (s->lengths) {
        MUST_OK(me, weft_alltoallv(me->group, in.memory, in.counts, in.offsets, out.memory,
                                   out.counts, out.offsets, s->dtype, &o));
    } else {
        MUST_OK(me, weft_alltoall(me->group, in_place ? out.memory : in.memory, out.memory,
                                  s->counts[0], s->dtype, &o));
    }
    check(me, s, &in, "alltoall's input");
    check(me, s, &out, "alltoall");
    blocks_free(&in);
    blocks_free(&out);
}

static void reduces(member *me, const scene *s)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = s->algo};
    const bool has_out = me->rank == s->root;
    blocks in = blocks_new(s->dtype, 1, s->counts, GAP);
    blocks out = blocks_new(s->dtype, 1, s->counts, GAP);
    put(&in, in.memory, 0, 13, me->rank, 0);
    memcpy(in.want, in.memory, in.bytes);
    blocks *result = s->in_place ? &in : &out;
    if (has_out) {
        put_sum(result, result->want, 0, 13, me->size, 0);
    }
    MUST_OK(me, weft_reduce(me->group, block_of(&in, in.memory, 0),
                            has_out ? block_of(result, result->memory, 0) : NULL, s->counts[0],
                            s->dtype, WEFT_SUM, s->root, &o));
    check(me, s, &in, "reduce's input");
    check(me, s, &out, "reduce");
    blocks_free(&in);
    blocks_free(&out);
}

static void copies(member *me, const scene *s)
{
    const weft_coll_opts o = {.size = sizeof(o), .algo = s->algo};
    blocks b = blocks_new(s->dtype, 1, s->counts, GAP);
    put(&b, b.memory, 0, 15, me->rank, 0);
    put(&b, b.want, 0, 15, s->root, 0);
    MUST_OK(me, weft_broadcast(me->group, block_of(&b, b.memory, 0), s->counts[0], s->dtype,
                               s->root, &o));
    check(me, s, &b, "broadcast");
    blocks_free(&b);
}

static const char *const of_reduce[] = {NULL, "binomial", "chain", "halving", "flat"};
static const char *const of_broadcast[] = {NULL, "tree", "chain", "scatter_allgather", "flat"};
static const char *const of_allgather[] = {NULL, "bruck", "ring", "flat", "doubling"};
static const char *const of_reduce_scatter[] = {NULL, "halving", "ring", "pairwise", "flat"};
static const char *const of_alltoall[] = {NULL, "pairwise", "flat", "bruck"};
static const char *const of_rooted[] = {NULL, "binomial", "flat"};

/* Every collective with the i-th algorithm of each. */
static void everything(member *me, scene s, int i)
{
    const bool power = (me->size & (me->size - 1)) == 0;
    s.algo = of_reduce[i % 5];
    reduces(me, &s);
    s.algo = of_broadcast[i % 5];
    copies(me, &s);
    s.algo = of_allgather[i % (power ? 5 : 4)];
    gathers(me, &s, true);
    s.algo = of_rooted[i % 3];
    gathers(me, &s, false);
    scatters(me, &s, false);
    s.algo = of_reduce_scatter[i % 5];
    scatters(me, &s, true);
    s.algo = of_alltoall[i % (s.lengths ? 3 : 4)];
    exchanges(me, &s);
}

static void types_body(member *me)
{
    for (int t = 0; t < WEFT_DTYPE_COUNT; t++) {
        scene s = {.dtype = (weft_dtype)t, .root = t % me->size, .in_place = t % 2 == 1};
        for (int r = 0; r < me->size; r++) {
            s.counts[r] = 67;
        }
        everything(me, s, t);
        s.lengths = true;
        for (int r = 0; r < me->size; r++) {
            s.counts[r] = (size_t)(r + t) % 3 * 40; /* some have nothing */
        }
        everything(me, s, t + 1);
    }
}

/* Whole blocks of one size, from nothing to several lanes. */
static void sizes_body(member *me)
{
    const size_t counts[] = {0, 1, (size_t)me->size, 1000, 30011};
    for (int c = 0; c < 5; c++) {
        for (int i = 0; i < 5; i++) {
            scene s = {.dtype = i % 2 == 0 ? WEFT_F32 : WEFT_F64,
                       .root = (i + c) % me->size,
                       .in_place = (i + c) % 2 == 1};
            for (int r = 0; r < me->size; r++) {
                s.counts[r] = counts[c];
            }
            everything(me, s, i);
        }
    }
}

/* One block has all there is: others are through with lanes that it still fills. */
static void lengths_body(member *me)
{
    for (int one = 0; one < me->size; one++) {
        for (int i = 0; i < 5; i++) {
            scene s = {.dtype = WEFT_F32, .root = (one + i) % me->size, .lengths = true};
            s.in_place = (one + i) % 2 == 1;
            for (int r = 0; r < me->size; r++) {
                s.counts[r] = r == one ? 100003 : i < 3 ? 0 : (size_t)(i * r);
            }
            everything(me, s, i);
        }
    }
}

static void on_every_link(cluster_body *body)
{
    const int sizes[] = {1, 2, 3, 4, 5};
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        for (int i = 0; i < 5; i++) {
            cluster_run((cluster_link)link, sizes[i], body, NULL);
        }
    }
}

Test(blocks, of_every_type_end_where_they_belong)
{
    on_every_link(types_body);
}

Test(blocks, of_every_size_end_where_they_belong)
{
    on_every_link(sizes_body);
}

Test(blocks, of_different_lengths_end_where_they_belong)
{
    cluster_run(CLUSTER_TCP, 4, lengths_body, NULL);
    cluster_run(CLUSTER_IPC, 3, lengths_body, NULL);
    cluster_run(CLUSTER_MEM, 5, lengths_body, NULL);
}
