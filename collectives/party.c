/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on runs of pieces, and the ring. */
#include "collectives/party.h"

int weft_party_rank(const weft_party *a, int member)
{
    return a->rank ? a->rank[member] : a->base + member * a->stride;
}

void weft_party_pack(weft_plan *p, const weft_party *a, int first, int count)
{
    for (int i = first; i < first + count; i++)
        weft_plan_pack(p, i, weft_cuts_part(&a->cuts, i));
}

void weft_party_unpack(weft_plan *p, const weft_party *a, int first, int count)
{
    for (int i = first; i < first + count; i++)
        weft_plan_unpack(p, i, weft_cuts_part(&a->cuts, i));
}

void weft_party_send(weft_plan *p, int first, int count, int to)
{
    for (int i = 0; i < count; i++) {
        if (i > 0)
            weft_plan_joined(p);
        weft_plan_send(p, first + i, to);
    }
}

void weft_party_recv(weft_plan *p, const weft_party *a, int first, int count, int slot, int from)
{
    for (int i = 0; i < count; i++) {
        if (i > 0)
            weft_plan_joined(p);
        weft_plan_recv(p, slot + i, from, weft_cuts_part(&a->cuts, first + i));
    }
}

void weft_party_merge(weft_plan *p, int slot, int other, int count, bool other_first)
{
    for (int i = 0; i < count; i++)
        weft_plan_merge(p, slot + i, other + i, other_first);
}

/* The first piece of a chunk; chunks from -members on. */
static int chunk(const weft_party *a, int index)
{
    return a->first + (index + a->members) % a->members * a->each;
}

static int next(const weft_party *a)
{
    return weft_party_rank(a, (a->me + 1) % a->members);
}

static int previous(const weft_party *a)
{
    return weft_party_rank(a, (a->me + a->members - 1) % a->members);
}

void weft_party_ring_reduce(weft_plan *p, const weft_party *a)
{
    if (!a->packed)
        weft_party_pack(p, a, chunk(a, a->me), a->each);
    for (int t = 0; t < a->members - 1; t++) { /* what comes takes mine in and travels on */
        const int got = chunk(a, a->me - t - 1);
        weft_party_send(p, chunk(a, a->me - t), a->each, next(a));
        weft_party_recv(p, a, got, a->each, a->packed ? a->spare : got, previous(a));
        weft_plan_fence(p);
        if (a->packed)
            weft_party_merge(p, got, a->spare, a->each, true);
        for (int i = got; !a->packed && i < got + a->each; i++)
            weft_plan_fold(p, i, weft_cuts_part(&a->cuts, i));
    }
}

void weft_party_ring_spread(weft_plan *p, const weft_party *a, bool fresh)
{
    for (int t = 0; t < a->members - 1; t++) {
        const int have = chunk(a, a->me + 1 - t), got = chunk(a, a->me - t);
        weft_party_send(p, have, a->each, next(a));
        if (fresh || t > 0) /* while the next one is under way */
            weft_party_unpack(p, a, have, a->each);
        weft_party_recv(p, a, got, a->each, got, previous(a));
        weft_plan_fence(p);
    }
    if (fresh || a->members > 1)
        weft_party_unpack(p, a, chunk(a, a->me + 2), a->each);
}

void weft_party_ring_cost(const weft_party *a, double width, weft_cost *cost)
{
    const double all = (double)weft_cuts_run(&a->cuts, a->first, a->members * a->each);
    const double mine = (double)weft_cuts_run(&a->cuts, chunk(a, a->me), a->each);
    const double made = (double)weft_cuts_run(&a->cuts, chunk(a, a->me + 1), a->each);
    const double last = (double)weft_cuts_run(&a->cuts, chunk(a, a->me + 2), a->each);

    cost->messages += 2 * (a->members - 1);
    cost->bytes += (2 * all - made - last) * width;
    cost->reduced_bytes += (all - mine) * width;
    cost->peers += a->members > 1;
}
