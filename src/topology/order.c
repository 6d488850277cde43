/* SPDX-License-Identifier: Apache-2.0 */
/* What the searches for orders share. */
#include "topology/order.h"

#include "base/mem.h"
#include "base/status.h"

/* One direction. */
static weft_hop direction(const weft_edge_values *v, size_t bytes)
{
    const double busy = (double)bytes / v->rate;
    return (weft_hop){.time = v->latency + busy, .busy = busy};
}

weft_hop *weft_hops_make(const weft_links *links, size_t bytes)
{
    const size_t n = (size_t)links->size;
    weft_hop *h = weft_calloc(n * n, sizeof(*h));
    if (!h) {
        weft_fail(WEFT_ENOMEM, "order of %zu peers: out of memory", n);
        return NULL;
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            const weft_hop there = direction(&links->at[a * n + b], bytes);
            const weft_hop back = direction(&links->at[b * n + a], bytes);
            const bool slower =
                back.time > there.time || (back.time == there.time && back.busy > there.busy);
            h[a * n + b] = h[b * n + a] = slower ? back : there;
        }
    return h;
}

int weft_order_check(const char *what, const int *order, int size)
{
    int code = WEFT_OK;
    unsigned char *seen = weft_calloc((size_t)size, 1);
    if (!seen)
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", what);
    for (int i = 0; code == WEFT_OK && i < size; i++) {
        if (order[i] < 0 || order[i] >= size)
            code = weft_fail(WEFT_EINVAL, "%s: rank %d of %d peers", what, order[i], size);
        else if (seen[order[i]]++)
            code = weft_fail(WEFT_EINVAL, "%s: rank %d twice", what, order[i]);
    }
    weft_free(seen);
    return code;
}
