/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/doubled.h"

#include "collectives/partition.h"

/* Q of the ranks are players, numbered from 0; the first P - Q of them serve another rank each. */
typedef struct players {
    int power, served;
    weft_fold_of fold;
} players;

int weft_doubled_power(int size)
{
    int q = 1;

    while (q <= size / 2)
        q *= 2;
    return q;
}

static int rank_of(const players *y, int player)
{
    return y->fold == WEFT_FOLD_BEHIND || player >= y->served
               ? player + (y->fold == WEFT_FOLD_BEHIND ? 0 : y->served)
               : 2 * player;
}

/* Whom a player serves. */
static int served_by(const players *y, int player)
{
    return y->fold == WEFT_FOLD_BEHIND ? y->power + player : 2 * player + 1;
}

/* The player that a rank is; -1 - v where player v serves it. */
static int player_of(const players *y, int rank)
{
    if (y->fold == WEFT_FOLD_BEHIND)
        return rank < y->power ? rank : -1 - (rank - y->power);
    if (rank >= 2 * y->served)
        return rank - y->served;
    return rank % 2 == 0 ? rank / 2 : -1 - rank / 2;
}

static void play(weft_plan *p, const weft_shape *s, const players *y, int v)
{
    const bool serves = v < y->served;
    const weft_span whole = weft_whole(s, 0);
    int have = 0, got = 1;

    weft_plan_pack(p, have, whole);
    if (serves) {
        weft_plan_recv(p, got, served_by(y, v), whole);
        weft_plan_fence(p);
        weft_plan_merge(p, have, got, false);
    }
    for (int d = 1; d < y->power; d *= 2) {
        const int peer = rank_of(y, v ^ d);
        weft_plan_send(p, have, peer);
        weft_plan_recv(p, got, peer, whole);
        weft_plan_fence(p);
        weft_plan_merge(p, got, have, v < (v ^ d)); /* into what came: what was sent is not mine */
        weft_plan_alike(p, 2 * (uint32_t)d, (uint32_t)v % (2 * (uint32_t)d));
        const int spare = have;
        have = got;
        got = spare;
    }
    weft_plan_unpack(p, have, whole);
    if (serves)
        weft_plan_send(p, have, served_by(y, v));
}

int weft_doubled(weft_plan *p, const weft_shape *s, weft_fold_of fold)
{
    const int q = weft_doubled_power(s->size);
    const players y = {.power = q, .served = s->size - q, .fold = fold};
    const int v = player_of(&y, s->rank);

    if (v >= 0) {
        play(p, s, &y, v);
    } else {
        const int server = rank_of(&y, -1 - v);
        weft_plan_pack(p, 0, weft_whole(s, 0));
        weft_plan_send(p, 0, server);
        weft_plan_recv(p, 1, server, weft_whole(s, 0));
        weft_plan_fence(p);
        weft_plan_unpack(p, 1, weft_whole(s, 0));
    }
    return weft_plan_check(p);
}
