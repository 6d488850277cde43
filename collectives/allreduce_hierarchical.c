/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the hosts, between them, inside again. The lane is cut into as many segments as the host
 * with the fewest ranks has; on every host the first ranks own a segment each. P = 4, hosts {0, 1}
 * and {2, 3}, segments a b, of pieces a' a" b' b", x0 = rank 0's part of x:
 *
 *   round   inside         0 and 1                     2 and 3
 *   1                      b0 -> 1   a1 -> 0           b2 -> 3   a3 -> 2
 *           between        0 and 2                     1 and 3
 *   2                      a"01 -> 2   a'23 -> 0       b"01 -> 3   b'23 -> 1      halving
 *   3                      a' -> 2     a" -> 0         b' -> 3     b" -> 1        and doubling
 *           inside         0 and 1                     2 and 3
 *   4                      a -> 1    b -> 0            a -> 3    b -> 2
 *
 * All ranks of a host send to the owners there, who add in rank order; owners of the same segment
 * reduce it between the hosts, by the butterfly (halving) or around a ring; owners send the result
 * to all on their host. Where all hosts have the same m ranks everybody is an owner and sends
 * 2(m-1)/m n w bytes inside and about 2(H-1)/H n w/m between H hosts. Otherwise fewer own larger
 * segments, down to one leader a host, which sends the whole result to each of the others there.
 * Ranks of a host need not be neighbours; with one rank a host, and on one host, a stage is empty.
 * Order of summation: the ranks of a host in order, hosts as halving or the ring has members, in
 * the order of their numbers; each piece summed by one rank and spread as bytes: same bits
 * everywhere. (Not in rank order in general: a host's ranks may lie anywhere.)
 * Needs encodings that merge. Pieces of a segment travel in one message.
 * Source: Cho, Finkler, Kung & Hunter, BlueConnect, MLSys 2019; leaders: Karonis et al., Exploiting
 * hierarchy in parallel computer networks to optimize collective operation performance, IPDPS 2000.
 */
#include "base/mem.h"
#include "base/status.h"
#include "collectives/party.h"

static const weft_param params[] = {{.key = "between",
                                     .value = "halving",
                                     .choices = "halving|ring",
                                     .help = "how the hosts' sums are reduced"},
                                    {.key = NULL}};

/* How many hosts there are, and how the lane is cut for them. */
typedef struct layout {
    int hosts, segments;
    int each; /* pieces of a segment */
    bool ring;
    bool alone; /* every rank has its host for itself */
} layout;

static int host_of(const weft_shape *s, int rank)
{
    return s->host ? s->host[rank] : 0;
}

static int ranks_on(const weft_shape *s, int host)
{
    int count = 0;

    if (!s->host)
        return host == 0 ? s->size : 0;
    for (int r = 0; r < s->size; r++)
        count += s->host[r] == host;
    return count;
}

/* Numbers of hosts end before this one. */
static int host_limit(const weft_shape *s)
{
    int limit = 1;

    for (int r = 0; s->host && r < s->size; r++)
        limit = s->host[r] >= limit ? s->host[r] + 1 : limit;
    return limit;
}

static layout lay_out(const weft_shape *s)
{
    layout l = {.segments = s->size, .ring = weft_shape_choice(s, 0) == 1, .alone = true};
    const int limit = host_limit(s);

    for (int h = 0; h < limit; h++) {
        const int count = ranks_on(s, h);
        if (count == 0)
            continue;
        l.hosts++;
        l.segments = count < l.segments ? count : l.segments;
        l.alone = l.alone && count == 1;
    }
    l.each = l.ring ? l.hosts : weft_butterfly_pieces(l.hosts);
    return l;
}

static weft_cuts cuts_of(const weft_shape *s, const layout *l)
{
    return weft_cuts_of(s, weft_whole(s, 0), l->segments * l->each);
}

static int parts(const weft_shape *s)
{
    const layout l = lay_out(s);

    if (!l.alone)
        return l.segments;
    return l.ring ? l.hosts : l.hosts < 2 ? l.hosts : 2;
}

/* The owners of a segment, seen from one of the hosts; without ranks. */
static weft_party owners(const weft_cuts *cuts, const layout *l, int host, int segment)
{
    return (weft_party){.cuts = *cuts,
                        .members = l->hosts,
                        .me = host,
                        .first = segment * l->each,
                        .each = 1,
                        .spare = cuts->parts,
                        .packed = true};
}

/* Hosts of several ranks begin the middle stage a round late, and have a round more behind it. */
typedef struct crowds {
    bool any;
    bool paired;            /* one that the butterfly pairs with another */
    bool apart;             /* two, two places apart in the ring, or one and itself */
    bool first[2], last[2]; /* the first two hosts, and the last two so far, are crowded */
} crowds;

static void note_host(crowds *c, const layout *l, int host, bool crowded)
{
    const int pairs = l->hosts - weft_butterfly_power(l->hosts);

    c->any = c->any || crowded;
    c->paired = c->paired || (crowded && host < 2 * pairs);
    if (host < 2)
        c->first[host] = crowded;
    else
        c->apart = c->apart || (crowded && c->last[0]);
    c->last[0] = c->last[1];
    c->last[1] = crowded;
}

/* The longest chain of messages: from a host, through the middle stage, to a host. */
static int rounds(const crowds *c, const layout *l)
{
    if (l->ring) { /* a message that goes all the way ends two hosts before where it began */
        const bool around = (c->first[0] && c->last[0]) || (c->first[1] && c->last[1]);
        return 2 * (l->hosts - 1) + c->any + (c->any && (l->hosts == 1 || c->apart || around));
    }
    /* It can end where it began; the longest chains are those of pairs. */
    const bool pairs = l->hosts > weft_butterfly_power(l->hosts);
    return weft_butterfly_rounds(l->hosts) + ((pairs ? c->paired : c->any) ? 2 : 0);
}

/* What the owner of a segment has to do, where `count` ranks are on its host. The others do less.
 */
static weft_cost owner_cost(const weft_party *a, const layout *l, int count, double width)
{
    const double all = (double)a->cuts.whole.count, others = count - 1;
    const double mine = (double)weft_cuts_run(&a->cuts, a->first, l->each);
    weft_cost c = {.messages = l->segments - 1 + others,
                   .bytes = (all - mine + others * mine) * width,
                   .reduced_bytes = others * mine * width,
                   .peers = others};

    if (l->ring) {
        weft_party before = *a; /* what this one receives in the ring, that one sends */
        weft_cost got = {.bytes = c.bytes};
        before.me = (a->me + a->members - 1) % a->members;
        weft_party_ring_cost(&before, width, &got);
        weft_party_ring_cost(a, width, &c);
        c.bytes = got.bytes > c.bytes ? got.bytes : c.bytes;
    } else {
        weft_party_butterfly_cost(a, width, &c);
    }
    return c;
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const layout l = lay_out(s);
    const weft_cuts cuts = cuts_of(s, &l);
    const int limit = host_limit(s);
    weft_cost most = {0};
    crowds c = {0};

    (void)reply;
    for (int number = 0, host = 0; number < limit; number++) {
        const int count = ranks_on(s, number);
        if (count == 0)
            continue;
        /* Segments do not grow from the first to the last. */
        const weft_party a = owners(&cuts, &l, host, 0);
        const weft_cost one = owner_cost(&a, &l, count, width);
        weft_cost_most(&most, &one);
        note_host(&c, &l, host++, count > 1);
    }
    most.rounds = rounds(&c, &l);
    return most;
}

/* This rank's host. */
typedef struct home {
    int *rank; /* those on it, in order */
    int count, me;
    int low, next; /* slots for what comes from ranks before this one, and from the one at hand */
} home;

/* Everybody's parts of a segment to its owner, who adds them up. */
static void reduce_inside(weft_plan *p, const weft_party *a, const layout *l, const home *h)
{
    const int each = l->each, own = h->me * each;

    for (int d = 1; d <= l->segments; d++) {
        const int j = (h->me + d) % l->segments;
        if (j == h->me)
            continue;
        weft_party_pack(p, a, j * each, each);
        weft_party_send(p, j * each, each, h->rank[j]);
    }
    if (h->me >= l->segments)
        return;
    weft_party_pack(p, a, own, each);
    for (int i = 0; i < h->count; i++) {
        const int to = i == 0 ? h->low : h->next;
        if (i == h->me) {
            if (i > 0)
                weft_party_merge(p, own, h->low, each, true);
            continue;
        }
        weft_party_recv(p, a, own, each, to, h->rank[i]);
        if (i == 0 && h->me > 1)
            continue; /* the next one's fence does */
        weft_plan_fence(p);
        if (i > h->me)
            weft_party_merge(p, own, to, each, false);
        else if (i > 0)
            weft_party_merge(p, h->low, to, each, false);
    }
}

static void spread_inside(weft_plan *p, const weft_party *a, const layout *l, const home *h)
{
    const int each = l->each;

    for (int d = 1; d < h->count && h->me < l->segments; d++)
        weft_party_send(p, h->me * each, each, h->rank[(h->me + d) % h->count]);
    for (int d = 1; d < h->count; d++) {
        const int j = (h->me - d + h->count) % h->count;
        if (j >= l->segments)
            continue;
        weft_party_recv(p, a, j * each, each, j * each, h->rank[j]);
        weft_plan_fence(p);
        weft_party_unpack(p, a, j * each, each);
    }
}

/* The n-th rank on a host. */
static int nth_on(const weft_shape *s, int host, int n)
{
    int r = 0;

    while (host_of(s, r) != host || n-- > 0)
        r++;
    return r;
}

static void emit(weft_plan *p, const weft_shape *s, int *local, int *peers)
{
    const layout l = lay_out(s);
    const weft_cuts cuts = cuts_of(s, &l);
    const int here = host_of(s, s->rank), limit = host_limit(s);
    home h = {.rank = local, .low = cuts.parts, .next = cuts.parts + l.each};
    int hosts = 0, my_host = 0;

    for (int r = 0; r < s->size; r++) {
        if (host_of(s, r) != here)
            continue;
        if (r == s->rank)
            h.me = h.count;
        local[h.count++] = r;
    }
    const bool owns = h.me < l.segments;
    for (int number = 0; owns && number < limit; number++) {
        if (ranks_on(s, number) == 0)
            continue;
        if (number == here)
            my_host = hosts;
        peers[hosts++] = nth_on(s, number, h.me);
    }
    weft_party a = owners(&cuts, &l, my_host, owns ? h.me : 0);
    a.rank = peers;
    reduce_inside(p, &a, &l, &h);
    if (owns && l.ring) {
        weft_party_ring_reduce(p, &a);
        weft_party_ring_spread(p, &a, true);
    } else if (owns) {
        weft_party_butterfly(p, &a);
    }
    spread_inside(p, &a, &l, &h);
}

static int build(weft_plan *p, const weft_shape *s)
{
    int *ranks = weft_calloc((size_t)s->size, 2 * sizeof *ranks);

    if (!ranks)
        return weft_fail(WEFT_ENOMEM, "no memory for the hosts of %d ranks", s->size);
    emit(p, s, ranks, ranks + s->size);
    weft_free(ranks);
    return weft_plan_check(p);
}

const weft_algo weft_algo_allreduce_hierarchical = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "hierarchical",
    .summary = "inside the hosts, a segment a rank; between them; inside again",
    .source = "Cho, Finkler, Kung & Hunter 2019; Karonis et al. 2000",
    .formula = "2 rounds more than halving (or the ring) of H hosts, 2(m-1)/m n w bytes inside, "
               "2(H-1)/H n w/m between, m ranks a host",
    .needs = WEFT_NEEDS_MERGE,
    .params = params,
    .parts = parts,
    .cost = cost,
    .build = build,
};
