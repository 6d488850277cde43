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
    if (weft_cli_given(cli, "peers") && ret->q.peers != hosts * each) {
        (void)weft_cli_refuse(cli, "--hosts %s is %d peers, %s says %d", text, hosts * each,
                              weft_cli_name(cli, "peers"), ret->q.peers);
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

bool weft_topo_query_read(const weft_cli *cli, const char *collective, weft_topo_query *ret)
{
    weft_topo_query t = {.q = {.size = sizeof(t.q),
                               .collective = collective,
                               .codec = weft_cli_text(cli, "codec"),
                               .peers = (int)weft_cli_whole(cli, "peers"),
                               .root = (int)weft_cli_whole(cli, "root")}};
    if (weft_dtype_parse(weft_cli_text(cli, "dtype"), &t.q.dtype) != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
        return false;
    }
    const size_t lane = weft_cli_size(cli, "lane");
    const size_t width = weft_dtype_bytes(t.q.dtype);
    t.q.lane = lane == 0 ? 0 : lane < width ? 1 : lane / width;
    if (!read_hosts(cli, &t) || (weft_cli_given(cli, "order") &&
                                 !read_list(cli, "order", t.q.peers, t.q.peers - 1, &t.order))) {
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
}
