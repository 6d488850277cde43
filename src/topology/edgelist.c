/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of an edge list: every edge once, or several times with the same values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "topology/linkfile.h"

/* By lower rank, higher rank, line. */
static int compare(const void *left, const void *right)
{
    const weft_link_entry *x = left, *y = right;
    const int x_low = x->a < x->b ? x->a : x->b, y_low = y->a < y->b ? y->a : y->b;
    const int x_high = x->a + x->b - x_low, y_high = y->a + y->b - y_low;
    if (x_low != y_low)
        return x_low < y_low ? -1 : 1;
    if (x_high != y_high)
        return x_high < y_high ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* "rate 1e+08 bit/s, latency 0.001 s" */
static void values_text(const weft_link_entry *e, char *out, size_t cap)
{
    if (e->given == 0)
        snprintf(out, cap, "no rate");
    else if (e->given == 1)
        snprintf(out, cap, "%.10g bit/s", e->values.rate * 8);
    else
        snprintf(out, cap, "%.10g bit/s and %.10g s", e->values.rate * 8, e->values.latency);
}

/* Two lines about one edge must agree. */
static int check_same(const weft_linkfile *f, const weft_link_entry *x, const weft_link_entry *y)
{
    char was[64], is[64];
    if (memcmp(&x->values, &y->values, sizeof(x->values)) == 0)
        return WEFT_OK;
    values_text(x, was, sizeof(was));
    values_text(y, is, sizeof(is));
    if (x->a == y->a)
        return weft_fail(WEFT_EINVAL, "%s: line %d: edge %d %d again, with %s; line %d says %s",
                         f->name, y->line, y->a, y->b, is, x->line, was);
    return weft_fail(
        WEFT_EINVAL,
        "%s: line %d: edge %d %d has %s, line %d says %s the other way: edges here are "
        "alike both ways",
        f->name, y->line, y->a, y->b, is, x->line, was);
}

/* List each edge of the sorted entries once; values stay beside them. */
static int list_edges(const weft_linkfile *f, const weft_link_entry *sorted, weft_edges *e,
                      weft_edge_values *values)
{
    for (size_t i = 0; i < f->count; i++) {
        const weft_link_entry *x = &sorted[i], *before = i > 0 ? &sorted[i - 1] : NULL;
        if (before && before->a + before->b == x->a + x->b &&
            (before->a == x->a || before->a == x->b)) {
            const int code = check_same(f, before, x);
            if (code != WEFT_OK)
                return code;
            continue;
        }
        if (values)
            values[e->count] = x->values;
        weft_edges_add(e, x->a, x->b);
        if (e->failed)
            return e->failed;
    }
    return WEFT_OK;
}

int weft_linkfile_graph(const weft_linkfile *f, int size, weft_graph *ret)
{
    weft_edges edges = {.size = size};
    bool rated = false;
    for (size_t i = 0; i < f->count; i++)
        rated = rated || f->entries[i].given > 0;
    weft_link_entry *sorted = weft_calloc(f->count, sizeof(*sorted));
    weft_edge_values *values = rated ? weft_calloc(f->count, sizeof(*values)) : NULL;
    weft_graph g = {.size = 0};
    int code = weft_linkfile_peers(f, size, WEFT_GRAPH_PEERS, &edges.size);
    if (code == WEFT_OK && (!sorted || (rated && !values)))
        code = weft_fail(WEFT_ENOMEM, "%s: out of memory", f->name);
    if (code == WEFT_OK) {
        if (f->count > 0) /* else there are none to point at */
            memcpy(sorted, f->entries, f->count * sizeof(*sorted));
        qsort(sorted, f->count, sizeof(*sorted), compare);
        code = list_edges(f, sorted, &edges, values);
    }
    if (code == WEFT_OK)
        code = weft_graph_make(&g, &edges, values);
    if (code == WEFT_OK)
        code = weft_graph_check_connected(&g, f->name);
    if (code == WEFT_OK)
        *ret = g;
    else
        weft_graph_free(&g);
    weft_edges_free(&edges);
    weft_free(sorted);
    weft_free(values);
    return code;
}
