/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and latencies between all pairs of peers. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "topology/order.h"
#include "topology/units.h"

static weft_links *new_links(int size)
{
    weft_links *l = weft_calloc(1, sizeof(*l));
    if (l) {
        l->size = size;
        l->at = weft_calloc((size_t)size * (size_t)size, sizeof(*l->at));
    }
    if (l && l->at)
        return l;
    weft_links_close(&l);
    weft_fail(WEFT_ENOMEM, "links of %d peers: out of memory", size);
    return NULL;
}

void weft_links_close(weft_links **links)
{
    if (!links || !*links)
        return;
    weft_free((*links)->at);
    weft_free(*links);
    *links = NULL;
}

int weft_links_size(const weft_links *links)
{
    return links->size;
}

static weft_edge_values *find(const weft_links *l, int from, int to)
{
    return &l->at[(size_t)from * (size_t)l->size + (size_t)to];
}

int weft_links_get(const weft_links *links, int from, int to, double *ret_rate, double *ret_latency)
{
    const int size = links->size;
    if (from < 0 || from >= size || to < 0 || to >= size || from == to)
        return weft_fail(WEFT_EINVAL, "links: no link from %d to %d among %d peers", from, to,
                         size);
    *ret_rate = find(links, from, to)->rate;
    *ret_latency = find(links, from, to)->latency;
    return WEFT_OK;
}

int weft_links_make(weft_links **ret, int size, const double *rate, const double *latency)
{
    if (!ret || !rate || !latency)
        return weft_fail(WEFT_EINVAL, "links: NULL");
    if (size < 1 || size > WEFT_LINKS_PEERS)
        return weft_fail(WEFT_EINVAL, "links: %d peers (1 to %d)", size, (int)WEFT_LINKS_PEERS);
    weft_links *l = new_links(size);
    for (int i = 0; l && i < size * size; i++) {
        const int from = i / size, to = i % size;
        if (from == to)
            continue;
        if (!(rate[i] >= WEFT_RATE_LEAST && rate[i] <= WEFT_RATE_MOST) ||
            !(latency[i] >= 0 && latency[i] <= WEFT_LATENCY_MOST)) {
            weft_links_close(&l);
            return weft_fail(
                WEFT_EINVAL,
                "links: from %d to %d: rate %g bytes/s (%g to %g), latency %g s (0 to %g)", from,
                to, rate[i], WEFT_RATE_LEAST, WEFT_RATE_MOST, latency[i], WEFT_LATENCY_MOST);
        }
        l->at[i] = (weft_edge_values){.rate = rate[i], .latency = latency[i]};
    }
    if (!l)
        return WEFT_ENOMEM;
    *ret = l;
    return WEFT_OK;
}

/* Put a line where it belongs: its direction may have been told before with the same values. */
static int put_entry(const weft_linkfile *f, const weft_link_entry *e, weft_links *l)
{
    weft_edge_values *at = find(l, e->a, e->b);
    if (e->given < 2)
        return weft_fail(WEFT_EINVAL, "%s: line %d: from %d to %d without %s", f->name, e->line,
                         e->a, e->b, e->given ? "latency" : "rate and latency");
    if (at->rate != 0 && memcmp(at, &e->values, sizeof(*at)) != 0)
        return weft_fail(WEFT_EINVAL, "%s: line %d: from %d to %d again, with other values",
                         f->name, e->line, e->a, e->b);
    *at = e->values;
    return WEFT_OK;
}

int weft_linkfile_links(const weft_linkfile *f, weft_links **ret)
{
    int size = 0, code = weft_linkfile_peers(f, 0, WEFT_LINKS_PEERS, &size);
    if (code != WEFT_OK)
        return code;
    weft_links *l = new_links(size);
    if (!l)
        return WEFT_ENOMEM;
    for (size_t i = 0; code == WEFT_OK && i < f->count; i++)
        code = put_entry(f, &f->entries[i], l);
    for (int i = 0; code == WEFT_OK && i < size * size; i++)
        if (i / size != i % size && l->at[i].rate == 0)
            code = weft_fail(WEFT_EINVAL, "%s: no line from %d to %d", f->name, i / size, i % size);
    if (code == WEFT_OK)
        *ret = l;
    else
        weft_links_close(&l);
    return code;
}

int weft_links_open(weft_links **ret, const char *path)
{
    weft_linkfile f;
    if (!ret || !path)
        return weft_fail(WEFT_EINVAL, "links: NULL");
    int code = weft_linkfile_open(&f, path);
    if (code == WEFT_OK) {
        code = weft_linkfile_links(&f, ret);
        weft_linkfile_free(&f);
    }
    return code == WEFT_OK ? code : weft_fail_context("links");
}
