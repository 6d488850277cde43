/* SPDX-License-Identifier: Apache-2.0 */
#include "link/accepted.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"

/* number = generation of the slot << 13 | slot << 1 | 1 */
enum { SLOT_BITS = 12, NOBODY = UINT16_MAX };
_Static_assert(WEFT_ACCEPTED_MAX == 1 << SLOT_BITS, "numbers hold a slot");

struct weft_accepted_table {
    weft_accepted *slots;
    size_t count, cap;
    uint16_t *index; /* of slots by hash of the id, linear probing, twice as long as slots; a power
                        of 2 */
    size_t index_len;
    uint64_t key[2]; /* random: nobody outside can make ids collide */
    size_t in_state[WEFT_ACCEPTED_DROPPED + 1];
    uint64_t drops;
};

int weft_accepted_open(weft_accepted_table **ret)
{
    weft_accepted_table *t = weft_calloc(1, sizeof(*t));
    if (t == NULL)
        return weft_fail(WEFT_ENOMEM, "accepted connections: out of memory");
    const int rc = weft_random_bytes(t->key, sizeof(t->key));
    if (rc != WEFT_OK) {
        weft_free(t);
        return rc;
    }
    *ret = t;
    return WEFT_OK;
}

void weft_accepted_close(weft_accepted_table **ret)
{
    if (*ret == NULL)
        return;
    weft_free((*ret)->slots);
    weft_free((*ret)->index);
    weft_free(*ret);
    *ret = NULL;
}

static size_t place(const weft_accepted_table *t, const uint8_t *id)
{
    uint64_t half[2];
    memcpy(half, id, sizeof(half));
    uint64_t h = (half[0] ^ t->key[0]) * UINT64_C(0x9e3779b97f4a7c15);
    h = ((h ^ h >> 32) + (half[1] ^ t->key[1])) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(h ^ h >> 32) & (t->index_len - 1);
}

/* Where the id is in the index, or the hole where it would be. */
static size_t seek(const weft_accepted_table *t, const uint8_t *id)
{
    size_t i = place(t, id);
    while (t->index[i] != NOBODY && memcmp(t->slots[t->index[i]].id, id, WEFT_ROUTING_ID) != 0)
        i = (i + 1) & (t->index_len - 1);
    return i;
}

weft_accepted *weft_accepted_by_id(weft_accepted_table *t, const uint8_t id[WEFT_ROUTING_ID])
{
    if (t->index_len == 0)
        return NULL;
    const uint16_t slot = t->index[seek(t, id)];
    return slot == NOBODY ? NULL : &t->slots[slot];
}

weft_accepted *weft_accepted_by_number(weft_accepted_table *t, uint32_t number)
{
    const size_t slot = number >> 1 & (WEFT_ACCEPTED_MAX - 1);
    if ((number & 1) == 0 || slot >= t->count || t->slots[slot].number != number ||
        t->slots[slot].state == WEFT_ACCEPTED_FREE)
        return NULL;
    return &t->slots[slot];
}

size_t weft_accepted_by_fd(weft_accepted_table *t, int fd, weft_accepted **ret)
{
    size_t found = 0;
    for (size_t i = 0; i < t->count; i++) {
        const weft_accepted_state state = t->slots[i].state;
        if (t->slots[i].fd == fd &&
            (state == WEFT_ACCEPTED_LIVE || (state == WEFT_ACCEPTED_DROPPED && fd >= 0))) {
            *ret = &t->slots[i];
            found++;
        }
    }
    return found;
}

static void enter(weft_accepted_table *t, weft_accepted *a, weft_accepted_state state)
{
    t->in_state[a->state]--;
    t->in_state[state]++;
    a->state = state;
}

