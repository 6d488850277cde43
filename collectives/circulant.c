/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/circulant.h"

/* How often the piece so far from the rank's own has been received before a round begins in which
 * `left` pieces are left. */
static int times_received(int size, int left, int piece)
{
    int times = 0;

    for (int all = size; all > left; all = all - all / 2)
        times += piece < all / 2;
    return times;
}

/* Where its sum lies then: two slots for each piece take turns. */
static int slot_of(int piece, int times)
{
    return 2 * piece + times % 2;
}

static void send_far(weft_plan *p, const weft_shape *s, weft_piece *piece, int near, int left)
{
    for (int j = near; j < left; j++)
        if (times_received(s->size, left, j) == 0)
            weft_plan_pack(p, slot_of(j, 0), piece(s, s->rank + j));
    for (int j = near; j < left; j++) {
        weft_plan_send(p, slot_of(j, times_received(s->size, left, j)), (s->rank + near) % s->size);
        if (j + 1 < left)
            weft_plan_joined(p);
    }
}

static void take_near(weft_plan *p, const weft_shape *s, weft_piece *piece, int near, int left)
{
    const int from = (s->rank - near + s->size) % s->size;

    for (int j = 0; j < left - near; j++) {
        const int times = times_received(s->size, left, j);
        weft_plan_recv(p, slot_of(j, times + 1), from, piece(s, s->rank + j));
        if (j + 1 < left - near)
            weft_plan_joined(p);
    }
    weft_plan_fence(p);
    for (int j = 0; j < left - near; j++) {
        const int times = times_received(s->size, left, j), got = slot_of(j, times + 1);
        if (times == 0)
            weft_plan_fold(p, got, piece(s, s->rank + j));
        else
            weft_plan_merge(p, got, slot_of(j, times), false);
    }
}

int weft_circulant_reduce(weft_plan *p, const weft_shape *s, weft_piece *piece)
{
    int rounds = 0;

    for (int left = s->size, near; left > 1; left = near) {
        near = left - left / 2;
        send_far(p, s, piece, near, left);
        take_near(p, s, piece, near, left);
        rounds++;
    }
    if (rounds == 0)
        weft_plan_pack(p, slot_of(0, 0), piece(s, s->rank));
    return slot_of(0, rounds);
}

size_t weft_circulant_reduced(const weft_shape *s, int rank)
{
    size_t sum = 0;

    for (int left = s->size; left > 1; left = left - left / 2)
        sum += weft_parts_count(s, rank, left / 2);
    return sum;
}
