/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scatter, then allgather. v = rank - root modulo P; the lane is cut into P spans a b c d, of which
 * span v is v's. P = 4:
 *
 *   scatter       0 -> 2: c d     then   0 -> 1: b     2 -> 3: d      a tree over halves
 * (run_tree.h) around the    0 -> 1: a       1 -> 2: b            2 -> 3: c ring, hop 2   0 -> 1: d
 * 1 -> 2: a            2 -> 3: b hop 3     0 -> 1: c       (2 has d)            2 -> 3: a nobody
 * sends to the root
 *
 * The root needs nothing, and nobody is sent what the scatter brought it. P - 1 rounds; the root
 * sends every span but its own in the tree and every span but v = 1's around the ring:
 * 2(P-1)/P n w bytes where the spans are even, the others less than that. Bytes travel on unchanged
 * and the root decodes its own: same bits everywhere. For long vectors and few ranks.
 * Source: van de Geijn's broadcast: Barnett, Gupta, Payne, Shuler, van de Geijn & Watts,
 * Interprocessor collective communication library (InterCom), SHPCC 1994; Thakur, Rabenseifner &
 * Gropp, IJHPCA 19 (2005), section 4.2.
 */
#include "collectives/partition.h"
#include "collectives/run_tree.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int size = s->size;
    const double n = (double)s->count;

    (void)reply;
    if (size == 1)
        return (weft_cost){0};
    const double sent = 2 * n - (double)weft_part(s, 0).count - (double)weft_part(s, 1).count;
    return (weft_cost){.rounds = size - 1,
                       .messages = weft_lg_ceil(size) + size - 1,
                       .bytes = sent * width,
                       .peers = size > 2 ? 2 : 1};
}

static int rank_of(const weft_shape *s, int v)
{
    return (v + s->root) % s->size;
}

static bool scattered(const weft_run_tree *h, int piece)
{
    return piece >= h->own.from && piece < h->own.behind;
}

static void scatter(weft_plan *p, const weft_shape *s, int v, const weft_run_tree *h)
{
    for (int i = 0; i < s->size && v == 0; i++)
        weft_plan_pack(p, i, weft_part(s, i));
    if (v > 0) {
        weft_recv_pieces(p, s, weft_part, h->own.from, h->own.behind - h->own.from,
                         rank_of(s, h->parent));
        weft_plan_fence(p);
    }
    for (int i = 0; i < h->count; i++)
        weft_send_pieces(p, s, h->branch[i].from, h->branch[i].behind - h->branch[i].from,
                         rank_of(s, h->branch[i].holder));
}

/* Once around the ring; what came is passed on, then decoded. */
static void spread(weft_plan *p, const weft_shape *s, int v, const weft_run_tree *h)
{
    const int size = s->size;
    const weft_run_tree next = weft_run_tree_of(size, 0, (v + 1) % size);

    for (int t = 0; t < size; t++) {
        const int goes = (v - t + size) % size, comes = (v - 1 - t + 2 * size) % size;
        if (t + 1 < size && v + 1 < size && !scattered(&next, goes))
            weft_plan_send(p, goes, rank_of(s, v + 1));
        weft_plan_unpack(p, goes, weft_part(s, goes));
        if (t + 1 < size && v > 0 && !scattered(h, comes)) {
            weft_plan_recv(p, comes, rank_of(s, v - 1), weft_part(s, comes));
            weft_plan_fence(p);
        }
    }
}

static int build(weft_plan *p, const weft_shape *s)
{
    const int v = (s->rank - s->root + s->size) % s->size;
    const weft_run_tree h = weft_run_tree_of(s->size, 0, v);

    scatter(p, s, v, &h);
    spread(p, s, v, &h);
    return weft_plan_check(p);
}

const weft_algo weft_algo_broadcast_scatter_allgather = {
    .coll = WEFT_COLL_BROADCAST,
    .name = "scatter_allgather",
    .summary = "spans are scattered by a tree, then travel around a ring",
    .source = "Barnett, Gupta, Payne, Shuler, van de Geijn & Watts 1994",
    .formula = "P-1 rounds, 2(P-1)/P n w bytes at the root",
    .traits = WEFT_ALGO_RING,
    .parts = weft_parts_size,
    .cost = cost,
    .build = build,
};
