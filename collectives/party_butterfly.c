/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The butterfly: members exchange halves of halves, then give back what they summed. Four members
 * and pieces a b c d, a0 = member 0's part of piece a:
 *
 *   round   0 and 1              2 and 3
 *   1       c0d0 -> 1            c2d2 -> 3           0 adds up a01 b01, 1 c01 d01, 2 a23 b23, …
 *           a1b1 -> 0            a3b3 -> 2
 *           0 and 2              1 and 3
 *   2       b01 -> 2  a23 -> 0   d01 -> 3  c23 -> 1  0 has a, 2 has b, 1 has c, 3 has d
 *   3       a -> 2    b -> 0     c -> 3    d -> 1
 *           0 and 1              2 and 3
 *   4       ab -> 1   cd -> 0    ab -> 3   cd -> 2
 *
 * Neighbours exchange first: so both operands are sums of neighbouring members, and the one with
 * the lower members stands first.
 *
 * Where the members are no power of two, with Q the greatest below, the first 2 (members - Q) of
 * them pair up, 2i with 2i+1, and each pair plays one of Q players: there are two butterflies, one
 * for each half of the pieces, in which a single member plays both parts and a pair's members one
 * part each. Before, a pair exchanges halves of its input; at the end, halves of the result.
 */
#include "collectives/party.h"

/* One of the Q players, as far as this member plays it. */
typedef struct player {
    int power, pairs;
    int number;
    int wings;       /* butterflies there are: 1, or 2 where there are pairs */
    int from, until; /* those that this member is in */
} player;

/* Runs of `count` pieces that this member and another one give each other. */
typedef struct trade {
    int peer, count;
    int give, take; /* the first piece */
} trade;

int weft_butterfly_power(int members)
{
    int q = 1;

    while (q <= members / 2)
        q *= 2;
    return q;
}

int weft_butterfly_pieces(int members)
{
    const int q = weft_butterfly_power(members);
    return members > q ? 2 * q : q;
}

int weft_butterfly_spare(int members)
{
    return weft_butterfly_power(members);
}

int weft_butterfly_rounds(int members)
{
    const int q = weft_butterfly_power(members);
    int rounds = members > q ? 2 : 0;

    for (int d = 1; d < q; d *= 2)
        rounds += 2;
    return rounds;
}

static player player_of(const weft_party *a)
{
    const int q = weft_butterfly_power(a->members), pairs = a->members - q, me = a->me;

    if (me < 2 * pairs)
        return (player){.power = q,
                        .pairs = pairs,
                        .number = me / 2,
                        .wings = 2,
                        .from = me % 2,
                        .until = me % 2 + 1};
    return (player){.power = q,
                    .pairs = pairs,
                    .number = me - pairs,
                    .wings = pairs > 0 ? 2 : 1,
                    .until = pairs > 0 ? 2 : 1};
}

/* Who plays a player in a wing. */
static int member_of(const player *y, int number, int wing)
{
    return number < y->pairs ? 2 * number + wing : number + y->pairs;
}

/* The first of the power >> level pieces of a wing that a player is left with at a level. */
static int left_at(const player *y, int level)
{
    int first = 0;

    for (int k = 0; k < level; k++)
        first += (y->number >> k & 1) * (y->power >> (k + 1));
    return first;
}

/* What is exchanged over distance 1 << level on the way down; on the way up give and take are the
 * other way round. */
static int trades_at(const weft_party *a, const player *y, int level, trade ret[2])
{
    const int count = y->power >> (level + 1), upper = y->number >> level & 1;
    const int left = left_at(y, level);
    int n = 0;

    for (int wing = y->from; wing < y->until; wing++) {
        const int first = a->first + wing * y->power + left;
        ret[n++] = (trade){.peer = member_of(y, y->number ^ 1 << level, wing),
                           .count = count,
                           .give = first + (upper ? 0 : count),
                           .take = first + (upper ? count : 0)};
    }
    return n;
}

/* What a pair exchanges. */
static trade within_pair(const weft_party *a, const player *y)
{
    return (trade){.peer = a->me ^ 1,
                   .count = y->power,
                   .give = a->first + (1 - y->from) * y->power,
                   .take = a->first + y->from * y->power};
}

/* Trades with the same peer go in one message. */
static bool with_next(const trade *trades, int n, int i)
{
    return i + 1 < n && trades[i + 1].peer == trades[i].peer;
}

