/* SPDX-License-Identifier: Apache-2.0 */
/* The query that the options of `weft topo` describe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/info.h>

#include "topo.h"

const char *weft_topo_collective_at(int index)
{
    weft_info info;
    const char *last = "";
    for (int i = 0; weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        bool known = false;
        weft_info other;
        for (int k = 0; k < i && !known; k++) {
            known =
                weft_info_get(WEFT_FAMILY_ALGO, k, &other) && strcmp(other.scope, info.scope) == 0;
        }
        last = info.scope;
        if (!known && index-- == 0) {
            return last;
        }
    }
    return NULL;
}

bool weft_topo_collective(const weft_cli *cli, const char *name)
{
    const char *names[32] = {NULL};
    for (int i = 0; i < 31 && (names[i] = weft_topo_collective_at(i)) != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    (void)weft_cli_refuse(cli, "unknown collective '%s'; nearest: %s", name,
                          weft_cli_nearest(name, names));
    return false;
}

bool weft_topo_has_blocks(const char *collective)
{
    static const char *const names[] = {"allgather", "gather", "scatter", "reduce_scatter",
                                        "alltoall"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(names[i], collective) == 0) {
            return true;
        }
    }
    return false;
}

uint64_t weft_topo_count(const weft_query *q, size_t bytes, size_t *ret_bytes)
{
    const size_t cell =
        weft_dtype_bytes(q->dtype) * (weft_topo_has_blocks(q->collective) ? (size_t)q->peers : 1);
    const bool none = strcmp(q->collective, "barrier") == 0;
    const uint64_t count = none ? 0 : bytes < cell ? 1 : bytes / cell;
    *ret_bytes = (size_t)count * cell;
    return count;
}

double weft_topo_bus_factor(const char *collective, int peers)
{
    const double n = peers;
    if (strcmp(collective, "allreduce") == 0) {
        return 2.0 * (n - 1.0) / n;
    }
    return weft_topo_has_blocks(collective) ? (n - 1.0) / n : 1.0;
}

bool weft_topo_topology_at(int index, weft_info *ret)
{
    return weft_info_get(WEFT_FAMILY_TOPOLOGY, index, ret) != 0;
}

const char *weft_topo_needs(const weft_info *info)
{
    const weft_query q = {
        .size = sizeof(q), .collective = info->scope, .peers = 4, .dtype = WEFT_F32};
    weft_candidate c = {.size = sizeof(c)};
    weft_explain *e = NULL;
    const char *needs = "";
    if (weft_explain_open(&e, &q) == WEFT_OK) {
        for (int i = 0; weft_explain_get(e, i, &c); i++) {
            const size_t len = strcspn(c.algo, ":");
            if (strlen(info->name) == len && strncmp(c.algo, info->name, len) == 0) {
                needs = c.needs;
            }
        }
        weft_explain_close(&e);
    }
    return needs;
}

bool weft_topo_needs_topology(const weft_info *info)
{
    return strstr(weft_topo_needs(info), "topology") != NULL;
}

/* "0,2,1,3": `count` numbers in 0 … most. */
static bool read_list(const weft_cli *cli, const char *option, int count, int most, int **ret)
{
    const char *at = weft_cli_text(cli, option);
    int *list = calloc((size_t)count, sizeof(*list));
    int n = 0;
    bool good = list != NULL;
    while (good && n < count) {
        char word[16];
        int64_t number = 0;
        const size_t len = strcspn(at, ",");
        (void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
        good = len < sizeof(word) && weft_cli_read_whole(word, 0, most, &number) &&
               (at[len] == ',') == (n + 1 < count);
        list[n++] = (int)number;
        at += len + 1;
    }
    if (!good) {
        free(list);
        (void)weft_cli_refuse(cli, "%s '%s': not a list of %d numbers in 0 … %d",
                              weft_cli_name(cli, option), weft_cli_text(cli, option), count, most);
        return false;
    }
    *ret = list;
    return true;
}

/* "2x4" */
static bool read_grid(const char *text, int *ret_hosts, int *ret_each)
{
    char word[16];
    int64_t hosts = 0;
    int64_t each = 0;
    const size_t len = strcspn(text, "x");
    (void)snprintf(word, sizeof(word), "%.*s", (int)len, text);
    if (text[len] != 'x' || len >= sizeof(word) || !weft_cli_read_whole(word, 1, 65535, &hosts) ||
        !weft_cli_read_whole(text + len + 1, 1, 65535, &each) || hosts * each > 65535) {
        return false;
    }
    *ret_hosts = (int)hosts;
    *ret_each = (int)each;
    return true;
}

static bool read_hosts(const weft_cli *cli, weft_topo_query *ret)
{
    const char *text = weft_cli_text(cli, "hosts");
    int hosts = 0;
    int each = 0;
    if (text == NULL) {
        return true;
    }
    if (!read_grid(text, &hosts, &each)) {
        return read_list(cli, "hosts", ret->q.peers, ret->q.peers - 1, &ret->hosts);
    }
    const bool said = weft_cli_given(cli, "peers") || ret->links != NULL || ret->topology != NULL;
    if (said && ret->q.peers != hosts * each) {
        (void)weft_cli_refuse(cli, "--hosts %s is %d peers, there are %d", text, hosts * each,
                              ret->q.peers);
        return false;
    }
    ret->q.peers = hosts * each;
    ret->hosts = calloc((size_t)ret->q.peers, sizeof(*ret->hosts));
    for (int r = 0; ret->hosts != NULL && r < ret->q.peers; r++) {
        ret->hosts[r] = r / each;
    }
    if (ret->hosts == NULL) {
        (void)weft_cli_refuse(cli, "no memory for %d peers", ret->q.peers);
    }
    return ret->hosts != NULL;
}

/* "ring", "tree", "tree:2": from the links. */
static bool work_out_order(const weft_cli *cli, const char *text, weft_topo_query *ret)
{
    int64_t arity = 0;
    const bool ring = strcmp(text, "ring") == 0;
    if (!ring && strcmp(text, "tree") != 0 &&
        (strncmp(text, "tree:", 5) != 0 || !weft_cli_read_whole(text + 5, 1, 65535, &arity))) {
        return read_list(cli, "order", ret->q.peers, ret->q.peers - 1, &ret->order);
    }
    if (ret->links == NULL) {
        (void)weft_cli_refuse(cli, "--order %s is worked out from --links, which is not given",
                              text);
        return false;
    }
    ret->order = calloc((size_t)ret->q.peers, sizeof(*ret->order));
    /* A message of 64 KiB, the least that a long vector is cut into. */
    const int rc = ret->order == NULL ? WEFT_ENOMEM
                   : ring             ? weft_order_ring(ret->links, 65536, ret->order)
                                      : weft_order_tree(ret->links, (int)arity, 65536, ret->order);
    if (rc != WEFT_OK) {
        (void)weft_cli_refuse(cli, "--order %s: %s", text, weft_last_error()->message);
    }
    return rc == WEFT_OK;
}

static bool read_links(const weft_cli *cli, weft_topo_query *ret)
{
    const char *path = weft_cli_text(cli, "links");
    if (path == NULL) {
        return true;
    }
    if (weft_links_open(&ret->links, path) != WEFT_OK) {
        (void)weft_cli_refuse(cli, "--links: %s", weft_last_error()->message);
        return false;
    }
    const int size = weft_links_size(ret->links);
    if (weft_cli_given(cli, "peers") && size != ret->q.peers) {
        (void)weft_cli_refuse(cli, "--links %s has %d peers, %s says %d", path, size,
                              weft_cli_name(cli, "peers"), ret->q.peers);
        return false;
    }
    ret->q.peers = size;
    return true;
}

/* A file says how many peers there are where nobody else does. */
static bool read_topology(const weft_cli *cli, weft_topo_query *ret)
{
    const char *spec = weft_cli_text(cli, "topology");
    const bool given = weft_cli_given(cli, "peers") || ret->links != NULL;
    if (spec == NULL) {
        return true;
    }
    const int size = !given && strncmp(spec, "file", 4) == 0 ? 0 : ret->q.peers;
    if (weft_topology_open(&ret->topology, spec, size) != WEFT_OK) {
        (void)weft_cli_refuse(cli, "--topology: %s", weft_last_error()->message);
        return false;
    }
    ret->q.peers = weft_topology_size(ret->topology);
    ret->q.topology = ret->topology;
    return true;
}

bool weft_topo_query_read(const weft_cli *cli, const char *collective, weft_topo_query *ret)
{
    weft_topo_query t = {.q = {.size = sizeof(t.q),
                               .collective = collective,
                               .codec = weft_cli_text(cli, "codec"),
                               .reply_codec = weft_cli_text(cli, "reply-codec"),
                               .fidelity = weft_fidelity_of(weft_cli_text(cli, "fidelity")),
                               .residual = weft_cli_given(cli, "residual"),
                               .own = weft_cli_given(cli, "own"),
                               .peers = (int)weft_cli_whole(cli, "peers"),
                               .root = (int)weft_cli_whole(cli, "root")}};
    if (weft_dtype_parse(weft_cli_text(cli, "dtype"), &t.q.dtype) != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
        return false;
    }
    const size_t lane = weft_cli_size(cli, "lane");
    const size_t width = weft_dtype_bytes(t.q.dtype);
    t.q.lane = lane == 0 ? 0 : lane < width ? 1 : lane / width;
    if (!read_links(cli, &t) || !read_topology(cli, &t) || !read_hosts(cli, &t) ||
        (weft_cli_given(cli, "order") && !work_out_order(cli, weft_cli_text(cli, "order"), &t))) {
        weft_topo_query_free(&t);
        return false;
    }
    t.q.hosts = t.hosts;
    t.q.order = t.order;
    *ret = t;
    return true;
}

void weft_topo_query_free(weft_topo_query *query)
{
    free(query->hosts);
    free(query->order);
    query->hosts = NULL;
    query->order = NULL;
    weft_topology_close(&query->topology);
    weft_links_close(&query->links);
}
