/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 2-D torus: ranks in R rows of C, rank r in row r / C. The lane is reduced along the rows in C
 * chunks, each chunk along its column in R pieces; pieces are spread along the columns, chunks
 * along the rows. P = 4, R = C = 2, chunks ab and cd, a0 = rank 0's part of piece a:
 *
 *   hop    0 and 1             2 and 3
 *   1      a0b0 -> 1           a2b2 -> 3         rows: 0 has c01 d01, 1 has a01 b01,
 *          c1d1 -> 0           c3d3 -> 2               2 has c23 d23, 3 has a23 b23
 *          0 and 2             1 and 3
 *   2      c01 -> 2, d23 -> 0  a01 -> 3, b23 -> 1    columns: 0 has d, 2 has c, 1 has b, 3 has a
 *   3      d -> 2, c -> 0      b -> 3, a -> 1
 *          0 and 1             2 and 3
 *   4      cd -> 1, ab -> 0    cd -> 3, ab -> 2
 *
 * Every stage is a ring. 2(C-1) + 2(R-1) rounds, 2(P-1)/P n w bytes where the pieces are even: the
 * bytes of a ring in the square root of its rounds. rows=0 takes the R nearest to the square root
 * that divides P and is not above it; of a prime P that is 1: a ring.
 * Order of summation: chunk c adds along a row from column c on, piece r of it the rows from r on,
 * around; computed once, then copied as bytes: same bits everywhere.
 * Needs encodings that fold and merge. Pieces of a chunk travel in one message.
 * Source: Mikami et al., Massively distributed SGD: ImageNet/ResNet-50 training in a flash, 2018;
 * before them Barnett, Littlefield, Payne & van de Geijn, Global combine on mesh architectures with
 * wormhole routing, IPPS 1993.
 */
#include <stdio.h>

#include "collectives/party.h"

static const weft_param params[] = {{.key = "rows",
                                     .value = "0",
                                     .min = 0,
                                     .max = 65536,
                                     .integer = 1,
                                     .help = "rows of ranks; 0: as square as can be"},
                                    {.key = NULL}};

static int rows(const weft_shape *s)
{
    const int given = (int)weft_shape_number(s, params, 0);
    int best = 1;

    if (s->size == 1)
        return 1;
    if (given > 0)
        return given;
    for (int r = 1; r <= s->size / r; r++)
        if (s->size % r == 0)
            best = r;
    return best;
}

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    const int given = rows(s);
    size_t len;

    if (s->size % given == 0)
        return false;
    const int got = snprintf(why, cap, "needs rows that divide %d peers:", s->size);
    len = got > 0 ? (size_t)got : 0;
    for (int r = 1; r <= s->size && len < cap; r++) {
        if (s->size % r)
            continue;
        const int more = snprintf(why + len, cap - len, " %d", r);
        len += more > 0 ? (size_t)more : 0;
    }
    return true;
}

/* A row, with as many pieces a member as there are rows, seen from one of its members. */
static weft_party row_of(const weft_shape *s, int row, int column)
{
    const int down = rows(s), across = s->size / down;

    return (weft_party){.cuts = weft_cuts_of(s, weft_whole(s, 0), s->size),
                        .base = row * across,
                        .stride = 1,
                        .members = across,
                        .me = column,
                        .each = down};
}

/* The column of that member, with the pieces of the chunk that it gets along its row. */
static weft_party column_of(const weft_party *row)
{
    const int down = row->each, across = row->members, chunk = (row->me + 1) % across;

    return (weft_party){.cuts = row->cuts,
                        .base = row->me,
                        .stride = across,
                        .members = down,
                        .me = row->base / across,
                        .first = chunk * down,
                        .each = 1,
                        .spare = row->cuts.parts,
                        .packed = true};
}

static int parts(const weft_shape *s)
{
    const int down = rows(s), across = s->size / down;
    return across > 1 ? across : down;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    weft_party row = row_of(s, 0, 0);
    weft_cost most = {.rounds = 2 * (row.members - 1) + 2 * (row.each - 1)};

    (void)reply;
    for (row.me = 0; row.me < row.members; row.me++) {
        weft_party column = column_of(&row), before = row;
        weft_cost along = {0}, heard = {0};
        before.me = (row.me + row.members - 1) % row.members;
        weft_party_ring_cost(&row, width, &along);
        weft_party_ring_cost(&before, width, &heard);
        for (column.me = 0; column.me < column.members; column.me++) {
            weft_cost one = along, got = {.bytes = heard.bytes};
            weft_party above = column;
            above.me = (column.me + column.members - 1) % column.members;
            weft_party_ring_cost(&column, width, &one);
            weft_party_ring_cost(&above, width, &got); /* received: what those before send */
            one.bytes = got.bytes > one.bytes ? got.bytes : one.bytes;
            weft_cost_most(&most, &one);
        }
    }
    return most;
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int across = s->size / rows(s);
    const weft_party row = row_of(s, s->rank / across, s->rank % across);
    const weft_party column = column_of(&row);

    weft_party_ring_reduce(p, &row);
    weft_party_ring_reduce(p, &column);
    weft_party_ring_spread(p, &column, true);
    weft_party_ring_spread(p, &row, false);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_torus = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "torus",
    .summary = "rings along the rows, then along the columns of a 2-D torus, and back",
    .source = "Mikami et al. 2018; Barnett, Littlefield, Payne & van de Geijn 1993",
    .formula = "2(C-1) + 2(R-1) rounds, 2(P-1)/P n w bytes, R rows of C",
    .needs = WEFT_NEEDS_MERGE,
    .params = params,
    .refuses = refuses,
    .parts = parts,
    .cost = cost,
    .build = build,
};
