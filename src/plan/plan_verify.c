/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier runs the plans on plan_sim with symbols for bytes. A symbol stands for the elements
 * between two neighbouring edges of any span of any plan (an *atom*), and is: which ranks
 * contributed, a fingerprint of the expression that made it, whether it combines a run of ranks in
 * their order, and whether MEAN has divided it.
 *
 * One fair schedule proves all of them. The ranks form a Kahn network (Kahn, The semantics of a
 * simple language for parallel programming, 1974): each channel is FIFO with one writer and one
 * reader, a send never waits (the engine's grants stop whole lanes only, never one under way), and
 * a rank never asks whether a message is there, it waits for given ones at a fence. Between a
 * receive and its fence the slot may or may not be filled already, but weft_plan_check() proves
 * that nothing looks at it there. Each rank is then a deterministic function of the histories of
 * its channels, so that the histories of a maximal run, and with them every symbol and every rank
 * that waits for ever, are the same for all fair schedules.
 *
 * Fingerprints are 64-bit mixes: two different expressions pass for one with probability 2^-64.
 */
#include "plan/plan_verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/plan_sim.h"

/* A symbol is a row of words: fingerprint (0: nothing here), flags, writer, the first rank of a run
 * in order and the one behind its last (0: it is none), ranks as bits. */
enum { PRINT, DIVIDED, WRITER, FIRST, BEHIND, RANKS };
enum { SEED = 1 };

typedef struct proof {
    const weft_goal *goal;
    weft_plan *plans;
    size_t *edges; /* ascending, of all spans; atom i lies between edges i and i+1 */
    size_t edge_count, edge_cap, edges_sorted;
    size_t atoms, stride; /* stride: words of a symbol */
    uint64_t **outs;      /* of each rank: its blocks, each of atoms symbols */
    uint64_t *heard;      /* meeting: of each rank, ranks as bits */
    size_t heard_words;
} proof;

static uint64_t mix(uint64_t verb, uint64_t a, uint64_t b)
{
    uint64_t x = verb * 0x9e3779b97f4a7c15u ^ a;

    /* splitmix64's finalizer over each operand in turn, so that operand order counts */
    for (int i = 0; i < 2; i++) {
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        if (i == 0)
            x ^= b * 0xd6e8feb86659fd93u;
    }
    return x ? x : 1;
}

static int by_size(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static size_t atom_of(const proof *v, size_t edge)
{
    const size_t *at = bsearch(&edge, v->edges, v->edge_count, sizeof edge, by_size);
    return at ? (size_t)(at - v->edges) : 0;
}

static size_t atoms_in(const proof *v, weft_span span)
{
    return span.count ? atom_of(v, span.off + span.count) - atom_of(v, span.off) : 0;
}

static uint64_t *output(const proof *v, int rank, weft_span span)
{
    const size_t first = span.count ? atom_of(v, span.off) : 0;
    return v->outs[rank] + ((size_t)span.block * v->atoms + first) * v->stride;
}

static bool has(const uint64_t *symbol, int rank)
{
    return symbol[RANKS + rank / 64] >> (rank % 64) & 1;
}

static int twice(const proof *v, weft_span span, size_t atom, int rank)
{
    const size_t from = v->edges[atom_of(v, span.off) + atom];
    return weft_fail(WEFT_EINTERNAL, "the contribution of rank %d to element %zu counts twice",
                     rank, from);
}

/* into's ranks take in those of more, if none is in both. */
static int unite(const proof *v, weft_span span, size_t atom, uint64_t *into, const uint64_t *more)
{
    for (int rank = 0; rank < v->goal->size; rank++)
        if (has(into, rank) && has(more, rank))
            return twice(v, span, atom, rank);
    for (size_t w = RANKS; w < v->stride; w++)
        into[w] |= more[w];
    return WEFT_OK;
}

/* into combines left with right: a run of ranks where right follows on left. */
static void chain(uint64_t *into, const uint64_t *left, const uint64_t *right)
{
    const bool follows = left[BEHIND] != 0 && left[BEHIND] == right[FIRST];
    const uint64_t first = follows ? left[FIRST] : 0, behind = follows ? right[BEHIND] : 0;

    into[FIRST] = first;
    into[BEHIND] = behind;
}

/* Must the output of rank `at` hold the contribution of a rank there? block: among what travels. */
static bool required(const proof *v, int at, uint32_t block, int rank)
{
    const weft_goal *g = v->goal;

    if (g->kind == WEFT_GOAL_REDUCE)
        return true;
    if (g->kind == WEFT_GOAL_MIX)
        return rank == at || g->takes(g->who, at, rank);
    if (g->root >= 0)
        return rank == g->root;
    return (uint32_t)rank == (weft_plan_crosses(&v->plans[at]) ? block / (uint32_t)g->size : block);
}

static int check_complete(const proof *v, int at, const uint64_t *symbol, uint32_t block,
                          size_t atom)
{
    if (!symbol[PRINT])
        return weft_fail(WEFT_EINTERNAL,
                         "block %" PRIu32 " element %zu of the output is not written", block,
                         v->edges[atom]);
    for (int rank = 0; rank < v->goal->size; rank++)
        if (has(symbol, rank) != required(v, at, block, rank))
            return weft_fail(WEFT_EINTERNAL,
                             "block %" PRIu32 " element %zu of the output, last written by step "
                             "%" PRIu64 ", %s the contribution of rank %d",
                             block, v->edges[atom], symbol[WRITER],
                             has(symbol, rank) ? "must not hold" : "lacks", rank);
    return WEFT_OK;
}

static size_t bound(void *user, weft_span span, bool raw)
{
    const proof *v = user;

    (void)raw;
    return atoms_in(v, span) * v->stride * sizeof(uint64_t);
}

/* Does the rank have an input to read, an output to write? */
static int check_input(const proof *v, int rank)
{
    if (v->goal->kind != WEFT_GOAL_COPY || v->goal->root < 0 || rank == v->goal->root)
        return WEFT_OK;
    return weft_fail(WEFT_EINTERNAL, "reads an input that only rank %d has", v->goal->root);
}

static int check_output(const proof *v, int rank)
{
    if (v->goal->sink < 0 || rank == v->goal->sink)
        return WEFT_OK;
    return weft_fail(WEFT_EINTERNAL, "writes an output that only rank %d has", v->goal->sink);
}

static int pack(const proof *v, const weft_sim_at *at, uint64_t *slot)
{
    const weft_span where = weft_plan_in(&v->plans[at->rank], at->step->span);
    const size_t n = atoms_in(v, where), first = n ? atom_of(v, where.off) : 0;
    const int rc = check_input(v, at->rank);

    for (size_t i = 0; !rc && i < n; i++, slot += v->stride) {
        memset(slot, 0, v->stride * sizeof *slot);
        slot[PRINT] =
            mix(WEFT_VERB_PACK, (uint64_t)at->rank, (uint64_t)where.block * v->atoms + first + i);
        slot[RANKS + at->rank / 64] |= UINT64_C(1) << (at->rank % 64);
        slot[FIRST] = (uint64_t)at->rank;
        slot[BEHIND] = slot[FIRST] + 1;
    }
    return rc;
}

static int reply(const proof *v, const weft_sim_at *at, uint64_t *slot)
{
    const weft_span where = weft_plan_out(&v->plans[at->rank], at->step->span);
    uint64_t *out = output(v, at->rank, at->step->span);
    int rc = check_output(v, at->rank);

    for (size_t i = 0; !rc && i < atoms_in(v, where); i++, out += v->stride, slot += v->stride) {
        if ((rc = check_complete(v, at->rank, out, where.block, atom_of(v, where.off) + i)))
            return rc;
        out[DIVIDED] = 1;
        memcpy(slot, out, v->stride * sizeof *slot);
    }
    return rc;
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    const proof *v = user;
    const int rc = at->step->verb == WEFT_VERB_PACK ? pack(v, at, slot) : reply(v, at, slot);

    if (!rc)
        *ret_len = cap;
    return rc;
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    const proof *v = user;
    uint64_t *into = slot;
    const uint64_t mine[RANKS] = {[FIRST] = (uint64_t)at->rank, [BEHIND] = (uint64_t)at->rank + 1};
    const int rc = check_input(v, at->rank);

    (void)len;
    for (size_t i = 0; !rc && i < atoms_in(v, at->step->span); i++, into += v->stride) {
        if (has(into, at->rank))
            return twice(v, at->step->span, i, at->rank);
        into[RANKS + at->rank / 64] |= UINT64_C(1) << (at->rank % 64);
        into[PRINT] = mix(WEFT_VERB_FOLD, into[PRINT], (uint64_t)at->rank);
        chain(into, into, mine);
    }
    return rc;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    const proof *v = user;
    uint64_t *into = slot;
    const uint64_t *more = other;
    int rc;

    (void)len;
    (void)other_len;
    for (size_t i = 0; i < atoms_in(v, at->step->span); i++) {
        if ((rc = unite(v, at->step->span, i, into, more)))
            return rc;
        into[PRINT] = at->step->other_first ? mix(WEFT_VERB_MERGE, more[PRINT], into[PRINT])
                                            : mix(WEFT_VERB_MERGE, into[PRINT], more[PRINT]);
        chain(into, at->step->other_first ? more : into, at->step->other_first ? into : more);
        into += v->stride;
        more += v->stride;
    }
    return WEFT_OK;
}

static int scale(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    const proof *v = user;
    uint64_t *into = slot, weight;

    (void)len;
    if (v->goal->kind != WEFT_GOAL_MIX)
        return weft_fail(WEFT_EINTERNAL, "scales contributions that have to arrive as they are");
    memcpy(&weight, &at->step->weight, sizeof weight);
    for (size_t i = 0; i < atoms_in(v, at->step->span); i++, into += v->stride)
        into[PRINT] = mix(WEFT_VERB_SCALE, into[PRINT], weight);
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    const proof *v = user;
    const uint64_t *from = slot;
    uint64_t *out = output(v, at->rank, at->step->span);
    int rc = check_output(v, at->rank);

    (void)len;
    for (size_t i = 0; !rc && i < atoms_in(v, at->step->span); i++) {
        /* Raw slots are what the output was; of an encoding the output is the decoded value. */
        const uint64_t value = at->step->raw ? from[PRINT] : mix(WEFT_VERB_UNPACK, from[PRINT], 0);
        if (at->step->verb == WEFT_VERB_UNPACK) {
            memcpy(out, from, v->stride * sizeof *out);
            out[PRINT] = value;
        } else {
            if (!out[PRINT])
                return weft_fail(WEFT_EINTERNAL, "adds to output element %zu before any unpack",
                                 v->edges[atom_of(v, at->step->span.off) + i]);
            if ((rc = unite(v, at->step->span, i, out, from)))
                return rc;
            out[PRINT] = mix(WEFT_VERB_ADD, out[PRINT], value);
            chain(out, out, from);
        }
        out[WRITER] = at->index;
        out += v->stride;
        from += v->stride;
    }
    return rc;
}

static void stamp(void *user, int rank, void *ret)
{
    const proof *v = user;
    memcpy(ret, v->heard + (size_t)rank * v->heard_words, v->heard_words * sizeof *v->heard);
}

static void heard(void *user, int rank, const void *of)
{
    const proof *v = user;
    const uint64_t *more = of;

    for (size_t w = 0; w < v->heard_words; w++)
        v->heard[(size_t)rank * v->heard_words + w] |= more[w];
}

static int keep_edge(proof *v, size_t edge)
{
    void *edges = v->edges;

    /* Most are those of the plans before. */
    if (v->edges_sorted > 0 && bsearch(&edge, v->edges, v->edges_sorted, sizeof edge, by_size))
        return WEFT_OK;
    if (!weft_grow(&edges, &v->edge_cap, v->edge_count + 1, sizeof *v->edges))
        return weft_fail(WEFT_ENOMEM, "verify: no memory for edges");
    v->edges = edges;
    v->edges[v->edge_count++] = edge;
    return WEFT_OK;
}

static int keep_edges(proof *v, const weft_plan *p)
{
    size_t kept = 0;
    int rc;

    if ((rc = keep_edge(v, 0)) || (rc = keep_edge(v, p->count)))
        return rc;
    for (size_t i = 0; i < p->step_count; i++) {
        const weft_span *span = &p->steps[i].span;
        if ((rc = keep_edge(v, span->off)) || (rc = keep_edge(v, span->off + span->count)))
            return rc;
    }
    if (v->edge_count == v->edges_sorted)
        return WEFT_OK;
    qsort(v->edges, v->edge_count, sizeof *v->edges, by_size);
    for (size_t i = 0; i < v->edge_count; i++)
        if (kept == 0 || v->edges[kept - 1] != v->edges[i])
            v->edges[kept++] = v->edges[i];
    v->edge_count = v->edges_sorted = kept;
    return WEFT_OK;
}

static int collect(proof *v, int (*build)(void *user, int rank, weft_plan *ret), void *user)
{
    const weft_goal *g = v->goal;
    int rc;

    for (int rank = 0; rank < g->size; rank++) {
        weft_plan *p = &v->plans[rank];
        if ((rc = build(user, rank, p)) || (rc = weft_plan_check(p)) || (rc = keep_edges(v, p)))
            return rc;
        if (p->rank != rank || p->size != g->size || p->count != g->count ||
            p->in_blocks != (uint32_t)g->in_blocks || p->out_blocks != (uint32_t)g->out_blocks)
            return weft_fail(WEFT_EINTERNAL,
                             "plan of rank %d of %d, %zu elements, blocks %" PRIu32 " and %" PRIu32
                             ": not what was asked for rank %d of %d, %zu, %d and %d",
                             p->rank, p->size, p->count, p->in_blocks, p->out_blocks, rank, g->size,
                             g->count, g->in_blocks, g->out_blocks);
    }
    v->atoms = v->edge_count - 1;
    return WEFT_OK;
}

static int allocate(proof *v)
{
    const weft_goal *g = v->goal;
    const size_t words = ((size_t)g->size + 63) / 64;

    v->stride = RANKS + words;
    for (int rank = 0; rank < g->size; rank++) {
        v->outs[rank] = weft_calloc((size_t)g->out_blocks * v->atoms, v->stride * sizeof(uint64_t));
        if (!v->outs[rank])
            return weft_fail(WEFT_ENOMEM, "verify: no memory for the output of rank %d", rank);
    }
    if (g->kind != WEFT_GOAL_MEET)
        return WEFT_OK;
    v->heard_words = words;
    v->heard = weft_calloc((size_t)g->size * words, sizeof *v->heard);
    if (!v->heard)
        return weft_fail(WEFT_ENOMEM, "verify: no memory for %d ranks", g->size);
    for (int rank = 0; rank < g->size; rank++)
        v->heard[(size_t)rank * words + (size_t)rank / 64] |= UINT64_C(1) << (rank % 64);
    return WEFT_OK;
}

/* first: the same element's symbol at the first rank that has its block. */
static int check_element(const proof *v, int rank, const uint64_t *symbol, const uint64_t *first,
                         uint32_t block, size_t atom)
{
    int rc = check_complete(v, rank, symbol, block, atom);

    if (rc)
        return rc;
    if (v->goal->ordered && symbol[BEHIND] == 0)
        return weft_fail(WEFT_EINTERNAL,
                         "element %zu, last written by step %" PRIu64
                         ", does not combine its contributions in rank order",
                         v->edges[atom], symbol[WRITER]);
    if (symbol[PRINT] != first[PRINT])
        return weft_fail(WEFT_EINTERNAL,
                         "element %zu, last written by step %" PRIu64
                         ", is summed in another order than at rank 0",
                         v->edges[atom], symbol[WRITER]);
    if (symbol[DIVIDED] != v->plans[rank].replies)
        return weft_fail(WEFT_EINTERNAL,
                         "element %zu, last written by step %" PRIu64
                         ", came through no reply, which others did",
                         v->edges[atom], symbol[WRITER]);
    return WEFT_OK;
}

static int check_outputs(const proof *v)
{
    const weft_goal *g = v->goal;
    /* Each rank has other elements, or is the only one that has any. */
    const bool own = g->out_blocks < g->in_blocks || weft_plan_crosses(&v->plans[0]) ||
                     g->kind == WEFT_GOAL_MIX || g->sink >= 0;

    for (int rank = 0; rank < g->size; rank++) {
        const bool replies = v->plans[rank].replies;
        if (replies != v->plans[0].replies)
            return weft_fail(WEFT_EINTERNAL, "the plan of rank %d %s, that of rank 0 %s", rank,
                             replies ? "replies" : "has no reply", replies ? "does not" : "has");
        if (g->sink >= 0 && rank != g->sink)
            continue;
        for (int b = 0; b < v->goal->out_blocks; b++) {
            const weft_span local = {.block = (uint32_t)b};
            const uint32_t block = weft_plan_out(&v->plans[rank], local).block;
            for (size_t atom = 0; atom < v->atoms; atom++) {
                const size_t at = ((size_t)b * v->atoms + atom) * v->stride;
                const uint64_t *first = v->outs[own ? rank : 0] + at;
                if (check_element(v, rank, v->outs[rank] + at, first, block, atom))
                    return weft_fail_context("rank %d of %d", rank, v->goal->size);
            }
        }
    }
    return WEFT_OK;
}

static int check_meeting(const proof *v)
{
    for (int rank = 0; rank < v->goal->size; rank++) {
        const uint64_t *bits = v->heard + (size_t)rank * v->heard_words;
        for (int of = 0; of < v->goal->size; of++)
            if (!(bits[of / 64] >> (of % 64) & 1))
                return weft_fail(WEFT_EINTERNAL,
                                 "rank %d of %d is at its end, step %zu, and has not heard of rank "
                                 "%d",
                                 rank, v->goal->size, v->plans[rank].step_count, of);
    }
    return WEFT_OK;
}

static void clean(proof *v)
{
    for (int rank = 0; rank < v->goal->size; rank++) {
        if (v->plans)
            weft_plan_free(&v->plans[rank]);
        if (v->outs)
            weft_free(v->outs[rank]);
    }
    weft_free(v->plans);
    weft_free(v->outs);
    weft_free(v->edges);
    weft_free(v->heard);
}

int weft_plan_verify(const weft_goal *goal, int (*build)(void *user, int rank, weft_plan *ret),
                     void *user)
{
    proof v = {.goal = goal};
    int rc;

    if (goal->size < 1)
        return weft_fail(WEFT_EINVAL, "verify: %d ranks", goal->size);
    v.plans = weft_calloc((size_t)goal->size, sizeof *v.plans);
    v.outs = weft_calloc((size_t)goal->size, sizeof(uint64_t *));
    if (!v.plans || !v.outs) {
        rc = weft_fail(WEFT_ENOMEM, "verify: no memory for %d ranks", goal->size);
        goto out;
    }
    if ((rc = collect(&v, build, user)) || (rc = allocate(&v)))
        goto out;
    const weft_sim_ops ops = {
        .bound = bound,
        .fill = fill,
        .fold = fold,
        .merge = merge,
        .scale = scale,
        .unpack = unpack,
        .stamp_bytes = v.heard_words * sizeof *v.heard,
        .stamp = stamp,
        .heard = heard,
    };
    if ((rc = weft_plan_simulate(v.plans, goal->size, &ops, &v, SEED, NULL)))
        goto out;
    rc = goal->kind == WEFT_GOAL_MEET ? check_meeting(&v) : check_outputs(&v);
out:
    clean(&v);
    return rc;
}
