/* SPDX-License-Identifier: Apache-2.0 */
#include "topo_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* What a figure of --net is. */
enum kind { NUMBER, SECONDS, RATE };

typedef struct figure {
    const char *key;
    enum kind kind;
    size_t at; /* offset of a double in weft_network */
} figure;

static const figure figures[] = {
    {"rate", RATE, offsetof(weft_network, rate)},
    {"latency", SECONDS, offsetof(weft_network, latency_s)},
    {"burst", NUMBER, offsetof(weft_network, burst)},
    {"peak", RATE, offsetof(weft_network, peak)},
    {"local_rate", RATE, offsetof(weft_network, local_rate)},
    {"local_latency", SECONDS, offsetof(weft_network, local_latency_s)},
    {"trunk", RATE, offsetof(weft_network, trunk_rate)},
    {"segment", NUMBER, offsetof(weft_network, segment_bytes)},
    {"overhead", NUMBER, offsetof(weft_network, segment_overhead)},
    {"ack", NUMBER, offsetof(weft_network, ack_share)},
    {"incast", NUMBER, offsetof(weft_network, incast)},
    {"switch", NUMBER, offsetof(weft_network, switch_bytes)},
    {"frame", NUMBER, offsetof(weft_network, frame_bytes)},
    {"send", SECONDS, offsetof(weft_network, send_s)},
    {"receive", SECONDS, offsetof(weft_network, receive_s)},
    {"handoff", SECONDS, offsetof(weft_network, handoff_s)},
    {"pack", SECONDS, offsetof(weft_network, pack_s)},
    {"merge", SECONDS, offsetof(weft_network, merge_s)},
    {"unpack", SECONDS, offsetof(weft_network, unpack_s)},
};
enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static double *figure_at(weft_network *n, const figure *f)
{
    return (double *)((char *)n + f->at);
}

/* "KEY=VALUE" */
static bool read_figure(const weft_cli *cli, const char *word, weft_network *n)
{
    const char *names[FIGURES + 1] = {NULL};
    char key[64];
    const size_t len = strcspn(word, "=");
    (void)snprintf(key, sizeof(key), "%.*s", (int)len, word);
    for (int i = 0; i < FIGURES; i++) {
        const figure *f = &figures[i];
        names[i] = f->key;
        if (strcmp(f->key, key) != 0) {
            continue;
        }
        double *to = figure_at(n, f);
        const char *text = word[len] == '=' ? word + len + 1 : "";
        if (f->kind == RATE      ? weft_topo_read_rate(text, to)
            : f->kind == SECONDS ? weft_topo_read_seconds(text, to)
                                 : weft_cli_read_real(text, 0, 1e12, to)) {
            return true;
        }
        (void)weft_cli_refuse(cli, "--net %s: '%s' is not a %s", key, text,
                              f->kind == RATE      ? "rate like 1gbit"
                              : f->kind == SECONDS ? "time like 20us"
                                                   : "number in 0 … 1e12");
        return false;
    }
    (void)weft_cli_refuse(cli, "--net: unknown figure '%s'; nearest: %s", key,
                          weft_cli_nearest(key, names));
    return false;
}

