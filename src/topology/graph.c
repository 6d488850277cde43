/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/graph.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

void weft_edges_add(weft_edges *e, int a, int b)
{
    assert(a != b && a >= 0 && a < e->size && b >= 0 && b < e->size);
    if (e->failed)
        return;
    if (e->count >= WEFT_GRAPH_EDGES)
        e->failed =
            weft_fail(WEFT_ENOTSUP, "%d peers: more than %d edges", e->size, (int)WEFT_GRAPH_EDGES);
    else if (!weft_grow((void **)&e->pair, &e->cap, e->count + 1, sizeof(*e->pair)))
        e->failed = weft_fail(WEFT_ENOMEM, "%zu edges: out of memory", e->count + 1);
    else
        memcpy(e->pair[e->count++], (int[2]){a, b}, sizeof(*e->pair));
}

void weft_edges_free(weft_edges *e)
{
    weft_free(e->pair);
    *e = (weft_edges){.size = e->size};
}

void weft_graph_free(weft_graph *g)
{
    weft_free(g->first);
    weft_free(g->peer);
    weft_free(g->values);
    *g = (weft_graph){.size = 0};
}

static bool reserve(weft_graph *g, int size, size_t entries, bool with_values)
{
    *g = (weft_graph){.size = size};
    g->first = weft_calloc((size_t)size + 2, sizeof(*g->first));
    g->peer = weft_calloc(entries, sizeof(*g->peer));
    if (with_values)
        g->values = weft_calloc(entries, sizeof(*g->values));
    if (g->first && g->peer && (g->values || !with_values))
        return true;
    weft_graph_free(g);
    return false;
}

/* Rows in the order of the list. first[] is used one place further on as the end of each row so
 * far, and stands right when all is in. */
static void fill_rows(weft_graph *g, const weft_edges *e, const weft_edge_values *values)
{
    size_t *end = g->first + 1;
    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < 2; k++)
            end[e->pair[i][k] + 1]++;
    for (int r = 0; r < g->size; r++)
        end[r + 1] += end[r];
    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < 2; k++) {
            const size_t at = end[e->pair[i][k]]++;
            g->peer[at] = e->pair[i][1 - k];
            if (values)
                g->values[at] = values[i];
        }
}

/* Transpose: walking the rows of `from` in ascending order appends to each row of the result in
 * ascending order, and the graph is symmetric. What comes twice is appended once. Then the rows are
 * moved together. */
static void sort_rows(weft_graph *g, const weft_graph *from)
{
    size_t *end = g->first + 1; /* of row r: end[r]; its room begins at from->first[r] */
    memcpy(end, from->first, (size_t)g->size * sizeof(*end));
    for (int r = 0; r < g->size; r++)
        for (size_t i = from->first[r]; i < from->first[r + 1]; i++) {
            const int to = from->peer[i];
            if (end[to] > from->first[to] && g->peer[end[to] - 1] == r)
                continue;
            if (g->values)
                g->values[end[to]] = from->values[i];
            g->peer[end[to]++] = r;
        }
    size_t at = 0;
    for (int r = 0; r < g->size; r++) {
        const size_t begin = from->first[r], count = end[r] - begin;
        memmove(g->peer + at, g->peer + begin, count * sizeof(*g->peer));
        if (g->values)
            memmove(g->values + at, g->values + begin, count * sizeof(*g->values));
        at += count;
        end[r] = at;
    }
    g->first[0] = 0;
}

int weft_graph_make(weft_graph *ret, const weft_edges *e, const weft_edge_values *values)
{
    weft_graph unsorted, sorted;
    if (e->failed)
        return e->failed;
    if (!reserve(&unsorted, e->size, 2 * e->count, values != NULL))
        return weft_fail(WEFT_ENOMEM, "graph of %zu edges: out of memory", e->count);
    if (!reserve(&sorted, e->size, 2 * e->count, values != NULL)) {
        weft_graph_free(&unsorted);
        return weft_fail(WEFT_ENOMEM, "graph of %zu edges: out of memory", e->count);
    }
    fill_rows(&unsorted, e, values);
    sort_rows(&sorted, &unsorted);
    weft_graph_free(&unsorted);
    *ret = sorted;
    return WEFT_OK;
}

size_t weft_graph_find(const weft_graph *g, int a, int b)
{
    size_t low = g->first[a], high = g->first[a + 1];
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (g->peer[mid] < b)
            low = mid + 1;
        else
            high = mid;
    }
    return low < g->first[a + 1] && g->peer[low] == b ? low : SIZE_MAX;
}

/* Mark all that hang together with `start`; how many. */
static int spread(const weft_graph *g, int start, int *queue, unsigned char *seen)
{
    int head = 0, tail = 0;
    seen[start] = 1;
    queue[tail++] = start;
    while (head < tail && tail < g->size) {
        const int r = queue[head++];
        for (size_t i = g->first[r]; i < g->first[r + 1]; i++)
            if (!seen[g->peer[i]]) {
                seen[g->peer[i]] = 1;
                queue[tail++] = g->peer[i];
            }
    }
    return tail;
}