static void give(weft_plan *p, const weft_party *a, const trade *trades, int n)
{
    for (int i = 0; i < n; i++) {
        weft_party_send(p, trades[i].give, trades[i].count, weft_party_rank(a, trades[i].peer));
        if (with_next(trades, n, i))
            weft_plan_joined(p);
    }
}

/* Exchange contributions and add up. fresh: what goes and what stays is still in the input. */
static void reduce(weft_plan *p, const weft_party *a, const trade *trades, int n, bool fresh)
{
    for (int i = 0; fresh && i < n; i++)
        weft_party_pack(p, a, trades[i].give, trades[i].count);
    give(p, a, trades, n);
    for (int i = 0; fresh && i < n; i++)
        weft_party_pack(p, a, trades[i].take, trades[i].count);
    for (int i = 0, begin = 0; i < n; i++) {
        const trade *t = &trades[i];
        weft_party_recv(p, a, t->take, t->count, a->spare + i * t->count,
                        weft_party_rank(a, t->peer));
        if (with_next(trades, n, i)) {
            weft_plan_joined(p);
            continue;
        }
        weft_plan_fence(p);
        for (; begin <= i; begin++)
            weft_party_merge(p, trades[begin].take, a->spare + begin * t->count, t->count,
                             t->peer < a->me);
    }
}

/* Exchange sums; unpack what was got before, meanwhile. */
static void spread(weft_plan *p, const weft_party *a, const trade *trades, int n, trade had[2],
                   int *had_count)
{
    give(p, a, trades, n);
    for (int i = 0; i < *had_count; i++)
        weft_party_unpack(p, a, had[i].take, had[i].count);
    for (int i = 0; i < n; i++) {
        weft_party_recv(p, a, trades[i].take, trades[i].count, trades[i].take,
                        weft_party_rank(a, trades[i].peer));
        if (with_next(trades, n, i))
            weft_plan_joined(p);
        had[i] = trades[i];
    }
    weft_plan_fence(p);
    *had_count = n;
}

static trade other_way(const trade *t)
{
    trade back = *t;

    back.give = t->take;
    back.take = t->give;
    return back;
}

void weft_party_butterfly(weft_plan *p, const weft_party *a)
{
    const player y = player_of(a);
    const bool paired = a->me < 2 * y.pairs;
    bool fresh = !a->packed;
    trade trades[2], had[2];
    int level = 0, n = 0;

    if (paired) {
        trades[0] = within_pair(a, &y);
        reduce(p, a, trades, 1, fresh);
        fresh = false;
    }
    for (; 1 << level < y.power; level++) {
        n = trades_at(a, &y, level, trades);
        reduce(p, a, trades, n, fresh);
        fresh = false;
    }
    if (fresh) /* alone */
        weft_party_pack(p, a, a->first, 1);
    for (n = 0; n < y.until - y.from; n++)
        had[n] =
            (trade){.take = a->first + (y.from + n) * y.power + left_at(&y, level), .count = 1};
    while (level-- > 0) {
        const int both = trades_at(a, &y, level, trades);
        for (int i = 0; i < both; i++)
            trades[i] = other_way(&trades[i]);
        spread(p, a, trades, both, had, &n);
    }
    if (paired) {
        const trade in = within_pair(a, &y), back = other_way(&in);
        spread(p, a, &back, 1, had, &n);
    }
    for (int i = 0; i < n; i++)
        weft_party_unpack(p, a, had[i].take, had[i].count);
}

void weft_party_butterfly_cost(const weft_party *a, double width, weft_cost *cost)
{
    const player y = player_of(a);
    double sent = 0, merged = 0;
    trade trades[2];

    if (a->me < 2 * y.pairs) {
        const trade t = within_pair(a, &y);
        sent += (double)weft_cuts_run(&a->cuts, a->first, 2 * y.power);
        merged += (double)weft_cuts_run(&a->cuts, t.take, t.count);
        cost->messages += 2;
        cost->peers += 1;
    }
    for (int level = 0; 1 << level < y.power; level++) {
        const int n = trades_at(a, &y, level, trades);
        const int peers = n - with_next(trades, n, 0);
        for (int i = 0; i < n; i++) {
            const int lower = trades[i].give < trades[i].take ? trades[i].give : trades[i].take;
            sent += (double)weft_cuts_run(&a->cuts, lower, 2 * trades[i].count);
            merged += (double)weft_cuts_run(&a->cuts, trades[i].take, trades[i].count);
        }
        cost->messages += 2 * peers;
        cost->peers += peers;
    }
    cost->bytes += sent * width;
    cost->reduced_bytes += merged * width;
}
