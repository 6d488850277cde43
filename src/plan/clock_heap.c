/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/clock_heap.h"

#include "base/mem.h"
#include "base/status.h"

int weft_clock_heap_open(weft_clock_heap *h, int cap)
{
    const size_t n = (size_t)cap;

    *h = (weft_clock_heap){.cap = cap};
    h->at = weft_calloc(n, sizeof *h->at);
    h->things = weft_calloc(n, sizeof *h->things);
    h->place = weft_calloc(n, sizeof *h->place);
    if (!h->at || !h->things || !h->place) {
        weft_clock_heap_close(h);
        return weft_fail(WEFT_ENOMEM, "clock: no memory for %d things to happen", cap);
    }
    for (int i = 0; i < cap; i++)
        h->place[i] = -1;
    return WEFT_OK;
}

void weft_clock_heap_close(weft_clock_heap *h)
{
    weft_free(h->at);
    weft_free(h->things);
    weft_free(h->place);
    *h = (weft_clock_heap){0};
}

static bool before(const weft_clock_heap *h, int a, int b)
{
    return h->at[a] < h->at[b] || (h->at[a] == h->at[b] && a < b);
}

static void put(weft_clock_heap *h, int place, int thing)
{
    h->things[place] = thing;
    h->place[thing] = place;
}

static void rise(weft_clock_heap *h, int place, int thing)
{
    while (place > 0 && before(h, thing, h->things[(place - 1) / 2])) {
        put(h, place, h->things[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(h, place, thing);
}

static void sink(weft_clock_heap *h, int place, int thing)
{
    for (int child; (child = 2 * place + 1) < h->count; place = child) {
        if (child + 1 < h->count && before(h, h->things[child + 1], h->things[child]))
            child++;
        if (!before(h, h->things[child], thing))
            break;
        put(h, place, h->things[child]);
    }
    put(h, place, thing);
}

void weft_clock_heap_set(weft_clock_heap *h, int thing, double at)
{
    const int place = h->place[thing];

    h->at[thing] = at;
    if (place < 0)
        rise(h, h->count++, thing);
    else if (place > 0 && before(h, thing, h->things[(place - 1) / 2]))
        rise(h, place, thing);
    else
        sink(h, place, thing);
}

void weft_clock_heap_drop(weft_clock_heap *h, int thing)
{
    const int place = h->place[thing];

    if (place < 0)
        return;
    h->place[thing] = -1;
    const int last = h->things[--h->count];
    if (last == thing)
        return;
    if (place > 0 && before(h, last, h->things[(place - 1) / 2]))
        rise(h, place, last);
    else
        sink(h, place, last);
}

bool weft_clock_heap_pop(weft_clock_heap *h, int *ret_thing, double *ret_at)
{
    if (h->count == 0)
        return false;
    *ret_thing = h->things[0];
    *ret_at = h->at[*ret_thing];
    weft_clock_heap_drop(h, *ret_thing);
    return true;
}
