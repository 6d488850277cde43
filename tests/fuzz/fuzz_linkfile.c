/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edge lists and matrices of links: no text may read past its end, reserve more than its bounds, or
 * make a graph that is none. What is taken is written out as an edge list and gives the same graph
 * again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_must.h"
#include "topology/linkfile.h"
#include "topology/order.h"
#include "topology/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDGE_TEXT = 128 };

/* An error is one line that begins with the file's name. */
static void check_error(int code)
{
    const weft_error *e = weft_last_error();
    MUST(code == WEFT_EINVAL && e->code == code && !strncmp(e->message, "net: ", 5));
    for (const char *p = e->message; *p; p++)
        MUST((unsigned char)*p >= 0x20);
}

static void check_graph(const weft_graph *g)
{
    MUST(g->size >= 1 && g->size <= WEFT_GRAPH_PEERS && g->first[0] == 0);
    for (int r = 0; r < g->size; r++)
        for (size_t i = g->first[r]; i < g->first[r + 1]; i++) {
            MUST(g->peer[i] >= 0 && g->peer[i] < g->size && g->peer[i] != r);
            MUST(i == g->first[r] || g->peer[i] > g->peer[i - 1]);
            const size_t back = weft_graph_find(g, g->peer[i], r);
            MUST(back != SIZE_MAX);
            MUST(!g->values || !memcmp(&g->values[i], &g->values[back], sizeof(*g->values)));
        }
    MUST(weft_graph_check_connected(g, "net") == WEFT_OK);
}

/* Written with all digits, 8 bits a byte: reads back as the same values. */
static char *write_text(const weft_graph *g, size_t *ret_len)
{
    char *text = malloc((g->first[g->size] + 1) * EDGE_TEXT);
    MUST(text);
    size_t len = (size_t)sprintf(text, "peers %d\n", g->size);
    for (int r = 0; r < g->size; r++)
        for (size_t i = g->first[r]; i < g->first[r + 1]; i++) {
            if (g->peer[i] < r)
                continue;
            len += (size_t)sprintf(text + len, "%d %d", r, g->peer[i]);
            if (g->values && g->values[i].rate > 0)
                len += (size_t)sprintf(text + len, " %.17g %.17g", g->values[i].rate * 8,
                                       g->values[i].latency);
            text[len++] = '\n';
        }
    *ret_len = len;
    return text;
}

static void check_again(const weft_graph *g)
{
    weft_linkfile f;
    weft_graph again;
    size_t len = 0;
    char *text = write_text(g, &len);
    MUST(weft_linkfile_parse(&f, "net", text, len) == WEFT_OK);
    MUST(weft_linkfile_graph(&f, 0, &again) == WEFT_OK);
    MUST(again.size == g->size && again.first[g->size] == g->first[g->size]);
    MUST(!memcmp(again.peer, g->peer, g->first[g->size] * sizeof(*g->peer)));
    for (size_t i = 0; g->values && i < g->first[g->size]; i++)
        MUST(again.values && !memcmp(&again.values[i], &g->values[i], sizeof(*g->values)));
    weft_graph_free(&again);
    weft_linkfile_free(&f);
    free(text);
}

static void check_links(const weft_linkfile *f)
{
    enum { PEERS = 16 };
    weft_links *l = NULL;
    int order[PEERS];
    const int code = weft_linkfile_links(f, &l);
    if (code != WEFT_OK) {
        check_error(code);
        return;
    }
    const int size = weft_links_size(l);
    if (size <= PEERS) {
        MUST(weft_order_ring(l, 1000, order) == WEFT_OK);
        MUST(weft_order_check("ring", order, size) == WEFT_OK);
        MUST(weft_order_tree(l, 0, 1000, order) == WEFT_OK);
        MUST(weft_order_check("tree", order, size) == WEFT_OK);
    }
    weft_links_close(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_linkfile f;
    weft_graph g;
    /* A copy of exact length: a checker sees a read behind it. */
    char *text = malloc(size > 0 ? size : 1);
    MUST(text);
    if (size > 0)
        memcpy(text, data, size);
    int code = weft_linkfile_parse(&f, "net", text, size);
    free(text);
    if (code != WEFT_OK) {
        check_error(code);
        return 0;
    }
    code = weft_linkfile_graph(&f, 0, &g);
    if (code == WEFT_OK) {
        check_graph(&g);
        check_again(&g);
        weft_graph_free(&g);
    } else {
        check_error(code);
    }
    check_links(&f);
    weft_linkfile_free(&f);
    return 0;
}
