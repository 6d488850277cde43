/* SPDX-License-Identifier: Apache-2.0 */
/* Spanning trees along the edges of a connected graph. */
#include "base/mem.h"
#include "base/status.h"
#include "topology/graph.h"

/* Breadth first from root; returns the lowest rank among the farthest. queue has room for all. */
static int find_depths(const weft_graph *g, int root, int *queue, int *depth)
{
    int head = 0, tail = 0, farthest = root;
    for (int r = 0; r < g->size; r++)
        depth[r] = -1;
    depth[root] = 0;
    queue[tail++] = root;
    while (head < tail) {
        const int r = queue[head++];
        if (depth[r] > depth[farthest] || (depth[r] == depth[farthest] && r < farthest))
            farthest = r;
        for (size_t i = g->first[r]; i < g->first[r + 1]; i++)
            if (depth[g->peer[i]] < 0) {
                depth[g->peer[i]] = depth[r] + 1;
                queue[tail++] = g->peer[i];
            }
    }
    return farthest;
}

/* The lowest rank among r's neighbours that are one nearer to the root; -1 for the root. */
static int find_parent(const weft_graph *g, const int *depth, int r)
{
    for (size_t i = g->first[r]; i < g->first[r + 1]; i++)
        if (depth[g->peer[i]] == depth[r] - 1)
            return g->peer[i];
    return -1;
}

int weft_graph_tree(const weft_graph *g, int root, int *ret_parent, int *ret_depth)
{
    if (root < 0 || root >= g->size)
        return weft_fail(WEFT_EINVAL, "tree: root %d of %d peers", root, g->size);
    int *queue = weft_calloc((size_t)g->size, 2 * sizeof(*queue));
    if (!queue)
        return weft_fail(WEFT_ENOMEM, "tree of %d peers: out of memory", g->size);
    int *depth = ret_depth ? ret_depth : queue + g->size;
    find_depths(g, root, queue, depth);
    for (int r = 0; ret_parent && r < g->size; r++)
        ret_parent[r] = find_parent(g, depth, r);
    weft_free(queue);
    return WEFT_OK;
}

/* The middle of a longest of the shortest ways from the rank farthest from rank 0. */
static int middle(const weft_graph *g, int *queue, int *depth)
{
    const int u = find_depths(g, 0, queue, depth);
    int r = find_depths(g, u, queue, depth);
    for (int back = depth[r] / 2; back > 0; back--)
        r = find_parent(g, depth, r);
    return r;
}

int weft_graph_centre(const weft_graph *g, int *ret)
{
    const size_t size = (size_t)g->size;
    int *room = weft_calloc(size, 2 * sizeof(*room)), code = WEFT_OK, best = 0;
    if (!room)
        return weft_fail(WEFT_ENOMEM, "graph of %d peers: out of memory", g->size);
    if (g->size > WEFT_GRAPH_MEASURED) {
        best = middle(g, room, room + size);
    } else {
        code = weft_graph_eccentricities(g, room);
        for (int r = 1; code == WEFT_OK && r < g->size; r++)
            best = room[r] < room[best] ? r : best;
    }
    weft_free(room);
    if (code == WEFT_OK)
        *ret = best;
    return code;
}
