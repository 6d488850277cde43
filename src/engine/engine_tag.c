/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts by tag, a hash table with chains; tags are hashes themselves. */
#include "base/mem.h"
#include "engine/engine_state.h"

enum { BUCKETS_LEAST = 16 };

static weft_tag_cell **bucket_of(const weft_engine *e, uint64_t tag)
{
    return &e->tags[(tag ^ tag >> 32) & (e->tag_buckets - 1)];
}

weft_tag_cell *weft_tag_find(const weft_engine *e, uint64_t tag)
{
    weft_tag_cell *cell = e->tag_buckets > 0 ? *bucket_of(e, tag) : NULL;
    while (cell != NULL && cell->tag != tag) {
        cell = cell->next;
    }
    return cell;
}

weft_tag_cell *weft_tag_new(uint64_t tag)
{
    weft_tag_cell *cell = weft_calloc(1, sizeof(*cell));
    if (cell != NULL) {
        cell->tag = tag;
        cell->early_tail = &cell->early;
    }
    return cell;
}

static void push(weft_engine *e, weft_tag_cell *cell)
{
    weft_tag_cell **bucket = bucket_of(e, cell->tag);
    cell->next = *bucket;
    *bucket = cell;
}

/* Out of memory leaves the chains longer. */
static void grow(weft_engine *e)
{
    weft_tag_cell **old = e->tags;
    const size_t count = e->tag_buckets;
    weft_tag_cell **more = weft_calloc(2 * count, sizeof(weft_tag_cell *));
    if (more == NULL) {
        return;
    }
    e->tags = more;
    e->tag_buckets = 2 * count;
    for (size_t i = 0; i < count; i++) {
        for (weft_tag_cell *cell = old[i], *next; cell != NULL; cell = next) {
            next = cell->next;
            push(e, cell);
        }
    }
    weft_free(old);
}

int weft_tag_open(weft_engine *e)
{
    e->tags = weft_calloc(BUCKETS_LEAST, sizeof(weft_tag_cell *));
    if (e->tags == NULL) {
        return WEFT_ENOMEM;
    }
    e->tag_buckets = BUCKETS_LEAST;
    return WEFT_OK;
}

void weft_tag_add(weft_engine *e, weft_tag_cell *cell)
{
    if (e->tag_count == e->tag_buckets) {
        grow(e);
    }
    push(e, cell);
    e->tag_count++;
}

void weft_tag_sweep(weft_engine *e, bool (*dispose)(weft_engine *e, weft_tag_cell *cell))
{
    for (size_t i = 0; i < e->tag_buckets; i++) {
        for (weft_tag_cell **at = &e->tags[i]; *at != NULL;) {
            weft_tag_cell *cell = *at;
            if (dispose(e, cell)) {
                *at = cell->next;
                weft_free(cell);
                e->tag_count--;
            } else {
                at = &cell->next;
            }
        }
    }
}

static bool any(weft_engine *e, weft_tag_cell *cell)
{
    (void)e;
    (void)cell;
    return true;
}

void weft_tag_close(weft_engine *e)
{
    weft_tag_sweep(e, any);
    weft_free(e->tags);
    e->tags = NULL;
    e->tag_buckets = 0;
}