/* Room for one more slot and an index twice as long. */
static bool grow(weft_accepted_table *t)
{
    const size_t cap = t->cap == 0 ? 16 : 2 * t->cap;
    if (cap > WEFT_ACCEPTED_MAX)
        return false;
    uint16_t *index = weft_alloc(2 * cap * sizeof(*index));
    weft_accepted *slots = weft_realloc(t->slots, cap * sizeof(*slots));
    if (slots != NULL) {
        t->slots = slots;
        t->cap = cap;
    }
    if (index == NULL || slots == NULL) {
        weft_free(index);
        return false;
    }
    weft_free(t->index);
    t->index = index;
    t->index_len = 2 * cap;
    memset(index, 0xff, t->index_len * sizeof(*index));
    for (size_t i = 0; i < t->count; i++) {
        if (t->slots[i].state != WEFT_ACCEPTED_FREE)
            index[seek(t, t->slots[i].id)] = (uint16_t)i;
    }
    return true;
}

static weft_accepted *oldest_dropped(weft_accepted_table *t)
{
    weft_accepted *oldest = NULL;
    for (size_t i = 0; i < t->count; i++) {
        weft_accepted *a = &t->slots[i];
        if (a->state == WEFT_ACCEPTED_DROPPED && (oldest == NULL || a->since < oldest->since))
            oldest = a;
    }
    return oldest;
}

/* A slot to use, its generation in number. */
static weft_accepted *vacant(weft_accepted_table *t)
{
    for (size_t i = 0; t->in_state[WEFT_ACCEPTED_FREE] > 0 && i < t->count; i++) {
        if (t->slots[i].state == WEFT_ACCEPTED_FREE)
            return &t->slots[i];
    }
    if (2 * t->count + 2 <= t->index_len && t->count < t->cap) {
        weft_accepted *a = &t->slots[t->count];
        *a = (weft_accepted){.number = (uint32_t)(t->count << 1) | 1};
        t->count++;
        t->in_state[WEFT_ACCEPTED_FREE]++;
        return a;
    }
    return NULL;
}

weft_accepted *weft_accepted_add(weft_accepted_table *t, const uint8_t id[WEFT_ROUTING_ID], int fd)
{
    weft_accepted *a = vacant(t);
    if (a == NULL && grow(t))
        a = vacant(t);
    if (a == NULL) {
        weft_accepted *oldest = oldest_dropped(t);
        if (oldest == NULL)
            return NULL;
        weft_accepted_remove(t, oldest);
        a = oldest;
    }
    memcpy(a->id, id, WEFT_ROUTING_ID);
    a->number += UINT32_C(1) << (SLOT_BITS + 1);
    a->fd = fd;
    a->why = NULL;
    a->since = 0;
    t->index[seek(t, id)] = (uint16_t)(a - t->slots);
    enter(t, a, WEFT_ACCEPTED_LIVE);
    return a;
}

void weft_accepted_closing(weft_accepted_table *t, weft_accepted *a, const char *why)
{
    enter(t, a, WEFT_ACCEPTED_CLOSING);
    a->why = why;
}

void weft_accepted_drop(weft_accepted_table *t, weft_accepted *a)
{
    enter(t, a, WEFT_ACCEPTED_DROPPED);
    a->since = t->drops++;
}

void weft_accepted_remove(weft_accepted_table *t, weft_accepted *a)
{
    const size_t mask = t->index_len - 1;
    size_t hole = seek(t, a->id);
    t->index[hole] = NOBODY;
    /* Move back what stands behind the hole and would no longer be found. */
    for (size_t i = (hole + 1) & mask; t->index[i] != NOBODY; i = (i + 1) & mask) {
        const size_t home = place(t, t->slots[t->index[i]].id);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->index[hole] = t->index[i];
            t->index[i] = NOBODY;
            hole = i;
        }
    }
    enter(t, a, WEFT_ACCEPTED_FREE);
}

size_t weft_accepted_slots(const weft_accepted_table *t)
{
    return t->count;
}

weft_accepted *weft_accepted_at(weft_accepted_table *t, size_t slot)
{
    return &t->slots[slot];
}

size_t weft_accepted_count(const weft_accepted_table *t, weft_accepted_state state)
{
    return t->in_state[state];
}