int weft_edges_connected(const weft_edges *e, bool *ret)
{
    weft_graph g;
    int code = weft_graph_make(&g, e, NULL);
    if (code != WEFT_OK)
        return code;
    int *queue = weft_calloc((size_t)g.size, sizeof(*queue));
    unsigned char *seen = weft_calloc((size_t)g.size, 1);
    if (queue && seen)
        *ret = spread(&g, 0, queue, seen) == g.size;
    else
        code = weft_fail(WEFT_ENOMEM, "graph of %d peers: out of memory", g.size);
    weft_free(queue);
    weft_free(seen);
    weft_graph_free(&g);
    return code;
}

static int compare_ints(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* "0, 1, 2 and 7 more" */
static void part_text(int *part, int count, char *out, size_t cap)
{
    enum { SHOWN = 8 };
    size_t len = 0;
    qsort(part, (size_t)count, sizeof(*part), compare_ints);
    for (int i = 0; i < count && i < SHOWN && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%d", i ? ", " : "", part[i]);
    if (count > SHOWN && len < cap)
        snprintf(out + len, cap - len, " and %d more", count - SHOWN);
}

/* The first parts in words, and how many parts there are. */
static int name_parts(const weft_graph *g, int *queue, unsigned char *seen, char *out, size_t cap)
{
    enum { PARTS_SHOWN = 4 };
    int parts = 0;
    size_t len = 0;
    memset(seen, 0, (size_t)g->size);
    for (int r = 0; r < g->size; r++) {
        if (seen[r])
            continue;
        const int count = spread(g, r, queue, seen);
        if (parts++ >= PARTS_SHOWN || len >= cap)
            continue;
        len += (size_t)snprintf(out + len, cap - len, "%s{", parts > 1 ? " " : "");
        if (len >= cap)
            continue;
        part_text(queue, count, out + len, cap - len);
        len += strlen(out + len);
        len += (size_t)snprintf(out + len, cap - len, "}");
    }
    if (parts > PARTS_SHOWN && len < cap)
        snprintf(out + len, cap - len, " ...");
    return parts;
}

int weft_graph_check_connected(const weft_graph *g, const char *what)
{
    int code = WEFT_OK, *queue = weft_calloc((size_t)g->size, sizeof(*queue));
    unsigned char *seen = weft_calloc((size_t)g->size, 1);
    if (!queue || !seen) {
        code = weft_fail(WEFT_ENOMEM, "%s: out of memory", what);
    } else if (spread(g, 0, queue, seen) < g->size) {
        char words[400] = "";
        const int parts = name_parts(g, queue, seen, words, sizeof(words));
        code = weft_fail(WEFT_EINVAL, "%s: the graph falls into %d parts: %s", what, parts, words);
    }
    weft_free(queue);
    weft_free(seen);
    return code;
}

/* The state of up to 64 breadth-first searches side by side: a bit each (Then et al. 2014). */
typedef struct searches {
    uint64_t *seen, *now, *next;
} searches;

static void run_searches(const weft_graph *g, int first, int count, searches s, int *ecc)
{
    const size_t bytes = (size_t)g->size * sizeof(uint64_t);
    memset(s.seen, 0, bytes);
    memset(s.now, 0, bytes);
    for (int k = 0; k < count; k++)
        s.seen[first + k] = s.now[first + k] = UINT64_C(1) << k;
    const uint64_t all = UINT64_MAX >> (64 - count);
    uint64_t alive = all, done = 0; /* searches that found something new; that found all */
    for (int level = 1; alive && done != all; level++) {
        memset(s.next, 0, bytes);
        for (int r = 0; r < g->size; r++)
            for (size_t i = g->first[r]; s.now[r] && i < g->first[r + 1]; i++)
                s.next[g->peer[i]] |= s.now[r];
        alive = 0;
        done = all;
        for (int r = 0; r < g->size; r++) {
            s.now[r] = s.next[r] & ~s.seen[r];
            s.seen[r] |= s.now[r];
            alive |= s.now[r];
            done &= s.seen[r];
        }
        for (int k = 0; k < count; k++)
            if (alive >> k & 1)
                ecc[first + k] = level;
    }
}

int weft_graph_eccentricities(const weft_graph *g, int *ret)
{
    enum { SIDE_BY_SIDE = 64 };
    const size_t size = (size_t)g->size;
    uint64_t *room = weft_calloc(3 * size, sizeof(*room));
    if (!room)
        return weft_fail(WEFT_ENOMEM, "graph of %d peers: out of memory", g->size);
    const searches s = {.seen = room, .now = room + size, .next = room + 2 * size};
    memset(ret, 0, size * sizeof(*ret));
    for (int first = 0; first < g->size; first += SIDE_BY_SIDE) {
        const int left = g->size - first;
        run_searches(g, first, left < SIDE_BY_SIDE ? left : SIDE_BY_SIDE, s, ret);
    }
    weft_free(room);
    return WEFT_OK;
}