static bool read_figures(const weft_cli *cli, weft_network *n)
{
    char word[128];
    const char *at = weft_cli_text(cli, "net");
    while (at != NULL && *at != '\0') {
        const size_t len = strcspn(at, ",");
        (void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
        if (!read_figure(cli, word, n)) {
            return false;
        }
        at += len + (at[len] == ',');
    }
    return true;
}

static weft_peer_link *peer_of(weft_topo_net *net, int rank)
{
    for (size_t i = 0; i < net->n.peer_count; i++) {
        if (net->peers[i].rank == rank) {
            return &net->peers[i];
        }
    }
    weft_peer_link *p = &net->peers[net->n.peer_count++];
    p->rank = rank;
    return p;
}

static bool read_peers(const weft_cli *cli, int peers, weft_topo_net *net)
{
    const int slow = weft_cli_list_count(cli, "slow"), late = weft_cli_list_count(cli, "late");
    net->peers = calloc((size_t)(slow + late) + 1, sizeof(*net->peers));
    for (int i = 0; net->peers != NULL && i < slow + late; i++) {
        const bool is_late = i >= slow;
        const char *text =
            weft_cli_list_get(cli, is_late ? "late" : "slow", is_late ? i - slow : i);
        const char *rest = NULL;
        int rank = 0;
        if (!weft_topo_read_rank(text, peers, &rank, &rest) ||
            !(is_late ? weft_topo_read_seconds(rest, &peer_of(net, rank)->late_s)
                      : weft_topo_read_rate(rest, &peer_of(net, rank)->rate))) {
            (void)weft_cli_refuse(
                cli, "--%s '%s': not %s with a rank below %d", is_late ? "late" : "slow", text,
                is_late ? "RANK:SECONDS, like 3:20ms," : "RANK:RATE, like 3:10mbit,", peers);
            return false;
        }
    }
    net->n.peers = net->peers;
    return net->peers != NULL;
}

static bool read_edge(const char *text, int peers, weft_edge_link *ret)
{
    char rate[64];
    const char *rest = NULL;
    weft_edge_link e = {.latency_s = -1};
    if (!weft_topo_read_rank(text, peers, &e.from, &rest) ||
        !weft_topo_read_rank(rest, peers, &e.to, &rest) || e.from == e.to) {
        return false;
    }
    const size_t len = strcspn(rest, ",");
    (void)snprintf(rate, sizeof(rate), "%.*s", (int)len, rest);
    if (len >= sizeof(rate) || !weft_topo_read_rate(rate, &e.rate) ||
        (rest[len] == ',' && !weft_topo_read_seconds(rest + len + 1, &e.latency_s))) {
        return false;
    }
    *ret = e;
    return true;
}

/* Has one of the command line's edges this direction? */
static bool is_given(const weft_topo_net *net, size_t given, int from, int to)
{
    for (size_t i = 0; i < given; i++) {
        if (net->edges[i].from == from && net->edges[i].to == to) {
            return true;
        }
    }
    return false;
}

/* Every pair of the matrix. */
static void take_links(const weft_links *links, size_t given, weft_topo_net *net)
{
    const int size = weft_links_size(links);
    for (int from = 0; from < size; from++) {
        for (int to = 0; to < size; to++) {
            weft_edge_link e = {.from = from, .to = to};
            if (from != to && !is_given(net, given, from, to) &&
                weft_links_get(links, from, to, &e.rate, &e.latency_s) == WEFT_OK) {
                net->edges[net->n.edge_count++] = e;
            }
        }
    }
}

/* Every edge that tells a rate or a latency, both ways. */
static void take_topology(const weft_topology *topology, size_t given, weft_topo_net *net)
{
    for (int from = 0; from < weft_topology_size(topology); from++) {
        int count = 0;
        const int *peers = weft_topology_neighbors(topology, from, &count);
        for (int i = 0; i < count; i++) {
            weft_edge_link e = {.from = from, .to = peers[i]};
            if (weft_topology_edge(topology, from, peers[i], &e.rate, &e.latency_s) == WEFT_OK &&
                (e.rate > 0.0 || e.latency_s > 0.0) && !is_given(net, given, from, peers[i])) {
                e.latency_s = e.latency_s > 0.0 ? e.latency_s : -1.0;
                net->edges[net->n.edge_count++] = e;
            }
        }
    }
}

static bool read_edges(const weft_cli *cli, const weft_topo_query *query, weft_topo_net *net)
{
    const int peers = query->q.peers, count = weft_cli_list_count(cli, "edge");
    size_t most = (size_t)count + 1;
    most += query->links != NULL ? (size_t)peers * (size_t)peers : 0;
    most += query->topology != NULL ? 2 * weft_topology_edges(query->topology) : 0;
    net->edges = calloc(most, sizeof(*net->edges));
    if (net->edges == NULL) {
        (void)weft_cli_refuse(cli, "no memory for %zu edges", most);
        return false;
    }
    for (int i = 0; i < count; i++) {
        const char *text = weft_cli_list_get(cli, "edge", i);
        if (!read_edge(text, peers, &net->edges[i])) {
            (void)weft_cli_refuse(cli,
                                  "--edge '%s': not A:B:RATE,LATENCY, like 0:1:10mbit,5ms, with "
                                  "two ranks below %d",
                                  text, peers);
            return false;
        }
        net->n.edge_count++;
    }
    if (query->links != NULL) {
        take_links(query->links, (size_t)count, net);
    } else if (query->topology != NULL) {
        take_topology(query->topology, (size_t)count, net);
    }
    bool rates = false;
    for (size_t i = (size_t)count; i < net->n.edge_count; i++) {
        rates = rates || net->edges[i].rate > 0.0;
    }
    if (rates && !weft_cli_given(cli, "link")) {
        net->n.rate = 0.0;
    }
    net->n.edges = net->edges;
    return true;
}

bool weft_topo_net_read(const weft_cli *cli, const weft_topo_query *query, weft_topo_net *ret)
{
    const int peers = query->q.peers;
    const bool hosts = query->hosts != NULL;
    weft_topo_net net = {.peers = NULL};
    weft_network_default(&net.n);
    net.n.lanes = (int)weft_cli_whole(cli, "lanes");
    net.n.burst = (double)weft_cli_size(cli, "burst");
    bool good = weft_cli_text(cli, "link") == NULL ||
                weft_topo_read_link(cli, "link", &net.n.rate, &net.n.latency_s);
    if (!hosts && (weft_cli_given(cli, "local") || weft_cli_given(cli, "trunk"))) {
        (void)weft_cli_refuse(cli, "--local and --trunk go with --hosts");
        good = false;
    }
    if (good && weft_cli_given(cli, "local")) {
        good = weft_topo_read_link(cli, "local", &net.n.local_rate, &net.n.local_latency_s);
    }
    net.n.trunk_rate = hosts ? net.n.rate : 0.0;
    if (good && weft_cli_given(cli, "trunk")) {
        good = weft_topo_read_rate(weft_cli_text(cli, "trunk"), &net.n.trunk_rate);
        if (!good) {
            (void)weft_cli_refuse(cli, "--trunk '%s': not a rate like 1gbit",
                                  weft_cli_text(cli, "trunk"));
        }
    }
    if (good && read_figures(cli, &net.n) && read_peers(cli, peers, &net) &&
        read_edges(cli, query, &net)) {
        *ret = net;
        return true;
    }
    weft_topo_net_free(&net);
    return false;
}

void weft_topo_net_free(weft_topo_net *net)
{
    free(net->peers);
    free(net->edges);
    net->peers = NULL;
    net->edges = NULL;
}

json_t *weft_topo_net_json(const weft_topo_net *net)
{
    json_t *ret = json_object();
    weft_network n = net->n;
    for (int i = 0; i < FIGURES; i++) {
        (void)json_object_set_new(ret, figures[i].key, json_real(*figure_at(&n, &figures[i])));
    }
    (void)json_object_set_new(ret, "lanes", json_integer(n.lanes));
    return ret;
}

void weft_topo_net_print(const weft_topo_net *net, bool hosts, FILE *to)
{
    char rate[32] = "as fast as its edges", latency[32], text[32];
    if (net->n.rate > 0.0) {
        weft_topo_rate_text(net->n.rate, rate);
    }
    weft_topo_seconds_text(net->n.latency_s, latency);
    (void)fprintf(to, "# each peer %s%s, latency %s", rate, net->n.rate > 0.0 ? " each way" : "",
                  latency);
    if (net->n.edge_count > 0) {
        (void)fprintf(to, ", %zu directions of their own", net->n.edge_count);
    }
    if (net->n.burst > 0.0) {
        weft_topo_bytes_text(net->n.burst, text);
        (void)fprintf(to, ", bursts of %s", text);
    }
    if (hosts) {
        weft_topo_rate_text(net->n.local_rate, rate);
        weft_topo_rate_text(net->n.trunk_rate, text);
        (void)fprintf(to, "; %s within a host, %s for each host", rate, text);
    }
    for (size_t i = 0; i < net->n.peer_count && i < 4; i++) {
        const weft_peer_link *p = &net->peers[i];
        if (p->rate > 0.0) {
            weft_topo_rate_text(p->rate, rate);
            (void)fprintf(to, "; rank %d %s", p->rank, rate);
        }
        if (p->late_s > 0.0) {
            weft_topo_seconds_text(p->late_s, latency);
            (void)fprintf(to, "; rank %d %s late", p->rank, latency);
        }
    }
    (void)fprintf(to, "%s\n", net->n.peer_count > 4 ? "; …" : "");
}
